//! needs lib/grid

// Adam over the flat buffers (method §6):
// m ← β1·m + (1-β1)·g, v ← β2·v + (1-β2)·g², θ ← θ - step_size·m/(√v·root_scale + ε).
// Does nothing once the guard has seen a loss that is not finite. One invocation per parameter.

struct Params {
    count: u32,
    beta1: f32,
    keep1: f32, // 1 - β1, rounded once
    beta2: f32,
    keep2: f32, // 1 - β2
    epsilon: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> schedule: array<f32>; // lr/(1-β1^t), 1/√(1-β2^t) of this step
@group(0) @binding(2) var<storage, read> frozen: array<u32>; // [1]
@group(0) @binding(3) var<storage, read> gradients: array<f32>;
@group(0) @binding(4) var<storage, read_write> weights: array<f32>;
@group(0) @binding(5) var<storage, read_write> first_moments: array<f32>;
@group(0) @binding(6) var<storage, read_write> second_moments: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = flat_index(workgroup, workgroups, local, WORKGROUP);
    if i >= params.count || frozen[0] != 0u {
        return;
    }
    let g = gradients[i];
    let m = params.beta1 * first_moments[i] + params.keep1 * g;
    let v = params.beta2 * second_moments[i] + params.keep2 * g * g;
    first_moments[i] = m;
    second_moments[i] = v;
    weights[i] -= schedule[0] * m / (sqrt(v) * schedule[1] + params.epsilon);
}
