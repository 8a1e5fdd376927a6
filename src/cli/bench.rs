//! `unheat bench`.

use crate::bench::{self, By, Comparison, Options, Report, figure, table};
use crate::cli::Outcome;
use crate::cli::messages::{note, say};
use crate::cli::settings::Settings;
use crate::cli::tune::Tuning;
use crate::engine::{Device, DeviceChoice};
use crate::gpu::Timing;
use crate::io::atomic;
use crate::train::TrainConfig;
use crate::{Error, Result};
use clap::{Args, ValueEnum};
use serde::Serialize;
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    settings: Settings,
    #[command(flatten)]
    tuning: Tuning,
    /// Rows of the table: a kernel, a layer, or each dispatch
    #[arg(long, value_enum, default_value_t = ByName::Kernel)]
    by: ByName,
    /// Steps to time [default: as many as take 3 seconds]
    #[arg(long)]
    steps: Option<usize>,
    /// Time dispatches by the GPU's clock or by the host's [default: timestamps, where the adapter has them]
    #[arg(long, value_enum)]
    timing: Option<TimingName>,
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

#[derive(Clone, Copy, ValueEnum)]
enum ByName {
    Kernel,
    Layer,
    Dispatch,
}

#[derive(Clone, Copy, ValueEnum)]
enum TimingName {
    Timestamps,
    Submissions,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Output<'a> {
    #[serde(flatten)]
    report: &'a Report,
    #[serde(skip_serializing_if = "Option::is_none")]
    comparison: Option<&'a Comparison>,
}

impl Arguments {
    fn by(&self) -> By {
        match self.by {
            ByName::Kernel => By::Kernel,
            ByName::Layer => By::Layer,
            ByName::Dispatch => By::Dispatch,
        }
    }

    fn options(&self) -> Options {
        let timing = self.timing.map(|timing| match timing {
            TimingName::Timestamps => Timing::Timestamps,
            TimingName::Submissions => Timing::Submissions,
        });
        Options { steps: self.steps, timing }
    }
}

pub(super) fn run(arguments: Arguments) -> Outcome {
    // What is impossible is said before anything is measured.
    let config = arguments.settings.config(TrainConfig::default());
    let plan = config.plan()?;
    arguments.options().check()?;
    let before = arguments.compare.as_deref().map(Report::read).transpose()?;
    if let Some(path) = &arguments.output {
        atomic::check_folder(path)?;
        atomic::check_target(path)?;
    }
    let Ok(choice) = config.device.parse::<DeviceChoice>();
    let device = Device::open(&choice)?;
    check(&arguments, &device)?;
    note!("measuring {}", device.describe());
    arguments.tuning.find(&device, &config, &plan)?;
    let report = bench::run(&config, &device, &arguments.options(), &mut |what| note!("... {what}"))?;
    if let Some(path) = &arguments.output {
        figure::roofline(path, &report)?;
    }
    let comparison = before.map(|before| Comparison::new(&before, &report, arguments.by()));
    if arguments.json {
        let output = Output { report: &report, comparison: comparison.as_ref() };
        let text = serde_json::to_string_pretty(&output)
            .map_err(|e| Error::Device(format!("the result cannot be written as JSON: {e}")))?;
        say!("{text}");
        return Ok(ExitCode::SUCCESS);
    }
    say!("{}", table::report(&report, arguments.by()));
    if let Some(comparison) = comparison {
        say!("\n{}", table::comparison(&comparison));
    }
    if let Some(path) = &arguments.output {
        say!("\nthe roofline is in {}", path.display());
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
        Device::Gpu(gpu)
            if matches!(arguments.timing, Some(TimingName::Timestamps)) && !gpu.has_timestamps() =>
        {
            Err(Error::usage(format!("{} has no timestamps; use --timing submissions", gpu.name())))
        }
        _ => Ok(()),
    }
}
