//! needs lib/grid

// total += share, of gradients with respect to what two have read. One invocation per quad.

struct Params {
    quads: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> share: array<stored4>;
@group(0) @binding(2) var<storage, read_write> total: array<stored4>;

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = flat_index(workgroup, workgroups, local, WORKGROUP);
    if i < params.quads {
        total[i] = pack_gradient(unpack_gradient(total[i]) + unpack_gradient(share[i]));
    }
}
