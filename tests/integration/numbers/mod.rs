//! Numbers: against the reference system, between the engines, between variants, from run to run.

mod cases;
mod checksums;
mod classic;
mod compilers;
mod determinism;
mod golden_cpu;
mod golden_physics;
mod network_choices;
mod operators;
mod portability;
mod variants;
mod weights;
mod work;
