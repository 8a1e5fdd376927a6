//! Adam and its guard, over several updates.

use crate::cases::{Case, noise, recorded, submitted, widen};
use crate::cpu;
use crate::cpu::nn::batch_norm::blend;
use crate::gpu::step::adam::Optimiser;
use crate::gpu::step::guard::Guard;
use crate::gpu::{Gpu, Recorder};
use crate::model::Adam;
use crate::model::unet::NORM_MOMENTUM;
use crate::model::unet::init::State;

const UPDATES: u64 = 5;

pub(super) fn cases() -> Vec<Case> {
    let mut cases = vec![keep_case(), adam_case(None)];
    for place in [BadPlace::Losses, BadPlace::XL2, BadPlace::Gradients, BadPlace::Statistics] {
        cases.extend([f32::INFINITY, f32::NAN].map(|bad| adam_case(Some((place, bad)))));
    }
    cases
}

/// The array that holds a number which is not finite.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum BadPlace {
    Losses,
    XL2,
    Gradients,
    Statistics,
}

/// Five updates with gradients from 1e-9 to 1e3. A `bad` number in update 3 must leave the state as it is
/// before that update.
pub(super) fn adam_case(bad: Option<(BadPlace, f32)>) -> Case {
    let len = 700;
    let gradients = move |t: u64| -> Vec<f32> {
        noise(50 + t, len).iter().enumerate().map(|(i, v)| v * 10f32.powi((i % 13) as i32 - 9)).collect()
    };
    let start = move || noise(50, len);
    let statistics = || noise(49, 30);
    let submit = move |gpu: &Gpu| {
        let weights = gpu.tensor_from("weights", &start())?;
        let running = gpu.tensor("running", statistics().len())?;
        let seen = gpu.tensor("statistics", running.len())?;
        let gradient = gpu.tensor("gradients", len)?;
        let losses = gpu.tensor("losses", 40)?;
        let x_l2 = gpu.tensor("x_l2", 20)?;
        let optimiser = Optimiser::new(gpu, Adam::default(), len)?;
        let guard = good(gpu, start(), vec![1e30; running.len()])?;
        let mut recorder = Recorder::new(gpu);
        guard.take_over(&mut recorder, NORM_MOMENTUM, &losses, &x_l2, &gradient, &seen, &running)?;
        guard.keep_last_good(&mut recorder, &weights, &running)?;
        optimiser.update(&mut recorder, &guard.frozen, &gradient, &weights)?;
        let recording = recorder.finish();
        for t in 1..=UPDATES {
            let mut arrays = [vec![1e30; 40], vec![-1e30; 20], gradients(t), statistics()];
            if let Some((place, bad)) = bad.filter(|_| t == 3) {
                *arrays[place as usize].last_mut().expect("no array is empty") = bad;
            }
            for (tensor, values) in [&losses, &x_l2, &gradient, &seen].into_iter().zip(&arrays) {
                gpu.write(tensor, values);
            }
            optimiser.schedule(gpu, t);
            recording.submit(gpu);
        }
        let Optimiser { m, v, .. } = optimiser;
        let Guard { last_good_params, last_good_running, .. } = guard;
        Ok(vec![weights, m, v, last_good_params, last_good_running, running])
    };
    let reference = move || {
        let (mut params, mut m, mut v) = (widen(&start()), vec![0.0; len], vec![0.0; len]);
        let (mut last_good, mut running) = (params.clone(), vec![0.0; statistics().len()]);
        for t in 1..=if bad.is_some() { 2 } else { UPDATES } {
            last_good = params.clone();
            blend(&mut running, &widen(&statistics()));
            cpu::step::adam::adam(&Adam::default(), t, &widen(&gradients(t)), &mut params, &mut m, &mut v);
        }
        vec![params, m, v, last_good, running.clone(), running]
    };
    let name = bad.map_or("adam".to_owned(), |(place, bad)| format!("adam/{place:?} {bad}").to_lowercase());
    submitted(&name, format!("{len}"), 1e-6, submit, reference)
}

/// A guard whose last good parameters and statistics are these.
fn good(gpu: &Gpu, params: Vec<f32>, buffers: Vec<f32>) -> crate::Result<Guard> {
    Guard::new(gpu, &State { params, buffers, batches_tracked: 0 })
}

/// Copies more elements than one row of workgroups holds.
fn keep_case() -> Case {
    let lens = [(1 << 23) + 300, 500];
    let values = |len: usize| -> Vec<f32> { (0..len).map(|i| i as f32).collect() };
    let prepare = move |r: &mut Recorder| {
        let [weights, running] = lens.map(|len| r.gpu.tensor_from("current", &values(len)));
        let [params, buffers] = lens.map(|len| vec![1e30; len]);
        let guard = good(r.gpu, params, buffers)?;
        guard.keep_last_good(r, &weights?, &running?)?;
        Ok(vec![guard.last_good_params, guard.last_good_running])
    };
    recorded("last_good", format!("{}", lens[0]), 0.0, prepare, move || {
        lens.map(|n| widen(&values(n))).to_vec()
    })
}
