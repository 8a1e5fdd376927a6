//! How many bits does the physics need? Relative errors of the SIP update dx, computed in several ways, for
//! predictions from poor to nearly perfect: the table of docs/numerics.md.
//!
//! `cargo run --release --example numerics [-- DEVICE]`, where DEVICE is cpu (default), llvmpipe, …

use unheat::engine::{Device, operators};
use unheat::model::inverse::UNCERTAINTY;
use unheat::model::rectangles::{PER_SAMPLE, draw_batch};
use unheat::model::rng::{Purpose, Random};
use unheat::model::unet::init::State;
use unheat::model::{Batch, DType, Method, Operator, StepSpec, UNet, UNetConfig};
use unheat::{Result, cpu};

const SAMPLES: usize = 16;
const SIZE: usize = 64;

fn main() -> Result<()> {
    let device = std::env::args().nth(1).unwrap_or_else(|| "cpu".to_owned());
    let Ok(choice) = device.parse();
    let (device, note) = operators::device_for(Device::open(&choice)?, DType::F64);
    eprintln!("{}", note.unwrap_or_else(|| device.describe()));
    let heat = Operator::heat(SIZE, SIZE, 8.0)?;
    let rectangles = draw_batch(Purpose::Examples, 1, 0, SAMPLES, SIZE, SIZE);
    let truth = operators::rasterise(&device, DType::F64, &rectangles, PER_SAMPLE, SIZE, SIZE)?;

    println!(
        "| prediction | Fourier f64 | Fourier f32 | Fourier f32, x* rounded | literal f32 | naive f32 |"
    );
    println!("|---|---|---|---|---|---|");
    let row = |name: &str, truth: &[f64], prediction: &[f64]| -> Result<()> {
        let errors = errors(&device, &heat, truth, prediction)?;
        println!("| {name} | {} |", errors.map(|error| format!("{error:.1e}")).join(" | "));
        Ok(())
    };
    let blurred = operators::diffuse(&device, DType::F64, &Operator::heat(heat.nx, heat.ny, 6.0)?, &truth)?;
    row("0.6·P₆(x*) + 0.07", &truth, &rounded(blurred.iter().map(|v| 0.6 * v + 0.07)))?;
    for (exponent, level) in [1e-1, 1e-2, 1e-3, 1e-4, 1e-5].into_iter().enumerate() {
        let mut random = Random::new(Purpose::Examples, 2, exponent as u64, 0);
        // Uniform noise of standard deviation `level`.
        let noisy = truth.iter().map(|x| x + level * random.between(-1.0, 1.0) * 3f64.sqrt());
        row(&format!("x* + {level:.0e} noise"), &truth, &rounded(noisy))?;
    }
    let net = UNet::new(&UNetConfig::default());
    let spec = StepSpec::new(&net, &heat, Method::Sip, SAMPLES);
    let mut step = cpu::Step::<f32, f64>::new(&spec, &State::new(&net, 0));
    for t in 0..=20 {
        step.run(&Batch::rectangles(draw_batch(Purpose::Rectangles, 0, t, SAMPLES, SIZE, SIZE)));
        if [0, 5, 20].contains(&t) {
            let (truth, _, prediction) = step.fields();
            let prediction: Vec<f64> = prediction.iter().map(|&v| f64::from(v)).collect();
            row(&format!("network, step {t}"), truth, &prediction)?;
        }
    }
    Ok(())
}

/// Predictions are 32 bits wide, as networks make them.
fn rounded(values: impl Iterator<Item = f64>) -> Vec<f64> {
    values.map(|v| f64::from(v as f32)).collect()
}

fn difference(a: &[f64], b: &[f64]) -> Vec<f64> {
    a.iter().zip(b).map(|(a, b)| a - b).collect()
}

/// Errors of the five ways, in the table's order, against the literal form of method §3 in 64 bits: the
/// median over the samples of ‖dx - dx_ref‖/‖dx_ref‖.
fn errors(device: &Device, heat: &Operator, truth: &[f64], prediction: &[f64]) -> Result<[f64; 5]> {
    let (f32, f64) = (DType::F32, DType::F64);
    let diffuse = |precision, x: &[f64]| operators::diffuse(device, precision, heat, x);
    let invert = |precision, residual: &[f64]| -> Result<Vec<f64>> {
        Ok(operators::invert(device, precision, heat, UNCERTAINTY, residual)?.dx)
    };
    let update = |precision, truth: &[f64]| operators::sip_update(device, precision, heat, truth, prediction);

    let residual = difference(&diffuse(f64, truth)?, &diffuse(f64, prediction)?);
    let reference = invert(f64, &residual)?;
    let truth_in_f32 = rounded(truth.iter().copied());
    let naive = difference(&diffuse(f32, &truth_in_f32)?, &diffuse(f32, prediction)?);
    let ways = [
        update(f64, truth)?,
        update(f32, truth)?,
        update(f32, &truth_in_f32)?,
        invert(f32, &residual)?,
        invert(f32, &naive)?,
    ];
    let norm = |field: &[f64]| field.iter().map(|v| v * v).sum::<f64>().sqrt();
    Ok(ways.map(|dx| {
        let samples = dx.chunks_exact(heat.cells()).zip(reference.chunks_exact(heat.cells()));
        let mut errors: Vec<f64> = samples.map(|(a, b)| norm(&difference(a, b)) / norm(b)).collect();
        errors.sort_by(f64::total_cmp);
        errors[errors.len() / 2]
    }))
}
