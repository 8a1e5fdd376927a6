//! Numbers that are none, and those at the ends of what 32 bits hold: a step counts or it leaves no trace.

use crate::support::runs::{SMALL, assert_same, refused, run, said, succeed};
use crate::support::{adapters, devices, step};
use tempfile::tempdir;
use unheat::engine::{Device, DeviceChoice};
use unheat::io::arrays::checkpoint;
use unheat::io::arrays::npy::{self, FieldData, Fields};
use unheat::io::arrays::tensors::{self, Data};
use unheat::io::tables::metrics;
use unheat::model::{Batch, DType, Method, Snapshot, UNetConfig};
use unheat::train::{OnNan, Size, TrainConfig};

const CELLS: usize = 256;

fn config(on_nan: OnNan) -> TrainConfig {
    TrainConfig {
        batch: 2,
        size: Size { nx: 16, ny: 16 },
        levels: 2,
        net: UNetConfig { filters: vec![8], ..Default::default() },
        on_nan,
        ..TrainConfig::default()
    }
}

/// What there is to train on, with either storage where the adapter has it.
fn engines(config: &TrainConfig) -> Vec<(String, Device, TrainConfig)> {
    let mut all = vec![("cpu".to_owned(), Device::Cpu, config.clone())];
    for (i, _) in adapters().iter().enumerate() {
        let device = Device::open(&DeviceChoice::Index(i)).unwrap();
        for activations in DType::ACTIVATIONS {
            let config = TrainConfig { activations, ..config.clone() };
            if matches!(&device, Device::Gpu(gpu) if gpu.stores_in(activations)) {
                all.push((format!("{i} {activations}"), device.clone(), config));
            }
        }
    }
    all
}

fn constant(value: f64) -> Batch {
    Batch::fields(vec![value; 2 * CELLS])
}

/// A spike whose square is beyond 32 bits.
fn huge() -> Batch {
    let mut fields = vec![0.1; 2 * CELLS];
    fields[300] = 1e38;
    Batch::fields(fields)
}

/// The step after a skipped one is the step that would have been without it, but for Adam's t.
#[test]
fn a_skipped_step_leaves_no_trace() {
    for (name, device, config) in engines(&config(OnNan::Skip)) {
        let mut plan = config.plan().unwrap();
        let (first, second) = (plan.data.batch(0), plan.data.batch(1));
        let mut skipping = plan.trainer(&device).unwrap();
        assert!(step(&mut skipping, &first).is_finite(), "{name}");
        for _ in 0..3 {
            assert!(!step(&mut skipping, &huge()).is_finite(), "{name}");
        }
        let left = skipping.snapshot().unwrap();
        assert!(step(&mut skipping, &second).is_finite(), "{name}");
        let found = skipping.snapshot().unwrap();

        let mut without = plan.trainer(&device).unwrap();
        step(&mut without, &first);
        let mut expected = without.snapshot().unwrap();
        expected.updates += 3;
        assert!(left == expected, "{name}: weights, moments and statistics are those before");
        let mut without = plan.trainer(&device).unwrap();
        without.restore(&expected);
        step(&mut without, &second);
        assert!(found == without.snapshot().unwrap(), "{name}: the next step is as without");
        assert_eq!(found.state.batches_tracked, 2, "{name}");
    }
}

#[test]
fn a_step_that_stops_is_the_last() {
    for (name, device, config) in engines(&config(OnNan::Stop)) {
        let mut plan = config.plan().unwrap();
        let mut trainer = plan.trainer(&device).unwrap();
        step(&mut trainer, &plan.data.batch(0));
        let good = trainer.state().unwrap();
        assert!(!step(&mut trainer, &huge()).is_finite(), "{name}");
        assert!(!step(&mut trainer, &plan.data.batch(1)).is_finite(), "{name}: none after it counts");
        let after = trainer.state().unwrap();
        assert!(after.params == good.params, "{name}");
        let last_good = trainer.last_good_state().unwrap();
        assert!(last_good.buffers == good.buffers && last_good.is_finite(), "{name}");
    }
}

/// Fields 0 to 8, the sixth with a spike; with a batch of 2, a step in about 4 takes it.
fn spiked(path: &std::path::Path) {
    let mut values: Vec<f64> = (0..9 * CELLS).map(|i| (i % 97) as f64 / 97.0).collect();
    values[5 * CELLS + 44] = -2e38;
    let fields = Fields { shape: [9, 16, 16], data: FieldData::F64(values), rank2: false };
    npy::write(path, &fields).unwrap();
}

#[test]
fn a_bad_field_is_skipped_counted_and_resumed_over() {
    let root = tempdir().unwrap();
    let data = root.path().join("x.npy");
    spiked(&data);
    let mut counts = Vec::new();
    for device in devices() {
        for shuffle in ["", " --shuffle"] {
            let folder = |name: &str| root.path().join(format!("{name}-{device}{}", shuffle.trim()));
            let [whole, broken, again] = ["whole", "broken", "again"].map(folder);
            let flags = format!("{SMALL} --device {device} --data {}{shuffle} --on-nan skip", data.display());
            let said = succeed(&format!("{flags} --steps 20 -o {}", whole.display()));
            let rows = metrics::read(&whole.join("metrics.csv")).unwrap();
            let skipped: Vec<u64> = rows.iter().filter(|row| row.is_skipped()).map(|row| row.step).collect();
            assert!((4..=5).contains(&skipped.len()), "40 of 9 fields: {skipped:?}");
            assert!(said.contains(&format!("{} of 20 steps were skipped", skipped.len())), "{said}");
            if shuffle.is_empty() {
                assert_eq!(skipped, [2, 7, 11, 16], "fields 5, 14, 23, 32 of the endless sequence");
            }
            let (_, state) = unheat::io::arrays::weights::read(&whole.join("weights.safetensors")).unwrap();
            assert_eq!(state.batches_tracked, 20 - skipped.len() as i64);
            counts.push(skipped.clone());

            // Stopped right after a skipped step.
            let cut = skipped[1] + 1;
            succeed(&format!("{flags} --steps {cut} -o {}", broken.display()));
            let said = succeed(&format!("--resume {} --steps 20 --no-tune --no-self-test", broken.display()));
            assert!(said.contains(&format!("{} of 20 steps were skipped", skipped.len())), "{said}");
            assert_same(&whole, &broken);
            succeed(&format!("{flags} --steps 20 -o {}", again.display()));
            assert_same(&whole, &again);
            let saved = checkpoint::read(&whole.join("checkpoint.safetensors")).unwrap();
            assert!(saved.snapshot.state.is_finite());
        }
        let stopped = root.path().join(format!("stopped-{device}"));
        let flags = format!("{SMALL} --device {device} --data {} --steps 20", data.display());
        refused(&format!("{flags} -o {}", stopped.display()), 5, "at step 2 is not finite");
    }
    let (cpu, others) = counts.split_at(2);
    assert!(others.chunks(2).all(|gpu| gpu == cpu), "all devices skip the same steps: {counts:?}");
}

#[test]
fn weights_that_are_beyond_help_end_a_run_that_skips() {
    let root = tempdir().unwrap();
    for device in devices() {
        let folder = root.path().join(&device);
        let flags = format!("{SMALL} --device {device} --steps 1000 --lr 1e30 --on-nan skip");
        let output = run(&format!("{flags} -o {}", folder.display()));
        let said = said(&output);
        assert_eq!(output.status.code(), Some(5), "{said}");
        assert!(said.contains("nor were the 99 steps before it"), "{said}");
        let (found, _) = tensors::read(&folder.join("weights.safetensors")).unwrap();
        for tensor in found {
            let Data::F32(values) = tensor.data else { continue };
            assert!(values.iter().all(|value| value.is_finite()), "{}", tensor.name);
        }
    }
}

fn is_finite(snapshot: &Snapshot) -> bool {
    let arrays = [&snapshot.first_moments, &snapshot.second_moments, &snapshot.last_good_params];
    snapshot.state.is_finite() && arrays.into_iter().flatten().all(|value| value.is_finite())
}

/// Whatever comes in, a step is finite in all its numbers or it changes none; and the engines agree which.
#[test]
fn extreme_fields_and_amounts_count_or_leave_no_trace() {
    let mut stripes = vec![0.0; 2 * CELLS];
    stripes.iter_mut().step_by(3).for_each(|value| *value = -1e3);
    let inputs = [
        ("zero", constant(0.0), true),
        ("constant", constant(1.0), true),
        ("negative", constant(-7.5), true),
        ("stripes", Batch::fields(stripes), true),
        ("denormal", constant(1e-40), true),
        ("smallest", constant(5e-324), true),
        ("tiny", constant(1e-30), true),
        ("large", constant(1e15), true),
        ("spike of 1e38", huge(), false),
        ("1e38 everywhere", constant(1e38), false),
        ("beyond 32 bits", constant(1e300), false),
    ];
    let mut steps = 0;
    for amount in [0.0, 1e-30, 8.0, 100.0, 1e6] {
        for method in Method::ALL {
            let config = TrainConfig { amount: amount.into(), method, ..config(OnNan::Skip) };
            for (name, device, config) in engines(&config) {
                let plan = config.plan().unwrap();
                let mut trainer = plan.trainer(&device).unwrap();
                for (input, batch, finite) in &inputs {
                    let what = format!("{input}, amount {amount}, {method:?}, {name}");
                    let before = trainer.snapshot().unwrap();
                    let losses = step(&mut trainer, batch);
                    let after = trainer.snapshot().unwrap();
                    assert!(is_finite(&after), "{what}");
                    if losses.is_finite() {
                        assert!(*finite, "{what}: {losses:?}");
                    } else {
                        let unmoved = Snapshot { updates: after.updates, ..before };
                        assert!(after == unmoved, "{what}: a trace was left");
                        assert!(!finite, "{what}: {losses:?}");
                    }
                    steps += 1;
                }
            }
        }
    }
    println!("torture: {steps} steps on extreme inputs: finite in every number, or without a trace");
}
