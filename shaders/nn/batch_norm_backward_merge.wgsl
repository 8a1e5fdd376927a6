//! needs lib/reduce

// Backward of activation(batch norm(z)): adds up the sums that whoever made g has left. ∂L/∂β = Σg, ∂L/∂γ =
// Σg·ẑ, and ∂L/∂z = scale·(g - Σg/n - ẑ·Σgẑ/n) as one vector for those who make it (gradient/). Two kernels
// make g of a layer that is pooled and a skip connection. One workgroup per channel.

struct Params {
    chunks: u32,
    pooled_chunks: u32, // 0: the layer is not pooled
    gamma_offset: u32,
    beta_offset: u32,
    // Offset of the 1×1 convolution's weights, which the last layer's g lacks; 0xffffffff: none
    output_weight: u32,
    count: f32, // values per channel: batch·cells
    first_norm: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> sums: array<vec2<f32>>; // [channels, chunks]
@group(0) @binding(2) var<storage, read> pooled_sums: array<vec2<f32>>; // [channels, pooled_chunks]
@group(0) @binding(3) var<storage, read> weights: array<f32>; // the flat parameters
@group(0) @binding(4) var<storage, read_write> gradients: array<f32>; // the flat parameter gradients
// [all channels, 2], the second is written
@group(0) @binding(5) var<storage, read_write> norms: array<vec4<f32>>;

const ABREAST = 4u; // chunks whose loads are in flight at once

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) local: u32) {
    let channel = workgroup.x;
    var own = vec2(0.0);
    for (var start = local; start < params.chunks; start += ABREAST * WORKGROUP) {
        for (var k = 0u; k < ABREAST; k++) {
            let chunk = start + k * WORKGROUP;
            let found = sums[channel * params.chunks + min(chunk, params.chunks - 1u)];
            own += select(vec2(0.0), found, chunk < params.chunks);
        }
    }
    for (var chunk = local; chunk < params.pooled_chunks; chunk += WORKGROUP) {
        own += pooled_sums[channel * params.pooled_chunks + chunk];
    }
    let total = workgroup_sum(local, own);
    if local == 0u {
        var weight = 1.0;
        if params.output_weight != 0xffffffffu {
            weight = weights[params.output_weight + channel];
        }
        let g = weight * total.x;
        let gz = weight * total.y;
        gradients[params.beta_offset + channel] = g;
        gradients[params.gamma_offset + channel] = gz;
        let at = 2u * (params.first_norm + channel);
        let forward = norms[at];
        let scale = forward.z / params.count;
        norms[at + 1u] = vec4(forward.z * weight, forward.x, -scale * g, -scale * forward.y * gz);
    }
}
