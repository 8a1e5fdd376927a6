//! Tables that grow with a run: metrics and validation as CSV, and JSON lines.

mod csv;
pub mod json_lines;
pub mod metrics;
pub mod validation;
