//! The data of one training step.

use super::Rectangle;

/// x* of one step.
#[derive(Clone, Debug, PartialEq)]
pub enum Batch {
    /// To be rasterised, [`PER_SAMPLE`](super::rectangles::PER_SAMPLE) for each sample.
    Rectangles(Vec<Rectangle>),
    /// As they are, `[batch, nx, ny]`; rounded to the precision of the physics.
    Fields(Vec<f64>),
}
