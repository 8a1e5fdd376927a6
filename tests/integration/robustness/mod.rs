//! What happens when something goes wrong: lost devices, broken runs, numbers that are not finite.

mod loss_readback;
mod nonfinite;
mod recovery;
mod resume;
mod same_data;
mod self_test;
mod submissions;
mod validation_layers;
