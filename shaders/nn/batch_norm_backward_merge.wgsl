//! needs lib/reduce

// Backward of activation(batch norm(z)): adds up the sums that whoever made g has left, and hands Σg and Σg·ẑ
// to conclude() (batch_norm/): ∂L/∂β and ∂L/∂γ but for the last layer's weight. Two kernels make g of a layer
// that is pooled and a skip connection. One workgroup per channel.

@group(0) @binding(1) var<storage, read> sums: array<vec2<f32>>; // [channels, chunks]
@group(0) @binding(2) var<storage, read> pooled_sums: array<vec2<f32>>; // [channels, pooled_chunks]
@group(0) @binding(3) var<storage, read> weights: array<f32>; // the flat parameters

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
        conclude(channel, weight, total);
    }
}
