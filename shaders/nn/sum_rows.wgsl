// total[offset + j] = Σ_i rows[i, step·j + first], in a fixed order. One invocation per column and stripe: a
// workgroup takes COLUMNS columns, its STRIPES invocations of a column add every STRIPES-th row, then one
// adds the stripes.

struct Params {
    rows: u32,
    columns: u32,
    offset: u32,
    step: u32,
    first: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> rows: array<f32>; // [rows, step·columns]
@group(0) @binding(2) var<storage, read_write> total: array<f32>;

const ABREAST = 8u; // rows whose loads are in flight at once

var<workgroup> stripes: array<f32, COLUMNS * STRIPES>;

@compute @workgroup_size(COLUMNS, STRIPES)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) {
    let column = workgroup.x * COLUMNS + local.x;
    var sum = 0.0;
    if column < params.columns {
        for (var start = local.y; start < params.rows; start += ABREAST * STRIPES) {
            for (var k = 0u; k < ABREAST; k++) {
                let row = start + k * STRIPES;
                let known = min(row, params.rows - 1u);
                let found = rows[(known * params.columns + column) * params.step + params.first];
                sum += select(0.0, found, row < params.rows);
            }
        }
    }
    stripes[local.y * COLUMNS + local.x] = sum;
    workgroupBarrier();
    if local.y == 0u && column < params.columns {
        for (var stripe = 1u; stripe < STRIPES; stripe++) {
            sum += stripes[stripe * COLUMNS + local.x];
        }
        total[params.offset + column] = sum;
    }
}
