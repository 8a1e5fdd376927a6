//! needs lib/norm lib/norms lib/quads lib/reduce

// Adjoint of bilinear ×2 upsampling with clamped border (method §5). Along each axis coarse cell i fed the
// fine cells 2i-1, 2i, 2i+1, 2i+2 with weights ¼, ¾, ¾, ¼; those beyond the border fall on it. What passes
// the coarse layer's activation is stored, with Σg and Σg·ẑ of one chunk for its batch norm. One workgroup
// per (chunk, channel); an invocation owns a coarse quad.

struct Params {
    batch: u32,
    channels: u32,
    nx: u32, // of the coarse grid
    ny: u32,
    chunk: u32, // quads
    chunks: u32,
    first_norm: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> fine_gradient: array<stored4>; // [batch, channels, 2·nx, fine row/4]
@group(0) @binding(2) var<storage, read> z: array<stored4>; // [batch, channels, nx, row/4]
@group(0) @binding(3) var<storage, read_write> gradient: array<stored4>; // as z
@group(0) @binding(4) var<storage, read_write> sums: array<vec2<f32>>; // [channels, chunks]

fn fine_rows(x: u32) -> vec4<u32> {
    let fine = 2u * x;
    return vec4(max(fine, 1u) - 1u, fine, fine + 1u, min(fine + 2u, 2u * params.nx - 1u));
}

const WEIGHTS: vec4<f32> = vec4(0.25, 0.75, 0.75, 0.25);

// The coarse quad (x, y) of a plane of fine gradients: along x its four rows become one, ten cells of it
// along y four.
fn coarse_quad(plane: u32, x: u32, y: u32) -> vec4<f32> {
    let nx = 2u * params.nx;
    let ny = 2u * params.ny;
    let rows = fine_rows(x);
    // Beyond the border the nearest cell; what a row of fewer than eight cells makes of the second quad is
    // mended below.
    let last = row_cells(ny) - 4u;
    let second_y = min(2u * y + 4u, last);
    let y_before = max(2u * y, 4u) - 4u;
    let y_after = min(2u * y + 8u, last);
    var first = vec4(0.0);
    var second = vec4(0.0);
    var ends = vec4(0.0);
    for (var k = 0u; k < 4u; k++) {
        let row = rows[k];
        let near = unpack_gradient(fine_gradient[quad_at(plane, row, 2u * y, nx, ny)]);
        first = fma(vec4(WEIGHTS[k]), near, first);
        let far = unpack_gradient(fine_gradient[quad_at(plane, row, second_y, nx, ny)]);
        second = fma(vec4(WEIGHTS[k]), far, second);
        let before = fine_gradient[quad_at(plane, row, y_before, nx, ny)].w;
        let after = fine_gradient[quad_at(plane, row, y_after, nx, ny)].x;
        ends = fma(vec4(WEIGHTS[k]), unpack_gradient(stored4(before, before, after, after)), ends);
    }
    if ny == 2u {
        first = first.xyyy;
    }
    if ny <= 4u {
        second = first.wwww;
    }
    let before = select(ends.x, first.x, y == 0u);
    let after = select(ends.z, second.w, 2u * y + 8u >= ny);
    return fma(vec4(0.25), vec4(before, first.y, first.w, second.y), 0.75 * vec4(first.xz, second.xz))
        + fma(vec4(0.25), vec4(first.z, second.x, second.z, after), 0.75 * vec4(first.yw, second.yw));
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) local: u32) {
    let channel = workgroup.y;
    let channel_norm = forward_norm(params.first_norm + channel);
    let row_quads = row_cells(params.ny) / 4u;
    let per_sample = params.nx * row_quads;
    var own = vec2(0.0);
    let end = min((workgroup.x + 1u) * params.chunk, params.batch * per_sample);
    for (var i = workgroup.x * params.chunk + local; i < end; i += WORKGROUP) {
        let plane = i / per_sample * params.channels + channel;
        let x = i / row_quads % params.nx;
        let y = i % row_quads * 4u;
        let incoming = select(vec4(0.0), coarse_quad(plane, x, y), inside(params.ny));
        let at = quad_at(plane, x, y, params.nx, params.ny);
        let value = unpack(z[at]);
        let kept = pack_gradient(activate_backward(pre_activation(value, channel_norm), incoming));
        gradient[at] = kept;
        let g = unpack_gradient(kept);
        own += vec2(dot(g, vec4(1.0)), dot(g, standardise(value, channel_norm)));
    }
    let total = workgroup_sum(local, own);
    if local == 0u {
        sums[channel * params.chunks + workgroup.x] = total;
    }
}
