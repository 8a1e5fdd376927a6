// Backward of o = b + Σ_c w_c·a_c: ∂L/∂a_c = w_c·g, and one sample's share of ∂L/∂w_c = Σ g·a_c and ∂L/∂b = Σ g.
// One workgroup per (sample, channel); the workgroups of the channel after the last add up the bias.

struct Params {
    batch: u32,
    nx: u32,
    ny: u32,
    c_in: u32,
    weight_offset: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> weights: array<f32>; // the flat parameters
@group(0) @binding(2) var<storage, read> output_gradient: array<f32>; // g [batch, nx, ny]
@group(0) @binding(3) var<storage, read_write> gradient: array<f32>; // ∂L/∂a [batch, c_in, nx, ny]
@group(0) @binding(4) var<storage, read_write> partial: array<f32>; // [batch, c_in + 1]

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) local: u32) {
    let n = workgroup.x;
    let c = workgroup.y;
    let cells = params.nx * params.ny;
    var sum = 0.0;
    for (var i = local; i < cells; i += WORKGROUP) {
        let g = output_gradient[n * cells + i];
        if c < params.c_in {
            gradient[(n * params.c_in + c) * cells + i] = weights[params.weight_offset + c] * g;
            sum += g * load(n, c, i / params.ny, i % params.ny);
        } else {
            sum += g;
        }
    }
    let total = workgroup_sum(local, sum);
    if local == 0u {
        partial[n * (params.c_in + 1u) + c] = total;
    }
}
