//! What a convolution reads: WGSL files that define `source_quad` and `source_row`, and the buffers they bind as group 1.

use crate::gpu::layer::gradient::Gradient;
use crate::gpu::nn::activation;
use crate::gpu::{Recorder, Shape, Tensor};
use crate::model::{Activation, Storage};
use crate::{Error, Result};

/// A layer's convolution output and its batch norm, from which readers make the activation.
#[derive(Clone, Debug)]
pub struct Layer {
    /// Output of the convolution without bias, `[batch, channels, nx, row]`; in 16 bits also without its pivot.
    pub z: Tensor,
    /// Of all layers, per channel (mean of z as stored, rstd, scale, shift), then what the backward pass needs,
    /// `[all channels, 2, 4]`.
    pub norms: Tensor,
    /// Where this layer's channels start there.
    pub first_norm: usize,
    /// Channels of `z`.
    pub channels: usize,
    /// What its readers apply to the normalised z.
    pub activation: Activation,
}

impl Layer {
    /// How its z is stored, and its gradients too.
    pub fn storage(&self) -> Storage {
        self.z.storage()
    }
}

/// Numbers per channel in [`Layer::norms`].
pub const NORM_LEN: usize = 8;

/// The numbers of a channel whose norm changes nothing.
pub(crate) const IDENTITY: [f32; NORM_LEN] = [0.0, 1.0, 1.0, 0.0, 1.0, 0.0, 0.0, 0.0];

/// Names, tensors and element counts of a kernel call.
pub type Buffers<'a> = Vec<(&'static str, &'a Tensor, usize)>;

/// The layers that a kernel meets, and their batch norms: one file and one buffer for all of them.
pub(crate) struct Norms<'a>(Vec<&'a Layer>);

impl<'a> Norms<'a> {
    /// Of `layers`.
    ///
    /// # Errors
    /// [`Error::Device`] where they do not share a table.
    pub(crate) fn of(layers: impl IntoIterator<Item = &'a Layer>) -> Result<Self> {
        let layers: Vec<&Layer> = layers.into_iter().collect();
        match layers.iter().find(|layer| layer.norms.buffer != layers[0].norms.buffer) {
            Some(other) => Err(Error::Device(format!(
                "the norms of {} and {} lie in different tables",
                layers[0].z.label(),
                other.z.label()
            ))),
            None => Ok(Self(layers)),
        }
    }

    /// `lib/norms`, where there are layers.
    pub(crate) fn files(&self) -> impl Iterator<Item = &'static str> + use<> {
        (!self.0.is_empty()).then_some(include_str!("../../../shaders/lib/norms.wgsl")).into_iter()
    }

    /// The table.
    pub(crate) fn buffers(&self) -> impl Iterator<Item = (&'static str, &'a Tensor, usize)> + use<'a> {
        let end = |layer: &&Layer| NORM_LEN * (layer.first_norm + layer.channels);
        let len = self.0.iter().map(end).max().unwrap_or(0);
        self.0.first().map(|layer| ("norms", &layer.norms, len)).into_iter()
    }

    /// Declares what the last call touches of the table.
    pub(crate) fn declare_touched(&self, recorder: &mut Recorder) -> Result<()> {
        let channels: usize = self.0.iter().map(|layer| layer.channels).sum();
        if channels == 0 { Ok(()) } else { recorder.declare_touched("norms", NORM_LEN * channels) }
    }
}

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
    /// A layer's activation. With pooled z: the 2×2 max-pooled one.
    Activation(&'a Layer),
    /// A layer's activation, then the upsampled activation of a layer one level coarser, of the same function.
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
    /// How many channels may be staged together at most: a power of two that divides the channels of the first of two
    /// parts, so that what is staged together is of one part.
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
            Self::Plain { .. } => vec![include_str!("../../../shaders/nn/input/plain.wgsl")],
            Self::Activation(layer) => {
                vec![
                    activation::file(layer.activation),
                    include_str!("../../../shaders/nn/input/activation.wgsl"),
                ]
            }
            Self::SkipUp { skip, .. } => {
                vec![
                    activation::file(skip.activation),
                    include_str!("../../../shaders/nn/input/skip_up.wgsl"),
                ]
            }
            Self::Gradient(gradient) => {
                vec![include_str!("../../../shaders/nn/input/gradient.wgsl"), gradient.file()]
            }
        }
    }

    /// The WGSL of `source_row`, for the 3×3 convolutions.
    pub(crate) fn row_files(&self) -> Vec<&'static str> {
        let activated = include_str!("../../../shaders/nn/row/activated.wgsl");
        match self {
            Self::Activation(_) => vec![activated, include_str!("../../../shaders/nn/row/activation.wgsl")],
            Self::SkipUp { .. } => vec![activated, include_str!("../../../shaders/nn/row/skip_up.wgsl")],
            Self::Gradient(Gradient::Stored { .. }) => {
                vec![include_str!("../../../shaders/nn/row/gradient.wgsl")]
            }
            Self::Gradient(Gradient::Output { .. }) => {
                vec![include_str!("../../../shaders/nn/row/output_gradient.wgsl")]
            }
            Self::Gradient(Gradient::Pooled { .. }) => {
                vec![include_str!("../../../shaders/nn/row/pooled_gradient.wgsl")]
            }
            Self::Plain { .. } => vec![include_str!("../../../shaders/nn/row/of_quads.wgsl")],
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
    pub(crate) fn first_norms(&self) -> [u32; 2] {
        let layers = self.layers();
        [0, 1].map(|i| layers.get(i).map_or(0, |layer| layer.first_norm as u32))
    }

    /// Buffers for a convolution on `shape`, but for the norms.
    pub fn buffers(&self, shape: Shape) -> Buffers<'a> {
        match *self {
            Self::Plain { field, channels } => vec![("source_field", field, shape.stored(channels))],
            Self::Activation(layer) => vec![("source_z", &layer.z, shape.stored(layer.channels))],
            Self::SkipUp { skip, low } => vec![
                ("skip_z", &skip.z, shape.stored(skip.channels)),
                ("low_z", &low.z, shape.coarser().stored(low.channels)),
            ],
            Self::Gradient(gradient) => gradient.buffers(shape),
        }
    }
}
