//! What a measurement tells of itself: its noise, the spectrum of what was measured, its edges.

pub mod amount;
pub mod edges;
pub mod noise;
pub mod signal;
pub mod spectrum;
pub(in crate::restore) mod unit;

pub use noise::{NoiseLevel, Source};
pub use spectrum::Spectrum;

/// At most so many of the fields y `[batch, cells]`, from all over the batch; if there are others, none that
/// is the same everywhere and tells nothing.
pub fn some(y: &[f64], cells: usize, most: usize) -> Vec<f64> {
    let varies = |field: &&[f64]| field.iter().any(|value| *value != field[0]);
    let varied: Vec<&[f64]> = y.chunks_exact(cells).filter(varies).collect();
    let all = if varied.is_empty() { vec![&y[..cells]] } else { varied };
    all.iter().step_by(all.len().div_ceil(most)).flat_map(|field| field.iter().copied()).collect()
}
