// One complex field u + i·v back to two real fields. One invocation per real cell.

struct Params {
    batch: u32,
    cells: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> packed: array<real2>; // [ceil(batch/2), cells]
@group(0) @binding(2) var<storage, read_write> field: array<real>; // [batch, cells]

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = flat_index(workgroup, workgroups, local, WORKGROUP);
    if i >= params.batch * params.cells {
        return;
    }
    let sample = i / params.cells;
    let value = packed[sample / 2u * params.cells + i % params.cells];
    field[i] = select(value.x, value.y, (sample & 1u) == 1u);
}
