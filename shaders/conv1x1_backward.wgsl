// Backward of o = b + Σ_c w_c·a_c with a_c = activation(batch norm(z_c)), from g = ∂L/∂o: one sample's share of
// ∂L/∂w_c = Σ g·a_c and ∂L/∂b = Σ g, and for the batch norm Σg and Σg·ẑ behind the activation, still without the factor
// w_c. The activation is ReLU or the identity: g·a(x) is ∂L/∂x·x for these. One workgroup per (sample, channel); those of the channel after the last add up the bias.

struct Params {
    batch: u32,
    nx: u32,
    ny: u32,
    channels: u32,
    first_norm: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> output_gradient: array<vec4<f32>>; // g [batch, nx, row/4]
@group(0) @binding(2) var<storage, read> z: array<stored4>; // [batch, channels, nx, row/4]
@group(0) @binding(3) var<storage, read_write> shares: array<f32>; // [batch, channels + 1]
@group(0) @binding(4) var<storage, read_write> sums: array<vec2<f32>>; // [channels, batch]

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) local: u32) {
    let n = workgroup.x;
    let c = workgroup.y;
    let quads = params.nx * row_cells(params.ny) / 4u;
    var share = 0.0;
    var own = vec2(0.0);
    for (var i = local; i < quads; i += WORKGROUP) {
        let g = select(vec4(0.0), output_gradient[n * quads + i], inside(params.ny));
        if c < params.channels {
            let channel_norm = forward_norm(params.first_norm + c);
            let value = unpack(z[(n * params.channels + c) * quads + i]);
            let before = pre_activation(value, channel_norm);
            let passed = activate_backward(before, g);
            share += dot(passed, before);
            own += vec2(dot(passed, vec4(1.0)), dot(passed, standardise(value, channel_norm)));
        } else {
            share += dot(g, vec4(1.0));
        }
    }
    let total = workgroup_sum(local, share);
    let g_sum = workgroup_sum(local, own.x);
    let gz_sum = workgroup_sum(local, own.y);
    if local == 0u {
        shares[n * (params.channels + 1u) + c] = total;
        if c < params.channels {
            sums[c * params.batch + n] = vec2(g_sum, gz_sum);
        }
    }
}
