//! `unheat bench`.

use crate::bench::{self, By, Comparison, Measurement, Options, figure, table};
use crate::cli::errors::outcome::Outcome;
use crate::cli::files::output;
use crate::cli::flags::device;
use crate::cli::flags::settings::StepSettings;
use crate::cli::flags::tuning::Tuning;
use crate::cli::terminal::messages::{note, print_line};
use crate::engine::{Device, DeviceChoice};
use crate::gpu::Timing;
use crate::gpu::runtime::profiler;
use crate::{Error, Result};
use clap::builder::PossibleValue;
use clap::{Args, ValueEnum};
use serde::Serialize;
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    settings: StepSettings,
    #[command(flatten)]
    tuning: Tuning,
    /// Rows of the table: a kernel, a layer, or each dispatch
    #[arg(long, value_enum, default_value_t = By::Kernel)]
    by: By,
    /// Steps to time [default: as many as take 3 seconds]
    #[arg(long)]
    steps: Option<usize>,
    /// Time dispatches by the GPU's clock or by the host's [default: timestamps, where the adapter has
    /// them and they can be believed]
    #[arg(long, value_enum)]
    timing: Option<Timing>,
    /// Print everything measured as JSON, for tools and for --compare
    #[arg(long)]
    json: bool,
    /// Also print the ratios to an earlier result, a file that --json wrote
    #[arg(long, value_name = "FILE.json")]
    compare: Option<PathBuf>,
    /// Also draw the roofline: a dot per kernel below what the device can do; replaced if it exists
    #[arg(short, long, value_name = "FILE.png")]
    output: Option<PathBuf>,
}

impl ValueEnum for Timing {
    fn value_variants<'a>() -> &'a [Self] {
        &[Self::Timestamps, Self::Submissions]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(match self {
            Self::Timestamps => "timestamps",
            Self::Submissions => "submissions",
        }))
    }
}

/// What `--json` prints.
#[derive(Serialize)]
struct Output<'a> {
    #[serde(flatten)]
    measured: &'a Measurement,
    #[serde(skip_serializing_if = "Option::is_none")]
    comparison: Option<&'a Comparison>,
}

pub(super) fn run(arguments: Arguments) -> Outcome {
    // What is impossible is said before anything is measured.
    let config = &arguments.settings.config;
    let plan = config.plan()?;
    let options = Options { steps: arguments.steps, timing: arguments.timing };
    options.check()?;
    let before = arguments.compare.as_deref().map(Measurement::read).transpose()?;
    if let Some(path) = &arguments.output {
        output::check(path, "png")?;
    }
    let Ok(choice) = config.device.parse::<DeviceChoice>();
    let device = device::open(&choice)?;
    check(&arguments, &device)?;
    note!("measuring {}", device.describe());
    plan.check(&device)?; // what does not fit is refused at once
    arguments.tuning.find(&device, &plan.step)?;
    let measured = bench::measure(config, &device, &options, &mut |what| note!("... {what}"))?;
    if let Some(path) = &arguments.output {
        figure::roofline(path, &measured)?;
    }
    let comparison = before.map(|before| Comparison::new(&before, &measured, arguments.by)).transpose()?;
    if arguments.json {
        let output = Output { measured: &measured, comparison: comparison.as_ref() };
        let text = serde_json::to_string_pretty(&output)
            .map_err(|e| Error::Device(format!("the result cannot be written as JSON: {e}")))?;
        print_line!("{text}");
        return Ok(ExitCode::SUCCESS);
    }
    print_line!("{}", table::measurement(&measured, arguments.by));
    if let Some(comparison) = comparison {
        print_line!("\n{}", table::comparison(&comparison));
    }
    if let Some(path) = &arguments.output {
        print_line!("\nthe roofline is in {}", path.display());
    }
    Ok(ExitCode::SUCCESS)
}

/// The CPU engine has no dispatches, and some adapters no clock.
fn check(arguments: &Arguments, device: &Device) -> Result<()> {
    match device {
        Device::Cpu if arguments.output.is_some() => Err(Error::usage(
            "--output draws the roofline of a GPU, and this is the CPU engine; name an adapter with --device",
        )),
        Device::Cpu if arguments.timing.is_some() => Err(Error::usage(
            "--timing is about dispatches, and the CPU engine has none; name an adapter with --device",
        )),
        Device::Gpu(gpu) if arguments.timing == Some(Timing::Timestamps) => profiler::check(gpu),
        _ => Ok(()),
    }
}
