//! needs nn/conv3x3/weight_gradient nn/conv3x3/tile

// Weight gradient of the 3×3 convolution (weight_gradient.wgsl) with tiles of input and of g in workgroup
// memory.

// First the tile [CHANNELS, PLANE], later the sums of one phase [QUADS, 9, OWNERS].
var<workgroup> tile: array<vec4<f32>, max(CHANNELS * PLANE, 9u * QUADS * OWNERS)>;
var<workgroup> gradients: array<vec4<f32>, STRIPS * OUTPUTS>;

// g of 4·BLOCK_QUADS output channels; zero where there is no pixel. Channels lie side by side, so that an
// invocation has the same `output` in all rounds; rounds as in `stage`.
fn stage_gradients(n0: u32, output: Output, x0: u32, y0: u32, local: u32) {
    const FULL = STRIPS * OUTPUTS / WORKGROUP;
    for (var round = 0u; round < FULL; round++) {
        let at = round * WORKGROUP + local;
        gradients[at] = strip_gradient(n0, output, x0, y0, at / OUTPUTS);
    }
    let at = FULL * WORKGROUP + local;
    if STRIPS * OUTPUTS % WORKGROUP != 0u && at < STRIPS * OUTPUTS {
        gradients[at] = strip_gradient(n0, output, x0, y0, at / OUTPUTS);
    }
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) local: u32) {
    let i0 = workgroup.y % params.input_blocks * CHANNELS;
    let first_quad = workgroup.y / params.input_blocks * BLOCK_QUADS;
    let channel = local % CHANNELS;
    let quad = local / CHANNELS % (BLOCK_QUADS / QUADS) * QUADS;
    let owner = local % OWNERS;
    let phase = local / OWNERS;

    let staged = output_of(4u * first_quad + local % OUTPUTS); // WORKGROUP is a multiple of OUTPUTS
    var sums: Sums;

    let first_tile = workgroup.x * params.tiles_per_chunk;
    for (var t = first_tile; t < min(first_tile + params.tiles_per_chunk, params.tiles); t++) {
        let at = place_of(t);
        workgroupBarrier();
        stage(at.n0, i0, at.x0, at.y0, local);
        stage_gradients(at.n0, staged, at.x0, at.y0, local);
        workgroupBarrier();

        for (var run = phase; run < STRIPS / RUN; run += PHASES) {
            let n = run / (STRIPS_Y * RUNS_X);
            let x = run / STRIPS_Y % RUNS_X * RUN;
            let y = run % STRIPS_Y;
            let corner = channel * PLANE + (n * (TILE_X + 2u) + x) * ROW_QUADS + y;
            let first_strip = (n * TILE_X + x) * STRIPS_Y + y;
            var above = row_at(corner);
            var here = row_at(corner + ROW_QUADS);
            for (var i = 0u; i < RUN; i++) {
                let below = row_at(corner + (i + 2u) * ROW_QUADS);
                let strip = first_strip + i * STRIPS_Y;
                sums.q0 = add_strip(sums.q0, pixels_of(strip, quad), above, here, below);
                if QUADS > 1u {
                    sums.q1 = add_strip(sums.q1, pixels_of(strip, quad + 1u), above, here, below);
                }
                if QUADS > 2u {
                    sums.q2 = add_strip(sums.q2, pixels_of(strip, quad + 2u), above, here, below);
                    sums.q3 = add_strip(sums.q3, pixels_of(strip, quad + 3u), above, here, below);
                }
                above = here;
                here = below;
            }
        }
    }

    finish(sums, phase, owner, workgroup.x, i0 + channel, 4u * (first_quad + quad));
}

fn row_at(at: u32) -> Row {
    return Row(tile[at], tile[at + 1u].xy);
}

// Four output channels' gradients on a strip, one column per pixel. On a GPU transposing registers costs
// nothing.
fn pixels_of(strip: u32, quad: u32) -> mat4x4<f32> {
    let at = strip * OUTPUTS + 4u * quad;
    return transpose(mat4x4(gradients[at], gradients[at + 1u], gradients[at + 2u], gradients[at + 3u]));
}
