//! The pixels of one workgroup of a convolution.

use crate::gpu::Shape;

/// `x` × `y` pixels of `n` samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tile {
    /// Samples.
    pub n: usize,
    /// Pixels along x.
    pub x: usize,
    /// Pixels along y.
    pub y: usize,
}

impl Tile {
    /// `side`² pixels, from several samples where the grid is smaller; at least 4 along each axis.
    pub fn of(shape: Shape, side: usize) -> Self {
        let (x, y) = (shape.nx.clamp(4, side), shape.ny.clamp(4, side));
        Self { n: side * side / (x * y), x, y }
    }

    /// Strips of four pixels along y.
    pub fn strips(self) -> usize {
        self.n * self.x * self.y / 4
    }

    /// Quads of one channel with its border, as `nn/conv3x3/tile.wgsl` keeps them.
    pub fn padded_quads(self) -> usize {
        (self.n * (self.x + 2) * (self.y / 4 + 1)) | 1
    }

    /// Tiles that cover one sample, or one that covers several.
    pub fn per_sample(self, shape: Shape) -> usize {
        (shape.nx / self.x).max(1) * (shape.ny / self.y).max(1)
    }

    /// Tiles that cover a batch.
    pub fn count(self, shape: Shape) -> usize {
        shape.batch.div_ceil(self.n) * self.per_sample(shape)
    }
}
