//! needs lib/grid

// A field of the physics rounded to the network's 32 bits (method §0). One invocation per number.

struct Params {
    count: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> wide: array<real>; // [count]
@group(0) @binding(2) var<storage, read_write> narrow: array<f32>; // [count]

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = flat_index(workgroup, workgroups, local, WORKGROUP);
    if i < params.count {
        narrow[i] = f32(wide[i]);
    }
}
