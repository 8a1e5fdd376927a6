//! The arrays of a network for a batch.
//!
//! Only the convolutions' outputs z are kept. Normalised, pooled and upsampled activations are made again for
//! one sample at a time, just before the convolution that reads them, while they fit into the cache
//! (`input.rs`).

use crate::cpu::Real;
use crate::cpu::nn::batch_norm::Norm;
use crate::model::UNet;
use crate::model::unet::init::State;
use crate::model::unet::{Conv, ResBlock};

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

/// The normalisations `[c_out]` of a layer by its running statistics, or without batch norm by its biases.
pub fn running_norms<T: Real>(conv: &Conv, params: &[T], running: &[T]) -> Vec<Norm<T>> {
    let norm = |c: usize| {
        let bias = params[conv.bias + c];
        let Some(norm) = conv.norm else { return Norm::bias(bias) };
        let (mean, var) = (running[norm.running_mean + c], running[norm.running_var + c]);
        Norm::running(mean, var, bias, params[norm.gamma + c], params[norm.beta + c])
    };
    (0..conv.c_out).map(norm).collect()
}

/// What the statistics of `state` come to, per layer `[c_out]` of (mean, rstd, scale, shift).
pub fn norm_rows(net: &UNet, state: &State) -> Vec<Vec<[f32; 4]>> {
    let row = |norm: Norm<f32>| [norm.mean, norm.rstd, norm.scale, norm.shift];
    let rows = |conv| running_norms(conv, &state.params, &state.buffers).into_iter().map(row).collect();
    net.convs.iter().map(rows).collect()
}
