//! Every test that goes through the public API or the program and needs no process of its own, as one binary:
//! linking some thirty took longer than running them. `cargo test --test integration NAME` runs those of one
//! file.

mod commands;
mod numbers;
mod repository;
mod restoration;
mod robustness;
#[path = "../support/mod.rs"]
mod support;
