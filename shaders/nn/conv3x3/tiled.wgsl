//! needs nn/conv3x3/convolution nn/conv3x3/tile

// 3×3 convolution (convolution.wgsl), no bias. With weights packed for it the same kernel is the adjoint.
// The input comes from a file in input/, the output goes to one in epilogue/.
//
// A workgroup computes 4·BLOCK_QUADS output channels of one tile. An invocation owns one patch and four of
// those channels in registers. Input arrives in workgroup memory, CHANNELS channels at a time.

const WORKGROUP: u32 = PATCHES * BLOCK_QUADS;

// First the tile [CHANNELS, PLANE], later whatever the epilogue keeps.
var<workgroup> tile: array<vec4<f32>, max(CHANNELS * PLANE, EPILOGUE_LEN)>;
var<workgroup> taps: array<vec4<f32>, CHANNELS * TAPS>;

// As `stage`: rounds without a branch but for the last.
fn stage_taps(first: u32, local: u32) {
    const ALL = CHANNELS * TAPS;
    const FULL = ALL / WORKGROUP * WORKGROUP;
    let last = weights[first + min(FULL + local, ALL - 1u)];
    for (var start = 0u; start < FULL; start += WORKGROUP) {
        taps[start + local] = weights[first + start + local];
    }
    if ALL % WORKGROUP != 0u && FULL + local < ALL {
        taps[FULL + local] = last;
    }
}

fn taps_at(at: u32) -> Taps {
    return Taps(tap_row(at), tap_row(at + 3u * BLOCK_QUADS), tap_row(at + 6u * BLOCK_QUADS));
}

fn tap_row(at: u32) -> mat3x4<f32> {
    return mat3x4(taps[at], taps[at + BLOCK_QUADS], taps[at + 2u * BLOCK_QUADS]);
}

fn row_at(corner: u32, row: u32) -> Row {
    let at = corner + row * ROW_QUADS;
    return Row(tile[at], tile[at + 1u].xy);
}

// Adds one channel to a patch whose rows start at `corner`.
fn add_channel(sums: ptr<function, Sums>, own: Taps, corner: u32) {
    let row0 = row_at(corner, 0u);
    let row1 = row_at(corner, 1u);
    let row2 = row_at(corner, 2u);
    (*sums).p0 = add_taps((*sums).p0, own, row0, row1, row2);
    if PATCH > 1u {
        let row3 = row_at(corner, 3u);
        (*sums).p1 = add_taps((*sums).p1, own, row1, row2, row3);
        if PATCH > 2u {
            let row4 = row_at(corner, 4u);
            let row5 = row_at(corner, 5u);
            (*sums).p2 = add_taps((*sums).p2, own, row2, row3, row4);
            (*sums).p3 = add_taps((*sums).p3, own, row3, row4, row5);
            if PATCH > 4u {
                let row6 = row_at(corner, 6u);
                let row7 = row_at(corner, 7u);
                let row8 = row_at(corner, 8u);
                let row9 = row_at(corner, 9u);
                (*sums).p4 = add_taps((*sums).p4, own, row4, row5, row6);
                (*sums).p5 = add_taps((*sums).p5, own, row5, row6, row7);
                (*sums).p6 = add_taps((*sums).p6, own, row6, row7, row8);
                (*sums).p7 = add_taps((*sums).p7, own, row7, row8, row9);
            }
        }
    }
}

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let place = tile_of(workgroup);
    let own = patch_of(local);
    let quad = local / PATCHES;

    var sums: Sums;
    for (var i0 = 0u; i0 < params.c_in; i0 += CHANNELS) {
        workgroupBarrier();
        stage(place.n0, i0, place.x0, place.y0, local);
        stage_taps(params.weight_offset + (workgroup.z * params.weight_inputs + i0) * TAPS, local);
        workgroupBarrier();

        for (var i = 0u; i < CHANNELS; i++) {
            let corner = i * PLANE + (own.n * (TILE_X + 2u) + own.x) * ROW_QUADS + own.strip_y;
            add_channel(&sums, taps_at(i * TAPS + quad), corner);
        }
    }

    workgroupBarrier(); // the tile has been read; an epilogue may use its memory
    let strip = first_strip(own);
    begin(place, strip, quad, sums.p0);
    workgroupBarrier();
    emit_patch(place, strip, quad, sums);
    finish(place, workgroup.y * workgroups.x + workgroup.x, workgroups.x * workgroups.y, local);
}
