//! What training minimises, and how far it trusts the observations.

use crate::model::inverse::UNCERTAINTY;
use crate::model::settings::choice::choice;

choice! {
    /// The training signal that is sent back through the network (method §4).
    pub enum Method {
        /// Scale-invariant physics update: the noise-aware inverse of the diffusion.
        Sip = "sip",
        /// The gradient of the data misfit ½‖y* - y‖², through the simulator.
        Gd = "gd",
        /// The gradient of the distance ½‖x* - x‖² to the truth, without physics.
        Supervised = "supervised",
    }
}

impl Method {
    /// The name used in legends and tables.
    pub fn title(self) -> &'static str {
        match self {
            Self::Sip => "SIP",
            Self::Gd => "GD",
            Self::Supervised => "supervised",
        }
    }

    /// Whether the loss is ½‖∂L/∂x‖²; for GD it is the data misfit.
    pub fn loss_is_signal(self) -> bool {
        self != Self::Gd
    }
}

/// A method with the noise that it assumes. A mode of the residual r counts as signal where its energy
/// exceeds σ² = uncertainty²·‖r‖² + N·noise², with N cells (method §3 has a noise of 0).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Objective {
    /// The training signal.
    pub method: Method,
    /// The residual's uncertainty relative to its norm, ε, at least 0.
    pub uncertainty: f64,
    /// Standard deviation of the observation's noise in every cell, in units of the field, at least 0. Where
    /// it is positive, batches carry that noise.
    pub noise: f64,
}

impl From<Method> for Objective {
    /// As in the reference system: exact observations, ε = 1e-6.
    fn from(method: Method) -> Self {
        Self { method, uncertainty: UNCERTAINTY, noise: 0.0 }
    }
}
