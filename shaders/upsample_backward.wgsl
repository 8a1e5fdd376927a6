// Adjoint of bilinear ×2 upsampling with clamped border (SPEC 5). Along each axis coarse cell i fed the fine cells
// 2i-1, 2i, 2i+1, 2i+2 with weights ¼, ¾, ¾, ¼; those beyond the border fall on it. What passes the coarse
// layer's activation is stored, with Σg and Σg·ẑ of one chunk for its batch norm.
// One workgroup per (chunk, channel); an invocation owns a coarse quad.

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
@group(0) @binding(1) var<storage, read> fine_gradient: array<stored>; // [batch, channels, 2·nx, fine row]
@group(0) @binding(2) var<storage, read> z: array<stored4>; // [batch, channels, nx, row/4]
@group(0) @binding(3) var<storage, read_write> gradient: array<stored4>; // as z
@group(0) @binding(4) var<storage, read_write> sums: array<vec2<f32>>; // [channels, chunks]

fn fine_cells(coarse: u32, coarse_size: u32) -> vec4<u32> {
    let fine = 2u * coarse;
    return vec4(max(fine, 1u) - 1u, fine, fine + 1u, min(fine + 2u, 2u * coarse_size - 1u));
}

// The cell (x, y) of a coarse plane; `rows` are where its four fine rows start.
fn coarse_cell(rows: vec4<u32>, y: u32) -> f32 {
    let weights = vec4(0.25, 0.75, 0.75, 0.25);
    let columns = fine_cells(y, params.ny);
    var sum = 0.0;
    for (var k = 0u; k < 4u; k++) {
        let row = rows[k];
        let values = stored4(
            fine_gradient[row + columns.x],
            fine_gradient[row + columns.y],
            fine_gradient[row + columns.z],
            fine_gradient[row + columns.w],
        );
        sum += weights[k] * dot(weights, unpack_gradient(values));
    }
    return sum;
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
        let rows = (plane * 2u * params.nx + fine_cells(x, params.nx)) * row_cells(2u * params.ny);
        var incoming = vec4(0.0);
        for (var k = 0u; k < min(4u, params.ny); k++) {
            incoming[k] = coarse_cell(rows, y + k);
        }
        let at = quad_at(plane, x, y, params.nx, params.ny);
        let value = unpack(z[at]);
        let kept = pack_gradient(activate_backward(pre_activation(value, channel_norm), incoming));
        gradient[at] = kept;
        let g = unpack_gradient(kept);
        own += vec2(dot(g, vec4(1.0)), dot(g, standardise(value, channel_norm)));
    }
    let g = workgroup_sum(local, own.x);
    let gz = workgroup_sum(local, own.y);
    if local == 0u {
        sums[channel * params.chunks + workgroup.x] = vec2(g, gz);
    }
}
