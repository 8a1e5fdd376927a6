//! 3×3 convolution, circular or zero-padded, on the GPU: forward, adjoint, weight gradient (SPEC 5).

use super::arrange::{Arranged, INPUT_MULTIPLE, Weights, block_quads};
use super::gradient::Gradient;
use super::recording::{Choices, Recorder};
use super::sink::Sink;
use super::source::{Norms, Source};
use super::tile::Tile;
use super::variants::{Key, Variant};
use super::{
    KernelSpec, Shape, Tensor,
    params::params,
    sum_rows::{Columns, sum_rows},
};
use crate::model::{Padding, Precision, Storage};
use crate::{Error, Result};

params! {
    struct ConvParams {
        batch: u32,
        nx: u32,
        ny: u32,
        c_in: u32,
        c_out: u32,
        skip_channels: u32,
        split: u32,
        weight_offset: u32,
        weight_inputs: u32,
        pivot_offset: u32,
        gamma_offset: u32,
        source_norms: u32,
        low_norms: u32,
        gradient_norms: u32,
        target_norms: u32,
    }
}

params! {
    struct WeightGradientParams {
        batch: u32,
        nx: u32,
        ny: u32,
        c_in: u32,
        c_out: u32,
        skip_channels: u32,
        tiles: u32,
        tiles_per_chunk: u32,
        input_blocks: u32,
        source_norms: u32,
        low_norms: u32,
        gradient_norms: u32,
    }
}

/// Variants of the convolution: pixels along x of an invocation, and input channels in workgroup memory at a time.
fn convolution_variants(tile: Tile, inputs: usize, least_patch: u32) -> Vec<Variant> {
    let patches = powers(tile.x.min(8)).filter(|&patch| patch >= least_patch);
    let channels = powers(inputs.min(INPUT_MULTIPLE));
    patches.flat_map(|patch| channels.clone().map(move |channels| Variant([patch, channels]))).collect()
}

/// Variants of the weight gradient: vectors of four output channels of an invocation.
fn weight_gradient_variants(block_quads: usize) -> Vec<Variant> {
    powers(block_quads).map(|quads| Variant([quads, 1])).collect()
}

/// 1, 2, 4 … up to `most`.
fn powers(most: usize) -> impl Iterator<Item = u32> + Clone {
    (0..=most.ilog2()).map(|doublings| 1 << doublings)
}

/// What is good on most adapters, as far as it is possible here: many small invocations on a GPU; on a software
/// adapter, where every load is made lane by lane, as much arithmetic per load as registers hold.
fn usual(software: bool, on_software: [usize; 2], on_gpu: [usize; 2], most: [usize; 2]) -> Vec<Variant> {
    let fitting = |wanted: [usize; 2]| Variant([0, 1].map(|axis| wanted[axis].min(most[axis]) as u32));
    if software { vec![fitting(on_software), fitting(on_gpu)] } else { vec![fitting(on_gpu)] }
}

/// What a variant is chosen for.
fn key(kernel: &str, tile: Tile, block_quads: usize, tiles: usize) -> Key {
    Key {
        kernel: kernel.to_owned(),
        tile: [tile.n, tile.x, tile.y].map(|side| side as u32),
        block_quads: block_quads as u32,
        tiles: tiles.next_power_of_two() as u32,
    }
}

/// out = w ∗ source into `sink`; for the adjoint the source is a gradient and the weights are arranged for it.
pub fn conv3x3(
    recorder: &mut Recorder,
    shape: Shape,
    source: Source,
    weights: Arranged,
    sink: Sink,
) -> Result<()> {
    check_channels(source.channels(), weights.c_in)?;
    let norms = Norms::of(source.layers().into_iter().chain(sink.layer()))?;
    let [source_norms, low_norms] = source.first_norms();
    if let (Sink::Moments { .. }, Storage::F16, None) = (sink, sink.storage(), weights.pivots) {
        return Err(Error::Device("conv3x3: weights without pivots cannot store z in 16 bits".to_owned()));
    }
    let tile = Tile::of(shape, TILE_SIDE);
    let params = ConvParams {
        batch: shape.batch as u32,
        nx: shape.nx as u32,
        ny: shape.ny as u32,
        c_in: weights.c_in as u32,
        c_out: weights.c_out as u32,
        skip_channels: source.skip_channels() as u32,
        split: sink.layer().map_or(0, |layer| layer.channels) as u32,
        weight_offset: (weights.offset / 4) as u32,
        weight_inputs: weights.inputs() as u32,
        pivot_offset: (weights.pivots.unwrap_or(0) / 4) as u32,
        gamma_offset: sink.gamma().unwrap_or(0) as u32,
        source_norms,
        low_norms,
        gradient_norms: source_norms,
        target_norms: sink.layer().map_or(0, |layer| layer.first_norm) as u32,
    };
    let chunks = chunks(shape);
    let mut buffers = source.buffers(shape);
    buffers.push(("weights", weights.buffer, weights.buffer.len()));
    buffers.extend(sink.buffers(shape, weights.c_out, chunks));
    buffers.extend(norms.buffers());

    let mut files = source.files();
    files.push(source.padded_file());
    files.extend(norms.files());
    files.extend(sink.files());
    files.push(include_str!("../../shaders/lib/strips.wgsl"));
    files.push(include_str!("../../shaders/conv3x3.wgsl"));
    let mut constants = tile_constants(shape, tile, weights.padding);
    constants.push(("BLOCK_QUADS", weights.block_quads()));
    if let Source::Gradient(gradient) = source {
        constants.extend(gradient.constants());
    }
    let name = format!("conv3x3/{}/{}{}", source.name(), sink.name(), sink.storage().suffix());
    let workgroups = [
        tile.per_sample(shape),
        shape.batch.div_ceil(tile.n),
        weights.c_out.div_ceil(4 * weights.block_quads()),
    ];
    let most = [tile.x, most_channels(tile, weights)];
    let choices = Choices {
        key: key(&name, tile, weights.block_quads(), workgroups.iter().product()),
        possible: convolution_variants(tile, most[1], sink.least_patch()),
        usual: usual(recorder.gpu.is_software(), [4, 8], [4, 4], most),
        spec: &|Variant([patch, channels])| {
            let own = [("PATCH", patch as usize), ("CHANNELS", channels as usize)];
            conv_spec(name.clone(), files.clone(), [&constants[..], &own].concat(), sink.storage())
        },
    };
    recorder.call_variant(choices, &params, &buffers, workgroups.map(|n| n as u32))?;
    recorder.declare_touched("weights", weights.numbers())?;
    norms.declare_touched(recorder)?;
    if sink.gamma().is_some() {
        recorder.declare_touched("affine", weights.c_out)?;
    }
    recorder.declare_flops(2 * weights.taps * weights.c_in * weights.c_out * shape.values());
    Ok(())
}

/// Input channels whose tiles and taps fit into the workgroup memory that every device has: a power of two.
fn most_channels(tile: Tile, weights: Arranged) -> usize {
    let memory = wgpu::Limits::default().max_compute_workgroup_storage_size as usize;
    let vectors = tile.padded_quads() + 9 * weights.block_quads();
    let fitting = (memory / (16 * vectors)).max(1);
    (1 << fitting.ilog2()).min(weights.inputs())
}

/// Pixels of a workgroup along each axis.
pub(super) const TILE_SIDE: usize = 16;

/// Into how many chunks the statistics of a convolution's output come: one per tile.
pub fn chunks(shape: Shape) -> usize {
    Tile::of(shape, TILE_SIDE).count(shape)
}

/// Scratch elements for the statistics that a convolution leaves: three numbers per channel and chunk.
pub fn statistics_len(shape: Shape, c_out: usize) -> usize {
    3 * c_out * chunks(shape)
}

/// ∂L/∂w from ∂L/∂z `gradient` and the forward input `source`, into the flat parameter gradients `gradients`.
/// `partial` is scratch of at least [`partial_len`] elements.
pub fn conv3x3_weight_gradient(
    recorder: &mut Recorder,
    shape: Shape,
    source: Source,
    gradient: Gradient,
    weights: Weights,
    gradients: &Tensor,
    partial: &Tensor,
) -> Result<()> {
    check_channels(source.channels(), weights.c_in)?;
    check_channels(gradient.layer().channels, weights.c_out)?;
    let norms = Norms::of(source.layers().into_iter().chain([gradient.layer()]))?;
    let [source_norms, low_norms] = source.first_norms();
    let plan = GradientPlan::new(shape, weights.c_in, weights.c_out);
    let input_blocks = weights.c_in.div_ceil(plan.channels);
    let params = WeightGradientParams {
        batch: shape.batch as u32,
        nx: shape.nx as u32,
        ny: shape.ny as u32,
        c_in: weights.c_in as u32,
        c_out: weights.c_out as u32,
        skip_channels: source.skip_channels() as u32,
        tiles: plan.tiles as u32,
        tiles_per_chunk: plan.tiles_per_chunk as u32,
        input_blocks: input_blocks as u32,
        source_norms,
        low_norms,
        gradient_norms: gradient.layer().first_norm as u32,
    };
    let mut buffers = source.buffers(shape);
    buffers.extend(gradient.buffers(shape));
    buffers.extend(norms.buffers());
    buffers.push(("partial", partial, plan.partial_len()));
    let mut files = source.files();
    files.push(source.padded_file());
    files.extend(norms.files());
    files.push(gradient.file());
    files.push(include_str!("../../shaders/conv3x3_weight_gradient.wgsl"));
    let mut constants = tile_constants(shape, plan.tile, weights.padding);
    constants.extend([
        ("BLOCK_QUADS", plan.block_quads),
        ("CHANNELS", plan.channels),
        ("PHASES", plan.phases),
    ]);
    constants.extend(gradient.constants());
    let storage = gradient.layer().storage();
    let name = format!("conv3x3_weight_gradient/{}/{}{}", source.name(), gradient.name(), storage.suffix());
    let blocks = input_blocks * weights.c_out.div_ceil(4 * plan.block_quads);
    let workgroups = [plan.chunks() as u32, blocks as u32, 1];
    let choices = Choices {
        key: key(&name, plan.tile, plan.block_quads, plan.tiles * blocks),
        possible: weight_gradient_variants(plan.block_quads),
        usual: usual(recorder.gpu.is_software(), [2, 1], [1, 1], [plan.block_quads, 1]),
        spec: &|Variant([quads, _])| {
            let own = [("QUADS", quads as usize)];
            conv_spec(name.clone(), files.clone(), [&constants[..], &own].concat(), storage)
        },
    };
    recorder.call_variant(choices, &params, &buffers, workgroups)?;
    norms.declare_touched(recorder)?;
    let columns = weights.taps * weights.c_in * weights.c_out;
    recorder.declare_flops(2 * columns * shape.values());
    // Of a 1×1 convolution the tap in the middle of nine.
    let wanted = if weights.taps == 9 { Columns::ALL } else { Columns { step: 9, first: 4 } };
    sum_rows(recorder, partial, plan.chunks(), columns, wanted, gradients, weights.offset)
}

/// Scratch elements that [`conv3x3_weight_gradient`] needs.
pub fn partial_len(shape: Shape, c_in: usize, c_out: usize) -> usize {
    GradientPlan::new(shape, c_in, c_out).partial_len()
}

fn check_channels(found: usize, wanted: usize) -> Result<()> {
    if found == wanted {
        return Ok(());
    }
    Err(Error::Device(format!("conv3x3: an input has {found} channels, the weights want {wanted}")))
}

/// How the weight gradient's sum is cut into chunks. Depends on the shape alone, so that results do too.
struct GradientPlan {
    tile: Tile,
    block_quads: usize,
    channels: usize,
    phases: usize,
    tiles: usize,
    tiles_per_chunk: usize,
    columns: usize,
}

impl GradientPlan {
    fn new(shape: Shape, c_in: usize, c_out: usize) -> Self {
        /// Most chunks. With [`INVOCATIONS`] each they fill a large GPU; more would only write more partial sums.
        const CHUNKS: usize = 128;
        /// Invocations per workgroup that each own four output channels; less if the tile has not as many strips.
        const INVOCATIONS: usize = 256;
        /// Most scratch elements, 16 MiB.
        const SCRATCH: usize = 4 << 20;
        let tile = Tile::of(shape, 8);
        let block_quads = block_quads(c_out);
        // Of 16 bytes, in the workgroup memory that every device has.
        let most = wgpu::Limits::default().max_compute_workgroup_storage_size as usize / 16;
        let quads = |channels: usize| {
            channels * tile.padded_quads().max(9 * block_quads) + 4 * tile.strips() * block_quads
        };
        let mut channels = 1 << c_in.min(16).ilog2();
        while quads(channels) > most && channels > 1 {
            channels /= 2;
        }
        let phases = (INVOCATIONS / (channels * block_quads)).clamp(1, tile.strips());
        let columns = 9 * c_in * c_out;
        let tiles = tile.count(shape);
        let most = CHUNKS.min(SCRATCH / columns).max(1);
        Self { tile, block_quads, channels, phases, tiles, tiles_per_chunk: tiles.div_ceil(most), columns }
    }

    fn chunks(&self) -> usize {
        self.tiles.div_ceil(self.tiles_per_chunk)
    }

    fn partial_len(&self) -> usize {
        self.chunks() * self.columns
    }
}

fn tile_constants(shape: Shape, tile: Tile, padding: Padding) -> Vec<(&'static str, usize)> {
    vec![
        ("TILE_N", tile.n),
        ("TILE_X", tile.x),
        ("TILE_Y", tile.y),
        ("NARROW", usize::from(shape.ny < 4)),
        ("ZERO_PADDING", usize::from(padding == Padding::Zero)),
    ]
}

fn conv_spec(
    name: String,
    files: Vec<&'static str>,
    constants: Vec<(&'static str, usize)>,
    storage: Storage,
) -> KernelSpec {
    let common = [
        include_str!("../../shaders/lib/quads.wgsl"),
        include_str!("../../shaders/lib/norm.wgsl"),
        include_str!("../../shaders/lib/tile.wgsl"),
    ];
    KernelSpec {
        name,
        files: common.into_iter().chain(files).collect(),
        constants: constants.into_iter().map(|(name, value)| (name, value as u32)).collect(),
        precision: Precision::F32,
        storage,
    }
}
