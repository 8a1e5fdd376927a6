//! ∂L/∂z of a layer, made where it is read: the WGSL files that define `gradient_quad` and `gradient_row`,
//! and their buffers in group 2.

use crate::gpu::layer::layers::{Buffers, Layer};
use crate::gpu::{Shape, Tensor};

/// Where g = ∂L/∂(the activation's argument) of a layer comes from.
#[derive(Clone, Copy)]
pub enum Gradient<'a> {
    /// As the kernel that made it has stored it.
    Stored {
        /// Whose gradient it is; the second half of its norms must have been made.
        layer: &'a Layer,
        /// `[batch, channels, nx, row]`, stored like the layer's z.
        g: &'a Tensor,
    },
    /// The gradient of a layer that is both a skip connection and 2×2 max-pooled: two shares add up to it.
    Pooled {
        /// Whose gradient it is, as of `Stored`.
        layer: &'a Layer,
        /// The skip connection's share, as of `Stored`.
        g: &'a Tensor,
        /// g of the pooled value, `[batch, channels, nx/2, coarse row]`.
        pooled: &'a Tensor,
    },
    /// The gradient of the last layer: the 1×1 convolution's weights times ∂L/∂output.
    Output {
        /// Whose gradient it is; the second half of its norms holds the weights.
        layer: &'a Layer,
        /// ∂L/∂output, `[batch, nx, row]`.
        output_gradient: &'a Tensor,
    },
}

impl<'a> Gradient<'a> {
    /// The variant's name in kernels' names.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Stored { .. } => "gradient",
            Self::Pooled { .. } => "pooled_gradient",
            Self::Output { .. } => "output_gradient",
        }
    }

    /// The layer.
    pub fn layer(&self) -> &'a Layer {
        match self {
            Self::Stored { layer, .. } | Self::Pooled { layer, .. } | Self::Output { layer, .. } => layer,
        }
    }

    /// The WGSL file of `gradient_quad` and `gradient_row`.
    pub(crate) fn file(&self) -> String {
        let name = match self {
            Self::Stored { .. } => "stored",
            Self::Pooled { .. } => "pooled",
            Self::Output { .. } => "output",
        };
        format!("nn/gradient/{name}")
    }

    /// What the file leaves open.
    pub fn constants(&self) -> Vec<(&'static str, usize)> {
        match self {
            Self::Stored { .. } | Self::Pooled { .. } => vec![],
            Self::Output { layer, .. } => vec![("GRADIENT_CHANNELS", layer.channels)],
        }
    }

    /// Buffers for a layer of `shape`, but for the norms.
    pub fn buffers(&self, shape: Shape) -> Buffers<'a> {
        let channels = self.layer().channels;
        let mut buffers = vec![("gradient_z", &self.layer().z, shape.stored(channels))];
        match *self {
            Self::Stored { g, .. } => buffers.push(("gradient_g", g, shape.stored(channels))),
            Self::Pooled { g, pooled, .. } => buffers.extend([
                ("gradient_g", g, shape.stored(channels)),
                ("gradient_pooled", pooled, shape.coarser().stored(channels)),
            ]),
            Self::Output { output_gradient, .. } => {
                buffers.push(("output_gradient", output_gradient, shape.stored(1)));
            }
        }
        buffers
    }
}
