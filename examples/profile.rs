//! Where does a training step's time go? Runs every dispatch alone and adds up the times by kernel.
//!
//! `cargo run --release --example profile -- llvmpipe 16`

use std::collections::BTreeMap;
use unheat::gpu::Step;
use unheat::model::Batch;
use unheat::model::Precision;
use unheat::model::init::State;
use unheat::model::rectangles::draw_batch;
use unheat::model::rng::Purpose;
use unheat::train::{Compute, TrainConfig};

fn main() -> unheat::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let device = arguments.next().unwrap_or_else(|| "llvmpipe".to_owned());
    let batch = arguments.next().and_then(|text| text.parse().ok()).unwrap_or(16);
    let config = TrainConfig { batch, ..Default::default() };
    let plan = config.plan()?;
    let Ok(choice) = device.parse();
    let Compute::Gpu(gpu) = Compute::open(&choice)? else {
        return Err(unheat::Error::Usage("profile wants a GPU: name an adapter".to_owned()));
    };
    let state = State::new(&plan.net, 0);
    let mut step =
        Step::new(&gpu, &plan.net, &plan.heat, config.method, Precision::F32, plan.adam, batch, &state)?;
    step.submit(&Batch::Rectangles(draw_batch(Purpose::Rectangles, 0, 0, batch, 64, 64)))?;
    let mut by_kernel: BTreeMap<String, (usize, f64)> = BTreeMap::new();
    for (name, seconds) in step.time_each()? {
        let entry = by_kernel.entry(name).or_default();
        entry.0 += 1;
        entry.1 += seconds;
    }
    let mut rows: Vec<_> = by_kernel.into_iter().collect();
    rows.sort_by(|a, b| b.1.1.total_cmp(&a.1.1));
    let total: f64 = rows.iter().map(|row| row.1.1).sum();
    println!("{} dispatches, batch {batch}, {:.1} ms", step.dispatches(), 1e3 * total);
    for (name, (count, seconds)) in rows {
        println!("{name:<36} {count:>4} x {:>9.2} ms {:>5.1} %", 1e3 * seconds, 100.0 * seconds / total);
    }
    Ok(())
}
