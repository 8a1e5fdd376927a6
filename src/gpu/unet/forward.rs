//! The U-Net's forward pass on the GPU, node after node (method §5).

use crate::Result;
use crate::gpu::layer::epilogue::{Epilogue, Pool};
use crate::gpu::layer::layers::{Layer, NORM_LEN, Statistics};
use crate::gpu::nn::batch_norm::batch_norm;
use crate::gpu::nn::bias::bias;
use crate::gpu::nn::conv1x1::{self, conv1x1};
use crate::gpu::nn::conv3x3::conv3x3;
use crate::gpu::unet::network::Network;
use crate::gpu::{Gpu, Recorder, Tensor};
use crate::model::unet::Node;

impl Network {
    /// Brings the weights into the order in which convolutions read them, and the pivots of what they store.
    /// It comes before all passes with the same weights: pivots follow the running statistics, and the
    /// micro-batches of a step are to have the same ones.
    pub fn pack(&self, recorder: &mut Recorder) -> Result<()> {
        recorder.label("weights");
        self.packing.record(recorder, &self.params, &self.running)
    }

    /// Predictions `output` for `input`, both `[batch, nx, ny]`, with batch statistics, after
    /// [`Network::pack`].
    pub fn forward(&self, recorder: &mut Recorder, input: &Tensor, output: &Tensor) -> Result<()> {
        self.run(recorder, input, output, |recorder, i, moments| {
            let (conv, layer, params) = (&self.net.convs[i], &self.layers[i], &self.params);
            let (packed, statistics) = (self.packing.forward(i), &self.batch_statistics);
            match &conv.norm {
                Some(norm) => {
                    batch_norm(recorder, norm, conv.bias, layer, moments, params, packed, statistics)
                }
                None => bias(recorder, conv.bias, layer, params),
            }
        })
    }

    /// As [`Network::forward`], normalised with what [`Network::set_norms`] has set.
    pub fn forward_normed(&self, recorder: &mut Recorder, input: &Tensor, output: &Tensor) -> Result<()> {
        self.run(recorder, input, output, |_, _, _| Ok(()))
    }

    /// The forward pass; `set_norms` sets the norms of a layer whose z has been made, from the moments of z.
    fn run(
        &self,
        recorder: &mut Recorder,
        input: &Tensor,
        output: &Tensor,
        set_norms: impl Fn(&mut Recorder, usize, Statistics) -> Result<()>,
    ) -> Result<()> {
        for node in &self.net.nodes {
            match *node {
                Node::BlockInput(b) => self.block_input(recorder, b)?,
                Node::Conv(i) => {
                    let moments = self.convolve(recorder, i, input)?;
                    set_norms(recorder, i, moments)?;
                }
                Node::BlockSum(b) => self.block_sum(recorder, b)?,
            }
        }
        self.convolve_out(recorder, output)
    }

    /// Sets the normalisation (mean, rstd, scale, shift) of every channel of layer `layer`; the mean is that
    /// of z as stored.
    pub fn set_norms(&self, gpu: &Gpu, layer: usize, norms: &[[f32; 4]]) {
        let rows: Vec<f32> =
            norms.iter().flat_map(|n| [n[0], n[1], n[2], n[3], 0.0, 0.0, 0.0, 0.0]).collect();
        let Layer { norms, first_norm, .. } = &self.layers[layer];
        gpu.write_at(norms, NORM_LEN * first_norm, &rows);
    }

    /// z of layer `i`, and its moments.
    pub(crate) fn convolve(
        &self,
        recorder: &mut Recorder,
        i: usize,
        input: &Tensor,
    ) -> Result<Statistics<'_>> {
        recorder.label(&self.net.convs[i].name);
        let (shape, layer) = (self.shape(self.net.convs[i].level), &self.layers[i]);
        let gamma = self.net.convs[i].norm.map(|norm| norm.gamma);
        let pool = self.pooled.get(&i).map(|pooled| Pool { z: &pooled.z, parameters: &self.params, gamma });
        let epilogue = Epilogue::Moments { z: &layer.z, moments: &self.statistics, pool };
        conv3x3(recorder, shape, self.conv_input(i, input), self.packing.forward(i), epilogue)?;
        Ok(self.statistics_in(&self.statistics, shape))
    }

    /// The last convolution, from the last sum or the last activation.
    pub(crate) fn convolve_out(&self, recorder: &mut Recorder, output: &Tensor) -> Result<()> {
        recorder.label("outc");
        let weights = conv1x1::Weights { buffer: &self.params, offset: self.net.out_weight };
        conv1x1(recorder, self.shape(0), self.last_layer(), weights, output)
    }
}
