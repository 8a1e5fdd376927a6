//! Sets of kernels, recorded on wgpu's stub device, for what reads or compiles them.
#![allow(dead_code, unreachable_pub)] // every test binary uses its own part

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};
use unheat::engine::kernels::{of_training_and_inference, sorted, stub, stub_with_fxc};
use unheat::gpu::heat::inverse::Inverse;
use unheat::gpu::probes::copy::copy;
use unheat::gpu::probes::exp64::exp64;
use unheat::gpu::probes::multiply_add::multiply_add;
use unheat::gpu::runtime::variants::{Key, Variant};
use unheat::gpu::{Checks, Gpu, KernelSpec, Recorder, Step};
use unheat::io::point_spread::factors;
use unheat::model::unet::init::State;
use unheat::model::{Activation, DType, Method, Objective, Operator, Padding, StepSpec, UNet, UNetConfig};
use wgpu::DeviceType;

/// Those of the default training step, also in micro-batches that are normalised together, and of inference,
/// stored in 32 and in 16 bits, with the variants that
/// are usual on a GPU and with the direct ones, for devices with 64-bit floats and without.
pub fn default_step() -> Vec<KernelSpec> {
    let net = UNet::new(&UNetConfig::default());
    let heat = Operator::heat(64, 64, 8.0).unwrap();
    let start = State::new(&net, 0);
    let mut specs = Vec::new();
    for (device_type, with_f64) in [
        (DeviceType::DiscreteGpu, true),
        (DeviceType::DiscreteGpu, false),
        (DeviceType::Cpu, true),
        (DeviceType::Cpu, false),
    ] {
        let gpu = Arc::new(stub(device_type, with_f64, Checks::Trusted));
        for activations in [DType::F32, DType::F16] {
            let spec = StepSpec { activations, ..StepSpec::new(&net, &heat, Method::Sip, 128) };
            let halves =
                StepSpec { samples_at_once: 64, micro_batches: 2, together: Some(2), ..spec.clone() };
            Step::new(&gpu, &halves, &start).unwrap();
            specs.extend(of_training_and_inference(&gpu, &spec, &start).unwrap());
        }
    }
    sorted(specs).unwrap()
}

/// Those of the case list, which `unheat check` runs; recorded for a GPU with 64-bit floats and for one
/// without.
pub fn case_list() -> Vec<KernelSpec> {
    let mut specs = Vec::new();
    for with_f64 in [true, false] {
        let gpu = Arc::new(stub(DeviceType::DiscreteGpu, with_f64, Checks::Trusted));
        for case in unheat::cases::all().iter().filter(|case| case.missing(&gpu).is_none()) {
            gpu.block_on(case.outputs(&gpu)).unwrap(); // zeros: the stub computes nothing
        }
        specs.extend(gpu.kernel_specs());
    }
    sorted(specs).unwrap()
}

/// The convolutions of the default step in every variant that tuning may choose.
pub fn every_variant() -> Vec<KernelSpec> {
    every_variant_on(stub(DeviceType::DiscreteGpu, false, Checks::Trusted))
}

/// The same where FXC compiles.
pub fn every_variant_with_fxc() -> Vec<KernelSpec> {
    every_variant_on(stub_with_fxc())
}

fn every_variant_on(gpu: Gpu) -> Vec<KernelSpec> {
    let net = UNet::new(&UNetConfig::default());
    let heat = Operator::heat(64, 64, 8.0).unwrap();
    let start = State::new(&net, 0);
    let sides = [1, 2, 4, 8];
    let tiled = sides.into_iter().flat_map(|patch| sides.map(|channels| Variant::Tiled { patch, channels }));
    let gpu = Arc::new(gpu);
    let record = || {
        for activations in [DType::F32, DType::F16].into_iter().filter(|&storage| gpu.stores_in(storage)) {
            let spec = StepSpec { activations, ..StepSpec::new(&net, &heat, Method::Sip, 128) };
            Step::new(&gpu, &spec, &start).unwrap();
        }
    };
    record();
    let names: Vec<String> = gpu.kernel_specs().into_iter().map(|spec| spec.name).collect();
    for variant in tiled.chain(sides.map(|patch| Variant::Direct { patch })) {
        gpu.set_variants(names.iter().map(|name| (Key::of_all(name.clone()), variant)).collect());
        record();
    }
    let specs = gpu.kernel_specs().into_iter().filter(|spec| spec.name.starts_with("conv3x3"));
    sorted(specs.collect()).unwrap()
}

/// The kernels of training steps that differ in sizes, levels, widths and every choice, by their sources.
pub fn every_choice() -> &'static BTreeMap<String, KernelSpec> {
    static SPECS: LazyLock<BTreeMap<String, KernelSpec>> = LazyLock::new(record);
    &SPECS
}

fn record() -> BTreeMap<String, KernelSpec> {
    let sizes = [
        (vec![16; 4], 128, 64, 64),
        (vec![8; 4], 2, 8, 16),
        (vec![8, 16, 24], 3, 32, 128),
        (vec![8], 1, 8, 8),
        (vec![16; 4], 2, 32, 32),
        (vec![64, 128], 1, 256, 512),
        (vec![8; 6], 1, 1024, 2048),
    ];
    let mut specs = BTreeMap::new();
    // As a software adapter has them, whose usual variants are the direct kernels, and as a GPU.
    for (device_type, with_f64, sizes) in [
        (DeviceType::Cpu, true, &sizes[..3]),
        (DeviceType::DiscreteGpu, true, &sizes[..]),
        (DeviceType::DiscreteGpu, false, &sizes[..2]),
    ] {
        specs.extend(record_on(&Arc::new(stub(device_type, with_f64, Checks::Checked)), sizes));
    }
    specs
}

/// Channels by level, batch and cells.
type Size = (Vec<usize>, usize, usize, usize);

fn record_on(gpu: &Arc<Gpu>, sizes: &[Size]) -> BTreeMap<String, KernelSpec> {
    for &(ref filters, batch, nx, ny) in sizes {
        let noisy = |method: Method| Objective { noise: 1e-3, ..method.into() };
        use Activation::{Relu, Sigmoid, Silu, Tanh};
        for (objective, padding, activation, batch_norm, res_blocks) in [
            (Method::Sip.into(), Padding::Circular, Relu, true, false),
            (Method::Gd.into(), Padding::Zero, Relu, false, false),
            (Method::Supervised.into(), Padding::Circular, Silu, true, false),
            (noisy(Method::Sip), Padding::Circular, Tanh, true, true),
            (noisy(Method::Gd), Padding::Zero, Sigmoid, true, false),
        ] {
            let net = UNet::new(&UNetConfig {
                filters: filters.clone(),
                padding,
                activation,
                batch_norm,
                res_blocks,
            });
            let turned = if padding == Padding::Zero { "heat+advection:1,0.5" } else { "heat" };
            let heat = Operator::of(nx, ny, &factors(&turned.parse().unwrap(), 8.0.into()).unwrap()).unwrap();
            let start = State::new(&net, 0);
            let spec = StepSpec { tikhonov: Some(1e-2), ..StepSpec::new(&net, &heat, objective, batch) };
            let halves = StepSpec { activations: DType::F16, ..spec.clone() };
            Step::new(gpu, &halves, &start).unwrap();
            if batch_norm {
                let together = StepSpec { micro_batches: 2, together: Some(2), ..spec.clone() };
                Step::new(gpu, &together, &start).unwrap();
            }
            for precision in [DType::F32, DType::F64].into_iter().filter(|&p| gpu.computes_in(p)) {
                Step::new(gpu, &StepSpec { physics: precision, ..spec.clone() }, &start).unwrap();
                Inverse::new(gpu, &heat, batch, precision).unwrap().record(&mut Recorder::new(gpu)).unwrap();
            }
        }
    }
    if gpu.computes_in(DType::F64) {
        let numbers = || gpu.tensor_in("numbers", 8, DType::F64).unwrap();
        exp64(&mut Recorder::new(gpu), &numbers(), &numbers(), 8).unwrap();
    }
    let [from, to] = ["from", "to"].map(|label| gpu.tensor(label, 8).unwrap());
    copy(&mut Recorder::new(gpu), &from, &to).unwrap();
    multiply_add(&mut Recorder::new(gpu), &to, 8, 1).unwrap();
    gpu.kernel_specs().into_iter().map(|spec| (spec.source().unwrap(), spec)).collect()
}
