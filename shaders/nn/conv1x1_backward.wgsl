//! needs lib/norm lib/norms lib/quads lib/reduce

// Backward of o = b + Σ_c w_c·a_c with a_c = activation(batch norm(z_c)), from g = ∂L/∂o: one sample's share
// of ∂L/∂w_c = Σ g·a_c and ∂L/∂b = Σ g, and for the batch norm Σg and Σg·ẑ behind the activation, still
// without the factor w_c. The activation is ReLU or the identity: g·a(x) is ∂L/∂x·x for these. One workgroup
// per (sample, channel); those of the channel after the last add up the bias.

struct Params {
    batch: u32,
    nx: u32,
    ny: u32,
    channels: u32,
    first_norm: u32,
    first_share: u32, // where the shares start
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> output_gradient: array<vec4<f32>>; // g [batch, nx, row/4]
@group(0) @binding(2) var<storage, read> z: array<stored4>; // [batch, channels, nx, row/4]
@group(0) @binding(3) var<storage, read_write> shares: array<f32>; // from there on [batch, channels + 1]
@group(0) @binding(4) var<storage, read_write> sums: array<vec2<f32>>; // [channels, batch]

const ABREAST = 4u; // quads whose loads are in flight at once

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) local: u32) {
    let n = workgroup.x;
    let c = workgroup.y;
    let quads = params.nx * row_cells(params.ny) / 4u;
    var share = 0.0;
    var own = vec2(0.0);
    let known = min(c, params.channels - 1u);
    let plane = (n * params.channels + known) * quads;
    let channel_norm = forward_norm(params.first_norm + known);
    for (var start = local; start < quads; start += ABREAST * WORKGROUP) {
        for (var k = 0u; k < ABREAST; k++) {
            let i = start + k * WORKGROUP;
            let at = min(i, quads - 1u);
            let g = select(vec4(0.0), output_gradient[n * quads + at], inside(params.ny) & vec4(i < quads));
            let value = unpack(z[plane + at]);
            let before = pre_activation(value, channel_norm);
            let passed = activate_backward(before, g);
            share += select(dot(g, vec4(1.0)), dot(passed, before), c < params.channels);
            own += vec2(dot(passed, vec4(1.0)), dot(passed, standardise(value, channel_norm)));
        }
    }
    let total = workgroup_sum(local, vec2(share, 0.0)).x;
    let sums_of_g = workgroup_sum(local, own);
    if local == 0u {
        shares[params.first_share + n * (params.channels + 1u) + c] = total;
        if c < params.channels {
            sums[c * params.batch + n] = sums_of_g;
        }
    }
}
