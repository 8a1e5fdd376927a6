//! needs lib/norm lib/quads

// The convolutions' input with a border of one pixel: beyond the grid the opposite side, or zero where
// ZERO_PADDING is 1.

fn cell_or_zero(n: u32, c: u32, x: u32, y: u32, channel: Channel) -> vec4<f32> {
    if ZERO_PADDING == 1u && (x - params.nx >= params.nx || y - params.ny >= params.ny) {
        return vec4(0.0);
    }
    return input_quad(n, c, x & (params.nx - 1u), y & (params.ny - 1u), channel);
}

// Rows of fewer than four cells (NARROW is 1) wrap around inside their one quad.
fn narrow_quad(n: u32, c: u32, x: u32, y: u32, channel: Channel) -> vec4<f32> {
    let quad = cell_or_zero(n, c, x, params.ny, channel);
    let ahead = vec4(0u, 1u, 2u, 3u) + y + params.ny - 1u; // one row ahead, so that none falls below zero
    let at = ahead & vec4(params.ny - 1u);
    let cells = vec4(quad[at.x], quad[at.y], quad[at.z], quad[at.w]);
    let is_inside = vec4(ZERO_PADDING == 0u) | (ahead - params.ny < vec4(params.ny));
    return select(vec4(0.0), cells, is_inside);
}

// The padded row from the cell (x0 + row - 1, y0 + 4·j - 1) on; its left four cells are quad j.
fn padded_row(n: u32, c: u32, x0: u32, y0: u32, row: u32, j: u32, channel: Channel) -> Row {
    // One grid ahead, so that the cell before the first does not fall below zero; sides are powers of two.
    // Tiles may be larger than the grid.
    let x = x0 + row + params.nx - 1u;
    if NARROW == 1u {
        return Row(narrow_quad(n, c, x, 4u * j, channel), narrow_quad(n, c, x, 4u * j + 4u, channel).xy);
    }
    let y = y0 + 4u * j;
    let cells = input_row(n, c, x & (params.nx - 1u), y & (params.ny - 1u), channel);
    if ZERO_PADDING == 0u {
        return cells;
    }
    let in_grid = x - params.nx < params.nx;
    let left = vec4(y > 0u && y <= params.ny, vec3(y < params.ny)) & vec4(in_grid);
    let right = vec2(y < params.ny, y + 4u < params.ny) & vec2(in_grid);
    return Row(select(vec4(0.0), cells.left, left), select(vec2(0.0), cells.right, right));
}
