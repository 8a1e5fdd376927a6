//! Restoring measurements as people have them: any unit, size, edge and noise.

mod any_size;
mod invariances;
mod measurements;
mod networks;
mod operators;
