//! A network's training passes, whatever computes them.

use crate::cpu::unet::together::Together;
use crate::model::UNet;

/// A network with room for the activations and gradients of one batch.
pub trait Passes<T>: Send {
    /// Allocates for `batch` fields of `nx` × `ny` cells.
    fn new(net: &UNet, batch: usize, nx: usize, ny: usize) -> Self;

    /// Predictions `[batch, nx, ny]` for `input` of the same shape, for a batch of micro-batches that are
    /// normalised `together`. `statistics` get the batch's means and variances, laid out as the running ones,
    /// which they are to be blended into.
    fn forward_together(
        &mut self,
        params: &[T],
        statistics: &mut [T],
        input: &[T],
        output: &mut [T],
        together: &mut Together<T>,
    );

    /// Parameter gradients for ∂L/∂output `[batch, nx, ny]` of the last forward pass with the same arguments:
    /// those of each micro-batch by itself, `[micro-batches of this batch, parameters]`, overwritten.
    ///
    /// Biases before a batch norm get an exact zero.
    fn backward_together(
        &mut self,
        params: &[T],
        input: &[T],
        output_gradient: &[T],
        gradients: &mut [T],
        together: &mut Together<T>,
    );
}
