// Rectangles to fields x* (SPEC 1): x* = Σ_i strength_i·min(m_x, m_y), m = clip(½ - (|g - c| - h)/ρ, 0, 1).
// One invocation per cell; overlaps add, rectangles do not wrap around.

struct Params {
    batch: u32,
    nx: u32,
    ny: u32,
    rectangles: u32, // per sample
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> rectangles: array<real>; // [batch, rectangles, 5]: cx, cy, hx, hy, strength
@group(0) @binding(2) var<storage, read_write> field: array<real>; // [batch, nx, ny]

const INVERSE_EDGE_WIDTH: real = 1.4142135623730950488; // 1/ρ = √2

fn profile(center: real, half_size: real, cell: u32) -> real {
    let distance = abs(real(cell) + 0.5 - center) - half_size;
    return clamp(0.5 - distance * INVERSE_EDGE_WIDTH, real(0.0), real(1.0));
}

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = flat_index(workgroup, workgroups, local, WORKGROUP);
    if i >= params.batch * params.nx * params.ny {
        return;
    }
    let x = i / params.ny % params.nx;
    let y = i % params.ny;
    let first = i / (params.nx * params.ny) * params.rectangles;
    var heat = real(0.0);
    for (var r = first; r < first + params.rectangles; r++) {
        let mask_x = profile(rectangles[5u * r], rectangles[5u * r + 2u], x);
        let mask_y = profile(rectangles[5u * r + 1u], rectangles[5u * r + 3u], y);
        heat += rectangles[5u * r + 4u] * min(mask_x, mask_y);
    }
    field[i] = heat;
}
