//! needs lib/grid

// One explicit step of the heat equation on a periodic grid: next = u + rate·(u_left + u_right + u_below +
// u_above - 4·u).

struct Params {
    count: u32, // cells in all
    nx: u32,
    ny: u32,
    rate: f32, // diffusivity × time step in cells²; stable up to ¼
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> field: array<f32>; // [batch, nx, ny]
@group(0) @binding(2) var<storage, read_write> next: array<f32>; // likewise

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = flat_index(workgroup, workgroups, local, WORKGROUP);
    if i >= params.count {
        return;
    }
    let y = i % params.ny;
    let x = i / params.ny % params.nx;
    let sample = i - x * params.ny - y;
    let row = i - y;
    let left = sample + (x + params.nx - 1u) % params.nx * params.ny + y;
    let right = sample + (x + 1u) % params.nx * params.ny + y;
    let below = row + (y + params.ny - 1u) % params.ny;
    let above = row + (y + 1u) % params.ny;
    let neighbours = field[left] + field[right] + field[below] + field[above];
    next[i] = field[i] + params.rate * (neighbours - 4.0 * field[i]);
}
