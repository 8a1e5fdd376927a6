//! needs lib/reduce

// Backward of a layer without batch norm: ∂L/∂b = Σg from the sums that whoever made g has left, and ∂L/∂z =
// g as the vector that gradient/ reads. The twin of batch_norm_backward_merge. One workgroup per channel.

struct Params {
    chunks: u32,
    pooled_chunks: u32, // 0: the layer is not pooled
    bias_offset: u32,
    // Offset of the 1×1 convolution's weights, which the last layer's g lacks; 0xffffffff: none
    output_weight: u32,
    first_norm: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
// [channels, chunks]: Σg, and Σg·z, which has no use here
@group(0) @binding(1) var<storage, read> sums: array<vec2<f32>>;
@group(0) @binding(2) var<storage, read> pooled_sums: array<vec2<f32>>; // [channels, pooled_chunks]
@group(0) @binding(3) var<storage, read> weights: array<f32>; // the flat parameters
@group(0) @binding(4) var<storage, read_write> gradients: array<f32>; // the flat parameter gradients
// [all channels, 2], the second is written
@group(0) @binding(5) var<storage, read_write> norms: array<vec4<f32>>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) local: u32) {
    let channel = workgroup.x;
    var own = 0.0;
    for (var chunk = local; chunk < params.chunks; chunk += WORKGROUP) {
        own += sums[channel * params.chunks + chunk].x;
    }
    for (var chunk = local; chunk < params.pooled_chunks; chunk += WORKGROUP) {
        own += pooled_sums[channel * params.pooled_chunks + chunk].x;
    }
    let total = workgroup_sum(local, vec2(own, 0.0)).x;
    if local == 0u {
        var weight = 1.0;
        if params.output_weight != 0xffffffffu {
            weight = weights[params.output_weight + channel];
        }
        gradients[params.bias_offset + channel] = weight * total;
        norms[2u * (params.first_norm + channel) + 1u] = vec4(weight, 0.0, 0.0, 0.0);
    }
}
