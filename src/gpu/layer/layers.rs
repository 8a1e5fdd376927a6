//! Layers as kernels read them: an array, its norms in a table that all layers share, and an activation.

use crate::gpu::{Recorder, Tensor};
use crate::model::{Activation, DType};
use crate::{Error, Result};

/// A layer's convolution output and its batch norm, from which readers make the activation.
#[derive(Clone, Debug)]
pub struct Layer {
    /// Output of the convolution without bias, `[batch, channels, nx, row]`; in 16 bits also without its
    /// pivot.
    pub z: Tensor,
    /// The norms of all layers: per channel (mean of z as stored, rstd, scale, shift), then what the backward
    /// pass needs, `[all channels, 2, 4]`.
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
    pub fn storage(&self) -> DType {
        self.z.storage()
    }

    /// The WGSL file of `activate` and `activate_backward`.
    pub(crate) fn activation_file(&self) -> String {
        format!("nn/activation/{}", self.activation.name())
    }
}

/// Numbers per channel in [`Layer::norms`].
pub const NORM_LEN: usize = 8;

/// The numbers of a channel whose norm changes nothing.
pub(crate) const IDENTITY: [f32; NORM_LEN] = [0.0, 1.0, 1.0, 0.0, 1.0, 0.0, 0.0, 0.0];

/// Names, tensors and element counts of a kernel call.
pub type Buffers<'a> = Vec<(&'static str, &'a Tensor, usize)>;

/// The batch norms of the layers that a kernel reads: one buffer holds them all.
pub(crate) struct Norms<'a>(Vec<&'a Layer>);

impl<'a> Norms<'a> {
    /// The norms of `layers`.
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

    /// The table of norms as a kernel binds it; nothing where there are no layers.
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

/// Chunks of a channel in which a kernel leaves its statistics.
#[derive(Clone, Copy, Debug)]
pub struct Statistics<'a> {
    /// `[channels, chunks, 3]` of (count, mean, m2) forward, `[channels, chunks, 2]` of (Σg, Σg·ẑ) backward.
    pub buffer: &'a Tensor,
    /// Chunks per channel.
    pub chunks: usize,
}
