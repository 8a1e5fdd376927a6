//! Batch and grid of one level of the network, and how its layers lie in memory.

/// Batch and grid of a layer. Sides are powers of two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Samples.
    pub batch: usize,
    /// Cells along x at this layer's level.
    pub nx: usize,
    /// Cells along y.
    pub ny: usize,
}

impl Shape {
    /// Cells per sample and channel.
    pub fn cells(&self) -> usize {
        self.nx * self.ny
    }

    /// Cells of a stored row: kernels read four at a time, so rows of fewer are padded.
    pub fn row(&self) -> usize {
        self.ny.max(4)
    }

    /// Elements of an array `[batch, channels, nx, row]`.
    pub fn stored(&self, channels: usize) -> usize {
        self.batch * channels * self.nx * self.row()
    }

    /// Values per channel of a batch.
    pub fn values(&self) -> usize {
        self.batch * self.cells()
    }

    /// The level below, with half the cells along each axis.
    pub fn coarser(&self) -> Self {
        Self { nx: self.nx / 2, ny: self.ny / 2, ..*self }
    }

    /// The level above.
    pub fn finer(&self) -> Self {
        Self { nx: 2 * self.nx, ny: 2 * self.ny, ..*self }
    }
}
