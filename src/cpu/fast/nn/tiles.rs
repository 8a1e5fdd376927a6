//! Blocks of Winograd tiles: what a convolution reads, carried to the points, and from the points to its
//! outputs. Columns of a tile are transformed as they are loaded, and rows stored as they are made.

use crate::cpu::fast::nn::channels::{Grid, LANES, View};
use crate::cpu::fast::nn::points::{BLOCK, Points};
use crate::cpu::fast::nn::winograd::{Input, Output, OutputAdjoint, SPAN, TILE, Transform, each};
use fearless_simd::{Simd, SimdBase, SimdFloat, f32x8, f32x16};
use std::ops::Range;

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

/// Calls a function of a vector type and of a channel for all channels: by as many at once as registers hold,
/// where the group that `first` begins in begins there too.
macro_rules! by_lanes {
    ($simd:expr, $S:ident, $first:expr, $channels:expr, $c:ident, $V:ident => $each:expr) => {
        let mut $c = 0;
        if const { <$S as Simd>::f32s::LEN >= 16 } && $first % 16 == 0 {
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
    let channels = out.channels();
    let row = tiles.padded()[1] * channels;
    for (i, tile) in block.enumerate() {
        let [x, y] = tiles.corner(tile);
        let from = &padded[x * row + y * channels..][..5 * row + SPAN * channels];
        by_lanes!(simd, S, 0, channels, c, V => input_tile::<S, V<S>>(simd, from, row, i, c, out));
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
    let channels = out.channels();
    let columns = each!(6, Y => Input::along(simd, each!(6, X => {
        let start = X * row + Y * channels + c;
        V::from_slice(simd, &from[start..start + V::LEN])
    })));
    let mut to = out.tile_mut(tile, c);
    each!(6, X => {
        let cells = Input::along(simd, each!(6, Y => columns[Y][X]));
        each!(6, Y => to.store(X * SPAN + Y, cells[Y]));
    });
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
        by_lanes!(simd, S, first, channels, c, V => {
            output_tile::<S, V<S>>(simd, points, [i, first + c], (&mut *out, channels, c), tiles.grid, at);
        });
    }
}

#[inline(always)]
fn output_tile<S: Simd, V: SimdFloat<S, Element = f32>>(
    simd: S,
    points: &Points,
    [tile, from]: [usize; 2],
    (out, channels, to): (&mut [f32], usize, usize),
    grid: Grid,
    [x, y]: [usize; 2],
) {
    let from = points.tile(tile, from);
    let columns = each!(6, Y => Output::along(simd, each!(6, X => from.load::<S, V>(simd, X * SPAN + Y))));
    each!(4, X => {
        let cells = Output::along(simd, each!(6, Y => columns[Y][X]));
        each!(4, Y => if x + X < grid.nx && y + Y < grid.ny {
            let start = ((x + X) * grid.ny + y + Y) * channels + to;
            cells[Y].store_slice(&mut out[start..start + V::LEN]);
        });
    });
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
    for (i, tile) in block.enumerate() {
        let at = tiles.corner(tile);
        by_lanes!(simd, S, 0, out.channels(), c, V => {
            gradient_tile::<S, V<S>>(simd, gradient, tiles.grid, at, i, c, out);
        });
    }
}

#[inline(always)]
fn gradient_tile<S: Simd, V: SimdFloat<S, Element = f32>>(
    simd: S,
    gradient: View,
    grid: Grid,
    [x, y]: [usize; 2],
    tile: usize,
    c: usize,
    out: &mut Points,
) {
    let columns = each!(4, Y => OutputAdjoint::along(simd, each!(4, X => {
        if x + X < grid.nx && y + Y < grid.ny {
            let start = (x + X) * gradient.row + (y + Y) * gradient.cell + c;
            V::from_slice(simd, &gradient.values[start..start + V::LEN])
        } else {
            V::splat(simd, 0.0)
        }
    })));
    let mut to = out.tile_mut(tile, c);
    each!(6, X => {
        let cells = OutputAdjoint::along(simd, each!(4, Y => columns[Y][X]));
        each!(6, Y => to.store(X * SPAN + Y, cells[Y]));
    });
}
