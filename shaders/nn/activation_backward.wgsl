//! needs lib/norm lib/norms lib/quads lib/reduce

// ∂L/∂activation of a layer to g = ∂L/∂(the activation's argument), with Σg and Σg·ẑ of one chunk for its
// batch norm. One workgroup per (chunk, channel); an invocation owns a quad.

struct Params {
    batch: u32,
    channels: u32,
    nx: u32,
    ny: u32,
    chunk: u32, // quads
    chunks: u32,
    first_norm: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> incoming: array<stored4>; // [batch, channels, nx, row/4]
@group(0) @binding(2) var<storage, read> z: array<stored4>; // likewise
@group(0) @binding(3) var<storage, read_write> gradient: array<stored4>; // likewise
@group(0) @binding(4) var<storage, read_write> sums: array<vec2<f32>>; // [channels, chunks]

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) local: u32) {
    let channel = workgroup.y;
    let channel_norm = forward_norm(params.first_norm + channel);
    let per_sample = params.nx * row_cells(params.ny) / 4u;
    var own = vec2(0.0);
    let end = min((workgroup.x + 1u) * params.chunk, params.batch * per_sample);
    for (var i = workgroup.x * params.chunk + local; i < end; i += WORKGROUP) {
        let at = (i / per_sample * params.channels + channel) * per_sample + i % per_sample;
        let value = unpack(z[at]);
        let passed = activate_backward(pre_activation(value, channel_norm), unpack_gradient(incoming[at]));
        let kept = pack_gradient(select(vec4(0.0), passed, inside(params.ny)));
        gradient[at] = kept;
        let g = unpack_gradient(kept);
        own += vec2(dot(g, vec4(1.0)), dot(g, standardise(value, channel_norm)));
    }
    let total = workgroup_sum(local, own);
    if local == 0u {
        sums[channel * params.chunks + workgroup.x] = total;
    }
}
