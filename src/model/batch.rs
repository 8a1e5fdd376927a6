//! The data of one training step.

use crate::model::Rectangle;
use crate::model::rectangles::PER_SAMPLE;
use std::borrow::Cow;

/// The fields x* of one step, and the noise of their observations.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// The fields x*, or what they are made from.
    pub truth: Truth,
    /// The noise n of the observation y* = P(x*) + n, `[batch, nx, ny]`; `None` where the observation is
    /// exact.
    pub noise: Option<Vec<f64>>,
}

/// The fields x* of one step, or what they are made from.
#[derive(Clone, Debug, PartialEq)]
pub enum Truth {
    /// Rectangles that the engine turns into fields, [`PER_SAMPLE`] for each sample.
    Rectangles(Vec<Rectangle>),
    /// The fields themselves, `[batch, nx, ny]`; the engine rounds them to the precision of the physics.
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

    /// The batch cut into `parts` of equally many samples, in order; a sample has `cells` cells. The batch
    /// itself where `parts` is 1.
    pub fn parts(&self, parts: usize, cells: usize) -> Vec<Cow<'_, Self>> {
        if parts == 1 {
            return vec![Cow::Borrowed(self)];
        }
        let samples = match &self.truth {
            Truth::Rectangles(rectangles) => rectangles.len() / PER_SAMPLE,
            Truth::Fields(fields) => fields.len() / cells,
        } / parts;
        let part = |i: usize| Self {
            truth: match &self.truth {
                Truth::Rectangles(all) => Truth::Rectangles(piece(all, i, samples * PER_SAMPLE)),
                Truth::Fields(all) => Truth::Fields(piece(all, i, samples * cells)),
            },
            noise: self.noise.as_ref().map(|all| piece(all, i, samples * cells)),
        };
        (0..parts).map(|i| Cow::Owned(part(i))).collect()
    }

    /// Some batches of one kind as one, in order.
    pub fn joined(batches: &[&Self]) -> Self {
        let truths = || batches.iter().map(|batch| &batch.truth);
        let rectangles = truths().filter_map(|truth| match truth {
            Truth::Rectangles(rectangles) => Some(&rectangles[..]),
            Truth::Fields(_) => None,
        });
        let fields = truths().filter_map(|truth| match truth {
            Truth::Fields(fields) => Some(&fields[..]),
            Truth::Rectangles(_) => None,
        });
        let truth = match batches.first().map(|batch| &batch.truth) {
            Some(Truth::Rectangles(_)) => Truth::Rectangles(rectangles.flatten().copied().collect()),
            _ => Truth::Fields(fields.flatten().copied().collect()),
        };
        let noise: Option<Vec<&[f64]>> = batches.iter().map(|batch| batch.noise.as_deref()).collect();
        Self { truth, noise: noise.map(|noise| noise.concat()) }
    }
}

/// Piece number i of `len` values.
fn piece<T: Clone>(values: &[T], i: usize, len: usize) -> Vec<T> {
    values[i * len..][..len].to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_hold_the_batch_in_order() {
        let values: Vec<f64> = (0..24).map(f64::from).collect();
        let batch = Batch { truth: Truth::Fields(values.clone()), noise: Some(values) };
        assert_eq!(*batch.parts(1, 4)[0], batch);
        let parts = batch.parts(3, 4);
        assert_eq!(Batch::joined(&parts.iter().map(|part| &**part).collect::<Vec<_>>()), batch);
        let firsts: Vec<f64> = parts.iter().map(|part| part.noise.as_ref().unwrap()[0]).collect();
        assert_eq!(firsts, [0.0, 8.0, 16.0]);
        assert!(parts.iter().all(|part| part.truth == Truth::Fields(part.noise.clone().unwrap())));

        let rectangles: Vec<Rectangle> =
            crate::model::rectangles::draw_batch(crate::model::rng::Purpose::Rectangles, 0, 0, 4, 8, 8);
        let halves = Batch::rectangles(rectangles.clone());
        let halves = halves.parts(2, 64);
        assert_eq!(Batch::joined(&[&halves[0], &halves[1]]), Batch::rectangles(rectangles.clone()));
        assert_eq!(halves[1].truth, Truth::Rectangles(rectangles[2 * PER_SAMPLE..].to_vec()));
    }
}
