//! What happens when something goes wrong: lost devices, broken runs, numbers that are not finite.

mod loss_readback;
mod nonfinite;
mod recovery;
mod resume;
mod self_test;
mod submissions;
#[cfg(target_os = "linux")]
mod terminals;
mod validation_layers;
