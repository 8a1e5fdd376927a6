//! Blocks of Winograd tiles: what a convolution reads, carried to the points, and from the points to its
//! outputs.

use crate::cpu::fast::nn::channels::{Grid, LANES, View};
use crate::cpu::fast::nn::winograd::{Input, Output, OutputAdjoint, POINTS, SPAN, TILE, both};
use fearless_simd::{Simd, SimdBase, SimdFloat, f32x8, f32x16};
use std::ops::Range;

/// Tiles that are transformed and multiplied together, while they are in the cache.
const BLOCK: usize = 48;

/// The tiles of a plane, in rows.
#[derive(Clone, Copy)]
pub(crate) struct Tiles {
    grid: Grid,
    rows: usize,
    columns: usize,
}

impl Tiles {
    pub(crate) fn new(grid: Grid) -> Self {
        Self { grid, rows: grid.nx.div_ceil(TILE), columns: grid.ny.div_ceil(TILE) }
    }

    /// Rows of a padded plane, and cells of its rows: whole tiles, and one more cell on each side.
    pub(crate) fn padded(self) -> [usize; 2] {
        [self.rows * TILE + 2, self.columns * TILE + 2]
    }

    /// The tiles in blocks.
    pub(crate) fn blocks(self) -> impl Iterator<Item = Range<usize>> {
        let count = self.rows * self.columns;
        (0..count).step_by(BLOCK).map(move |first| first..count.min(first + BLOCK))
    }

    /// The first cell of a tile.
    #[inline(always)]
    fn corner(self, tile: usize) -> [usize; 2] {
        [tile / self.columns * TILE, tile % self.columns * TILE]
    }
}

/// A block's values at every point, `[point][tile][channels]`.
#[derive(Clone, Default)]
pub(crate) struct Points {
    values: Vec<f32>,
    channels: usize,
}

/// What the inputs of a block of tiles and its outputs are at the points.
#[derive(Clone, Default)]
pub(crate) struct Workspace {
    pub(crate) inputs: Points,
    pub(crate) outputs: Points,
}

impl Points {
    /// Makes room for tiles of so many channels.
    pub(crate) fn resize(&mut self, channels: usize) {
        self.channels = channels;
        let needed = POINTS * self.pitch();
        if self.values.len() < needed {
            self.values.resize(needed, 0.0); // it never shrinks, lest it be cleared at every other layer
        }
    }

    /// Floats from one point to the next: a few more than there are, lest all points share a few sets of the
    /// cache.
    #[inline(always)]
    fn pitch(&self) -> usize {
        BLOCK * self.channels + 16
    }

    /// The values of a point, `[tile][channels]`.
    #[inline(always)]
    pub(crate) fn of(&self, point: usize) -> &[f32] {
        &self.values[point * self.pitch()..][..self.pitch()]
    }

    #[inline(always)]
    pub(crate) fn of_mut(&mut self, point: usize) -> &mut [f32] {
        let pitch = self.pitch();
        &mut self.values[point * pitch..][..pitch]
    }

    /// Stores the points of one tile from channel c on.
    #[inline(always)]
    fn store<S: Simd, V: SimdFloat<S, Element = f32>>(
        &mut self,
        tile: usize,
        c: usize,
        points: &[[V; SPAN]; SPAN],
    ) {
        let (pitch, at) = (self.pitch(), tile * self.channels + c);
        for (point, lanes) in points.as_flattened().iter().enumerate() {
            lanes.store_slice(&mut self.values[point * pitch + at..point * pitch + at + V::LEN]);
        }
    }

    #[inline(always)]
    fn load<S: Simd, V: SimdFloat<S, Element = f32>>(
        &self,
        simd: S,
        tile: usize,
        c: usize,
    ) -> [[V; SPAN]; SPAN] {
        let (pitch, at) = (self.pitch(), tile * self.channels + c);
        let mut square = [[V::splat(simd, 0.0); SPAN]; SPAN];
        for x in 0..SPAN {
            for y in 0..SPAN {
                let start = (x * SPAN + y) * pitch + at;
                square[x][y] = V::from_slice(simd, &self.values[start..start + V::LEN]);
            }
        }
        square
    }
}

/// Calls a function of a vector type and of a channel for all channels: by as many at once as registers hold.
macro_rules! by_lanes {
    ($simd:expr, $S:ident, $channels:expr, $c:ident, $V:ident => $each:expr) => {
        let mut $c = 0;
        if const { <$S as Simd>::f32s::LEN >= 16 } {
            type Wide<S> = f32x16<S>;
            while $c + 16 <= $channels {
                {
                    type $V<S> = Wide<S>;
                    $each;
                }
                $c += 16;
            }
        }
        while $c < $channels {
            {
                type $V<S> = f32x8<S>;
                $each;
            }
            $c += LANES;
        }
    };
}

/// Carries tiles of `padded` `[rows][cells][channels]` to the points: Bᵀ d B.
#[inline(always)]
pub(crate) fn inputs<S: Simd>(simd: S, padded: &[f32], tiles: Tiles, block: Range<usize>, out: &mut Points) {
    let channels = out.channels;
    let row = tiles.padded()[1] * channels;
    for (i, tile) in block.enumerate() {
        let [x, y] = tiles.corner(tile);
        let from = &padded[x * row + y * channels..][..5 * row + SPAN * channels];
        by_lanes!(simd, S, channels, c, V => input_tile::<S, V<S>>(simd, from, row, i, c, out));
    }
}

#[inline(always)]
fn input_tile<S: Simd, V: SimdFloat<S, Element = f32>>(
    simd: S,
    from: &[f32],
    row: usize,
    tile: usize,
    c: usize,
    out: &mut Points,
) {
    let mut square = [[V::splat(simd, 0.0); SPAN]; SPAN];
    for x in 0..SPAN {
        for y in 0..SPAN {
            let start = x * row + y * out.channels + c;
            square[x][y] = V::from_slice(simd, &from[start..start + V::LEN]);
        }
    }
    out.store(tile, c, &both::<Input, S, V, SPAN, SPAN>(simd, &square));
}

/// Carries the points of channels from `first` on to the outputs `out` `[nx, ny, channels]`: Aᵀ m A.
#[inline(always)]
pub(crate) fn outputs<S: Simd>(
    simd: S,
    points: &Points,
    first: usize,
    tiles: Tiles,
    block: Range<usize>,
    (out, channels): (&mut [f32], usize),
) {
    for (i, tile) in block.enumerate() {
        let at = tiles.corner(tile);
        by_lanes!(simd, S, channels, c, V => {
            let square = points.load::<S, V<S>>(simd, i, first + c);
            let cells = both::<Output, S, V<S>, SPAN, TILE>(simd, &square);
            store_tile(&cells, out, channels, c, tiles.grid, at);
        });
    }
}

#[inline(always)]
fn store_tile<S: Simd, V: SimdFloat<S, Element = f32>>(
    cells: &[[V; TILE]; TILE],
    out: &mut [f32],
    channels: usize,
    c: usize,
    grid: Grid,
    [x, y]: [usize; 2],
) {
    for i in 0..TILE {
        for j in 0..TILE {
            if x + i < grid.nx && y + j < grid.ny {
                let start = ((x + i) * grid.ny + y + j) * channels + c;
                cells[i][j].store_slice(&mut out[start..start + V::LEN]);
            }
        }
    }
}

/// Carries tiles of the outputs' gradient to the points: A g Aᵀ.
#[inline(always)]
pub(crate) fn gradients<S: Simd>(
    simd: S,
    gradient: View,
    tiles: Tiles,
    block: Range<usize>,
    out: &mut Points,
) {
    let channels = out.channels;
    for (i, tile) in block.enumerate() {
        let at = tiles.corner(tile);
        by_lanes!(simd, S, channels, c, V => {
            let cells = load_tile::<S, V<S>>(simd, gradient, c, tiles.grid, at);
            out.store(i, c, &both::<OutputAdjoint, S, V<S>, TILE, SPAN>(simd, &cells));
        });
    }
}

#[inline(always)]
fn load_tile<S: Simd, V: SimdFloat<S, Element = f32>>(
    simd: S,
    gradient: View,
    c: usize,
    grid: Grid,
    [x, y]: [usize; 2],
) -> [[V; TILE]; TILE] {
    let mut square = [[V::splat(simd, 0.0); TILE]; TILE];
    for i in 0..TILE {
        for j in 0..TILE {
            if x + i < grid.nx && y + j < grid.ny {
                let start = (x + i) * gradient.row + (y + j) * gradient.cell + c;
                square[i][j] = V::from_slice(simd, &gradient.values[start..start + V::LEN]);
            }
        }
    }
    square
}
