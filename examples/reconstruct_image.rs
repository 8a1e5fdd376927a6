//! Restores a blurred picture with a trained network: predicts, then lets the physics correct the prediction.
//!
//! `cargo run --release --example reconstruct_image -- weights.safetensors blurred.png 8 restored.png`

use std::path::Path;
use unheat::engine::{Device, DeviceChoice, Norm, Trained};
use unheat::io::arrays::weights;
use unheat::io::images::photo;
use unheat::model::DType;
use unheat::restore::measurement::NoiseLevel;
use unheat::restore::network::refine::refine;
use unheat::restore::network::tiled::reconstruct_planes;
use unheat::restore::{Blur, Edges};
use unheat::{Error, Result};

fn main() -> Result<()> {
    let [network, input, amount, output] =
        std::env::args().skip(1).collect::<Vec<_>>().try_into().map_err(|_| {
            Error::Usage("say: weights.safetensors blurred.png AMOUNT restored.png".to_owned())
        })?;
    let amount = amount.parse().map_err(|_| Error::Usage(format!("amount {amount}: must be a number")))?;
    let (net, state) = weights::read(Path::new(&network))?;
    let blurred = photo::read(Path::new(&input))?;
    blurred.check_name(Path::new(&output))?;
    let device = Device::open(&DeviceChoice::Auto)?;

    // Every colour by itself, in tiles where the picture is large.
    let (planes, nx, ny) = (&blurred.planes, blurred.nx, blurred.ny);
    let trained = Trained { net: &net, state: &state, norm: Norm::Running };
    let predicted = reconstruct_planes(&device, trained, None, planes, nx, ny)?;

    // Damped inverses of what the prediction does not explain, as long as they explain more.
    let blur = Blur::new(&device, DType::F32, [nx, ny], amount, Edges::Insulated)?;
    let rounding = blurred.depth.rounding();
    let refined = refine(&blur, NoiseLevel::Auto, rounding, planes, &predicted, 10, Some((0.0, 1.0)))?;
    for (plane, (before, after)) in refined.before.iter().zip(&refined.after).enumerate() {
        println!(
            "plane {plane}: misfit {before:.3e} before, {after:.3e} after {} updates",
            refined.updates[plane]
        );
    }
    blurred.with_planes(&refined.x).write(Path::new(&output))
}
