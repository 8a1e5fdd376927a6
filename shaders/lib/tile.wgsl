// A tile of the convolutions' input in workgroup memory: TILE_N samples' TILE_X × TILE_Y pixels with a border of one
// pixel, beyond the grid the opposite side, or zero where ZERO_PADDING is 1. Quad j of a padded row holds the cells
// 4·j-1 … 4·j+2 of the tile.

const ROW_QUADS: u32 = TILE_Y / 4u + 1u;
// An odd number of quads, so that neighbouring channels lie in different memory banks.
const PLANE: u32 = (TILE_N * (TILE_X + 2u) * ROW_QUADS) | 1u;

fn cell_or_zero(n: u32, c: u32, x: u32, y: u32, channel: Channel) -> vec4<f32> {
    if ZERO_PADDING == 1u && (x - params.nx >= params.nx || y - params.ny >= params.ny) {
        return vec4(0.0);
    }
    return source_quad(n, c, x & (params.nx - 1u), y & (params.ny - 1u), channel);
}

// Rows of fewer than four cells (NARROW is 1) wrap around inside their one quad.
fn narrow_quad(n: u32, c: u32, x: u32, y: u32, channel: Channel) -> vec4<f32> {
    let quad = cell_or_zero(n, c, x, params.ny, channel);
    var cells = vec4(0.0);
    for (var k = 0u; k < 4u; k++) {
        if ZERO_PADDING == 0u || y + k - 1u < params.ny {
            cells[k] = quad[(y + k + params.ny - 1u) & (params.ny - 1u)];
        }
    }
    return cells;
}

// What source_padded is, made of two quads.
fn padded_of_quads(n: u32, c: u32, x: u32, y: u32, channel: Channel) -> vec4<f32> {
    let before = source_quad(n, c, x, (y + params.ny - 4u) & (params.ny - 1u), channel);
    let own = source_quad(n, c, x, y, channel);
    return vec4(before.w, own.xyz);
}

// The padded quad whose second cell is (x0 + row - 1, y0 + 4·j).
fn padded_quad(n: u32, c: u32, x0: u32, y0: u32, row: u32, j: u32, channel: Channel) -> vec4<f32> {
    // One grid ahead, so that the cell before the first does not fall below zero; sides are powers of two. Tiles may
    // be larger than the grid.
    let x = x0 + row + params.nx - 1u;
    if NARROW == 1u {
        return narrow_quad(n, c, x, 4u * j, channel);
    }
    let y = y0 + 4u * j;
    if ZERO_PADDING == 0u {
        return source_padded(n, c, x & (params.nx - 1u), y & (params.ny - 1u), channel);
    }
    if x - params.nx >= params.nx {
        return vec4(0.0);
    }
    let quad = source_padded(n, c, x & (params.nx - 1u), y & (params.ny - 1u), channel);
    let inside = vec2(y > 0u && y <= params.ny, y < params.ny);
    return select(vec4(0.0), quad, inside.xyyy);
}

// Channel c into `tile` from `start` on; zero beyond the last sample or channel.
fn stage(start: u32, n0: u32, c: u32, x0: u32, y0: u32, local: u32) {
    if c >= params.c_in {
        for (var at = local; at < PLANE; at += WORKGROUP) {
            tile[start + at] = vec4(0.0);
        }
        return;
    }
    let channel = source_channel(c);
    for (var at = local; at < TILE_N * (TILE_X + 2u) * ROW_QUADS; at += WORKGROUP) {
        let n = n0 + at / (ROW_QUADS * (TILE_X + 2u));
        var quad = vec4(0.0);
        if n < params.batch {
            quad = padded_quad(n, c, x0, y0, at / ROW_QUADS % (TILE_X + 2u), at % ROW_QUADS, channel);
        }
        tile[start + at] = quad;
    }
}
