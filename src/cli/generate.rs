//! `unheat generate`.

use super::Outcome;
use super::say::say;
use crate::cpu::rasterise::rasterise;
use crate::io::{npy, picture};
use crate::model::HeatEquation;
use crate::model::rectangles::draw;
use crate::model::rng::Purpose;
use crate::train::Size;
use crate::{Error, Result};
use clap::Args;
use rayon::prelude::*;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

#[derive(Args)]
pub(super) struct Arguments {
    /// Number of fields
    #[arg(long)]
    count: usize,
    /// Cells along x and y, powers of two from 8 to 2048
    #[arg(long, default_value = "64x64")]
    size: Size,
    /// Seed; field i is sample i of the first step of a training run with this seed
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// The array to write, [count, x, y] in 32-bit floats; replaced if it exists
    #[arg(short, long, value_name = "FILE.npy")]
    output: PathBuf,
    /// Also write every field as a picture into this folder
    #[arg(long, value_name = "DIR")]
    png: Option<PathBuf>,
}

pub(super) fn run(arguments: Arguments) -> Outcome {
    let Size { nx, ny } = arguments.size;
    HeatEquation::new(nx, ny, 0.0)?;
    let cells = nx * ny;
    let too_many = || Error::usage(format!("count {}: from 1 to what fits into memory", arguments.count));
    let len = arguments.count.checked_mul(cells).filter(|&len| len > 0).ok_or_else(too_many)?;
    let mut data: Vec<f32> = Vec::new();
    data.try_reserve_exact(len).map_err(|_| too_many())?;
    data.resize(len, 0.0);
    data.par_chunks_mut(cells).enumerate().for_each(|(i, field)| {
        let rectangles = draw(Purpose::Rectangles, arguments.seed, 0, i as u64, nx, ny);
        rasterise(&rectangles, nx, ny, field);
    });
    if let Some(folder) = &arguments.png {
        pictures(folder, &data, nx, ny)?;
    }
    let fields =
        npy::Fields { shape: [arguments.count, nx, ny], data: npy::FieldData::F32(data), rank2: false };
    npy::write(&arguments.output, &fields)?;
    say!("{} fields of {} cells are in {}", arguments.count, arguments.size, arguments.output.display());
    Ok(ExitCode::SUCCESS)
}

/// One PNG per field, all on the same colour scale.
fn pictures(folder: &Path, data: &[f32], nx: usize, ny: usize) -> Result<()> {
    std::fs::create_dir_all(folder).map_err(Error::io(folder, "cannot create the folder"))?;
    let hottest = data.iter().copied().fold(0.0, f32::max);
    for (i, field) in data.chunks_exact(nx * ny).enumerate() {
        picture::field(&folder.join(format!("{i:05}.png")), field, nx, ny, (0.0, hottest))?;
    }
    Ok(())
}
