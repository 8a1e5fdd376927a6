//! The roofline as a picture.

use crate::bench::measurement::{By, Measurement};
use crate::io::plots::roofline::{Dot, Roof, draw};
use crate::{Error, Result};
use std::path::Path;

/// Draws a dot for every kernel that declares operations, below the two ceilings, as a PNG file.
///
/// # Errors
/// [`Error::Usage`] for a benchmark without ceilings, [`Error::Io`] where the file cannot be written.
pub fn roofline(path: &Path, measured: &Measurement) -> Result<()> {
    let Some(ceilings) = &measured.ceilings else {
        return Err(Error::usage("no ceilings were measured, so there is no roofline to draw"));
    };
    let total = measured.total();
    let groups = measured.groups(By::Kernel);
    let dots: Vec<Dot> = groups
        .iter()
        .filter(|group| group.flops > 0 && group.bytes > 0)
        .map(|group| Dot {
            label: group.name.clone(),
            intensity: group.flops as f64 / group.bytes as f64,
            gflops: group.gflops(),
            share: group.ms / total.ms,
        })
        .collect();
    let roof = Roof { gflops: ceilings.gflops, gbytes_per_second: ceilings.gbytes_per_second };
    let settings = &measured.settings;
    let title = format!("{}, batch {}, {}", measured.device, settings.batch, settings.size);
    draw(path, &title, &roof, &dots)
}
