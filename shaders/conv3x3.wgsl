// 3×3 convolution: out[n,o,x,y] = Σ_{i,kx,ky} w[o,i,kx,ky]·in[n,i,x+kx-1,y+ky-1] (SPEC 5), no bias. With weights
// arranged for it the same kernel is the adjoint. The input comes from a source, the output goes to a sink.
//
// A workgroup computes 4·BLOCK_QUADS output channels of one tile. An invocation owns a patch of PATCH × 4 pixels and
// four of those channels in registers. Input arrives CHANNELS channels at a time. The nine taps of one input channel
// are added up on their own and then join the sum: one chain over all channels would round more. Every variant of
// PATCH and CHANNELS adds in the same order, so all give the same bits.

struct Params {
    batch: u32,
    nx: u32,
    ny: u32,
    c_in: u32,
    c_out: u32,
    skip_channels: u32, // of the source skip_up
    split: u32, // channels of the layer whose g the sinks activation and split make
    weight_offset: u32, // in vectors
    weight_inputs: u32, // c_in with its padding
    pivot_offset: u32, // in vectors, of the sink moments
    gamma_offset: u32, // of the sink pooled by gamma
    source_norms: u32, // where the channels of the source's layer start among all norms
    low_norms: u32, // of the source skip_up
    gradient_norms: u32,
    target_norms: u32, // of the layer whose g the sinks activation and split make
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> weights: array<vec4<f32>>; // [blocks, weight_inputs, 3, 3, BLOCK_QUADS], and pivots

const PATCHES_X: u32 = TILE_X / PATCH;
const PATCHES_Y: u32 = TILE_Y / 4u;
const PATCHES: u32 = TILE_N * PATCHES_X * PATCHES_Y;
const WORKGROUP: u32 = PATCHES * BLOCK_QUADS;
const TAPS: u32 = 9u * BLOCK_QUADS; // of one input channel

// First the tile [CHANNELS, PLANE], later whatever the sink keeps.
var<workgroup> tile: array<vec4<f32>, max(CHANNELS * PLANE, SINK_LEN)>;
var<workgroup> taps: array<vec4<f32>, CHANNELS * TAPS>;

// sum + w ⊗ pixels: column p belongs to pixel p, its rows to four output channels.
fn accumulate(sum: mat4x4<f32>, w: vec4<f32>, pixels: vec4<f32>) -> mat4x4<f32> {
    return mat4x4(
        fma(w, vec4(pixels.x), sum[0]),
        fma(w, vec4(pixels.y), sum[1]),
        fma(w, vec4(pixels.z), sum[2]),
        fma(w, vec4(pixels.w), sum[3]),
    );
}

// Three taps along y over a padded row of six cells.
fn add_row(sum: mat4x4<f32>, w: mat3x4<f32>, left: vec4<f32>, right: vec2<f32>) -> mat4x4<f32> {
    let first = accumulate(sum, w[0], left);
    let second = accumulate(first, w[1], vec4(left.yzw, right.x));
    return accumulate(second, w[2], vec4(left.zw, right));
}

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
    let tiles_y = max(params.ny / TILE_Y, 1u);
    let x0 = workgroup.x / tiles_y * TILE_X;
    let y0 = workgroup.x % tiles_y * TILE_Y;
    let n0 = workgroup.y * TILE_N;
    let block = workgroup.z;

    let patch_y = local % PATCHES_Y;
    let patch_x = local / PATCHES_Y % PATCHES_X * PATCH;
    let patch_n = local / (PATCHES_Y * PATCHES_X) % TILE_N;
    let quad = local / PATCHES;

    var sum: array<mat4x4<f32>, PATCH>; // column p of a matrix: pixel p, four channels
    for (var i0 = 0u; i0 < params.c_in; i0 += CHANNELS) {
        workgroupBarrier();
        stage(n0, i0, x0, y0, local);
        let first_tap = params.weight_offset + (block * params.weight_inputs + i0) * TAPS;
        stage_taps(first_tap, local);
        workgroupBarrier();

        for (var i = 0u; i < CHANNELS; i++) {
            let corner = i * PLANE + (patch_n * (TILE_X + 2u) + patch_x) * ROW_QUADS + patch_y;
            var left: array<vec4<f32>, PATCH + 2u>;
            var right: array<vec2<f32>, PATCH + 2u>;
            for (var row = 0u; row < PATCH + 2u; row++) {
                left[row] = tile[corner + row * ROW_QUADS];
                right[row] = tile[corner + row * ROW_QUADS + 1u].xy;
            }
            let w = i * TAPS + quad;
            let upper = tap_row(w);
            let middle = tap_row(w + 3u * BLOCK_QUADS);
            let lower = tap_row(w + 6u * BLOCK_QUADS);
            for (var p = 0u; p < PATCH; p++) {
                var part = add_row(mat4x4<f32>(), upper, left[p], right[p]);
                part = add_row(part, middle, left[p + 1u], right[p + 1u]);
                part = add_row(part, lower, left[p + 2u], right[p + 2u]);
                sum[p] += part;
            }
        }
    }

    workgroupBarrier(); // the tile has been read; a sink may use its memory
    let place = Tile(n0, x0, y0, block * BLOCK_QUADS);
    let first_strip = (patch_n * TILE_X + patch_x) * PATCHES_Y + patch_y;
    begin(place, first_strip, quad, sum[0]);
    workgroupBarrier();
    for (var p = 0u; p < PATCH; p++) {
        emit(place, first_strip + p * PATCHES_Y, quad, sum[p]);
    }
    for (var p = 0u; p + 1u < PATCH; p += 2u) {
        emit_pair(place, first_strip + p * PATCHES_Y, quad, sum[p], sum[p + 1u]);
    }
    finish(place, workgroup.y * workgroups.x + workgroup.x, workgroups.x * workgroups.y, local);
}
