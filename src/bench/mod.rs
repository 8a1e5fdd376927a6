//! How fast is a training step, where does its time go, and how far is that from what the device can do?
//!
//! [`measure()`] makes a [`Measurement`]; [`table`] and [`figure`] show it, and a [`Comparison`] sets it
//! beside an earlier one.

mod ceilings;
pub mod compare;
#[cfg(feature = "pictures")]
pub mod figure;
pub mod measure;
pub mod measurement;
pub mod table;

pub use ceilings::Ceilings;
pub use compare::Comparison;
pub use measure::{Options, measure};
pub use measurement::{By, DispatchGroup, Measurement};
