//! The library in one page: trains a small network, draws its losses, keeps its weights.
//!
//! `cargo run --release --example train_and_plot -- curve.png weights.safetensors`

use std::path::Path;
use unheat::engine::{Device, DeviceChoice};
use unheat::io::arrays::weights;
use unheat::io::plots::curves::{CurvePanel, Series, curves};
use unheat::model::UNetConfig;
use unheat::train::{Size, TrainConfig};
use unheat::{Error, Result};

fn main() -> Result<()> {
    let [curve, kept] = std::env::args()
        .skip(1)
        .collect::<Vec<_>>()
        .try_into()
        .map_err(|_| Error::Usage("say where to: curve.png weights.safetensors".to_owned()))?;
    let config = TrainConfig {
        steps: 40,
        batch: 8,
        size: Size { nx: 32, ny: 32 },
        levels: 3,
        net: UNetConfig { filters: vec![8], ..Default::default() },
        ..TrainConfig::default()
    };
    // Every value is checked and every file read before a device is opened.
    let mut plan = config.plan()?;
    let device = Device::open(&DeviceChoice::Auto)?;
    let mut trainer = plan.trainer(&device)?;
    for step in 0..config.steps {
        trainer.submit(&plan.data.batch(step))?; // a GPU works on while the next batch is drawn
    }
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let losses: Vec<f64> = trainer.losses(true)?.iter().map(|losses| mean(&losses.x_l2)).collect();
    println!("x loss from {:.1} to {:.1}", losses[0], losses[losses.len() - 1]);

    let series = Series {
        label: "SIP".into(),
        steps: (0..config.steps).collect(),
        values: losses,
        ..Series::default()
    };
    let panel = CurvePanel {
        title: "x loss".into(),
        x_label: "step".into(),
        y_label: "½‖x* − x‖²".into(),
        series: vec![series],
    };
    curves(Path::new(&curve), "", &[panel])?;
    weights::write(Path::new(&kept), &plan.step.net, &trainer.state()?, None)
}
