//! needs nn/conv3x3/strips lib/quads

// What conv3x3 and conv3x3_direct share: out[n,o,x,y] = Σ_{i,kx,ky} w[o,i,kx,ky]·in[n,i,x+kx-1,y+ky-1]
// (method §5). An invocation owns patches of PATCH × 4 pixels. The nine taps of one input channel are added
// up on their own and then join the sum: one chain over all channels would round more. Every variant adds in
// the same order, so all give the same bits. That holds while no compiler has a choice: here and in all that
// variants share, inputs and epilogues, a product that joins a sum is an fma, since a·b + c may be fused in
// one variant and not in the next (NVIDIA's compiler does that).

struct Params {
    batch: u32,
    nx: u32,
    ny: u32,
    c_in: u32,
    c_out: u32,
    skip_channels: u32, // of the input skip_up
    split: u32, // channels of the layer whose g the epilogues activation and split make
    weight_offset: u32, // in vectors
    weight_inputs: u32, // c_in with its padding
    pivot_offset: u32, // in vectors, of the epilogue moments
    gamma_offset: u32, // of the epilogue pooled by gamma
    input_norms: u32, // where the channels of the input's layer start among all norms
    low_norms: u32, // of the input skip_up
    gradient_norms: u32,
    target_norms: u32, // of the layer whose g the epilogues activation and split make
}

@group(0) @binding(0) var<uniform> params: Params;
// [blocks, weight_inputs, 3, 3, BLOCK_QUADS], and pivots
@group(0) @binding(1) var<storage, read> weights: array<vec4<f32>>;

const PATCHES_X: u32 = TILE_X / PATCH;
const PATCHES_Y: u32 = TILE_Y / 4u;
const PATCHES: u32 = TILE_N * PATCHES_X * PATCHES_Y;
const TAPS: u32 = 9u * BLOCK_QUADS; // of one input channel

// Where a workgroup and an invocation of it are at work.
fn tile_of(workgroup: vec3<u32>) -> Tile {
    let tiles_y = max(params.ny / TILE_Y, 1u);
    let x0 = workgroup.x / tiles_y * TILE_X;
    return Tile(workgroup.y * TILE_N, x0, workgroup.x % tiles_y * TILE_Y, workgroup.z * BLOCK_QUADS);
}

struct Patch {
    n: u32,
    x: u32,
    strip_y: u32,
}

fn patch_of(local: u32) -> Patch {
    return Patch(
        local / (PATCHES_Y * PATCHES_X) % TILE_N,
        local / PATCHES_Y % PATCHES_X * PATCH,
        local % PATCHES_Y,
    );
}

fn first_strip(at: Patch) -> u32 {
    return (at.n * TILE_X + at.x) * PATCHES_Y + at.strip_y;
}

// The sums of a patch, PATCH of them in use: column c of a matrix is pixel c of a strip, its rows are four
// output channels. They have names and are written out wherever they are used: an index that some compiler
// does not know in advance would keep them in memory, and FXC refuses it.
struct Sums {
    p0: mat4x4<f32>,
    p1: mat4x4<f32>,
    p2: mat4x4<f32>,
    p3: mat4x4<f32>,
    p4: mat4x4<f32>,
    p5: mat4x4<f32>,
    p6: mat4x4<f32>,
    p7: mat4x4<f32>,
}

// The nine taps of one input channel, a matrix per row; a column is a tap, its rows are four output channels.
struct Taps {
    upper: mat3x4<f32>,
    middle: mat3x4<f32>,
    lower: mat3x4<f32>,
}

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
fn add_row(sum: mat4x4<f32>, w: mat3x4<f32>, row: Row) -> mat4x4<f32> {
    let first = accumulate(sum, w[0], row.left);
    let second = accumulate(first, w[1], vec4(row.left.yzw, row.right.x));
    return accumulate(second, w[2], vec4(row.left.zw, row.right));
}

// sum + the nine taps of one input channel over its rows.
fn add_taps(sum: mat4x4<f32>, taps: Taps, above: Row, here: Row, below: Row) -> mat4x4<f32> {
    let upper = add_row(mat4x4<f32>(), taps.upper, above);
    let middle = add_row(upper, taps.middle, here);
    return sum + add_row(middle, taps.lower, below);
}

// Loops, not written out: emit is much code for compilers, and runs once.
fn emit_patch(place: Tile, strip: u32, quad: u32, sums: Sums) {
    var own = array(sums.p0, sums.p1, sums.p2, sums.p3, sums.p4, sums.p5, sums.p6, sums.p7);
    for (var p = 0u; p < PATCH; p++) {
        emit(place, strip + p * PATCHES_Y, quad, own[p]);
    }
    for (var p = 0u; p + 1u < PATCH; p += 2u) {
        emit_pair(place, strip + p * PATCHES_Y, quad, own[p], own[p + 1u]);
    }
}
