//! Residual blocks on the GPU (docs/network.md): what happens around their convolutions. A block's sum is kept, and
//! pooled inputs are; readers take them for layers whose norm and activation change nothing.

use crate::gpu::layer::epilogue::{Sink, Target};
use crate::gpu::layer::gradient::Gradient;
use crate::gpu::layer::input::Source;
use crate::gpu::layer::layers::Layer;
use crate::gpu::nn::activation::activation_backward;
use crate::gpu::nn::conv1x1::{self, output_gradient};
use crate::gpu::nn::conv3x3::conv3x3;
use crate::gpu::nn::max_pool::{max_pool, max_pool_backward};
use crate::gpu::nn::res_sum::res_sum;
use crate::gpu::nn::upsample::upsample_backward;
use crate::gpu::step::add_gradient::add_gradient;
use crate::gpu::unet::network::{Network, scattered_channels};
use crate::gpu::{Gpu, MemoryUse, Recorder, Shape, Tensor};
use crate::model::Storage;
use crate::model::unet::{ResBlock, Source as From};
use crate::{Error, Result};

/// The arrays of a residual block for one batch.
pub(crate) struct Block {
    /// Its input, where that is pooled.
    input: Option<Layer>,
    /// Its sum.
    pub(crate) output: Layer,
    /// ∂L/∂sum, for training.
    gradient: Option<Tensor>,
}

/// ∂L/∂(what a convolution has read) that is carried on to other blocks.
struct Carried<'a> {
    /// Of a skip connection.
    skip: Option<&'a Tensor>,
    /// Of what was pooled or upsampled.
    scattered: &'a Tensor,
}

/// Of the convolution of a shortcut, until it is added to that of the block's first one; per level.
pub(crate) struct ShortcutGradient {
    skip: Option<Tensor>,
    scattered: Tensor,
}

impl Block {
    /// `sum` makes a layer with a label, at a level, of so many channels.
    pub(crate) fn new(
        block: &ResBlock,
        name: &str,
        sum: impl Fn(String, usize, usize) -> Result<Layer>,
    ) -> Result<Self> {
        let pooled = matches!(block.source, From::Pool(_));
        Ok(Self {
            input: pooled.then(|| sum(format!("{name} input"), block.level, block.c_in)).transpose()?,
            output: sum(format!("{name} sum"), block.level, block.c_out)?,
            gradient: None,
        })
    }

    fn gradient(&self) -> Result<&Tensor> {
        let missing = || Error::Device(format!("{}: made without its gradient", self.output.z.label()));
        self.gradient.as_ref().ok_or_else(missing)
    }
}

impl Network {
    pub(crate) fn allocate_block_gradients(&mut self, gpu: &Gpu, storage: Storage) -> Result<()> {
        if self.blocks.is_empty() {
            return Ok(());
        }
        let stored = |label: String, len: usize| {
            gpu.allocate_for(MemoryUse::Gradients, || gpu.tensor_in(&label, len, storage))
        };
        for block in &mut self.blocks {
            let z = &block.output.z;
            block.gradient = Some(stored(format!("{} gradient", z.label()), z.len())?);
        }
        for level in 0..self.net.config.levels() {
            let shape = self.shape(level);
            let skip = self.net.blocks.iter().find_map(|block| match block.source {
                From::SkipUp { skip, .. } if block.level == level => Some(self.net.blocks[skip].c_out),
                _ => None,
            });
            let label = |what: &str| format!("shortcut {what} gradient {level}");
            let skip = skip.map(|channels| stored(label("skip"), shape.stored(channels))).transpose()?;
            let scattered = stored(label("input"), shape.stored(scattered_channels(&self.net, level)))?;
            self.shortcut_gradients.push(ShortcutGradient { skip, scattered });
        }
        Ok(())
    }

    /// Before layer i: where a block starts with it, its pooled input.
    pub(crate) fn gather(&self, recorder: &mut Recorder, i: usize) -> Result<()> {
        let Some(b) = self.net.blocks.iter().position(|block| block.first == i) else { return Ok(()) };
        let block = &self.net.blocks[b];
        let (From::Pool(j), Some(input)) = (block.source, &self.blocks[b].input) else { return Ok(()) };
        recorder.label(&self.net.convs[i].name);
        max_pool(recorder, self.shape(block.level), block.c_in, &self.blocks[j].output.z, &input.z)
    }

    /// What the convolutions of block b read.
    pub(crate) fn block_source<'a>(&'a self, b: usize, input: &'a Tensor) -> Source<'a> {
        match (self.net.blocks[b].source, &self.blocks[b].input) {
            (From::SkipUp { skip, low }, _) => {
                Source::SkipUp { skip: &self.blocks[skip].output, low: &self.blocks[low].output }
            }
            (_, Some(pooled)) => Source::Activation(pooled),
            (_, None) => Source::Plain { field: input, channels: 1 },
        }
    }

    /// After layer i: where a block ends with it, its sum.
    pub(crate) fn add_up(&self, recorder: &mut Recorder, i: usize) -> Result<()> {
        let Some(b) = self.net.blocks.iter().position(|block| block.last() == i) else { return Ok(()) };
        let (block, own) = (&self.net.blocks[b], &self.blocks[b]);
        let sampled = block.sample.map(|sample| &self.layers[sample]);
        let missing = || Error::Device(format!("{}: its block has no shortcut", self.net.convs[i].name));
        let shortcut = sampled.or(own.input.as_ref()).ok_or_else(missing)?;
        let (shape, second) = (self.shape(block.level), &self.layers[block.second()]);
        res_sum(recorder, shape, second, shortcut, &own.output.z)
    }

    /// The backward pass behind the last convolution, whose own gradients are made.
    pub(crate) fn blocks_backward(
        &self,
        recorder: &mut Recorder,
        input: &Tensor,
        of_output: &Tensor,
    ) -> Result<()> {
        let Some(last) = self.blocks.last() else { return Ok(()) };
        let weights = conv1x1::Weights { buffer: &self.params, offset: self.net.out_weight };
        let channels = last.output.channels;
        output_gradient(recorder, self.shape(0), channels, of_output, weights, last.gradient()?)?;
        for b in (0..self.blocks.len()).rev() {
            self.block_backward(recorder, b, input)?;
        }
        Ok(())
    }

    /// From ∂L/∂sum of block b the gradients of its parameters, and ∂L/∂input to where that came from. The blocks of the
    /// way up come first, so that those of the way down find a gradient to add to.
    fn block_backward(&self, recorder: &mut Recorder, b: usize, input: &Tensor) -> Result<()> {
        let block = &self.net.blocks[b];
        let (shape, shortcut) = (self.shape(block.level), &self.shortcut_gradients[block.level]);
        if let Some(sample) = block.sample {
            let gradient = self.branch_backward(recorder, b, sample, input)?;
            let carried = Carried { skip: shortcut.skip.as_ref(), scattered: &shortcut.scattered };
            self.block_input_gradient(recorder, b, sample, gradient, carried)?;
        }
        let gradient = self.branch_backward(recorder, b, block.second(), input)?;
        let sums = self.input_gradient(recorder, block.second(), gradient)?;
        recorder.label(&self.net.convs[block.first].name);
        self.norm_backward(recorder, block.first, sums, None, None)?;
        let gradient = self.stored_gradient(block.first);
        let sums = self.weight_gradient(recorder, block.first, input, gradient)?;
        self.finish_weights(recorder, block.first, sums)?;
        let scattered = &self.input_gradients[block.level];
        match block.source {
            From::Pool(j) => {
                let carried = Carried { skip: None, scattered };
                self.block_input_gradient(recorder, b, block.first, gradient, carried)?;
                let share =
                    if block.sample.is_some() { &shortcut.scattered } else { self.blocks[b].gradient()? };
                add_gradient(recorder, share, scattered, shape.stored(block.c_in))?;
                let finer = &self.blocks[j];
                max_pool_backward(recorder, shape, block.c_in, &finer.output.z, scattered, finer.gradient()?)
            }
            From::SkipUp { skip, low } => {
                let (to_skip, low) = (self.blocks[skip].gradient()?, &self.blocks[low]);
                let carried = Carried { skip: Some(to_skip), scattered };
                self.block_input_gradient(recorder, b, block.first, gradient, carried)?;
                if let Some(share) = &shortcut.skip {
                    add_gradient(recorder, share, to_skip, to_skip.len())?;
                }
                add_gradient(recorder, &shortcut.scattered, scattered, shape.stored(low.output.channels))?;
                let (coarse, sums) = (shape.coarser(), &self.statistics);
                upsample_backward(recorder, coarse, &low.output, scattered, low.gradient()?, sums)?;
                Ok(())
            }
            From::Field | From::Activation(_) | From::Block(_) => Ok(()),
        }
    }

    /// From ∂L/∂sum of block b through layer i, which was added to it, to the gradients of its parameters and ∂L/∂z.
    fn branch_backward(
        &self,
        recorder: &mut Recorder,
        b: usize,
        i: usize,
        input: &Tensor,
    ) -> Result<Gradient<'_>> {
        recorder.label(&self.net.convs[i].name);
        let (shape, layer) = (self.shape(self.net.convs[i].level), &self.layers[i]);
        let (incoming, g) = (self.blocks[b].gradient()?, &self.layer_gradients[i]);
        let sums = activation_backward(recorder, shape, layer, incoming, g, &self.statistics)?;
        self.norm_backward(recorder, i, sums, None, None)?;
        let gradient = self.stored_gradient(i);
        let sums = self.weight_gradient(recorder, i, input, gradient)?;
        self.finish_weights(recorder, i, sums)?;
        Ok(gradient)
    }

    fn stored_gradient(&self, i: usize) -> Gradient<'_> {
        Gradient::Stored { layer: &self.layers[i], g: &self.layer_gradients[i] }
    }

    /// Carries ∂L/∂z of layer i, which has read the input of block b, to where that came from.
    fn block_input_gradient(
        &self,
        recorder: &mut Recorder,
        b: usize,
        i: usize,
        gradient: Gradient,
        carried: Carried,
    ) -> Result<()> {
        let shape: Shape = self.shape(self.net.convs[i].level);
        let (source, weights) = (Source::Gradient(gradient), self.arrangement.adjoint(i));
        let (sums, scattered) = (&self.statistics, carried.scattered); // nobody needs these sums
        match (self.net.blocks[b].source, &self.blocks[b].input, carried.skip) {
            (From::SkipUp { skip, low }, _, Some(g)) => {
                let skip = Target { layer: &self.blocks[skip].output, g, sums };
                let rest = (scattered, self.blocks[low].output.channels);
                conv3x3(recorder, shape, source, weights, Sink::Split { skip, rest })
            }
            (From::Pool(_), Some(layer), _) => {
                let target = Target { layer, g: scattered, sums };
                conv3x3(recorder, shape, source, weights, Sink::Activation(target))
            }
            _ => Ok(()), // the network's input
        }
    }
}
