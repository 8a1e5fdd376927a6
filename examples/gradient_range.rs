//! How large are the gradients of activations? The table behind the scale of `--activations f16` in
//! docs/numerics.md.
//!
//!     cargo run --release --example gradient_range -- [device [batch [size [steps]]]]

use std::sync::Arc;
use unheat::blocking::block_on;
use unheat::engine::device::find;
use unheat::gpu::{Checks, Gpu, Step};
use unheat::model::dtype::GRADIENT_SCALE;
use unheat::model::rectangles::draw_batch;
use unheat::model::rng::Purpose;
use unheat::model::unet::init::State;
use unheat::model::{Batch, Method, Operator, StepSpec, UNet, UNetConfig};

/// The smallest half with all its bits, half of the smallest with any, and the largest.
const NORMAL: f64 = 6.103515625e-5;
const LOST: f64 = 2.98e-8;
const LARGEST: f64 = 65504.0;

fn main() -> unheat::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let device = arguments.next().unwrap_or("0".to_owned());
    let mut number = |usual| arguments.next().and_then(|text| text.parse().ok()).unwrap_or(usual);
    let (batch, size, steps) = (number(16), number(64), number(50));
    let Ok(choice) = device.parse();
    let gpu = Arc::new(block_on(Gpu::open(&find(&choice)?, Checks::default()))?);
    let net = UNet::new(&UNetConfig::default());
    let heat = Operator::heat(size, size, 8.0)?;
    println!("{}, batch {batch}, {size}x{size}, scale {GRADIENT_SCALE}", gpu.name());
    println!(
        "method step    median |g|   largest |g|   headroom   subnormal   of the energy   lost   \
         array of the largest"
    );
    for method in [Method::Sip, Method::Gd] {
        let state = State::new(&net, 0);
        let mut step = Step::new(&gpu, &StepSpec::new(&net, &heat, method, batch), &state)?;
        for number in 0..steps {
            let rectangles = draw_batch(Purpose::Rectangles, 0, number as u64, batch, size, size);
            gpu.block_on(step.submit(&Batch::rectangles(rectangles)))?;
            if [0, 4, 19, 49, 99, 199].contains(&number) || number + 1 == steps {
                row(method, number, gpu.block_on(step.stored_gradients())?);
            }
        }
    }
    Ok(())
}

fn row(method: Method, step: usize, gradients: Vec<(String, Vec<f64>)>) {
    let mut largest = (0.0, String::new());
    let mut all = Vec::new();
    for (name, values) in gradients {
        for g in values.into_iter().map(f64::abs).filter(|&g| g > 0.0) {
            if g > largest.0 {
                largest = (g, name.clone());
            }
            all.push(g);
        }
    }
    all.sort_by(f64::total_cmp);
    let scale = f64::from(GRADIENT_SCALE);
    let energy = |values: &[f64]| values.iter().map(|g| g * g).sum::<f64>();
    let subnormal = all.partition_point(|g| g * scale < NORMAL);
    let lost = all.partition_point(|g| g * scale < LOST);
    let percent = |count: usize| 100.0 * count as f64 / all.len() as f64;
    println!(
        "{:<6} {step:>4} {:>13.2e} {:>13.2e} {:>9.0}x {:>9.3} % {:>15.1e} {:>7.4} %  {}",
        method.name(),
        all[all.len() / 2],
        largest.0,
        LARGEST / (scale * largest.0),
        percent(subnormal),
        energy(&all[..subnormal]) / energy(&all),
        percent(lost),
        largest.1
    );
}
