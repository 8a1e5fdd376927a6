//! Random rectangles as training data, wherever it runs.

use crate::cpu;
use crate::cpu::heat::physics::Physics;
use crate::cpu::reduce::mean;
use crate::model::rectangles::{PER_SAMPLE, draw_batch};
use crate::model::rng::Purpose;
use crate::model::{Batch, Operator, Truth, noise};
use crate::train::config::TrainConfig;
use crate::train::config::size::Size;
use rayon::prelude::*;

/// A source of batches of rectangles that are drawn anew for every step: those of a run with these settings
/// and neither data nor observations. Any step's batch can be asked for, in any order.
#[derive(Clone, Debug)]
pub struct Drawn {
    seed: u64,
    batch: usize,
    size: Size,
    /// The standard deviation of the noise.
    std: f64,
    /// Whether x* has the mean 0, since nothing is left of it in the observations.
    without_mean: bool,
}

impl Drawn {
    /// Data for `config`, observed by its `operator`.
    pub fn new(config: &TrainConfig, operator: &Operator) -> Self {
        let &TrainConfig { seed, batch, size, noise: std, .. } = config;
        Self { seed, batch, size, std, without_mean: operator.loses_mean() }
    }

    /// x* and noise of training step `step`, counted from 0.
    pub fn batch(&self, step: u64) -> Batch {
        self.take([Purpose::Rectangles, Purpose::Noise], step)
    }

    /// What `operator` observes of rectangles that no step has seen, `[batch, nx, ny]` in 32 bits.
    pub fn observed_examples(&self, operator: &Operator) -> Vec<f32> {
        let Size { nx, ny } = self.size;
        let batch = self.take([Purpose::Examples, Purpose::ExampleNoise], 0);
        observed(operator, &rasterised(batch.truth, nx, ny), batch.noise.as_deref())
    }

    fn take(&self, [of_rectangles, of_noise]: [Purpose; 2], step: u64) -> Batch {
        let &Self { seed, batch, size: Size { nx, ny }, std, without_mean } = self;
        let mut truth = Truth::Rectangles(draw_batch(of_rectangles, seed, step, batch, nx, ny));
        if without_mean {
            truth = self::without_mean(truth, nx, ny);
        }
        let noise = (std > 0.0).then(|| draw_noise(of_noise, seed, step, batch, nx * ny, std));
        Batch { truth, noise }
    }
}

/// The fields `[batch, nx, ny]` of a batch, in 64 bits.
pub(super) fn rasterised(truth: Truth, nx: usize, ny: usize) -> Vec<f64> {
    match truth {
        Truth::Fields(fields) => fields,
        Truth::Rectangles(list) => {
            let mut fields = vec![0.0; list.len() / PER_SAMPLE * nx * ny];
            let samples = fields.par_chunks_mut(nx * ny).zip(list.par_chunks(PER_SAMPLE));
            samples.for_each(|(field, list)| cpu::heat::rasterise::rasterise(list, nx, ny, field));
            fields
        }
    }
}

/// y* = P(x*) + n in 32 bits, as a network sees it, of fields x* `[count, nx, ny]`.
pub(super) fn observed(operator: &Operator, truth: &[f64], noise: Option<&[f64]>) -> Vec<f32> {
    let (physics, cells) = (Physics::<f64>::new(operator), operator.cells());
    let mut observation = vec![0.0; truth.len()];
    // Each alone: those that are transformed in pairs share their rounding.
    let samples = observation.par_chunks_exact_mut(cells).zip(truth.par_chunks_exact(cells));
    samples.for_each(|(y, x)| physics.diffuse(x, y));
    observation.iter_mut().zip(noise.unwrap_or_default()).for_each(|(y, n)| *y += n);
    observation.into_iter().map(|y| y as f32).collect()
}

/// The same fields with the mean 0.
pub(super) fn without_mean(truth: Truth, nx: usize, ny: usize) -> Truth {
    let mut fields = rasterised(truth, nx, ny);
    take_means(&mut fields, nx * ny);
    Truth::Fields(fields)
}

/// Takes from every field its mean.
pub(super) fn take_means(fields: &mut [f64], cells: usize) {
    for field in fields.chunks_exact_mut(cells) {
        let mean = mean(field);
        field.iter_mut().for_each(|v| *v -= mean);
    }
}

/// [`noise::draw`] for `samples` samples, `[samples, cells]`.
pub(super) fn draw_noise(
    purpose: Purpose,
    seed: u64,
    step: u64,
    samples: usize,
    cells: usize,
    std: f64,
) -> Vec<f64> {
    let draw = |sample| noise::draw(purpose, seed, step, sample, cells, std);
    let samples: Vec<Vec<f64>> = (0..samples as u64).into_par_iter().map(draw).collect();
    samples.concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::operator::formula::Formula;

    /// A browser learns from the same numbers as the command line.
    #[test]
    fn batches_are_those_of_a_plan() {
        let small = TrainConfig {
            seed: 3,
            batch: 2,
            size: Size { nx: 16, ny: 32 },
            levels: 2,
            ..TrainConfig::default()
        };
        let poisson: Formula = "poisson".parse().unwrap();
        for config in [
            small.clone(),
            TrainConfig { noise: 1e-2, ..small.clone() },
            TrainConfig { operator: Some(poisson), noise: 1e-3, ..small },
        ] {
            let mut plan = config.plan().unwrap();
            let drawn = Drawn::new(&config, &plan.step.operator);
            for step in [0, 1, 7] {
                assert_eq!(drawn.batch(step), plan.data.batch(step), "step {step}");
            }
            let trained_for = plan.trained_for().unwrap();
            let operator = &plan.step.operator;
            let observed = drawn.observed_examples(operator);
            assert_eq!(crate::model::TrainedFor::of(&observed, operator, config.noise), trained_for);
            assert_eq!(config.spec().unwrap().net.param_count, plan.step.net.param_count);
        }
    }
}
