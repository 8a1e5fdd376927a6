//! A trained network, and how it is to be used.

use crate::model::UNet;
use crate::model::unet::init::State;

/// What the batch norm normalises with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Norm {
    /// The statistics of the batch at hand, as in training and as the reference system does always.
    Batch,
    /// The running statistics, as PyTorch does in eval mode: every field stands for itself.
    Running,
}

/// A trained network, and how it normalises.
#[derive(Clone, Copy, Debug)]
pub struct Trained<'a> {
    /// The architecture.
    pub net: &'a UNet,
    /// Its weights and running statistics.
    pub state: &'a State,
    /// What the batch norm normalises with.
    pub norm: Norm,
}
