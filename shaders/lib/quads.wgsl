// Layers are stored as [batch, channels, nx, row/4] quads of four cells along y, row = max(ny, 4): rows of
// the narrowest grids are padded, what lies in the padding has no meaning.

fn row_cells(ny: u32) -> u32 {
    return max(ny, 4u);
}

// Index of the quad that holds cell y of row x: the plane by itself, so that one place in many planes is
// worked out once.
fn quad_at(plane: u32, x: u32, y: u32, nx: u32, ny: u32) -> u32 {
    let row_quads = row_cells(ny) / 4u;
    return plane * (nx * row_quads) + (x * row_quads + y / 4u);
}

// Which cells of a quad belong to the grid.
fn inside(ny: u32) -> vec4<bool> {
    return vec4(0u, 1u, 2u, 3u) < vec4(ny);
}

// Six neighbouring cells of a row: the one before a quad, the quad, the one after.
struct Row {
    left: vec4<f32>,
    right: vec2<f32>,
}
