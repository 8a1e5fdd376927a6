//! Prints and draws how the cost of a step grows with batch and size, from results of `unheat bench --json`.
//!
//! `cargo run --release --example scaling -- out.png FILE.json ...`

use serde_json::Value;
use std::path::Path;
use unheat::io::plots::curves::{CurvePanel, Series, curves};
use unheat::train::Size;
use unheat::{Error, Result};

/// One result.
struct Point {
    device: String,
    batch: u64,
    cells: u64,
    size: String,
    ms: f64,
}

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let out =
        arguments.next().ok_or_else(|| Error::Usage("say where to: out.png FILE.json ...".to_owned()))?;
    let mut points = arguments.map(|path| read(Path::new(&path))).collect::<Result<Vec<_>>>()?;
    points.sort_by(|a, b| {
        (&a.device, a.batch * a.cells, a.cells).cmp(&(&b.device, b.batch * b.cells, b.cells))
    });
    println!("| device | batch | size | ms per step | µs per cell |\n|---|---|---|---|---|");
    for p in &points {
        println!("| {} | {} | {} | {:.1} | {:.3} |", p.device, p.batch, p.size, p.ms, p.per_cell());
    }
    let panel = |title: &str, x_label: &str, keep: &dyn Fn(&Point) -> bool, x: &dyn Fn(&Point) -> u64| {
        let mut series: Vec<Series> = Vec::new();
        for point in points.iter().filter(|point| keep(point)) {
            if series.last().is_none_or(|last| last.label != point.device) {
                series.push(Series { label: point.device.clone(), ..Series::default() });
            }
            let last = series.last_mut().expect("just pushed");
            last.steps.push(x(point));
            last.values.push(point.per_cell());
        }
        CurvePanel {
            title: title.to_owned(),
            x_label: x_label.to_owned(),
            y_label: "µs per step, sample and cell".to_owned(),
            series,
        }
    };
    let panels = [
        panel("batches of 64x64", "batch", &|p| p.size == "64x64", &|p| p.batch),
        panel("fields, 8 to a batch", "cells", &|p| p.batch == 8, &|p| p.cells),
    ];
    curves(Path::new(&out), "", &panels)
}

impl Point {
    fn per_cell(&self) -> f64 {
        1e3 * self.ms / (self.batch * self.cells) as f64
    }
}

fn read(path: &Path) -> Result<Point> {
    let bad = |what: String| Error::Usage(format!("{}: {what}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|e| bad(e.to_string()))?;
    let result: Value = serde_json::from_str(&text).map_err(|e| bad(e.to_string()))?;
    let text = |value: &Value| value.as_str().map(str::to_owned).ok_or_else(|| bad("no text".to_owned()));
    let settings = &result["settings"];
    let size = text(&settings["size"])?;
    let Size { nx, ny } = size.parse().map_err(bad)?;
    let batch = settings["batch"].as_u64().ok_or_else(|| bad("no batch".to_owned()))?;
    let ms = result["step"]["ms"].as_f64().ok_or_else(|| bad("no time of a step".to_owned()))?;
    let device = text(&result["device"])?;
    let device = device.split(" (").next().unwrap_or(&device).to_owned();
    Ok(Point { device, batch, cells: (nx * ny) as u64, size, ms })
}
