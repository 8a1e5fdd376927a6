// Weight gradient of the 3×3 convolution: dw[o,i,kx,ky] = Σ_{n,x,y} g[n,o,x,y]·in[n,i,x+kx-1,y+ky-1] with
// g = ∂L/∂z from a file in gradient/ and the input from a source.
//
// A workgroup takes 4·BLOCK_QUADS output and CHANNELS input channels and one chunk of tiles. An invocation owns one
// input channel, 4·QUADS output channels, all nine taps, and the runs congruent to its phase modulo PHASES: a run is RUN
// strips of four pixels below each other, so that of the three rows of input that a strip needs two are those of the strip before.
// In the end the phases are added up in workgroup memory; every chunk writes a row of partial sums, and sum_rows adds the
// rows. All in fixed order, the same for every QUADS.

struct Params {
    batch: u32,
    nx: u32,
    ny: u32,
    c_in: u32,
    c_out: u32,
    skip_channels: u32, // of the source skip_up
    tiles: u32, // in all: ceil(batch/TILE_N)·tiles per sample
    tiles_per_chunk: u32,
    input_blocks: u32, // ceil(c_in/CHANNELS)
    source_norms: u32, // where the channels of the source's layer start among all norms
    low_norms: u32, // of the source skip_up
    gradient_norms: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> partial: array<f32>; // [chunks, c_out, c_in, 3, 3]

const STRIPS_Y: u32 = TILE_Y / 4u;
const STRIPS: u32 = TILE_N * TILE_X * STRIPS_Y;
const RUN: u32 = min(TILE_X, STRIPS / PHASES);
const RUNS_X: u32 = TILE_X / RUN;
const OUTPUTS: u32 = 4u * BLOCK_QUADS;
const OWNERS: u32 = CHANNELS * (BLOCK_QUADS / QUADS); // invocations of one phase
const WORKGROUP: u32 = OWNERS * PHASES;

// First the tile [CHANNELS, PLANE], later the sums of one phase [QUADS, 9, OWNERS].
var<workgroup> tile: array<vec4<f32>, max(CHANNELS * PLANE, 9u * QUADS * OWNERS)>;
var<workgroup> gradients: array<vec4<f32>, STRIPS * OUTPUTS>;

// g of 4·BLOCK_QUADS output channels from o0 on; zero where there is no pixel. Channels lie side by side, so that an
// invocation has the same one in all rounds; rounds as in `stage`.
fn stage_gradients(n0: u32, o0: u32, x0: u32, y0: u32, local: u32) {
    const FULL = STRIPS * OUTPUTS / WORKGROUP;
    for (var round = 0u; round < FULL; round++) {
        let at = round * WORKGROUP + local;
        gradients[at] = strip_gradient(n0, o0 + at % OUTPUTS, x0, y0, at / OUTPUTS);
    }
    let at = FULL * WORKGROUP + local;
    if STRIPS * OUTPUTS % WORKGROUP != 0u && at < STRIPS * OUTPUTS {
        gradients[at] = strip_gradient(n0, o0 + at % OUTPUTS, x0, y0, at / OUTPUTS);
    }
}

// g of an output channel on one strip.
fn strip_gradient(n0: u32, o: u32, x0: u32, y0: u32, strip: u32) -> vec4<f32> {
    let n = n0 + min(strip / (TILE_X * STRIPS_Y), TILE_N - 1u);
    let x = x0 + strip / STRIPS_Y % TILE_X;
    let y = y0 + strip % STRIPS_Y * 4u;
    // Reads something in any case, as `stage`.
    let known = min(o, params.c_out - 1u);
    let plane = min(n, params.batch - 1u) * params.c_out + known;
    let quad = gradient_quad(plane, min(x, params.nx - 1u), min(y, params.ny - 1u), gradient_channel(known));
    let exists = n < params.batch && o < params.c_out && x < params.nx && y < params.ny;
    return select(vec4(0.0), quad, vec4(exists) & inside(params.ny));
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) local: u32) {
    let i0 = workgroup.y % params.input_blocks * CHANNELS;
    let first_quad = workgroup.y / params.input_blocks * BLOCK_QUADS;
    let channel = local % CHANNELS;
    let quad = local / CHANNELS % (BLOCK_QUADS / QUADS) * QUADS;
    let owner = local % OWNERS;
    let phase = local / OWNERS;

    let tiles_y = max(params.ny / TILE_Y, 1u);
    let tiles_per_sample = max(params.nx / TILE_X, 1u) * tiles_y;
    // One matrix per tap row; a column is a tap, its rows are four output channels.
    var upper: array<mat3x4<f32>, QUADS>;
    var middle: array<mat3x4<f32>, QUADS>;
    var lower: array<mat3x4<f32>, QUADS>;

    let first_tile = workgroup.x * params.tiles_per_chunk;
    for (var t = first_tile; t < min(first_tile + params.tiles_per_chunk, params.tiles); t++) {
        let n0 = t / tiles_per_sample * TILE_N;
        let x0 = t % tiles_per_sample / tiles_y * TILE_X;
        let y0 = t % tiles_y * TILE_Y;
        workgroupBarrier();
        stage(n0, i0, x0, y0, local);
        stage_gradients(n0, 4u * first_quad, x0, y0, local);
        workgroupBarrier();

        for (var run = phase; run < STRIPS / RUN; run += PHASES) {
            let n = run / (STRIPS_Y * RUNS_X);
            let x = run / STRIPS_Y % RUNS_X * RUN;
            let y = run % STRIPS_Y;
            let corner = channel * PLANE + (n * (TILE_X + 2u) + x) * ROW_QUADS + y;
            let first_strip = (n * TILE_X + x) * STRIPS_Y + y;
            var above = padded_row(corner);
            var here = padded_row(corner + ROW_QUADS);
            for (var i = 0u; i < RUN; i++) {
                let below = padded_row(corner + (i + 2u) * ROW_QUADS);
                for (var q = 0u; q < QUADS; q++) {
                    let g = pixels_of(first_strip + i * STRIPS_Y, quad + q);
                    upper[q] = add_row(upper[q], g, above);
                    middle[q] = add_row(middle[q], g, here);
                    lower[q] = add_row(lower[q], g, below);
                }
                above = here;
                here = below;
            }
        }
    }

    for (var giver = 1u; giver < PHASES; giver++) {
        workgroupBarrier(); // the tile, or the phase before, has been read
        if phase == giver {
            for (var q = 0u; q < QUADS; q++) {
                give(3u * q, owner, upper[q]);
                give(3u * q + 1u, owner, middle[q]);
                give(3u * q + 2u, owner, lower[q]);
            }
        }
        workgroupBarrier();
        if phase == 0u {
            for (var q = 0u; q < QUADS; q++) {
                upper[q] += given(3u * q, owner);
                middle[q] += given(3u * q + 1u, owner);
                lower[q] += given(3u * q + 2u, owner);
            }
        }
    }

    let i = i0 + channel;
    if phase > 0u || i >= params.c_in {
        return;
    }
    let part = workgroup.x * params.c_out;
    for (var q = 0u; q < QUADS; q++) {
        let rows = array(transpose(upper[q]), transpose(middle[q]), transpose(lower[q]));
        for (var k = 0u; k < 4u; k++) {
            let o = 4u * (first_quad + quad + q) + k;
            if o < params.c_out {
                let at = ((part + o) * params.c_in + i) * 9u;
                store(at, rows[0][k]);
                store(at + 3u, rows[1][k]);
                store(at + 6u, rows[2][k]);
            }
        }
    }
}

fn give(row: u32, owner: u32, taps: mat3x4<f32>) {
    for (var k = 0u; k < 3u; k++) {
        tile[(3u * row + k) * OWNERS + owner] = taps[k];
    }
}

fn given(row: u32, owner: u32) -> mat3x4<f32> {
    let at = 3u * row * OWNERS + owner;
    return mat3x4(tile[at], tile[at + OWNERS], tile[at + 2u * OWNERS]);
}

fn store(at: u32, taps: vec3<f32>) {
    partial[at] = taps.x;
    partial[at + 1u] = taps.y;
    partial[at + 2u] = taps.z;
}

// Six neighbouring cells of a padded row.
struct Row {
    left: vec4<f32>,
    right: vec2<f32>,
}

fn padded_row(at: u32) -> Row {
    return Row(tile[at], tile[at + 1u].xy);
}

// Four output channels' gradients on a strip, one column per pixel. On a GPU transposing registers costs nothing.
fn pixels_of(strip: u32, quad: u32) -> mat4x4<f32> {
    let at = strip * OUTPUTS + 4u * quad;
    return transpose(mat4x4(gradients[at], gradients[at + 1u], gradients[at + 2u], gradients[at + 3u]));
}

// sum + Σ_p g_p·pixel_p for three taps along y.
fn add_row(sum: mat3x4<f32>, g: mat4x4<f32>, row: Row) -> mat3x4<f32> {
    return mat3x4(
        accumulate(sum[0], g, row.left),
        accumulate(sum[1], g, vec4(row.left.yzw, row.right.x)),
        accumulate(sum[2], g, vec4(row.left.zw, row.right)),
    );
}

fn accumulate(sum: vec4<f32>, g: mat4x4<f32>, pixels: vec4<f32>) -> vec4<f32> {
    let half = fma(g[1], vec4(pixels.y), fma(g[0], vec4(pixels.x), sum));
    return fma(g[3], vec4(pixels.w), fma(g[2], vec4(pixels.z), half));
}
