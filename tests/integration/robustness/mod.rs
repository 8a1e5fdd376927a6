//! What happens when something goes wrong: lost devices, broken runs, numbers that are not finite.

mod loss_readback;
mod nonfinite;
mod outputs;
mod recovery;
mod resume;
mod same_data;
mod self_test;
mod streams;
mod submissions;
#[cfg(target_os = "linux")]
mod terminals;
mod validation_layers;
