//! Where a convolution's output goes: WGSL files that define `emit`, `emit_pair` and `finish`, and their
//! buffers, group 3.

use crate::gpu::layer::layers::{Buffers, Layer};
use crate::gpu::{Shape, Tensor};
use crate::model::DType;

/// The output of a convolution.
#[derive(Clone, Copy)]
pub enum Epilogue<'a> {
    /// Forward: z, with count, mean and m2 per channel and chunk.
    Moments {
        /// `[batch, channels, nx, row]`.
        z: &'a Tensor,
        /// `[channels, chunks, 3]`.
        moments: &'a Tensor,
        /// Where the layer is max-pooled too.
        pool: Option<Pool<'a>>,
    },
    /// Adjoint of a convolution that read a layer's activation: that layer's g, with Σg and Σg·ẑ.
    Activation(Target<'a>),
    /// Adjoint of a convolution that read a skip connection and an upsampled layer.
    Split {
        /// What `Activation` does, for the skip connection's channels, which come first.
        skip: Target<'a>,
        /// ∂L/∂input of the other channels, `[batch, rest, nx, row]`, and their number.
        rest: (&'a Tensor, usize),
    },
}

/// Max pooling: the z of every 2×2 cells whose activation is the largest.
#[derive(Clone, Copy)]
pub struct Pool<'a> {
    /// `[batch, channels, nx/2, coarse row]`, stored like z.
    pub z: &'a Tensor,
    /// The flat parameters.
    pub parameters: &'a Tensor,
    /// Where the layer's γ, whose sign decides between maximum and minimum, start there; none without batch
    /// norm.
    pub gamma: Option<usize>,
}

/// A layer whose activation a convolution has read, and what its adjoint leaves there.
#[derive(Clone, Copy)]
pub struct Target<'a> {
    /// The layer.
    pub layer: &'a Layer,
    /// Its g, `[batch, channels, nx, row]`.
    pub g: &'a Tensor,
    /// `[channels, chunks, 2]`.
    pub sums: &'a Tensor,
}

impl<'a> Epilogue<'a> {
    /// The variant's name, that of its shader file or of the layer's activation.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Moments { pool: None, .. } => "moments",
            Self::Moments { pool: Some(Pool { gamma: Some(_), .. }), .. } => "pooled",
            Self::Moments { pool: Some(Pool { gamma: None, .. }), .. } => "pooled_by_z",
            Self::Activation(target) => target.layer.activation.name(),
            Self::Split { .. } => "split",
        }
    }

    /// How the output is stored.
    pub fn storage(&self) -> DType {
        match self {
            Self::Moments { z, .. } => z.storage(),
            Self::Activation(target) | Self::Split { skip: target, .. } => target.g.storage(),
        }
    }

    /// The least rows along x of an invocation: pooling wants pairs.
    pub(crate) fn least_patch(&self) -> u32 {
        match self {
            Self::Moments { pool: Some(_), .. } => 2,
            _ => 1,
        }
    }

    /// Offset of γ in the flat parameters, where it is needed.
    pub(crate) fn gamma(&self) -> Option<usize> {
        match self {
            Self::Moments { pool: Some(pool), .. } => pool.gamma,
            _ => None,
        }
    }

    /// The layer whose g is made.
    pub(crate) fn layer(&self) -> Option<&'a Layer> {
        match self {
            Self::Moments { .. } => None,
            Self::Activation(target) | Self::Split { skip: target, .. } => Some(target.layer),
        }
    }

    /// The WGSL files of `emit`, `emit_pair` and `finish`.
    pub(crate) fn files(&self) -> Vec<String> {
        match self {
            Self::Moments { pool: None, .. } => vec!["nn/epilogue/unpooled".into()],
            Self::Moments { pool: Some(_), .. } => vec!["nn/epilogue/pooled".into()],
            Self::Activation(target) => vec!["nn/epilogue/whole".into(), target.layer.activation_file()],
            Self::Split { skip, .. } => vec!["nn/epilogue/split".into(), skip.layer.activation_file()],
        }
    }

    /// What the files leave open.
    pub(crate) fn constants(&self) -> Vec<(&'static str, usize)> {
        match self {
            Self::Moments { pool: Some(pool), .. } => vec![("BY_GAMMA", pool.gamma.is_some().into())],
            _ => vec![],
        }
    }

    /// Buffers for `channels` output channels on `shape`, whose statistics come in `chunks`, but for the
    /// norms.
    pub fn buffers(&self, shape: Shape, channels: usize, chunks: usize) -> Buffers<'a> {
        match *self {
            Self::Moments { z, moments, pool } => {
                let mut buffers =
                    vec![("z", z, shape.stored(channels)), ("moments", moments, 3 * channels * chunks)];
                if let Some(pool) = pool {
                    buffers.push(("pooled_z", pool.z, shape.coarser().stored(channels)));
                    let touched = pool.gamma.map_or(0, |gamma| gamma + channels);
                    buffers.push(("affine", pool.parameters, touched));
                }
                buffers
            }
            Self::Activation(target) => target.buffers(shape, chunks),
            Self::Split { skip, rest } => {
                let mut buffers = skip.buffers(shape, chunks);
                buffers.push(("rest", rest.0, shape.stored(rest.1)));
                buffers
            }
        }
    }
}

impl<'a> Target<'a> {
    fn buffers(&self, shape: Shape, chunks: usize) -> Buffers<'a> {
        let channels = self.layer.channels;
        vec![
            ("target_g", self.g, shape.stored(channels)),
            ("target_z", &self.layer.z, shape.stored(channels)),
            ("sums", self.sums, 2 * channels * chunks),
        ]
    }
}
