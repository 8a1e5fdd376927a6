//! needs lib/grid

// Copies the weights of all 3×3 convolutions into the order in which their kernels read them, with zeros
// where channels are padded. Behind them go the pivots of the channels of z, where the storage of z has
// pivots: what the mean of z is expected to be, the running mean (which includes the convolution's bias)
// minus that bias. Both are in checkpoints, so a resumed run has the same pivots. One invocation per packed
// number.

struct Params {
    weights: u32,
    pivots: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
// [weights], of biases [pivots], of means [pivots]; 0xffffffff: zero
@group(0) @binding(1) var<storage, read> places: array<u32>;
@group(0) @binding(2) var<storage, read> weights: array<f32>; // the flat parameters
@group(0) @binding(3) var<storage, read> running: array<f32>; // the flat running statistics
@group(0) @binding(4) var<storage, read_write> packed: array<f32>; // [weights + pivots]

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = flat_index(workgroup, workgroups, local, WORKGROUP);
    if i >= params.weights + params.pivots {
        return;
    }
    if places[i] == 0xffffffffu {
        packed[i] = 0.0;
    } else if i < params.weights {
        packed[i] = weights[places[i]];
    } else {
        packed[i] = running[places[i + params.pivots]] - weights[places[i]];
    }
}
