//! The measurement of a training step.
//!
//! The ceilings are measured first, then whole steps, on a GPU in flight as training keeps them, then every
//! dispatch by itself; on the CPU engine whole steps and their four parts.

use crate::bench::ceilings::Ceilings;
use crate::bench::measurement::{Kind, Measurement, Memory, Stage, StepTime};
use crate::bench::probe;
use crate::engine::{Device, Trainer};
use crate::error::Feature;
use crate::gpu::runtime::profiler::{self, median};
use crate::gpu::runtime::recording::Description;
use crate::gpu::{Gpu, MemoryUse, Recording, Step, Timing};
use crate::model::UNet;
use crate::model::unet::Input;
use crate::train::{Plan, TrainConfig};
use crate::{Error, Result};
use std::time::Instant;

/// What a benchmark is asked for beside the settings of the training.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Steps to time; none: as many as take about three seconds.
    pub steps: Option<usize>,
    /// How dispatches are timed; none: by timestamps where the adapter has them and they can be believed.
    pub timing: Option<Timing>,
}

impl Options {
    /// Refuses what cannot be timed; [`measure`] does so too.
    ///
    /// # Errors
    /// [`Error::Usage`].
    pub fn check(&self) -> Result<()> {
        if self.steps == Some(0) { Err(Error::usage("steps 0: must be at least 1")) } else { Ok(()) }
    }
}

/// Time for each part of the measurement where the number of steps is not given.
const SECONDS: f64 = 3.0;

/// Steps are timed in this many rounds at most, each submitted as a whole.
const ROUNDS: usize = 10;

/// A step is encoded so often to learn what that takes.
const ENCODINGS: usize = 100;

/// Steps before any that count.
const WARM_UP: usize = 3;

/// Most steps that are timed where their number is not given.
const MAX_STEPS: usize = 500;

/// Measures a training step of these settings. `progress` is told what is being done.
///
/// # Errors
/// [`Error::Usage`] for settings that are impossible or do not fit the device, [`Error::Device`] where it
/// fails.
pub fn measure(
    config: &TrainConfig,
    device: &Device,
    options: &Options,
    progress: &mut dyn FnMut(&str),
) -> Result<Measurement> {
    options.check()?;
    let mut plan = config.plan()?;
    progress("building a training step");
    let mut trainer = plan.trainer(device)?;
    progress("measuring what the device can do at most");
    let ceilings = match device {
        Device::Gpu(gpu) => probe::measure(gpu)?,
        Device::Cpu => Ceilings::of_cores()?,
    };
    progress("timing whole steps");
    let (mut step, parts) = time_steps(&mut trainer, &mut plan, options)?;
    let (timing, stages, memory) = match device {
        Device::Gpu(gpu) => {
            progress("timing every dispatch");
            let rounds = options.steps.unwrap_or((SECONDS / (1e-3 * step.ms)) as usize).clamp(1, ROUNDS);
            let gpu_step = trainer.gpu_step().expect("the engine of a GPU has a step on it");
            step.encode_ms = Some(time_encoding(gpu, gpu_step));
            let time = |timing| time_dispatches(gpu, gpu_step, timing, rounds);
            let (timing, stages) = timed(options.timing, profiler::check(gpu), time, progress)?;
            (Some(timing), stages, memory(gpu))
        }
        Device::Cpu => (None, cpu_stages(&plan.step.net, config, parts), Vec::new()),
    };
    if timing.is_some() {
        step.dispatches = stages.len();
    } else {
        step.submit_ms = None; // a step has run when it is submitted
    }
    step.flops = stages.iter().map(|stage| stage.flops).sum();
    step.bytes = stages.iter().map(|stage| stage.bytes).sum();
    Ok(Measurement {
        unheat: env!("CARGO_PKG_VERSION").to_owned(),
        device: device.describe(),
        kind: match device {
            Device::Gpu(gpu) if gpu.is_software() => Kind::Software,
            Device::Gpu(_) => Kind::Gpu,
            Device::Cpu => Kind::Cpu,
        },
        settings: TrainConfig {
            net: plan.step.net.config.clone(),
            levels: plan.step.net.config.levels(),
            ..config.clone()
        },
        timing,
        ceilings: Some(ceilings),
        step,
        memory,
        stages,
    })
}

/// Whole steps, and on the CPU the median seconds of their parts.
fn time_steps(trainer: &mut Trainer, plan: &mut Plan, options: &Options) -> Result<(StepTime, [f64; 4])> {
    let mut number = 0;
    let mut submit = Vec::new();
    let mut parts = [const { Vec::new() }; 4];
    let mut run = |steps: usize| -> Result<f64> {
        let start = Instant::now();
        for _ in 0..steps {
            let batch = plan.data.batch(number);
            number += 1;
            trainer.make_room()?;
            let before = Instant::now();
            trainer.submit(&batch)?;
            if number > WARM_UP as u64 {
                submit.push(1e3 * before.elapsed().as_secs_f64());
            }
            trainer.losses(false)?;
            if let Some(seconds) = trainer.cpu_seconds() {
                parts.iter_mut().zip(seconds).for_each(|(part, seconds)| part.push(seconds));
            }
        }
        trainer.losses(true)?;
        Ok(start.elapsed().as_secs_f64() / steps as f64)
    };
    run(1)?;
    let guess = run(WARM_UP - 1)?;
    let steps = options.steps.unwrap_or_else(|| ((SECONDS / guess) as usize).clamp(3, MAX_STEPS));
    let per_round = steps.div_ceil(ROUNDS);
    let rounds = steps.div_ceil(per_round);
    let mut times = (0..rounds).map(|_| Ok(1e3 * run(per_round)?)).collect::<Result<Vec<f64>>>()?;
    let step = StepTime {
        ms: median(&mut times),
        fastest_ms: times[0],
        slowest_ms: times[times.len() - 1],
        timed: rounds * per_round,
        submit_ms: Some(median(&mut submit)),
        ..StepTime::default()
    };
    Ok((step, parts.map(|mut part| median(&mut part))))
}

/// Median milliseconds to encode a step, which is not submitted.
fn time_encoding(gpu: &Gpu, step: &Step) -> f64 {
    let encode = |_| {
        let start = Instant::now();
        let mut encoder = gpu.device.create_command_encoder(&Default::default());
        step.recordings().iter().for_each(|(_, recording)| recording.encode(&mut encoder));
        drop(encoder.finish());
        1e3 * start.elapsed().as_secs_f64()
    };
    median(&mut (0..ENCODINGS).map(encode).collect::<Vec<_>>())
}

/// Times by the clock that is `wanted`: without a wish by timestamps, or by submissions where `timestamps`
/// cannot be had or be believed, which `progress` is told. Says which clock it was.
fn timed<T>(
    wanted: Option<Timing>,
    timestamps: Result<()>,
    time: impl Fn(Timing) -> Result<T>,
    progress: &mut dyn FnMut(&str),
) -> Result<(Timing, T)> {
    if let Some(timing) = wanted {
        return Ok((timing, time(timing)?));
    }
    match timestamps.and_then(|()| time(Timing::Timestamps)) {
        Err(Error::Unsupported { feature: Feature::Timestamps, why }) => {
            progress(&format!("timing submissions instead, by the host's clock: as for timestamps, {why}"));
            Ok((Timing::Submissions, time(Timing::Submissions)?))
        }
        other => Ok((Timing::Timestamps, other?)),
    }
}

/// Every dispatch of a step with the median of its times.
fn time_dispatches(gpu: &Gpu, step: &Step, timing: Timing, rounds: usize) -> Result<Vec<Stage>> {
    let parts = step.recordings();
    let recordings: Vec<&Recording> = parts.iter().map(|(_, recording)| *recording).collect();
    let times: Vec<Vec<f64>> =
        (0..rounds).map(|_| gpu.block_on(profiler::time(gpu, &recordings, timing))).collect::<Result<_>>()?;
    let described = parts.iter().flat_map(|(part, recording)| recording.describe().map(move |d| (*part, d)));
    let stage = |(i, (part, dispatch)): (usize, (&str, Description))| {
        let mut seconds: Vec<f64> = times.iter().map(|round| round[i]).collect();
        Stage {
            part: part.to_owned(),
            layer: dispatch.label.to_owned(),
            kernel: dispatch.kernel.to_owned(),
            ms: 1e3 * median(&mut seconds),
            flops: dispatch.work.flops,
            bytes: dispatch.work.bytes,
        }
    };
    Ok(described.enumerate().map(stage).collect())
}

fn memory(gpu: &Gpu) -> Vec<Memory> {
    let all = MemoryUse::ALL.map(|used| Memory { used_for: used.name().to_owned(), bytes: gpu.memory(used) });
    all.into_iter().filter(|memory| memory.bytes > 0).collect()
}

/// The parts of the CPU engine's step with the arithmetic of the convolutions; caches decide on the traffic.
fn cpu_stages(net: &UNet, config: &TrainConfig, seconds: [f64; 4]) -> Vec<Stage> {
    let cells = config.batch * config.size.nx * config.size.ny;
    let output = 2 * net.out_channels * cells;
    let (mut forward, mut backward) = (output, 2 * output);
    for conv in &net.convs {
        let flops = 2 * conv.taps * conv.c_in * conv.c_out * (cells >> (2 * conv.level));
        forward += flops;
        // The gradient of the weights, and that of the input unless it is the network's.
        backward += if matches!(conv.input, Input::Field | Input::Block(0)) { flops } else { 2 * flops };
    }
    let parts = [("data", 0), ("forward", forward), ("backward", backward), ("update", 0)];
    let stage = |((part, flops), seconds): ((&str, usize), f64)| Stage {
        part: part.to_owned(),
        layer: String::new(),
        kernel: part.to_owned(),
        ms: 1e3 * seconds,
        flops: flops as u64,
        bytes: 0,
    };
    parts.into_iter().zip(seconds).map(stage).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_not_believed_is_replaced_and_that_is_said() {
        let fault = || Error::Unsupported { feature: Feature::Timestamps, why: "X has none".to_owned() };
        let by_a_bad_clock = |timing| match timing {
            Timing::Timestamps => Err(fault()),
            Timing::Submissions => Ok("by the host"),
        };
        let by_a_good_clock = |timing: Timing| Ok(timing);
        let mut said = Vec::new();
        let mut tell = |text: &str| said.push(text.to_owned());

        let (timing, times) = timed(None, Ok(()), by_a_bad_clock, &mut tell).unwrap();
        assert_eq!((timing, times), (Timing::Submissions, "by the host"));
        let (timing, times) = timed(None, Err(fault()), by_a_good_clock, &mut tell).unwrap();
        assert_eq!((timing, times), (Timing::Submissions, Timing::Submissions));
        let (timing, times) = timed(None, Ok(()), by_a_good_clock, &mut tell).unwrap();
        assert_eq!((timing, times), (Timing::Timestamps, Timing::Timestamps));
        // Who asks for a clock gets it or an error.
        let wanted = Some(Timing::Timestamps);
        let error = timed(wanted, Ok(()), by_a_bad_clock, &mut tell).unwrap_err().to_string();
        assert_eq!(error, "timing by timestamps: X has none");
        let lost = |_| -> Result<()> { Err(Error::Device("lost".to_owned())) };
        assert_eq!(timed(None, Ok(()), lost, &mut tell).unwrap_err().to_string(), "lost");
        assert_eq!(said.len(), 2);
        assert!(said.iter().all(|text| text.contains("submissions instead") && text.contains("X has none")));
    }
}
