// Backward of 2×2 max-pooling: adds each pooled gradient to the cell where the activation had its maximum, the first
// one in row-major order on ties (SPEC 5). The skip connection's share is there already, so this completes
// ∂L/∂activation; what the ReLU lets pass is stored, with Σg and Σg·ẑ of one chunk for the batch norm.
// One workgroup per (chunk, channel); an invocation owns two quads, one above the other, and the two pooled cells.

struct Params {
    batch: u32,
    channels: u32,
    nx: u32, // of the pooled grid
    ny: u32,
    chunk: u32, // pairs of quads
    chunks: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> z: array<stored4>; // [batch, channels, 2·nx, fine row/4]
@group(0) @binding(2) var<storage, read> norm: array<vec4<f32>>; // [channels, 2]
@group(0) @binding(3) var<storage, read> pooled_gradient: array<stored>; // [batch, channels, nx, row]
@group(0) @binding(4) var<storage, read_write> gradient: array<stored4>; // as z; the skip's share in, g out
@group(0) @binding(5) var<storage, read_write> sums: array<vec2<f32>>; // [channels, chunks]

// What of `pooled` belongs to each of the four cells in row-major order.
fn route(cells: vec4<f32>, pooled: f32) -> vec4<f32> {
    var best = 0u;
    var highest = cells.x;
    for (var k = 1u; k < 4u; k++) {
        if cells[k] > highest {
            highest = cells[k];
            best = k;
        }
    }
    return select(vec4(0.0), vec4(pooled), vec4(0u, 1u, 2u, 3u) == vec4(best));
}

fn pass_relu(at: u32, added: vec4<f32>, channel_norm: vec4<f32>) -> vec2<f32> {
    let value = unpack(z[at]);
    let passed = (pre_activation(value, channel_norm) > vec4(0.0)) & inside(2u * params.ny);
    let kept = pack_gradient(select(vec4(0.0), unpack_gradient(gradient[at]) + added, passed));
    gradient[at] = kept;
    let g = unpack_gradient(kept);
    return vec2(dot(g, vec4(1.0)), dot(g, standardise(value, channel_norm)));
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) local: u32) {
    let channel = workgroup.y;
    let channel_norm = norm[2u * channel];
    let fine_quads = row_cells(2u * params.ny) / 4u;
    let per_sample = params.nx * fine_quads;
    var own = vec2(0.0);
    let end = min((workgroup.x + 1u) * params.chunk, params.batch * per_sample);
    for (var i = workgroup.x * params.chunk + local; i < end; i += WORKGROUP) {
        let plane = i / per_sample * params.channels + channel;
        let x = i / fine_quads % params.nx;
        let y = i % fine_quads * 4u;
        let upper = quad_at(plane, 2u * x, y, 2u * params.nx, 2u * params.ny);
        let lower = upper + fine_quads;
        let first = (plane * params.nx + x) * row_cells(params.ny) + y / 2u;
        let pooled = stored4(pooled_gradient[first], pooled_gradient[first + 1u], stored(), stored());
        let incoming = unpack_gradient(pooled);
        let above = activate(unpack(z[upper]), channel_norm);
        let below = activate(unpack(z[lower]), channel_norm);
        let left = route(vec4(above.xy, below.xy), incoming.x);
        let right = route(vec4(above.zw, below.zw), incoming.y);
        own += pass_relu(upper, vec4(left.xy, right.xy), channel_norm);
        own += pass_relu(lower, vec4(left.zw, right.zw), channel_norm);
    }
    let g = workgroup_sum(local, own.x);
    let gz = workgroup_sum(local, own.y);
    if local == 0u {
        sums[channel * params.chunks + workgroup.x] = vec2(g, gz);
    }
}
