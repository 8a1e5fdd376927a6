//! The arrays of a network for a batch.
//!
//! Only the convolutions' outputs z are kept. Normalised, pooled and upsampled activations are made again for
//! one sample at a time, just before the convolution that reads them, while they fit into the cache
//! (`input.rs`).

use crate::cpu::fast::nn::channels::{Channels, Grid};
use crate::cpu::fast::nn::norm::{Layer, Norms};
use crate::cpu::fast::unet::scratch::Scratches;
use crate::model::UNet;
use crate::model::unet::{Conv, Input, ResBlock};

/// A network with room for the activations and gradients of one batch.
pub struct Network {
    pub(crate) net: UNet,
    pub(crate) batch: usize,
    pub(crate) grid: Grid,
    /// Convolution outputs without bias, per layer `[batch, nx, ny, channels]` of its level.
    pub(crate) z: Vec<Vec<f32>>,
    /// The normalisation of every channel, per layer.
    pub(crate) norms: Vec<Norms>,
    /// ∂L/∂activation, per layer as `z`; empty where it is the gradient of a block's sum.
    pub(crate) gradients: Vec<Vec<f32>>,
    /// The arrays of the residual blocks, if the network has them.
    pub(crate) blocks: Vec<Block>,
    pub(crate) scratches: Scratches,
}

/// The arrays of a residual block for one batch.
pub(crate) struct Block {
    /// `[batch, nx, ny, channels]` of its level.
    pub(crate) input: Vec<f32>,
    /// The sum, likewise.
    pub(crate) output: Vec<f32>,
    /// ∂L/∂output.
    pub(crate) gradient: Vec<f32>,
    /// ∂L/∂input, of its convolutions and its shortcut together; that of a field is not wanted.
    pub(crate) input_gradient: Vec<f32>,
}

impl Network {
    /// As [`Network::new`], with half the memory: there must be no backward pass.
    pub fn forward_only(net: &UNet, batch: usize, nx: usize, ny: usize) -> Self {
        let (grid, scratches) = (Grid { nx, ny }, Scratches::new());
        let (z, norms, blocks) = (Vec::new(), Vec::new(), Vec::new());
        let gradients = Vec::new();
        let mut network = Self { net: net.clone(), batch, grid, z, norms, gradients, blocks, scratches };
        let zeros =
            |level: usize, channels: usize| vec![0.0; batch * network.grid_of(level).cells() * channels];
        let z = net.convs.iter().map(|conv| zeros(conv.level, outputs(conv).stored())).collect();
        let block = |block: &ResBlock| Block {
            input: zeros(block.level, network.channels_of(block.input, block.c_in).stored()),
            output: zeros(block.level, Channels::one(block.c_out).stored()),
            gradient: Vec::new(),
            input_gradient: Vec::new(),
        };
        let blocks = net.blocks.iter().map(block).collect();
        network.norms = net.convs.iter().map(|conv| Norms::new(outputs(conv).stored())).collect();
        (network.z, network.blocks) = (z, blocks);
        network
    }

    /// Allocates for `batch` fields of `nx` × `ny` cells.
    pub fn new(net: &UNet, batch: usize, nx: usize, ny: usize) -> Self {
        let mut network = Self::forward_only(net, batch, nx, ny);
        let of_block = |i: usize| net.blocks.iter().any(|block| block.adds(i));
        let gradient = |(i, z): (usize, &Vec<f32>)| if of_block(i) { Vec::new() } else { z.clone() };
        network.gradients = network.z.iter().enumerate().map(gradient).collect();
        for (block, described) in network.blocks.iter_mut().zip(&net.blocks) {
            block.gradient = block.output.clone();
            if described.input != Input::Field {
                block.input_gradient = block.input.clone();
            }
        }
        network
    }

    /// The cells of a level.
    pub(crate) fn grid_of(&self, level: usize) -> Grid {
        Grid { nx: self.grid.nx >> level, ny: self.grid.ny >> level }
    }

    /// How the activation of layer i is made.
    pub(crate) fn layer(&self, i: usize) -> Layer<'_> {
        Layer { function: self.net.convs[i].activation, norms: &self.norms[i] }
    }

    /// The channels that `conv` reads.
    pub(crate) fn inputs(&self, conv: &Conv) -> Channels {
        self.channels_of(conv.input, conv.c_in)
    }

    fn channels_of(&self, input: Input, count: usize) -> Channels {
        match input {
            // Of blocks and of layers alike: the skip connection's channels come first.
            Input::SkipUp { skip, .. } => {
                let first = match self.net.blocks.get(skip) {
                    Some(block) => block.c_out,
                    None => self.net.convs[skip].c_out,
                };
                Channels::two(first, count - first)
            }
            Input::Block(b) => self.channels_of(self.net.blocks[b].input, count),
            Input::Field | Input::Activation(_) | Input::Pool(_) => Channels::one(count),
        }
    }
}

/// The channels that `conv` makes.
pub(crate) fn outputs(conv: &Conv) -> Channels {
    Channels::one(conv.c_out)
}
