//! `unheat generate`.

use crate::cli::errors::outcome::Outcome;
use crate::cli::files::named::check_members;
use crate::cli::files::{arrays, output};
use crate::cli::flags::device::DeviceFlag;
use crate::cli::flags::film::Animation;
use crate::cli::flags::operator::OperatorFlags;
use crate::cli::terminal::messages::print_line;
use crate::engine::{Device, operators};
use crate::io::arrays::npy::Fields;
use crate::io::arrays::rectangles::{self, Rectangles};
use crate::io::memory;
use crate::io::plots::{field_panels, film};
use crate::model::operator::amounts::Amounts;
use crate::model::operator::factor::Factor;
use crate::model::rectangles::{PER_SAMPLE, draw_batch};
use crate::model::rng::Purpose;
use crate::model::{DType, Operator, operator};
use crate::train::Size;
use crate::{Error, Result};
use clap::Args;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// The default of `--device`: a few fields are drawn before a GPU is open.
pub(super) const DEVICE: &str = "cpu";

#[derive(Args)]
pub(super) struct Arguments {
    /// Number of random fields
    #[arg(long, required_unless_present_any = ["rectangles", "film"], conflicts_with = "rectangles")]
    count: Option<usize>,
    /// Make a film of one random field instead, of N fields: the first as it is drawn, each further one
    /// diffused by --time-step more
    #[arg(long, value_name = "N", conflicts_with_all = ["count", "rectangles"], requires = "time_step")]
    film: Option<usize>,
    /// How much more each field of a film has diffused than the one before, in cells²
    #[arg(long, value_name = "A", requires = "film")]
    time_step: Option<Amounts>,
    #[command(flatten)]
    animation: Animation,
    /// Also write what an observer sees of the fields, by --amount or --operator
    #[arg(long, value_name = "FILE.npy")]
    observed: Option<PathBuf>,
    #[command(flatten)]
    operator: OperatorFlags,
    /// Draw these rectangles instead of random ones: center and half_size [B,R,2], strength [B,R], in cells
    #[arg(long, value_name = "FILE.safetensors", conflicts_with = "seed")]
    rectangles: Option<PathBuf>,
    /// Cells along x and y, powers of two from 8 to 2048
    #[arg(long, default_value = "64x64")]
    size: Size,
    /// Seed of the random fields, which no training run draws
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Draw the fields of this step, counted from 0, of a training run with this seed: field i is its
    /// sample i
    #[arg(long, value_name = "N", conflicts_with = "rectangles")]
    training_step: Option<u64>,
    /// Compute in 32 or 64 bits; also the dtype of the array
    #[arg(long, value_parser = DType::physics_parser(), default_value_t = DType::F32)]
    physics: DType,
    /// The array to write, [count, x, y]; replaced if it exists; - is standard output
    #[arg(short, long, value_name = "FILE.npy")]
    output: PathBuf,
    /// Also write the rectangles, in the form that --rectangles reads
    #[arg(long, value_name = "FILE.safetensors")]
    save_rectangles: Option<PathBuf>,
    /// Also write every field as a picture into this folder, 00000.png and so on; replaced if they exist
    #[arg(long, value_name = "DIR")]
    png: Option<PathBuf>,
    #[command(flatten)]
    device: DeviceFlag,
}

pub(super) fn run(arguments: Arguments) -> Outcome {
    let Size { nx, ny } = arguments.size;
    operator::check_size(nx, ny)?;
    output::check(&arguments.output, "npy")?;
    arguments.animation.check(false)?;
    arguments.observed.as_ref().map_or(Ok(()), |path| output::check(path, "npy"))?;
    if arguments.observed.is_none() && arguments.operator.is_told() {
        return Err(Error::usage("--amount and --operator are for --observed FILE.npy; add that"));
    }
    let observer = match arguments.observed {
        Some(_) => Some(Operator::of(nx, ny, &arguments.operator.told(None)?.factors)?),
        None => None,
    };
    arguments.save_rectangles.as_ref().map_or(Ok(()), |path| output::check(path, "safetensors"))?;
    let rectangles = match (&arguments.rectangles, arguments.count) {
        (Some(path), _) => rectangles::read(path)?,
        (None, count) => drawn(
            count.unwrap_or(arguments.film.map_or(0, |frames| frames.min(1))),
            arguments.seed,
            arguments.training_step,
            nx,
            ny,
        )?,
    };
    // Two copies of the fields in 64 bits.
    let count = arguments.film.unwrap_or(rectangles.batch());
    let needed = (count as u64).saturating_mul((16 * nx * ny) as u64);
    memory::check(needed)
        .map_err(|what| Error::usage(format!("{what}; generate fewer or smaller fields")))?;
    let pictures = arguments.png.as_deref().map_or(Ok(Vec::new()), |folder| {
        let pictures = names(folder, count);
        let others = [
            Some(&arguments.output),
            arguments.save_rectangles.as_ref(),
            arguments.rectangles.as_ref(),
            arguments.observed.as_ref(),
            arguments.animation.path(),
        ];
        let others = others.into_iter().flatten().map(PathBuf::as_path);
        check_members(others, pictures.iter().map(PathBuf::as_path))?;
        std::fs::create_dir_all(folder).map_err(Error::io(folder, "cannot create the folder"))?;
        pictures.iter().filter(|path| path.exists()).try_for_each(|path| output::check(path, "png"))?;
        Ok::<_, Error>(pictures)
    })?;
    let compute = arguments.device.open_for(arguments.physics)?;
    let Rectangles { list, per_sample } = &rectangles;
    let mut data = operators::rasterise(&compute, arguments.physics, list, *per_sample, nx, ny)?;
    if let (Some(_), Some(step)) = (arguments.film, arguments.time_step) {
        data = filmed(&compute, arguments.physics, &data, count, step, [nx, ny])?;
    }
    arguments.animation.write(&data, [nx, ny], film::Palette::Inferno)?;
    let shape = [count, nx, ny];
    if let (Some(path), Some(observer)) = (&arguments.observed, &observer) {
        let seen = operators::diffuse(&compute, arguments.physics, observer, &data)?;
        let data = arrays::narrow(path, seen, arguments.physics)?;
        output::array(path, &Fields { shape, data, rank2: false })?;
    }
    let data = arrays::narrow(&arguments.output, data, arguments.physics)?;
    let fields = Fields { shape, data, rank2: false };
    output::array(&arguments.output, &fields)?;
    if let Some(path) = &arguments.save_rectangles {
        rectangles::write(path, &rectangles)?;
    }
    draw(&pictures, &arrays::widen(&fields.data), nx, ny)?;
    print_line!("{}, in {}", arrays::counted(shape), arguments.output.display());
    if let Some(step) = arguments.training_step {
        print_line!(
            "they are what step {step} of a training run with --seed {} and this --size draws",
            arguments.seed
        );
    }
    Ok(ExitCode::SUCCESS)
}

/// A film of a field x `[nx, ny]`: frame i has diffused by i steps.
fn filmed(
    compute: &Device,
    physics: DType,
    x: &[f64],
    frames: usize,
    step: Amounts,
    [nx, ny]: [usize; 2],
) -> Result<Vec<f64>> {
    let mut film = x.to_vec();
    for i in 1..frames {
        let factor = Factor::heat(step.0.map(|step| i as f64 * step))?;
        film.append(&mut operators::diffuse(compute, physics, &Operator::of(nx, ny, &[factor])?, x)?);
    }
    Ok(film)
}

fn drawn(count: usize, seed: u64, training_step: Option<u64>, nx: usize, ny: usize) -> Result<Rectangles> {
    if count == 0 {
        return Err(Error::usage("count 0: from 1 to what fits into memory"));
    }
    // Two copies of the fields in 64 bits, and their rectangles.
    let needed = (count as u64).saturating_mul((16 * nx * ny + 64 * PER_SAMPLE) as u64);
    let refused = |what| Error::usage(format!("count {count}: {what}; generate fewer, or smaller ones"));
    memory::check(needed).map_err(refused)?;
    let list = match training_step {
        None => draw_batch(Purpose::Generated, seed, 0, count, nx, ny),
        Some(step) => draw_batch(Purpose::Rectangles, seed, step, count, nx, ny),
    };
    Ok(Rectangles { list, per_sample: PER_SAMPLE })
}

/// The names of the pictures of so many fields.
fn names(folder: &Path, count: usize) -> Vec<PathBuf> {
    (0..count).map(|i| folder.join(format!("{i:05}.png"))).collect()
}

/// One PNG per field, all on the same colour scale.
fn draw(pictures: &[PathBuf], data: &[f64], nx: usize, ny: usize) -> Result<()> {
    let hottest = data.iter().copied().fold(0.0, f64::max) as f32;
    for (path, field) in pictures.iter().zip(data.chunks_exact(nx * ny)) {
        let field: Vec<f32> = field.iter().map(|&v| v as f32).collect();
        field_panels::field(path, &field, nx, ny, (0.0, hottest))?;
    }
    Ok(())
}
