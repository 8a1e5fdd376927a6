//! A device that is lost in the middle of a run: it is opened anew, and the files are those of an unbroken
//! run.

use crate::support::runs::{SMALL, assert_same, command, said};
use std::path::Path;
use std::sync::Arc;
use tempfile::tempdir;
use unheat::blocking::block_on;
use unheat::engine::{Device, DeviceChoice};
use unheat::gpu::Gpu;
use unheat::io::arrays::checkpoint;
use unheat::io::tables::metrics::MetricsRow;
use unheat::model::UNetConfig;
use unheat::train::{Progress, Resumed, Size, TrainConfig, resume, train};
use unheat::{Error, Result};

/// Loses the device when these steps have arrived, in this order.
struct Saboteur {
    gpu: Arc<Gpu>,
    steps: Vec<u64>,
    /// Whether every new device is lost at once.
    relentless: bool,
    recovered: Vec<(String, u64)>,
    arrived: Vec<u64>,
}

impl Progress for Saboteur {
    fn step(&mut self, row: &MetricsRow, _: u64) {
        self.arrived.push(row.step);
        if self.steps.first() == Some(&row.step) {
            self.steps.remove(0);
            self.gpu.lose();
        }
    }

    fn recovered(&mut self, error: &str, step: u64, device: &Device) {
        self.recovered.push((error.to_owned(), step));
        let Device::Gpu(gpu) = device else { panic!("a GPU was lost") };
        self.gpu = gpu.clone();
        if self.relentless {
            self.gpu.lose();
        }
    }
}

fn config() -> TrainConfig {
    TrainConfig {
        steps: 30,
        batch: 2,
        size: Size { nx: 16, ny: 16 },
        levels: 2,
        net: UNetConfig { filters: vec![8], ..Default::default() },
        checkpoint_every: 7,
        validate_every: 5,
        jsonl: true,
        ..TrainConfig::default()
    }
}

fn saboteur(adapter: usize, steps: &[u64], relentless: bool) -> (Device, Saboteur) {
    let device = Device::open(&DeviceChoice::Index(adapter)).unwrap();
    let Device::Gpu(gpu) = &device else { panic!("an adapter was asked for") };
    let saboteur = Saboteur {
        gpu: gpu.clone(),
        steps: steps.to_vec(),
        relentless,
        recovered: Vec::new(),
        arrived: Vec::new(),
    };
    (device, saboteur)
}

fn run(folder: &Path, adapter: usize, steps: &[u64], relentless: bool) -> (Result<()>, Saboteur) {
    let (device, saboteur) = saboteur(adapter, steps, relentless);
    run_on(&device, saboteur, folder)
}

fn run_on(device: &Device, mut saboteur: Saboteur, folder: &Path) -> (Result<()>, Saboteur) {
    let config = config();
    let outcome = train(&config, config.plan().unwrap(), device, Some(folder), &mut saboteur);
    (outcome.map(drop), saboteur)
}

/// The first adapter's device under another identity, and who loses it at step 9.
fn disguised(disguise: impl Fn(wgpu::AdapterInfo) -> wgpu::AdapterInfo) -> (Device, Saboteur) {
    let adapter = &crate::support::adapters()[0];
    let (device, queue) = block_on(adapter.request_device(&wgpu::DeviceDescriptor::default())).unwrap();
    let info = disguise(adapter.get_info());
    let gpu = Arc::new(Gpu::from_device(device, queue, info, unheat::gpu::Checks::default()));
    let (_, saboteur) = saboteur(0, &[9], false);
    (Device::Gpu(gpu.clone()), Saboteur { gpu, ..saboteur })
}

#[test]
fn a_lost_device_is_opened_anew_and_nothing_changes() {
    let root = tempdir().unwrap();
    for adapter in 0..crate::support::adapters().len() {
        let [whole, broken] = ["whole", "broken"].map(|name| root.path().join(format!("{name}-{adapter}")));
        run(&whole, adapter, &[], false).0.unwrap();
        // At once; twice within an interval; at a checkpoint; at the very end.
        let (outcome, saboteur) = run(&broken, adapter, &[0, 8, 9, 13, 29], false);
        outcome.unwrap();
        assert_same(&whole, &broken);
        assert!(saboteur.steps.is_empty());
        assert!((3..=5).contains(&saboteur.recovered.len()), "{:?}", saboteur.recovered);
        assert!(saboteur.arrived.iter().copied().eq(0..30), "each step is told once: {:?}", saboteur.arrived);
        for (error, step) in &saboteur.recovered {
            assert!(!error.contains('\n') && *step <= 30, "{error}");
        }
        println!(
            "torture: device lost {} times in 30 steps: final files byte-identical",
            saboteur.recovered.len()
        );
    }
}

#[test]
fn a_device_that_fails_again_and_again_ends_the_run_with_one_line() {
    let root = tempdir().unwrap();
    let (whole, broken) = (root.path().join("whole"), root.path().join("broken"));
    run(&whole, 0, &[], false).0.unwrap();
    let (outcome, saboteur) = run(&broken, 0, &[16], true);
    let error = outcome.unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, Error::Stopped { .. }), "{text}");
    assert!(
        text.contains("3 failures after step") && text.contains("--resume") && !text.contains('\n'),
        "{text}"
    );
    assert_eq!(saboteur.recovered.len(), 2, "the third failure is the last");
    let saved = checkpoint::read(&broken.join("checkpoint.safetensors")).unwrap();
    assert!(saved.step >= 14, "{}", saved.step);

    let (device, quiet) = self::saboteur(0, &[], false);
    resume_quietly(&broken, &device, quiet);
    assert_same(&whole, &broken);
}

/// Goes on with a run, and lets nothing happen to it.
fn resume_quietly(folder: &Path, device: &Device, mut quiet: Saboteur) {
    let run = Resumed::open(folder).unwrap();
    let (config, plan) = (config(), run.plan(&config()).unwrap());
    resume(run, &config, plan, device, &mut quiet).unwrap();
}

/// A device that is gone for good: another one of its kind goes on with its run, byte for byte; where there
/// is none, one line says so, and the run can be resumed elsewhere.
#[test]
fn a_device_that_is_gone_is_replaced_by_its_like_or_by_the_person() {
    let root = tempdir().unwrap();
    let [whole, moved, ended] = ["whole", "moved", "ended"].map(|name| root.path().join(name));
    let (device, mut saboteur) = disguised(|info| info);
    saboteur.steps.clear();
    run_on(&device, saboteur, &whole).0.unwrap();

    let in_another_slot = |info| wgpu::AdapterInfo { device_pci_bus_id: "0000:ff:1f.7".to_owned(), ..info };
    let (device, saboteur) = disguised(in_another_slot);
    let (outcome, saboteur) = run_on(&device, saboteur, &moved);
    outcome.unwrap();
    assert_eq!(saboteur.recovered.len(), 1);
    let Device::Gpu(lost) = &device else { panic!("a GPU was opened") };
    assert_ne!(saboteur.gpu.info(), lost.info(), "another card goes on");
    assert_same(&whole, &moved);

    let (device, saboteur) = disguised(|info| wgpu::AdapterInfo { name: "sold card".to_owned(), ..info });
    let (outcome, saboteur) = run_on(&device, saboteur, &ended);
    let text = outcome.unwrap_err().to_string();
    for part in ["sold card: the device is gone", "3 failures after step", "--resume"] {
        assert!(text.contains(part) && !text.contains('\n'), "{text}");
    }
    assert!(saboteur.recovered.is_empty(), "{:?}", saboteur.recovered);
    let (device, mut quiet) = disguised(|info| info);
    quiet.steps.clear();
    resume_quietly(&ended, &device, quiet);
    assert_same(&whole, &ended);
}

#[test]
fn a_limit_that_is_no_number_is_refused() {
    let root = tempdir().unwrap();
    let flags = format!("{SMALL} --device 0 --steps 3 -o {}", root.path().join("run").display());
    for (variable, value, expected) in [
        ("UNHEAT_WAIT_LIMIT", "an hour", "must be a number"),
        ("UNHEAT_WAIT_LIMIT", "-1", "must be a number"),
        ("UNHEAT_MEMORY_PERCENT", "0", "must be from 1 to 100"),
        ("UNHEAT_MEMORY_PERCENT", "", "must be from 1 to 100"),
        ("UNHEAT_MEMORY_PERCENT", "95.5", "must be from 1 to 100"),
        ("UNHEAT_WAIT_LIMIT", "inf", "must be a number"),
        ("UNHEAT_LEAST_DEVICE", "yes", "must be 1 or 0"),
    ] {
        let output = command(&flags).env(variable, value).output().unwrap();
        let said = said(&output);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(&format!("unheat: {variable} {value}: {expected}")), "{said}");
        assert!(!root.path().join("run").exists(), "{variable} {value}: nothing is left behind");
    }
}

/// A device that binds a megabyte at most refuses a batch, and the one that it names trains.
#[test]
fn a_batch_beyond_low_limits_names_the_largest_that_fits() {
    for adapter in crate::support::adapters() {
        let limits = wgpu::Limits { max_storage_buffer_binding_size: 1 << 20, ..Default::default() };
        let checks = unheat::gpu::Checks::default();
        let open = Gpu::open_with(&adapter, checks, wgpu::Features::empty(), limits);
        let gpu = block_on(open).unwrap();
        let compute = Device::Gpu(Arc::new(gpu));
        let trained = |batch| {
            let config = TrainConfig { batch, ..config() };
            let mut plan = config.plan()?;
            let mut engine = plan.trainer(&compute)?;
            engine.submit(&plan.data.batch(0))?;
            engine.losses(true).map(|losses| losses.len())
        };
        let error = trained(5000).unwrap_err();
        assert!(matches!(error, Error::Usage(_)), "{error}");
        let text = error.to_string();
        let (_, named) =
            text.split_once("the largest batch that fits is ").unwrap_or_else(|| panic!("{text}"));
        let (named, _) = named.split_once(',').unwrap_or((named, "")); // what --micro-batch would do follows
        let named: usize = named.parse().unwrap();
        assert_eq!(trained(named).unwrap(), 1);
        assert!(trained(named + 1).is_err(), "{named} is not the largest");
    }
}

/// A device whose memory is full while a step is built names the batch that fits, and that one trains.
#[test]
fn a_batch_beyond_the_memory_of_a_gpu_names_the_largest_that_fits() {
    for adapter in crate::support::adapters() {
        let gpu = Arc::new(block_on(Gpu::open(&adapter, unheat::gpu::Checks::default())).unwrap());
        gpu.starve(32 << 20);
        let compute = Device::Gpu(gpu);
        let trained = |batch| {
            let config = TrainConfig { batch, ..config() };
            let mut plan = config.plan()?;
            let mut engine = plan.trainer(&compute)?;
            engine.submit(&plan.data.batch(0))?;
            engine.losses(true).map(|losses| losses.len())
        };
        let text = trained(1000).unwrap_err().to_string();
        assert!(text.contains("has not enough memory for"), "{text}");
        let (_, named) =
            text.split_once("the largest batch that fits is ").unwrap_or_else(|| panic!("{text}"));
        let (named, _) = named.split_once(',').unwrap_or((named, "")); // what --micro-batch would do follows
        let named: usize = named.parse().unwrap();
        assert_eq!(trained(named).unwrap(), 1);
        assert!(named > 10 && trained(named + 1).is_err(), "{named} is not the largest");
    }
}

/// A device that was opened with less keeps to it when it is opened anew.
#[test]
fn a_device_opened_anew_has_the_same_limits() {
    for adapter in crate::support::adapters() {
        let limits = wgpu::Limits::default();
        let checks = unheat::gpu::Checks::default();
        let open = Gpu::open_with(&adapter, checks, wgpu::Features::empty(), limits.clone());
        let gpu = block_on(open).unwrap();
        gpu.lose();
        let again = block_on(gpu.reopen()).unwrap();
        assert_eq!(again.max_tensor_bytes(), limits.max_storage_buffer_binding_size);
        assert!(!again.has_timestamps());
    }
}
