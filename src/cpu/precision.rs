//! Which network computes in which precision.

use crate::cpu::passes::Passes;
use crate::cpu::{Real, fast, unet};

/// A precision that networks compute in.
pub trait Precision: Real {
    /// Its network.
    type Network: Passes<Self>;
}

/// Fast.
impl Precision for f32 {
    type Network = fast::Network;
}

/// Plain.
impl Precision for f64 {
    type Network = unet::Network<f64>;
}
