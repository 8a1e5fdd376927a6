//! The U-Net forward on the GPU, layer by layer from the model's list (SPEC 5); what both passes keep.

use crate::gpu::layer::epilogue::{Pool, Sink};
use crate::gpu::layer::input::Source;
use crate::gpu::layer::layers::Statistics;
use crate::gpu::layer::layers::{IDENTITY, Layer, NORM_LEN};
use crate::gpu::nn::batch_norm::batch_norm;
use crate::gpu::nn::bias::bias;
use crate::gpu::nn::conv1x1::{self, conv1x1};
use crate::gpu::nn::conv3x3::{self, conv3x3};
use crate::gpu::nn::pack_weights::{Arrangement, Pivot, Weights};
use crate::gpu::nn::{activation, conv3x3_weight_gradient, upsample};
use crate::gpu::unet::res_block::{Block, ShortcutGradient};
use crate::gpu::{Gpu, MemoryUse, Recorder, Shape, Tensor};
use crate::model::unet::{Conv, Source as From};
use crate::model::{Activation, Storage, UNet};
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
    pub(crate) weights: Vec<Weights>,
    pub(crate) arrangement: Arrangement,
    pub(crate) layers: Vec<Layer>,
    /// Of a network of residual blocks.
    pub(crate) blocks: Vec<Block>,
    /// Of these, per level.
    pub(crate) shortcut_gradients: Vec<ShortcutGradient>,
    /// By number, the layers that are pooled and skip connections: with pooled z in the place of z.
    pub(crate) pooled: BTreeMap<usize, Layer>,
    /// Per layer g = ∂L/∂(the activation's argument); of a skip connection without the share of the pooled. The last layer's is
    /// never stored.
    pub(crate) layer_gradients: Vec<Tensor>,
    /// Per level, first ∂L/∂ of the upsampled activation that a convolution read, then g of the pooled one.
    pub(crate) input_gradients: Vec<Tensor>,
    /// What the kernels leave for the batch norm of the next layer.
    pub(crate) statistics: Tensor,
    /// By number, what the upward path leaves for the batch norms of skip connections.
    pub(crate) skip_statistics: BTreeMap<usize, Tensor>,
    /// By number of a convolution, what its input gradient leaves for the batch norm of the layer before. An array each:
    /// wgpu has a dispatch wait for all before it if it writes what one of them has used, and the input gradient is to run
    /// beside the weight gradient.
    pub(crate) input_statistics: Vec<Tensor>,
    /// Partial sums of the parameters' gradients.
    pub(crate) partial: Tensor,
}

impl Network {
    /// Allocates for `batch` fields of `nx` × `ny` cells.
    pub fn new(gpu: &Gpu, net: &UNet, storage: Storage, batch: usize, nx: usize, ny: usize) -> Result<Self> {
        let mut network = Self::forward_in(gpu, net, storage, batch, nx, ny)?;
        let scratch = |label: &str, len| gpu.allocate_for(MemoryUse::Scratch, || gpu.tensor(label, len));
        let stored =
            |label: &str, len| gpu.allocate_for(MemoryUse::Gradients, || gpu.tensor_in(label, len, storage));
        let mut partial_len = batch * (net.out_channels + 1);
        let mut statistics_len = network.statistics.len().max(2 * batch * net.out_channels);
        for (i, conv) in net.convs.iter().enumerate() {
            let shape = network.shape(conv.level);
            partial_len = partial_len.max(conv3x3_weight_gradient::partial_len(shape, conv.c_in, conv.c_out));
            statistics_len = statistics_len.max(2 * conv.c_out * upsample::chunks(shape));
            let chunks = conv3x3::chunks(shape).max(upsample::chunks(shape.coarser()));
            let len = if i == 0 { 1 } else { 2 * conv.c_in * chunks }; // nobody wants the field's
            network.input_statistics.push(scratch(&format!("{} input statistics", conv.name), len)?);
            if network.pooled.contains_key(&i) {
                let len = 2 * conv.c_out * conv3x3::chunks(shape);
                let sums = scratch(&format!("{} skip statistics", conv.name), len)?;
                network.skip_statistics.insert(i, sums);
            }
            statistics_len = statistics_len.max(2 * conv.c_out * activation::chunks(shape));
            // The last layer's is made from the output's, but for that of a residual block.
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
        network.allocate_block_gradients(gpu, storage)?;
        network.gradients =
            gpu.allocate_for(MemoryUse::Gradients, || gpu.tensor("parameter gradients", net.param_count))?;
        network.statistics = scratch("statistics", statistics_len)?;
        network.partial = scratch("partial sums", partial_len)?;
        Ok(network)
    }

    /// As [`Network::new`] in 32 bits, without the memory of [`Network::backward`], which must not be called.
    pub fn forward_only(gpu: &Gpu, net: &UNet, batch: usize, nx: usize, ny: usize) -> Result<Self> {
        Self::forward_in(gpu, net, Storage::F32, batch, nx, ny)
    }

    fn forward_in(
        gpu: &Gpu,
        net: &UNet,
        storage: Storage,
        batch: usize,
        nx: usize,
        ny: usize,
    ) -> Result<Self> {
        let shape = |level: usize| Shape { batch, nx: nx >> level, ny: ny >> level };
        let tensor = |used, label: &str, len| gpu.allocate_for(used, || gpu.tensor(label, len));
        let (activations, parameters) = (MemoryUse::Activations, MemoryUse::Parameters);
        let stored = |label: String, shape: Shape, channels: usize| {
            gpu.allocate_for(activations, || gpu.tensor_in(&label, shape.stored(channels), storage))
        };
        let channels: usize = net.convs.iter().map(|conv| conv.c_out).sum();
        // The sums of residual blocks have no batch norm: behind the layers' norms lie some that change nothing, for them.
        let sums = net.blocks.iter().map(|block| block.c_in.max(block.c_out)).max().unwrap_or(0);
        let norms = tensor(activations, "norms", NORM_LEN * (channels + sums))?;
        gpu.write_at(&norms, NORM_LEN * channels, &IDENTITY.repeat(sums));
        let (mut layers, mut pooled) = (Vec::<Layer>::new(), BTreeMap::new());
        let (mut first_norm, mut statistics_len) = (0, 1);
        for conv in &net.convs {
            if let From::Pool(finer) = conv.source {
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
        let blocks = net.blocks.iter().map(|block| Block::new(block, &net.convs[block.first].name, sum));
        let blocks = blocks.collect::<Result<_>>()?;
        let weights = weights(net, storage);
        Ok(Self {
            net: net.clone(),
            batch,
            nx,
            ny,
            params: tensor(parameters, "parameters", net.param_count)?,
            gradients: tensor(MemoryUse::Gradients, "no parameter gradients", 1)?,
            running: tensor(parameters, "running statistics", net.buffer_count)?,
            arrangement: gpu.allocate_for(parameters, || Arrangement::new(gpu, &weights))?,
            weights,
            layers,
            blocks,
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
        storage: Storage,
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
    pub fn largest_tensor_per_sample(net: &UNet, storage: Storage, nx: usize, ny: usize) -> u64 {
        let stored = |level: usize, channels: usize| {
            Shape { batch: 1, nx: nx >> level, ny: ny >> level }.stored(channels) as u64
        };
        let layers = net.convs.iter().map(|c| stored(c.level, c.c_out));
        let scattered = (0..net.config.levels()).map(|level| stored(level, scattered_channels(net, level)));
        storage.bytes() as u64 * layers.chain(scattered).max().unwrap_or(0)
    }

    /// Predictions `output` for `input`, both `[batch, nx, ny]`, with batch statistics.
    pub fn forward(&self, recorder: &mut Recorder, input: &Tensor, output: &Tensor) -> Result<()> {
        recorder.label("weights");
        self.arrangement.record(recorder, &self.params, &self.running)?;
        for (i, conv) in self.net.convs.iter().enumerate() {
            self.gather(recorder, i)?;
            let moments = self.convolve(recorder, i, input)?;
            let (layer, params) = (&self.layers[i], &self.params);
            match &conv.norm {
                Some(norm) => batch_norm(recorder, norm, conv.bias, layer, moments, params, &self.running)?,
                None => bias(recorder, conv.bias, layer, params)?,
            }
            self.add_up(recorder, i)?;
        }
        self.convolve_out(recorder, output)
    }

    /// As [`Network::forward`], normalised with what [`Network::set_norms`] has set.
    pub fn forward_normed(&self, recorder: &mut Recorder, input: &Tensor, output: &Tensor) -> Result<()> {
        recorder.label("weights");
        self.arrangement.record(recorder, &self.params, &self.running)?;
        for i in 0..self.net.convs.len() {
            self.gather(recorder, i)?;
            self.convolve(recorder, i, input)?;
            self.add_up(recorder, i)?;
        }
        self.convolve_out(recorder, output)
    }

    /// Sets the normalisation (mean, rstd, scale, shift) of every channel of layer `layer`; the mean is that of z as
    /// stored.
    pub fn set_norms(&self, gpu: &Gpu, layer: usize, norms: &[[f32; 4]]) {
        let rows: Vec<f32> =
            norms.iter().flat_map(|n| [n[0], n[1], n[2], n[3], 0.0, 0.0, 0.0, 0.0]).collect();
        let Layer { norms, first_norm, .. } = &self.layers[layer];
        gpu.write_at(norms, NORM_LEN * first_norm, &rows);
    }

    /// z of layer `i`, and its moments.
    fn convolve(&self, recorder: &mut Recorder, i: usize, input: &Tensor) -> Result<Statistics<'_>> {
        recorder.label(&self.net.convs[i].name);
        let (shape, layer) = (self.shape(self.net.convs[i].level), &self.layers[i]);
        let gamma = self.net.convs[i].norm.map(|norm| norm.gamma);
        let pool = self.pooled.get(&i).map(|pooled| Pool { z: &pooled.z, parameters: &self.params, gamma });
        let sink = Sink::Moments { z: &layer.z, moments: &self.statistics, pool };
        conv3x3(recorder, shape, self.source(i, input), self.arrangement.forward(i), sink)?;
        Ok(self.statistics_in(&self.statistics, shape))
    }

    fn convolve_out(&self, recorder: &mut Recorder, output: &Tensor) -> Result<()> {
        recorder.label("outc");
        let weights = conv1x1::Weights { buffer: &self.params, offset: self.net.out_weight };
        conv1x1(recorder, self.shape(0), self.last_layer(), weights, output)
    }

    /// What a convolution on `shape` leaves in `buffer`.
    pub(crate) fn statistics_in<'a>(&self, buffer: &'a Tensor, shape: Shape) -> Statistics<'a> {
        Statistics { buffer, chunks: conv3x3::chunks(shape) }
    }

    pub(crate) fn source<'a>(&'a self, i: usize, input: &'a Tensor) -> Source<'a> {
        match self.net.convs[i].source {
            From::Field => Source::Plain { field: input, channels: 1 },
            From::Activation(j) => Source::Activation(&self.layers[j]),
            From::Pool(j) => Source::Activation(&self.pooled[&j]),
            From::SkipUp { skip, low } => Source::SkipUp { skip: &self.layers[skip], low: &self.layers[low] },
            From::Block(b) => self.block_source(b, input),
        }
    }

    pub(crate) fn last_layer(&self) -> &Layer {
        let sum = self.blocks.last().map(|block| &block.output);
        sum.or(self.layers.last()).expect("a network has layers")
    }

    pub(crate) fn shape(&self, level: usize) -> Shape {
        Shape { batch: self.batch, nx: self.nx >> level, ny: self.ny >> level }
    }
}

/// Channels at `level` of the largest ∂L/∂input that is scattered further: to a pooled or an upsampled layer.
pub(crate) fn scattered_channels(net: &UNet, level: usize) -> usize {
    let channels = net.convs.iter().filter(|c| c.level == level).map(|c| match c.source {
        From::Pool(_) => c.c_in,
        From::SkipUp { low, .. } => net.convs[low].c_out,
        From::Block(b) => match net.blocks[b].source {
            From::Pool(_) => c.c_in,
            From::SkipUp { low, .. } => net.blocks[low].c_out,
            _ => 1,
        },
        From::Field | From::Activation(_) => 1,
    });
    channels.max().unwrap_or(1)
}

/// Where the weights of every convolution lie, and how its z is to be stored.
fn weights(net: &UNet, storage: Storage) -> Vec<Weights> {
    let pivot = |c: &Conv| match (storage, &c.norm) {
        (Storage::F32, _) => None,
        (Storage::F16, Some(norm)) => {
            Some(Pivot::RunningMean { bias: c.bias, running_mean: norm.running_mean })
        }
        (Storage::F16, None) => Some(Pivot::Zero),
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
        assert_eq!(Network::largest_tensor_per_sample(&net(&[16; 4]), Storage::F32, 64, 64), 4 * 16 * 4096);
        assert_eq!(Network::largest_tensor_per_sample(&net(&[8, 64]), Storage::F16, 64, 64), 2 * 64 * 4096);
    }
}
