//! The data of one training step.

use super::Rectangle;

/// x* of one step, and the noise of its observation.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// x*.
    pub truth: Truth,
    /// What the observation y* = P(x*) + n has beyond P(x*), `[batch, nx, ny]`; none: nothing.
    pub noise: Option<Vec<f64>>,
}

/// The fields x* of one step.
#[derive(Clone, Debug, PartialEq)]
pub enum Truth {
    /// To be rasterised, [`PER_SAMPLE`](super::rectangles::PER_SAMPLE) for each sample.
    Rectangles(Vec<Rectangle>),
    /// As they are, `[batch, nx, ny]`; rounded to the precision of the physics.
    Fields(Vec<f64>),
}

impl Batch {
    /// Rectangles with exact observations.
    pub fn rectangles(rectangles: Vec<Rectangle>) -> Self {
        Self { truth: Truth::Rectangles(rectangles), noise: None }
    }

    /// Fields with exact observations.
    pub fn fields(fields: Vec<f64>) -> Self {
        Self { truth: Truth::Fields(fields), noise: None }
    }
}
