// Two real fields to one complex field u + i·v: half the transforms, since every filter here is real and even.
// An odd last sample gets a zero partner. One invocation per complex cell.

struct Params {
    batch: u32,
    cells: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> field: array<real>; // [batch, cells]
@group(0) @binding(2) var<storage, read_write> packed: array<real2>; // [ceil(batch/2), cells]

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = flat_index(workgroup, workgroups, local, WORKGROUP);
    if i >= (params.batch + 1u) / 2u * params.cells {
        return;
    }
    let first = i / params.cells * 2u;
    let cell = i % params.cells;
    var value = real2(field[first * params.cells + cell], 0.0);
    if first + 1u < params.batch {
        value.y = field[(first + 1u) * params.cells + cell];
    }
    packed[i] = value;
}
