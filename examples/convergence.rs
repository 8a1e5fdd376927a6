//! Draws the x and y loss of several runs in one figure, from their `metrics.csv`.
//!
//! `cargo run --release --example convergence -- out.png SIP=runs/sip-001 SIP=runs/sip-002 GD=runs/gd-001`
//!
//! Runs of one label share a colour.

use std::path::Path;
use unheat::io::plots::curves::{CurvePanel, Series, curves};
use unheat::io::tables::metrics::{self, MetricsRow};
use unheat::{Error, Result};

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let out =
        arguments.next().ok_or_else(|| Error::Usage("say where to: out.png LABEL=FOLDER ...".to_owned()))?;
    let mut runs = Vec::new();
    for argument in arguments {
        let Some((label, folder)) = argument.split_once('=') else {
            return Err(Error::Usage(format!("{argument}: write LABEL=FOLDER")));
        };
        runs.push((label.to_owned(), metrics::read(&Path::new(folder).join("metrics.csv"))?));
    }
    let panel = |title: &str, y_label: &str, pick: fn(&MetricsRow) -> f64| CurvePanel {
        title: title.to_owned(),
        x_label: "step".to_owned(),
        y_label: y_label.to_owned(),
        series: runs
            .iter()
            .map(|(label, rows)| Series {
                label: label.clone(),
                steps: rows.iter().map(|r| r.step).collect(),
                values: rows.iter().map(pick).collect(),
                ..Series::default()
            })
            .collect(),
    };
    let panels = [
        panel("x loss (mean of the batch)", "½‖x* − x‖²", |r| r.x_l2_mean),
        panel("y loss (mean of the batch)", "½‖y* − y‖²", |r| r.y_l2_mean),
    ];
    curves(Path::new(&out), "", &panels)
}
