//! The backward pass of one convolution of the U-Net with its batch norm (method §5).

use crate::Result;
use crate::gpu::layer::epilogue::{Epilogue, Target};
use crate::gpu::layer::gradient::Gradient;
use crate::gpu::layer::input::ConvInput;
use crate::gpu::layer::layers::Statistics;
use crate::gpu::nn::activation::activation_backward;
use crate::gpu::nn::batch_norm::batch_norm_backward;
use crate::gpu::nn::bias::bias_backward;
use crate::gpu::nn::conv3x3::conv3x3;
use crate::gpu::nn::conv3x3_weight_gradient::conv3x3_weight_gradient;
use crate::gpu::nn::sum_rows::PartialSums;
use crate::gpu::nn::upsample::upsample_backward;
use crate::gpu::unet::network::Network;
use crate::gpu::{Recorder, Tensor};
use crate::model::unet::Input;

/// The gradient that reaches a layer.
#[derive(Clone, Copy)]
pub(crate) struct Incoming<'a> {
    /// Where ∂L/∂z is made from.
    pub(crate) gradient: Gradient<'a>,
    /// Σg and Σg·ẑ of every channel. If the layer is a skip connection and pooled as well, only the share of
    /// the skip connection.
    pub(crate) sums: Statistics<'a>,
    /// The share of the pooled values in these sums, if the layer is pooled.
    pub(crate) pooled_sums: Option<Statistics<'a>>,
}

impl Network {
    /// The gradients of layer `i`'s parameters, and g of the layer before it. `sums` are Σg and Σg·ẑ of layer
    /// `i`, as the node behind it has left them; what is returned are those of the layer before. The
    /// gradients of the weights are left with the `partial` sums.
    pub(crate) fn conv_backward<'a>(
        &'a self,
        recorder: &mut Recorder,
        i: usize,
        input: &Tensor,
        output_gradient: &'a Tensor,
        sums: Statistics<'a>,
        partial: &mut PartialSums,
    ) -> Result<Statistics<'a>> {
        recorder.label(&self.net.convs[i].name);
        let incoming = self.incoming(recorder, i, output_gradient, sums)?;
        self.norm_backward(recorder, i, &incoming)?;
        self.pass_on(recorder, i, input, &incoming, partial)
    }

    /// The gradients of layer `i`'s weights, among the `partial` sums, g of the layer before it and that
    /// one's sums, once the norms of layer `i` are those of the backward pass.
    pub(crate) fn pass_on<'a>(
        &'a self,
        recorder: &mut Recorder,
        i: usize,
        input: &Tensor,
        incoming: &Incoming<'a>,
        partial: &mut PartialSums,
    ) -> Result<Statistics<'a>> {
        let conv = &self.net.convs[i];
        // The next two may run side by side: neither reads what the other writes.
        let (shape, source, gradient) =
            (self.shape(conv.level), self.conv_input(i, input), incoming.gradient);
        conv3x3_weight_gradient(recorder, shape, source, gradient, self.weights[i], partial)?;
        self.input_gradient(recorder, i, gradient)
    }

    /// The gradient that reaches layer `i`. The node behind it has stored g and left `sums`, except where
    /// that node is the sum of a residual block: then g and its sums are made here, from ∂L/∂sum.
    pub(crate) fn incoming<'a>(
        &'a self,
        recorder: &mut Recorder,
        i: usize,
        output_gradient: &'a Tensor,
        sums: Statistics<'a>,
    ) -> Result<Incoming<'a>> {
        let (layer, shape) = (&self.layers[i], self.shape(self.net.convs[i].level));
        let Some(g) = self.layer_gradients.get(i) else {
            let gradient = Gradient::Output { layer, output_gradient };
            return Ok(Incoming { gradient, sums, pooled_sums: None });
        };
        let stored = |sums| Incoming { gradient: Gradient::Stored { layer, g }, sums, pooled_sums: None };
        if let Some(b) = self.net.blocks.iter().position(|block| block.adds(i)) {
            let of_sum = &self.block_gradients[b];
            return Ok(stored(activation_backward(recorder, shape, layer, of_sum, g, &self.statistics)?));
        }
        let Some(skip) = self.skip_statistics.get(&i) else { return Ok(stored(sums)) };
        let pooled = &self.input_gradients[self.net.convs[i].level + 1];
        let gradient = Gradient::Pooled { layer, g, pooled };
        Ok(Incoming { gradient, sums: self.statistics_in(skip, shape), pooled_sums: Some(sums) })
    }

    /// The backward half of layer `i`'s norms and the gradients of its batch norm or bias, as
    /// [`batch_norm_backward`].
    pub(crate) fn norm_backward(&self, recorder: &mut Recorder, i: usize, incoming: &Incoming) -> Result<()> {
        let (conv, layer) = (&self.net.convs[i], &self.layers[i]);
        let (shape, weights, gradients) = (self.shape(conv.level), &self.params, &self.gradients);
        let &Incoming { sums, pooled_sums: pooled, .. } = incoming;
        let output = self.output_weight(incoming);
        match &conv.norm {
            Some(norm) => {
                batch_norm_backward(recorder, shape, norm, layer, sums, pooled, output, weights, gradients)
            }
            None => bias_backward(recorder, conv.bias, layer, sums, pooled, output, weights, gradients),
        }
    }

    /// Where the weights of the 1×1 convolution start, which g lacks where it is made from ∂L/∂output.
    pub(crate) fn output_weight(&self, incoming: &Incoming) -> Option<usize> {
        matches!(incoming.gradient, Gradient::Output { .. }).then_some(self.net.out_weight)
    }

    /// Carries ∂L/∂z of layer `i` on to what it has read, and returns the sums of the layer before.
    fn input_gradient(
        &self,
        recorder: &mut Recorder,
        i: usize,
        gradient: Gradient,
    ) -> Result<Statistics<'_>> {
        let conv = &self.net.convs[i];
        let shape = self.shape(conv.level);
        let (scattered, sums) = (&self.input_gradients[conv.level], &self.input_statistics[i]);
        match conv.input {
            // The first layer has none before it: its node is the last one of the pass, and leaves no sums.
            Input::Field => {}
            Input::Block(b) => self.block_input_gradient(recorder, b, i, gradient)?,
            Input::Activation(j) => {
                let target = Target { layer: &self.layers[j], g: &self.layer_gradients[j], sums };
                self.adjoint(recorder, i, gradient, Epilogue::Activation(target))?;
            }
            Input::Pool(j) => {
                let target = Target { layer: &self.pooled[&j], g: scattered, sums };
                self.adjoint(recorder, i, gradient, Epilogue::Activation(target))?;
            }
            Input::SkipUp { skip, low } => {
                let g = &self.layer_gradients[skip];
                let target = Target { layer: &self.layers[skip], g, sums: &self.skip_statistics[&skip] };
                let (low, g_low) = (&self.layers[low], &self.layer_gradients[low]);
                let epilogue = Epilogue::Split { skip: target, rest: (scattered, low.channels) };
                self.adjoint(recorder, i, gradient, epilogue)?;
                return upsample_backward(recorder, shape.coarser(), low, scattered, g_low, sums);
            }
        }
        Ok(self.statistics_in(sums, shape))
    }

    /// The adjoint of convolution `i`, from ∂L/∂z to `epilogue`.
    pub(crate) fn adjoint(
        &self,
        recorder: &mut Recorder,
        i: usize,
        gradient: Gradient,
        epilogue: Epilogue,
    ) -> Result<()> {
        let shape = self.shape(self.net.convs[i].level);
        conv3x3(recorder, shape, ConvInput::Gradient(gradient), self.packing.adjoint(i), epilogue)
    }
}
