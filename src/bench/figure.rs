//! The roofline as a picture.

use crate::bench::report::{By, Report};
use crate::io::plots::roofline::{Dot, Roof, draw};
use crate::{Error, Result};
use std::path::Path;

/// Draws a dot for every kernel that declares operations, below the two ceilings, as a PNG file.
///
/// # Errors
/// [`Error::Usage`] for a benchmark without ceilings, [`Error::Io`] where the file cannot be written.
pub fn roofline(path: &Path, report: &Report) -> Result<()> {
    let Some(ceilings) = &report.ceilings else {
        return Err(Error::usage("no ceilings were measured, so there is no roofline to draw"));
    };
    let total = report.total();
    let rows = report.rows(By::Kernel);
    let dots: Vec<Dot> = rows
        .iter()
        .filter(|row| row.flops > 0 && row.bytes > 0)
        .map(|row| Dot {
            label: row.name.clone(),
            intensity: row.flops as f64 / row.bytes as f64,
            gflops: row.gflops(),
            share: row.ms / total.ms,
        })
        .collect();
    let roof = Roof { gflops: ceilings.gflops, gbytes_per_second: ceilings.gbytes_per_second };
    let settings = &report.settings;
    let title = format!("{}, batch {}, {}", report.device, settings.batch, settings.size);
    draw(path, &title, &roof, &dots)
}
