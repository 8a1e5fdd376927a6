//! needs lib/grid lib/quads

// Adjoint of 2×2 max-pooling: adds each pooled gradient where the maximum was, the first in row-major order
// on ties (method §5). One invocation per quad of fine cells.

struct Params {
    planes: u32, // samples and channels
    nx: u32, // of the fine grid
    ny: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> fine: array<stored4>; // [planes, nx, row/4]
@group(0) @binding(2) var<storage, read> pooled_gradient: array<vec2<stored>>; // [planes, nx/2, coarse row/2]
@group(0) @binding(3) var<storage, read_write> gradient: array<stored4>; // as fine

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = flat_index(workgroup, workgroups, local, WORKGROUP);
    let row_quads = row_cells(params.ny) / 4u;
    if i >= params.planes * params.nx * row_quads {
        return;
    }
    let row = i / row_quads;
    let is_upper = (row & 1u) == 0u;
    let own = unpack(fine[i]);
    let partner = unpack(fine[select(i - row_quads, i + row_quads, is_upper)]);
    let beside = own.yxwz;
    let highest = max(own, beside);
    let other_highest = max(partner, partner.yxwz);
    // Among equal cells the left one comes first, and the upper row.
    let in_row = (own > beside) | ((own == beside) & vec4(true, false, true, false));
    let among_rows = (highest > other_highest) | ((highest == other_highest) & vec4(is_upper));
    let coarse = row / 2u * row_cells(params.ny / 2u) + 2u * (i % row_quads);
    let pooled = unpack_gradient(pooled_gradient[coarse / 2u].xxyy);
    let added = select(vec4(0.0), pooled, in_row & among_rows);
    gradient[i] = pack_gradient(unpack_gradient(gradient[i]) + added);
}
