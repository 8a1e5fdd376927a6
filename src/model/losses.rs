//! What a training step measures.

/// The losses of a step before its update, one value per sample (method §4).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Losses {
    /// The training loss: ½‖dx‖² for SIP, `y_l2` for GD, `x_l2` for supervised training.
    pub loss: Vec<f64>,
    /// The x loss ½‖x* - x‖², the reconstruction error.
    pub x_l2: Vec<f64>,
    /// The y loss ½‖y* - y‖², the data misfit.
    pub y_l2: Vec<f64>,
    /// Whether the step made no update, since its gradients or statistics were not finite, or since an
    /// earlier step of this kind has ended training.
    pub frozen: bool,
}

impl Losses {
    /// Appends the losses of further samples of the same step.
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
