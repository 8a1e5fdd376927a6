//! How fast is a training step, where does its time go, and how far is that from what the device can do?
//!
//! [`measure()`] makes a [`Measurement`]; [`table`] and [`figure`] show it, and a [`Comparison`] sets it
//! beside an earlier one.

mod ceilings;
#[cfg(not(target_family = "wasm"))]
pub mod compare;
#[cfg(all(feature = "pictures", not(target_family = "wasm")))]
pub mod figure;
#[cfg(not(target_family = "wasm"))]
pub mod measure;
pub mod measurement;
#[cfg(not(target_family = "wasm"))]
mod probe;
#[cfg(not(target_family = "wasm"))]
pub mod table;

pub use ceilings::Ceilings;
#[cfg(not(target_family = "wasm"))]
pub use compare::Comparison;
#[cfg(not(target_family = "wasm"))]
pub use measure::{Options, measure};
pub use measurement::{By, DispatchGroup, Measurement};
