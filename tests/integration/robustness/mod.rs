//! What happens when something goes wrong: lost devices, broken runs, numbers that are not finite.

mod nonfinite;
mod recovery;
mod resume;
mod ring;
mod submissions;
mod validation_layers;
