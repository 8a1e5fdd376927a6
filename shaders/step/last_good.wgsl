//! needs lib/grid

// Keeps a copy of parameters and running statistics whose loss was finite, just before the update. Where it
// was not, the running statistics go back to those kept: no update follows, and what the step has made of
// them is poisoned. One invocation per number of the longer array.

struct Params {
    weights: u32, // numbers in each array
    running: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> frozen: array<u32>; // [1]
@group(0) @binding(2) var<storage, read> weights: array<f32>;
@group(0) @binding(3) var<storage, read_write> running: array<f32>;
@group(0) @binding(4) var<storage, read_write> last_good_weights: array<f32>;
@group(0) @binding(5) var<storage, read_write> last_good_running: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = flat_index(workgroup, workgroups, local, WORKGROUP);
    if frozen[0] != 0u {
        if i < params.running {
            running[i] = last_good_running[i];
        }
        return;
    }
    if i < params.weights {
        last_good_weights[i] = weights[i];
    }
    if i < params.running {
        last_good_running[i] = running[i];
    }
}
