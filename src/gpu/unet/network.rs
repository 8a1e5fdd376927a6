//! The tensors of a network on the GPU, for one batch.

use crate::gpu::layer::layers::{IDENTITY, Layer, NORM_LEN, Statistics};
use crate::gpu::nn::pack_weights::{Packing, Pivot, Weights};
use crate::gpu::nn::sum_rows::PartialSums;
use crate::gpu::nn::{activation, conv3x3, conv3x3_weight_gradient, upsample};
use crate::gpu::{Gpu, MemoryUse, Shape, Tensor};
use crate::model::unet::{Conv, Input, ResBlock};
use crate::model::{Activation, DType, UNet};
use crate::{Error, Result};
use std::collections::BTreeMap;

/// Parameters, activations and gradients of one network for one batch.
pub struct Network {
    pub(crate) net: UNet,
    batch: usize,
    nx: usize,
    ny: usize,
    /// Flat parameters.
    pub params: Tensor,
    /// Flat gradients of the parameters; those of biases before a batch norm stay zero.
    pub gradients: Tensor,
    /// Flat running means and variances.
    pub running: Tensor,
    /// Those of the last batch, to be blended into the running ones.
    pub batch_statistics: Tensor,
    pub(crate) weights: Vec<Weights>,
    pub(crate) packing: Packing,
    /// Those of all layers; see [`Layer::norms`].
    norms: Tensor,
    pub(crate) layers: Vec<Layer>,
    /// The arrays of the residual blocks, if the network has them.
    pub(crate) blocks: Vec<Block>,
    /// ∂L/∂sum of every block.
    pub(crate) block_gradients: Vec<Tensor>,
    /// Per level, what the convolution of a shortcut leaves until it is added to that of the block's first
    /// convolution.
    pub(crate) shortcut_gradients: Vec<ShortcutGradient>,
    /// By number, the layers that are pooled as well as skip connections, with the pooled z in the place of
    /// z.
    pub(crate) pooled: BTreeMap<usize, Layer>,
    /// Per layer g = ∂L/∂(the activation's argument); of a skip connection without the share of the pooled
    /// values. The last layer's is not stored, but for that of a residual block.
    pub(crate) layer_gradients: Vec<Tensor>,
    /// Per level, first ∂L/∂ of the upsampled activation that a convolution has read, then g of the pooled
    /// one.
    pub(crate) input_gradients: Vec<Tensor>,
    /// Partial sums that a kernel leaves for the batch norm that follows it.
    pub(crate) statistics: Tensor,
    /// By number of a layer, what the way up leaves for the batch norms of skip connections.
    pub(crate) skip_statistics: BTreeMap<usize, Tensor>,
    /// By number of a convolution, what its input gradient leaves for the batch norm of the layer before.
    /// Each has a tensor of its own: wgpu lets a dispatch that writes a tensor wait for all that have used
    /// it, and the input gradient is to run beside the weight gradient.
    pub(crate) input_statistics: Vec<Tensor>,
    /// Partial sums of the parameters' gradients.
    pub(crate) partial: Tensor,
}

/// The tensors of a residual block. Readers take its sum, and its pooled input, for layers whose norm and
/// activation change nothing.
pub(crate) struct Block {
    /// Its input, where that is pooled; other inputs are made where they are read.
    pub(crate) input: Option<Layer>,
    /// Its sum.
    pub(crate) output: Layer,
}

/// ∂L/∂(what the convolution of a shortcut has read).
pub(crate) struct ShortcutGradient {
    /// Gradients of skip connections, on levels that have one.
    pub(crate) skip: Option<Tensor>,
    /// Gradients of what was pooled or upsampled.
    pub(crate) scattered: Tensor,
}

impl Network {
    /// Allocates for `batch` fields of `nx` × `ny` cells.
    pub fn new(gpu: &Gpu, net: &UNet, storage: DType, batch: usize, nx: usize, ny: usize) -> Result<Self> {
        let shared = Shared::new(gpu, net, storage)?;
        Self::forward_in(gpu, shared, net, storage, batch, nx, ny)?.with_backward(gpu, None)
    }

    /// Allocates for another micro-batch that is normalised together with this network's: parameters, norms
    /// and statistics are the same, activations and gradients its own.
    pub fn beside(&self, gpu: &Gpu) -> Result<Self> {
        let Self { params, running, batch_statistics, packing, norms, .. } = self;
        let shared = Shared {
            params: params.clone(),
            running: running.clone(),
            batch_statistics: batch_statistics.clone(),
            packing: packing.clone(),
            norms: norms.clone(),
        };
        let storage = self.layers[0].storage();
        let other = Self::forward_in(gpu, shared, &self.net, storage, self.batch, self.nx, self.ny)?;
        other.with_backward(gpu, Some(&self.partial))
    }

    /// Allocates for the backward pass too; `partial` sums may lie where those of another network do, since
    /// nothing stays there.
    fn with_backward(mut self, gpu: &Gpu, partial: Option<&Tensor>) -> Result<Self> {
        let network = &mut self;
        let (net, batch, storage) = (&network.net.clone(), network.batch, network.layers[0].storage());
        let scratch = |label: &str, len| gpu.allocate_for(MemoryUse::Scratch, || gpu.tensor(label, len));
        let stored =
            |label: &str, len| gpu.allocate_for(MemoryUse::Gradients, || gpu.tensor_in(label, len, storage));
        let mut partial_lens = vec![batch * (net.out_channels + 1)];
        let mut statistics_len = network.statistics.len().max(2 * batch * net.out_channels);
        for (i, conv) in net.convs.iter().enumerate() {
            let shape = network.shape(conv.level);
            partial_lens.push(conv3x3_weight_gradient::partial_len(shape, conv.c_in, conv.c_out));
            statistics_len = statistics_len.max(2 * conv.c_out * upsample::chunks(shape));
            let chunks = conv3x3::chunks(shape).max(upsample::chunks(shape.coarser()));
            // No batch norm comes before the first convolution.
            let len = if i == 0 { 1 } else { 2 * conv.c_in * chunks };
            network.input_statistics.push(scratch(&format!("{} input statistics", conv.name), len)?);
            if network.pooled.contains_key(&i) {
                let len = 2 * conv.c_out * conv3x3::chunks(shape);
                let sums = scratch(&format!("{} skip statistics", conv.name), len)?;
                network.skip_statistics.insert(i, sums);
            }
            statistics_len = statistics_len.max(2 * conv.c_out * activation::chunks(shape));
            if i + 1 < net.convs.len() || !net.blocks.is_empty() {
                let len = network.layers[i].z.len();
                network.layer_gradients.push(stored(&format!("{} gradient", conv.name), len)?);
            }
        }
        network.input_gradients = (0..net.config.levels())
            .map(|level| {
                let len = network.shape(level).stored(scattered_channels(net, level));
                stored(&format!("input gradient {level}"), len)
            })
            .collect::<Result<_>>()?;
        if !network.blocks.is_empty() {
            for block in &network.blocks {
                let z = &block.output.z;
                network.block_gradients.push(stored(&format!("{} gradient", z.label()), z.len())?);
            }
            network.shortcut_gradients = (0..net.config.levels())
                .map(|level| ShortcutGradient::new(net, level, network.shape(level), stored))
                .collect::<Result<_>>()?;
        }
        network.gradients =
            gpu.allocate_for(MemoryUse::Gradients, || gpu.tensor("parameter gradients", net.param_count))?;
        network.statistics = scratch("statistics", statistics_len)?;
        let len = PartialSums::scratch_len(gpu, &partial_lens);
        network.partial = partial.map_or_else(|| scratch("partial sums", len), |p| Ok(p.clone()))?;
        Ok(self)
    }

    /// As [`Network::new`] in 32 bits, without the memory of [`Network::backward`], which must not be called.
    pub fn forward_only(gpu: &Gpu, net: &UNet, batch: usize, nx: usize, ny: usize) -> Result<Self> {
        let shared = Shared::new(gpu, net, DType::F32)?;
        Self::forward_in(gpu, shared, net, DType::F32, batch, nx, ny)
    }

    fn forward_in(
        gpu: &Gpu,
        shared: Shared,
        net: &UNet,
        storage: DType,
        batch: usize,
        nx: usize,
        ny: usize,
    ) -> Result<Self> {
        let Shared { params, running, batch_statistics, packing, norms } = shared;
        let shape = |level: usize| Shape { batch, nx: nx >> level, ny: ny >> level };
        let tensor = |used, label: &str, len| gpu.allocate_for(used, || gpu.tensor(label, len));
        let stored = |label: String, shape: Shape, channels: usize| {
            gpu.allocate_for(MemoryUse::Activations, || {
                gpu.tensor_in(&label, shape.stored(channels), storage)
            })
        };
        let (mut layers, mut pooled) = (Vec::<Layer>::new(), BTreeMap::new());
        let (mut first_norm, mut statistics_len) = (0, 1);
        for conv in &net.convs {
            if let Input::Pool(finer) = conv.input {
                let z = stored(format!("{} input", conv.name), shape(conv.level), conv.c_in)?;
                pooled.insert(finer, Layer { z, ..layers[finer].clone() });
            }
            let z = stored(format!("{} output", conv.name), shape(conv.level), conv.c_out)?;
            let (norms, channels, activation) = (norms.clone(), conv.c_out, conv.activation);
            layers.push(Layer { z, norms, first_norm, channels, activation });
            first_norm += conv.c_out;
            statistics_len = statistics_len.max(conv3x3::statistics_len(shape(conv.level), conv.c_out));
        }
        let sum = |label: String, level: usize, channels: usize| -> Result<Layer> {
            let z = stored(label, shape(level), channels)?;
            let (norms, activation) = (norms.clone(), Activation::Identity);
            Ok(Layer { z, norms, first_norm, channels, activation })
        };
        let block = |block: &ResBlock| -> Result<Block> {
            let (name, pooled) = (&net.convs[block.first].name, matches!(block.input, Input::Pool(_)));
            let input = pooled.then(|| sum(format!("{name} input"), block.level, block.c_in)).transpose()?;
            Ok(Block { input, output: sum(format!("{name} sum"), block.level, block.c_out)? })
        };
        let blocks = net.blocks.iter().map(block).collect::<Result<_>>()?;
        Ok(Self {
            net: net.clone(),
            batch,
            nx,
            ny,
            params,
            gradients: tensor(MemoryUse::Gradients, "no parameter gradients", 1)?,
            running,
            batch_statistics,
            packing,
            norms,
            weights: weights(net, storage),
            layers,
            blocks,
            block_gradients: Vec::new(),
            shortcut_gradients: Vec::new(),
            pooled,
            layer_gradients: Vec::new(),
            input_gradients: Vec::new(),
            statistics: tensor(MemoryUse::Scratch, "statistics", statistics_len)?,
            skip_statistics: BTreeMap::new(),
            input_statistics: Vec::new(),
            partial: tensor(MemoryUse::Scratch, "no partial sums", 1)?,
        })
    }

    /// Refuses a batch whose largest array does not fit into one binding, naming the largest batch that does.
    pub fn check_batch(
        gpu: &Gpu,
        net: &UNet,
        storage: DType,
        batch: usize,
        nx: usize,
        ny: usize,
    ) -> Result<()> {
        let largest = Self::largest_tensor_per_sample(net, storage, nx, ny).max(4 * (nx * ny) as u64);
        if largest * batch as u64 > gpu.max_tensor_bytes() {
            let why = format!("too large for one buffer binding of {}", gpu.name());
            return Err(Error::BatchTooLarge {
                batch,
                why,
                fits: (gpu.max_tensor_bytes() / largest) as usize,
            });
        }
        Ok(())
    }

    /// Bytes of the largest tensor for a batch of one: what limits the batch through the binding size.
    pub fn largest_tensor_per_sample(net: &UNet, storage: DType, nx: usize, ny: usize) -> u64 {
        let stored = |level: usize, channels: usize| {
            Shape { batch: 1, nx: nx >> level, ny: ny >> level }.stored(channels) as u64
        };
        let layers = net.convs.iter().map(|c| stored(c.level, c.c_out));
        let scattered = (0..net.config.levels()).map(|level| stored(level, scattered_channels(net, level)));
        storage.bytes() as u64 * layers.chain(scattered).max().unwrap_or(0)
    }

    /// What a convolution on `shape` leaves in `buffer`.
    pub(crate) fn statistics_in<'a>(&self, buffer: &'a Tensor, shape: Shape) -> Statistics<'a> {
        Statistics { buffer, chunks: conv3x3::chunks(shape) }
    }

    /// What the last convolution reads.
    pub(crate) fn last_layer(&self) -> &Layer {
        let sum = self.blocks.last().map(|block| &block.output);
        sum.or(self.layers.last()).expect("a network has layers")
    }

    /// Batch and grid at `level`.
    pub(crate) fn shape(&self, level: usize) -> Shape {
        Shape { batch: self.batch, nx: self.nx >> level, ny: self.ny >> level }
    }
}

/// What networks of micro-batches that are normalised together have in common.
struct Shared {
    params: Tensor,
    running: Tensor,
    batch_statistics: Tensor,
    packing: Packing,
    norms: Tensor,
}

impl Shared {
    fn new(gpu: &Gpu, net: &UNet, storage: DType) -> Result<Self> {
        let channels: usize = net.convs.iter().map(|conv| conv.c_out).sum();
        // Behind the norms of the layers lie some that change nothing, for the sums of residual blocks.
        let sums = net.blocks.iter().map(|block| block.c_in.max(block.c_out)).max().unwrap_or(0);
        let norms =
            gpu.allocate_for(MemoryUse::Activations, || gpu.tensor("norms", NORM_LEN * (channels + sums)))?;
        gpu.write_at(&norms, NORM_LEN * channels, &IDENTITY.repeat(sums));
        gpu.allocate_for(MemoryUse::Parameters, || {
            Ok(Self {
                params: gpu.tensor("parameters", net.param_count)?,
                running: gpu.tensor("running statistics", net.buffer_count)?,
                batch_statistics: gpu.tensor("batch statistics", net.buffer_count)?,
                packing: Packing::new(gpu, &weights(net, storage))?,
                norms,
            })
        })
    }
}

impl ShortcutGradient {
    /// `stored` allocates with a label and a length.
    fn new(
        net: &UNet,
        level: usize,
        shape: Shape,
        stored: impl Fn(&str, usize) -> Result<Tensor>,
    ) -> Result<Self> {
        let skip = net.blocks.iter().find_map(|block| match block.input {
            Input::SkipUp { skip, .. } if block.level == level => Some(net.blocks[skip].c_out),
            _ => None,
        });
        let label = |what: &str| format!("shortcut {what} gradient {level}");
        let skip = skip.map(|channels| stored(&label("skip"), shape.stored(channels))).transpose()?;
        let scattered = stored(&label("input"), shape.stored(scattered_channels(net, level)))?;
        Ok(Self { skip, scattered })
    }
}

/// Channels at `level` of the largest ∂L/∂input that is scattered further: to a pooled or an upsampled layer.
fn scattered_channels(net: &UNet, level: usize) -> usize {
    let channels = net.convs.iter().filter(|c| c.level == level).map(|c| match c.input {
        Input::Pool(_) => c.c_in,
        Input::SkipUp { low, .. } => net.convs[low].c_out,
        Input::Block(b) => match net.blocks[b].input {
            Input::Pool(_) => c.c_in,
            Input::SkipUp { low, .. } => net.blocks[low].c_out,
            _ => 1,
        },
        Input::Field | Input::Activation(_) => 1,
    });
    channels.max().unwrap_or(1)
}

/// Where the weights of every convolution lie, and how its z is to be stored.
fn weights(net: &UNet, storage: DType) -> Vec<Weights> {
    let pivot = |c: &Conv| match (storage, &c.norm) {
        (DType::F32 | DType::F64, _) => None,
        (DType::F16, Some(norm)) => {
            Some(Pivot::RunningMean { bias: c.bias, running_mean: norm.running_mean })
        }
        (DType::F16, None) => Some(Pivot::Zero),
    };
    let padding = net.config.padding;
    let one = |c: &Conv| Weights {
        offset: c.weight,
        c_out: c.c_out,
        c_in: c.c_in,
        taps: c.taps,
        padding,
        pivot: pivot(c),
    };
    net.convs.iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::UNetConfig;

    #[test]
    fn the_largest_tensor_may_be_an_input_gradient() {
        let net =
            |filters: &[usize]| UNet::new(&UNetConfig { filters: filters.to_vec(), ..Default::default() });
        assert_eq!(Network::largest_tensor_per_sample(&net(&[16; 4]), DType::F32, 64, 64), 4 * 16 * 4096);
        assert_eq!(Network::largest_tensor_per_sample(&net(&[8, 64]), DType::F16, 64, 64), 2 * 64 * 4096);
    }
}
