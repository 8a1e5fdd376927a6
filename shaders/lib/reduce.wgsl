// Sum over a quad of cells.
fn cell_sum(cells: real4) -> real {
    return (cells.x + cells.y) + (cells.z + cells.w);
}

// Sum over a workgroup of WORKGROUP invocations (a power of two), as a tree of fixed order.
// Every invocation must call it; all get the sum.

var<workgroup> reduce_scratch: array<real, WORKGROUP>;

fn workgroup_sum(local: u32, value: real) -> real {
    workgroupBarrier(); // the result of an earlier call has been read
    reduce_scratch[local] = value;
    for (var width = WORKGROUP / 2u; width > 0u; width /= 2u) {
        workgroupBarrier();
        if local < width {
            reduce_scratch[local] += reduce_scratch[local + width];
        }
    }
    workgroupBarrier();
    return reduce_scratch[0];
}
