//! The whole training step beside the f64 reference: losses, gradients, and weights after two updates.

use crate::cases::{Case, widen};
use crate::cpu;
use crate::gpu::{Gpu, Step};
use crate::model::rectangles::draw_batch;
use crate::model::rng::Purpose;
use crate::model::unet::init::State;
use crate::model::{
    Batch, DType, HeatEquation, Losses, Method, Objective, StepSpec, UNet, UNetConfig, noise,
};
use std::sync::Arc;

pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    let noisy = Objective { noise: 1e-2, ..Method::Sip.into() };
    for objective in [Method::Sip.into(), Method::Gd.into(), Method::Supervised.into(), noisy] {
        for (precision, storage, filters, batch, nx, ny) in [
            (DType::F32, DType::F32, vec![8], 2, 8, 8),
            (DType::F32, DType::F32, vec![8, 16], 3, 16, 32),
            (DType::F32, DType::F32, vec![16; 4], 2, 32, 32),
            (DType::F64, DType::F32, vec![8, 16], 3, 16, 32),
            (DType::F32, DType::F16, vec![8, 16], 3, 16, 32),
            (DType::F32, DType::F16, vec![16; 4], 2, 32, 32),
        ] {
            let heat = HeatEquation { nx, ny, amount: 8.0 };
            let usual = objective.noise == 0.0 && objective.method != Method::Supervised;
            if !usual && filters != [8, 16] {
                continue; // only the signal is different
            }
            let lockstep = Lockstep { objective, precision, storage, filters, batch, heat };
            // In 16 bits, the losses differ by the roundings of 11-bit mantissas in some ten layers, the
            // gradients by the ReLUs whose argument changes sign (network.rs), and the weights by two steps
            // of 1e-3 in a direction of that accuracy.
            let parts: &[(Part, f64)] = match (storage, lockstep.filters.len()) {
                (DType::F32 | DType::F64, _) => {
                    &[(Part::Losses, 1e-5), (Part::Gradients, 1e-3), (Part::Weights, 1e-3)]
                }
                (DType::F16, ..4) => &[(Part::Losses, 1e-2), (Part::Gradients, 1e-1), (Part::Weights, 1e-2)],
                (DType::F16, _) => &[(Part::Losses, 1e-2), (Part::Weights, 1e-2)],
            };
            for &(part, tolerance) in parts {
                cases.push(lockstep.case(part, tolerance));
            }
        }
    }
    cases
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Part {
    /// loss, x_l2 and y_l2 of the first step.
    Losses,
    /// Gradients of the first step.
    Gradients,
    /// Parameters after the second update. Adam's first update divides every gradient by its own size, so
    /// that dead parameters would be noise: they are left out.
    Weights,
}

#[derive(Clone)]
struct Lockstep {
    objective: Objective,
    precision: DType,
    storage: DType,
    filters: Vec<usize>,
    batch: usize,
    heat: HeatEquation,
}

impl Lockstep {
    fn net(&self) -> UNet {
        UNet::new(&UNetConfig { filters: self.filters.clone(), ..Default::default() })
    }

    fn spec(&self) -> (StepSpec, State) {
        let net = self.net();
        let spec = StepSpec {
            physics: self.precision,
            activations: self.storage,
            ..StepSpec::new(&net, &self.heat, self.objective, self.batch)
        };
        (spec, State::new(&net, 5))
    }

    fn batch(&self, step: u64) -> Batch {
        let HeatEquation { nx, ny, .. } = self.heat;
        let std = self.objective.noise;
        let draw = |sample| noise::draw(Purpose::Cases, 2, step, sample, nx * ny, std);
        Batch {
            noise: (std > 0.0).then(|| (0..self.batch as u64).flat_map(draw).collect()),
            ..Batch::rectangles(draw_batch(Purpose::Cases, 1, step, self.batch, nx, ny))
        }
    }

    /// Parameters that have a gradient.
    fn live(&self, params: &[f64]) -> Vec<f64> {
        use crate::model::unet::Place;
        let net = self.net();
        let live = net.entries.iter().filter(|e| !e.dead);
        let ranges = live.filter_map(|e| match e.place {
            Place::Param(offset) => Some(offset..offset + e.len()),
            _ => None,
        });
        ranges.flat_map(|range| params[range].to_vec()).collect()
    }

    fn pick(&self, part: Part, losses: &Losses, gradients: &[f64], weights: &[f64]) -> Vec<Vec<f64>> {
        match part {
            Part::Losses => vec![losses.loss.clone(), losses.x_l2.clone(), losses.y_l2.clone()],
            Part::Gradients => vec![self.live(gradients)],
            Part::Weights => vec![self.live(weights)],
        }
    }

    fn on_gpu(&self, gpu: &Arc<Gpu>, part: Part) -> crate::Result<Vec<Vec<f64>>> {
        let (spec, start) = self.spec();
        let mut step = Step::new(gpu, &spec, &start)?;
        gpu.block_on(step.submit(&self.batch(0)))?;
        let gradients = gpu.block_on(step.gradients())?;
        gpu.block_on(step.submit(&self.batch(1)))?;
        step.request_losses()?;
        let losses = gpu.block_on(step.losses(true))?;
        let (weights, _) = gpu.block_on(step.weights())?;
        Ok(self.pick(part, &losses[0], &widen(&gradients), &widen(&weights)))
    }

    fn on_cpu(&self, part: Part) -> Vec<Vec<f64>> {
        let (spec, start) = self.spec();
        let mut step = cpu::Step::<f64, f64>::new(&spec, &start);
        let losses = step.run(&self.batch(0));
        let gradients = step.gradients.clone();
        step.run(&self.batch(1));
        self.pick(part, &losses, &gradients, &step.params)
    }

    fn name(&self, part: Part) -> String {
        let noise = if self.objective.noise > 0.0 { "/noise" } else { "" };
        format!("step/{}{noise}/{part:?}", self.objective.method.name()).to_lowercase()
    }

    fn case(&self, part: Part, tolerance: f64) -> Case {
        let (on_gpu, on_cpu) = (self.clone(), self.clone());
        let shape = format!("{}x{}x{} {:?}", self.batch, self.heat.nx, self.heat.ny, self.filters);
        let run = move |gpu: &Arc<Gpu>| on_gpu.on_gpu(gpu, part);
        let reference = move || on_cpu.on_cpu(part);
        let case = Case::new(&self.name(part), shape, tolerance, run, reference);
        case.computed_in(self.precision).stored_in(self.storage)
    }
}
