//! The flags that `train` and `bench` share: what is trained, and where.

use crate::model::{Activation, Method, Padding, Precision, Storage};
use crate::train::{Size, Switch, TrainConfig};
use clap::{Args, ValueEnum};

#[derive(Args)]
pub(super) struct Settings {
    /// Training signal: sip (scale-invariant physics update), gd (plain gradient through the simulator) or supervised
    /// (distance to the truth, no physics)
    #[arg(long, value_enum, default_value_t = MethodName::Sip)]
    method: MethodName,
    /// Samples per step
    #[arg(long, default_value_t = TrainConfig::default().batch)]
    batch: usize,
    /// Cells along x and y, powers of two from 8 to 2048 [default: 64x64]
    #[arg(long)]
    pub(super) size: Option<Size>,
    /// Compute the physics in 32 or 64 bits; f64 is what the reference does, f32 is as good (docs/numerics.md)
    #[arg(long, default_value_t = TrainConfig::default().physics, value_name = "f32|f64")]
    physics: Precision,
    /// Store activations and their gradients in 32 or 16 bits; f16 takes half the memory and traffic, on GPUs with
    /// 16-bit floats in shaders (docs/numerics.md)
    #[arg(long, default_value_t = TrainConfig::default().activations, value_name = "f32|f16")]
    activations: Storage,
    /// Levels of the U-Net, 1 to 6 [default: 4]
    #[arg(long)]
    levels: Option<usize>,
    /// Filters of all levels, or a list from the finest to the coarsest such as 16,32,48,64 (multiples of 8)
    /// [default: 16]
    #[arg(long, value_delimiter = ',')]
    filters: Option<Vec<usize>>,
    /// What convolutions read beyond the border: circular (PhiFlow 2) or zero (PhiFlow 3) [default: circular]
    #[arg(long, value_enum)]
    padding: Option<PaddingName>,
    /// The first activation of every double convolution, whose second is ReLU as in the reference; both activations of
    /// residual blocks (docs/network.md) [default: relu]
    #[arg(long, value_enum)]
    activation: Option<ActivationName>,
    /// Batch norm behind the convolutions; without it their biases are trained (docs/network.md) [default: on]
    #[arg(long, value_name = "on|off")]
    batch_norm: Option<Switch>,
    /// Residual blocks in the place of double convolutions (docs/network.md)
    #[arg(long)]
    res_blocks: bool,
    /// auto, cpu, an adapter's number in `unheat devices`, or any part of its name
    #[arg(long, default_value_t = TrainConfig::default().device, value_name = "auto|cpu|INDEX|NAME")]
    device: String,
}

/// [`Method`] as clap lists it.
#[derive(Clone, Copy, ValueEnum)]
pub(super) enum MethodName {
    Sip,
    Gd,
    Supervised,
}

impl MethodName {
    pub(super) const ALL: [Self; 3] = [Self::Sip, Self::Gd, Self::Supervised];
}

impl From<MethodName> for Method {
    fn from(name: MethodName) -> Self {
        match name {
            MethodName::Sip => Self::Sip,
            MethodName::Gd => Self::Gd,
            MethodName::Supervised => Self::Supervised,
        }
    }
}

#[derive(Clone, Copy, ValueEnum)]
enum PaddingName {
    Circular,
    Zero,
}

#[derive(Clone, Copy, ValueEnum)]
enum ActivationName {
    Relu,
    Silu,
    Tanh,
    Sigmoid,
}

impl Settings {
    /// `defaults` with what was said.
    pub(super) fn config(&self, defaults: TrainConfig) -> TrainConfig {
        TrainConfig {
            method: self.method.into(),
            batch: self.batch,
            size: self.size.unwrap_or(defaults.size),
            physics: self.physics,
            activations: self.activations,
            levels: self.levels.unwrap_or(defaults.levels),
            filters: self.filters.clone().unwrap_or(defaults.filters),
            padding: match self.padding {
                Some(PaddingName::Circular) => Padding::Circular,
                Some(PaddingName::Zero) => Padding::Zero,
                None => defaults.padding,
            },
            activation: match self.activation {
                Some(ActivationName::Relu) => Activation::Relu,
                Some(ActivationName::Silu) => Activation::Silu,
                Some(ActivationName::Tanh) => Activation::Tanh,
                Some(ActivationName::Sigmoid) => Activation::Sigmoid,
                None => defaults.activation,
            },
            batch_norm: self.batch_norm.unwrap_or(defaults.batch_norm),
            res_blocks: self.res_blocks || defaults.res_blocks,
            device: self.device.clone(),
            ..defaults
        }
    }
}
