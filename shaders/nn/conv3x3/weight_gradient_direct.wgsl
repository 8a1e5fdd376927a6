//! needs nn/conv3x3/weight_gradient nn/conv3x3/padded

// Weight gradient of the 3×3 convolution (weight_gradient.wgsl), the same sums in the same order, without
// tiles in workgroup memory.
//
// An invocation owns one input channel and all 4·BLOCK_QUADS output channels (QUADS is BLOCK_QUADS). It makes
// its input itself and gets g from its subgroup: each of eight neighbours, which differ in their input
// channels alone, makes that of two output channels and hands it round.

var<workgroup> tile: array<vec4<f32>, 9u * QUADS * OWNERS>; // the sums of one phase

// What an invocation is, and where it is at work.
struct Own {
    channel: u32, // of the input
    phase: u32,
    outputs: array<Output, 2>, // of sixteen the first and the last eight
}

// `g` holds, in neighbour k, that of output channel k of eight: those of the first or of the last four, one
// column per pixel.
fn first_four(g: vec4<f32>) -> mat4x4<f32> {
    return transpose(mat4x4(
        subgroupBroadcast(g, 0u),
        subgroupBroadcast(g, 1u),
        subgroupBroadcast(g, 2u),
        subgroupBroadcast(g, 3u),
    ));
}

fn last_four(g: vec4<f32>) -> mat4x4<f32> {
    return transpose(mat4x4(
        subgroupBroadcast(g, 4u),
        subgroupBroadcast(g, 5u),
        subgroupBroadcast(g, 6u),
        subgroupBroadcast(g, 7u),
    ));
}

// Adds one tile; all input channels are of the same part of the input.
fn add_tile(sums: ptr<function, Sums>, own: Own, at: Place, part: u32) {
    let channel = input_channel(own.channel, part);
    for (var round = 0u; round < STRIPS / RUN / PHASES; round++) {
        let run = round * PHASES + own.phase;
        let n = run / (STRIPS_Y * RUNS_X);
        let x = run / STRIPS_Y % RUNS_X * RUN;
        let y = run % STRIPS_Y;
        let known = min(at.n0 + n, params.batch - 1u);
        var above = padded_row(known, own.channel, at.x0, at.y0, x, y, channel);
        var here = padded_row(known, own.channel, at.x0, at.y0, x + 1u, y, channel);
        for (var i = 0u; i < RUN; i++) {
            let below = padded_row(known, own.channel, at.x0, at.y0, x + i + 2u, y, channel);
            let strip = (n * TILE_X + x + i) * STRIPS_Y + y;
            let g = strip_gradient(at.n0, own.outputs[0], at.x0, at.y0, strip);
            (*sums).q0 = add_strip((*sums).q0, first_four(g), above, here, below);
            if BLOCK_QUADS > 1u {
                (*sums).q1 = add_strip((*sums).q1, last_four(g), above, here, below);
            }
            if BLOCK_QUADS > 2u {
                let more = strip_gradient(at.n0, own.outputs[1], at.x0, at.y0, strip);
                (*sums).q2 = add_strip((*sums).q2, first_four(more), above, here, below);
                (*sums).q3 = add_strip((*sums).q3, last_four(more), above, here, below);
            }
            above = here;
            here = below;
        }
    }
}

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(subgroup_id) subgroup: u32,
    @builtin(subgroup_size) size: u32,
    @builtin(subgroup_invocation_id) neighbour: u32,
) {
    let local = subgroup * size + neighbour; // nobody says how local_invocation_index lies in subgroups
    let i = workgroup.y % params.input_blocks * CHANNELS + local % CHANNELS;
    let first_output = workgroup.y / params.input_blocks * OUTPUTS;
    let o = first_output + neighbour % 8u;
    let own = Own(min(i, params.c_in - 1u), local / OWNERS, array(output_of(o), output_of(o + 8u)));

    var sums: Sums;
    let first_tile = workgroup.x * params.tiles_per_chunk;
    for (var t = first_tile; t < min(first_tile + params.tiles_per_chunk, params.tiles); t++) {
        let at = place_of(t);
        if INPUT_PARTS == 2u && workgroup.y % params.input_blocks * CHANNELS >= params.skip_channels {
            add_tile(&sums, own, at, 1u);
        } else {
            add_tile(&sums, own, at, 0u);
        }
    }
    finish(sums, own.phase, local % OWNERS, workgroup.x, i, first_output);
}
