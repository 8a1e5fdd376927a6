//! The U-Net's backward pass on the GPU, node by node in reverse (method §5).

use crate::Result;
use crate::gpu::layer::layers::Statistics;
use crate::gpu::nn::conv1x1::{self, conv1x1_backward};
use crate::gpu::unet::network::Network;
use crate::gpu::{Recorder, Tensor};
use crate::model::unet::Node;

impl Network {
    /// Parameter gradients from ∂L/∂output `[batch, nx, ny]` of the forward pass before it, for the same
    /// `input`.
    pub fn backward(&self, recorder: &mut Recorder, input: &Tensor, output_gradient: &Tensor) -> Result<()> {
        let mut sums = self.output_backward(recorder, output_gradient)?;
        for node in self.net.nodes.iter().rev() {
            match *node {
                // The layers that make up the sum read its gradient themselves.
                Node::BlockSum(_) => {}
                Node::Conv(i) => sums = self.conv_backward(recorder, i, input, output_gradient, sums)?,
                Node::BlockInput(b) => self.block_input_backward(recorder, b)?,
            }
        }
        Ok(())
    }

    /// The gradients of the last convolution, and Σg and Σg·ẑ of the layer before it.
    pub(crate) fn output_backward(
        &self,
        recorder: &mut Recorder,
        output_gradient: &Tensor,
    ) -> Result<Statistics<'_>> {
        recorder.label("outc");
        let out = conv1x1::Weights { buffer: &self.gradients, offset: self.net.out_weight };
        let (shape, last) = (self.shape(0), self.last_layer());
        let (shares, statistics) = (&self.partial, &self.statistics);
        let sums = conv1x1_backward(recorder, shape, last, output_gradient, out, shares, statistics)?;
        if let Some(gradient) = self.block_gradients.last() {
            let weights = conv1x1::Weights { buffer: &self.params, offset: self.net.out_weight };
            conv1x1::output_gradient(recorder, shape, last.channels, output_gradient, weights, gradient)?;
        }
        Ok(sums)
    }

    /// The gradients of activations that [`Network::backward`] leaves, as they are stored; tensors that
    /// several layers of a level share hold what the last of them has left.
    pub fn stored_gradients(&self) -> impl Iterator<Item = &Tensor> {
        self.layer_gradients.iter().chain(&self.input_gradients)
    }
}
