// Weight gradient of the 3×3 convolution: dw[o,i,kx,ky] = Σ_{n,x,y} g[n,o,x,y]·in[n,i,x+kx-1,y+ky-1].
// Beyond the border lies the opposite side, or zero where ZERO_PADDING is 1.
//
// A workgroup takes 4·QUADS output and CHANNELS input channels and one chunk of tiles, TILE_N samples of
// TILE_X × TILE_Y pixels each. An invocation owns one input channel, four output channels, all nine taps, and
// the tile rows congruent to its phase modulo PHASES; it slides along y with a 3×3 window in registers. Every
// (chunk, phase) writes a row of partial sums; sum_rows adds the rows in fixed order.

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
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> gradient: array<f32>; // [batch, c_out, nx, ny]
@group(0) @binding(2) var<storage, read_write> partial: array<f32>; // [chunks·PHASES, c_out, c_in, 3, 3]

const PADDED_Y: u32 = TILE_Y + 2u;
const PLANE: u32 = (TILE_X + 2u) * PADDED_Y;
const PIXELS: u32 = TILE_N * TILE_X * TILE_Y;
const WORKGROUP: u32 = CHANNELS * QUADS * PHASES;
// One more than a multiple of two, so that neighbouring channels lie in different memory banks.
const CHANNEL_STRIDE: u32 = (TILE_N * PLANE) | 1u;

var<workgroup> tile: array<f32, CHANNELS * CHANNEL_STRIDE>; // [CHANNELS, TILE_N, TILE_X + 2, TILE_Y + 2]
var<workgroup> gradients: array<vec4<f32>, PIXELS * QUADS>; // [TILE_N, TILE_X, TILE_Y, QUADS]

fn gradient_at(n: u32, o: u32, x: u32, y: u32) -> f32 {
    if n >= params.batch || o >= params.c_out || x >= params.nx || y >= params.ny {
        return 0.0;
    }
    return gradient[((n * params.c_out + o) * params.nx + x) * params.ny + y];
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) local: u32) {
    let i0 = workgroup.y % params.input_blocks * CHANNELS;
    let o0 = workgroup.y / params.input_blocks * 4u * QUADS;
    let channel = local % CHANNELS;
    let quad = local / CHANNELS % QUADS;
    let phase = local / (CHANNELS * QUADS);

    let tiles_y = max(params.ny / TILE_Y, 1u);
    let tiles_per_sample = max(params.nx / TILE_X, 1u) * tiles_y;
    var d00 = vec4(0.0);
    var d01 = vec4(0.0);
    var d02 = vec4(0.0);
    var d10 = vec4(0.0);
    var d11 = vec4(0.0);
    var d12 = vec4(0.0);
    var d20 = vec4(0.0);
    var d21 = vec4(0.0);
    var d22 = vec4(0.0);

    let first_tile = workgroup.x * params.tiles_per_chunk;
    for (var t = first_tile; t < min(first_tile + params.tiles_per_chunk, params.tiles); t++) {
        let n0 = t / tiles_per_sample * TILE_N;
        let x0 = t % tiles_per_sample / tiles_y * TILE_X;
        let y0 = t % tiles_y * TILE_Y;
        workgroupBarrier();
        for (var at = local; at < CHANNELS * TILE_N * PLANE; at += WORKGROUP) {
            let c = at / (TILE_N * PLANE);
            let within = at % (TILE_N * PLANE);
            let n = n0 + within / PLANE;
            var value = 0.0;
            if i0 + c < params.c_in && n < params.batch {
                // One grid ahead, so that the cell before the first does not fall below zero.
                let x = x0 + within / PADDED_Y % (TILE_X + 2u) + params.nx - 1u;
                let y = y0 + within % PADDED_Y + params.ny - 1u;
                if ZERO_PADDING == 0u || (x - params.nx < params.nx && y - params.ny < params.ny) {
                    value = load(n, i0 + c, x & (params.nx - 1u), y & (params.ny - 1u));
                }
            }
            tile[c * CHANNEL_STRIDE + within] = value;
        }
        for (var at = local; at < PIXELS * QUADS; at += WORKGROUP) {
            let pixel = at % PIXELS;
            let o = o0 + at / PIXELS * 4u;
            let n = n0 + pixel / (TILE_X * TILE_Y);
            let x = x0 + pixel / TILE_Y % TILE_X;
            let y = y0 + pixel % TILE_Y;
            gradients[pixel * QUADS + at / PIXELS] = vec4(
                gradient_at(n, o, x, y),
                gradient_at(n, o + 1u, x, y),
                gradient_at(n, o + 2u, x, y),
                gradient_at(n, o + 3u, x, y),
            );
        }
        workgroupBarrier();

        for (var row = phase; row < TILE_N * TILE_X; row += PHASES) {
            let padded_row = row / TILE_X * (TILE_X + 2u) + row % TILE_X;
            let at = channel * CHANNEL_STRIDE + padded_row * PADDED_Y;
            var left = vec3(tile[at], tile[at + PADDED_Y], tile[at + 2u * PADDED_Y]);
            var middle = vec3(tile[at + 1u], tile[at + PADDED_Y + 1u], tile[at + 2u * PADDED_Y + 1u]);
            for (var y = 0u; y < TILE_Y; y++) {
                let column = at + y + 2u;
                let right = vec3(tile[column], tile[column + PADDED_Y], tile[column + 2u * PADDED_Y]);
                let g = gradients[(row * TILE_Y + y) * QUADS + quad];
                d00 = fma(g, vec4(left.x), d00);
                d01 = fma(g, vec4(middle.x), d01);
                d02 = fma(g, vec4(right.x), d02);
                d10 = fma(g, vec4(left.y), d10);
                d11 = fma(g, vec4(middle.y), d11);
                d12 = fma(g, vec4(right.y), d12);
                d20 = fma(g, vec4(left.z), d20);
                d21 = fma(g, vec4(middle.z), d21);
                d22 = fma(g, vec4(right.z), d22);
                left = middle;
                middle = right;
            }
        }
    }

    let i = i0 + channel;
    if i >= params.c_in {
        return;
    }
    let part = (workgroup.x * PHASES + phase) * params.c_out;
    for (var k = 0u; k < 4u; k++) {
        let o = o0 + 4u * quad + k;
        if o < params.c_out {
            let at = ((part + o) * params.c_in + i) * 9u;
            partial[at] = d00[k];
            partial[at + 1u] = d01[k];
            partial[at + 2u] = d02[k];
            partial[at + 3u] = d10[k];
            partial[at + 4u] = d11[k];
            partial[at + 5u] = d12[k];
            partial[at + 6u] = d20[k];
            partial[at + 7u] = d21[k];
            partial[at + 8u] = d22[k];
        }
    }
}
