// Where a convolution's results lie: a tile has TILE_N × TILE_X × TILE_Y/4 strips of four pixels along y.

struct Tile {
    n0: u32,
    x0: u32,
    y0: u32,
    first_quad: u32, // of its output channels
}

struct Strip {
    n: u32,
    x: u32,
    y: u32,
    exists: bool, // or lies beyond the last sample or the grid
}

const STRIPS: u32 = TILE_N * TILE_X * TILE_Y / 4u;

fn locate(tile: Tile, strip: u32) -> Strip {
    let n = tile.n0 + strip / (TILE_X * TILE_Y / 4u);
    let x = tile.x0 + strip / (TILE_Y / 4u) % TILE_X;
    let y = tile.y0 + strip % (TILE_Y / 4u) * 4u;
    return Strip(n, x, y, n < params.batch && x < params.nx && y < params.ny);
}
