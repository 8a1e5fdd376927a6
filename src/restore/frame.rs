//! What lies beyond the edges of fields, and how fields that go on in an unknown way are worked on.

use crate::cpu::reduce::mean;
use crate::engine::Device;
use crate::model::DType;
use crate::model::operator::factor::Factor;
use crate::restore::blur::Blur;
use crate::restore::measurement::NoiseLevel;
use crate::restore::measurement::spectrum::Analyser;
use crate::restore::methods::Classic;
use crate::restore::spectral::grid::{Edges, Grid};
use crate::{Error, Result};
use rayon::prelude::*;
use std::borrow::Cow;

/// What lies beyond a field's edges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beyond {
    /// The other side of the field.
    Periodic,
    /// Its mirror image.
    Insulated,
    /// Nobody knows what: something that goes on smoothly.
    Open,
}

impl Beyond {
    /// What suits a picture that was blurred by these factors: edges that act as mirrors, where mirrors do
    /// not change the operator.
    pub fn of_pictures(factors: &[Factor]) -> Self {
        if factors.iter().all(Factor::is_mirrored) { Self::Insulated } else { Self::Open }
    }
}

/// Fields of one size and what lies beyond their edges.
///
/// A field with open edges is widened: its mirror images beyond opposite edges pass into each other, so
/// that the whole is smooth and periodic. The margin is as wide as the operator reaches, twice. An
/// observation that goes on like this is none that the operator would make, so [`Frame::observed`] makes it
/// one. What comes back near an edge is a guess all the same.
#[derive(Clone, Copy, Debug)]
pub struct Frame {
    size: [usize; 2],
    outer: [usize; 2],
    edges: Edges,
}

/// How often an observation is restored at most to know its margin, and how often if it is [`LARGE`].
const ROUNDS: usize = 40;
const FEW: usize = 10;

/// Observations of more cells than this take seconds per round.
const LARGE: usize = 1 << 22;

/// The part of a field's spread that its margin is known to at best.
const MARGIN_KNOWN: f64 = 1e-3;

/// A margin has settled where it moves by less than this part of the noise.
const SETTLED: f64 = 0.03;

/// The narrowest margin of open edges, in cells.
const NARROWEST: usize = 16;

impl Frame {
    /// For fields of `size` that these factors observe.
    pub fn new(size: [usize; 2], beyond: Beyond, factors: &[Factor]) -> Self {
        match beyond {
            Beyond::Periodic => Self { size, outer: size, edges: Edges::Periodic },
            Beyond::Insulated => Self { size, outer: size, edges: Edges::Insulated },
            Beyond::Open => {
                let reach: f64 = factors.iter().map(Factor::reach).sum();
                let outer = size.map(|n| {
                    let margin = ((2.0 * reach).ceil() as usize).clamp(NARROWEST.min(n), n);
                    smooth(n + margin).min(2 * n)
                });
                Self { size, outer, edges: Edges::Periodic }
            }
        }
    }

    /// The operator on the fields as they are worked on.
    ///
    /// # Errors
    /// Those of [`Blur::by`]; [`Error::Usage`] where a field with open edges shows nothing of what was moved.
    pub fn blur(&self, device: &Device, precision: DType, factors: &[Factor]) -> Result<Blur> {
        let shorter = self.size[0].min(self.size[1]) as f64;
        let leaves = |factor: &&Factor| match factor {
            Factor::Motion(_) | Factor::Advection(_) => factor.reach() >= shorter,
            _ => false,
        };
        if let Some(factor) = factors.iter().find(leaves).filter(|_| self.size != self.outer) {
            let [nx, ny] = self.size;
            return Err(Error::usage(format!(
                "operator {factor}: reaches beyond the whole field of {nx}x{ny} cells"
            )));
        }
        Blur::by(device, precision, self.outer, factors, self.edges)
    }

    /// The grid of a field by itself, without a margin.
    ///
    /// # Errors
    /// [`Error::Usage`] for a size that no grid has.
    pub fn grid(&self) -> Result<Grid> {
        let is_whole = self.edges == Edges::Periodic && self.size == self.outer;
        Grid::new(self.size[0], self.size[1], if is_whole { Edges::Periodic } else { Edges::Insulated })
    }

    /// Cells of a field as it is worked on.
    pub fn cells(&self) -> usize {
        self.outer[0] * self.outer[1]
    }

    /// Fields `[batch, nx, ny]` as they are worked on.
    pub fn widened<'a>(&self, fields: &'a [f64]) -> Cow<'a, [f64]> {
        let ([nx, ny], [wide_x, wide_y]) = (self.size, self.outer);
        if self.size == self.outer {
            return Cow::Borrowed(fields);
        }
        let widen = |field: &[f64]| -> Vec<f64> {
            let mut wide = vec![0.0; wide_x * wide_y];
            for (row, own) in wide.chunks_exact_mut(wide_y).zip(field.chunks_exact(ny)) {
                row[..ny].copy_from_slice(own);
                (ny..wide_y).for_each(|j| row[j] = beyond(ny, wide_y, j, |at| own[at]));
            }
            let (own, margin) = wide.split_at_mut(nx * wide_y);
            for (i, row) in margin.chunks_exact_mut(wide_y).enumerate() {
                for (j, value) in row.iter_mut().enumerate() {
                    *value = beyond(nx, wide_x, nx + i, |at| own[at * wide_y + j]);
                }
            }
            wide
        };
        Cow::Owned(fields.par_chunks_exact(nx * ny).flat_map_iter(widen).collect())
    }

    /// What is uncertain in a cell of these observations besides their noise: the rounding of their
    /// numbers, and with open edges that a margin is not known better than to a part of the field's spread.
    /// No method may believe more digits of it.
    pub fn rounding(&self, y: &[f64], rounding: f64) -> f64 {
        if self.size == self.outer {
            return rounding;
        }
        let mean = mean(y);
        let spread = (y.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / y.len() as f64).sqrt();
        rounding.hypot(MARGIN_KNOWN * spread)
    }

    /// Observations `[batch, nx, ny]` as they are worked on. What lies in a margin was not observed: it is
    /// made to be what the operator would make of a restoration, and the whole is restored again, until the
    /// margin moves by less than the noise does. Without that a restoration of motion blur at noise 1e-3 is
    /// 7 dB worse (docs/operators.md).
    ///
    /// # Errors
    /// Those of [`Classic::restore`].
    pub fn observed<'a>(
        &self,
        blur: &Blur,
        noise: NoiseLevel,
        rounding: f64,
        y: &'a [f64],
    ) -> Result<Cow<'a, [f64]>> {
        let wide = self.widened(y);
        if self.size == self.outer {
            return Ok(wide);
        }
        let mut wide = wide.into_owned();
        let (analyser, seen_by) = (Analyser::new(blur), blur.turning(|_, wave| wave.size()));
        let rounds = if self.cells() > LARGE { FEW } else { ROUNDS };
        for sample in wide.chunks_exact_mut(self.cells()) {
            let mut last = f64::INFINITY;
            for _ in 0..rounds {
                let (x, restored) = Classic::Wiener.restore_one(blur, &analyser, noise, rounding, sample)?;
                let before = sample.to_vec();
                let moved = self.replace_margin(sample, &blur.filter(&x, &seen_by)?);
                if moved > 2.0 * last {
                    sample.copy_from_slice(&before); // it would not settle
                    break;
                }
                if moved <= SETTLED * restored.spectrum.noise {
                    break;
                }
                last = moved;
            }
        }
        Ok(Cow::Owned(wide))
    }

    /// Takes the margin of another field, and returns the root mean square of what that changes.
    fn replace_margin(&self, field: &mut [f64], other: &[f64]) -> f64 {
        let ([nx, ny], [_, wide_y]) = (self.size, self.outer);
        let (mut squares, mut count) = (0.0, 0.0);
        for (i, (row, other)) in field.chunks_exact_mut(wide_y).zip(other.chunks_exact(wide_y)).enumerate() {
            let from = if i < nx { ny } else { 0 };
            for (value, other) in row[from..].iter_mut().zip(&other[from..]) {
                squares += (*value - other).powi(2);
                count += 1.0;
                *value = *other;
            }
        }
        (squares / count).sqrt()
    }

    /// The own part of fields that were worked on.
    pub fn cropped(&self, fields: Vec<f64>) -> Vec<f64> {
        let ([nx, ny], [wide_x, wide_y]) = (self.size, self.outer);
        if self.size == self.outer {
            return fields;
        }
        let rows = |field: &[f64]| -> Vec<f64> {
            field.chunks_exact(wide_y).take(nx).flat_map(|row| &row[..ny]).copied().collect()
        };
        fields.par_chunks_exact(wide_x * wide_y).flat_map_iter(rows).collect()
    }
}

/// The value at `place`, from `n` on and below `wide`, between the mirror images at both ends of a line of
/// `n` values that is one of `wide` values which repeats: the nearer one counts more, by 3t² - 2t³.
fn beyond(n: usize, wide: usize, place: usize, own: impl Fn(usize) -> f64) -> f64 {
    let (after_last, before_first) = (place - n, wide - 1 - place);
    let t = (after_last as f64 + 1.0) / (wide - n + 1) as f64;
    let weight = t * t * (3.0 - 2.0 * t);
    (1.0 - weight) * own(n - 1 - after_last) + weight * own(before_first)
}

/// The next number that has no prime factor above 5, which Fourier transforms are fast for.
fn smooth(n: usize) -> usize {
    let is_smooth = |n: &usize| {
        let mut rest = *n;
        for prime in [2, 3, 5] {
            while rest.is_multiple_of(prime) {
                rest /= prime;
            }
        }
        rest == 1
    };
    (n.max(1)..).find(is_smooth).unwrap_or(n)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn open_edges_are_continued_and_taken_off_again() {
        let factors = [Factor::Motion([9.0, 30.0])];
        assert_eq!(Beyond::of_pictures(&factors), Beyond::Open);
        assert_eq!(Beyond::of_pictures(&[Factor::Disk(2.0)]), Beyond::Insulated);
        for size in [[1, 1], [7, 40], [50, 33]] {
            let field: Vec<f64> = (0..2 * size[0] * size[1]).map(|i| (i / size[1]) as f64).collect();
            let frame = Frame::new(size, Beyond::Open, &factors);
            let wide = frame.widened(&field).into_owned();
            assert_eq!(wide.len(), 2 * frame.cells());
            // Along x the field rises by 1 per cell, and beyond its end it falls back without a jump.
            if size[0] == 50 {
                let column: Vec<f64> =
                    wide.iter().step_by(frame.outer[1]).take(frame.outer[0]).copied().collect();
                let steepest = (0..column.len()).map(|i| (column[i] - column[(i + 1) % column.len()]).abs());
                assert!(steepest.fold(0.0, f64::max) < 6.0);
                assert_eq!((column[50], column[49]), (column[50], 49.0));
            }
            assert_eq!(frame.cropped(wide), field);
            assert!(matches!(Frame::new(size, Beyond::Periodic, &factors).widened(&field), Cow::Borrowed(_)));
        }
    }

    #[test]
    fn sizes_are_made_smooth() {
        assert_eq!([1, 7, 11, 13, 121, 257].map(smooth), [1, 8, 12, 15, 125, 270]);
    }
}
