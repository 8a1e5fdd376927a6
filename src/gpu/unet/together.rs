//! Several micro-batches that are normalised together, by the statistics of all of them. Their passes go
//! layer by layer: each micro-batch leaves its statistics of a layer, and what is made of all of them holds
//! for each. Between the two there is room for the statistics of micro-batches on other devices.

use crate::Result;
use crate::gpu::layer::layers::Statistics;
use crate::gpu::nn::batch_norm::{Sums, batch_norm};
use crate::gpu::nn::batch_norm_together::{Part, batch_norm_backward_together, merge_moments, merge_sums};
use crate::gpu::nn::bias::bias;
use crate::gpu::unet::conv_backward::Incoming;
use crate::gpu::unet::network::Network;
use crate::gpu::{Gpu, MemoryUse, Recorder, Recording, Tensor};
use crate::model::UNet;
use crate::model::unet::{BatchNorm, Node};

/// Statistics of a layer, of every micro-batch.
pub(crate) struct Merged {
    /// Of those on this device, `[channels, micro-batches here, 3]`; the backward pass has 2 in place of 3.
    pub(crate) own: Tensor,
    /// Of all, in their order; the same tensor where all are on this device.
    pub(crate) all: Tensor,
    /// Micro-batches here.
    pub(crate) here: usize,
    /// Micro-batches in all.
    pub(crate) in_all: usize,
}

impl Merged {
    /// For `here` of `in_all` micro-batches.
    pub(crate) fn new(gpu: &Gpu, net: &UNet, here: usize, in_all: usize) -> Result<Self> {
        let channels = net.convs.iter().map(|conv| conv.c_out).max().unwrap_or(1);
        let tensor = |parts| {
            gpu.allocate_for(MemoryUse::Scratch, || gpu.tensor("merged statistics", 3 * channels * parts))
        };
        let own = tensor(here)?;
        let all = if here == in_all { own.clone() } else { tensor(in_all)? };
        Ok(Self { own, all, here, in_all })
    }

    fn part(&self, number: usize) -> Part<'_> {
        Part { buffer: &self.own, number, of: self.here }
    }

    fn statistics(&self) -> Statistics<'_> {
        Statistics { buffer: &self.all, chunks: self.in_all }
    }
}

/// A pass of the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pass {
    /// To the predictions.
    Forward,
    /// To the gradients.
    Backward,
}

/// Some dispatches, after which statistics are exchanged.
pub(crate) struct Segment {
    pub(crate) recording: Recording,
    /// Channels and numbers per channel and micro-batch; none: nothing is exchanged.
    pub(crate) exchange: Option<[usize; 2]>,
}

/// A pass that is being recorded.
pub(crate) struct Segments<'a> {
    pub(crate) recorder: Recorder<'a>,
    done: Vec<Segment>,
}

impl<'a> Segments<'a> {
    pub(crate) fn new(gpu: &'a Gpu) -> Self {
        Self { recorder: Recorder::new(gpu), done: Vec::new() }
    }

    fn cut(&mut self, exchange: [usize; 2]) {
        let fresh = Recorder::new(self.recorder.gpu);
        let recording = std::mem::replace(&mut self.recorder, fresh).finish();
        self.done.push(Segment { recording, exchange: Some(exchange) });
    }

    pub(crate) fn finish(mut self) -> Vec<Segment> {
        self.done.push(Segment { recording: self.recorder.finish(), exchange: None });
        self.done
    }
}

/// Networks that are [beside](Network::beside) each other, one per micro-batch here.
pub(crate) struct Together<'a> {
    pub(crate) networks: Vec<&'a Network>,
    pub(crate) merged: &'a Merged,
}

impl Together<'_> {
    fn first(&self) -> &Network {
        self.networks[0]
    }

    /// As [`Network::forward`] of every micro-batch.
    pub(crate) fn forward(
        &self,
        record: &mut Segments,
        inputs: &[&Tensor],
        outputs: &[&Tensor],
    ) -> Result<()> {
        for node in &self.first().net.nodes {
            let recorder = &mut record.recorder;
            match *node {
                Node::BlockInput(b) => self.each(|_, network| network.block_input(recorder, b))?,
                Node::Conv(i) => self.conv_forward(record, i, inputs)?,
                Node::BlockSum(b) => self.each(|_, network| network.block_sum(recorder, b))?,
            }
        }
        self.each(|k, network| network.convolve_out(&mut record.recorder, outputs[k]))
    }

    /// As [`Network::backward`] of every micro-batch; each has gradients of its own.
    pub(crate) fn backward(
        &self,
        record: &mut Segments,
        inputs: &[&Tensor],
        output_gradients: &[&Tensor],
    ) -> Result<()> {
        let mut sums = Vec::new();
        for (network, gradient) in self.networks.iter().zip(output_gradients) {
            // The networks share the scratch memory, so each adds up its own before the next one.
            let mut partial = network.partial_sums();
            sums.push(network.output_backward(&mut record.recorder, gradient, &mut partial)?);
            partial.add_up(&mut record.recorder)?;
        }
        for node in self.first().net.nodes.iter().rev() {
            let recorder = &mut record.recorder;
            match *node {
                Node::BlockSum(_) => {}
                Node::Conv(i) => {
                    recorder.label(&self.first().net.convs[i].name);
                    let mut incoming = Vec::new();
                    for ((network, gradient), sums) in self.networks.iter().zip(output_gradients).zip(sums) {
                        incoming.push(network.incoming(recorder, i, gradient, sums)?);
                    }
                    self.norm_backward(record, i, &incoming)?;
                    sums = Vec::new();
                    for ((network, input), incoming) in self.networks.iter().zip(inputs).zip(&incoming) {
                        let mut partial = network.partial_sums();
                        sums.push(network.pass_on(&mut record.recorder, i, input, incoming, &mut partial)?);
                        partial.add_up(&mut record.recorder)?;
                    }
                }
                Node::BlockInput(b) => self.each(|_, network| network.block_input_backward(recorder, b))?,
            }
        }
        Ok(())
    }

    fn conv_forward(&self, record: &mut Segments, i: usize, inputs: &[&Tensor]) -> Result<()> {
        let Network { net, layers, params, packing, batch_statistics, .. } = self.first();
        let (conv, layer) = (&net.convs[i], &layers[i]);
        self.each(|k, network| {
            let moments = network.convolve(&mut record.recorder, i, inputs[k])?;
            match conv.norm {
                Some(_) => merge_moments(&mut record.recorder, conv.c_out, moments, self.merged.part(k)),
                None => Ok(()),
            }
        })?;
        let Some(norm) = &conv.norm else { return bias(&mut record.recorder, conv.bias, layer, params) };
        record.cut([conv.c_out, 3]);
        record.recorder.label(&conv.name);
        let (all, packed) = (self.merged.statistics(), packing.forward(i));
        batch_norm(&mut record.recorder, norm, conv.bias, layer, all, params, packed, batch_statistics)
    }

    /// The backward half of layer `i`'s norms, and of each micro-batch the gradients of its batch norm or
    /// bias.
    fn norm_backward(&self, record: &mut Segments, i: usize, incoming: &[Incoming]) -> Result<()> {
        let Network { net, layers, params, .. } = self.first();
        let (conv, layer) = (&net.convs[i], &layers[i]);
        let Some(norm) = &conv.norm else {
            return self.each(|k, network| network.norm_backward(&mut record.recorder, i, &incoming[k]));
        };
        self.each(|k, network| {
            self.sums_of(&mut record.recorder, norm, conv.c_out, k, network, &incoming[k])
        })?;
        record.cut([conv.c_out, 2]);
        record.recorder.label(&conv.name);
        let values = self.merged.in_all * self.first().shape(conv.level).values();
        let output_weight = self.first().output_weight(&incoming[0]);
        let all = Sums { sums: self.merged.statistics(), pooled: None, output_weight, weights: params };
        batch_norm_backward_together(&mut record.recorder, values, layer, &all)
    }

    fn sums_of(
        &self,
        recorder: &mut Recorder,
        norm: &BatchNorm,
        channels: usize,
        k: usize,
        network: &Network,
        incoming: &Incoming,
    ) -> Result<()> {
        let &Incoming { sums, pooled_sums, .. } = incoming;
        let output_weight = network.output_weight(incoming);
        let sums = Sums { sums, pooled: pooled_sums, output_weight, weights: &network.params };
        merge_sums(recorder, norm, channels, &sums, &network.gradients, self.merged.part(k))
    }

    fn each(&self, mut record: impl FnMut(usize, &Network) -> Result<()>) -> Result<()> {
        self.networks.iter().enumerate().try_for_each(|(k, network)| record(k, network))
    }
}
