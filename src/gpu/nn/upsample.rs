//! Adjoint of bilinear ×2 upsampling on the GPU (method §5); forward is part of the input `skip_up`.

use crate::Result;
use crate::gpu::layer::layers::{Layer, Norms, Statistics};
use crate::gpu::runtime::recording::Recorder;
use crate::gpu::runtime::spec::{KernelSpec, WORKGROUP};
use crate::gpu::{Shape, Tensor};

/// Quads per chunk: one for every invocation of a workgroup, which reads 40 fine cells for it.
const CHUNK: usize = WORKGROUP as usize;

/// Chunks per channel in which [`upsample_backward`] to the coarse grid `shape` leaves its sums.
pub fn chunks(shape: Shape) -> usize {
    (shape.stored(1) / 4).div_ceil(CHUNK)
}

/// `fine_gradient` `[batch, channels, 2·nx, fine row]` to g of `layer` on the coarse grid `shape`, and its Σg
/// and Σg·ẑ in `sums`, `[channels, chunks, 2]`.
pub fn upsample_backward<'a>(
    recorder: &mut Recorder,
    shape: Shape,
    layer: &Layer,
    fine_gradient: &Tensor,
    gradient: &Tensor,
    sums: &'a Tensor,
) -> Result<Statistics<'a>> {
    let norms = Norms::of([layer])?;
    let (channels, chunks) = (layer.channels, chunks(shape));
    let mut buffers = vec![
        ("fine_gradient", fine_gradient, shape.finer().stored(channels)),
        ("z", &layer.z, shape.stored(channels)),
        ("gradient", gradient, shape.stored(channels)),
        ("sums", sums, 2 * channels * chunks),
    ];
    buffers.extend(norms.buffers());
    recorder.call(
        &KernelSpec::stored("nn/upsample_backward", layer.storage()).with([layer.activation_file()]),
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
