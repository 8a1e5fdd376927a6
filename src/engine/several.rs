//! Which of several GPUs is taken when none is named: the usual one, unless a short measurement shows that
//! another one is clearly faster.

use crate::blocking::block_on;
use crate::gpu::probes::copy::copy;
use crate::gpu::probes::multiply_add::{CHAINS, ITERATIONS, multiply_add};
use crate::gpu::runtime::profiler::seconds;
use crate::gpu::{Checks, Gpu, Recorder, Recording};
use crate::{Error, Result};
use std::collections::HashSet;
use std::time::{Duration, Instant};

/// Another GPU must be this many times faster than the usual one. The same seeds give the same bytes on the
/// same device alone, so the choice must not follow the noise of a measurement.
const CLEARLY: f64 = 1.5;

/// Time for one GPU, kernels compiled. What has been begun then is finished.
const LIMIT: Duration = Duration::from_millis(250);

/// A GPU on which nothing finishes for so long is not measured: a second one that hangs must not keep the
/// first from its work.
const PATIENCE: Duration = Duration::from_secs(5);

/// Submissions of this many seconds are long enough to be timed.
const LONG_ENOUGH: f64 = 5e-3;

/// Times of which the shortest counts.
const REPEATS: usize = 3;

/// Bytes of the array that is copied: more than most caches hold.
const COPY_BYTES: u64 = 64 << 20;

/// The arithmetic that is timed.
const INVOCATIONS: usize = 1 << 18;
const ROUNDS: usize = 16;

/// Operations and bytes of a training step of the default settings, as `unheat bench` counts them.
const STEP_FLOPS: f64 = 5.1e9;
const STEP_BYTES: f64 = 0.24e9;

/// The places in `infos` of the real GPUs: discrete ones first, then in wgpu's order. A card that two back
/// ends offer is one GPU, and so are several of the same model: the first stands for all.
pub(crate) fn real(infos: &[wgpu::AdapterInfo]) -> Vec<usize> {
    let rank = |info: &wgpu::AdapterInfo| match info.device_type {
        wgpu::DeviceType::DiscreteGpu => Some(0),
        wgpu::DeviceType::IntegratedGpu => Some(1),
        wgpu::DeviceType::VirtualGpu => Some(2),
        wgpu::DeviceType::Other => Some(3),
        wgpu::DeviceType::Cpu => None,
    };
    let model = |i: usize| (infos[i].vendor, infos[i].device, &infos[i].name);
    let mut places: Vec<usize> = (0..infos.len()).filter(|&i| rank(&infos[i]).is_some()).collect();
    places.sort_by_key(|&i| rank(&infos[i]));
    let mut seen = HashSet::new();
    places.retain(|&i| seen.insert(model(i)));
    places
}

/// The places in `infos` of all real GPUs, for work that is spread over them: those of the first back end
/// that has one, and those that only another back end offers.
pub(crate) fn all(infos: &[wgpu::AdapterInfo]) -> Vec<usize> {
    let mut places = real(infos);
    let Some(first) = places.first().map(|&i| infos[i].backend) else { return places };
    let model = |i: usize| (infos[i].vendor, infos[i].device);
    let own: Vec<usize> = (0..infos.len())
        .filter(|&i| infos[i].backend == first && infos[i].device_type != wgpu::DeviceType::Cpu)
        .collect();
    places.retain(|&i| !own.iter().any(|&other| model(other) == model(i)));
    let mut all = [own, places].concat();
    all.sort_unstable();
    all
}

/// The place of the GPU to take, from the estimated seconds of a step on each, the usual one first; none
/// where the measurement failed.
fn preferred(seconds: &[Option<f64>]) -> usize {
    let Some(&Some(usual)) = seconds.first() else { return 0 };
    let fastest = (0..seconds.len())
        .filter_map(|i| Some((i, seconds[i]?)))
        .filter(|(_, seconds)| seconds * CLEARLY < usual)
        .min_by(|(_, a), (_, b)| a.total_cmp(b));
    fastest.map_or(0, |(i, _)| i)
}

/// Opens the GPU to take of `adapters`, of which the first is the usual one. With several of them, measures
/// which is fastest and says in a line what was taken and why.
///
/// # Errors
/// That of the usual one where none can be opened.
pub(crate) fn open(adapters: &[&wgpu::Adapter]) -> Result<(Gpu, Option<String>)> {
    let (mut open, mut refused) = (Vec::new(), Vec::new());
    for adapter in adapters {
        match block_on(Gpu::open(adapter, Checks::default())) {
            Ok(gpu) => open.push(gpu),
            Err(error) => refused.push(error),
        }
    }
    if open.is_empty() {
        let none = || Error::Device("there is no GPU to open".to_owned());
        return Err(refused.into_iter().next().unwrap_or_else(none));
    }
    refused.iter().for_each(|error| log::warn!("{error}; another GPU takes its place"));
    if open.len() == 1 {
        return Ok((open.swap_remove(0), None));
    }
    let mut times = Vec::new();
    open.retain(|gpu| match step_seconds(gpu) {
        Ok(seconds) => {
            times.push(Some(seconds));
            true
        }
        // It may train all the same.
        Err(error @ Error::OutOfMemory(_)) => {
            log::warn!("{error}; its speed is not known");
            times.push(None);
            true
        }
        Err(error) => {
            log::warn!("{error}; another GPU takes its place");
            refused.push(error);
            false
        }
    });
    match open.len() {
        0 => return Err(refused.swap_remove(0)),
        1 => return Ok((open.swap_remove(0), None)),
        _ => {}
    }
    let taken = preferred(&times);
    let names: Vec<&str> = open.iter().map(Gpu::name).collect();
    let reason = reason(&names, &times, taken);
    Ok((open.swap_remove(taken), Some(reason)))
}

/// What was taken, and why.
fn reason(names: &[&str], seconds: &[Option<f64>], taken: usize) -> String {
    let time = |i: usize| match seconds[i] {
        Some(seconds) => format!("{}: {:.2} ms", names[i], 1e3 * seconds),
        None => format!("{}: not measured", names[i]),
    };
    let times = (0..names.len()).map(time).collect::<Vec<_>>().join(", ");
    let why = match taken {
        0 => "no other GPU is clearly faster",
        _ => "it is clearly faster than the usual choice",
    };
    format!("taking {}: {why} (a training step at best, {times})", names[taken])
}

/// The seconds of a default training step, if this GPU ran it at the speeds of arithmetic in registers and of
/// a large copy.
fn step_seconds(gpu: &Gpu) -> Result<f64> {
    let end = Instant::now() + LIMIT;
    let sums = gpu.tensor("sums", INVOCATIONS)?;
    let mut recorder = Recorder::new(gpu);
    multiply_add(&mut recorder, &sums, INVOCATIONS, ROUNDS)?;
    let arithmetic = shortest(gpu, &recorder.finish(), end)?;
    let flops = (2 * CHAINS * ITERATIONS * ROUNDS * INVOCATIONS) as f64;

    let len = (COPY_BYTES.min(gpu.max_tensor_bytes()) / 16 * 4) as usize;
    let (original, duplicate) = (gpu.tensor("original", len)?, gpu.tensor("duplicate", len)?);
    let mut recorder = Recorder::new(gpu);
    copy(&mut recorder, &original, &duplicate)?;
    let moving = shortest(gpu, &recorder.finish(), end + LIMIT)?;
    Ok(step_time(flops / arithmetic, 2.0 * original.bytes() as f64 / moving))
}

/// Seconds of a step at these operations and bytes per second.
fn step_time(flops: f64, bytes: f64) -> f64 {
    STEP_FLOPS / flops + STEP_BYTES / bytes
}

/// Seconds of a recording in a row of them, the shortest of some; no further one begins after `end`.
fn shortest(gpu: &Gpu, recording: &Recording, end: Instant) -> Result<f64> {
    let row = |times| std::iter::repeat_n(recording, times).flat_map(Recording::dispatches);
    let run = |times| gpu.block_on_for(PATIENCE, seconds(gpu, row(times)));
    run(1)?; // the first use of an array clears it, and clocks rise
    let (mut times, mut best) = (1, run(1)?);
    while best * (times as f64) < LONG_ENOUGH && Instant::now() < end {
        times *= 2;
        best = run(times)? / times as f64;
    }
    for _ in 1..REPEATS {
        if Instant::now() < end {
            best = best.min(run(times)? / times as f64);
        }
    }
    Ok(best)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blocking::adapters;

    fn card(name: &str, kind: wgpu::DeviceType, backend: wgpu::Backend) -> wgpu::AdapterInfo {
        let info = wgpu::AdapterInfo::new(kind, backend);
        wgpu::AdapterInfo { name: name.to_owned(), vendor: 1, device: name.len() as u32, ..info }
    }

    #[test]
    fn real_gpus_are_counted_once_and_discrete_ones_come_first() {
        use wgpu::Backend::{Dx12, Vulkan};
        use wgpu::DeviceType::{Cpu, DiscreteGpu, IntegratedGpu};
        let llvmpipe = card("llvmpipe", Cpu, Vulkan);
        assert!(real(&[]).is_empty() && real(std::slice::from_ref(&llvmpipe)).is_empty());
        let laptop = [
            llvmpipe,
            card("small", IntegratedGpu, Vulkan),
            card("large one", DiscreteGpu, Vulkan),
            card("WARP", Cpu, Dx12),
            card("small", IntegratedGpu, Dx12),
            card("large one", DiscreteGpu, Dx12),
            card("large one", DiscreteGpu, Vulkan),
            card("second", DiscreteGpu, Vulkan),
        ];
        assert_eq!(real(&laptop), [2, 7, 1]);
        assert_eq!(real(&laptop[..2]), [1]);
        assert_eq!(real(&[laptop[5].clone(), laptop[2].clone()]), [0], "one card, two back ends");
    }

    #[test]
    fn another_gpu_is_taken_only_where_it_is_clearly_faster() {
        for (seconds, expected) in [
            (&[Some(3.0), Some(1.0)][..], 1),
            (&[Some(3.0), Some(2.01)], 0),
            (&[Some(3.0), Some(1.99)], 1),
            (&[Some(3.0), Some(3.0)], 0),
            (&[Some(1.0), Some(3.0)], 0),
            (&[Some(3.0), Some(1.9), Some(1.0), Some(1.5)], 2),
            (&[Some(3.0), Some(1.0), Some(1.0)], 1),
            // What was not measured is the usual choice, or none.
            (&[None, Some(1.0)], 0),
            (&[Some(3.0), None], 0),
            (&[Some(3.0), None, Some(1.0)], 2),
            (&[None, None], 0),
            (&[Some(f64::NAN), Some(1.0)], 0),
            (&[Some(3.0), Some(f64::NAN)], 0),
            (&[Some(1.0)], 0),
        ] {
            assert_eq!(preferred(seconds), expected, "{seconds:?}");
        }
    }

    #[test]
    fn a_step_is_bound_by_arithmetic_and_by_memory() {
        let [fast, slow, starved] = [(1e13, 1e12), (1e12, 1e11), (1e13, 1e10)].map(|(f, b)| step_time(f, b));
        assert!((slow / fast - 10.0).abs() < 1e-9 && starved > slow);
    }

    /// A measurement of any adapter is a number, and with a choice the line says what was taken.
    #[test]
    fn several_gpus_are_measured_and_one_is_not() {
        let adapters = adapters();
        let start = Instant::now();
        let (_, reason) = open(&[&adapters[0]]).unwrap();
        assert_eq!(reason, None);
        println!("one alone: {:?}", start.elapsed());
        let (gpu, reason) = open(&[&adapters[0], &adapters[0]]).unwrap();
        let reason = reason.unwrap();
        assert!(reason.starts_with(&format!("taking {}: ", gpu.name())), "{reason}");
        assert!(!reason.contains("not measured") && !reason.contains('\n'), "{reason}");
        println!("{reason}; with a choice: {:?}", start.elapsed());
        let error = open(&[]).map(|(gpu, _)| gpu.name().to_owned()).unwrap_err();
        assert!(error.to_string().contains("no GPU"), "{error}");
        let seconds = step_seconds(&gpu).unwrap();
        assert!(seconds > 0.0 && seconds.is_finite(), "{seconds}");
    }
}
