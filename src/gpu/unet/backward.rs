//! The U-Net's backward pass on the GPU, layer by layer in reverse (SPEC 5).

use crate::gpu::layer::epilogue::{Sink, Target};
use crate::gpu::layer::gradient::Gradient;
use crate::gpu::layer::input::Source;
use crate::gpu::layer::layers::Statistics;
use crate::gpu::nn::batch_norm::batch_norm_backward;
use crate::gpu::nn::bias::bias_backward;
use crate::gpu::nn::conv1x1::{self, conv1x1_backward};
use crate::gpu::nn::conv3x3::conv3x3;
use crate::gpu::nn::conv3x3_weight_gradient::conv3x3_weight_gradient;
use crate::gpu::nn::sum_rows::PartialSums;
use crate::gpu::nn::upsample::upsample_backward;
use crate::gpu::unet::network::Network;
use crate::gpu::{Recorder, Tensor};
use crate::model::unet::Source as From;
use crate::{Error, Result};

impl Network {
    /// Parameter gradients from ∂L/∂output `[batch, nx, ny]` of the forward pass before it.
    pub fn backward(&self, recorder: &mut Recorder, input: &Tensor, output_gradient: &Tensor) -> Result<()> {
        recorder.label("outc");
        let out = conv1x1::Weights { buffer: &self.gradients, offset: self.net.out_weight };
        let (shares, sums) = (&self.partial, &self.statistics);
        let (shape, last) = (self.shape(0), self.last_layer());
        let mut sums = conv1x1_backward(recorder, shape, last, output_gradient, out, shares, sums)?;
        if !self.blocks.is_empty() {
            return self.blocks_backward(recorder, input, output_gradient);
        }
        for (i, conv) in self.net.convs.iter().enumerate().rev() {
            recorder.label(&conv.name);
            let (shape, layer) = (self.shape(conv.level), &self.layers[i]);
            // g of the pooled values, if there are any, and its sums come from the convolution that ran just before.
            let (gradient, own_sums, pooled_sums) =
                match (self.layer_gradients.get(i), self.skip_statistics.get(&i)) {
                    (None, _) => (Gradient::Output { layer, output_gradient }, sums, None),
                    (Some(g), None) => (Gradient::Stored { layer, g }, sums, None),
                    (Some(g), Some(skip)) => {
                        let pooled = &self.input_gradients[conv.level + 1];
                        (Gradient::Pooled { layer, g, pooled }, self.statistics_in(skip, shape), Some(sums))
                    }
                };
            let output_weight = matches!(gradient, Gradient::Output { .. }).then_some(self.net.out_weight);
            self.norm_backward(recorder, i, own_sums, pooled_sums, output_weight)?;
            // Side by side: neither waits for the other.
            let partial = self.weight_gradient(recorder, i, input, gradient)?;
            if i > 0 {
                sums = self.input_gradient(recorder, i, gradient)?;
            }
            self.finish_weights(recorder, i, partial)?;
        }
        Ok(())
    }

    /// The backward half of layer `i`'s norms and the gradients of its batch norm or bias, as [`batch_norm_backward`].
    pub(crate) fn norm_backward(
        &self,
        recorder: &mut Recorder,
        i: usize,
        sums: Statistics,
        pooled_sums: Option<Statistics>,
        output_weight: Option<usize>,
    ) -> Result<()> {
        let (conv, layer) = (&self.net.convs[i], &self.layers[i]);
        let (shape, weights, gradients) = (self.shape(conv.level), &self.params, &self.gradients);
        match &conv.norm {
            Some(norm) => batch_norm_backward(
                recorder,
                shape,
                norm,
                layer,
                sums,
                pooled_sums,
                output_weight,
                weights,
                gradients,
            ),
            None => bias_backward(
                recorder,
                conv.bias,
                layer,
                sums,
                pooled_sums,
                output_weight,
                weights,
                gradients,
            ),
        }
    }

    pub(crate) fn weight_gradient(
        &self,
        recorder: &mut Recorder,
        i: usize,
        input: &Tensor,
        gradient: Gradient,
    ) -> Result<PartialSums<'_>> {
        let (shape, source) = (self.shape(self.net.convs[i].level), self.source(i, input));
        conv3x3_weight_gradient(recorder, shape, source, gradient, self.weights[i], &self.partial)
    }

    /// What [`Network::weight_gradient`] has left for layer `i` becomes its gradient.
    pub(crate) fn finish_weights(&self, recorder: &mut Recorder, i: usize, sums: PartialSums) -> Result<()> {
        sums.add_up(recorder, &self.gradients, self.weights[i].offset)
    }

    /// Carries ∂L/∂z of layer `i` on to g of the layer before it, whose sums it returns, and to that of a skip
    /// connection.
    pub(crate) fn input_gradient(
        &self,
        recorder: &mut Recorder,
        i: usize,
        gradient: Gradient,
    ) -> Result<Statistics<'_>> {
        let conv = &self.net.convs[i];
        let shape = self.shape(conv.level);
        let (source, weights) = (Source::Gradient(gradient), self.arrangement.adjoint(i));
        let scattered = &self.input_gradients[conv.level];
        let sums = &self.input_statistics[i];
        match conv.source {
            From::Field | From::Block(_) => {
                Err(Error::Device(format!("{}: no layer has made its input", conv.name)))
            }
            From::Activation(j) => {
                let target = Target { layer: &self.layers[j], g: &self.layer_gradients[j], sums };
                conv3x3(recorder, shape, source, weights, Sink::Activation(target))?;
                Ok(self.statistics_in(sums, shape))
            }
            From::Pool(j) => {
                let target = Target { layer: &self.pooled[&j], g: scattered, sums };
                conv3x3(recorder, shape, source, weights, Sink::Activation(target))?;
                Ok(self.statistics_in(sums, shape))
            }
            From::SkipUp { skip, low } => {
                let target = Target {
                    layer: &self.layers[skip],
                    g: &self.layer_gradients[skip],
                    sums: &self.skip_statistics[&skip],
                };
                let sink = Sink::Split { skip: target, rest: (scattered, self.layers[low].channels) };
                conv3x3(recorder, shape, source, weights, sink)?;
                let (coarse, g) = (shape.coarser(), &self.layer_gradients[low]);
                upsample_backward(recorder, coarse, &self.layers[low], scattered, g, sums)
            }
        }
    }

    /// The gradients of activations that [`Network::backward`] leaves, as they are stored; arrays that several layers
    /// of a level share hold what the last of them left.
    pub fn stored_gradients(&self) -> impl Iterator<Item = &Tensor> {
        self.layer_gradients.iter().chain(&self.input_gradients)
    }
}
