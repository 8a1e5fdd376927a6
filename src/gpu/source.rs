//! What a convolution reads: a WGSL file that defines `source_quad`, and the buffers it binds as group 1.

use super::gradient::Gradient;
use super::{Shape, Tensor};
use crate::model::Storage;

/// A layer's convolution output and its batch norm, from which readers make the activation.
#[derive(Clone, Debug)]
pub struct Layer {
    /// Output of the convolution without bias, `[batch, channels, nx, row]`; in 16 bits also without its pivot.
    pub z: Tensor,
    /// Per channel (mean of z as stored, rstd, scale, shift), then what the backward pass needs, `[channels, 2, 4]`.
    pub norm: Tensor,
    /// Channels of `z`.
    pub channels: usize,
}

impl Layer {
    /// How its z is stored, and its gradients too.
    pub fn storage(&self) -> Storage {
        self.z.storage()
    }
}

/// Numbers per channel in [`Layer::norm`].
pub const NORM_LEN: usize = 8;

/// Names, tensors and element counts of a kernel call.
pub type Buffers<'a> = Vec<(&'static str, &'a Tensor, usize)>;

/// The input of a convolution.
#[derive(Clone, Copy)]
pub enum Source<'a> {
    /// An array as it stands, `[batch, channels, nx, row]`.
    Plain {
        /// The array.
        field: &'a Tensor,
        /// Its channels.
        channels: usize,
    },
    /// A layer's activation.
    Activation(&'a Layer),
    /// The 2×2 max-pooled activation of a layer one level finer.
    Pool(&'a Layer),
    /// A layer's activation, then the upsampled activation of a layer one level coarser.
    SkipUp {
        /// At the same level.
        skip: &'a Layer,
        /// One level coarser.
        low: &'a Layer,
    },
    /// ∂L/∂z of a layer, the input of an adjoint convolution.
    Gradient(Gradient<'a>),
}

impl<'a> Source<'a> {
    /// The variant's name, that of its shader file.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Plain { .. } => "plain",
            Self::Activation(_) => "activation",
            Self::Pool(_) => "pool",
            Self::SkipUp { .. } => "skip_up",
            Self::Gradient(gradient) => gradient.name(),
        }
    }

    /// Channels that the convolution sees.
    pub fn channels(&self) -> usize {
        match self {
            Self::Plain { channels, .. } => *channels,
            Self::Activation(layer) | Self::Pool(layer) => layer.channels,
            Self::SkipUp { skip, low } => skip.channels + low.channels,
            Self::Gradient(gradient) => gradient.layer().channels,
        }
    }

    /// Channels of the skip connection, 0 for the other sources.
    pub fn skip_channels(&self) -> usize {
        match self {
            Self::SkipUp { skip, .. } => skip.channels,
            _ => 0,
        }
    }

    /// The WGSL of `source_quad` and of what it uses beyond `lib/norm` and `lib/quads`.
    pub fn files(&self) -> Vec<&'static str> {
        match self {
            Self::Plain { .. } => vec![include_str!("../../shaders/source/plain.wgsl")],
            Self::Activation(_) => vec![include_str!("../../shaders/source/activation.wgsl")],
            Self::Pool(_) => vec![include_str!("../../shaders/source/pool.wgsl")],
            Self::SkipUp { .. } => vec![include_str!("../../shaders/source/skip_up.wgsl")],
            Self::Gradient(gradient) => {
                vec![include_str!("../../shaders/source/gradient.wgsl"), gradient.file()]
            }
        }
    }

    /// Buffers for a convolution on `shape`.
    pub fn buffers(&self, shape: Shape) -> Buffers<'a> {
        let norm = |layer: &Layer| NORM_LEN * layer.channels;
        match *self {
            Self::Plain { field, channels } => vec![("source_field", field, shape.stored(channels))],
            Self::Activation(layer) => vec![
                ("source_z", &layer.z, shape.stored(layer.channels)),
                ("source_norm", &layer.norm, norm(layer)),
            ],
            Self::Pool(layer) => vec![
                ("source_z", &layer.z, shape.finer().stored(layer.channels)),
                ("source_norm", &layer.norm, norm(layer)),
            ],
            Self::SkipUp { skip, low } => vec![
                ("skip_z", &skip.z, shape.stored(skip.channels)),
                ("skip_norm", &skip.norm, norm(skip)),
                ("low_z", &low.z, shape.coarser().stored(low.channels)),
                ("low_norm", &low.norm, norm(low)),
            ],
            Self::Gradient(gradient) => gradient.buffers(shape),
        }
    }
}
