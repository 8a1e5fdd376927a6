//! The Adam optimiser's constants and its scalars of every step (method §6).

use crate::model::Schedule;

/// Adam's settings. The defaults are the reference system's, ε = 1e-7 included.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Adam {
    /// Learning rate of the first step, positive.
    pub learning_rate: f64,
    /// How the learning rate changes from step to step.
    pub schedule: Schedule,
    /// Decay of the first moment per step, in [0, 1).
    pub beta1: f64,
    /// Decay of the second moment per step, in [0, 1).
    pub beta2: f64,
    /// What is added to the root of the second moment, positive.
    pub epsilon: f64,
}

impl Default for Adam {
    fn default() -> Self {
        Self { learning_rate: 1e-3, schedule: Schedule::Constant, beta1: 0.9, beta2: 0.999, epsilon: 1e-7 }
    }
}

impl Adam {
    /// lr / (1 - β1^t), the factor of the first moment at update `t` = 1, 2, …; lr is the learning rate of
    /// step t - 1.
    pub fn step_size(&self, t: u64) -> f64 {
        self.learning_rate * self.schedule.factor(t - 1) / (1.0 - self.beta1.powf(t as f64))
    }

    /// 1 / √(1 - β2^t), the factor of √v at update `t` = 1, 2, …
    pub fn root_scale(&self, t: u64) -> f64 {
        1.0 / (1.0 - self.beta2.powf(t as f64)).sqrt()
    }
}
