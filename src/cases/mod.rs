//! The one case list: every stage with its shapes, the GPU call, the CPU reference in f64 and the tolerance.
//! The tests, `unheat check` and the page run it. Nothing waits here: who runs a case drives its future.

mod bias;
mod ceilings;
mod convolution;
mod gradients;
mod layers;
mod network;
mod optimiser;
pub(crate) mod physics;
mod pivot;
mod res_block;
mod step;
mod together;
mod training;

pub use training::{of_inference, of_step};

use crate::Result;
use crate::gpu::{Gpu, Recorder, Tensor, Variants};
use crate::model::DType;
use crate::model::rng::{Purpose, Random};
use std::cell::LazyCell;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

/// One stage on one shape.
pub struct Case {
    /// The kernel or stage, with its variant.
    pub name: String,
    /// Batch, channels and grid, as text.
    pub shape: String,
    /// Largest relative error ‖out - ref‖/‖ref‖ of any output.
    pub tolerance: f64,
    /// What the kernels compute in; adapters without 64-bit floats skip the cases that need them.
    pub precision: DType,
    /// How the kernels store activations; adapters without 16-bit floats skip the cases that need them.
    pub storage: DType,
    /// Whether the kernel exists in variants that are tuned.
    pub tunable: bool,
    /// Cuts the outputs of both sides into the parts that are compared one by one.
    split: Split,
    run: Run,
    reference: LazyCell<Vec<Vec<f64>>, Reference>,
}

/// Splits outputs into parts, since an error in small numbers would hide in one norm over them and large
/// ones.
type Split = Box<dyn Fn(Vec<Vec<f64>>) -> Vec<Vec<f64>>>;

/// Computes the outputs on the CPU in f64, at most once.
type Reference = Box<dyn FnOnce() -> Vec<Vec<f64>>>;

/// Computes the outputs on a GPU.
type Run = Box<dyn Fn(Arc<Gpu>) -> Outputs>;

/// Outputs that a GPU is computing.
type Outputs = Pin<Box<dyn Future<Output = Result<Vec<Vec<f64>>>>>>;

impl Case {
    /// A case in 32 bits that compares whole outputs: `run` computes them on a GPU, `reference` on the CPU in
    /// f64.
    fn new(
        name: &str,
        shape: String,
        tolerance: f64,
        run: impl Fn(Arc<Gpu>) -> Outputs + 'static,
        reference: impl FnOnce() -> Vec<Vec<f64>> + 'static,
    ) -> Self {
        Self {
            name: name.to_owned(),
            shape,
            tolerance,
            precision: DType::F32,
            storage: DType::F32,
            tunable: false,
            split: Box::new(|outputs| outputs),
            run: Box::new(run),
            reference: LazyCell::new(Box::new(reference)),
        }
    }

    /// Runs both sides and returns the largest relative error over the outputs. `perturb` spoils the first
    /// number of each output, to show that the comparison notices.
    ///
    /// # Errors
    /// Those of the stage.
    pub async fn error(&self, gpu: &Arc<Gpu>, perturb: bool) -> Result<f64> {
        let reference = (self.split)(self.reference.clone());
        let mut outputs = (self.split)(self.outputs(gpu).await?);
        assert_eq!(outputs.len(), reference.len(), "{}: outputs and references differ in number", self.name);
        let mut worst = 0.0;
        for (output, reference) in outputs.iter_mut().zip(&reference) {
            if perturb {
                output[0] += 1e-2 * (1.0 + norm(reference));
            }
            let error = relative_error(output, reference);
            // Not max(), which would drop a NaN.
            if error.is_nan() || error > worst {
                worst = error;
            }
        }
        Ok(worst)
    }

    /// What the GPU computes, compared with nothing.
    ///
    /// # Errors
    /// Those of the stage.
    pub async fn outputs(&self, gpu: &Arc<Gpu>) -> Result<Vec<Vec<f64>>> {
        (self.run)(gpu.clone()).await
    }

    /// As [`Case::error`], the largest with these variants in force; of a kernel that is tuned, with all
    /// that was chosen for any of its work: the case's own is smaller than that of a training step.
    ///
    /// # Errors
    /// Those of the stage.
    pub async fn error_in(&self, gpu: &Arc<Gpu>, variants: &Variants, perturb: bool) -> Result<f64> {
        gpu.set_variants(variants.clone());
        let mut worst = self.error(gpu, perturb).await?;
        let rounds = if self.tunable { variants.rounds() } else { Vec::new() };
        for round in rounds {
            gpu.set_variants(round);
            let error = self.error(gpu, perturb).await?;
            // Not max(): a NaN must win.
            if error.is_nan() || error > worst {
                worst = error;
            }
        }
        gpu.set_variants(variants.clone());
        Ok(worst)
    }

    /// Divides the GPU's first `outputs` outputs by `scale`.
    fn scaled(mut self, scale: f64, outputs: usize) -> Self {
        let run = self.run;
        self.run = Box::new(move |gpu| {
            let computing = run(gpu);
            Box::pin(async move {
                let mut all = computing.await?;
                all.iter_mut().take(outputs).flatten().for_each(|v| *v /= scale);
                Ok(all)
            })
        });
        self
    }

    /// Compares what `split` makes of the outputs, or of what an earlier one made of them.
    fn split_by(mut self, split: impl Fn(Vec<Vec<f64>>) -> Vec<Vec<f64>> + 'static) -> Self {
        let before = self.split;
        self.split = Box::new(move |outputs| split(before(outputs)));
        self
    }

    /// What the case needs and `gpu` does not have, in words.
    pub fn missing(&self, gpu: &Gpu) -> Option<&'static str> {
        if !gpu.computes_in(self.precision) {
            Some("64-bit floats in shaders")
        } else if !gpu.stores_in(self.storage) {
            Some("16-bit floats in shaders")
        } else {
            None
        }
    }

    /// The same case with this storage of activations; 16 bits add a suffix to the name.
    fn stored_in(mut self, storage: DType) -> Self {
        self.storage = storage;
        if storage == DType::F16 {
            self.name += "/f16";
        }
        self
    }

    /// The same case computed in this precision; 64 bits add a suffix to the name.
    fn computed_in(mut self, precision: DType) -> Self {
        self.precision = precision;
        if precision == DType::F64 {
            self.name += "/f64";
        }
        self
    }

    /// The same case, of a kernel that exists in variants that are tuned.
    fn tunable(mut self) -> Self {
        self.tunable = true;
        self
    }

    /// Whether it is a whole training step, and no single stage.
    pub fn is_step(&self) -> bool {
        self.name.starts_with("step/")
    }

    /// The largest error that is no sign of a kernel that is wrong: tolerances are made for `check`, hardware
    /// rounds in many ways, and who writes nothing has an error of 1.
    pub fn margin(&self) -> f64 {
        (10.0 * self.tolerance).min(0.3)
    }

    /// Whether `error` passes; NaN does not.
    pub fn passes(&self, error: f64) -> bool {
        error <= self.tolerance
    }
}

/// ‖out - ref‖/‖ref‖, or ‖out‖ where the reference is zero. Different lengths are infinitely wrong.
pub fn relative_error(output: &[f64], reference: &[f64]) -> f64 {
    if output.len() != reference.len() {
        return f64::INFINITY;
    }
    let squares: f64 = output.iter().zip(reference).map(|(&o, r)| (o - r).powi(2)).sum();
    let scale = norm(reference);
    squares.sqrt() / if scale > 0.0 { scale } else { 1.0 }
}

fn norm(values: &[f64]) -> f64 {
    values.iter().map(|v| v * v).sum::<f64>().sqrt()
}

/// Every case.
pub fn all() -> Vec<Case> {
    [
        physics::cases(),
        convolution::cases(),
        bias::cases(),
        network::cases(),
        pivot::cases(),
        res_block::cases(),
        optimiser::cases(),
        together::cases(),
        step::cases(),
        ceilings::cases(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Builds a case: `prepare` records the stage and returns its outputs, `reference` computes the same in f64.
pub fn recorded(
    name: &str,
    shape: String,
    tolerance: f64,
    prepare: impl Fn(&mut Recorder) -> Result<Vec<Tensor>> + 'static,
    reference: impl FnOnce() -> Vec<Vec<f64>> + 'static,
) -> Case {
    let submit = move |gpu: &Gpu| {
        let mut recorder = Recorder::new(gpu);
        let outputs = prepare(&mut recorder)?;
        recorder.finish().submit(gpu);
        Ok(outputs)
    };
    submitted(name, shape, tolerance, submit, reference)
}

/// As [`recorded`], of a stage that `submit` runs in its own way.
fn submitted(
    name: &str,
    shape: String,
    tolerance: f64,
    submit: impl Fn(&Gpu) -> Result<Vec<Tensor>> + 'static,
    reference: impl FnOnce() -> Vec<Vec<f64>> + 'static,
) -> Case {
    let run = move |gpu: Arc<Gpu>| -> Outputs {
        let tensors = submit(&gpu);
        Box::pin(async move {
            let mut outputs = Vec::new();
            for tensor in &tensors? {
                outputs.push(gpu.fetch_f64(tensor).await?);
            }
            Ok(outputs)
        })
    };
    Case::new(name, shape, tolerance, run, reference)
}

/// [`recorded`] for a stage that exists in both precisions, with a tolerance for 32 and one for 64 bits.
fn recorded_in(
    precision: DType,
    name: &str,
    shape: String,
    tolerance: [f64; 2],
    prepare: impl Fn(&mut Recorder) -> Result<Vec<Tensor>> + 'static,
    reference: impl FnOnce() -> Vec<Vec<f64>> + 'static,
) -> Case {
    let tolerance = match precision {
        DType::F16 | DType::F32 => tolerance[0],
        DType::F64 => tolerance[1],
    };
    recorded(name, shape, tolerance, prepare, reference).computed_in(precision)
}

/// [`garbage`] of this type; in 16 bits it is infinite.
fn garbage_in(gpu: &Gpu, label: &str, len: usize, element: DType) -> Result<Tensor> {
    gpu.table(label, &vec![-1.2345e6; len], element)
}

/// `len` numbers in [-1, 1), different for every stream.
pub fn noise(stream: u64, len: usize) -> Vec<f32> {
    let mut random = Random::new(Purpose::Cases, 0, stream, 0);
    (0..len).map(|_| random.between(-1.0, 1.0) as f32).collect()
}

/// The same numbers in 64 bits.
pub fn widen(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&v| f64::from(v)).collect()
}

/// An output full of garbage, so that an element that the kernel does not write shows.
pub fn garbage(gpu: &Gpu, label: &str, len: usize) -> Result<Tensor> {
    gpu.tensor_from(label, &vec![-1.2345e6; len])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_comparison_fails_on_perturbed_missing_and_undefined_values() {
        let reference = widen(&noise(0, 1000));
        let good = widen(&noise(0, 1000));
        assert_eq!(relative_error(&good, &reference), 0.0);
        let mut spoiled = good.clone();
        spoiled[500] += 1e-3;
        assert!(relative_error(&spoiled, &reference) > 1e-5);
        assert_eq!(relative_error(&good[1..], &reference), f64::INFINITY);
        spoiled[0] = f64::NAN;
        let error = relative_error(&spoiled, &reference);
        assert!(error.is_nan(), "and NaN passes no tolerance");
    }
}
