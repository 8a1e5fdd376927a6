//! What a convolution reads: a WGSL file that defines `load`, and the buffers it binds as group 1.

use super::Tensor;

/// A layer's convolution output and its batch norm, from which readers make the activation.
#[derive(Clone, Debug)]
pub struct Layer {
    /// Output of the convolution without bias, `[batch, channels, nx, ny]`.
    pub z: Tensor,
    /// Per channel (mean, rstd, scale, shift), `[channels, 4]`.
    pub norm: Tensor,
    /// Channels of `z`.
    pub channels: usize,
}

/// The input of a convolution on a grid of `cells` cells per sample.
#[derive(Clone, Copy)]
pub enum Source<'a> {
    /// An array as it stands, `[batch, channels, nx, ny]`.
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
}

impl<'a> Source<'a> {
    /// The variant's name, that of its shader file.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Plain { .. } => "plain",
            Self::Activation(_) => "activation",
            Self::Pool(_) => "pool",
            Self::SkipUp { .. } => "skip_up",
        }
    }

    /// Channels that the convolution sees.
    pub fn channels(&self) -> usize {
        match self {
            Self::Plain { channels, .. } => *channels,
            Self::Activation(layer) | Self::Pool(layer) => layer.channels,
            Self::SkipUp { skip, low } => skip.channels + low.channels,
        }
    }

    /// Channels of the skip connection, 0 for the other sources.
    pub fn skip_channels(&self) -> usize {
        match self {
            Self::SkipUp { skip, .. } => skip.channels,
            _ => 0,
        }
    }

    /// The WGSL of `load` and of what it uses.
    pub fn files(&self) -> Vec<&'static str> {
        let norm = include_str!("../../shaders/lib/norm.wgsl");
        match self {
            Self::Plain { .. } => vec![include_str!("../../shaders/source/plain.wgsl")],
            Self::Activation(_) => vec![norm, include_str!("../../shaders/source/activation.wgsl")],
            Self::Pool(_) => vec![norm, include_str!("../../shaders/source/pool.wgsl")],
            Self::SkipUp { .. } => vec![norm, include_str!("../../shaders/source/skip_up.wgsl")],
        }
    }

    /// Buffers by name, for `batch` samples of `cells` cells.
    pub fn buffers(&self, batch: usize, cells: usize) -> Vec<(&'static str, &'a Tensor, usize)> {
        match *self {
            Self::Plain { field, channels } => vec![("source_field", field, batch * channels * cells)],
            Self::Activation(layer) => vec![
                ("source_z", &layer.z, batch * layer.channels * cells),
                ("source_norm", &layer.norm, 4 * layer.channels),
            ],
            Self::Pool(layer) => vec![
                ("source_z", &layer.z, batch * layer.channels * 4 * cells),
                ("source_norm", &layer.norm, 4 * layer.channels),
            ],
            Self::SkipUp { skip, low } => vec![
                ("skip_z", &skip.z, batch * skip.channels * cells),
                ("skip_norm", &skip.norm, 4 * skip.channels),
                ("low_z", &low.z, batch * low.channels * cells / 4),
                ("low_norm", &low.norm, 4 * low.channels),
            ],
        }
    }
}
