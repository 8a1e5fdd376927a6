//! The U-Net's backward pass on the GPU, node by node in reverse (method §5).

use crate::Result;
use crate::gpu::layer::layers::Statistics;
use crate::gpu::nn::conv1x1::{self, conv1x1_backward};
use crate::gpu::nn::sum_rows::PartialSums;
use crate::gpu::unet::network::Network;
use crate::gpu::{Recorder, Tensor};
use crate::model::unet::Node;

impl Network {
    /// Parameter gradients from ∂L/∂output `[batch, nx, ny]` of the forward pass before it, for the same
    /// `input`.
    pub fn backward(&self, recorder: &mut Recorder, input: &Tensor, output_gradient: &Tensor) -> Result<()> {
        let mut partial = self.partial_sums();
        let mut sums = self.output_backward(recorder, output_gradient, &mut partial)?;
        for node in self.net.nodes.iter().rev() {
            match *node {
                // The layers that make up the sum read its gradient themselves.
                Node::BlockSum(_) => {}
                Node::Conv(i) => {
                    sums = self.conv_backward(recorder, i, input, output_gradient, sums, &mut partial)?;
                }
                Node::BlockInput(b) => self.block_input_backward(recorder, b)?,
            }
        }
        recorder.label("gradients");
        partial.add_up(recorder)
    }

    /// Where the parts of the parameters' gradients wait for being added up.
    pub(crate) fn partial_sums(&self) -> PartialSums<'_> {
        PartialSums::new(&self.partial, &self.gradients)
    }

    /// The gradients of the last convolution, among the `partial` sums, and Σg and Σg·ẑ of the layer before
    /// it.
    pub(crate) fn output_backward(
        &self,
        recorder: &mut Recorder,
        output_gradient: &Tensor,
        partial: &mut PartialSums,
    ) -> Result<Statistics<'_>> {
        recorder.label("outc");
        let (shape, last, out) = (self.shape(0), self.last_layer(), self.net.out_weight);
        let sums = conv1x1_backward(recorder, shape, last, output_gradient, out, partial, &self.statistics)?;
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
