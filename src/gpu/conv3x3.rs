//! 3×3 convolution, circular or zero-padded, on the GPU: forward, input gradient, weight gradient (SPEC 5).

use super::recording::Recorder;
use super::source::Source;
use super::{KernelSpec, Tensor, params::params, sum_rows::sum_rows};
use crate::model::{Padding, Precision};
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
        weight_stride_out: u32,
        weight_stride_in: u32,
        flip: u32,
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
    }
}

/// Batch and grid of a convolution.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// Samples.
    pub batch: usize,
    /// Cells along x at this layer's level.
    pub nx: usize,
    /// Cells along y.
    pub ny: usize,
}

impl Shape {
    /// Cells per sample.
    pub fn cells(&self) -> usize {
        self.nx * self.ny
    }
}

/// Weights `[c_out, c_in, 3, 3]` inside a flat buffer.
#[derive(Clone, Copy)]
pub struct Weights<'a> {
    /// The flat parameters (or their gradients).
    pub buffer: &'a Tensor,
    /// Where the weights start.
    pub offset: usize,
    /// Output channels.
    pub c_out: usize,
    /// Input channels.
    pub c_in: usize,
    /// What they meet beyond the border.
    pub padding: Padding,
}

/// Where a convolution's output goes: channels below `first.1` to `first.0`, the rest to `second.0`.
#[derive(Clone, Copy)]
pub struct Target<'a> {
    /// Array and channels that come first.
    pub first: (&'a Tensor, usize),
    /// Array and channels that follow. A convolution with one target names any other writable buffer here
    /// with 0 channels.
    pub second: (&'a Tensor, usize),
}

/// out = w ∗ source.
pub fn conv3x3(
    recorder: &mut Recorder,
    shape: Shape,
    source: Source,
    weights: Weights,
    target: Target,
) -> Result<()> {
    check_channels(source, weights)?;
    let params = |p: ConvParams| ConvParams {
        c_in: weights.c_in as u32,
        c_out: weights.c_out as u32,
        weight_stride_out: 9 * weights.c_in as u32,
        weight_stride_in: 9,
        flip: 0,
        ..p
    };
    record(recorder, shape, source, weights, target, params)
}

/// The adjoint: ∂L/∂input = wᵀ ∗ ∂L/∂z, with the taps in reverse order.
pub fn conv3x3_input_gradient(
    recorder: &mut Recorder,
    shape: Shape,
    gradient: &Tensor,
    weights: Weights,
    target: Target,
) -> Result<()> {
    let source = Source::Plain { field: gradient, channels: weights.c_out };
    let params = |p: ConvParams| ConvParams {
        c_in: weights.c_out as u32,
        c_out: weights.c_in as u32,
        weight_stride_out: 9,
        weight_stride_in: 9 * weights.c_in as u32,
        flip: 1,
        ..p
    };
    record(recorder, shape, source, weights, target, params)
}

fn record(
    recorder: &mut Recorder,
    shape: Shape,
    source: Source,
    weights: Weights,
    target: Target,
    complete: impl FnOnce(ConvParams) -> ConvParams,
) -> Result<()> {
    let Shape { batch, nx, ny } = shape;
    let params = complete(ConvParams {
        batch: batch as u32,
        nx: nx as u32,
        ny: ny as u32,
        c_in: 0,
        c_out: 0,
        skip_channels: source.skip_channels() as u32,
        split: target.first.1 as u32,
        weight_offset: weights.offset as u32,
        weight_stride_out: 0,
        weight_stride_in: 0,
        flip: 0,
    });
    let tile = Tile::of(shape, 16);
    let quads = quads(params.c_out as usize);
    let channels = (params.c_in as usize).min(4);
    let mut buffers = source.buffers(batch, shape.cells());
    buffers.push(("weights", weights.buffer, weights.buffer.len()));
    for (name, (tensor, channels)) in [("first", target.first), ("second", target.second)] {
        buffers.push((name, tensor, batch * channels * shape.cells()));
    }
    let spec = spec(
        "conv3x3",
        include_str!("../../shaders/conv3x3.wgsl"),
        source,
        tile,
        weights.padding,
        &[("QUADS", quads), ("CHANNELS", channels)],
    );
    let workgroups =
        [tile.per_sample(shape), batch.div_ceil(tile.n), (params.c_out as usize).div_ceil(4 * quads)];
    recorder.call(&spec, &params, &buffers, workgroups.map(|n| n as u32))
}

/// ∂L/∂w from ∂L/∂z `gradient` `[batch, c_out, nx, ny]` and the forward input, into `weights` (the gradient
/// buffer). `partial` is scratch of at least [`partial_len`] elements.
pub fn conv3x3_weight_gradient(
    recorder: &mut Recorder,
    shape: Shape,
    source: Source,
    gradient: &Tensor,
    weights: Weights,
    partial: &Tensor,
) -> Result<()> {
    check_channels(source, weights)?;
    let plan = GradientPlan::new(shape, weights.c_in, weights.c_out);
    let params = WeightGradientParams {
        batch: shape.batch as u32,
        nx: shape.nx as u32,
        ny: shape.ny as u32,
        c_in: weights.c_in as u32,
        c_out: weights.c_out as u32,
        skip_channels: source.skip_channels() as u32,
        tiles: plan.tiles as u32,
        tiles_per_chunk: plan.tiles_per_chunk as u32,
        input_blocks: weights.c_in.div_ceil(plan.channels) as u32,
    };
    let mut buffers = source.buffers(shape.batch, shape.cells());
    buffers.push(("gradient", gradient, shape.batch * weights.c_out * shape.cells()));
    buffers.push(("partial", partial, plan.partial_len()));
    let file = include_str!("../../shaders/conv3x3_weight_gradient.wgsl");
    let spec = spec(
        "conv3x3_weight_gradient",
        file,
        source,
        plan.tile,
        weights.padding,
        &[("QUADS", plan.quads), ("CHANNELS", plan.channels), ("PHASES", plan.phases)],
    );
    let blocks = weights.c_in.div_ceil(plan.channels) * weights.c_out.div_ceil(4 * plan.quads);
    recorder.call(&spec, &params, &buffers, [plan.chunks() as u32, blocks as u32, 1])?;
    let columns = 9 * weights.c_in * weights.c_out;
    sum_rows(recorder, partial, plan.chunks() * plan.phases, columns, weights.buffer, weights.offset)
}

/// Scratch elements that [`conv3x3_weight_gradient`] needs.
pub fn partial_len(shape: Shape, c_in: usize, c_out: usize) -> usize {
    GradientPlan::new(shape, c_in, c_out).partial_len()
}

fn check_channels(source: Source, weights: Weights) -> Result<()> {
    if source.channels() == weights.c_in {
        return Ok(());
    }
    let (found, wanted) = (source.channels(), weights.c_in);
    Err(Error::Device(format!("conv3x3: the source has {found} channels, the weights want {wanted}")))
}

/// How the weight gradient's sum is cut into chunks. Depends on the shape alone, so that results do too.
struct GradientPlan {
    tile: Tile,
    quads: usize,
    channels: usize,
    phases: usize,
    tiles: usize,
    tiles_per_chunk: usize,
    columns: usize,
}

impl GradientPlan {
    fn new(shape: Shape, c_in: usize, c_out: usize) -> Self {
        /// Most chunks: enough workgroups to fill a large GPU.
        const CHUNKS: usize = 256;
        /// Most scratch elements, 16 MiB.
        const SCRATCH: usize = 4 << 20;
        let tile = Tile::of(shape, 8);
        let quads = quads(c_out);
        let channels = 1 << c_in.min(16).ilog2();
        let phases = (64 / (channels * quads)).max(1);
        let columns = 9 * c_in * c_out;
        let tiles = shape.batch.div_ceil(tile.n) * tile.per_sample(shape);
        let most = CHUNKS.min(SCRATCH / (columns * phases)).max(1);
        Self { tile, quads, channels, phases, tiles, tiles_per_chunk: tiles.div_ceil(most), columns }
    }

    fn chunks(&self) -> usize {
        self.tiles.div_ceil(self.tiles_per_chunk)
    }

    fn partial_len(&self) -> usize {
        self.chunks() * self.phases * self.columns
    }
}

/// Pixels of one workgroup: `x` × `y` of `n` samples.
#[derive(Clone, Copy)]
struct Tile {
    n: usize,
    x: usize,
    y: usize,
}

impl Tile {
    /// `side`² pixels, from several samples where the grid is smaller; at least 4 along each axis.
    fn of(shape: Shape, side: usize) -> Self {
        let (x, y) = (shape.nx.clamp(4, side), shape.ny.clamp(4, side));
        Self { n: side * side / (x * y), x, y }
    }

    fn per_sample(self, shape: Shape) -> usize {
        (shape.nx / self.x).max(1) * (shape.ny / self.y).max(1)
    }
}

/// Vectors of four output channels per workgroup: 1, 2 or 4.
fn quads(c_out: usize) -> usize {
    c_out.div_ceil(4).next_power_of_two().min(4)
}

fn spec(
    name: &str,
    file: &'static str,
    source: Source,
    tile: Tile,
    padding: Padding,
    constants: &[(&'static str, usize)],
) -> KernelSpec {
    let zero_padding = usize::from(padding == Padding::Zero);
    let common = [("TILE_N", tile.n), ("TILE_X", tile.x), ("TILE_Y", tile.y), ("ZERO_PADDING", zero_padding)];
    let all = common.iter().chain(constants);
    let mut files = source.files();
    files.push(file);
    KernelSpec {
        name: format!("{name}/{}", source.name()),
        files,
        constants: all.map(|&(name, value)| (name, value as u32)).collect(),
        precision: Precision::F32,
    }
}
