//! Where a convolution's output goes: a WGSL file that defines `emit` and `finish`, and its buffers, group 3.

use super::source::{Buffers, Layer, NORM_LEN};
use super::{Shape, Tensor};
use crate::model::Storage;

/// The output of a convolution.
#[derive(Clone, Copy)]
pub enum Sink<'a> {
    /// Forward: z, with count, mean and m2 per channel and chunk.
    Moments {
        /// `[batch, channels, nx, row]`.
        z: &'a Tensor,
        /// `[channels, chunks, 3]`.
        moments: &'a Tensor,
    },
    /// Adjoint of a convolution that read a layer's activation: that layer's g, with Σg and Σg·ẑ.
    Relu {
        /// The layer that was read.
        layer: &'a Layer,
        /// Its g, `[batch, channels, nx, row]`.
        g: &'a Tensor,
        /// `[channels, chunks, 2]`.
        sums: &'a Tensor,
    },
    /// Adjoint of a convolution that read something else: ∂L/∂input, channels below `first.1` to `first.0`, the
    /// rest to `second.0`. Both `[batch, channels, nx, row]`.
    Split {
        /// Array and channels that come first.
        first: (&'a Tensor, usize),
        /// Array and channels that follow. Without any, another writable buffer stands in.
        second: (&'a Tensor, usize),
    },
}

impl<'a> Sink<'a> {
    /// The variant's name, that of its shader file.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Moments { .. } => "moments",
            Self::Relu { .. } => "relu",
            Self::Split { .. } => "split",
        }
    }

    /// How the output is stored.
    pub fn storage(&self) -> Storage {
        match self {
            Self::Moments { z, .. } => z.storage(),
            Self::Relu { g, .. } => g.storage(),
            Self::Split { first, .. } => first.0.storage(),
        }
    }

    /// The first channel of the second array.
    pub fn split(&self) -> usize {
        match self {
            Self::Split { first, .. } => first.1,
            _ => 0,
        }
    }

    /// The WGSL of `emit` and `finish`.
    pub fn files(&self) -> Vec<&'static str> {
        let statistics = include_str!("../../shaders/lib/strip_statistics.wgsl");
        match self {
            Self::Moments { .. } => vec![statistics, include_str!("../../shaders/sink/moments.wgsl")],
            Self::Relu { .. } => vec![statistics, include_str!("../../shaders/sink/relu.wgsl")],
            Self::Split { .. } => vec![include_str!("../../shaders/sink/split.wgsl")],
        }
    }

    /// Buffers for `channels` output channels on `shape`, whose statistics come in `chunks`.
    pub fn buffers(&self, shape: Shape, channels: usize, chunks: usize) -> Buffers<'a> {
        match *self {
            Self::Moments { z, moments } => {
                vec![("z", z, shape.stored(channels)), ("moments", moments, 3 * channels * chunks)]
            }
            Self::Relu { layer, g, sums } => vec![
                ("target_g", g, shape.stored(channels)),
                ("target_z", &layer.z, shape.stored(channels)),
                ("target_norm", &layer.norm, NORM_LEN * channels),
                ("sums", sums, 2 * channels * chunks),
            ],
            Self::Split { first, second } => {
                vec![("first", first.0, shape.stored(first.1)), ("second", second.0, shape.stored(second.1))]
            }
        }
    }
}
