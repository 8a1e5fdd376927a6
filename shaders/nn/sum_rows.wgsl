//! needs lib/grid

// total[to + j] = Σ_i rows[first + i·pitch + j·step], in a fixed order, for blocks of columns of several
// matrices: a table says for each block where its columns lie. One workgroup per block, one invocation per
// column and stripe: the STRIPES invocations of a column add every STRIPES-th row, then one adds the stripes.

struct Params {
    count: u32, // of blocks
}

@group(0) @binding(0) var<uniform> params: Params;
// [count, 6]: first, pitch, step, rows, to, columns
@group(0) @binding(1) var<storage, read> blocks: array<u32>;
@group(0) @binding(2) var<storage, read> rows: array<f32>;
@group(0) @binding(3) var<storage, read_write> total: array<f32>;

const ABREAST = 8u; // rows whose loads are in flight at once

var<workgroup> stripes: array<f32, COLUMNS * STRIPES>;

@compute @workgroup_size(COLUMNS, STRIPES)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_id) local: vec3<u32>,
) {
    let block = 6u * flat_index(workgroup, workgroups, 0u, 1u);
    if block >= 6u * params.count {
        return;
    }
    let first = blocks[block];
    let pitch = blocks[block + 1u];
    let step = blocks[block + 2u];
    let count = blocks[block + 3u];
    let to = blocks[block + 4u];
    let columns = blocks[block + 5u];

    var sum = 0.0;
    if local.x < columns {
        let column = first + local.x * step;
        for (var start = local.y; start < count; start += ABREAST * STRIPES) {
            for (var k = 0u; k < ABREAST; k++) {
                let row = start + k * STRIPES;
                let found = rows[column + min(row, count - 1u) * pitch];
                sum += select(0.0, found, row < count);
            }
        }
    }
    stripes[local.y * COLUMNS + local.x] = sum;
    workgroupBarrier();
    if local.y == 0u && local.x < columns {
        for (var stripe = 1u; stripe < STRIPES; stripe++) {
            sum += stripes[stripe * COLUMNS + local.x];
        }
        total[to + local.x] = sum;
    }
}
