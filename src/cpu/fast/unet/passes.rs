//! The passes of training, node after node (method §5), and in reverse.

use crate::cpu::fast::unet::network::Network;
use crate::cpu::passes::Passes;
use crate::cpu::unet::together::Together;
use crate::model::UNet;
use crate::model::unet::Node;
use rayon::prelude::*;

impl Passes<f32> for Network {
    fn new(net: &UNet, batch: usize, nx: usize, ny: usize) -> Self {
        Self::new(net, batch, nx, ny)
    }

    fn forward_together(
        &mut self,
        params: &[f32],
        statistics: &mut [f32],
        input: &[f32],
        output: &mut [f32],
        together: &mut Together<f32>,
    ) {
        self.run(params, input, output, true, |network, i, moments| {
            network.normalise(i, params, statistics, moments, together);
        });
    }

    fn backward_together(
        &mut self,
        params: &[f32],
        input: &[f32],
        output_gradient: &[f32],
        gradients: &mut [f32],
        together: &mut Together<f32>,
    ) {
        gradients.fill(0.0);
        let adjoints: Vec<_> = self.net.convs.par_iter().map(|conv| self.adjoint(conv, params)).collect();
        self.output_backward(params, output_gradient, gradients);
        for node in (0..self.net.nodes.len()).rev() {
            match self.net.nodes[node] {
                Node::BlockSum(b) => self.block_sum_backward(b),
                Node::Conv(i) => self.conv_backward(i, adjoints[i].as_ref(), input, gradients, together),
                Node::BlockInput(b) => self.block_input_backward(b),
            }
        }
    }
}
