//! The types that describe a network: its nodes in the order of execution, and the table of its parameters
//! (method §5 and §8).

use crate::model::Activation;

/// One stage of the forward pass; the backward pass takes the stages in reverse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Node {
    /// A convolution with its batch norm, by its index in [`UNet::convs`](crate::model::UNet::convs).
    Conv(usize),
    /// The input of a residual block, by the block's index in [`UNet::blocks`](crate::model::UNet::blocks).
    BlockInput(usize),
    /// The sum of a residual block, by the block's index in [`UNet::blocks`](crate::model::UNet::blocks).
    BlockSum(usize),
}

/// What a convolution or a residual block reads. The numbers are indices of layers: a layer is a convolution
/// of [`UNet::convs`](crate::model::UNet::convs) with its batch norm and its activation. In
/// [`ResBlock::input`] they are indices of blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// The network's input, one channel.
    Field,
    /// The activation of a layer at the same level.
    Activation(usize),
    /// The 2×2 max-pooled activation of a layer one level finer.
    Pool(usize),
    /// The activation of `skip` at the same level, followed by the ×2 upsampled activation of `low`.
    SkipUp {
        /// Layer at the same level, whose channels come first.
        skip: usize,
        /// Layer one level coarser, upsampled.
        low: usize,
    },
    /// The input of a residual block, by the block's index in [`UNet::blocks`](crate::model::UNet::blocks).
    Block(usize),
}

/// A residual block, activation(norm(second(activation(norm(first(x)))))) + shortcut(x), where the shortcut
/// is norm(sample(x)) if the numbers of channels differ, else x itself.
#[derive(Clone, Debug)]
pub struct ResBlock {
    /// Where x comes from: the network's input, or the sums of other blocks, which have no activation behind
    /// them.
    pub input: Input,
    /// The level of its grid.
    pub level: usize,
    /// Channels of x.
    pub c_in: usize,
    /// Channels of the sum.
    pub c_out: usize,
    /// The index of its first convolution; the second follows it.
    pub first: usize,
    /// The index of the 1×1 convolution of its shortcut, which follows the second, if the numbers of channels
    /// differ.
    pub sample: Option<usize>,
}

impl ResBlock {
    /// The index of its second convolution.
    pub fn second(&self) -> usize {
        self.first + 1
    }

    /// Whether the activation of layer `i` is a term of its sum.
    pub fn adds(&self, i: usize) -> bool {
        i == self.second() || Some(i) == self.sample
    }
}

/// One convolution with the batch norm, if there is one, and the activation that follow it. Offsets count
/// floats in the flat buffers.
#[derive(Clone, Debug)]
pub struct Conv {
    /// PyTorch's name of the module, such as `up1.conv.double_conv.3`.
    pub name: String,
    /// Its grid is the network's grid divided by 2^level.
    pub level: usize,
    /// What it reads.
    pub input: Input,
    /// Input channels.
    pub c_in: usize,
    /// Output channels.
    pub c_out: usize,
    /// Taps of its weight: 9 (3×3), or 1 of a residual block's shortcut.
    pub taps: usize,
    /// The function that follows its batch norm, or the convolution itself where there is none.
    pub activation: Activation,
    /// Offset of the weight `[c_out, c_in, 3, 3]`, or `[c_out, c_in, 1, 1]`, in the parameters.
    pub weight: usize,
    /// Offset of the convolution's bias `[c_out]`. A batch norm cancels it: then it has zero gradient.
    pub bias: usize,
    /// The batch norm, if the network has them.
    pub norm: Option<BatchNorm>,
}

/// Where a batch norm's numbers lie in the flat parameters and in the flat running statistics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchNorm {
    /// Offset of the scale γ `[c_out]`.
    pub gamma: usize,
    /// Offset of the shift β `[c_out]`.
    pub beta: usize,
    /// Offset of the running mean `[c_out]` in the buffers.
    pub running_mean: usize,
    /// Offset of the running variance `[c_out]` in the buffers.
    pub running_var: usize,
}

/// Where a named tensor's numbers live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// At this offset of the flat parameters.
    Param(usize),
    /// At this offset of the flat running statistics.
    Buffer(usize),
    /// The count of training batches seen, an i64 scalar.
    BatchesTracked,
}

/// One tensor of the state dict (method §8).
#[derive(Clone, Debug)]
pub struct Entry {
    /// PyTorch's name.
    pub name: String,
    /// PyTorch's shape.
    pub shape: Vec<usize>,
    /// Where the numbers are.
    pub place: Place,
    /// Whether the gradient is zero in exact arithmetic (method §5), or would be without batch norm's ε.
    pub dead: bool,
    /// Bound of the uniform initial distribution, for convolution weights and biases (method §5); else 0.
    pub bound: f64,
}

impl Entry {
    /// Number of values.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether the tensor has no values; no U-Net has such a tensor.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
