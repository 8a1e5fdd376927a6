// Backward of ReLU(batch norm(z)), third part, in place: ∂L/∂z = scale·(g - Σg/n - ẑ·Σgẑ/n), where g is the
// gradient that passes the ReLU. One invocation per value.

struct Params {
    batch: u32,
    channels: u32,
    cells: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> z: array<f32>; // [batch, channels, cells]
@group(0) @binding(2) var<storage, read> norm: array<vec4<f32>>; // [channels]
@group(0) @binding(3) var<storage, read> means: array<vec2<f32>>; // [channels]
@group(0) @binding(4) var<storage, read_write> gradient: array<f32>; // ∂L/∂activation in, ∂L/∂z out

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = flat_index(workgroup, workgroups, local, WORKGROUP);
    if i >= params.batch * params.channels * params.cells {
        return;
    }
    let channel = i / params.cells % params.channels;
    let channel_norm = norm[channel];
    let value = z[i];
    let g = select(0.0, gradient[i], pre_activation(value, channel_norm) > 0.0);
    gradient[i] = channel_norm.z * (g - means[channel].x - standardise(value, channel_norm) * means[channel].y);
}
