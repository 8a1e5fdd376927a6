//! needs lib/exp64 lib/grid

// exp64 of an array: it exists to be tested. One invocation per number.

struct Params {
    count: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f64>; // [count]
@group(0) @binding(2) var<storage, read_write> y: array<f64>; // [count]

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = flat_index(workgroup, workgroups, local, WORKGROUP);
    if i < params.count {
        y[i] = exp64(x[i]);
    }
}
