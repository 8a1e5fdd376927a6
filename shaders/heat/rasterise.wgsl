//! needs lib/grid

// Rectangles to fields x* (method §1): x* = Σ_i strength_i·min(m_x, m_y), m = clip(½ - (|g - c| - h)/ρ, 0,
// 1). One invocation per patch of 4 × 4 cells, whose profiles it works out once per row and column; overlaps
// add, rectangles do not wrap around.

struct Params {
    batch: u32,
    nx: u32,
    ny: u32,
    rectangles: u32, // per sample
}

@group(0) @binding(0) var<uniform> params: Params;
// [batch, rectangles, 5]: cx, cy, hx, hy, strength
@group(0) @binding(1) var<storage, read> rectangles: array<real>;
@group(0) @binding(2) var<storage, read_write> field: array<real4>; // [batch, nx, ny / 4]

const INVERSE_EDGE_WIDTH: real = 1.4142135623730950488; // 1/ρ = √2

// m along one axis, of the cells `first` to `first` + 3.
fn profile(center: real, half_size: real, first: u32) -> real4 {
    let cells = real4(real(first)) + real4(0.5, 1.5, 2.5, 3.5);
    let distance = abs(cells - center) - half_size;
    return clamp(real4(0.5) - distance * INVERSE_EDGE_WIDTH, real4(0.0), real4(1.0));
}

const PATCH: u32 = 4u; // cells of a real4

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let patches_x = params.nx / PATCH;
    let patches_y = params.ny / PATCH;
    let i = flat_index(workgroup, workgroups, local, WORKGROUP);
    if i >= params.batch * patches_x * patches_y {
        return;
    }
    let sample = i / (patches_x * patches_y);
    let x = i / patches_y % patches_x * PATCH;
    let y = i % patches_y * PATCH;
    let first = sample * params.rectangles;
    var heat: array<real4, PATCH>; // [along x] along y
    for (var r = first; r < first + params.rectangles; r++) {
        let strength = rectangles[5u * r + 4u];
        if strength == 0.0 { // there are fewer in this sample
            continue;
        }
        let mask_x = profile(rectangles[5u * r], rectangles[5u * r + 2u], x);
        let mask_y = profile(rectangles[5u * r + 1u], rectangles[5u * r + 3u], y);
        for (var k = 0u; k < PATCH; k++) {
            heat[k] += strength * min(real4(mask_x[k]), mask_y);
        }
    }
    for (var k = 0u; k < PATCH; k++) {
        field[(sample * params.nx + x + k) * patches_y + y / PATCH] = heat[k];
    }
}
