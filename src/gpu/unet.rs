//! The U-Net forward and backward on the GPU, layer by layer from the model's list (SPEC 5).

use super::batch_norm::{self, batch_norm, batch_norm_backward};
use super::conv1x1::{self, conv1x1, conv1x1_backward};
use super::conv3x3::{
    self, Shape, Target, Weights, conv3x3, conv3x3_input_gradient, conv3x3_weight_gradient,
};
use super::max_pool::max_pool_backward;
use super::source::{Layer, Source};
use super::upsample::upsample_backward;
use super::{Gpu, Recorder, Tensor};
use crate::model::UNet;
use crate::model::unet::{Conv, Source as From};
use crate::{Error, Result};

/// Parameters, activations and gradients of one network for one batch.
pub struct Network {
    net: UNet,
    batch: usize,
    nx: usize,
    ny: usize,
    /// Flat parameters.
    pub params: Tensor,
    /// Flat gradients of the parameters; those of the biases before a batch norm stay zero.
    pub gradients: Tensor,
    /// Flat running means and variances.
    pub running: Tensor,
    layers: Vec<Layer>,
    /// Per layer ∂L/∂activation, then in place ∂L/∂z.
    layer_gradients: Vec<Tensor>,
    /// Per level, ∂L/∂input of a convolution that read a pooled or an upsampled activation.
    input_gradients: Vec<Tensor>,
    /// Means of the batch norm's backward pass.
    means: Tensor,
    /// Partial sums of whatever runs.
    partial: Tensor,
}

impl Network {
    /// Allocates for `batch` fields of `nx` × `ny` cells.
    pub fn new(gpu: &Gpu, net: &UNet, batch: usize, nx: usize, ny: usize) -> Result<Self> {
        let mut network = Self::forward_only(gpu, net, batch, nx, ny)?;
        let shape = |level: usize| Shape { batch, nx: nx >> level, ny: ny >> level };
        let mut partial_len = network.partial.len().max(batch * (net.out_channels + 1));
        for (conv, layer) in net.convs.iter().zip(&network.layers) {
            network.layer_gradients.push(gpu.tensor(&format!("{} gradient", conv.name), layer.z.len())?);
            partial_len = partial_len.max(conv3x3::partial_len(shape(conv.level), conv.c_in, conv.c_out));
        }
        network.input_gradients = (0..net.config.levels())
            .map(|level| {
                gpu.tensor(
                    &format!("input gradient {level}"),
                    batch * scattered_channels(net, level) * shape(level).cells(),
                )
            })
            .collect::<Result<_>>()?;
        let widest_layer = net.convs.iter().map(|c| c.c_out).max().unwrap_or(1);
        network.gradients = gpu.tensor("parameter gradients", net.param_count)?;
        network.means = gpu.tensor("gradient means", 2 * widest_layer)?;
        network.partial = gpu.tensor("partial sums", partial_len)?;
        Ok(network)
    }

    /// As [`Network::new`], without the memory of [`Network::backward`], which must not be called.
    pub fn forward_only(gpu: &Gpu, net: &UNet, batch: usize, nx: usize, ny: usize) -> Result<Self> {
        let shape = |level: usize| Shape { batch, nx: nx >> level, ny: ny >> level };
        let mut layers = Vec::new();
        let mut partial_len = 1;
        for conv in &net.convs {
            let len = batch * conv.c_out * shape(conv.level).cells();
            layers.push(Layer {
                z: gpu.tensor(&format!("{} output", conv.name), len)?,
                norm: gpu.tensor(&format!("{} norm", conv.name), 4 * conv.c_out)?,
                channels: conv.c_out,
            });
            partial_len = partial_len.max(batch_norm::partial_len(shape(conv.level), conv.c_out));
        }
        Ok(Self {
            net: net.clone(),
            batch,
            nx,
            ny,
            params: gpu.tensor("parameters", net.param_count)?,
            gradients: gpu.tensor("no parameter gradients", 1)?,
            running: gpu.tensor("running statistics", net.buffer_count)?,
            layers,
            layer_gradients: Vec::new(),
            input_gradients: Vec::new(),
            means: gpu.tensor("no gradient means", 1)?,
            partial: gpu.tensor("partial sums", partial_len)?,
        })
    }

    /// Refuses a batch whose largest array does not fit into one binding, naming the largest batch that does.
    pub fn check_batch(gpu: &Gpu, net: &UNet, batch: usize, nx: usize, ny: usize) -> Result<()> {
        let largest = Self::largest_tensor_per_sample(net, nx, ny).max(4 * (nx * ny) as u64);
        if largest * batch as u64 > gpu.max_tensor_bytes() {
            return Err(Error::usage(format!(
                "batch {batch}: too large for one buffer binding of {}; the largest batch that fits is {}",
                gpu.name(),
                gpu.max_tensor_bytes() / largest
            )));
        }
        Ok(())
    }

    /// Bytes of the largest tensor for a batch of one: what limits the batch through the binding size.
    pub fn largest_tensor_per_sample(net: &UNet, nx: usize, ny: usize) -> u64 {
        let cells = |level: usize| ((nx >> level) * (ny >> level)) as u64;
        let layers = net.convs.iter().map(|c| c.c_out as u64 * cells(c.level));
        let scattered =
            (0..net.config.levels()).map(|level| scattered_channels(net, level) as u64 * cells(level));
        4 * layers.chain(scattered).max().unwrap_or(0)
    }

    /// Predictions `output` for `input`, both `[batch, nx, ny]`, with batch statistics.
    pub fn forward(&self, recorder: &mut Recorder, input: &Tensor, output: &Tensor) -> Result<()> {
        for (conv, layer) in self.net.convs.iter().zip(&self.layers) {
            self.convolve(recorder, conv, layer, input)?;
            let shape = self.shape(conv.level);
            batch_norm(recorder, shape, conv, layer, &self.params, &self.running, &self.partial)?;
        }
        self.convolve_out(recorder, output)
    }

    /// As [`Network::forward`], normalised with what [`Network::set_norms`] has set.
    pub fn forward_normed(&self, recorder: &mut Recorder, input: &Tensor, output: &Tensor) -> Result<()> {
        for (conv, layer) in self.net.convs.iter().zip(&self.layers) {
            self.convolve(recorder, conv, layer, input)?;
        }
        self.convolve_out(recorder, output)
    }

    /// Sets the normalisation (mean, rstd, scale, shift) of every channel of layer `layer`.
    pub fn set_norms(&self, gpu: &Gpu, layer: usize, norms: &[[f32; 4]]) {
        gpu.write(&self.layers[layer].norm, norms.as_flattened());
    }

    fn convolve(&self, recorder: &mut Recorder, conv: &Conv, layer: &Layer, input: &Tensor) -> Result<()> {
        // No second target: any other writable buffer stands in.
        let target = Target { first: (&layer.z, conv.c_out), second: (&self.partial, 0) };
        let weights = self.weights(conv, &self.params);
        conv3x3(recorder, self.shape(conv.level), self.source(conv, input), weights, target)
    }

    fn convolve_out(&self, recorder: &mut Recorder, output: &Tensor) -> Result<()> {
        let weights = conv1x1::Weights { buffer: &self.params, offset: self.net.out_weight };
        conv1x1(recorder, self.shape(0), self.last_layer(), weights, output)
    }

    /// Parameter gradients from ∂L/∂output `[batch, nx, ny]` of the forward pass before it.
    pub fn backward(&self, recorder: &mut Recorder, input: &Tensor, output_gradient: &Tensor) -> Result<()> {
        let weights = conv1x1::Weights { buffer: &self.params, offset: self.net.out_weight };
        conv1x1_backward(
            recorder,
            self.shape(0),
            self.last_layer(),
            weights,
            output_gradient,
            self.layer_gradients.last().expect("a network has layers"),
            &self.gradients,
            &self.partial,
        )?;
        for (i, conv) in self.net.convs.iter().enumerate().rev() {
            let shape = self.shape(conv.level);
            let (layer, gradient) = (&self.layers[i], &self.layer_gradients[i]);
            let (gradients, means, partial) = (&self.gradients, &self.means, &self.partial);
            batch_norm_backward(recorder, shape, conv, layer, gradient, gradients, means, partial)?;
            let source = self.source(conv, input);
            conv3x3_weight_gradient(
                recorder,
                shape,
                source,
                gradient,
                self.weights(conv, gradients),
                partial,
            )?;
            self.input_gradient(recorder, conv, gradient)?;
        }
        Ok(())
    }

    /// Carries ∂L/∂z of a convolution on to ∂L/∂activation of the layers that it read.
    fn input_gradient(&self, recorder: &mut Recorder, conv: &Conv, gradient: &Tensor) -> Result<()> {
        let shape = self.shape(conv.level);
        let weights = self.weights(conv, &self.params);
        let scattered = &self.input_gradients[conv.level];
        match conv.source {
            From::Field => Ok(()),
            From::Activation(j) => {
                let target =
                    Target { first: (&self.layer_gradients[j], conv.c_in), second: (&self.partial, 0) };
                conv3x3_input_gradient(recorder, shape, gradient, weights, target)
            }
            From::Pool(j) => {
                let target = Target { first: (scattered, conv.c_in), second: (&self.partial, 0) };
                conv3x3_input_gradient(recorder, shape, gradient, weights, target)?;
                // The skip connection's share is there already: the upward path runs backward first.
                max_pool_backward(recorder, shape, &self.layers[j], scattered, &self.layer_gradients[j])
            }
            From::SkipUp { skip, low } => {
                let channels = self.layers[low].channels;
                let target = Target {
                    first: (&self.layer_gradients[skip], self.layers[skip].channels),
                    second: (scattered, channels),
                };
                conv3x3_input_gradient(recorder, shape, gradient, weights, target)?;
                let coarse = self.shape(conv.level + 1);
                upsample_backward(recorder, coarse, channels, scattered, &self.layer_gradients[low])
            }
        }
    }

    fn source<'a>(&'a self, conv: &Conv, input: &'a Tensor) -> Source<'a> {
        match conv.source {
            From::Field => Source::Plain { field: input, channels: 1 },
            From::Activation(j) => Source::Activation(&self.layers[j]),
            From::Pool(j) => Source::Pool(&self.layers[j]),
            From::SkipUp { skip, low } => Source::SkipUp { skip: &self.layers[skip], low: &self.layers[low] },
        }
    }

    fn weights<'a>(&self, conv: &Conv, buffer: &'a Tensor) -> Weights<'a> {
        let padding = self.net.config.padding;
        Weights { buffer, offset: conv.weight, c_out: conv.c_out, c_in: conv.c_in, padding }
    }

    fn last_layer(&self) -> &Layer {
        self.layers.last().expect("a network has layers")
    }

    fn shape(&self, level: usize) -> Shape {
        Shape { batch: self.batch, nx: self.nx >> level, ny: self.ny >> level }
    }
}

/// Channels at `level` of the largest ∂L/∂input that is scattered further: to a pooled or an upsampled layer.
fn scattered_channels(net: &UNet, level: usize) -> usize {
    let channels = net.convs.iter().filter(|c| c.level == level).map(|c| match c.source {
        From::Pool(_) => c.c_in,
        From::SkipUp { low, .. } => net.convs[low].c_out,
        From::Field | From::Activation(_) => 1,
    });
    channels.max().unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::UNetConfig;

    #[test]
    fn the_largest_tensor_may_be_an_input_gradient() {
        let net =
            |filters: &[usize]| UNet::new(&UNetConfig { filters: filters.to_vec(), ..Default::default() });
        assert_eq!(Network::largest_tensor_per_sample(&net(&[16; 4]), 64, 64), 4 * 16 * 4096);
        assert_eq!(Network::largest_tensor_per_sample(&net(&[8, 64]), 64, 64), 4 * 64 * 4096);
    }
}
