//! Random hot rectangles, the ground truth x* of every training example (method §1).

use crate::model::rng::{Purpose, Random};

/// Rectangles per sample; those beyond a sample's random count have strength 0.
pub const PER_SAMPLE: usize = 10;

/// ρ = √(½² + ½²): half the diagonal of a unit cell, the width of the soft edge in cells (method §1).
pub const EDGE_WIDTH: f64 = std::f64::consts::FRAC_1_SQRT_2;

/// One axis-parallel hot rectangle; lengths in cells, component 0 along x.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Rectangle {
    /// Centre, in [0, number of cells along the axis].
    pub center: [f64; 2],
    /// Half the side lengths, in [0, 10) cells.
    pub half_size: [f64; 2],
    /// What is added inside, in units of the field, in [0, 1).
    pub strength: f64,
}

/// The rectangles of sample `sample` at step `step` of the run with this `seed`, on an `nx` × `ny` grid.
///
/// Each call draws from a stream of its own, so that any step can be drawn again without the steps before it.
pub fn draw(purpose: Purpose, seed: u64, step: u64, sample: u64, nx: usize, ny: usize) -> Vec<Rectangle> {
    let mut random = Random::new(purpose, seed, step, sample);
    let size = [nx as f64, ny as f64];
    let count = (4.0 + 7.0 * random.uniform()) as usize;
    let positions: Vec<[f64; 2]> =
        (0..PER_SAMPLE).map(|_| size.map(|n| (random.uniform() - 0.5) * n * 0.8 + n * 0.5)).collect();
    (0..PER_SAMPLE)
        .map(|i| {
            let half_size = [10.0 * random.uniform(), 10.0 * random.uniform()];
            let strength = random.uniform();
            Rectangle {
                // The upper bound comes first: on grids of fewer than 20 cells both may be active.
                center: [0, 1].map(|a| half_size[a].max(positions[i][a].min(size[a] - half_size[a]))),
                half_size,
                strength: if i < count { strength } else { 0.0 },
            }
        })
        .collect()
}

/// [`draw`] for a whole batch, `batch` × [`PER_SAMPLE`] rectangles in sample order.
pub fn draw_batch(
    purpose: Purpose,
    seed: u64,
    step: u64,
    batch: usize,
    nx: usize,
    ny: usize,
) -> Vec<Rectangle> {
    (0..batch as u64).flat_map(|sample| draw(purpose, seed, step, sample, nx, ny)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rectangles_stay_inside_and_counts_cover_four_to_ten() {
        let mut counts = [0; PER_SAMPLE + 1];
        for sample in 0..2000 {
            let rectangles = draw(Purpose::Rectangles, 0, 0, sample, 64, 32);
            counts[rectangles.iter().filter(|r| r.strength > 0.0).count()] += 1;
            for r in &rectangles {
                for (a, n) in [64.0, 32.0].into_iter().enumerate() {
                    assert!(r.center[a] - r.half_size[a] >= 0.0 && r.center[a] + r.half_size[a] <= n);
                }
            }
        }
        assert_eq!(counts[..4], [0; 4]);
        assert!(counts[4..].iter().all(|&c| c > 200), "{counts:?}");
    }

    #[test]
    fn a_step_can_be_drawn_alone() {
        let batch = draw_batch(Purpose::Rectangles, 5, 17, 3, 64, 64);
        assert_eq!(batch[2 * PER_SAMPLE..], draw(Purpose::Rectangles, 5, 17, 2, 64, 64));
    }
}
