//! `unheat check`: the case list on one adapter or on all, in the variants that `train` uses there.

use crate::blocking::{adapters, block_on};
use crate::cases::{self, Case};
use crate::cli::errors::outcome::Outcome;
use crate::cli::flags::tuning::{self, Tuning};
use crate::cli::terminal::messages::print_line;
use crate::cli::terminal::progress::Counter;
use crate::engine::DeviceChoice;
use crate::engine::device::{NO_ADAPTER, find};
use crate::engine::known_devices;
use crate::gpu::{Checks, Gpu};
use crate::io::point_spread;
use crate::model::Operator;
use crate::model::operator::formula::Formula;
use crate::train::{Size, TrainConfig};
use crate::trust;
use crate::{Error, Result};
use clap::Args;
use std::process::ExitCode;
use std::sync::Arc;

/// What the table means.
pub(super) const NOTES: &str = "\
trusted and checked are the largest errors of the two builds of a kernel: as `train` runs it in a release
build, without bounds checks; and with the checks that wgpu injects, as debug builds run it. Both must be
within the tolerance. Where only trusted fails, a kernel most likely reaches beyond its data, or the driver
miscompiles it.

Most of the time is the driver's, which compiles every kernel twice: eight minutes for llvmpipe on two cores,
far less where shaders compile fast. --quick tries what a training with the default settings runs. The line
`self-test` has the verdict of the last trainings here: train, compare and reconstruct try a device that is
new to them, with a tenfold tolerance, and keep what they find in the user's cache folder.

Exit code 0: all agree; 1: some FAILED.";

#[derive(Args)]
pub(super) struct Arguments {
    /// An adapter's number in `unheat devices`, or any part of its name with a letter [default: every
    /// adapter]
    #[arg(long, value_name = "INDEX|NAME")]
    device: Option<String>,
    /// Only the kernels and the step of a default training, in a fraction of the time: what train itself
    /// tries on a device that is new to it
    #[arg(long)]
    quick: bool,
    /// Only the physics of this operator, on --size cells: factors as train takes them (docs/operators.md)
    #[arg(long, value_name = "NAME[:PARAMETERS]", conflicts_with = "quick")]
    operator: Option<Formula>,
    /// Cells along x and y, with --operator
    #[arg(long, default_value = "64x64", requires = "operator")]
    size: Size,
    /// Only the cases whose name contains this, such as conv3x3 or fft
    #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true)]
    only: String,
    #[command(flatten)]
    tuning: Tuning,
    /// Spoil one number of every output of the cases whose name contains this, to see the check fail
    #[arg(long, hide = true, value_name = "NAME")]
    perturb: Option<String>,
}

impl Arguments {
    /// The cases that are asked for.
    fn cases(&self) -> Result<Vec<Case>> {
        let all = match (&self.operator, self.quick) {
            (Some(operator), _) => {
                let Size { nx, ny } = self.size;
                let factors = point_spread::factors(operator, TrainConfig::default().amount)?;
                cases::physics::of_operator(2, &Operator::of(nx, ny, &factors)?)
            }
            (None, true) => cases::of_step(&TrainConfig::default().plan()?.step),
            (None, false) => cases::all(),
        };
        let wanted: Vec<Case> = all.into_iter().filter(|case| case.name.contains(&self.only)).collect();
        if wanted.is_empty() {
            let (only, quick) = (&self.only, if self.quick { " --quick" } else { "" });
            return Err(Error::usage(format!(
                "only '{only}': no case has this in its name; without --only, check{quick} lists them all"
            )));
        }
        Ok(wanted)
    }
}

pub(super) fn run(arguments: Arguments) -> Outcome {
    arguments.cases()?; // what is impossible is said first
    let adapters = match &arguments.device {
        None => adapters(),
        Some(device) => {
            let Ok(choice) = device.parse::<DeviceChoice>();
            if matches!(choice, DeviceChoice::Auto | DeviceChoice::Cpu) {
                return Err(Error::usage(format!(
                    "device '{device}': check compares a GPU with the CPU; name an adapter, or leave \
                     --device out for all"
                )));
            }
            vec![find(&choice)?]
        }
    };
    if adapters.is_empty() {
        return Err(Error::Device(NO_ADAPTER.to_owned()));
    }
    let mut failures = 0;
    for adapter in &adapters {
        failures += check(adapter, &arguments)?;
    }
    match failures {
        0 => Ok(ExitCode::SUCCESS),
        n => {
            print_line!("{n} FAILED");
            Ok(ExitCode::FAILURE)
        }
    }
}

/// Prints the table for one adapter and returns the number of failures.
fn check(adapter: &wgpu::Adapter, arguments: &Arguments) -> Result<usize> {
    let Arguments { tuning, perturb, .. } = arguments;
    let trusted = Arc::new(block_on(Gpu::open(adapter, Checks::Trusted))?);
    let checked = Arc::new(block_on(Gpu::open(adapter, Checks::Checked))?);
    if !tuning.no_tune {
        tuning::find(&trusted, &TrainConfig::default().plan()?.step)?;
    }
    // As train builds its kernels.
    let own = if Checks::default() == Checks::Trusted { &trusted } else { &checked };
    let kept = known_devices::path();
    trust::recall(own, kept.as_deref());
    trusted.set_remedies(own.remedies());
    checked.set_remedies(own.remedies());
    let variants = trusted.variants();
    let info = trusted.info();
    let cases = arguments.cases()?;
    print_line!("{} ({}, {})", info.name, info.backend, info.driver_info);
    print_line!("self-test: {}", trust::verdict(own, kept.as_deref()));
    print_line!("{:<36} {:<24} {:>9} {:>9} {:>9}", "case", "shape", "trusted", "checked", "tolerance");
    let mut failures = 0;
    let mut count = 0;
    let counter = Counter::new("case", cases.len() as u64);
    let row = |print: &dyn Fn()| {
        counter.above(print);
        counter.advance("");
    };
    for case in cases {
        let spoil = perturb.as_ref().is_some_and(|name| case.name.contains(name));
        if let Some(missing) = case.missing(&trusted) {
            let (name, shape) = (&case.name, &case.shape);
            row(&|| {
                print_line!("{name:<36} {shape:<24} {:>29}  skipped: the adapter has no {missing}", "");
            });
            continue;
        }
        let errors = [&trusted, &checked].map(|gpu| gpu.block_on(case.error_in(gpu, &variants, spoil)));
        let errors = match errors {
            [Ok(trusted), Ok(checked)] => [trusted, checked],
            [Err(error @ Error::Device(_)), _] | [_, Err(error @ Error::Device(_))] => {
                trusted.wait()?; // a device that is lost ends the table, a kernel that is refused does not
                failures += 1;
                count += 1;
                row(&|| print_line!("{:<36} {:<24} {error}  FAIL", case.name, case.shape));
                continue;
            }
            [Err(error), _] | [_, Err(error)] => return Err(error),
        };
        let ok = errors.iter().all(|&error| case.passes(error));
        failures += usize::from(!ok);
        count += 1;
        row(&|| {
            print_line!(
                "{:<36} {:<24} {:>9.1e} {:>9.1e} {:>9.0e}  {}",
                case.name,
                case.shape,
                errors[0],
                errors[1],
                case.tolerance,
                if ok { "ok" } else { "FAIL" }
            );
        });
    }
    counter.finish();
    if count == 0 {
        return Err(Error::Device(format!("{}: it has none of what these cases need", info.name)));
    }
    print_line!("{} of {count} cases agree with the CPU reference\n", count - failures);
    Ok(failures)
}
