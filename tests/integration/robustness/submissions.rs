//! What reaches a device: a step in parts of the batch, or in pieces that do not keep the device busy for
//! long.

use crate::support::{opened, step};
use std::sync::Arc;
use std::time::Duration;
use unheat::engine::Device;
use unheat::gpu::{Gpu, Step};
use unheat::model::{Batch, Losses, Snapshot, StepSpec, Truth, UNetConfig};
use unheat::train::{OnNan, Plan, Size, TrainConfig};

const CELLS: usize = 16 * 16;

fn config() -> TrainConfig {
    TrainConfig {
        batch: 8,
        size: Size { nx: 16, ny: 16 },
        levels: 2,
        net: UNetConfig { filters: vec![8], ..Default::default() },
        noise: 1e-3,
        ..TrainConfig::default()
    }
}

/// The gradients of one step from the seed's weights, and its losses.
fn gradients(device: &Device, config: &TrainConfig, batch: &Batch) -> (Vec<f32>, Losses) {
    let plan = config.plan().unwrap();
    let mut trainer = plan.trainer(device).unwrap();
    let losses = step(&mut trainer, batch);
    (trainer.gradients().unwrap(), losses)
}

#[test]
fn a_step_is_the_sum_of_its_micro_batches_bit_for_bit() {
    let whole = config();
    let micro = TrainConfig { micro_batch: Some(2), ..whole.clone() };
    let alone = TrainConfig { batch: 2, ..whole.clone() };
    let batch = whole.plan().unwrap().data.batch(0);
    for device in opened() {
        let (found, losses) = gradients(&device, &micro, &batch);
        let (mut sum, mut expected) = (vec![0.0; found.len()], Losses::default());
        for part in batch.parts(4, CELLS) {
            let (share, losses) = gradients(&device, &alone, &part);
            sum.iter_mut().zip(share).for_each(|(sum, share)| *sum += share);
            expected.append(losses);
        }
        assert_eq!(losses, expected, "{}", device.describe());
        assert!(found == sum && found.iter().any(|g| *g != 0.0), "{}", device.describe());
        assert!(found != gradients(&device, &whole, &batch).0, "batch norm sees each part by itself");
    }
}

#[test]
fn without_batch_norm_micro_batches_change_nothing_but_rounding() {
    let mut whole = config();
    whole.net.batch_norm = false;
    let batch = whole.plan().unwrap().data.batch(0);
    for device in opened() {
        let (expected, of_whole) = gradients(&device, &whole, &batch);
        for micro in [1, 4] {
            let config = TrainConfig { micro_batch: Some(micro), ..whole.clone() };
            let (found, losses) = gradients(&device, &config, &batch);
            let energy = |values: &mut dyn Iterator<Item = f64>| values.map(|v| v * v).sum::<f64>().sqrt();
            let difference =
                energy(&mut found.iter().zip(&expected).map(|(a, b)| f64::from(*a) - f64::from(*b)));
            let error = difference / energy(&mut expected.iter().map(|g| f64::from(*g)));
            assert!(error < 1e-5, "{} in parts of {micro}: {error:.1e}", device.describe());
            for (a, b) in losses.x_l2.iter().zip(&of_whole.x_l2) {
                assert!((a - b).abs() < 1e-5 * b, "{a} {b}");
            }
        }
    }
}

#[test]
fn a_run_in_micro_batches_resumes_and_skips_without_a_trace() {
    let config = TrainConfig { micro_batch: Some(2), on_nan: OnNan::Skip, ..config() };
    for device in opened() {
        let mut plan = config.plan().unwrap();
        let mut unbroken = plan.trainer(&device).unwrap();
        let mut snapshots: Vec<Snapshot> = Vec::new();
        for t in 0..3 {
            step(&mut unbroken, &plan.data.batch(t));
            snapshots.push(unbroken.snapshot().unwrap());
        }
        assert_eq!(snapshots[2].state.batches_tracked, 12, "the statistics see every part");

        let mut resumed = plan.trainer(&device).unwrap();
        resumed.restore(&snapshots[1]);
        for spiked in [0, 5, 7] {
            let mut fields = vec![0.5; 8 * CELLS];
            fields[spiked * CELLS + 3] = 2e38;
            let bad = Batch { truth: Truth::Fields(fields), noise: Some(vec![0.0; 8 * CELLS]) };
            assert!(!step(&mut resumed, &bad).is_finite());
        }
        let after = resumed.snapshot().unwrap();
        assert_eq!(after.updates, 5);
        assert!(Snapshot { updates: 2, ..after } == snapshots[1], "{}: no trace", device.describe());
        resumed.restore(&snapshots[1]);
        step(&mut resumed, &plan.data.batch(2));
        assert!(resumed.snapshot().unwrap() == snapshots[2], "{}", device.describe());
    }
}

/// A step with a limit on its submissions, on whatever device: training does without one on software
/// adapters.
fn limited(gpu: &Arc<Gpu>, plan: &Plan, limit: Duration) -> Step {
    let spec = StepSpec { longest_submission: Some(limit), ..plan.step.clone() };
    Step::new(gpu, &spec, &plan.start).unwrap()
}

/// Runs step `t` to its end.
fn finish(gpu: &Gpu, step: &mut Step, plan: &mut Plan, t: u64) {
    gpu.block_on(step.submit(&plan.data.batch(t))).unwrap();
    step.request_losses().unwrap();
    gpu.block_on(step.losses(true)).unwrap();
}

#[test]
fn pieces_change_no_bit_and_fast_devices_get_whole_steps() {
    for device in opened() {
        let Device::Gpu(gpu) = &device else { continue };
        let run = |limit| {
            let mut plan = config().plan().unwrap();
            let mut step = limited(gpu, &plan, limit);
            let mut counts = Vec::new();
            for t in 0..4 {
                finish(gpu, &mut step, &mut plan, t);
                counts.push(step.submissions());
            }
            (counts, gpu.block_on(step.snapshot(0)).unwrap())
        };
        let (fast, expected) = run(Duration::from_secs(1000));
        let dispatches = fast[0];
        assert!(dispatches > 50, "two steps go dispatch by dispatch: {dispatches}");
        let expected_counts = [dispatches, 2 * dispatches, 2 * dispatches + 1, 2 * dispatches + 2];
        assert_eq!(fast, expected_counts, "{}", gpu.name());
        let (slow, found) = run(Duration::from_nanos(1));
        assert!(found == expected, "{}: the numbers depend on the pieces", gpu.name());
        assert_eq!(slow[3], 4 * dispatches, "nothing takes a nanosecond");
    }
}

#[test]
fn a_dispatch_that_is_too_long_is_named() {
    for device in opened() {
        let Device::Gpu(gpu) = &device else { continue };
        let longest = |limit| {
            let mut plan = config().plan().unwrap();
            let mut step = limited(gpu, &plan, limit);
            for t in 0..2 {
                assert!(step.too_long().is_none(), "before it is measured");
                finish(gpu, &mut step, &mut plan, t);
            }
            step.too_long()
        };
        let (dispatch, time) = longest(Duration::from_nanos(1)).expect("nothing takes a nanosecond");
        assert!(dispatch.contains("conv3x3") && time > Duration::from_nanos(1), "{dispatch} {time:?}");
        assert!(longest(Duration::from_secs(1000)).is_none());
    }
}
