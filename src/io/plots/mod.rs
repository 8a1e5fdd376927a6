//! Drawings for people: curves, fields in colour, restorations beside each other, a device's roofline.

mod canvas;
pub mod curves;
pub mod field_panels;
mod font;
pub mod restoration;
pub mod roofline;
mod ticks;
