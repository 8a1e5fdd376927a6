//! Weight gradient of the 3×3 convolution on the GPU (method §5).

use crate::Result;
use crate::gpu::layer::gradient::Gradient;
use crate::gpu::layer::input::ConvInput;
use crate::gpu::layer::layers::Norms;
use crate::gpu::layer::tile::Tile;
use crate::gpu::nn::conv3x3::{check_channels, conv_spec, hands_round, key, powers, tile_constants, usual};
use crate::gpu::nn::pack_weights::{Weights, block_quads};
use crate::gpu::nn::sum_rows::{Columns, PartialSums, Rows};
use crate::gpu::runtime::recording::{Choices, Recorder};
use crate::gpu::runtime::variants::Variant;
use crate::gpu::{Gpu, Shape};

/// The variants of the weight gradient that are possible on this device. An invocation of the direct kernel
/// has all output channels, and the invocations of its subgroups must differ in their input channels alone.
fn weight_gradient_variants(gpu: &Gpu, plan: &GradientPlan) -> Vec<Variant> {
    /// More than this takes FXC minutes.
    const MOST_WITH_FXC: usize = 2;
    let most = if gpu.compiles_with_fxc() { MOST_WITH_FXC } else { plan.block_quads };
    let tiled = powers(plan.block_quads.min(most)).map(|patch| Variant::Tiled { patch, channels: 1 });
    let direct = Variant::Direct { patch: plan.block_quads as u32 };
    tiled.chain(hands_round(gpu, plan.channels).then_some(direct)).collect()
}

/// ∂L/∂w from ∂L/∂z `gradient` and the forward input `input`, left with the partial `sums`, which need room
/// for [`partial_len`] elements.
pub fn conv3x3_weight_gradient(
    recorder: &mut Recorder,
    shape: Shape,
    input: ConvInput,
    gradient: Gradient,
    weights: Weights,
    sums: &mut PartialSums,
) -> Result<()> {
    check_channels(input.channels(), weights.c_in)?;
    check_channels(gradient.layer().channels, weights.c_out)?;
    let norms = Norms::of(input.layers().into_iter().chain([gradient.layer()]))?;
    let [input_norms, low_norms] = input.first_norms();
    let plan = GradientPlan::new(shape, weights.c_in, weights.c_out, input.most_abreast());
    let input_blocks = weights.c_in.div_ceil(plan.channels);
    let columns = weights.taps * weights.c_in * weights.c_out;
    // A 1×1 convolution has the middle one of nine taps.
    let wanted = if weights.taps == 9 { Columns::ALL } else { Columns { step: 9, first: 4 } };
    let rows = Rows { count: plan.chunks(), columns, wanted };
    let (partial, first_partial) = sums.make_room(recorder, rows, weights.offset)?;
    let params = [
        ("batch", shape.batch.into()),
        ("nx", shape.nx.into()),
        ("ny", shape.ny.into()),
        ("c_in", weights.c_in.into()),
        ("c_out", weights.c_out.into()),
        ("skip_channels", input.skip_channels().into()),
        ("tiles", plan.tiles.into()),
        ("tiles_per_chunk", plan.tiles_per_chunk.into()),
        ("input_blocks", input_blocks.into()),
        ("input_norms", input_norms.into()),
        ("low_norms", low_norms.into()),
        ("gradient_norms", gradient.layer().first_norm.into()),
        ("first_partial", first_partial.into()),
    ];
    let mut buffers = input.buffers(shape);
    buffers.extend(gradient.buffers(shape));
    buffers.extend(norms.buffers());
    buffers.push(("partial", partial, first_partial + plan.partial_len()));
    let mut files = input.files();
    files.push(gradient.file());
    let mut constants = tile_constants(shape, plan.tile, weights.padding);
    constants.extend([
        ("BLOCK_QUADS", plan.block_quads),
        ("CHANNELS", plan.channels),
        ("PHASES", plan.phases),
    ]);
    constants.extend(gradient.constants());
    let storage = gradient.layer().storage();
    let name = format!("conv3x3_weight_gradient/{}/{}{}", input.name(), gradient.name(), storage.suffix());
    let blocks = input_blocks * weights.c_out.div_ceil(4 * plan.block_quads);
    let workgroups = [plan.chunks() as u32, blocks as u32, 1];
    let choices = Choices {
        key: key(&name, plan.tile, plan.block_quads, plan.tiles * blocks),
        possible: weight_gradient_variants(recorder.gpu, &plan),
        usual: usual(recorder.gpu, plan.block_quads, [2, 1], [1, 1], [plan.block_quads, 1]),
        spec: &|variant| {
            let (file, quads) = match variant {
                Variant::Tiled { patch, .. } => ("nn/conv3x3/weight_gradient_tiled", patch),
                Variant::Direct { patch } => ("nn/conv3x3/weight_gradient_direct", patch),
            };
            let constants = [&constants[..], &[("QUADS", quads as usize)]].concat();
            conv_spec(file, &name, &files, constants, storage, variant.is_direct())
        },
    };
    recorder.call_variant(choices, &params, &buffers, workgroups)?;
    norms.declare_touched(recorder)?;
    recorder.declare_touched("partial", plan.partial_len())?;
    recorder.declare_flops(2 * columns * shape.values());
    Ok(())
}

/// Scratch elements that [`conv3x3_weight_gradient`] needs.
pub fn partial_len(shape: Shape, c_in: usize, c_out: usize) -> usize {
    GradientPlan::new(shape, c_in, c_out, c_in).partial_len()
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
    fn new(shape: Shape, c_in: usize, c_out: usize, most_abreast: usize) -> Self {
        /// Chunks, if there are tiles for them: enough for a large GPU. More write more partial sums, so
        /// there are up to twice as many only where each has [`TILES`] all the same: then two or three share
        /// a GPU's core, and while one waits for its tile another computes.
        const CHUNKS: usize = 128;
        /// See [`CHUNKS`].
        const TILES: usize = 32;
        /// Invocations per workgroup that each own four output channels; less if the tile has not as many
        /// strips.
        const INVOCATIONS: usize = 256;
        /// Most scratch elements, 16 MiB.
        const SCRATCH: usize = 4 << 20;
        let tile = Tile::of(shape, 8);
        let block_quads = block_quads(c_out);
        // So many vectors of 16 bytes fit into the workgroup memory that every device has.
        let most = wgpu::Limits::default().max_compute_workgroup_storage_size as usize / 16;
        let quads = |channels: usize| {
            channels * tile.padded_quads().max(9 * block_quads) + 4 * tile.strips() * block_quads
        };
        let mut channels = 1 << c_in.min(16).min(most_abreast).ilog2();
        while quads(channels) > most && channels > 1 {
            channels /= 2;
        }
        let phases = (INVOCATIONS / (channels * block_quads)).clamp(1, tile.strips());
        let columns = 9 * c_in * c_out;
        let tiles = tile.count(shape);
        let most = (tiles / TILES).clamp(CHUNKS, 2 * CHUNKS).min(SCRATCH / columns).max(1);
        Self { tile, block_quads, channels, phases, tiles, tiles_per_chunk: tiles.div_ceil(most), columns }
    }

    fn chunks(&self) -> usize {
        self.tiles.div_ceil(self.tiles_per_chunk)
    }

    fn partial_len(&self) -> usize {
        self.chunks() * self.columns
    }
}
