// Element-wise kernels run on a grid of at most 32768 × n workgroups, since one axis ends at 65535.

fn flat_index(workgroup: vec3<u32>, workgroups: vec3<u32>, local: u32, workgroup_size: u32) -> u32 {
    return (workgroup.y * workgroups.x + workgroup.x) * workgroup_size + local;
}
