// Adjoint of bilinear ×2 upsampling with clamped border (SPEC 5). Along each axis coarse cell i fed the fine cells
// 2i-1, 2i, 2i+1, 2i+2 with weights ¼, ¾, ¾, ¼; those beyond the border fall on it. One invocation per coarse cell.

struct Params {
    batch: u32,
    channels: u32,
    nx: u32, // of the coarse grid
    ny: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> fine_gradient: array<f32>; // [batch, channels, 2·nx, 2·ny]
@group(0) @binding(2) var<storage, read_write> gradient: array<f32>; // [batch, channels, nx, ny]

fn fine_cells(coarse: u32, coarse_size: u32) -> vec4<u32> {
    let fine = 2u * coarse;
    return vec4(max(fine, 1u) - 1u, fine, fine + 1u, min(fine + 2u, 2u * coarse_size - 1u));
}

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = flat_index(workgroup, workgroups, local, WORKGROUP);
    let cells = params.nx * params.ny;
    if i >= params.batch * params.channels * cells {
        return;
    }
    let weights = vec4(0.25, 0.75, 0.75, 0.25);
    let rows = i / cells * 4u * cells + fine_cells(i % cells / params.ny, params.nx) * 2u * params.ny;
    let columns = fine_cells(i % params.ny, params.ny);
    var sum = 0.0;
    for (var k = 0u; k < 4u; k++) {
        let row = rows[k];
        let values = vec4(
            fine_gradient[row + columns.x],
            fine_gradient[row + columns.y],
            fine_gradient[row + columns.z],
            fine_gradient[row + columns.w],
        );
        sum += weights[k] * dot(weights, values);
    }
    gradient[i] = sum;
}
