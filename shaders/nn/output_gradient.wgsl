//! needs lib/grid lib/quads

// ∂L/∂a_c = w_c·g of what the 1×1 convolution o = b + Σ_c w_c·a_c has read, from g = ∂L/∂o. One invocation
// per quad.

struct Params {
    batch: u32,
    channels: u32,
    nx: u32,
    ny: u32,
    weight_offset: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> output_gradient: array<vec4<f32>>; // [batch, nx, row/4]
@group(0) @binding(2) var<storage, read> weights: array<f32>; // the flat parameters
@group(0) @binding(3) var<storage, read_write> gradient: array<stored4>; // [batch, channels, nx, row/4]

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = flat_index(workgroup, workgroups, local, WORKGROUP);
    let per_plane = params.nx * row_cells(params.ny) / 4u;
    if i >= params.batch * params.channels * per_plane {
        return;
    }
    let plane = i / per_plane;
    let output = output_gradient[plane / params.channels * per_plane + i % per_plane];
    gradient[i] = pack_gradient(weights[params.weight_offset + plane % params.channels] * output);
}
