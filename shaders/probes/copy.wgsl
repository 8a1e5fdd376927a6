//! needs lib/grid

// Copies as fast as a shader can: what memory gives at most (`unheat bench`). One invocation per vector.

struct Params {
    count: u32, // vectors
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> original: array<vec4<f32>>; // [count]
@group(0) @binding(2) var<storage, read_write> duplicate: array<vec4<f32>>; // [count]

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = flat_index(workgroup, workgroups, local, WORKGROUP);
    if i < params.count {
        duplicate[i] = original[i];
    }
}
