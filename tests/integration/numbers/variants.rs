//! Every variant of the convolutions gives the very same bits, and a choice that is none does no harm.

use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;
use unheat::blocking::{adapters, block_on};
use unheat::engine::device::NO_ADAPTER;
use unheat::gpu::layer::epilogue::{Epilogue, Pool, Target};
use unheat::gpu::layer::gradient::Gradient;
use unheat::gpu::layer::input::ConvInput;
use unheat::gpu::layer::layers::{Layer, NORM_LEN};
use unheat::gpu::nn::conv3x3::{chunks, conv3x3, statistics_len};
use unheat::gpu::nn::conv3x3_weight_gradient::{conv3x3_weight_gradient, partial_len};
use unheat::gpu::nn::pack_weights::{Packing, Weights};
use unheat::gpu::nn::sum_rows::PartialSums;
use unheat::gpu::runtime::variants::{Key, Variant, Variants};
use unheat::gpu::tune::{Workload, tune};
use unheat::gpu::{Checks, Gpu, Recorder, Shape, Tensor};
use unheat::model::rng::{Purpose, Random};
use unheat::model::{Activation, DType, Padding, UNet, UNetConfig};

/// The first adapter; not on every one, for this is about the shaders.
fn gpu() -> Arc<Gpu> {
    let adapters = adapters();
    Arc::new(block_on(Gpu::open(adapters.first().expect(NO_ADAPTER), Checks::Trusted)).unwrap())
}

fn noise(gpu: &Gpu, stream: u64, len: usize) -> Tensor {
    let mut random = Random::new(Purpose::Cases, 0, stream, 1);
    let values: Vec<f32> = (0..len).map(|_| random.between(-1.0, 1.0) as f32).collect();
    gpu.tensor_from("noise", &values).unwrap()
}

/// Makes layers that share a table of norms.
struct Layers {
    gpu: Arc<Gpu>,
    norms: Tensor,
    channels: Cell<usize>,
}

impl Layers {
    fn new(gpu: &Arc<Gpu>) -> Self {
        Self { gpu: gpu.clone(), norms: noise(gpu, 3, NORM_LEN * 256), channels: Cell::new(0) }
    }

    fn layer(&self, stream: u64, shape: Shape, channels: usize) -> Layer {
        let first_norm = self.channels.replace(self.channels.get() + channels);
        let z = noise(&self.gpu, stream, shape.stored(channels));
        Layer { z, norms: self.norms.clone(), first_norm, channels, activation: Activation::Relu }
    }
}

/// Wide tiles, tiles of several samples, and rows of fewer than four cells; a last tile that is not full
/// each.
const SHAPES: [Shape; 3] =
    [Shape { batch: 3, nx: 16, ny: 32 }, Shape { batch: 5, nx: 8, ny: 8 }, Shape { batch: 17, nx: 4, ny: 2 }];

/// 12 or 16 inputs and 20 outputs: full and partial blocks.
const OUT: usize = 20;

/// Records one kernel's call and returns what it writes.
type Call<'a> = &'a dyn Fn(&mut Recorder) -> Vec<Tensor>;

/// As [`compare_bits`], where several of `variants` are possible and `gpu` has met no other shape.
#[track_caller]
fn compare(gpu: &Gpu, kernel: &str, shape: Shape, variants: &[Variant], call: Call) -> Vec<Vec<u32>> {
    let outputs = compare_bits(gpu, kernel, shape, variants, call);
    let built = gpu.kernel_specs().iter().filter(|spec| spec.name == kernel).count();
    assert!(built > 1, "{kernel} on {shape:?}: {built} kernels for {} variants", variants.len());
    outputs
}

/// The direct ones want subgroups, which llvmpipe has.
fn can_be(gpu: &Gpu, variant: &Variant) -> bool {
    !variant.is_direct() || gpu.subgroup_sizes().is_some()
}

/// Runs `call` with `kernel` in each of `variants` and compares everything that it writes, bit by bit;
/// returns it.
#[track_caller]
fn compare_bits(gpu: &Gpu, kernel: &str, shape: Shape, variants: &[Variant], call: Call) -> Vec<Vec<u32>> {
    let run = |variant: Variant| -> Vec<Vec<u32>> {
        gpu.set_variants([(Key::of_all(kernel.to_owned()), variant)].into_iter().collect());
        let mut recorder = Recorder::new(gpu);
        let outputs = call(&mut recorder);
        let recording = recorder.finish();
        assert!(recording.describe().any(|d| d.kernel == kernel), "{kernel} was not recorded");
        recording.submit(gpu);
        outputs.iter().map(|t| gpu.read(t).unwrap().iter().map(|v| v.to_bits()).collect()).collect()
    };
    let expected = run(variants[0]);
    assert!(
        expected.iter().all(|output| output.iter().any(|&bits| bits != expected[0][0])),
        "only one value"
    );
    for &variant in variants[1..].iter().filter(|variant| can_be(gpu, variant)) {
        assert!(run(variant) == expected, "{kernel} {variant:?} on {shape:?}: other bits");
    }
    let was_direct = gpu.kernel_specs().iter().any(|spec| spec.name == kernel && spec.subgroups());
    let wanted = gpu.is_software()
        && variants.iter().any(|variant| variant.is_direct())
        && gpu.subgroup_sizes().is_some();
    assert!(was_direct || !wanted, "{kernel} on {shape:?}: no direct one was built");
    expected
}

/// Which variants are compared.
#[derive(Clone, Copy, PartialEq)]
enum Of {
    /// Every one.
    All,
    /// The usual ones and the extremes.
    Some,
}

impl Of {
    /// Those with patches from `least` that fit into a tile of `most` pixels along x.
    fn convolutions(self, least: u32, most: u32) -> Vec<Variant> {
        let sides = [1, 2, 4, 8];
        let all = sides.into_iter().flat_map(|patch| sides.map(|channels| (patch, channels)));
        let some = [(4, 4), (1, 1), (1, 8), (8, 1), (8, 8), (4, 1)];
        let fits = |patch: &u32| (least..=most).contains(patch);
        let tiled = all.filter(|pair| fits(&pair.0) && (self == Self::All || some.contains(pair)));
        let direct = [1, 2].into_iter().filter(fits).map(|patch| Variant::Direct { patch });
        tiled.map(|(patch, channels)| Variant::Tiled { patch, channels }).chain(direct).collect()
    }
}

fn packing(recorder: &mut Recorder, c_in: usize, c_out: usize) -> Packing {
    let weights = Weights { offset: 0, c_out, c_in, taps: 9, padding: Padding::Circular, pivot: None };
    let packing = Packing::new(recorder.gpu, &[weights]).unwrap();
    let running = noise(recorder.gpu, 2, 1);
    packing.record(recorder, &noise(recorder.gpu, 1, 9 * c_in * c_out), &running).unwrap();
    packing
}

fn zeros(recorder: &Recorder, len: usize) -> Tensor {
    recorder.gpu.tensor("output", len).unwrap()
}

/// z and moments.
fn forward(gpu: &Gpu, of: Of, shape: Shape, input: ConvInput) {
    let variants = of.convolutions(1, shape.nx.min(16) as u32);
    compare(gpu, &format!("conv3x3/{}/moments", input.name()), shape, &variants, &|r| {
        let weights = packing(r, input.channels(), OUT);
        let (z, moments) = (zeros(r, shape.stored(OUT)), zeros(r, statistics_len(shape, OUT)));
        let epilogue = Epilogue::Moments { z: &z, moments: &moments, pool: None };
        conv3x3(r, shape, input, weights.forward(0), epilogue).unwrap();
        vec![z, moments]
    });
}

/// z, moments and pooled z, which are the very numbers of z.
fn forward_pooled(gpu: &Gpu, of: Of, shape: Shape, input: ConvInput) {
    let variants = of.convolutions(2, shape.nx.min(16) as u32);
    let mut gamma = [1.0; OUT];
    [gamma[1], gamma[6], gamma[7]] = [0.0, -2.0, -1e-30];
    let parameters = gpu.tensor_from("parameters", &gamma).unwrap();
    let outputs = compare(gpu, &format!("conv3x3/{}/pooled", input.name()), shape, &variants, &|r| {
        let weights = packing(r, input.channels(), OUT);
        let (z, moments) = (zeros(r, shape.stored(OUT)), zeros(r, statistics_len(shape, OUT)));
        let pooled = zeros(r, shape.coarser().stored(OUT));
        let pool = Some(Pool { z: &pooled, parameters: &parameters, gamma: Some(0) });
        conv3x3(r, shape, input, weights.forward(0), Epilogue::Moments { z: &z, moments: &moments, pool })
            .unwrap();
        vec![z, moments, pooled]
    });
    let [z, pooled] = [0, 2].map(|i| outputs[i].iter().map(|&bits| f32::from_bits(bits)).collect::<Vec<_>>());
    let coarse = shape.coarser();
    for i in 0..shape.batch * OUT * coarse.cells() {
        let (plane, x, y) = (i / coarse.cells(), i / coarse.ny % coarse.nx, i % coarse.ny);
        let cell = |dx: usize, dy: usize| z[(plane * shape.nx + 2 * x + dx) * shape.row() + 2 * y + dy];
        let four = [cell(0, 0), cell(0, 1), cell(1, 0), cell(1, 1)];
        let expected = match gamma[plane % OUT] {
            0.0 => four[0],
            positive if positive > 0.0 => four.into_iter().fold(f32::MIN, f32::max),
            _ => four.into_iter().fold(f32::MAX, f32::min),
        };
        assert_eq!(pooled[(plane * coarse.nx + x) * coarse.row() + y], expected, "{shape:?} {i} {four:?}");
    }
}

/// g and its sums, with `split` those of the first channels and what the others get.
fn adjoint(layers: &Layers, of: Of, shape: Shape, gradient: Gradient, split: bool) {
    const IN: usize = 16;
    let (gpu, input) = (&layers.gpu, ConvInput::Gradient(gradient));
    let channels = if split { 4 } else { IN };
    let below = layers.layer(50, shape, channels);
    let epilogue = if split { "split" } else { "relu" };
    let variants = of.convolutions(1, shape.nx.min(16) as u32);
    compare(gpu, &format!("conv3x3/{}/{epilogue}", input.name()), shape, &variants, &|r| {
        let weights = packing(r, IN, input.channels());
        let (g, sums) = (zeros(r, shape.stored(channels)), zeros(r, 2 * channels * chunks(shape)));
        let target = Target { layer: &below, g: &g, sums: &sums };
        if !split {
            conv3x3(r, shape, input, weights.adjoint(0), Epilogue::Activation(target)).unwrap();
            return vec![g, sums];
        }
        let rest = zeros(r, shape.stored(IN - 4));
        let epilogue = Epilogue::Split { skip: target, rest: (&rest, IN - 4) };
        conv3x3(r, shape, input, weights.adjoint(0), epilogue).unwrap();
        vec![g, sums, rest]
    });
}

fn weight_gradient(gpu: &Gpu, shape: Shape, input: ConvInput, gradient: Gradient) {
    let kernel = format!("conv3x3_weight_gradient/{}/{}", input.name(), gradient.name());
    let mut variants = [1, 2, 4].map(|patch| Variant::Tiled { patch, channels: 1 }).to_vec();
    if input.channels() >= 8 {
        variants.push(Variant::Direct { patch: 4 }); // its subgroups hold eight input channels
    }
    compare(gpu, &kernel, shape, &variants, &|r| {
        let (c_in, c_out) = (input.channels(), gradient.layer().channels);
        let weights = Weights { offset: 0, c_out, c_in, taps: 9, padding: Padding::Zero, pivot: None };
        let out = zeros(r, 9 * c_in * c_out);
        let partial = zeros(r, partial_len(shape, c_in, c_out));
        let mut sums = PartialSums::new(&partial, &out);
        conv3x3_weight_gradient(r, shape, input, gradient, weights, &mut sums).unwrap();
        sums.add_up(r).unwrap();
        vec![out, partial]
    });
}

fn all_forward(of: Of) {
    for shape in SHAPES {
        let gpu = gpu();
        let layers = Layers::new(&gpu);
        let layer = layers.layer(10, shape, 12);
        forward(&gpu, of, shape, ConvInput::Activation(&layer));
        forward_pooled(&gpu, of, shape, ConvInput::Activation(&layer));
    }
    let (shape, gpu) = (SHAPES[0], gpu());
    let layers = Layers::new(&gpu);
    forward(&gpu, of, shape, ConvInput::Plain { field: &noise(&gpu, 12, shape.stored(12)), channels: 12 });
    let (skip, low) = (layers.layer(16, shape, 8), layers.layer(18, shape.coarser(), 12));
    forward(&gpu, of, shape, ConvInput::SkipUp { skip: &skip, low: &low });
}

fn all_adjoint(of: Of) {
    for shape in SHAPES {
        let gpu = gpu();
        let layers = Layers::new(&gpu);
        let (layer, g) = (layers.layer(20, shape, OUT), noise(&gpu, 22, shape.stored(OUT)));
        adjoint(&layers, of, shape, Gradient::Stored { layer: &layer, g: &g }, false);
    }
    let (shape, gpu) = (SHAPES[0], gpu());
    let layers = Layers::new(&gpu);
    let (layer, g) = (layers.layer(20, shape, OUT), noise(&gpu, 22, shape.stored(OUT)));
    adjoint(&layers, of, shape, Gradient::Stored { layer: &layer, g: &g }, true);
    let pooled = noise(&gpu, 23, shape.coarser().stored(OUT));
    adjoint(&layers, of, shape, Gradient::Pooled { layer: &layer, g: &g, pooled: &pooled }, false);
    let output_gradient = noise(&gpu, 24, shape.stored(1));
    adjoint(&layers, of, shape, Gradient::Output { layer: &layer, output_gradient: &output_gradient }, false);
}

#[test]
fn forward_variants_give_the_same_bits() {
    all_forward(Of::Some);
}

#[test]
fn adjoint_variants_give_the_same_bits() {
    all_adjoint(Of::Some);
}

#[test]
#[ignore = "compiles some 170 kernels: minutes on a software adapter"]
fn every_variant_gives_the_same_bits() {
    all_forward(Of::All);
    all_adjoint(Of::All);
}

#[test]
fn weight_gradient_variants_give_the_same_bits() {
    for shape in SHAPES {
        let gpu = gpu();
        let layers = Layers::new(&gpu);
        let (above, g) = (layers.layer(30, shape, OUT), noise(&gpu, 32, shape.stored(OUT)));
        let stored = Gradient::Stored { layer: &above, g: &g };
        weight_gradient(&gpu, shape, ConvInput::Activation(&layers.layer(34, shape, 12)), stored);
    }
    let (shape, gpu) = (SHAPES[0], gpu());
    let layers = Layers::new(&gpu);
    let (above, g) = (layers.layer(30, shape, OUT), noise(&gpu, 32, shape.stored(OUT)));
    let stored = Gradient::Stored { layer: &above, g: &g };
    let output_gradient = noise(&gpu, 36, shape.stored(1));
    let output = Gradient::Output { layer: &above, output_gradient: &output_gradient };
    let one = noise(&gpu, 38, shape.stored(1));
    weight_gradient(&gpu, shape, ConvInput::Plain { field: &one, channels: 1 }, stored);
    let pooled = noise(&gpu, 33, shape.coarser().stored(OUT));
    let both = Gradient::Pooled { layer: &above, g: &g, pooled: &pooled };
    weight_gradient(&gpu, shape, ConvInput::Activation(&layers.layer(40, shape, 12)), both);
    let (skip, low) = (layers.layer(42, shape, 8), layers.layer(44, shape.coarser(), 12));
    weight_gradient(&gpu, shape, ConvInput::SkipUp { skip: &skip, low: &low }, stored);
    weight_gradient(&gpu, shape, ConvInput::Activation(&skip), output);
    // Two subgroups of llvmpipe to a phase, as the default network has.
    weight_gradient(&gpu, shape, ConvInput::Activation(&layers.layer(46, shape, 16)), stored);
}

/// Numbers from a file of somebody else's.
#[test]
fn choices_that_are_none_are_passed_over() {
    let gpu = gpu();
    let shape = SHAPES[1];
    let tiled = [(3, 3), (16, 8), (u32::MAX, 1), (8, u32::MAX), (4, 4)];
    let tiled = tiled.map(|(patch, channels)| Variant::Tiled { patch, channels });
    let hostile: Vec<_> =
        [0, u32::MAX].map(|patch| Variant::Direct { patch }).into_iter().chain(tiled).collect();
    let layer = Layers::new(&gpu).layer(10, shape, 12);
    compare_bits(&gpu, "conv3x3/activation/moments", shape, &hostile, &|r| {
        let weights = packing(r, 12, OUT);
        let (z, moments) = (zeros(r, shape.stored(OUT)), zeros(r, statistics_len(shape, OUT)));
        let epilogue = Epilogue::Moments { z: &z, moments: &moments, pool: None };
        conv3x3(r, shape, ConvInput::Activation(&layer), weights.forward(0), epilogue).unwrap();
        vec![z, moments]
    });
}

#[test]
fn tuning_keeps_to_its_time_and_chooses_for_all_work() {
    let gpu = gpu();
    let net =
        UNet::new(&UNetConfig { filters: vec![8; 2], padding: Padding::Circular, ..Default::default() });
    let work = Workload { net: &net, storage: DType::F32, batch: 64, nx: 32, ny: 32 };
    let outcome = gpu.block_on(tune(&gpu, &work, Duration::ZERO)).unwrap();
    assert_eq!((outcome.timed, outcome.changed), (0, 0), "there was no time");
    assert!(outcome.kinds > 8 && gpu.variants().iter().count() == outcome.kinds);
    assert_eq!(gpu.block_on(tune(&gpu, &work, Duration::ZERO)).unwrap().kinds, 0, "everything is known");

    gpu.set_variants(Variants::new());
    let outcome = gpu.block_on(tune(&gpu, &work, Duration::from_secs(4))).unwrap();
    assert!(outcome.timed > 0 && gpu.variants().iter().count() == outcome.kinds);
    // What is begun is finished: the bound is generous for busy machines.
    assert!(outcome.seconds < 12.0, "{outcome:?}");
}
