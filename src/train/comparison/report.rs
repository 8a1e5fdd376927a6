//! What `unheat compare` leaves besides the runs: curves, reconstructions, and a report as Markdown and as
//! one HTML file with the pictures in it.

use crate::io::plots::curves::{self, CurvePanel, Series};
use crate::io::plots::field_panels::{self, FieldPanel};
use crate::io::tables::metrics::MetricsRow;
use crate::io::{atomic, html};
use crate::train::comparison::{Score, Trial};
use crate::train::config::TrainConfig;
use crate::train::summary::{Statistics, number};
use crate::{Error, Result};
use std::path::Path;

/// Steps on either side that the y loss is averaged over: it changes with every batch.
const SMOOTHING: usize = 4;

/// Fields that are drawn.
const DRAWN: usize = 3;

/// A trained method with its metrics.
pub struct Trained {
    /// Its name in legends and tables.
    pub name: String,
    /// Its `metrics.csv`.
    pub rows: Vec<MetricsRow>,
}

/// Draws `curves.png`: the x loss of every method, and the y loss, averaged over neighbouring steps.
pub fn curves(path: &Path, config: &TrainConfig, methods: &[Trained]) -> Result<()> {
    let panel = |title: String, y_label: &str, values: &dyn Fn(&[MetricsRow]) -> Vec<f64>| CurvePanel {
        title,
        x_label: "step".to_owned(),
        y_label: y_label.to_owned(),
        series: methods
            .iter()
            .map(|method| Series {
                label: method.name.clone(),
                steps: method.rows.iter().map(|row| row.step).collect(),
                values: values(&method.rows),
                ..Series::default()
            })
            .collect(),
    };
    let column =
        |rows: &[MetricsRow], pick: fn(&MetricsRow) -> f64| rows.iter().map(pick).collect::<Vec<f64>>();
    let panels = [
        panel("x loss (mean)".to_owned(), "½‖x* − x‖²", &|rows| column(rows, |row| row.x_l2_mean)),
        panel(format!("y loss (mean of {} steps)", 2 * SMOOTHING + 1), "½‖y* − y‖²", &|rows| {
            smoothed(&column(rows, |row| row.y_l2_mean))
        }),
    ];
    let title =
        format!("batch {}, {}, {}, seed {}", config.batch, config.size, config.observed(), config.seed);
    curves::curves(path, &title, &panels)
}

/// The mean over each value and its neighbours, as far as there are any.
fn smoothed(values: &[f64]) -> Vec<f64> {
    let around = |i: usize| &values[i.saturating_sub(SMOOTHING)..(i + SMOOTHING + 1).min(values.len())];
    (0..values.len()).map(|i| around(i).iter().sum::<f64>() / around(i).len() as f64).collect()
}

/// Draws `reconstructions.png`: truth, observation and every network's answer, on one colour scale.
pub fn reconstructions(path: &Path, config: &TrainConfig, trial: &Trial, scores: &[Score]) -> Result<()> {
    let operator = &trial.operator;
    let cells = operator.cells();
    let drawn = DRAWN.min(trial.truth.len() / cells);
    let picture = |title: &str, field: Vec<f32>| FieldPanel {
        title: title.to_owned(),
        field,
        nx: operator.nx,
        ny: operator.ny,
    };
    let narrow = |values: &[f64]| values.iter().map(|&v| v as f32).collect();
    let rows: Vec<Vec<FieldPanel>> = (0..drawn)
        .map(|sample| {
            let range = sample * cells..(sample + 1) * cells;
            let mut row = vec![
                picture("Ground truth", narrow(&trial.truth[range.clone()])),
                picture("Observation", trial.observation[range.clone()].to_vec()),
            ];
            row.extend(
                scores.iter().map(|score| picture(&score.name, narrow(&score.restored[range.clone()]))),
            );
            row
        })
        .collect();
    field_panels::panels(path, &rows, config.extent())
}

/// Writes `report.md` and `report.html` into the folder that holds the pictures.
pub fn write(
    folder: &Path,
    config: &TrainConfig,
    device: &str,
    trial: &Trial,
    scores: &[Score],
) -> Result<()> {
    let settings = toml::to_string(config).map_err(|e| Error::file(folder, e.to_string()))?;
    let settings: String = settings
        .lines()
        .filter(|line| !line.starts_with("method"))
        .fold(String::new(), |text, line| text + line + "\n");
    let header = ["method", "x loss (½Σ)", "L1 (Σ)", "y loss", "PSNR, dB", "SSIM", "ms per step"];
    let rows: Vec<[String; 7]> = scores.iter().map(cells).collect();
    let paragraphs = [
        format!("unheat {} on {device}.", env!("CARGO_PKG_VERSION")),
        format!(
            "Tried on {}, noise {}. Mean ± standard deviation (smallest...largest) over the fields; \
             networks normalise with the statistics of the batch, as in training. \
             PSNR and SSIM are relative to the range of each truth.",
            trial.description, config.noise
        ),
    ];
    let pictures = [("Loss over steps", "curves.png"), ("Reconstructions", "reconstructions.png")];

    let mut markdown = "# unheat compare\n".to_owned();
    paragraphs.iter().for_each(|text| markdown += &format!("\n{text}\n"));
    markdown += &format!("\n| {} |\n|{}\n", header.join(" | "), "---|".repeat(header.len()));
    rows.iter().for_each(|row| markdown += &format!("| {} |\n", row.join(" | ")));
    pictures.iter().for_each(|(title, file)| markdown += &format!("\n## {title}\n\n![{title}]({file})\n"));
    markdown += &format!("\n## Settings\n\n```toml\n{settings}```\n");
    atomic::write(&folder.join("report.md"), |file| file.write_all(markdown.as_bytes()))?;

    let mut page = html::Page::new("unheat compare");
    paragraphs.iter().for_each(|text| page.paragraph(text));
    page.table(&header, &rows);
    for (title, file) in pictures {
        page.heading(title);
        page.picture(&folder.join(file), title)?;
    }
    page.heading("Settings");
    page.code(&settings);
    page.write(&folder.join("report.html"))
}

fn cells(score: &Score) -> [String; 7] {
    [
        score.name.clone(),
        text(&score.x_l2),
        text(&score.x_l1),
        text(&score.y_l2),
        text(&score.psnr),
        score.ssim.as_ref().map_or("–".to_owned(), text),
        score.seconds_per_step.map_or("–".to_owned(), |s| format!("{:.1}", 1e3 * s)),
    ]
}

/// Mean ± standard deviation (smallest...largest).
fn text(statistics: &Statistics) -> String {
    let Statistics { mean, std, min, max } = *statistics;
    format!("{} ± {} ({}...{})", number(mean), number(std), number(min), number(max))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn smoothing_keeps_constants_and_length() {
        assert_eq!(smoothed(&[2.0; 20]), [2.0; 20]);
        assert_eq!(smoothed(&[1.0]), [1.0]);
        let mut spike = [0.0; 20];
        spike[10] = 9.0;
        let smooth = smoothed(&spike);
        assert_eq!((smooth[5], smooth[6], smooth[10], smooth[14], smooth[15]), (0.0, 1.0, 1.0, 1.0, 0.0));
    }
}
