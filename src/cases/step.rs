//! The whole training step beside the f64 reference: losses, gradients, and weights after two updates.

use crate::cases::{Case, Outputs, relative_error, widen};
use crate::cpu::{self, Real};
use crate::gpu::{Gpu, Step};
use crate::model::rectangles::draw_batch;
use crate::model::rng::Purpose;
use crate::model::unet::init::State;
use crate::model::{Batch, DType, Losses, Method, Objective, Operator, StepSpec, UNet, UNetConfig, noise};
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
            let operator = Operator::heat(nx, ny, 8.0).expect("a grid of the right size");
            let usual = objective.noise == 0.0 && objective.method != Method::Supervised;
            if !usual && filters != [8, 16] {
                continue; // only the signal is different
            }
            let net = UNet::new(&UNetConfig { filters, ..Default::default() });
            let spec = StepSpec {
                physics: precision,
                activations: storage,
                ..StepSpec::new(&net, &operator, objective, batch)
            };
            let lockstep = Lockstep { spec };
            cases.extend(lockstep.parts().map(|(part, tolerance)| lockstep.case(part, tolerance)));
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

/// The cases of steps as `spec` says. Their tolerances follow what rounding to 32 bits does on the CPU.
pub(super) fn lockstep(spec: &StepSpec) -> Vec<Case> {
    /// Kernels add up in another order than the twins.
    const SPREAD: f64 = 30.0;
    /// Who writes nothing has an error of 1.
    const MOST: f64 = 0.1;
    let lockstep = Lockstep { spec: spec.clone() };
    let case = |(part, tolerance): (Part, f64)| {
        let pairs = lockstep.on_cpu::<f32, f32>(part).into_iter().zip(lockstep.on_cpu::<f64, f64>(part));
        // Not max(), which would drop a NaN: then nothing passes.
        let larger = |a: f64, b: f64| if a >= b { a } else { b };
        let rounding = pairs.map(|(narrow, wide)| relative_error(&narrow, &wide)).fold(0.0, larger);
        lockstep.case(part, tolerance.max(SPREAD * rounding).min(MOST))
    };
    lockstep.parts().map(case).collect()
}

#[derive(Clone)]
struct Lockstep {
    spec: StepSpec,
}

impl Lockstep {
    /// What is compared, with tolerances. In 16 bits, the losses differ by the roundings of 11-bit mantissas
    /// in some ten layers, the gradients by the ReLUs whose argument changes sign (network.rs), and the
    /// weights by two steps of 1e-3 in a direction of that accuracy.
    fn parts(&self) -> impl Iterator<Item = (Part, f64)> + use<> {
        let parts: &[(Part, f64)] = match (self.spec.activations, self.spec.net.config.levels()) {
            (DType::F32 | DType::F64, _) => {
                &[(Part::Losses, 1e-5), (Part::Gradients, 1e-3), (Part::Weights, 1e-3)]
            }
            (DType::F16, ..4) => &[(Part::Losses, 1e-2), (Part::Gradients, 1e-1), (Part::Weights, 1e-2)],
            (DType::F16, _) => &[(Part::Losses, 1e-2), (Part::Weights, 1e-2)],
        };
        parts.iter().copied()
    }

    fn samples(&self) -> usize {
        self.spec.samples_at_once * self.spec.micro_batches
    }

    fn start(&self) -> State {
        State::new(&self.spec.net, 5)
    }

    fn batch(&self, step: u64) -> Batch {
        let Operator { nx, ny, .. } = self.spec.operator;
        let (std, samples) = (self.spec.objective.noise, self.samples());
        let draw = |sample| noise::draw(Purpose::Cases, 2, step, sample, nx * ny, std);
        Batch {
            noise: (std > 0.0).then(|| (0..samples as u64).flat_map(draw).collect()),
            ..Batch::rectangles(draw_batch(Purpose::Cases, 1, step, samples, nx, ny))
        }
    }

    /// Parameters that have a gradient.
    fn live(&self, params: &[f64]) -> Vec<f64> {
        use crate::model::unet::Place;
        let live = self.spec.net.entries.iter().filter(|e| !e.dead);
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

    async fn on_gpu(self, gpu: Arc<Gpu>, part: Part) -> crate::Result<Vec<Vec<f64>>> {
        let mut step = Step::new(&gpu, &self.spec, &self.start())?;
        step.submit(&self.batch(0)).await?;
        let gradients = step.gradients().await?;
        step.submit(&self.batch(1)).await?;
        step.request_losses()?;
        let losses = step.losses(true).await?;
        let (weights, _) = step.weights().await?;
        Ok(self.pick(part, &losses[0], &widen(&gradients), &widen(&weights)))
    }

    fn on_cpu<N: cpu::Precision, P: Real>(&self, part: Part) -> Vec<Vec<f64>> {
        let wide = |values: &[N]| -> Vec<f64> { values.iter().map(|v| v.f64()).collect() };
        let mut step = cpu::Step::<N, P>::new(&self.spec, &self.start());
        let losses = step.run(&self.batch(0));
        let gradients = wide(&step.gradients);
        step.run(&self.batch(1));
        self.pick(part, &losses, &gradients, &wide(&step.params))
    }

    fn name(&self, part: Part) -> String {
        let objective = &self.spec.objective;
        let noise = if objective.noise > 0.0 { "/noise" } else { "" };
        format!("step/{}{noise}/{part:?}", objective.method.name()).to_lowercase()
    }

    fn case(&self, part: Part, tolerance: f64) -> Case {
        let (on_gpu, on_cpu) = (self.clone(), self.clone());
        let (StepSpec { net, operator, .. }, samples) = (&self.spec, self.samples());
        let shape = format!("{samples}x{}x{} {:?}", operator.nx, operator.ny, net.config.filters);
        let run = move |gpu: Arc<Gpu>| -> Outputs { Box::pin(on_gpu.clone().on_gpu(gpu, part)) };
        let reference = move || on_cpu.on_cpu::<f64, f64>(part);
        let case = Case::new(&self.name(part), shape, tolerance, run, reference);
        case.computed_in(self.spec.physics).stored_in(self.spec.activations)
    }
}
