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

fn tap_row(at: u32) -> mat3x4<f32> {
    return mat3x4(taps[at], taps[at + BLOCK_QUADS], taps[at + 2u * BLOCK_QUADS]);
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
            var rows: Rows;
            for (var row = 0u; row < PATCH + 2u; row++) {
                rows.left[row] = tile[corner + row * ROW_QUADS];
                rows.right[row] = tile[corner + row * ROW_QUADS + 1u].xy;
            }
            let w = i * TAPS + quad;
            let middle = tap_row(w + 3u * BLOCK_QUADS);
            let lower = tap_row(w + 6u * BLOCK_QUADS);
            sums = add_channel(sums, tap_row(w), middle, lower, rows);
        }
    }

    workgroupBarrier(); // the tile has been read; an epilogue may use its memory
    let strip = first_strip(own);
    begin(place, strip, quad, sums[0]);
    workgroupBarrier();
    emit_patch(place, strip, quad, sums);
    finish(place, workgroup.y * workgroups.x + workgroup.x, workgroups.x * workgroups.y, local);
}
