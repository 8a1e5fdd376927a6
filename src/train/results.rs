//! The files that a run leaves in its folder besides the metrics.

use crate::io::atomic;
use crate::io::plots::curves::{self, Panel, Series};
use crate::io::plots::field_panels::{self, Panel as Picture};
use crate::io::tables::metrics::Row;
use crate::train::config::TrainConfig;
use crate::{Error, Result};
use std::path::Path;

/// Writes `config.toml`: the settings that reproduce the run.
///
/// `device` is what computed; `device = "auto"` may choose another elsewhere, with other rounding.
pub fn config(path: &Path, config: &TrainConfig, device: &str) -> Result<()> {
    let text = toml::to_string(config).map_err(|e| Error::file(path, e.to_string()))?;
    let version = env!("CARGO_PKG_VERSION");
    let note = format!(
        "# Settings of this run, named like the flags of `unheat train`.\n# unheat {version} on {device}\n{text}"
    );
    atomic::write(path, |file| file.write_all(note.as_bytes()))
}

/// Draws `curves.png`: x loss with its range over the batch, y loss, both over steps on a log scale.
pub fn curves(path: &Path, config: &TrainConfig, rows: &[Row]) -> Result<()> {
    let steps: Vec<u64> = rows.iter().map(|r| r.step).collect();
    let column = |pick: fn(&Row) -> f64| rows.iter().map(pick).collect::<Vec<f64>>();
    let label = config.method.title().to_owned();
    let x_loss = Series {
        label: label.clone(),
        steps: steps.clone(),
        values: column(|r| r.x_l2_mean),
        band: Some((column(|r| r.x_l2_min), column(|r| r.x_l2_max))),
    };
    let y_loss = Series { label: label.clone(), steps, values: column(|r| r.y_l2_mean), band: None };
    let panel = |title: &str, y_label: &str, series| Panel {
        title: title.to_owned(),
        x_label: "step".to_owned(),
        y_label: y_label.to_owned(),
        series: vec![series],
    };
    let mut panels = vec![panel("y loss (mean)", "½‖y* − y‖²", y_loss)];
    if config.observations.is_none() {
        panels.insert(0, panel("x loss (mean, min to max of the batch)", "½‖x* − x‖²", x_loss));
    }
    let title = format!("{label}, batch {}, {}, seed {}", config.batch, config.size, config.seed);
    curves::curves(path, &title, &panels)
}

/// Draws `reconstruction.png`: truth (where it is known), observation and prediction of the first two
/// examples, on one colour scale.
pub fn reconstruction(path: &Path, config: &TrainConfig, fields: &[Vec<f32>; 3]) -> Result<()> {
    let (nx, ny) = (config.size.nx, config.size.ny);
    let unknown = usize::from(config.observations.is_some());
    let titles = ["Ground truth", "Observation", "Prediction"];
    let rows: Vec<Vec<Picture>> = (0..config.batch.min(2))
        .map(|sample| {
            let panel = |(title, field): (&str, &Vec<f32>)| Picture {
                title: title.to_owned(),
                field: field[sample * nx * ny..][..nx * ny].to_vec(),
                nx,
                ny,
            };
            titles.into_iter().zip(fields).skip(unknown).map(panel).collect()
        })
        .collect();
    field_panels::panels(path, &rows)
}
