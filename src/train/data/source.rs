//! Where the fields x* of a training run come from, and the noise of their observations.

use crate::engine::device::Device;
use crate::engine::operators::rasterise;
use crate::io::arrays::fingerprint::Fingerprint;
use crate::io::arrays::npy::{self, FieldData, Fields};
use crate::io::images::folder::LeftOut;
use crate::io::images::format::is_pictures;
use crate::model::rectangles::{PER_SAMPLE, draw_batch};
use crate::model::rng::{Purpose, Random};
use crate::model::{Batch, DType, Operator, Truth};
use crate::train::data::drawn::{draw_noise, observed, rasterised, take_means, without_mean};
use crate::train::data::picture_crops::Pictures;
use crate::{Result, cpu};
use rayon::prelude::*;
use std::path::Path;

/// A source of batches. Any step's batch can be asked for, in any order.
pub struct Data {
    /// The run's seed.
    pub seed: u64,
    /// Samples per step.
    pub batch: usize,
    /// Cells along x.
    pub nx: usize,
    /// Cells along y.
    pub ny: usize,
    /// The fields x*.
    pub truth: Source,
    /// What observations have beyond P(x*).
    pub noise: Noise,
    /// Whether x* has the mean 0: nothing is left of it in the observations of such an operator, and nobody
    /// can learn it.
    pub without_mean: bool,
}

/// Where x* comes from.
pub enum Source {
    /// Random rectangles, drawn anew for every step.
    Drawn,
    /// Fields from a file, batch after batch, wrapping around at the end.
    File(File),
    /// Random pieces of pictures, drawn anew for every step.
    Pictures(Pictures),
}

/// What observations have beyond P(x*).
pub enum Noise {
    /// Nothing: they are exact.
    None,
    /// Normal numbers of this standard deviation, drawn anew for every step.
    Drawn(f64),
    /// For every field of the file its own `[count, nx, ny]`.
    Measured(Vec<f64>),
}

/// Fields of a file and the order in which they are taken.
pub struct File {
    fields: Fields,
    /// The seed of the permutations; none: the file's order.
    shuffle: Option<u64>,
    /// A pass over the file and its order.
    order: (u64, Vec<usize>),
}

impl Data {
    /// What the file or the pictures hold; none for rectangles.
    pub fn fingerprint(&self) -> Option<Fingerprint> {
        match &self.truth {
            Source::Drawn => None,
            Source::File(file) => Some(Fingerprint::of_fields(&file.fields)),
            Source::Pictures(pictures) => Some(pictures.fingerprint.clone()),
        }
    }

    /// x* and noise of training step `step`, counted from 0.
    pub fn batch(&mut self, step: u64) -> Batch {
        let first = u128::from(step) * self.batch as u128;
        let positions = (0..self.batch).map(|i| first + i as u128);
        let indices = match &mut self.truth {
            Source::Drawn | Source::Pictures(_) => Vec::new(),
            Source::File(file) => positions.map(|position| file.at(position)).collect(),
        };
        self.take(&indices, [Purpose::Rectangles, Purpose::Crops, Purpose::Noise], step)
    }

    /// x* and noise of the pictures at the end: rectangles or pieces of pictures that no step has seen, or
    /// the file's first fields.
    pub fn examples(&mut self) -> Batch {
        let indices: Vec<usize> = match &self.truth {
            Source::Drawn | Source::Pictures(_) => Vec::new(),
            Source::File(file) => (0..self.batch).map(|i| i % file.fields.shape[0]).collect(),
        };
        self.take(&indices, [Purpose::Examples, Purpose::ExampleCrops, Purpose::ExampleNoise], 0)
    }

    /// The fields of a file at `indices`, or drawn ones.
    fn take(&self, indices: &[usize], [of_rectangles, of_crops, of_noise]: [Purpose; 3], step: u64) -> Batch {
        let &Self { seed, batch, nx, ny, .. } = self;
        let cells = nx * ny;
        let range = |&index: &usize| index * cells..(index + 1) * cells;
        let mut truth = match &self.truth {
            Source::Drawn => Truth::Rectangles(draw_batch(of_rectangles, seed, step, batch, nx, ny)),
            Source::Pictures(pictures) => {
                let crop = |sample| pictures.crop(of_crops, seed, step, sample, nx, ny);
                Truth::Fields((0..batch as u64).flat_map(crop).collect())
            }
            Source::File(file) => Truth::Fields(match &file.fields.data {
                FieldData::F32(values) => {
                    indices.iter().flat_map(|i| values[range(i)].iter().map(|&v| f64::from(v))).collect()
                }
                FieldData::F64(values) => indices.iter().flat_map(|i| &values[range(i)]).copied().collect(),
            }),
        };
        if self.without_mean {
            truth = without_mean(truth, nx, ny);
        }
        let noise = match &self.noise {
            Noise::None => None,
            Noise::Drawn(std) => Some(draw_noise(of_noise, seed, step, batch, cells, *std)),
            Noise::Measured(noise) => Some(indices.iter().flat_map(|i| &noise[range(i)]).copied().collect()),
        };
        Batch { truth, noise }
    }
}

impl Noise {
    /// Observations y `[count, nx, ny]` whose truth is unknown: with x* := y the residual y - P(x) equals
    /// P(x* - x) + n for n = y - P(y), whatever the truth is.
    pub fn of_observations(operator: &Operator, observations: &Fields) -> Self {
        let observations = observations.data.clone().into_f64();
        let mut noise = vec![0.0; observations.len()];
        cpu::heat::physics::Physics::<f64>::new(operator).diffuse(&observations, &mut noise);
        noise.par_iter_mut().zip(&observations).for_each(|(n, y)| *n = f64::from((y - *n) as f32));
        Self::Measured(noise)
    }
}

impl File {
    /// Fields in the file's order or, with a seed, in a new random order every pass.
    pub fn new(fields: Fields, shuffle: Option<u64>) -> Self {
        let order = (0..fields.shape[0]).collect();
        let mut file = Self { fields, shuffle, order: (0, order) };
        file.reorder(0);
        file
    }

    /// The index of the field at `position` of the endless sequence of passes.
    fn at(&mut self, position: u128) -> usize {
        let count = self.fields.shape[0] as u128;
        let (pass, index) = ((position / count) as u64, (position % count) as usize);
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

/// Fields x* that training does not see, `[count, nx, ny]`, and the noise of their observations.
pub struct HeldOut {
    /// x*.
    pub truth: Vec<f64>,
    noise: Option<Vec<f64>>,
    /// What the file or the pictures hold that they come from.
    pub(crate) fingerprint: Option<Fingerprint>,
    /// Members of a folder of pictures that are not among them.
    pub left_out: Vec<LeftOut>,
}

impl HeldOut {
    /// All fields of a file, or `count` pieces of pictures or rectangle fields that are the same for every
    /// run; with noise of this standard deviation, that is the same for every run too. With `strict` every
    /// member of a folder must be of use.
    ///
    /// # Errors
    /// Those of reading the file.
    pub fn new(
        file: Option<&Path>,
        count: usize,
        nx: usize,
        ny: usize,
        std: f64,
        strict: bool,
    ) -> Result<Self> {
        let mut left_out = Vec::new();
        let (truth, fingerprint) = match file {
            Some(path) if is_pictures(path) => {
                let mut pictures = Pictures::read(path, nx, ny, strict)?;
                left_out.append(&mut pictures.left_out);
                let crop = |sample| pictures.crop(Purpose::ValidationCrops, 0, 0, sample, nx, ny);
                ((0..count as u64).flat_map(crop).collect(), Some(pictures.fingerprint.clone()))
            }
            Some(path) => {
                // They are kept twice, and so is what is computed from them.
                let fields = npy::read_for(path, 4)?;
                let fingerprint = Fingerprint::of_fields(&fields);
                (fields.data.into_f64(), Some(fingerprint))
            }
            None => {
                let rectangles = draw_batch(Purpose::Validation, 0, 0, count, nx, ny);
                (rasterise(&Device::Cpu, DType::F64, &rectangles, PER_SAMPLE, nx, ny)?, None)
            }
        };
        let samples = truth.len() / (nx * ny);
        let noise = (std > 0.0).then(|| draw_noise(Purpose::ValidationNoise, 0, 0, samples, nx * ny, std));
        Ok(Self { truth, noise, fingerprint, left_out })
    }

    /// Fields of one batch, rasterised.
    pub(crate) fn of(batch: Batch, nx: usize, ny: usize) -> Result<Self> {
        let truth = rasterised(batch.truth, nx, ny);
        Ok(Self { truth, noise: batch.noise, fingerprint: None, left_out: Vec::new() })
    }

    /// The same for an operator: of fields whose mean it does not let through the mean is taken.
    pub(crate) fn seen_by(mut self, operator: &Operator) -> Self {
        if operator.loses_mean() {
            take_means(&mut self.truth, operator.cells());
        }
        self
    }

    /// y* = P(x*) + n in 32 bits, as the network sees it.
    pub fn observation(&self, operator: &Operator) -> Vec<f32> {
        observed(operator, &self.truth, self.noise.as_deref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Field i of `count` is filled with i.
    fn file(count: usize, batch: usize, shuffle: Option<u64>) -> Data {
        let data = FieldData::F32((0..4 * count).map(|i| (i / 4) as f32).collect());
        let fields = Fields { shape: [count, 2, 2], data, rank2: false };
        let truth = Source::File(File::new(fields, shuffle));
        Data { seed: 0, batch, nx: 2, ny: 2, truth, noise: Noise::None, without_mean: false }
    }

    fn numbers(batch: Batch) -> Vec<usize> {
        let Truth::Fields(values) = batch.truth else { panic!("fields were asked for") };
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

    #[test]
    fn drawn_noise_belongs_to_its_step_and_sample() {
        let mut data = Data {
            seed: 3,
            batch: 3,
            nx: 8,
            ny: 8,
            truth: Source::Drawn,
            noise: Noise::Drawn(0.1),
            without_mean: false,
        };
        let noise = |batch: Batch| batch.noise.unwrap();
        let (first, second, examples) = (noise(data.batch(0)), noise(data.batch(1)), noise(data.examples()));
        assert_eq!(first.len(), 3 * 64);
        assert_eq!(first, noise(data.batch(0)));
        assert_ne!(first[..64], first[64..128]);
        assert!(first != second && first != examples);
    }

    #[test]
    fn noise_of_observations_completes_their_diffusion_and_follows_their_order() {
        let operator = Operator::heat(8, 8, 0.3).unwrap();
        let mut random = Random::new(Purpose::Cases, 8, 0, 0);
        let values: Vec<f64> = (0..4 * 64).map(|_| random.uniform()).collect();
        let fields = Fields { shape: [4, 8, 8], data: FieldData::F64(values), rank2: false };
        let noise = Noise::of_observations(&operator, &fields);
        let truth = Source::File(File::new(fields, Some(1)));
        let batch = Data { seed: 0, batch: 3, nx: 8, ny: 8, truth, noise, without_mean: false }.batch(1);
        let Truth::Fields(observations) = batch.truth else { panic!("fields were asked for") };
        let mut again = vec![0.0; observations.len()];
        cpu::heat::physics::Physics::<f64>::new(&operator).diffuse(&observations, &mut again);
        for ((p, n), y) in again.iter().zip(batch.noise.unwrap()).zip(observations) {
            assert!((p + n - y).abs() < 1e-7);
        }
    }
}
