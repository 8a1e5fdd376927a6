//! The work that dispatches declare, and the memory that tensors take. Needs no GPU: recorded on wgpu's stub
//! device.

use std::sync::Arc;
use unheat::gpu::heat::narrow::narrow;
use unheat::gpu::nn::sum_rows::{PartialSums, Rows};
use unheat::gpu::probes::copy::copy;
use unheat::gpu::probes::multiply_add::{CHAINS, ITERATIONS, multiply_add};
use unheat::gpu::step::adam::Optimiser;
use unheat::gpu::unet::network::Network;
use unheat::gpu::{Checks, Gpu, MemoryUse, Recorder, Step, Work};
use unheat::model::unet::init::State;
use unheat::model::{Adam, DType, Method, Operator, StepSpec, UNet, UNetConfig};

fn gpu() -> Gpu {
    let (device, queue) = wgpu::Device::noop(&wgpu::DeviceDescriptor {
        required_features: wgpu::Features::SHADER_F64 | wgpu::Features::SHADER_F16,
        ..Default::default()
    });
    let info = device.adapter_info();
    Gpu::from_device(device, queue, info, Checks::Checked)
}

#[test]
fn bytes_follow_from_the_shader_and_the_declared_lengths() {
    let gpu = gpu();
    let tensor = |len| gpu.tensor("numbers", len).unwrap();
    let wide = gpu.tensor_in("wide", 100, DType::F64).unwrap();
    let mut record = Recorder::new(&gpu);
    record.label("first");
    copy(&mut record, &tensor(400), &tensor(400)).unwrap();
    narrow(&mut record, &wide, &tensor(500), 100).unwrap();
    record.label("second");
    let (rows, total) = (tensor(1000), tensor(1000));
    let mut sums = PartialSums::new(&rows, &total);
    sums.make_room(&mut record, Rows::whole(30, 20), 700).unwrap();
    sums.make_room(&mut record, Rows::whole(3, 40), 800).unwrap();
    sums.add_up(&mut record).unwrap();
    let optimiser = Optimiser::new(&gpu, Adam::default(), 50).unwrap();
    optimiser.update(&mut record, &tensor(1), &tensor(50), &tensor(50)).unwrap();
    multiply_add(&mut record, &tensor(10), 7, 3).unwrap();
    let recording = record.finish();
    let found: Vec<(&str, &str, Work)> = recording.describe().map(|d| (d.label, d.kernel, d.work)).collect();
    let work = |flops: usize, bytes: u64| Work { flops: flops as u64, bytes };
    let expected = [
        ("first", "copy", work(0, 4 * (400 + 400))),
        ("first", "narrow/f64", work(0, 100 * (8 + 4))),
        // Three blocks of at most 32 columns, of six numbers.
        ("second", "sum_rows", work(30 * 20 + 3 * 40, 4 * (30 * 20 + 3 * 40 + 20 + 40 + 3 * 6))),
        // Gradients once; weights and both moments in and out; schedule and frozen.
        ("second", "adam", work(13 * 50, 4 * (50 * 7 + 2 + 1))),
        ("second", "multiply_add", work(2 * CHAINS * ITERATIONS * 3 * 7, 4 * 7)),
    ];
    assert_eq!(found, expected);
}

#[test]
fn memory_is_counted_by_use_while_a_tensor_lives() {
    let gpu = gpu();
    let all = || MemoryUse::ALL.map(|used| gpu.memory(used)).into_iter().sum::<u64>();
    assert_eq!(all(), 0);
    let tensor = gpu.allocate_for(MemoryUse::Physics, || {
        let inner = gpu.allocate_for(MemoryUse::Scratch, || gpu.tensor("inner", 10).unwrap());
        (gpu.tensor("outer", 100).unwrap(), inner)
    });
    let other = gpu.tensor_in("other", 1000, DType::F64).unwrap();
    assert_eq!(gpu.memory(MemoryUse::Physics), 400);
    assert_eq!(gpu.memory(MemoryUse::Scratch), 40);
    assert_eq!(gpu.memory(MemoryUse::Other), 8000);
    let clone = other.clone();
    drop(other);
    assert_eq!(gpu.memory(MemoryUse::Other), 8000, "a clone shares the memory");
    drop((clone, tensor));
    assert_eq!(all(), 0);
}

#[test]
fn sixteen_bits_halve_the_memory_and_traffic_of_activations() {
    let gpu = gpu();
    let net = UNet::new(&UNetConfig::default());
    let measure = |storage| {
        let network = Network::new(&gpu, &net, storage, 16, 64, 64).unwrap();
        let fields =
            ["input", "output", "output gradient"].map(|label| gpu.tensor(label, 16 * 4096).unwrap());
        let [input, output, gradient] = &fields;
        let mut record = Recorder::new(&gpu);
        network.pack(&mut record).unwrap();
        network.forward(&mut record, input, output).unwrap();
        network.backward(&mut record, input, gradient).unwrap();
        let bytes: u64 = record.finish().describe().map(|d| d.work.bytes).sum();
        let memory = gpu.memory(MemoryUse::Activations) + gpu.memory(MemoryUse::Gradients);
        (bytes as f64, memory as f64)
    };
    let (single, half) = (measure(DType::F32), measure(DType::F16));
    let ratios = [half.0 / single.0, half.1 / single.1];
    // Weights, partial sums, the fields and the parameters' gradients keep their 32 bits.
    assert!(0.5 < ratios[0] && ratios[0] < 0.65 && 0.5 < ratios[1] && ratios[1] < 0.51, "{ratios:?}");
}

/// The goal that docs/performance.md states, for the default setting.
#[test]
fn a_step_moves_at_most_1_7_gigabytes() {
    let gpu = Arc::new(gpu());
    let net = UNet::new(&UNetConfig::default());
    let heat = Operator::heat(64, 64, 8.0).unwrap();
    let spec = StepSpec::new(&net, &heat, Method::Sip, 128);
    let step = Step::new(&gpu, &spec, &State::new(&net, 0)).unwrap();
    let mut whole = Work::default();
    for (part, recording) in step.recordings() {
        let mut work = Work::default();
        for dispatch in recording.describe() {
            work.flops += dispatch.work.flops;
            work.bytes += dispatch.work.bytes;
        }
        eprintln!("{part}: {} dispatches, {work:?}", recording.len());
        whole.flops += work.flops;
        whole.bytes += work.bytes;
    }
    eprintln!("in all {} dispatches, {whole:?}", step.dispatches());
    assert!(whole.bytes <= 1_700_000_000, "{whole:?}");
    assert!(whole.flops > 40_000_000_000, "{whole:?}");
    let memory: u64 = MemoryUse::ALL.map(|used| gpu.memory(used)).into_iter().sum();
    eprintln!("{memory} bytes of memory");
    assert!(memory <= 440_000_000, "{memory}");
}
