//! Networks with the reference's other choices: against PyTorch's values (tests/choices/make.py), and
//! trained.

use crate::support::{Golden, adapters, check, devices, live_errors, relative, widen};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use unheat::TrainConfig;
use unheat::blocking::block_on;
use unheat::cpu::nn::batch_norm::blend;
use unheat::cpu::{self, Real};
use unheat::gpu::{self, Checks, Gpu, Recorder};
use unheat::io::arrays::weights;
use unheat::model::{Activation, DType, UNet, UNetConfig};

const BATCH: usize = 2;
const NX: usize = 8;
const NY: usize = 16;

/// The files in tests/choices with their architectures.
fn choices() -> Vec<(&'static str, UNetConfig)> {
    let small = || UNetConfig { filters: vec![8, 8], ..UNetConfig::default() };
    // Shortcuts with and without a convolution.
    let residual = || UNetConfig { filters: vec![8, 8, 16], ..UNetConfig::default() };
    vec![
        ("silu", UNetConfig { activation: Activation::Silu, ..small() }),
        ("tanh", UNetConfig { activation: Activation::Tanh, ..small() }),
        ("sigmoid", UNetConfig { activation: Activation::Sigmoid, ..small() }),
        ("no_batch_norm", UNetConfig { batch_norm: false, ..small() }),
        ("res_blocks", UNetConfig { res_blocks: true, ..residual() }),
        ("res_blocks_silu", UNetConfig { activation: Activation::Silu, res_blocks: true, ..residual() }),
        ("res_blocks_no_batch_norm", UNetConfig { batch_norm: false, res_blocks: true, ..residual() }),
        ("no_batch_norm_silu", UNetConfig { batch_norm: false, activation: Activation::Silu, ..small() }),
    ]
}

/// What PyTorch has computed.
struct Peer {
    name: &'static str,
    net: UNet,
    golden: Golden,
}

impl Peer {
    fn all() -> impl Iterator<Item = Self> {
        choices().into_iter().map(|(name, config)| Self {
            name,
            net: UNet::new(&config),
            golden: Golden::open_in("tests/choices", name),
        })
    }

    fn params(&self) -> Vec<f64> {
        self.golden.params(&self.net, "param.")
    }

    /// Mean 0 and variance 1, as they are at first.
    fn running(&self) -> Vec<f32> {
        unheat::model::unet::init::State::new(&self.net, 0).buffers
    }

    /// Output, gradients of the parameters and the running statistics must be within `tolerance` of
    /// PyTorch's.
    fn check(&self, where_: &str, output: &[f64], gradients: &[f64], running: &[f64], tolerance: f64) {
        let name = format!("{} {where_}", self.name);
        check(&format!("{name}: output"), relative(output, &self.golden.f64("output")), tolerance);
        let wanted = self.golden.params(&self.net, "grad.");
        check(&format!("{name}: gradients"), live_errors(&self.net, gradients, &wanted).0, tolerance);
        // Those that are zero but for rounding too, next to the others.
        check(&format!("{name}: all gradients"), relative(gradients, &wanted), tolerance);
        if self.net.config.batch_norm {
            let wanted = self.golden.buffers(&self.net, "after.");
            check(&format!("{name}: running"), relative(running, &wanted), tolerance);
        } else {
            assert!(running.is_empty() && self.net.buffer_count == 0);
        }
    }
}

fn on_cpu<T: Real>(peer: &Peer, tolerance: f64) {
    let convert = |values: &[f64]| -> Vec<T> { values.iter().map(|&v| T::of(v)).collect() };
    let back = |values: &[T]| -> Vec<f64> { values.iter().map(|v| v.f64()).collect() };
    let params = convert(&peer.params());
    let [input, gradient] = ["input", "grad_output"].map(|name| convert(&peer.golden.f64(name)));
    let mut running = convert(&widen(&peer.running()));
    let (mut output, mut input_gradient) = (vec![T::zero(); input.len()], vec![T::zero(); input.len()]);
    let mut gradients = vec![T::zero(); params.len()];
    let mut network = cpu::unet::network::Network::<T>::new(&peer.net, BATCH, NX, NY);
    network.forward(&params, &mut running, &input, &mut output);
    network.backward(&params, &input, &gradient, &mut gradients, Some(&mut input_gradient));
    let precision = T::PRECISION;
    peer.check(
        &format!("on the CPU in {precision}"),
        &back(&output),
        &back(&gradients),
        &back(&running),
        tolerance,
    );
    let error = relative(&back(&input_gradient), &peer.golden.f64("grad_input"));
    check(&format!("{} on the CPU in {precision}: input gradient", peer.name), error, tolerance);
}

#[test]
fn the_cpu_engine_computes_what_pytorch_does() {
    for peer in Peer::all() {
        on_cpu::<f64>(&peer, 1e-12);
        on_cpu::<f32>(&peer, 1e-5);
    }
}

#[test]
fn the_shaders_compute_what_pytorch_does() {
    for adapter in adapters() {
        let gpu = Arc::new(block_on(Gpu::open(&adapter, Checks::Checked)).unwrap());
        for peer in Peer::all() {
            let network =
                gpu::unet::network::Network::new(&gpu, &peer.net, DType::F32, BATCH, NX, NY).unwrap();
            let params: Vec<f32> = peer.params().iter().map(|&v| v as f32).collect();
            gpu.write(&network.params, &params);
            gpu.write(&network.running, &peer.running());
            let [input, gradient] =
                ["input", "grad_output"].map(|name| gpu.tensor_from(name, &peer.golden.f32(name)).unwrap());
            let output = gpu.tensor("output", BATCH * NX * NY).unwrap();
            let mut record = Recorder::new(&gpu);
            network.pack(&mut record).unwrap();
            network.forward(&mut record, &input, &output).unwrap();
            network.backward(&mut record, &input, &gradient).unwrap();
            record.finish().submit(&gpu);
            let read = |tensor| widen(&gpu.read(tensor).unwrap());
            let (output, gradients) = (read(&output), read(&network.gradients));
            let mut running = widen(&peer.running());
            blend(&mut running, &read(&network.batch_statistics));
            peer.check(&format!("on {}", gpu.name()), &output, &gradients, &running, 1e-5);
        }
    }
}

/// Runs the program in `folder`; returns whether it succeeded, and what it said.
fn run(folder: &Path, arguments: &str) -> (bool, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_unheat"));
    let output =
        command.current_dir(folder).env_remove("RUST_LOG").args(arguments.split(' ')).output().unwrap();
    (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[track_caller]
fn succeed(folder: &Path, arguments: &str) {
    let (success, said) = run(folder, arguments);
    assert!(success, "{arguments}: {said}");
}

/// The flags that choose an architecture.
fn flags(config: &UNetConfig) -> String {
    let norm = if config.batch_norm { "on" } else { "off" };
    let blocks = if config.res_blocks { " --res-blocks" } else { "" };
    let filters: Vec<String> = config.filters.iter().map(usize::to_string).collect();
    let (levels, filters) = (filters.len(), filters.join(","));
    let activation = config.activation;
    format!("--levels {levels} --filters {filters} --activation {activation} --batch-norm {norm}{blocks}")
}

/// Each flag with its value.
fn pairs(flags: &str) -> Vec<String> {
    flags.split("--").skip(1).map(|flag| format!("--{}", flag.trim())).collect()
}

#[test]
fn training_learns_and_repeats_bit_for_bit_and_files_know_their_network() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    succeed(folder, "generate --count 4 --training-step 0 --size 16x16 --device cpu -o x.npy");
    succeed(folder, "diffuse -i x.npy --amount 8 --device cpu -o y.npy");
    for device in devices() {
        for (name, config) in choices() {
            // A software adapter compiles for long: two of them have the kernels that choices add.
            if device != "cpu" && !["no_batch_norm", "res_blocks_silu"].contains(&name) {
                continue;
            }
            let common = format!(
                "train --no-tune --no-self-test --device {device} --method supervised --batch 4 --data x.npy \
                 --lr 0.01"
            );
            let network = flags(&config);
            let first = format!("{name}-{device}");
            succeed(folder, &format!("{common} {network} --steps 24 -o {first}"));
            // The same in two parts.
            succeed(folder, &format!("{common} {network} --steps 5 -o {first}-again"));
            succeed(folder, &format!("train --no-tune --no-self-test --resume {first}-again --steps 24"));
            let file = |run: &str, name: &str| folder.join(run).join(name);
            let bytes = |run: &str| std::fs::read(file(run, "weights.safetensors")).unwrap();
            assert_eq!(bytes(&first), bytes(&format!("{first}-again")), "{first}");
            let losses = std::fs::read_to_string(file(&first, "metrics.csv")).unwrap();
            let losses: Vec<f64> =
                losses.lines().skip(1).map(|row| row.split(',').nth(1).unwrap().parse().unwrap()).collect();
            assert_eq!(losses.len(), 24);
            // Without batch norm the loss stays where it is for ten steps, on some devices for twelve.
            assert!(losses[23] < 0.85 * losses[0], "{first}: {losses:?}");

            let (net, _) = weights::read(&file(&first, "weights.safetensors")).unwrap();
            assert_eq!(net.config, config, "{first}");
            let weights = format!("{first}/weights.safetensors");
            succeed(
                folder,
                &format!(
                    "reconstruct --no-self-test --device {device} --weights {weights} -i y.npy -o {first}.npy"
                ),
            );
            if device != "cpu" {
                continue; // the rest is decided before any device is opened
            }
            // Weights bring their network along; another is refused in one line.
            succeed(folder, &format!("{common} --weights {weights} --steps 1 -o {first}-more"));
            let swapped = match config.activation {
                Activation::Tanh => Activation::Relu,
                _ => Activation::Tanh,
            };
            let other = UNetConfig {
                filters: vec![8, 16, 8, 8],
                activation: swapped,
                batch_norm: !config.batch_norm,
                res_blocks: !config.res_blocks,
                ..config.clone()
            };
            for other in pairs(&flags(&other)) {
                for refused in [
                    format!("{common} --weights {weights} --steps 1 {other}"),
                    format!("train --no-tune --no-self-test --resume {first} --steps 13 {other}"),
                ] {
                    let (success, said) = run(folder, &refused);
                    assert!(!success && said.lines().count() == 1, "{refused}: {said}");
                    let flag = other.split(' ').next().unwrap();
                    assert!(said.contains(&format!("leave {flag} out")), "{refused}: {said}");
                }
            }
        }
    }
}

#[test]
fn sums_of_residual_blocks_are_not_stored_in_sixteen_bits() {
    let activations = DType::F16;
    let mut config = TrainConfig { activations, ..TrainConfig::default() };
    config.net.res_blocks = true;
    let refused = config.plan().err().expect("a refusal").to_string();
    assert!(refused.contains("activations f16") && refused.contains("--res-blocks"), "{refused}");
    config.net.res_blocks = false;
    assert!(config.plan().is_ok());
}
