//! needs nn/conv3x3/convolution nn/conv3x3/padded

// 3×3 convolution (convolution.wgsl) as conv3x3, the same sums in the same order, without tiles in workgroup
// memory.
//
// An invocation owns a patch in all 4·BLOCK_QUADS output channels of its workgroup. It makes its input
// itself, though neighbours make some of it too, and gets taps from its subgroup: each of eight neighbours
// loads others and hands them round, so that one load brings eight. It waits for nobody. For inputs that
// cost little: a patch of 2 × 4 pixels makes 4 × 6.

const WORKGROUP: u32 = PATCHES;

var<workgroup> tile: array<vec4<f32>, EPILOGUE_LEN>; // whatever the epilogue keeps

// The rows over which a patch of one or two rows lies; of one the first three.
struct Rows {
    row0: Row,
    row1: Row,
    row2: Row,
    row3: Row,
}

// `own` holds, in neighbour t, tap t of one vector of output channels; the ninth tap is for all.
fn add_channel(sums: Sums, own: vec4<f32>, ninth: vec4<f32>, rows: Rows) -> Sums {
    let taps = Taps(
        mat3x4(subgroupBroadcast(own, 0u), subgroupBroadcast(own, 1u), subgroupBroadcast(own, 2u)),
        mat3x4(subgroupBroadcast(own, 3u), subgroupBroadcast(own, 4u), subgroupBroadcast(own, 5u)),
        mat3x4(subgroupBroadcast(own, 6u), subgroupBroadcast(own, 7u), ninth),
    );
    var all = sums;
    all.p0 = add_taps(all.p0, taps, rows.row0, rows.row1, rows.row2);
    if PATCH > 1u {
        all.p1 = add_taps(all.p1, taps, rows.row1, rows.row2, rows.row3);
    }
    return all;
}

fn rows_of(place: Tile, own: Patch, i: u32, part: u32) -> Rows {
    let channel = input_channel(i, part);
    let n = min(place.n0 + own.n, params.batch - 1u);
    let row0 = padded_row(n, i, place.x0, place.y0, own.x, own.strip_y, channel);
    let row1 = padded_row(n, i, place.x0, place.y0, own.x + 1u, own.strip_y, channel);
    let row2 = padded_row(n, i, place.x0, place.y0, own.x + 2u, own.strip_y, channel);
    if PATCH == 1u {
        return Rows(row0, row1, row2, Row());
    }
    return Rows(row0, row1, row2, padded_row(n, i, place.x0, place.y0, own.x + 3u, own.strip_y, channel));
}

// Adds the input channels from `start` to `end`, all of the same part of the input.
fn add_channels(
    sums: ptr<function, array<Sums, 4>>,
    place: Tile,
    own: Patch,
    neighbour: u32,
    block: u32,
    start: u32,
    end: u32,
    part: u32,
) {
    for (var i = start; i < end; i++) {
        let first = params.weight_offset + (block * params.weight_inputs + i) * TAPS;
        let mine = first + neighbour % 8u * BLOCK_QUADS;
        let ninth = weights[first + 8u * BLOCK_QUADS + neighbour % BLOCK_QUADS];
        let rows = rows_of(place, own, i, part);
        (*sums)[0] = add_channel((*sums)[0], weights[mine], subgroupBroadcast(ninth, 0u), rows);
        if BLOCK_QUADS > 1u {
            (*sums)[1] = add_channel((*sums)[1], weights[mine + 1u], subgroupBroadcast(ninth, 1u), rows);
        }
        if BLOCK_QUADS > 2u {
            (*sums)[2] = add_channel((*sums)[2], weights[mine + 2u], subgroupBroadcast(ninth, 2u), rows);
            (*sums)[3] = add_channel((*sums)[3], weights[mine + 3u], subgroupBroadcast(ninth, 3u), rows);
        }
    }
}

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
    @builtin(subgroup_invocation_id) neighbour: u32,
) {
    let place = tile_of(workgroup);
    let own = patch_of(local);
    var sums: array<Sums, 4>; // BLOCK_QUADS of them are in use
    if INPUT_PARTS == 2u {
        add_channels(&sums, place, own, neighbour, workgroup.z, 0u, params.skip_channels, 0u);
        add_channels(&sums, place, own, neighbour, workgroup.z, params.skip_channels, params.c_in, 1u);
    } else {
        add_channels(&sums, place, own, neighbour, workgroup.z, 0u, params.c_in, 0u);
    }

    // Written out, as in add_channels: a loop that is not unrolled would index registers.
    let strip = first_strip(own);
    begin(place, strip, 0u, sums[0].p0);
    if BLOCK_QUADS > 1u {
        begin(place, strip, 1u, sums[1].p0);
    }
    if BLOCK_QUADS > 2u {
        begin(place, strip, 2u, sums[2].p0);
        begin(place, strip, 3u, sums[3].p0);
    }
    workgroupBarrier();
    emit_patch(place, strip, 0u, sums[0]);
    if BLOCK_QUADS > 1u {
        emit_patch(place, strip, 1u, sums[1]);
    }
    if BLOCK_QUADS > 2u {
        emit_patch(place, strip, 2u, sums[2]);
        emit_patch(place, strip, 3u, sums[3]);
    }
    finish(place, workgroup.y * workgroups.x + workgroup.x, workgroups.x * workgroups.y, local);
}
