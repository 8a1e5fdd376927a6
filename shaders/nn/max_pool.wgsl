//! needs lib/grid lib/quads

// 2×2 max-pooling of the sums of residual blocks (method §5). One invocation per quad of pooled cells.

struct Params {
    planes: u32, // samples and channels
    nx: u32, // of the pooled grid
    ny: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> fine: array<stored>; // [planes, 2·nx, fine row]
@group(0) @binding(2) var<storage, read_write> pooled: array<stored4>; // [planes, nx, row/4]

// The largest of the 2×2 fine cells from `at` on.
fn highest(at: u32, fine_row: u32) -> f32 {
    let cells = unpack(stored4(fine[at], fine[at + 1u], fine[at + fine_row], fine[at + fine_row + 1u]));
    return max(max(cells.x, cells.y), max(cells.z, cells.w));
}

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
    let fine_row = row_cells(2u * params.ny);
    let upper = 2u * (i / row_quads) * fine_row + 8u * (i % row_quads);
    // In the padding of narrow rows the last cell once more.
    let at = vec4(upper) + 2u * min(vec4(0u, 1u, 2u, 3u), vec4(params.ny - 1u));
    pooled[i] = pack(vec4(
        highest(at.x, fine_row),
        highest(at.y, fine_row),
        highest(at.z, fine_row),
        highest(at.w, fine_row),
    ));
}
