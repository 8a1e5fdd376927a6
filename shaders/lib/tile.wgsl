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

const CHANNEL_QUADS: u32 = TILE_N * (TILE_X + 2u) * ROW_QUADS; // PLANE may be one more
// So many channels are staged at a time, each by so many invocations side by side: powers of two.
const ABREAST: u32 = min(CHANNELS, max(WORKGROUP >> (32u - countLeadingZeros(CHANNEL_QUADS - 1u)), 1u));
const SPAN: u32 = WORKGROUP / ABREAST;

// CHANNELS channels from i0 on into `tile`; zero beyond the last sample or channel. An invocation works out a place once
// and stages it in all of its channels: in a number of rounds that compilers know and without a branch, so that they
// unroll them and the loads of all rounds are in flight at once.
fn stage(n0: u32, i0: u32, x0: u32, y0: u32, local: u32) {
    // CHANNELS divides the channels of the first part, so that all belong to the same.
    if SOURCE_PARTS == 2u && i0 >= params.skip_channels {
        stage_part(n0, i0, x0, y0, local, 1u);
    } else {
        stage_part(n0, i0, x0, y0, local, 0u);
    }
}

fn stage_part(n0: u32, i0: u32, x0: u32, y0: u32, local: u32, part: u32) {
    for (var own = local % SPAN; own < CHANNEL_QUADS; own += SPAN) {
        let n = n0 + min(own / (ROW_QUADS * (TILE_X + 2u)), TILE_N - 1u); // no division where TILE_N is 1
        let known_n = min(n, params.batch - 1u);
        let row = own / ROW_QUADS % (TILE_X + 2u);
        for (var round = 0u; round < CHANNELS / ABREAST; round++) {
            let slot = round * ABREAST + local / SPAN;
            let c = min(i0 + slot, params.c_in - 1u);
            let quad = padded_quad(known_n, c, x0, y0, row, own % ROW_QUADS, source_channel(c, part));
            tile[slot * PLANE + own] = select(vec4(0.0), quad, n < params.batch && i0 + slot < params.c_in);
        }
    }
}
