//! Every shader, in every variant that training uses, through naga's SPIR-V, MSL and HLSL writers (64-bit
//! ones through the first, those that store 16 bits through HLSL's of shader model 6.2) and within WebGPU's
//! default limits. Needs no GPU: the steps are recorded on wgpu's stub device.

use crate::support::kernels::every_choice as specs;
use std::path::{Path, PathBuf};
use unheat::gpu::Checks;
use unheat::gpu::runtime::spec::validate;
use unheat::gpu::translation::{Language, spirv};
use unheat::model::DType;

#[test]
fn every_shader_passes_every_back_end() {
    let specs = specs();
    assert!(specs.len() > 80, "only {} kernels", specs.len());
    for spec in specs.values() {
        for checks in [Checks::Checked, Checks::Trusted] {
            for language in Language::ALL.into_iter().filter(|language| language.has(spec)) {
                language.write(spec, checks).unwrap();
            }
        }
        if spec.precision() == DType::F64 {
            continue; // Vulkan only
        }
        assert!(!spec.source().unwrap().contains("f64"), "{} is for every back end", spec.name);
        let halves = spec.storage() == DType::F16;
        assert_eq!(
            spec.source().unwrap().contains("f16"),
            halves,
            "{} is for adapters without 16 bits",
            spec.name
        );
    }
}

/// Khronos' own validator reads what naga writes. Where it is not installed nothing is checked, and said so;
/// CI sets UNHEAT_NEEDS_SPIRV_VAL, so that it cannot be missing there.
#[test]
fn spirv_val_accepts_every_shader() {
    let asked = std::process::Command::new("spirv-val").arg("--version").output();
    let Ok(version) = asked else {
        let needed = std::env::var_os("UNHEAT_NEEDS_SPIRV_VAL").is_some();
        assert!(!needed, "spirv-val is not installed: apt install spirv-tools (scripts/setup does)");
        eprintln!("\n*** spirv-val is NOT INSTALLED: no SPIR-V was validated; apt install spirv-tools\n");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let (specs, path) = (specs(), folder.path().join("kernel.spv"));
    // What wgpu asks naga for on the oldest Vulkan that has what it needs, and on the newest.
    let targets = [((1, 3), "vulkan1.1", Checks::Checked), ((1, 6), "vulkan1.3", Checks::Trusted)];
    for spec in specs.values() {
        for (version, target, checks) in targets {
            let words = spirv(spec, checks, version).unwrap();
            let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
            std::fs::write(&path, bytes).unwrap();
            let validated = std::process::Command::new("spirv-val")
                .args(["--target-env", target])
                .arg(&path)
                .output()
                .unwrap();
            let said = String::from_utf8_lossy(&[&validated.stdout[..], &validated.stderr[..]].concat())
                .into_owned();
            assert!(validated.status.success() && said.is_empty(), "{} for {target}: {said}", spec.name);
        }
    }
    let version = String::from_utf8_lossy(&version.stdout).lines().next().unwrap_or_default().to_owned();
    println!("torture: {} shaders for {} targets accepted by {version}", specs.len(), targets.len());
}

/// What draws the page's fields is no kernel, but naga reads it as well: Firefox's WebGPU is made of it.
#[test]
fn the_page_draws_with_a_shader_that_naga_takes() {
    use naga::valid::{Capabilities, ValidationFlags, Validator};
    let module = naga::front::wgsl::parse_str(include_str!("../../../web/src/pictures.wgsl")).unwrap();
    Validator::new(ValidationFlags::all(), Capabilities::empty()).validate(&module).unwrap();
}

#[test]
fn every_shader_stays_within_the_default_limits() {
    let limits = wgpu::Limits::default();
    for spec in specs().values() {
        let (module, _) = validate(spec).unwrap();
        let mut layouter = naga::proc::Layouter::default();
        layouter.update(module.to_ctx()).unwrap();
        let (mut buffers, mut workgroup_bytes) = (0, 0);
        for (_, variable) in module.global_variables.iter() {
            match variable.space {
                naga::AddressSpace::Storage { .. } => buffers += 1,
                naga::AddressSpace::WorkGroup => workgroup_bytes += layouter[variable.ty].size,
                _ => {}
            }
        }
        let invocations: u32 = module.entry_points[0].workgroup_size.iter().product();
        assert!(buffers <= limits.max_storage_buffers_per_shader_stage, "{}: {buffers} buffers", spec.name);
        // A line of 2048 complex numbers takes twice as much in 64 bits, which no default device has anyway.
        let scale = if spec.precision() == DType::F64 { 2 } else { 1 };
        assert!(
            workgroup_bytes <= scale * limits.max_compute_workgroup_storage_size,
            "{}: {workgroup_bytes} bytes of workgroup memory",
            spec.name
        );
        assert!(
            invocations <= limits.max_compute_invocations_per_workgroup,
            "{}: {invocations} invocations",
            spec.name
        );
    }
}

#[test]
fn every_shader_file_is_used() {
    let specs = specs();
    let mut files = Vec::new();
    collect(&Path::new(env!("CARGO_MANIFEST_DIR")).join("shaders"), &mut files);
    assert!(files.len() > 25);
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(
            specs.values().any(|spec| spec.source().unwrap().contains(&text)),
            "no kernel uses {}",
            file.display()
        );
    }
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else {
            files.push(path);
        }
    }
}

/// What keeps a thread waiting, or is one, and std's clock; a browser has none of them.
const WAITS: [&str; 11] = [
    "block_on",
    "PollType::Wait",
    "wait_indefinitely",
    ".wait()",
    ".recv()",
    "Condvar",
    "thread::",
    "rayon",
    "pollster",
    "Instant::now()",
    "SystemTime",
];

/// The first of them outside the tests at a file's end.
fn wait_in(text: &str) -> Option<&'static str> {
    let text = text.split("#[cfg(test)]").next().unwrap_or_default();
    WAITS.into_iter().find(|wait| text.contains(wait))
}

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// Every file of these folders of the source, with its text.
fn texts(rooms: &[&str]) -> Vec<(PathBuf, String)> {
    let mut files = Vec::new();
    rooms.iter().for_each(|room| collect(&source().join(room), &mut files));
    files.into_iter().map(|file| (file.clone(), std::fs::read_to_string(file).unwrap())).collect()
}

/// What is computed, and the GPU's side of it, could run in a browser.
#[test]
fn nothing_waits_in_gpu_cases_and_model() {
    let files = texts(&["gpu", "cases", "model"]);
    assert!(files.len() > 60, "only {} files", files.len());
    // It takes another clock in browsers.
    for (file, text) in files.into_iter().filter(|(file, _)| !file.ends_with("stopwatch.rs")) {
        assert_eq!(wait_in(&text), None, "{} (src/blocking.rs is the place)", file.display());
    }
    let blocking = std::fs::read_to_string(source().join("blocking.rs")).unwrap();
    assert_eq!(wait_in(&blocking), Some("block_on"), "it would be found");
}

/// The first command-line flag in a text.
fn flag_in(text: &str) -> Option<&str> {
    let is_flag = |at: &usize| text[at + 2..].starts_with(|c: char| c.is_ascii_lowercase());
    let at = text.match_indices("--").map(|(at, _)| at).find(is_flag)?;
    text[at..].split(|c: char| c != '-' && !c.is_ascii_alphanumeric()).next()
}

/// What computes has other users than the command line: its errors carry data, and `cli/errors/advice.rs`
/// names the flag.
#[test]
fn no_flag_is_named_where_things_are_computed() {
    for (file, text) in texts(&["gpu", "cpu", "model"]) {
        assert_eq!(flag_in(&text), None, "{} (src/cli/errors/advice.rs is the place)", file.display());
    }
    let advice = std::fs::read_to_string(source().join("cli/errors/advice.rs")).unwrap();
    assert_eq!(flag_in(&advice), Some("--activations"), "it would be found");
}
