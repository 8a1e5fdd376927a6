//! What happens around the convolutions of residual blocks on the GPU (docs/network.md).

use crate::gpu::Recorder;
use crate::gpu::layer::epilogue::{Epilogue, Target};
use crate::gpu::layer::gradient::Gradient;
use crate::gpu::nn::add_gradient::add_gradient;
use crate::gpu::nn::max_pool::{max_pool, max_pool_backward};
use crate::gpu::nn::res_sum::res_sum;
use crate::gpu::nn::upsample::upsample_backward;
use crate::gpu::unet::network::Network;
use crate::model::unet::Input;
use crate::{Error, Result};

impl Network {
    /// The input of block `b`, where that is pooled; other inputs are made where they are read.
    pub(crate) fn block_input(&self, recorder: &mut Recorder, b: usize) -> Result<()> {
        let block = &self.net.blocks[b];
        let (Input::Pool(j), Some(input)) = (block.input, &self.blocks[b].input) else { return Ok(()) };
        recorder.label(&self.net.convs[block.first].name);
        max_pool(recorder, self.shape(block.level), block.c_in, &self.blocks[j].output.z, &input.z)
    }

    /// The sum of block `b`.
    pub(crate) fn block_sum(&self, recorder: &mut Recorder, b: usize) -> Result<()> {
        let (block, own) = (&self.net.blocks[b], &self.blocks[b]);
        let sampled = block.sample.map(|sample| &self.layers[sample]);
        let missing = || Error::Device(format!("{}: the block has no shortcut", own.output.z.label()));
        let shortcut = sampled.or(own.input.as_ref()).ok_or_else(missing)?;
        let (shape, second) = (self.shape(block.level), &self.layers[block.second()]);
        res_sum(recorder, shape, second, shortcut, &own.output.z)
    }

    /// Carries ∂L/∂z of layer `i`, which has read the input of block `b`, to where that came from. The
    /// convolution of the shortcut comes before the block's first one, and leaves its share in tensors of its
    /// own.
    pub(crate) fn block_input_gradient(
        &self,
        recorder: &mut Recorder,
        b: usize,
        i: usize,
        gradient: Gradient,
    ) -> Result<()> {
        let block = &self.net.blocks[b];
        let shortcut = &self.shortcut_gradients[block.level];
        let is_first = i == block.first;
        let scattered = if is_first { &self.input_gradients[block.level] } else { &shortcut.scattered };
        let sums = &self.statistics; // no batch norm waits for these sums
        match (block.input, &self.blocks[b].input) {
            (Input::SkipUp { skip, low }, _) => {
                let to_skip =
                    if is_first { Some(&self.block_gradients[skip]) } else { shortcut.skip.as_ref() };
                let missing = || {
                    Error::Device(format!("{}: no tensor for its skip connection", self.net.convs[i].name))
                };
                let g = to_skip.ok_or_else(missing)?;
                let skip = Target { layer: &self.blocks[skip].output, g, sums };
                let rest = (scattered, self.blocks[low].output.channels);
                self.adjoint(recorder, i, gradient, Epilogue::Split { skip, rest })
            }
            (Input::Pool(_), Some(layer)) => {
                let target = Target { layer, g: scattered, sums };
                self.adjoint(recorder, i, gradient, Epilogue::Activation(target))
            }
            _ => Ok(()), // the network's input
        }
    }

    /// ∂L/∂input of block `b` to where that input came from, after both shares of it have been made. The
    /// blocks on the way up come first, so that those on the way down find a gradient to add to.
    pub(crate) fn block_input_backward(&self, recorder: &mut Recorder, b: usize) -> Result<()> {
        let block = &self.net.blocks[b];
        let (shape, shortcut) = (self.shape(block.level), &self.shortcut_gradients[block.level]);
        let scattered = &self.input_gradients[block.level];
        match block.input {
            Input::Pool(j) => {
                let own = &self.block_gradients[b];
                let share = if block.sample.is_some() { &shortcut.scattered } else { own };
                add_gradient(recorder, share, scattered, shape.stored(block.c_in))?;
                let (fine, g) = (&self.blocks[j].output.z, &self.block_gradients[j]);
                max_pool_backward(recorder, shape, block.c_in, fine, scattered, g)
            }
            Input::SkipUp { skip, low } => {
                if let Some(share) = &shortcut.skip {
                    let to_skip = &self.block_gradients[skip];
                    add_gradient(recorder, share, to_skip, to_skip.len())?;
                }
                let (layer, g) = (&self.blocks[low].output, &self.block_gradients[low]);
                add_gradient(recorder, &shortcut.scattered, scattered, shape.stored(layer.channels))?;
                upsample_backward(recorder, shape.coarser(), layer, scattered, g, &self.statistics)?;
                Ok(())
            }
            Input::Field | Input::Activation(_) | Input::Block(_) => Ok(()),
        }
    }
}
