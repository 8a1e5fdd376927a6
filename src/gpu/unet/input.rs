//! What a convolution reads.

use crate::gpu::Tensor;
use crate::gpu::layer::input::ConvInput;
use crate::gpu::unet::network::Network;
use crate::model::unet::Input;

impl Network {
    /// What convolution `i` reads; `field` is the network's input.
    pub(crate) fn conv_input<'a>(&'a self, i: usize, field: &'a Tensor) -> ConvInput<'a> {
        match self.net.convs[i].input {
            Input::Field => ConvInput::Plain { field, channels: 1 },
            Input::Activation(j) => ConvInput::Activation(&self.layers[j]),
            Input::Pool(j) => ConvInput::Activation(&self.pooled[&j]),
            Input::SkipUp { skip, low } => {
                ConvInput::SkipUp { skip: &self.layers[skip], low: &self.layers[low] }
            }
            Input::Block(b) => self.block_convs_input(b, field),
        }
    }

    /// What the convolutions of block `b` read.
    fn block_convs_input<'a>(&'a self, b: usize, field: &'a Tensor) -> ConvInput<'a> {
        match (self.net.blocks[b].input, &self.blocks[b].input) {
            (Input::SkipUp { skip, low }, _) => {
                ConvInput::SkipUp { skip: &self.blocks[skip].output, low: &self.blocks[low].output }
            }
            (_, Some(pooled)) => ConvInput::Activation(pooled),
            (_, None) => ConvInput::Plain { field, channels: 1 },
        }
    }
}
