//! The pictures that a run leaves in its folder.

use crate::Result;
use crate::io::plots::curves::{self, CurvePanel, Series};
use crate::io::plots::field_panels::{self, FieldPanel};
use crate::io::tables::metrics::MetricsRow;
use crate::train::config::TrainConfig;
use std::path::Path;

/// Draws `curves.png`: x loss with its range over the batch, y loss, both over steps on a log scale.
pub fn curves(path: &Path, config: &TrainConfig, rows: &[MetricsRow]) -> Result<()> {
    let steps: Vec<u64> = rows.iter().map(|r| r.step).collect();
    let column = |pick: fn(&MetricsRow) -> f64| rows.iter().map(pick).collect::<Vec<f64>>();
    let label = config.method.title().to_owned();
    let x_loss = Series {
        label: label.clone(),
        steps: steps.clone(),
        values: column(|r| r.x_l2_mean),
        band: Some((column(|r| r.x_l2_min), column(|r| r.x_l2_max))),
        ..Series::default()
    };
    let y_loss = Series { label: label.clone(), steps, values: column(|r| r.y_l2_mean), ..Series::default() };
    let panel = |title: &str, y_label: &str, series| CurvePanel {
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
    let rows: Vec<Vec<FieldPanel>> = (0..config.batch.min(2))
        .map(|sample| {
            let panel = |(title, field): (&str, &Vec<f32>)| FieldPanel {
                title: title.to_owned(),
                field: field[sample * nx * ny..][..nx * ny].to_vec(),
                nx,
                ny,
            };
            titles.into_iter().zip(fields).skip(unknown).map(panel).collect()
        })
        .collect();
    field_panels::panels(path, &rows, config.extent())
}
