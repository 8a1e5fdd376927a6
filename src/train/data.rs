//! Where the fields x* of a training run come from: drawn rectangles, or a file.

use super::compute::Compute;
use super::fields::rasterised;
use crate::Result;
use crate::io::npy::{self, FieldData, Fields};
use crate::model::rectangles::{PER_SAMPLE, draw_batch};
use crate::model::rng::{Purpose, Random};
use crate::model::{Batch, Precision};
use std::path::Path;

/// A source of batches. Any step's batch can be asked for, in any order.
pub enum Data {
    /// Random rectangles, drawn anew for every step.
    Drawn(Drawn),
    /// Fields from a file, batch after batch, wrapping around at the end.
    File(File),
}

/// What random rectangles depend on besides the step.
pub struct Drawn {
    /// The run's seed.
    pub seed: u64,
    /// Samples per step.
    pub batch: usize,
    /// Cells along x.
    pub nx: usize,
    /// Cells along y.
    pub ny: usize,
}

/// Fields of a file and the order in which they are taken.
pub struct File {
    fields: Fields,
    batch: usize,
    /// The seed of the permutations; none: the file's order.
    shuffle: Option<u64>,
    /// A pass over the file and its order.
    order: (u64, Vec<usize>),
}

impl Data {
    /// x* of training step `step`, counted from 0.
    pub fn batch(&mut self, step: u64) -> Batch {
        match self {
            Self::Drawn(drawn) => drawn.batch(Purpose::Rectangles, step),
            Self::File(file) => {
                let first = u128::from(step) * file.batch as u128;
                Batch::Fields(file.take((0..file.batch).map(|i| first + i as u128), true))
            }
        }
    }

    /// x* of the pictures at the end: rectangles that no step has seen, or the file's first fields.
    pub fn examples(&mut self) -> Batch {
        match self {
            Self::Drawn(drawn) => drawn.batch(Purpose::Examples, 0),
            Self::File(file) => Batch::Fields(file.take((0..file.batch).map(|i| i as u128), false)),
        }
    }
}

impl Drawn {
    fn batch(&self, purpose: Purpose, step: u64) -> Batch {
        Batch::Rectangles(draw_batch(purpose, self.seed, step, self.batch, self.nx, self.ny))
    }
}

impl File {
    /// Batches of `batch` fields, in the file's order or, with a seed, in a new random order every pass.
    pub fn new(fields: Fields, batch: usize, shuffle: Option<u64>) -> Self {
        let order = (0..fields.shape[0]).collect();
        let mut file = Self { fields, batch, shuffle, order: (0, order) };
        file.reorder(0);
        file
    }

    /// The fields at `positions` of the endless sequence of passes.
    fn take(&mut self, positions: impl Iterator<Item = u128>, shuffled: bool) -> Vec<f64> {
        let [count, nx, ny] = self.fields.shape;
        let cells = nx * ny;
        let mut batch = Vec::with_capacity(self.batch * cells);
        for position in positions {
            let (pass, index) = ((position / count as u128) as u64, (position % count as u128) as usize);
            let index = if shuffled { self.at(pass, index) } else { index };
            let range = index * cells..(index + 1) * cells;
            match &self.fields.data {
                FieldData::F32(values) => batch.extend(values[range].iter().map(|&v| f64::from(v))),
                FieldData::F64(values) => batch.extend_from_slice(&values[range]),
            }
        }
        batch
    }

    fn at(&mut self, pass: u64, index: usize) -> usize {
        if self.order.0 != pass {
            self.reorder(pass);
        }
        self.order.1[index]
    }

    /// Fisher and Yates, from a stream of its own for every pass.
    fn reorder(&mut self, pass: u64) {
        let Some(seed) = self.shuffle else { return };
        let mut random = Random::new(Purpose::Shuffle, seed, pass, 0);
        let mut order: Vec<usize> = (0..self.fields.shape[0]).collect();
        for i in (1..order.len()).rev() {
            order.swap(i, (random.uniform() * (i + 1) as f64) as usize);
        }
        self.order = (pass, order);
    }
}

/// x* of the fields that training never sees, `[count, nx, ny]`: those of the file, or `count` drawn ones, which
/// depend on no seed.
///
/// # Errors
/// Those of reading the file.
pub fn held_out(file: Option<&Path>, count: usize, nx: usize, ny: usize) -> Result<Vec<f64>> {
    if let Some(path) = file {
        return Ok(match npy::read(path)?.data {
            FieldData::F32(values) => values.into_iter().map(f64::from).collect(),
            FieldData::F64(values) => values,
        });
    }
    let rectangles = draw_batch(Purpose::Validation, 0, 0, count, nx, ny);
    rasterised(&Compute::Cpu, Precision::F64, &rectangles, PER_SAMPLE, nx, ny)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Field i of `count` is filled with i.
    fn file(count: usize, batch: usize, shuffle: Option<u64>) -> Data {
        let data = FieldData::F32((0..4 * count).map(|i| (i / 4) as f32).collect());
        let fields = Fields { shape: [count, 2, 2], data, rank2: false };
        Data::File(File::new(fields, batch, shuffle))
    }

    fn numbers(batch: Batch) -> Vec<usize> {
        let Batch::Fields(values) = batch else { panic!("fields were asked for") };
        let same = values.as_chunks::<4>().0.iter().all(|field| field.iter().all(|v| *v == field[0]));
        assert!(same, "{values:?}");
        values.iter().step_by(4).map(|&v| v as usize).collect()
    }

    #[test]
    fn fields_come_in_order_and_wrap_around() {
        let mut data = file(5, 3, None);
        let steps: Vec<_> = (0..4).map(|step| numbers(data.batch(step))).collect();
        assert_eq!(steps, [[0, 1, 2], [3, 4, 0], [1, 2, 3], [4, 0, 1]]);
        assert_eq!(numbers(file(2, 5, None).batch(1)), [1, 0, 1, 0, 1]);
        assert_eq!(numbers(data.batch(1)), [3, 4, 0]);
    }

    #[test]
    fn every_shuffled_pass_is_a_new_permutation_of_the_seed() {
        let all = |seed| -> Vec<usize> {
            let mut data = file(10, 4, Some(seed));
            (0..5).flat_map(|step| numbers(data.batch(step))).collect()
        };
        let order = all(1);
        for pass in order.chunks(10) {
            let mut sorted = pass.to_vec();
            sorted.sort_unstable();
            assert_eq!(sorted, (0..10).collect::<Vec<_>>());
        }
        assert_ne!(order[..10], order[10..]);
        assert_ne!(order[..10], (0..10).collect::<Vec<_>>());
        assert_eq!(order, all(1));
        assert_ne!(order, all(2));
        // Examples are the file's first fields all the same.
        assert_eq!(numbers(file(10, 4, Some(1)).examples()), [0, 1, 2, 3]);
        // A step alone draws as in the sequence.
        assert_eq!(numbers(file(10, 4, Some(1)).batch(3)), order[12..16]);
    }
}
