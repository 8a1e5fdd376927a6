//! The sum of a residual block on the GPU (docs/network.md).

use crate::Result;
use crate::gpu::layer::layers::{Layer, Norms};
use crate::gpu::runtime::recording::{Recorder, flat_workgroups};
use crate::gpu::runtime::spec::KernelSpec;
use crate::gpu::{Shape, Tensor};

/// `sum` `[batch, channels, nx, row]` = activation of `layer` + norm of `shortcut`.
pub fn res_sum(
    recorder: &mut Recorder,
    shape: Shape,
    layer: &Layer,
    shortcut: &Layer,
    sum: &Tensor,
) -> Result<()> {
    let norms = Norms::of([layer, shortcut])?;
    let len = shape.stored(layer.channels);
    let mut buffers = vec![("z", &layer.z, len), ("shortcut", &shortcut.z, len), ("sum", sum, len)];
    buffers.extend(norms.buffers());
    let params = [
        ("planes", (shape.batch * layer.channels).into()),
        ("channels", layer.channels.into()),
        ("nx", shape.nx.into()),
        ("ny", shape.ny.into()),
        ("first_norm", layer.first_norm.into()),
        ("shortcut_norm", shortcut.first_norm.into()),
    ];
    let spec = KernelSpec::stored("nn/res_sum", layer.storage()).with([layer.activation_file()]);
    recorder.call(&spec, &params, &buffers, flat_workgroups(len / 4))?;
    norms.declare_touched(recorder)
}
