//! The arrays of a network for a batch.
//!
//! Only the convolutions' outputs z are kept. Normalised, pooled and upsampled activations are made again for
//! one sample at a time, just before the convolution that reads them, while they fit into the cache
//! (`input.rs`).

use crate::cpu::Real;
use crate::cpu::nn::batch_norm::Norm;
use crate::model::UNet;
use crate::model::unet::ResBlock;

/// A network with room for the activations and gradients of one batch.
pub struct Network<T> {
    pub(crate) net: UNet,
    pub(crate) batch: usize,
    pub(crate) nx: usize,
    pub(crate) ny: usize,
    /// Convolution outputs without bias, per layer `[batch, c_out, nx, ny]` of its level.
    pub(crate) z: Vec<Vec<T>>,
    /// The normalisation of every channel, per layer.
    pub(crate) norms: Vec<Vec<Norm<T>>>,
    /// ∂L/∂activation, then in place ∂L/∂z, per layer as `z`.
    pub(crate) gradients: Vec<Vec<T>>,
    /// The arrays of the residual blocks, if the network has them.
    pub(crate) blocks: Vec<Block<T>>,
}

/// The arrays of a residual block for one batch.
pub(crate) struct Block<T> {
    /// `[batch, c_in, nx, ny]` of its level.
    pub(crate) input: Vec<T>,
    /// The sum, `[batch, c_out, nx, ny]`.
    pub(crate) output: Vec<T>,
    /// ∂L/∂output.
    pub(crate) gradient: Vec<T>,
    /// ∂L/∂input, of its convolutions and its shortcut together.
    pub(crate) input_gradient: Vec<T>,
}

impl<T: Real> Network<T> {
    /// Allocates for `batch` fields of `nx` × `ny` cells.
    pub fn new(net: &UNet, batch: usize, nx: usize, ny: usize) -> Self {
        let mut network = Self::forward_only(net, batch, nx, ny);
        network.gradients = network.z.clone();
        for block in &mut network.blocks {
            block.gradient = block.output.clone();
            block.input_gradient = block.input.clone();
        }
        network
    }

    /// As [`Network::new`], with half the memory: [`Network::backward`] must not be called.
    pub fn forward_only(net: &UNet, batch: usize, nx: usize, ny: usize) -> Self {
        let zeros =
            |level: usize, channels: usize| vec![T::zero(); batch * channels * (nx >> level) * (ny >> level)];
        let block = |block: &ResBlock| Block {
            input: zeros(block.level, block.c_in),
            output: zeros(block.level, block.c_out),
            gradient: Vec::new(),
            input_gradient: Vec::new(),
        };
        Self {
            net: net.clone(),
            batch,
            nx,
            ny,
            z: net.convs.iter().map(|conv| zeros(conv.level, conv.c_out)).collect(),
            norms: net.convs.iter().map(|conv| vec![Norm::default(); conv.c_out]).collect(),
            gradients: Vec::new(),
            blocks: net.blocks.iter().map(block).collect(),
        }
    }

    /// Cells along x and y at `level`.
    pub(crate) fn grid(&self, level: usize) -> (usize, usize) {
        (self.nx >> level, self.ny >> level)
    }
}

/// The values of every sample; empty ones where there are no values.
pub(crate) fn samples<T>(values: &mut [T], batch: usize) -> Vec<&mut [T]> {
    if values.is_empty() {
        return (0..batch).map(|_| <&mut [T]>::default()).collect();
    }
    let len = values.len() / batch;
    values.chunks_exact_mut(len).collect()
}
