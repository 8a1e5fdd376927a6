//! 3×3 convolution, circular or zero-padded, on the GPU: forward and adjoint (method §5).

use crate::gpu::layer::epilogue::Epilogue;
use crate::gpu::layer::input::ConvInput;
use crate::gpu::layer::layers::Norms;
use crate::gpu::layer::tile::Tile;
use crate::gpu::nn::pack_weights::{INPUT_MULTIPLE, Packed};
use crate::gpu::runtime::recording::{Choices, Recorder};
use crate::gpu::runtime::spec::KernelSpec;
use crate::gpu::runtime::variants::{Key, Variant};
use crate::gpu::{Gpu, Shape};
use crate::model::{DType, Padding};
use crate::{Error, Result};

/// The variants of the convolution that are possible on this device.
fn convolution_variants(gpu: &Gpu, tile: Tile, inputs: usize, least_patch: u32) -> Vec<Variant> {
    /// A larger patch makes compilers slow: an invocation of the direct kernel has all output channels.
    const MOST_DIRECT: u32 = 2;
    /// One that FXC compiles within some seconds.
    const MOST_WITH_FXC: usize = 4;
    let most = if gpu.compiles_with_fxc() { MOST_WITH_FXC } else { 8 };
    let patches = powers(tile.x.min(most)).filter(|&patch| patch >= least_patch);
    let channels = powers(inputs.min(INPUT_MULTIPLE));
    let tiled = patches
        .clone()
        .flat_map(|patch| channels.clone().map(move |channels| Variant::Tiled { patch, channels }));
    // A workgroup is made of whole subgroups, so that none lacks one of its eight.
    let fits = |patch: u32| patch <= MOST_DIRECT && hands_round(gpu, tile.strips() / patch as usize);
    let direct = patches.filter(|&patch| fits(patch)).map(|patch| Variant::Direct { patch });
    tiled.chain(direct).collect()
}

/// Whether subgroups are made of eights that the direct kernels hand values round in, none larger than
/// `most`.
pub(crate) fn hands_round(gpu: &Gpu, most: usize) -> bool {
    gpu.subgroup_sizes().is_some_and(|[least, largest]| least >= 8 && largest as usize <= most)
}

/// 1, 2, 4 … up to `most`.
pub(crate) fn powers(most: usize) -> impl Iterator<Item = u32> + Clone {
    (0..=most.ilog2()).map(|doublings| 1 << doublings)
}

/// Variants that are good on most adapters, best first: on a GPU many small invocations; on a software
/// adapter, where every load is made lane by lane, the direct kernel with this patch, or as much arithmetic
/// per load as registers hold. Tiled ones are `[patch, channels]`, cut to `most`.
pub(crate) fn usual(
    gpu: &Gpu,
    direct: usize,
    on_software: [usize; 2],
    on_gpu: [usize; 2],
    most: [usize; 2],
) -> Vec<Variant> {
    let fitting = |wanted: [usize; 2]| {
        let [patch, channels] = [0, 1].map(|axis| wanted[axis].min(most[axis]) as u32);
        Variant::Tiled { patch, channels }
    };
    let (direct, on_gpu) = (Variant::Direct { patch: direct as u32 }, fitting(on_gpu));
    if gpu.is_software() { vec![direct, fitting(on_software), on_gpu] } else { vec![on_gpu, direct] }
}

/// What a variant is chosen for.
pub(crate) fn key(kernel: &str, tile: Tile, block_quads: usize, tiles: usize) -> Key {
    Key {
        kernel: kernel.to_owned(),
        tile: [tile.n, tile.x, tile.y].map(|side| side as u32),
        block_quads: block_quads as u32,
        tiles: tiles.next_power_of_two() as u32,
    }
}

/// out = w ∗ input into `epilogue`; for the adjoint the input is a gradient and the weights are packed for
/// it.
pub fn conv3x3(
    recorder: &mut Recorder,
    shape: Shape,
    input: ConvInput,
    weights: Packed,
    epilogue: Epilogue,
) -> Result<()> {
    check_channels(input.channels(), weights.c_in)?;
    let norms = Norms::of(input.layers().into_iter().chain(epilogue.layer()))?;
    let [input_norms, low_norms] = input.first_norms();
    if let (Epilogue::Moments { .. }, DType::F16, None) = (epilogue, epilogue.storage(), weights.pivots) {
        return Err(Error::Device("conv3x3: weights without pivots cannot store z in 16 bits".to_owned()));
    }
    let tile = Tile::of(shape, TILE_SIDE);
    let params = [
        ("batch", shape.batch.into()),
        ("nx", shape.nx.into()),
        ("ny", shape.ny.into()),
        ("c_in", weights.c_in.into()),
        ("c_out", weights.c_out.into()),
        ("skip_channels", input.skip_channels().into()),
        ("split", epilogue.layer().map_or(0, |layer| layer.channels).into()),
        ("weight_offset", (weights.offset / 4).into()),
        ("weight_inputs", weights.inputs().into()),
        ("pivot_offset", (weights.pivots.unwrap_or(0) / 4).into()),
        ("gamma_offset", epilogue.gamma().unwrap_or(0).into()),
        ("input_norms", input_norms.into()),
        ("low_norms", low_norms.into()),
        ("gradient_norms", input_norms.into()),
        ("target_norms", epilogue.layer().map_or(0, |layer| layer.first_norm).into()),
    ];
    let chunks = chunks(shape);
    let mut buffers = input.buffers(shape);
    buffers.push(("weights", weights.buffer, weights.buffer.len()));
    buffers.extend(epilogue.buffers(shape, weights.c_out, chunks));
    buffers.extend(norms.buffers());

    let mut files = input.files();
    files.extend(epilogue.files());
    let mut constants = tile_constants(shape, tile, weights.padding);
    constants.push(("BLOCK_QUADS", weights.block_quads()));
    constants.extend(epilogue.constants());
    if let ConvInput::Gradient(gradient) = input {
        constants.extend(gradient.constants());
    }
    let name = format!("conv3x3/{}/{}{}", input.name(), epilogue.name(), epilogue.storage().suffix());
    let workgroups = [
        tile.per_sample(shape),
        shape.batch.div_ceil(tile.n),
        weights.c_out.div_ceil(4 * weights.block_quads()),
    ];
    let most = [tile.x, most_channels(tile, weights).min(input.most_abreast())];
    let choices = Choices {
        key: key(&name, tile, weights.block_quads(), workgroups.iter().product()),
        possible: convolution_variants(recorder.gpu, tile, most[1], epilogue.least_patch()),
        usual: usual(recorder.gpu, 2, [4, 8], [4, 4], most),
        spec: &|variant| {
            let (file, own) = match variant {
                Variant::Tiled { patch, channels } => {
                    ("nn/conv3x3/tiled", vec![("PATCH", patch as usize), ("CHANNELS", channels as usize)])
                }
                Variant::Direct { patch } => ("nn/conv3x3/direct", vec![("PATCH", patch as usize)]),
            };
            let constants = [&constants[..], &own].concat();
            conv_spec(file, &name, &files, constants, epilogue.storage(), variant.is_direct())
        },
    };
    recorder.call_variant(choices, &params, &buffers, workgroups.map(|n| n as u32))?;
    recorder.declare_touched("weights", weights.numbers())?;
    norms.declare_touched(recorder)?;
    if epilogue.gamma().is_some() {
        recorder.declare_touched("affine", weights.c_out)?;
    }
    recorder.declare_flops(2 * weights.taps * weights.c_in * weights.c_out * shape.values());
    Ok(())
}

/// Input channels whose tiles and taps fit into the workgroup memory that every device has: a power of two.
fn most_channels(tile: Tile, weights: Packed) -> usize {
    let memory = wgpu::Limits::default().max_compute_workgroup_storage_size as usize;
    let vectors = tile.padded_quads() + 9 * weights.block_quads();
    let fitting = (memory / (16 * vectors)).max(1);
    (1 << fitting.ilog2()).min(weights.inputs())
}

/// Pixels of a workgroup along each axis.
pub(crate) const TILE_SIDE: usize = 16;

/// Into how many chunks the statistics of a convolution's output come: one per tile.
pub fn chunks(shape: Shape) -> usize {
    Tile::of(shape, TILE_SIDE).count(shape)
}

/// Scratch elements for the statistics that a convolution leaves: three numbers per channel and chunk.
pub fn statistics_len(shape: Shape, c_out: usize) -> usize {
    3 * c_out * chunks(shape)
}

pub(crate) fn check_channels(found: usize, wanted: usize) -> Result<()> {
    if found == wanted {
        return Ok(());
    }
    Err(Error::Device(format!("conv3x3: an input has {found} channels, the weights want {wanted}")))
}

pub(crate) fn tile_constants(shape: Shape, tile: Tile, padding: Padding) -> Vec<(&'static str, usize)> {
    vec![
        ("TILE_N", tile.n),
        ("TILE_X", tile.x),
        ("TILE_Y", tile.y),
        ("NARROW", usize::from(shape.ny < 4)),
        ("ZERO_PADDING", usize::from(padding == Padding::Zero)),
    ]
}

/// The kernel of `file`, called `name`, with the other `files`.
pub(crate) fn conv_spec(
    file: &str,
    name: &str,
    files: &[String],
    constants: Vec<(&'static str, usize)>,
    storage: DType,
    subgroups: bool,
) -> KernelSpec {
    KernelSpec {
        name: name.to_owned(),
        constants: constants.into_iter().map(|(name, value)| (name, value as u32)).collect(),
        subgroups,
        ..KernelSpec::stored(file, storage).with(files.iter().cloned())
    }
}
