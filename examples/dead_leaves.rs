//! Draws pictures to train on where there are no photographs: "dead leaves", discs of all sizes that lie on
//! one another, each with a grey, a shading and a grain of its own. Their edges and their many scales are
//! those of natural images (Lee, Mumford, Huang 2001).
//!
//! `cargo run --release --example dead_leaves -- FOLDER 64` draws 64 pictures of 256x256 pixels.

use std::path::Path;
use unheat::io::images::photo::{Depth, Photo};
use unheat::model::rng::{Purpose, Random};
use unheat::{Error, Result};

const SIDE: usize = 256;
/// Samples of a pixel along either axis.
const SAMPLES: usize = 2;
/// Radii in pixels; their density falls with the cube, which looks the same at every scale.
const RADII: [f64; 2] = [3.0, 120.0];

struct Leaf {
    x: f64,
    y: f64,
    radius: f64,
    grey: f64,
    /// Change of grey over a radius, along x and y.
    shading: [f64; 2],
    /// Amplitude, and waves across a radius along x and y.
    texture: [f64; 3],
}

fn main() -> Result<()> {
    let usage = || Error::Usage("say where and how many: FOLDER COUNT".to_owned());
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().ok_or_else(usage)?;
    let count: u64 = arguments.next().and_then(|count| count.parse().ok()).ok_or_else(usage)?;
    std::fs::create_dir_all(&folder).map_err(|e| Error::Usage(format!("{folder}: {e}")))?;
    for number in 0..count {
        let path = Path::new(&folder).join(format!("{number:03}.png"));
        Photo::new(SIDE, SIDE, picture(number), Depth::Sixteen).write(&path)?;
    }
    Ok(())
}

/// `[SIDE, SIDE]`, 0 to 1.
fn picture(number: u64) -> Vec<f64> {
    let mut random = Random::new(Purpose::Examples, number, 0, 0);
    let fine = SIDE * SAMPLES;
    let mut values = vec![f64::NAN; fine * fine];
    let mut bare = values.len();
    // From the top leaf down: a sample takes the first that covers it, until nothing is bare.
    while bare > 0 {
        let leaf = draw(&mut random, bare < values.len() / 100);
        let range = |centre: f64| {
            let end = |v: f64| (v * SAMPLES as f64).clamp(0.0, fine as f64) as usize;
            end(centre - leaf.radius)..end(centre + leaf.radius + 1.0)
        };
        for i in range(leaf.x) {
            for j in range(leaf.y) {
                let at = |k: usize| (k as f64 + 0.5) / SAMPLES as f64;
                let (u, v) = ((at(i) - leaf.x) / leaf.radius, (at(j) - leaf.y) / leaf.radius);
                let value = &mut values[i * fine + j];
                if u * u + v * v <= 1.0 && value.is_nan() {
                    let [amplitude, along_x, along_y] = leaf.texture;
                    let wave = amplitude * (along_x * u + along_y * v).sin();
                    *value = (leaf.grey + leaf.shading[0] * u + leaf.shading[1] * v + wave).clamp(0.0, 1.0);
                    bare -= 1;
                }
            }
        }
    }
    let mean = |x: usize, y: usize| {
        let samples = (0..SAMPLES * SAMPLES).map(|k| (SAMPLES * x + k / SAMPLES, SAMPLES * y + k % SAMPLES));
        samples.map(|(i, j)| values[i * fine + j]).sum::<f64>() / (SAMPLES * SAMPLES) as f64
    };
    (0..SIDE * SIDE).map(|i| mean(i / SIDE, i % SIDE)).collect()
}

/// A leaf that may stick out of the picture; a large one to cover the last gaps.
fn draw(random: &mut Random, large: bool) -> Leaf {
    let [least, most] = RADII.map(|r| r.powi(-2));
    let radius = if large { RADII[1] } else { random.between(most, least).powf(-0.5) };
    let side = SIDE as f64;
    let mut shading = || random.between(-0.25, 0.25);
    let shading = [shading(), shading()];
    Leaf {
        x: random.between(-radius, side + radius),
        y: random.between(-radius, side + radius),
        radius,
        grey: random.uniform(),
        shading,
        texture: [random.between(0.0, 0.08), random.between(-20.0, 20.0), random.between(-20.0, 20.0)],
    }
}
