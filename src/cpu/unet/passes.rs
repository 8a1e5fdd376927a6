//! The passes of training.

use crate::cpu::Real;
use crate::cpu::passes::Passes;
use crate::cpu::unet::network::Network;
use crate::cpu::unet::together::Together;
use crate::model::UNet;

impl<T: Real> Passes<T> for Network<T> {
    fn new(net: &UNet, batch: usize, nx: usize, ny: usize) -> Self {
        Self::new(net, batch, nx, ny)
    }

    fn forward_together(
        &mut self,
        params: &[T],
        statistics: &mut [T],
        input: &[T],
        output: &mut [T],
        together: &mut Together<T>,
    ) {
        self.run(params, input, output, |network, i| network.normalise(i, params, statistics, together));
    }

    fn backward_together(
        &mut self,
        params: &[T],
        input: &[T],
        output_gradient: &[T],
        gradients: &mut [T],
        together: &mut Together<T>,
    ) {
        self.run_back(params, input, output_gradient, gradients, None, together);
    }
}
