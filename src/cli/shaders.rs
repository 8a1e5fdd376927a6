//! `unheat shaders`.

use crate::cli::errors::outcome::Outcome;
use crate::cli::flags::device;
use crate::cli::flags::settings::Settings;
use crate::cli::flags::tuning::Tuning;
use crate::cli::terminal::messages::print_line;
use crate::engine::{Device, DeviceChoice, kernels};
use crate::gpu::translation::Language;
use crate::gpu::{Checks, Gpu, KernelSpec};
use crate::io::run_folder;
use crate::model::DType;
use crate::train::TrainConfig;
use crate::train::config::file;
use crate::{Error, Result};
use clap::{Arg, Args};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

/// The default of `--device`: no adapter is opened.
const ANY: &str = "any";

/// `--device` as this command has it.
pub(super) fn device_flag(flag: Arg) -> Arg {
    flag.default_value(ANY).value_name("any|auto|INDEX|NAME").help(
        "Whose shaders: any for those that most GPUs run, without opening one; or auto, an adapter's number \
         in `unheat devices`, or any part of its name with a letter, for what that one runs, with the \
         variants that are tuned for it",
    )
}

#[derive(Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    settings: Settings,
    #[command(flatten)]
    tuning: Tuning,
    /// The source, or what wgpu makes of it in a release build for Vulkan, Metal or DX12
    #[arg(long, value_enum, default_value_t)]
    format: Language,
    /// Folder for the shaders, a file for each kernel; it must not exist
    #[arg(short, long, value_name = "DIR")]
    output: PathBuf,
}

pub(super) fn run(arguments: Arguments) -> Outcome {
    let Arguments { settings, tuning, format, output } = arguments;
    // As `train` takes them: what files of weights and data say counts too.
    let mut given = settings.given()?;
    given.entry("device").or_insert(settings.config.device.clone().into());
    let config = file::config_with_files(&given, Path::new("the flags"))?;
    let plan = config.plan()?; // impossible settings are refused before any device is opened
    run_folder::check_new(&output)?;
    let mut specs = Vec::new();
    for gpu in open(&config, format, &tuning)? {
        plan.check(&Device::Gpu(gpu.clone()))?;
        specs.extend(kernels::of_training_and_inference(&gpu, &plan.step, &plan.start)?);
    }
    let (specs, left_out): (Vec<_>, Vec<_>) =
        kernels::sorted(specs)?.into_iter().partition(|spec| format.has(spec));
    run_folder::create_new(&output, |folder| {
        for (spec, name) in specs.iter().zip(names(&specs)) {
            let path = folder.join(format!("{name}.{}", format.ending()));
            let contents = format.write(spec, Checks::Trusted)?;
            std::fs::write(&path, contents).map_err(Error::io(&path, "cannot write"))?;
        }
        Ok(())
    })?;
    let why = match left_out.len() {
        0 => String::new(),
        count => format!("; {count} are left out: {format} has no 64-bit floats"),
    };
    print_line!("{} kernels in {format} are in {}{why}", specs.len(), output.display());
    Ok(ExitCode::SUCCESS)
}

/// The devices whose kernels are asked for, with the variants that are known for them. Any GPU's are those of
/// one with 64-bit floats, as through Vulkan, or without, as everywhere else; WGSL is the source of both.
fn open(config: &TrainConfig, format: Language, tuning: &Tuning) -> Result<Vec<Arc<Gpu>>> {
    if config.device == ANY {
        let with_f64: &[bool] = match (config.physics, format) {
            (DType::F64, _) | (_, Language::SpirV) => &[true],
            (_, Language::Msl | Language::Hlsl) => &[false],
            (_, Language::Wgsl) => &[true, false],
        };
        let stub = |&with_f64| kernels::stub(wgpu::DeviceType::DiscreteGpu, with_f64, Checks::Trusted);
        return Ok(with_f64.iter().map(stub).map(Arc::new).collect());
    }
    let Ok(choice) = config.device.parse::<DeviceChoice>();
    let device = device::open(&choice)?;
    tuning.recall(&device);
    match device {
        Device::Gpu(gpu) => Ok(vec![gpu]),
        Device::Cpu => Err(Error::usage(
            "the CPU engine has no shaders: leave --device out, or name an adapter of unheat devices",
        )),
    }
}

/// A file's name for each kernel, without its ending: the kernel's own, and where several share it, that in
/// which they differ.
fn names(specs: &[KernelSpec]) -> Vec<String> {
    let mut taken = BTreeSet::new();
    let name = |spec: &KernelSpec| {
        let alike: Vec<_> = specs.iter().filter(|other| other.name == spec.name).collect();
        let mut name = plain(&spec.name);
        if spec.subgroups() && alike.iter().any(|other| !other.subgroups()) {
            name += "-subgroups";
        }
        if spec.storage() == DType::F16 && alike.iter().any(|other| other.storage() != DType::F16) {
            name += "-f16";
        }
        for constant in &spec.constants {
            if alike.iter().any(|other| !other.constants.contains(constant)) {
                name += &format!("-{}{}", plain(&constant.0.to_lowercase()), constant.1);
            }
        }
        let numbered = (2..).map(|number| format!("{name}-{number}"));
        let free = std::iter::once(name.clone()).chain(numbered).find(|name| !taken.contains(name));
        let free = free.expect("numbers do not end");
        taken.insert(free.clone());
        free
    };
    specs.iter().map(name).collect()
}

/// With nothing that a shell or a file system could take for something else.
fn plain(name: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    name.split(|c| !is_plain(c)).filter(|part| !part.is_empty()).collect::<Vec<_>>().join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernels_that_share_a_name_get_files_of_their_own() {
        let spec = |name: &str, constants: &[(&'static str, u32)]| KernelSpec {
            constants: constants.to_vec(),
            ..KernelSpec::new("step/adam").called(name)
        };
        let conv = |inputs, outputs| spec("conv3x3/plain", &[("INPUTS", inputs), ("OUTPUTS", outputs)]);
        let specs = [conv(8, 16), conv(16, 16), spec("fft <> x", &[]), conv(16, 16), spec("guard", &[])];
        let expected =
            ["conv3x3-plain-inputs8", "conv3x3-plain-inputs16", "fft-x", "conv3x3-plain-inputs16-2", "guard"];
        assert_eq!(names(&specs), expected);
        let direct = KernelSpec { subgroups: true, storage: DType::F16, ..conv(8, 16) };
        let specs = [conv(8, 16), direct];
        assert_eq!(names(&specs), ["conv3x3-plain", "conv3x3-plain-subgroups-f16"]);
    }
}
