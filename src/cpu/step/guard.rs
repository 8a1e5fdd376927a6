//! The guard of the weights: a step with a number that is not finite changes nothing, and the last good
//! weights are at hand (method §6).

use crate::cpu::Real;
use crate::model::Losses;

/// Whether training is frozen, and where it was when the losses were last finite.
pub(super) struct Guard<N> {
    /// Whether a bad step is left out, and the next one counts again.
    skips: bool,
    frozen: bool,
    /// The parameters before the last update.
    pub(super) last_good_params: Vec<N>,
    /// The running statistics of the last step whose numbers were finite.
    pub(super) last_good_running: Vec<N>,
}

impl<N: Real> Guard<N> {
    /// Not frozen; these parameters and statistics are good.
    pub(super) fn new(skips: bool, params: &[N], running: &[N]) -> Self {
        Self { skips, frozen: false, last_good_params: params.to_vec(), last_good_running: running.to_vec() }
    }

    /// Freezes if a loss of the step, its gradients or a running statistic was not finite, marks its losses
    /// where training is frozen, and returns whether the update may take place.
    pub(super) fn check(&mut self, losses: &mut Losses, running: &[N]) -> bool {
        losses.frozen |= !is_finite(running);
        self.frozen = !losses.is_finite() || self.frozen && !self.skips;
        losses.frozen |= self.frozen;
        !self.frozen
    }

    /// Copies parameters and running statistics to the last good ones; if frozen, copies the last good
    /// statistics back instead.
    pub(super) fn keep_last_good(&mut self, params: &[N], running: &mut [N]) {
        if self.frozen {
            running.copy_from_slice(&self.last_good_running);
        } else {
            self.last_good_params.copy_from_slice(params);
            self.last_good_running.copy_from_slice(running);
        }
    }
}

/// Whether every value is a finite number.
pub(super) fn is_finite<N: Real>(values: &[N]) -> bool {
    values.iter().all(|value| value.is_finite())
}
