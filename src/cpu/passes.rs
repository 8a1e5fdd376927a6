//! Which network computes in which precision: the fast one in f32, its plain twin in f64.

use crate::cpu::unet::together::Together;
use crate::cpu::{Real, fast, unet};
use crate::model::UNet;

/// A network's training passes.
pub trait Passes<T>: Send {
    /// Allocates for `batch` fields of `nx` × `ny` cells.
    fn new(net: &UNet, batch: usize, nx: usize, ny: usize) -> Self;

    /// Predictions `[batch, nx, ny]` for `input` of the same shape, for a batch of micro-batches that are
    /// normalised `together`. `statistics` get the batch's means and variances.
    fn forward(
        &mut self,
        params: &[T],
        statistics: &mut [T],
        input: &[T],
        output: &mut [T],
        together: &mut Together<T>,
    );

    /// Parameter gradients `[micro-batches of this batch, parameters]` for ∂L/∂output `[batch, nx, ny]` of
    /// the last forward pass with the same arguments.
    fn backward(
        &mut self,
        params: &[T],
        input: &[T],
        output_gradient: &[T],
        gradients: &mut [T],
        together: &mut Together<T>,
    );
}

/// A precision that networks compute in.
pub trait Precision: Real {
    /// Its network.
    type Network: Passes<Self>;
}

impl Precision for f32 {
    type Network = fast::Network;
}

impl Precision for f64 {
    type Network = unet::Network<f64>;
}

impl Passes<f32> for fast::Network {
    fn new(net: &UNet, batch: usize, nx: usize, ny: usize) -> Self {
        Self::new(net, batch, nx, ny)
    }

    fn forward(
        &mut self,
        params: &[f32],
        statistics: &mut [f32],
        input: &[f32],
        output: &mut [f32],
        together: &mut Together<f32>,
    ) {
        self.forward_together(params, statistics, input, output, together);
    }

    fn backward(
        &mut self,
        params: &[f32],
        input: &[f32],
        output_gradient: &[f32],
        gradients: &mut [f32],
        together: &mut Together<f32>,
    ) {
        self.backward_together(params, input, output_gradient, gradients, together);
    }
}

impl<T: Real> Passes<T> for unet::Network<T> {
    fn new(net: &UNet, batch: usize, nx: usize, ny: usize) -> Self {
        Self::new(net, batch, nx, ny)
    }

    fn forward(
        &mut self,
        params: &[T],
        statistics: &mut [T],
        input: &[T],
        output: &mut [T],
        together: &mut Together<T>,
    ) {
        self.forward_together(params, statistics, input, output, together);
    }

    fn backward(
        &mut self,
        params: &[T],
        input: &[T],
        output_gradient: &[T],
        gradients: &mut [T],
        together: &mut Together<T>,
    ) {
        self.backward_together(params, input, output_gradient, gradients, None, together);
    }
}
