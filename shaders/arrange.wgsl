// Copies the weights of all 3×3 convolutions into the order in which their kernels read them, with zeros where
// channels are padded. One invocation per arranged number.

struct Params {
    count: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> sources: array<u32>; // [count], 0xffffffff: zero
@group(0) @binding(2) var<storage, read> weights: array<f32>; // the flat parameters
@group(0) @binding(3) var<storage, read_write> arranged: array<f32>; // [count]

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = flat_index(workgroup, workgroups, local, WORKGROUP);
    if i >= params.count {
        return;
    }
    if sources[i] == 0xffffffffu {
        arranged[i] = 0.0;
    } else {
        arranged[i] = weights[sources[i]];
    }
}
