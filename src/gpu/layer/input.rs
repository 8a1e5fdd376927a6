//! What a convolution reads: WGSL files that define `input_quad` and `input_row`, and the buffers they bind
//! as group 1.

use crate::gpu::layer::gradient::Gradient;
use crate::gpu::layer::layers::{Buffers, Layer};
use crate::gpu::{Shape, Tensor};
use crate::model::Activation;

/// The input of a convolution.
#[derive(Clone, Copy)]
pub enum ConvInput<'a> {
    /// An array as it stands, `[batch, channels, nx, row]`.
    Plain {
        /// The array.
        field: &'a Tensor,
        /// Its channels.
        channels: usize,
    },
    /// A layer's activation. With pooled z: the 2×2 max-pooled one.
    Activation(&'a Layer),
    /// A layer's activation, then the upsampled activation of a layer one level coarser, of the same
    /// function.
    SkipUp {
        /// At the same level.
        skip: &'a Layer,
        /// One level coarser.
        low: &'a Layer,
    },
    /// ∂L/∂z of a layer, the input of an adjoint convolution.
    Gradient(Gradient<'a>),
}

impl<'a> ConvInput<'a> {
    /// How many channels may be staged together at most: a power of two that divides the channels of the
    /// first of two parts, so that what is staged together is of one part.
    pub(crate) fn most_abreast(&self) -> usize {
        match self {
            Self::SkipUp { skip, .. } => 1 << skip.channels.trailing_zeros(),
            Self::Plain { .. } | Self::Activation(_) | Self::Gradient(_) => usize::MAX,
        }
    }

    /// The variant's name, that of its shader file.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Plain { .. } => "plain",
            Self::Activation(Layer { activation: Activation::Relu, .. }) => "activation",
            Self::Activation(layer) => layer.activation.name(),
            Self::SkipUp { .. } => "skip_up",
            Self::Gradient(gradient) => gradient.name(),
        }
    }

    /// Channels that the convolution sees.
    pub fn channels(&self) -> usize {
        match self {
            Self::Plain { channels, .. } => *channels,
            Self::Activation(layer) => layer.channels,
            Self::SkipUp { skip, low } => skip.channels + low.channels,
            Self::Gradient(gradient) => gradient.layer().channels,
        }
    }

    /// Channels of the skip connection, 0 for the other inputs.
    pub fn skip_channels(&self) -> usize {
        match self {
            Self::SkipUp { skip, .. } => skip.channels,
            _ => 0,
        }
    }

    /// The WGSL files of `input_quad` and `input_row`.
    pub(crate) fn files(&self) -> Vec<String> {
        match self {
            Self::Plain { .. } => vec!["nn/input/plain".into()],
            Self::Activation(layer) => vec!["nn/input/activation".into(), layer.activation_file()],
            Self::SkipUp { skip, .. } => vec!["nn/input/skip_up".into(), skip.activation_file()],
            Self::Gradient(gradient) => vec!["nn/input/gradient".into(), gradient.file()],
        }
    }

    /// The layers whose norms it needs, and the one whose ∂L/∂z it is.
    pub(crate) fn layers(&self) -> Vec<&'a Layer> {
        match *self {
            Self::Plain { .. } => vec![],
            Self::Activation(layer) => vec![layer],
            Self::SkipUp { skip, low } => vec![skip, low],
            Self::Gradient(gradient) => vec![gradient.layer()],
        }
    }

    /// Where the norms of its first and its second layer start.
    pub(crate) fn first_norms(&self) -> [usize; 2] {
        let layers = self.layers();
        [0, 1].map(|i| layers.get(i).map_or(0, |layer| layer.first_norm))
    }

    /// Buffers for a convolution on `shape`, but for the norms.
    pub fn buffers(&self, shape: Shape) -> Buffers<'a> {
        match *self {
            Self::Plain { field, channels } => vec![("input_field", field, shape.stored(channels))],
            Self::Activation(layer) => vec![("input_z", &layer.z, shape.stored(layer.channels))],
            Self::SkipUp { skip, low } => vec![
                ("skip_z", &skip.z, shape.stored(skip.channels)),
                ("low_z", &low.z, shape.coarser().stored(low.channels)),
            ],
            Self::Gradient(gradient) => gradient.buffers(shape),
        }
    }
}
