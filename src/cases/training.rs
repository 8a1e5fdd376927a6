//! The cases of one training: each of its kernels as this training builds it, and its step in lockstep with
//! the reference. They are few and small, so that a device can be tried with them before it is trusted.

use crate::cases::convolution::weight_gradient_case;
use crate::cases::convolution::{Pooled, adjoint_case, adjoint_split_case, conv_case, norm_case};
use crate::cases::gradients::{Below, Of};
use crate::cases::layers::{Input, Kind};
use crate::cases::optimiser::BadPlace;
use crate::cases::{Case, bias, network, optimiser, physics, res_block, step, together};
use crate::gpu::Shape;
use crate::model::unet::{Conv, Input as Source, Node};
use crate::model::{Activation, Adam, DType, Operator, StepSpec, UNet, UNetConfig};
use std::collections::BTreeSet;

/// Samples at once, wherever the number changes no kernel.
const SAMPLES: usize = 2;

/// Cells along each side that make a layer's tiles those of any larger layer.
const SIDE: usize = 32;

/// The cases of steps as `spec` says, those of single kernels first. Batches, large layers and wide networks
/// are cut to what makes the same kernels; physics keeps its grid.
pub fn of_step(spec: &StepSpec) -> Vec<Case> {
    let small = representative(spec);
    let mut cases = physics_cases(spec);
    cases.extend(of_network(&small, &[Pass::Forward, Pass::Backward]));
    let infinite = (BadPlace::Gradients, f32::INFINITY);
    cases.extend([None, Some(infinite)].map(optimiser::adam_case));
    cases.extend(step::lockstep(&small));
    cases
}

/// The cases of the forward pass of steps as `spec` says.
pub fn of_inference(spec: &StepSpec) -> Vec<Case> {
    of_network(&representative(spec), &[Pass::Forward])
}

/// A pass of the network.
#[derive(Clone, Copy, PartialEq)]
enum Pass {
    Forward,
    Backward,
}

fn of_network(spec: &StepSpec, passes: &[Pass]) -> Vec<Case> {
    let mut cases = Vec::new();
    for conv in 0..spec.net.convs.len() {
        cases.extend(passes.iter().flat_map(|&pass| convolution_cases(spec, conv, pass)));
    }
    cases.extend(passes.iter().flat_map(|&pass| stages(spec, pass)));
    let mut known = BTreeSet::new();
    cases.retain(|case| known.insert((case.name.clone(), case.shape.clone())));
    cases
}

/// A training with the same kernels, but for those of physics, that a CPU does in no time.
fn representative(spec: &StepSpec) -> StepSpec {
    /// More channels than in one block are one block and the rest.
    const BLOCK: usize = 16;
    let narrow = |&filters: &usize| if filters > 2 * BLOCK { BLOCK + filters % BLOCK } else { filters };
    let config = &spec.net.config;
    let filters: Vec<usize> = config.filters.iter().map(narrow).collect();
    let coarsest = filters.len() - 1;
    let shorter = |mut side: usize| {
        while side > 2 * SIDE && side >> coarsest > SIDE / 2 {
            side /= 2;
        }
        side
    };
    /// More leaves nothing of the y loss but rounding.
    const MOST_DIFFUSED: f64 = 8.0;
    /// A smaller λ makes the observation's rounding larger than tolerances allow.
    const LEAST_DAMPED: f64 = 0.1;
    let [nx, ny] = [spec.operator.nx, spec.operator.ny].map(shorter);
    let operator = match (spec.operator.amount(), spec.operator.phase()) {
        (Some(amount), _) => Operator::heat(nx, ny, amount.min(MOST_DIFFUSED)),
        (None, None) => Operator::heat(nx, ny, 1.0),
        (None, Some(_)) => Ok(physics::with_phase(nx, ny)),
    };
    StepSpec {
        net: UNet::new(&UNetConfig { filters, ..config.clone() }),
        operator: operator.expect("a grid of the right size"),
        tikhonov: spec.tikhonov.map(|lambda| lambda.max(LEAST_DAMPED)),
        samples_at_once: SAMPLES,
        micro_batches: spec.micro_batches.min(2),
        together: spec.together.map(|_| 2),
        adam: Adam::default(), // tolerances are for its rate
        longest_submission: None,
        ..spec.clone()
    }
}

fn physics_cases(spec: &StepSpec) -> Vec<Case> {
    let (operator, precision) = (&spec.operator, spec.physics);
    let Operator { nx, ny, .. } = *operator;
    let samples = SAMPLES.min(spec.samples_at_once); // the grid may be as large as memory allows
    // Observations are made in 64 bits where the device has them, whatever the training signal is made in.
    let mut cases = vec![
        physics::rasterise_case(samples, nx, ny, DType::F32),
        physics::rasterise_case(samples, nx, ny, DType::F64),
        physics::diffuse_case(samples, operator, DType::F32, DType::F32),
        physics::diffuse_case(samples, operator, DType::F64, DType::F32),
        physics::signal_case(samples, operator, spec.objective, precision),
        physics::mean_shift_case(samples, nx, ny),
        physics::mean_shift_backward_case(samples, nx, ny, spec.objective.method),
        physics::narrow_case(samples * nx * ny),
    ];
    if let Some(lambda) = spec.tikhonov {
        cases.extend(
            [DType::F32, DType::F64]
                .map(|precision| physics::tikhonov_case(samples, operator, lambda, precision)),
        );
    }
    if spec.objective.noise > 0.0 {
        cases.push(physics::add_noise_case(samples * nx * ny, precision));
    }
    cases
}

/// What there is beside the convolutions.
fn stages(spec: &StepSpec, pass: Pass) -> Vec<Case> {
    let (net, storage) = (&spec.net, spec.activations);
    let shape = Shape { batch: SAMPLES, nx: SIDE / 2, ny: SIDE };
    let mut cases = Vec::new();
    if pass == Pass::Forward {
        cases.push(network::conv1x1_case(shape, storage));
        cases.push(match net.config.batch_norm {
            true => norm_case(shape, 12, 10.0, 1.0),
            false => bias::forward_case(),
        });
        if spec.together.is_some() {
            cases.push(together::forward_case(2, 5));
        }
        if !net.blocks.is_empty() {
            cases.push(res_block::sum_case(shape, net.config.activation, storage));
            cases.push(res_block::max_pool_case(shape, storage));
        }
        return cases;
    }
    cases.push(network::conv1x1_backward_case(shape, storage));
    if !net.config.batch_norm {
        cases.push(bias::backward_case(5, None, true));
    }
    if spec.together.is_some() {
        cases.push(together::backward_case(2, 5, Some(7), true));
    }
    if net.config.levels() > 1 {
        cases.push(network::upsample_case(shape, storage));
    }
    if spec.micro_batches > 1 || !net.blocks.is_empty() {
        cases.push(res_block::add_gradient_case(shape, storage));
    }
    if !net.blocks.is_empty() {
        cases.push(res_block::max_pool_backward_case(shape, storage));
        cases.push(res_block::output_gradient_case(shape, storage));
    }
    let added = net.convs.iter().enumerate().filter(|(i, _)| net.blocks.iter().any(|block| block.adds(*i)));
    cases.extend(added.map(|(_, conv)| res_block::activation_backward_case(shape, conv.activation, storage)));
    cases
}

/// Convolution `i`.
fn convolution_cases(spec: &StepSpec, i: usize, pass: Pass) -> Vec<Case> {
    let (net, storage, padding) = (&spec.net, spec.activations, spec.net.config.padding);
    let conv = &net.convs[i];
    let side = |cells: usize| (cells >> conv.level).min(SIDE);
    let shape = Shape { batch: SAMPLES, nx: side(spec.operator.nx), ny: side(spec.operator.ny) };
    let read = Read::by(net, conv);
    let input = Input { activation: read.activation, ..Input::new(read.kind, read.channels, shape, storage) };
    let is_pooled = net.convs.iter().any(|other| other.input == Source::Pool(i));
    if pass == Pass::Forward {
        let pooled = match &conv.norm {
            _ if !is_pooled => Pooled::No,
            Some(_) => Pooled::ByGamma,
            None => Pooled::ByZ,
        };
        return vec![conv_case(input, conv.c_out, padding, pooled)];
    }
    let is_last = net.nodes.last() == Some(&Node::Conv(i));
    let of = match () {
        () if is_pooled => Of::Pooled,
        () if is_last => Of::Output,
        () => Of::Stored,
    };
    let below = Below { activation: read.activation, ..Below::new(shape, read.channels[0], storage) };
    let adjoint = match read.kind {
        Kind::Plain => None,
        Kind::Activation => Some(adjoint_case(below, conv.c_out, padding, of)),
        Kind::SkipUp => Some(adjoint_split_case(below, conv.c_in, conv.c_out, padding)),
    };
    [weight_gradient_case(input, conv.c_out, padding, of)].into_iter().chain(adjoint).collect()
}

/// What a convolution reads.
struct Read {
    kind: Kind,
    channels: [usize; 2],
    activation: Activation,
}

impl Read {
    fn by(net: &UNet, conv: &Conv) -> Self {
        let (c_in, relu) = (conv.c_in, Activation::Relu);
        let (kind, channels, activation) = match conv.input {
            Source::Field => (Kind::Plain, [c_in, 0], relu),
            Source::Activation(j) | Source::Pool(j) => (Kind::Activation, [c_in, 0], net.convs[j].activation),
            Source::SkipUp { skip, low } => {
                (Kind::SkipUp, [skip, low].map(|j| net.convs[j].c_out), net.convs[skip].activation)
            }
            // Sums have no activation behind them.
            Source::Block(b) => match net.blocks[b].input {
                Source::Pool(_) => (Kind::Activation, [c_in, 0], Activation::Identity),
                Source::SkipUp { skip, low } => {
                    (Kind::SkipUp, [skip, low].map(|j| net.blocks[j].c_out), Activation::Identity)
                }
                Source::Field | Source::Activation(_) | Source::Block(_) => (Kind::Plain, [c_in, 0], relu),
            },
        };
        Self { kind, channels, activation }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blocking::{adapters, block_on};
    use crate::gpu::{Checks, Gpu, Step};
    use crate::model::unet::init::State;
    use crate::model::{Method, Objective, Padding};
    use std::sync::Arc;

    fn trainings() -> Vec<StepSpec> {
        let spec = |config: UNetConfig, objective: Objective, nx, ny| {
            StepSpec::new(&UNet::new(&config), &Operator::heat(nx, ny, 8.0).unwrap(), objective, 3)
        };
        let usual = UNetConfig::default();
        let narrow = UNetConfig { filters: vec![8, 16, 24], ..usual.clone() };
        let zero = UNetConfig { padding: Padding::Zero, batch_norm: false, ..narrow.clone() };
        let silu = UNetConfig { activation: Activation::Silu, ..narrow.clone() };
        let residual = UNetConfig { res_blocks: true, filters: vec![8, 8, 16], ..silu.clone() };
        let wide = UNetConfig { filters: vec![40, 72], ..usual.clone() };
        let noisy = Objective { noise: 1e-2, ..Method::Sip.into() };
        vec![
            spec(usual, Method::Sip.into(), 64, 64),
            spec(zero, Method::Gd.into(), 32, 128),
            StepSpec { activations: DType::F16, ..spec(silu, Method::Supervised.into(), 16, 32) },
            StepSpec { tikhonov: Some(1e-2), ..spec(residual.clone(), noisy, 32, 32) },
            StepSpec { micro_batches: 2, together: Some(2), ..spec(residual, Method::Sip.into(), 32, 32) },
            StepSpec { micro_batches: 2, ..spec(wide, Method::Sip.into(), 256, 128) },
            spec(UNetConfig { filters: vec![8], ..narrow }, Method::Gd.into(), 8, 8),
        ]
    }

    /// The cases of single kernels ask for every kernel of the step, and all of them pass.
    #[test]
    fn no_kernel_of_a_step_is_left_out() {
        let adapter = adapters().into_iter().next().expect(crate::engine::device::NO_ADAPTER);
        let gpu = Arc::new(block_on(Gpu::open(&adapter, Checks::Checked)).unwrap());
        for spec in trainings() {
            let start = State::new(&spec.net, 0);
            gpu.take_asked();
            Step::new(&gpu, &spec, &start).unwrap();
            let mut wanted = gpu.take_asked().kernels;
            for case in of_step(&spec) {
                let error = gpu.block_on(case.error(&gpu, false)).unwrap();
                let (name, shape, allowed) = (&case.name, &case.shape, case.tolerance);
                assert!(case.passes(error), "{name} {shape}: {error:.1e} and not {allowed:.0e}");
                let asked = gpu.take_asked().kernels;
                if !case.is_step() {
                    wanted.retain(|kernel| !asked.contains(kernel));
                }
            }
            assert!(wanted.is_empty(), "{}: {wanted:?}", spec.net.config);
        }
    }

    /// Whatever kernel of a step writes nothing, a case is far off.
    #[test]
    fn every_wrong_kernel_is_noticed() {
        let adapter = adapters().into_iter().next().expect(crate::engine::device::NO_ADAPTER);
        let open = || Arc::new(block_on(Gpu::open(&adapter, Checks::Trusted)).unwrap());
        let sound = open();
        let mut tried = BTreeSet::new();
        for spec in trainings() {
            let cases = of_step(&spec);
            let asks = |case: &Case| {
                sound.take_asked();
                sound.block_on(case.error(&sound, false)).unwrap();
                sound.take_asked().kernels
            };
            let asked: Vec<BTreeSet<String>> = cases.iter().map(asks).collect();
            for kernel in asked.iter().flatten() {
                if !tried.insert(kernel.clone()) {
                    continue;
                }
                let spoiled = open();
                spoiled.inject(&format!("wrong {kernel}"));
                let mut with = cases.iter().zip(&asked).filter(|(_, asked)| asked.contains(kernel));
                let is_wrong = |case: &Case| {
                    let error = spoiled.block_on(case.error(&spoiled, false)).unwrap();
                    error.is_nan() || error > case.margin()
                };
                assert!(with.any(|(case, _)| is_wrong(case)), "{kernel}");
            }
        }
        println!("torture: each of {} kernels of {} trainings spoiled", tried.len(), trainings().len());
        assert!(tried.len() > 80, "{tried:?}");
    }

    /// What people may ask for is no fault of the device.
    #[test]
    fn extreme_physics_passes() {
        let adapter = adapters().into_iter().next().expect(crate::engine::device::NO_ADAPTER);
        let gpu = Arc::new(block_on(Gpu::open(&adapter, Checks::Checked)).unwrap());
        let noisy = |method: Method, noise| Objective { noise, ..method.into() };
        for (amount, objective) in [
            (0.0, Method::Sip.into()),
            (1e-3, Method::Gd.into()),
            (100.0, noisy(Method::Sip, 1e-6)),
            (1e4, Method::Sip.into()),
            (1e6, Method::Gd.into()),
            (1e6, noisy(Method::Sip, 10.0)),
        ] {
            let net = UNet::new(&UNetConfig { filters: vec![8], ..Default::default() });
            let operator = Operator::heat(64, 32, amount).unwrap();
            let spec = StepSpec::new(&net, &operator, objective, 1);
            for case in physics_cases(&spec).into_iter().chain(step::lockstep(&representative(&spec))) {
                let error = gpu.block_on(case.error(&gpu, false)).unwrap();
                let (name, allowed) = (&case.name, case.tolerance);
                assert!(case.passes(error), "{name}, amount {amount}: {error:.1e} and not {allowed:.0e}");
            }
        }
    }
}
