//! ∂L/∂z of a layer, made where it is read: a WGSL file that defines `gradient_quad`, and its buffers, group 2.

use super::source::{Buffers, Layer, NORM_LEN};
use super::{Shape, Tensor};

/// Where g = ∂L/∂(ReLU's argument) of a layer comes from.
#[derive(Clone, Copy)]
pub enum Gradient<'a> {
    /// As the kernel that made it has stored it.
    Stored {
        /// Whose gradient it is; the second half of its `norm` must have been made.
        layer: &'a Layer,
        /// `[batch, channels, nx, row]`, stored like the layer's z.
        g: &'a Tensor,
    },
    /// Of the last layer: the 1×1 convolution's weights times ∂L/∂output.
    Output {
        /// Whose gradient it is; the second half of its `norm` holds the weights.
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
            Self::Output { .. } => "output_gradient",
        }
    }

    /// The layer.
    pub fn layer(&self) -> &'a Layer {
        match self {
            Self::Stored { layer, .. } | Self::Output { layer, .. } => layer,
        }
    }

    /// The WGSL of `gradient_quad`.
    pub fn file(&self) -> &'static str {
        match self {
            Self::Stored { .. } => include_str!("../../shaders/gradient/stored.wgsl"),
            Self::Output { .. } => include_str!("../../shaders/gradient/output.wgsl"),
        }
    }

    /// What the file leaves open.
    pub fn constants(&self) -> Vec<(&'static str, usize)> {
        match self {
            Self::Stored { .. } => vec![],
            Self::Output { layer, .. } => vec![("GRADIENT_CHANNELS", layer.channels)],
        }
    }

    /// Buffers for a layer of `shape`.
    pub fn buffers(&self, shape: Shape) -> Buffers<'a> {
        let layer = self.layer();
        let first = match *self {
            Self::Stored { g, .. } => ("gradient_g", g, shape.stored(layer.channels)),
            Self::Output { output_gradient, .. } => ("output_gradient", output_gradient, shape.stored(1)),
        };
        vec![
            first,
            ("gradient_z", &layer.z, shape.stored(layer.channels)),
            ("gradient_norm", &layer.norm, NORM_LEN * layer.channels),
        ]
    }
}
