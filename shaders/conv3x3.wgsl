// 3×3 convolution: out[n,o,x,y] = Σ_{i,kx,ky} w[o,i,kx,ky]·in[n,i,x+kx-1,y+ky-1] (SPEC 5), no bias.
// With flipped, transposed weights the same kernel is the adjoint, the gradient of the input. Beyond the border
// lies the opposite side, or zero where ZERO_PADDING is 1.
//
// A workgroup computes 4·QUADS output channels on TILE_N samples' TILE_X × TILE_Y pixels. Each invocation owns
// four pixels along y and all those channels: per input channel 18 inputs and 9·QUADS weight vectors from
// workgroup memory feed 144·QUADS multiply-adds in registers. Input arrives CHANNELS channels at a time.

struct Params {
    batch: u32,
    nx: u32,
    ny: u32,
    c_in: u32,
    c_out: u32,
    skip_channels: u32, // of the source skip_up
    split: u32, // output channels from here on go to `second`
    weight_offset: u32,
    weight_stride_out: u32, // from one output channel's weights to the next
    weight_stride_in: u32, // from one input channel's weights to the next
    flip: u32, // 1: taps in reverse order
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> weights: array<f32>; // the flat parameters
@group(0) @binding(2) var<storage, read_write> first: array<f32>; // [batch, split, nx, ny]
@group(0) @binding(3) var<storage, read_write> second: array<f32>; // [batch, c_out - split, nx, ny]

const PADDED_Y: u32 = TILE_Y + 2u;
const PLANE: u32 = (TILE_X + 2u) * PADDED_Y;
const STRIPS_Y: u32 = TILE_Y / 4u;
const WORKGROUP: u32 = TILE_N * TILE_X * STRIPS_Y;

var<workgroup> tile: array<f32, CHANNELS * TILE_N * PLANE>; // [CHANNELS, TILE_N, TILE_X + 2, TILE_Y + 2]
var<workgroup> taps: array<vec4<f32>, CHANNELS * 9u * QUADS>; // [CHANNELS, 3, 3, QUADS]

fn weight(o: u32, i: u32, tap: u32) -> f32 {
    if o >= params.c_out || i >= params.c_in {
        return 0.0;
    }
    let at = select(tap, 8u - tap, params.flip == 1u);
    return weights[params.weight_offset + o * params.weight_stride_out + i * params.weight_stride_in + at];
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

fn store(n: u32, o: u32, x: u32, y: u32, pixels: vec4<f32>) {
    if o >= params.c_out {
        return;
    }
    for (var p = 0u; p < min(4u, params.ny - y); p++) {
        if o < params.split {
            first[((n * params.split + o) * params.nx + x) * params.ny + y + p] = pixels[p];
        } else {
            let channels = params.c_out - params.split;
            second[((n * channels + o - params.split) * params.nx + x) * params.ny + y + p] = pixels[p];
        }
    }
}

fn store_quad(n: u32, o: u32, x: u32, y: u32, sum: mat4x4<f32>) {
    let by_channel = transpose(sum);
    store(n, o, x, y, by_channel[0]);
    store(n, o + 1u, x, y, by_channel[1]);
    store(n, o + 2u, x, y, by_channel[2]);
    store(n, o + 3u, x, y, by_channel[3]);
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) local: u32) {
    let tiles_y = max(params.ny / TILE_Y, 1u);
    let x0 = workgroup.x / tiles_y * TILE_X;
    let y0 = workgroup.x % tiles_y * TILE_Y;
    let n0 = workgroup.y * TILE_N;
    let o0 = workgroup.z * 4u * QUADS;

    let strip_y = local % STRIPS_Y * 4u;
    let strip_x = local / STRIPS_Y % TILE_X;
    let strip_n = local / (STRIPS_Y * TILE_X);

    var sum0 = mat4x4<f32>();
    var sum1 = mat4x4<f32>();
    var sum2 = mat4x4<f32>();
    var sum3 = mat4x4<f32>();

    for (var i0 = 0u; i0 < params.c_in; i0 += CHANNELS) {
        workgroupBarrier();
        for (var at = local; at < CHANNELS * TILE_N * PLANE; at += WORKGROUP) {
            let i = i0 + at / (TILE_N * PLANE);
            let n = n0 + at / PLANE % TILE_N;
            var value = 0.0;
            if i < params.c_in && n < params.batch {
                // One grid ahead, so that the cell before the first does not fall below zero; sides are powers of
                // two. Tiles may be wider than the grid.
                let x = x0 + at / PADDED_Y % (TILE_X + 2u) + params.nx - 1u;
                let y = y0 + at % PADDED_Y + params.ny - 1u;
                if ZERO_PADDING == 0u || (x - params.nx < params.nx && y - params.ny < params.ny) {
                    value = load(n, i, x & (params.nx - 1u), y & (params.ny - 1u));
                }
            }
            tile[at] = value;
        }
        for (var at = local; at < CHANNELS * 9u * QUADS; at += WORKGROUP) {
            let i = i0 + at / (9u * QUADS);
            let tap = at / QUADS % 9u;
            let o = o0 + at % QUADS * 4u;
            taps[at] = vec4(weight(o, i, tap), weight(o + 1u, i, tap), weight(o + 2u, i, tap), weight(o + 3u, i, tap));
        }
        workgroupBarrier();

        for (var i = 0u; i < CHANNELS; i++) {
            for (var kx = 0u; kx < 3u; kx++) {
                let row = ((i * TILE_N + strip_n) * (TILE_X + 2u) + strip_x + kx) * PADDED_Y + strip_y;
                let left = vec4(tile[row], tile[row + 1u], tile[row + 2u], tile[row + 3u]);
                let right = vec2(tile[row + 4u], tile[row + 5u]);
                let middle = vec4(left.yzw, right.x);
                let last = vec4(left.zw, right);
                let w = (i * 3u + kx) * 3u * QUADS;
                sum0 = accumulate(sum0, taps[w], left);
                sum0 = accumulate(sum0, taps[w + QUADS], middle);
                sum0 = accumulate(sum0, taps[w + 2u * QUADS], last);
                if QUADS > 1u {
                    sum1 = accumulate(sum1, taps[w + 1u], left);
                    sum1 = accumulate(sum1, taps[w + QUADS + 1u], middle);
                    sum1 = accumulate(sum1, taps[w + 2u * QUADS + 1u], last);
                }
                if QUADS > 2u {
                    sum2 = accumulate(sum2, taps[w + 2u], left);
                    sum2 = accumulate(sum2, taps[w + QUADS + 2u], middle);
                    sum2 = accumulate(sum2, taps[w + 2u * QUADS + 2u], last);
                    sum3 = accumulate(sum3, taps[w + 3u], left);
                    sum3 = accumulate(sum3, taps[w + QUADS + 3u], middle);
                    sum3 = accumulate(sum3, taps[w + 2u * QUADS + 3u], last);
                }
            }
        }
    }

    let n = n0 + strip_n;
    let x = x0 + strip_x;
    let y = y0 + strip_y;
    if n >= params.batch || x >= params.nx || y >= params.ny {
        return;
    }
    store_quad(n, o0, x, y, sum0);
    if QUADS > 1u {
        store_quad(n, o0 + 4u, x, y, sum1);
    }
    if QUADS > 2u {
        store_quad(n, o0 + 8u, x, y, sum2);
        store_quad(n, o0 + 12u, x, y, sum3);
    }
}
