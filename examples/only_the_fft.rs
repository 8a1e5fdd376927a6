//! Uses nothing of unheat but its FFT on the GPU: finds the wave in a picture of one.
//!
//! `cargo run --release --example only_the_fft`

use unheat::engine::{Device, DeviceChoice};
use unheat::gpu::Recorder;
use unheat::gpu::heat::fft::{Fft, Load, Store};
use unheat::model::DType;
use unheat::{Error, Result};

const NX: usize = 64;
const NY: usize = 128;

fn main() -> Result<()> {
    let Device::Gpu(gpu) = Device::open(&DeviceChoice::Index(0))? else {
        return Err(Error::Device("no GPU found; run scripts/setup".to_owned()));
    };
    // Two real fields travel as one complex field u + i·v.
    let wave = |x: usize, y: usize, kx: f64, ky: f64| {
        (std::f64::consts::TAU * (kx * x as f64 / NX as f64 + ky * y as f64 / NY as f64)).cos() as f32
    };
    let field = |kx, ky| (0..NX * NY).map(move |i| wave(i / NY, i % NY, kx, ky));
    let fields: Vec<f32> = field(3.0, 5.0).chain(field(10.0, 0.0)).collect();

    let input = gpu.tensor_from("two fields", &fields)?;
    let [scratch, spectrum, output] =
        ["scratch", "spectrum", "fields again"].map(|label| gpu.tensor(label, 2 * NX * NY));
    let (scratch, spectrum, output) = (scratch?, spectrum?, output?);
    let fft = Fft::new(&gpu, NX, NY, 2, DType::F32)?;
    let mut recorder = Recorder::new(&gpu);
    fft.forward(&mut recorder, Load::Real(&input), &scratch, Store::Complex(&spectrum))?;
    fft.inverse(&mut recorder, Load::Complex(&spectrum), &scratch, Store::Real(&output))?;
    recorder.finish().submit(&gpu);

    let spectrum = gpu.read(&spectrum)?;
    let energy = |mode: usize| spectrum[2 * mode].powi(2) + spectrum[2 * mode + 1].powi(2);
    let mut modes: Vec<usize> = (0..NX * NY).collect();
    modes.sort_by(|&a, &b| energy(b).total_cmp(&energy(a)));
    for mode in &modes[..4] {
        println!("mode ({}, {}): amplitude {}", mode / NY, mode % NY, energy(*mode).sqrt());
    }
    let worst = gpu.read(&output)?.iter().zip(&fields).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    println!("there and back: off by at most {worst:.1e}");
    Ok(())
}
