//! `unheat invert`.

use crate::cli::errors::outcome::Outcome;
use crate::cli::files::input::Input;
use crate::cli::files::{arrays, output};
use crate::cli::flags::device::DeviceFlag;
use crate::cli::flags::operator::OperatorFlags;
use crate::cli::terminal::messages::{note, print_line};
use crate::cpu::heat::inverse::Inverted;
use crate::engine::operators;
use crate::io::arrays::npy::Fields;
use crate::io::arrays::tensors::{self, Data, Tensor};
use crate::model::inverse::raw_kernel;
use crate::model::{DType, Operator};
use crate::{Error, Result};
use clap::Args;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

#[derive(Args)]
pub(super) struct Arguments {
    /// The residuals y* - P(x), or with --truth the predictions x: [batch, x, y] or [x, y] in 32- or 64-bit
    /// floats
    #[arg(short, long, value_name = "FILE.npy")]
    input: PathBuf,
    #[command(flatten)]
    operator: OperatorFlags,
    /// Uncertainty of the residual relative to its norm; rounded to 32 bits, as the reference system does
    #[arg(long, default_value_t = 1e-6, conflicts_with = "truth")]
    uncertainty: f64,
    /// The update dx to write, of the input's dtype and shape; replaced if it exists; - is standard output
    #[arg(short, long, value_name = "FILE.npy")]
    output: PathBuf,
    /// Compute in 32 or 64 bits [default: f64, or f32 with --truth, where 32 bits suffice]
    #[arg(long, value_parser = DType::physics_parser())]
    physics: Option<DType>,
    /// Also write what the inverse found: amp, kernel, sig_prob, raw_kernel, uncertainty
    #[arg(long, value_name = "FILE.safetensors", conflicts_with = "truth")]
    diagnostics: Option<PathBuf>,
    /// The true fields x*: then dx is computed in its training form, from x* and the prediction x
    #[arg(long, value_name = "FILE.npy")]
    truth: Option<PathBuf>,
    #[command(flatten)]
    device: DeviceFlag,
}

pub(super) fn run(arguments: Arguments) -> Outcome {
    output::check(&arguments.output, "npy")?;
    arguments.diagnostics.as_ref().map_or(Ok(()), |path| output::check(path, "safetensors"))?;
    let told = arguments.operator.told(None)?;
    let input = arrays::read_on_grid(&Input::open_array(&arguments.input)?)?;
    let [_, nx, ny] = input.shape;
    let operator = Operator::of(nx, ny, &told.factors)?;
    match &arguments.truth {
        Some(truth) => training_form(&arguments, truth, &input, &operator),
        None => literal(&arguments, &input, &operator),
    }
}

fn training_form(arguments: &Arguments, truth: &Path, input: &Fields, operator: &Operator) -> Outcome {
    let physics = arguments.physics.unwrap_or(DType::F32);
    let truth_fields = arrays::read_on_grid(&Input::open_array(truth)?)?;
    if truth_fields.shape != input.shape {
        return Err(Error::usage(format!(
            "{} has the shape {:?}, {} has {:?}; give one truth for each prediction",
            truth.display(),
            truth_fields.shape,
            arguments.input.display(),
            input.shape
        )));
    }
    let compute = arguments.device.open_for(physics)?;
    let (truth, prediction) = (arrays::widen(&truth_fields.data), arrays::widen(&input.data));
    let dx = operators::sip_update(&compute, physics, operator, &truth, &prediction)?;
    arrays::write_like(&arguments.output, dx, input)?;
    done(arguments, input)
}

fn literal(arguments: &Arguments, input: &Fields, operator: &Operator) -> Outcome {
    let physics = arguments.physics.unwrap_or(DType::F64);
    // The reference makes a float32 of this number before it widens it (method §3).
    let uncertainty = f64::from(arguments.uncertainty as f32);
    if !(uncertainty.is_finite() && uncertainty > 0.0) {
        let given = arguments.uncertainty;
        return Err(Error::usage(format!("uncertainty {given}: must be a positive 32-bit number")));
    }
    let compute = arguments.device.open_for(physics)?;
    if physics == DType::F32 {
        note!(
            "physics f32 without --truth: dx is good to about 2e-2, since the residual's own rounding is \
             inverted too"
        );
    }
    let inverted = operators::invert(&compute, physics, operator, uncertainty, &arrays::widen(&input.data))?;
    let dx = arrays::narrow(&arguments.output, inverted.dx.clone(), arrays::precision(&input.data))?;
    if let Some(path) = &arguments.diagnostics {
        diagnostics(path, &inverted, operator, input.shape)?;
    }
    let Fields { shape, rank2, .. } = *input;
    output::array(&arguments.output, &Fields { shape, data: dx, rank2 })?;
    done(arguments, input)
}

fn done(arguments: &Arguments, input: &Fields) -> Outcome {
    let (counted, output) = (arrays::counted(input.shape), arguments.output.display());
    print_line!("the updates of {counted} are in {output}");
    Ok(ExitCode::SUCCESS)
}

/// The reference system's names and shapes, in 64 bits whatever the physics.
fn diagnostics(path: &Path, found: &Inverted<f64>, operator: &Operator, shape: [usize; 3]) -> Result<()> {
    let tensor = |name: &str, shape: &[usize], values: &[f64]| Tensor {
        name: name.to_owned(),
        shape: shape.to_vec(),
        data: Data::F64(values.to_vec()),
    };
    let all = [
        tensor("amp", &shape, &found.amp),
        tensor("kernel", &shape, &found.kernel),
        tensor("sig_prob", &shape, &found.sig_prob),
        tensor("raw_kernel", &shape[1..], &raw_kernel(operator)),
        tensor("uncertainty", &shape[..1], &found.uncertainty),
    ];
    tensors::write(path, &all, None)
}
