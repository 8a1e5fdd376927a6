//! Adam, with its guard, over several updates.

use super::{Case, garbage, noise, recorded, widen};
use crate::cpu;
use crate::gpu::adam::Optimiser;
use crate::gpu::{Gpu, Recorder};
use crate::model::{Adam, Precision};
use std::cell::LazyCell;
use std::sync::Arc;

const UPDATES: u64 = 5;

pub(super) fn cases() -> Vec<Case> {
    vec![keep_case(), adam_case(None), adam_case(Some(f32::INFINITY)), adam_case(Some(f32::NAN))]
}

/// Gradients from 1e-9 to 1e3 for five updates; a loss of `bad` in update 3 must leave the state as it was then.
fn adam_case(bad: Option<f32>) -> Case {
    let len = 700;
    let gradients = move |t: u64| -> Vec<f32> {
        noise(50 + t, len).iter().enumerate().map(|(i, v)| v * 10f32.powi((i % 13) as i32 - 9)).collect()
    };
    let start = move || noise(50, len);
    let run = move |gpu: &Arc<Gpu>| {
        let weights = gpu.tensor_from("weights", &start())?;
        let kept = gpu.tensor_from("kept", &start())?;
        let gradient = gpu.tensor("gradients", len)?;
        let losses = gpu.tensor("losses", 40)?;
        let optimiser = Optimiser::new(gpu, Adam::default(), len)?;
        let mut recorder = Recorder::new(gpu);
        optimiser.guard(&mut recorder, &losses)?;
        optimiser.keep(&mut recorder, &weights, &kept)?;
        optimiser.update(&mut recorder, &gradient, &weights)?;
        let recording = recorder.finish();
        for t in 1..=UPDATES {
            let mut values = vec![1e30; 40];
            if let Some(bad) = bad.filter(|_| t == 3) {
                values[33] = bad;
            }
            gpu.write(&losses, &values);
            gpu.write(&gradient, &gradients(t));
            optimiser.schedule(gpu, t);
            recording.submit(gpu);
        }
        [&weights, &optimiser.m, &optimiser.v, &kept].map(|tensor| gpu.read_f64(tensor)).into_iter().collect()
    };
    let reference = move || {
        let (mut params, mut m, mut v) = (widen(&start()), vec![0.0; len], vec![0.0; len]);
        let mut kept = params.clone();
        for t in 1..=if bad.is_some() { 2 } else { UPDATES } {
            kept = params.clone();
            cpu::adam::adam(&Adam::default(), t, &widen(&gradients(t)), &mut params, &mut m, &mut v);
        }
        vec![params, m, v, kept]
    };
    let name = bad.map_or("adam".to_owned(), |bad| format!("adam/loss {bad}"));
    Case {
        name,
        shape: format!("{len}"),
        tolerance: 1e-6,
        precision: Precision::F32,
        split: Box::new(|outputs| outputs),
        run: Box::new(run),
        reference: LazyCell::new(Box::new(reference)),
    }
}

/// More elements than one row of workgroups holds.
fn keep_case() -> Case {
    let len = (1 << 23) + 300;
    let values = move || -> Vec<f32> { (0..len).map(|i| i as f32).collect() };
    let prepare = move |r: &mut Recorder| {
        let current = r.gpu.tensor_from("current", &values())?;
        let kept = garbage(r.gpu, "kept", len)?;
        Optimiser::new(r.gpu, Adam::default(), 1)?.keep(r, &current, &kept)?;
        Ok(vec![kept])
    };
    recorded("keep", format!("{len}"), 0.0, prepare, move || vec![widen(&values())])
}
