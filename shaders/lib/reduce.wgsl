// Sum over a quad of cells.
fn cell_sum(cells: real4) -> real {
    return (cells.x + cells.y) + (cells.z + cells.w);
}

// Sums over a workgroup of WORKGROUP invocations, a multiple of RUNS, in a fixed order: RUNS invocations add
// up a run of values each, then one adds up the runs. A tree would have fewer additions in a row, but wait
// for all invocations at each of its levels. Every invocation must call it; all get the sums.

const RUNS: u32 = 16u;

var<workgroup> reduce_scratch: array<real2, WORKGROUP>;

fn workgroup_sum(local: u32, values: real2) -> real2 {
    workgroupBarrier(); // the result of an earlier call has been read
    reduce_scratch[local] = values;
    workgroupBarrier();
    add_run(local, RUNS, WORKGROUP / RUNS);
    workgroupBarrier();
    add_run(local, 1u, RUNS);
    workgroupBarrier();
    return reduce_scratch[0];
}

// The first `runs` invocations each add up `len` values, `runs` apart. A loop and no branch: software devices
// skip a loop that none of a subgroup enters.
fn add_run(local: u32, runs: u32, len: u32) {
    for (var run = local; run < runs; run += WORKGROUP) {
        var sum = reduce_scratch[run];
        for (var k = 1u; k < len; k++) {
            sum += reduce_scratch[run + k * runs];
        }
        reduce_scratch[run] = sum;
    }
}
