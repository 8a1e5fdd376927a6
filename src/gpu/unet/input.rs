//! What a convolution reads.

use crate::gpu::Tensor;
use crate::gpu::layer::input::Source;
use crate::gpu::unet::network::Network;
use crate::model::unet::Input;

impl Network {
    /// What convolution `i` reads; `field` is the network's input.
    pub(crate) fn conv_input<'a>(&'a self, i: usize, field: &'a Tensor) -> Source<'a> {
        match self.net.convs[i].input {
            Input::Field => Source::Plain { field, channels: 1 },
            Input::Activation(j) => Source::Activation(&self.layers[j]),
            Input::Pool(j) => Source::Activation(&self.pooled[&j]),
            Input::SkipUp { skip, low } => {
                Source::SkipUp { skip: &self.layers[skip], low: &self.layers[low] }
            }
            Input::Block(b) => self.block_convs_input(b, field),
        }
    }

    /// What the convolutions of block `b` read.
    fn block_convs_input<'a>(&'a self, b: usize, field: &'a Tensor) -> Source<'a> {
        match (self.net.blocks[b].input, &self.blocks[b].input) {
            (Input::SkipUp { skip, low }, _) => {
                Source::SkipUp { skip: &self.blocks[skip].output, low: &self.blocks[low].output }
            }
            (_, Some(pooled)) => Source::Activation(pooled),
            (_, None) => Source::Plain { field, channels: 1 },
        }
    }
}
