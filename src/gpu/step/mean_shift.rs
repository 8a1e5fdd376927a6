//! The mean shift of the prediction, its adjoint, and the losses that come along (method §4).

use crate::Result;
use crate::gpu::Tensor;
use crate::gpu::heat::fft::pairs;
use crate::gpu::runtime::recording::Recorder;
use crate::gpu::runtime::spec::KernelSpec;
use crate::model::Method;

/// Fields of the forward shift, all `[batch, cells]` but `x_l2` `[batch]`.
pub struct MeanShift<'a> {
    /// The network's output o.
    pub output: &'a Tensor,
    /// x*.
    pub truth: &'a Tensor,
    /// Written: o + (mean(x*) - mean(o)).
    pub prediction: &'a Tensor,
    /// Written: x* - prediction.
    pub error: &'a Tensor,
    /// Written: ½‖error‖² per sample.
    pub x_l2: &'a Tensor,
}

impl MeanShift<'_> {
    /// Records the shift.
    pub fn record(&self, recorder: &mut Recorder, batch: usize, cells: usize) -> Result<()> {
        let len = batch * cells;
        recorder.call(
            &KernelSpec::real("step/mean_shift", self.truth.precision()),
            &[("batch", batch.into()), ("cells", cells.into())],
            &[
                ("output", self.output, len),
                ("truth", self.truth, len),
                ("prediction", self.prediction, len),
                ("error", self.error, len),
                ("x_l2", self.x_l2, batch),
            ],
            [batch as u32, 1, 1],
        )
    }
}

/// `signal` ∂L/∂x to `output_gradient` ∂L/∂o, both `[batch, cells]`; loss and y_l2 into `losses`
/// `[2, batch]`.
pub fn backward(
    recorder: &mut Recorder,
    method: Method,
    signal: &Tensor,
    energy: &Tensor,
    output_gradient: &Tensor,
    losses: &Tensor,
    batch: usize,
    cells: usize,
) -> Result<()> {
    recorder.call(
        &KernelSpec::real("step/mean_shift_backward", signal.precision()),
        &[
            ("batch", batch.into()),
            ("cells", cells.into()),
            ("loss_is_signal", method.loss_is_signal().into()),
        ],
        &[
            ("signal", signal, batch * cells),
            ("residual_energy", energy, 2 * pairs(batch)),
            ("output_gradient", output_gradient, batch * cells),
            ("losses", losses, 2 * batch),
        ],
        [batch as u32, 1, 1],
    )
}
