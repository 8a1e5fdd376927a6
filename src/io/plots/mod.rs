//! Drawings for people: curves, points, fields in colour and films of them, restorations beside each other, a
//! device's roofline.

mod canvas;
pub mod curves;
pub mod field_panels;
pub mod film;
mod font;
mod panel;
pub mod points;
pub mod restoration;
pub mod roofline;
mod ticks;
