//! What a training step measures.

/// Losses before the step's update, one value per sample (method §4).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Losses {
    /// The training loss: ½‖dx‖² for SIP, `y_l2` for GD, `x_l2` for supervised training.
    pub loss: Vec<f64>,
    /// ½‖x* - x‖².
    pub x_l2: Vec<f64>,
    /// ½‖y* - y‖².
    pub y_l2: Vec<f64>,
    /// Whether the step's gradients or statistics, or those of a step before it where training ends at one,
    /// were not finite: no update took place.
    pub frozen: bool,
}

impl Losses {
    /// Appends those of the next samples of the same step.
    pub fn append(&mut self, next: Self) {
        self.loss.extend(next.loss);
        self.x_l2.extend(next.x_l2);
        self.y_l2.extend(next.y_l2);
        self.frozen |= next.frozen;
    }

    /// Whether every loss and every gradient is a finite number.
    pub fn is_finite(&self) -> bool {
        !self.frozen && [&self.loss, &self.x_l2, &self.y_l2].into_iter().flatten().all(|v| v.is_finite())
    }
}
