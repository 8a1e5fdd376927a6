//! The activation functions on the GPU: WGSL files that define `activate` and `activate_backward`. They are
//! made where a layer is read and where its gradient is stored; for residual blocks, whose gradient comes
//! through a sum, there is a kernel.

use crate::Result;
use crate::gpu::layer::layers::{Layer, Norms, Statistics};
use crate::gpu::runtime::recording::Recorder;
use crate::gpu::runtime::spec::{KernelSpec, WORKGROUP};
use crate::gpu::{Shape, Tensor};

/// Quads per chunk: four for every invocation of a workgroup.
const CHUNK: usize = 4 * WORKGROUP as usize;

/// Chunks per channel in which [`activation_backward`] on `shape` leaves its sums.
pub fn chunks(shape: Shape) -> usize {
    (shape.stored(1) / 4).div_ceil(CHUNK)
}

/// `incoming` = ∂L/∂activation of `layer`, `[batch, channels, nx, row]`, to its g in `gradient`, with Σg and
/// Σg·ẑ in `sums`, `[channels, chunks, 2]`.
pub fn activation_backward<'a>(
    recorder: &mut Recorder,
    shape: Shape,
    layer: &Layer,
    incoming: &Tensor,
    gradient: &Tensor,
    sums: &'a Tensor,
) -> Result<Statistics<'a>> {
    let norms = Norms::of([layer])?;
    let (channels, chunks) = (layer.channels, chunks(shape));
    let len = shape.stored(channels);
    let mut buffers = vec![
        ("incoming", incoming, len),
        ("z", &layer.z, len),
        ("gradient", gradient, len),
        ("sums", sums, 2 * channels * chunks),
    ];
    buffers.extend(norms.buffers());
    recorder.call(
        &KernelSpec::stored("nn/activation_backward", layer.storage()).with([layer.activation_file()]),
        &[
            ("batch", shape.batch.into()),
            ("channels", channels.into()),
            ("nx", shape.nx.into()),
            ("ny", shape.ny.into()),
            ("chunk", CHUNK.into()),
            ("chunks", chunks.into()),
            ("first_norm", layer.first_norm.into()),
        ],
        &buffers,
        [chunks as u32, channels as u32, 1],
    )?;
    norms.declare_touched(recorder)?;
    Ok(Statistics { buffer: sums, chunks })
}
