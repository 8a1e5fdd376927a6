//! What a block of Winograd tiles is at its points, and how it is taken there and back. Everything has a
//! constant distance from everything else, so that neither an index nor a bound is computed in the innermost
//! code.

use crate::cpu::fast::nn::channels::LANES;
use crate::cpu::fast::nn::gemm::{COLUMNS, Rows};
use crate::cpu::fast::nn::winograd::POINTS;
use fearless_simd::{Simd, SimdFloat};

/// Tiles that are transformed and multiplied together, while they are in the cache.
pub(crate) const BLOCK: usize = 48;

/// Channels that lie side by side: those of one block of a product.
const GROUP: usize = COLUMNS;

/// The channels of a group, of one tile at one point.
type Cell = [[f32; LANES]; GROUP / LANES];

/// Cells from one point to the next: one more than there are tiles, lest all points share a few sets of the
/// cache.
const PITCH: usize = BLOCK + 1;

/// Cells from a tile's first point to its last.
const WINDOW: usize = (POINTS - 1) * PITCH + 1;

/// A block's values at every point, `[group of channels][point][tile][GROUP]`.
#[derive(Clone, Default)]
pub(crate) struct Points {
    cells: Vec<Cell>,
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
        let needed = channels.div_ceil(GROUP) * POINTS * PITCH;
        if self.cells.len() < needed {
            self.cells.resize(needed, Cell::default()); // it never shrinks, lest it be cleared at every layer
        }
    }

    /// How many channels there is room for.
    #[inline(always)]
    pub(crate) fn channels(&self) -> usize {
        self.channels
    }

    /// All channels at a point, as the left side of a product.
    #[inline(always)]
    pub(crate) fn rows(&self, point: usize) -> Rows<'_> {
        let values = self.cells[point * PITCH..].as_flattened().as_flattened();
        Rows { values, pitch: GROUP, abreast: GROUP, stride: POINTS * PITCH * GROUP }
    }

    /// The channels of a group at a point, `[tile][GROUP]`.
    #[inline(always)]
    pub(crate) fn group(&self, group: usize, point: usize) -> &[f32] {
        self.cells[(group * POINTS + point) * PITCH..][..BLOCK].as_flattened().as_flattened()
    }

    /// As [`Points::group`].
    #[inline(always)]
    pub(crate) fn group_mut(&mut self, group: usize, point: usize) -> &mut [f32] {
        self.cells[(group * POINTS + point) * PITCH..][..BLOCK].as_flattened_mut().as_flattened_mut()
    }

    /// The points of one tile from channel `c` on, a multiple of [`LANES`].
    #[inline(always)]
    pub(crate) fn tile(&self, tile: usize, c: usize) -> Tile<&[Cell; WINDOW]> {
        let cells = self.cells[c / GROUP * POINTS * PITCH + tile..].first_chunk();
        Tile { cells: cells.expect("tiles lie within their block"), part: c % GROUP / LANES }
    }

    /// As [`Points::tile`].
    #[inline(always)]
    pub(crate) fn tile_mut(&mut self, tile: usize, c: usize) -> Tile<&mut [Cell; WINDOW]> {
        let cells = self.cells[c / GROUP * POINTS * PITCH + tile..].first_chunk_mut();
        Tile { cells: cells.expect("tiles lie within their block"), part: c % GROUP / LANES }
    }
}

/// The points of one tile, of as many channels as a register holds: a whole group, or one part of it.
pub(crate) struct Tile<Cells> {
    cells: Cells,
    part: usize,
}

impl Tile<&[Cell; WINDOW]> {
    #[inline(always)]
    pub(crate) fn load<S: Simd, V: SimdFloat<S, Element = f32>>(&self, simd: S, point: usize) -> V {
        let cell = &self.cells[point * PITCH];
        V::from_slice(simd, if V::LEN == GROUP { cell.as_flattened() } else { &cell[self.part] })
    }
}

impl Tile<&mut [Cell; WINDOW]> {
    #[inline(always)]
    pub(crate) fn store<S: Simd, V: SimdFloat<S, Element = f32>>(&mut self, point: usize, lanes: V) {
        let cell = &mut self.cells[point * PITCH];
        lanes.store_slice(if V::LEN == GROUP { cell.as_flattened_mut() } else { &mut cell[self.part] });
    }
}
