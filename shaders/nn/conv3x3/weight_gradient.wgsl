//! needs lib/norm lib/quads

// What conv3x3_weight_gradient and conv3x3_weight_gradient_direct share: dw[o,i,kx,ky] = Σ_{n,x,y}
// g[n,o,x,y]·in[n,i,x+kx-1,y+ky-1] with g = ∂L/∂z from a file in gradient/ and the input from a file in
// input/.
//
// A workgroup takes 4·BLOCK_QUADS output and CHANNELS input channels and one chunk of tiles. An invocation
// owns one input channel, 4·QUADS output channels, all nine taps, and the runs congruent to its phase modulo
// PHASES: a run is RUN strips of four pixels below each other, so that of the three rows of input that a
// strip needs two are those of the strip before. In the end the phases are added up in workgroup memory;
// every chunk writes a row of partial sums, and sum_rows adds the rows. All in fixed order, the same for
// every variant.

struct Params {
    batch: u32,
    nx: u32,
    ny: u32,
    c_in: u32,
    c_out: u32,
    skip_channels: u32, // of the input skip_up
    tiles: u32, // in all: ceil(batch/TILE_N)·tiles per sample
    tiles_per_chunk: u32,
    input_blocks: u32, // ceil(c_in/CHANNELS)
    input_norms: u32, // where the channels of the input's layer start among all norms
    low_norms: u32, // of the input skip_up
    gradient_norms: u32,
    first_partial: u32, // where the rows of partial sums start
}

@group(0) @binding(0) var<uniform> params: Params;
// From the first partial on [chunks, c_out, c_in, 3, 3].
@group(0) @binding(1) var<storage, read_write> partial: array<f32>;

const STRIPS_Y: u32 = TILE_Y / 4u;
const STRIPS: u32 = TILE_N * TILE_X * STRIPS_Y;
const RUN: u32 = min(TILE_X, STRIPS / PHASES);
const RUNS_X: u32 = TILE_X / RUN;
const OUTPUTS: u32 = 4u * BLOCK_QUADS;
const OWNERS: u32 = CHANNELS * (BLOCK_QUADS / QUADS); // invocations of one phase
const WORKGROUP: u32 = OWNERS * PHASES;

// Where a tile starts.
struct Place {
    n0: u32,
    x0: u32,
    y0: u32,
}

fn place_of(tile: u32) -> Place {
    let tiles_y = max(params.ny / TILE_Y, 1u);
    let tiles_per_sample = max(params.nx / TILE_X, 1u) * tiles_y;
    let x0 = tile % tiles_per_sample / tiles_y * TILE_X;
    return Place(tile / tiles_per_sample * TILE_N, x0, tile % tiles_y * TILE_Y);
}

// Where g of an output channel comes from.
struct Output {
    o: u32,
    channel: Channel,
}

fn output_of(o: u32) -> Output {
    return Output(o, gradient_channel(min(o, params.c_out - 1u)));
}

// g of an output channel on one strip.
fn strip_gradient(n0: u32, output: Output, x0: u32, y0: u32, strip: u32) -> vec4<f32> {
    let n = n0 + min(strip / (TILE_X * STRIPS_Y), TILE_N - 1u);
    let x = x0 + strip / STRIPS_Y % TILE_X;
    let y = y0 + strip % STRIPS_Y * 4u;
    // Reads something in any case, as `stage`.
    let plane = min(n, params.batch - 1u) * params.c_out + min(output.o, params.c_out - 1u);
    let quad = gradient_quad(plane, min(x, params.nx - 1u), min(y, params.ny - 1u), output.channel);
    let exists = n < params.batch && output.o < params.c_out && x < params.nx && y < params.ny;
    return select(vec4(0.0), quad, vec4(exists) & inside(params.ny));
}

// What an invocation adds up for four output channels: one matrix per tap row; a column is a tap, its rows
// are the output channels.
struct QuadSums {
    upper: mat3x4<f32>,
    middle: mat3x4<f32>,
    lower: mat3x4<f32>,
}

// QUADS of them are in use; written out for the same reason as those of convolution.wgsl.
struct Sums {
    q0: QuadSums,
    q1: QuadSums,
    q2: QuadSums,
    q3: QuadSums,
}

// sums + what one strip adds, g of four output channels by its three rows of input.
fn add_strip(sums: QuadSums, g: mat4x4<f32>, above: Row, here: Row, below: Row) -> QuadSums {
    return QuadSums(
        add_row(sums.upper, g, above),
        add_row(sums.middle, g, here),
        add_row(sums.lower, g, below),
    );
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

// Adds up the phases and writes this chunk's row of partial sums: input channel i, output channels from o on.
fn finish(sums: Sums, phase: u32, owner: u32, chunk: u32, i: u32, o: u32) {
    var all = sums;
    for (var giver = 1u; giver < PHASES; giver++) {
        workgroupBarrier(); // the tile, or the phase before, has been read
        if phase == giver {
            give(0u, owner, all.q0);
            if QUADS > 1u {
                give(1u, owner, all.q1);
            }
            if QUADS > 2u {
                give(2u, owner, all.q2);
                give(3u, owner, all.q3);
            }
        }
        workgroupBarrier();
        if phase == 0u {
            all.q0 = with_given(0u, owner, all.q0);
            if QUADS > 1u {
                all.q1 = with_given(1u, owner, all.q1);
            }
            if QUADS > 2u {
                all.q2 = with_given(2u, owner, all.q2);
                all.q3 = with_given(3u, owner, all.q3);
            }
        }
    }

    if phase > 0u || i >= params.c_in {
        return;
    }
    write_quad(chunk, i, o, all.q0);
    if QUADS > 1u {
        write_quad(chunk, i, o + 4u, all.q1);
    }
    if QUADS > 2u {
        write_quad(chunk, i, o + 8u, all.q2);
        write_quad(chunk, i, o + 12u, all.q3);
    }
}

// The tile holds nine vectors of every quad and owner now.
fn give(quad: u32, owner: u32, sums: QuadSums) {
    give_row(9u * quad, owner, sums.upper);
    give_row(9u * quad + 3u, owner, sums.middle);
    give_row(9u * quad + 6u, owner, sums.lower);
}

fn give_row(first: u32, owner: u32, taps: mat3x4<f32>) {
    tile[first * OWNERS + owner] = taps[0];
    tile[(first + 1u) * OWNERS + owner] = taps[1];
    tile[(first + 2u) * OWNERS + owner] = taps[2];
}

fn with_given(quad: u32, owner: u32, sums: QuadSums) -> QuadSums {
    return QuadSums(
        sums.upper + given_row(9u * quad, owner),
        sums.middle + given_row(9u * quad + 3u, owner),
        sums.lower + given_row(9u * quad + 6u, owner),
    );
}

fn given_row(first: u32, owner: u32) -> mat3x4<f32> {
    let at = first * OWNERS + owner;
    return mat3x4(tile[at], tile[at + OWNERS], tile[at + 2u * OWNERS]);
}

fn write_quad(chunk: u32, i: u32, o: u32, sums: QuadSums) {
    let upper = transpose(sums.upper);
    let middle = transpose(sums.middle);
    let lower = transpose(sums.lower);
    for (var k = 0u; k < 4u; k++) {
        if o + k < params.c_out {
            let at = params.first_partial + ((chunk * params.c_out + o + k) * params.c_in + i) * 9u;
            store(at, upper[k]);
            store(at + 3u, middle[k]);
            store(at + 6u, lower[k]);
        }
    }
}

fn store(at: u32, taps: vec3<f32>) {
    partial[at] = taps.x;
    partial[at + 1u] = taps.y;
    partial[at + 2u] = taps.z;
}
