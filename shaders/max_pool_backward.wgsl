// Backward of 2×2 max-pooling: adds each pooled gradient to the cell where the activation had its maximum, the
// first one in row-major order on ties (SPEC 5). One invocation per pooled cell, which owns its four fine cells.

struct Params {
    batch: u32,
    channels: u32,
    nx: u32, // of the pooled grid
    ny: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> z: array<f32>; // [batch, channels, 2·nx, 2·ny]
@group(0) @binding(2) var<storage, read> norm: array<vec4<f32>>; // [channels]
@group(0) @binding(3) var<storage, read> pooled_gradient: array<f32>; // [batch, channels, nx, ny]
@group(0) @binding(4) var<storage, read_write> gradient: array<f32>; // as z; added to

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
    let plane = i / cells;
    let x = i % cells / params.ny;
    let y = i % params.ny;
    let channel_norm = norm[plane % params.channels];
    let stride = 2u * params.ny;
    let corner = plane * 4u * cells + 2u * x * stride + 2u * y;
    let candidates = vec4(corner, corner + 1u, corner + stride, corner + stride + 1u);
    var best = corner;
    var highest = activate(z[corner], channel_norm);
    for (var k = 1u; k < 4u; k++) {
        let value = activate(z[candidates[k]], channel_norm);
        if value > highest {
            highest = value;
            best = candidates[k];
        }
    }
    gradient[best] += pooled_gradient[i];
}
