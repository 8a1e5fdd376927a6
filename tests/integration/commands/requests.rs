//! The program as a person uses it: what it writes, what it refuses, and that runs repeat bit for bit.

use std::path::Path;
use std::process::{Command, Output};
use tempfile::tempdir;
use unheat::engine::{Device, DeviceChoice};
use unheat::model::DType;

fn unheat(arguments: &[&str]) -> Output {
    // Tuning and the self-test would take seconds, and are tested elsewhere.
    let unprepared: &[&str] = match arguments.first() {
        Some(&"train") => &["--no-tune", "--no-self-test"],
        Some(&"check") => &["--no-tune"],
        _ => &[],
    };
    Command::new(env!("CARGO_BIN_EXE_unheat")).args(arguments).args(unprepared).output().unwrap()
}

/// Runs, and expects success.
#[track_caller]
fn succeed(arguments: &[&str]) -> Output {
    let output = unheat(arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

/// What the program itself said on stderr; drivers may add lines of their own.
fn complaints(output: &Output) -> Vec<String> {
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    text.lines().filter(|line| line.starts_with("unheat: ")).map(str::to_owned).collect()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// `metrics.csv` without its time column.
fn metrics(folder: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(folder.join("metrics.csv")).unwrap();
    text.lines().map(|line| line.rsplit_once(',').unwrap().0.to_owned()).collect()
}

const SMALL: [&str; 11] =
    ["train", "--steps", "3", "--batch", "3", "--size", "16x32", "--levels", "3", "--filters", "8,16,24"];

fn train(device: &str, seed: &str, folder: &Path) {
    succeed(&[&SMALL[..], &["--device", device, "--seed", seed, "-o", text(folder)]].concat());
}

fn a_run_is_complete_and_repeats(device: &str) {
    let root = tempdir().unwrap();
    let folders = ["a", "b", "c"].map(|name| root.path().join(name));
    for (folder, seed) in folders.iter().zip(["1", "1", "2"]) {
        train(device, seed, folder);
    }
    for file in ["config.toml", "metrics.csv", "weights.safetensors", "curves.png", "reconstruction.png"] {
        assert!(std::fs::metadata(folders[0].join(file)).unwrap().len() > 100, "{file}");
    }
    let weights = folders.each_ref().map(|folder| std::fs::read(folder.join("weights.safetensors")).unwrap());
    assert_eq!(weights[0], weights[1], "same seed, same bytes");
    assert_ne!(weights[0], weights[2], "another seed, other weights");
    assert_eq!(metrics(&folders[0]), metrics(&folders[1]));
    assert_ne!(metrics(&folders[0]), metrics(&folders[2]));
    assert_eq!(metrics(&folders[0]).len(), 4);
    assert_eq!(metrics(&folders[0])[0], "step,loss_mean,x_l2_mean,x_l2_std,x_l2_min,x_l2_max,y_l2_mean");
}

#[test]
fn a_run_on_the_cpu_is_complete_and_repeats() {
    a_run_is_complete_and_repeats("cpu");
}

/// The first adapter; a machine without one fails with the hint of how to get one.
#[test]
fn a_run_on_a_gpu_is_complete_and_repeats() {
    succeed(&["devices"]);
    a_run_is_complete_and_repeats("0");
}

/// Whether the first adapter has 16-bit floats in shaders.
fn stores_halves() -> bool {
    matches!(Device::open(&DeviceChoice::Index(0)).unwrap(), Device::Gpu(gpu) if gpu.stores_in(DType::F16))
}

#[test]
fn activations_in_16_bits_train_repeat_and_are_refused_where_there_are_none() {
    let root = tempdir().unwrap();
    let folders = ["a", "b", "c"].map(|name| root.path().join(name));
    let train = |device: &str, folder: &Path| {
        let flags = ["--activations", "f16", "--device", device, "--seed", "1", "-o", text(folder)];
        unheat(&[&SMALL[..], &flags].concat())
    };
    let refused = |output: &Output, folder: &Path| {
        let said = complaints(output);
        assert_eq!(output.status.code(), Some(2), "{said:?}");
        assert!(said.len() == 1 && said[0].contains("--activations f32"), "{said:?}");
        assert!(!folder.exists());
    };
    refused(&train("cpu", &folders[0]), &folders[0]);
    if !stores_halves() {
        return refused(&train("0", &folders[0]), &folders[0]);
    }
    for folder in &folders[..2] {
        let output = train("0", folder);
        assert!(output.status.success(), "{:?}", complaints(&output));
    }
    let weights =
        folders[..2].iter().map(|folder| std::fs::read(folder.join("weights.safetensors")).unwrap());
    let weights: Vec<Vec<u8>> = weights.collect();
    assert_eq!(weights[0], weights[1], "same seed, same bytes");
    let config = std::fs::read_to_string(folders[0].join("config.toml")).unwrap();
    assert!(config.contains("activations = \"f16\""), "{config}");

    // The same data and start; losses differ by roundings alone, and they do differ.
    self::train("0", "1", &folders[2]);
    let first_loss =
        |folder: &Path| -> f64 { metrics(folder)[1].split(',').nth(2).unwrap().parse().unwrap() };
    let [half, _, single] = folders.each_ref().map(|folder| first_loss(folder));
    assert!(half != single && (half / single - 1.0).abs() < 1e-2, "{half} {single}");
}

#[test]
fn both_engines_learn_the_same_thing() {
    let root = tempdir().unwrap();
    let folders = ["cpu", "0"].map(|device| {
        let folder = root.path().join(format!("on-{device}"));
        train(device, "4", &folder);
        folder
    });
    let first_loss =
        |folder: &Path| -> f64 { metrics(folder)[1].split(',').nth(2).unwrap().parse().unwrap() };
    let [cpu, gpu] = folders.each_ref().map(|folder| first_loss(folder));
    assert!((cpu / gpu - 1.0).abs() < 1e-5, "{cpu} {gpu}");
}

#[test]
fn impossible_requests_get_one_line_and_leave_nothing() {
    let root = tempdir().unwrap();
    let folder = root.path().join("run");
    for (flags, expected) in [
        (vec!["--size", "60x64"], "32 or 64"),
        (vec!["--size", "8x8", "--levels", "5"], "divisible by 16"),
        (vec!["--size", "4096x64"], "2048"),
        (vec!["--batch", "0"], "batch 0"),
        (vec!["--batch", "1", "--size", "8x8"], "more than one value"),
        (vec!["--batch", "100000000"], "from 1 to 65535"),
        (vec!["--batch", "60000", "--size", "256x256"], "largest batch that fits"),
        (vec!["--amount", "1e307"], "amount"),
        (vec!["--lr", "1e-400"], "lr 0"),
        (vec!["--activations", "f16"], "--activations f32"),
        (vec!["--lr", "-0.1"], "lr -0.1"),
        (vec!["--steps", "0"], "steps 0"),
        (vec!["--amount", "-1"], "amount -1"),
        (vec!["--levels", "7"], "levels 7"),
        (vec!["--filters", "12"], "multiple of 8"),
        (vec!["--filters", "8,16"], "4 levels"),
        (vec!["--device", "no such thing"], "no such"),
        (vec!["--device", "99"], "99"),
    ] {
        let mut arguments = vec!["train", "-o", text(&folder)];
        if !flags.contains(&"--device") {
            arguments.extend(["--device", "cpu"]);
        }
        arguments.extend(&flags);
        let output = unheat(&arguments);
        let said = complaints(&output);
        assert_eq!(output.status.code(), Some(2), "{flags:?}: {said:?}");
        assert_eq!(said.len(), 1, "{flags:?}: {said:?}");
        assert!(said[0].contains(expected), "{flags:?}: {said:?}");
        assert!(!folder.exists(), "{flags:?} left something behind");
    }
    for flags in [
        vec!["--size", "64"],
        vec!["--method", "sgd"],
        vec!["--activations", "f64"],
        vec!["--stepz", "3"],
        vec!["--batch", "many"],
    ] {
        let output = unheat(&[&["train", "-o", text(&folder)][..], &flags].concat());
        assert_eq!(output.status.code(), Some(2), "{flags:?}");
        assert!(!folder.exists());
    }
}

#[test]
fn a_batch_beyond_the_binding_limit_names_the_largest_that_fits() {
    let root = tempdir().unwrap();
    let folder = root.path().join("run");
    let output = unheat(&[
        "train",
        "--device",
        "0",
        "--batch",
        "20",
        "--size",
        "512x512",
        "--levels",
        "1",
        "--filters",
        "8",
        "-o",
        text(&folder),
    ]);
    assert_eq!(output.status.code(), Some(2));
    assert!(complaints(&output)[0].contains("buffer binding"), "{:?}", complaints(&output));
    assert!(
        complaints(&output)[0].contains("the largest batch that fits is 16"),
        "{:?}",
        complaints(&output)
    );
    assert!(!folder.exists());
}

/// Whatever the tuning chose, and whatever its file says.
#[test]
fn a_tuned_run_gives_the_same_bytes() {
    let root = tempdir().unwrap();
    let train = |cache: &Path, name: &str, flags: &[&str]| {
        let folder = root.path().join(name);
        let small =
            "train --no-self-test --steps 2 --batch 2 --size 16x16 --levels 1 --filters 8 --device 0 -o";
        let output = Command::new(env!("CARGO_BIN_EXE_unheat"))
            .args(small.split(' ').chain([text(&folder)]).chain(flags.iter().copied()))
            .env("UNHEAT_CACHE_DIR", cache)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{said}");
        let tuned = said.lines().filter(|line| line.starts_with("tuned the convolutions")).count();
        (std::fs::read(folder.join("weights.safetensors")).unwrap(), tuned, said)
    };
    let cache = root.path().join("cache");
    let (expected, tuned, _) = train(&cache, "untuned", &["--no-tune"]);
    assert!(tuned == 0 && !cache.exists(), "--no-tune leaves nothing");

    let (weights, tuned, said) = train(&cache, "tuned", &[]);
    assert!(weights == expected && tuned == 1, "{said}");
    let file = cache.join("tuning.toml");
    assert!(said.contains(text(&file)), "{said}");
    let kept = std::fs::read_to_string(&file).unwrap();
    let (weights, tuned, said) = train(&cache, "known", &[]);
    assert!(weights == expected && tuned == 0, "{said}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), kept);

    // Choices that no kernel has are passed over.
    let spoil = |line: &str| match line.starts_with("variant = ") {
        true => "variant = \"tiled 1073741824x3\"\n".to_owned(),
        false => format!("{line}\n"),
    };
    std::fs::write(&file, kept.lines().map(spoil).collect::<String>()).unwrap();
    let (weights, tuned, said) = train(&cache, "hostile", &[]);
    assert!(weights == expected && tuned == 0, "{said}");

    // A folder that cannot be: the result serves this run, and one line says why no other.
    let (weights, tuned, said) = train(&file.join("folder"), "unwritable", &[]);
    assert!(weights == expected && tuned == 1 && said.contains("not kept for the next run"), "{said}");
}

#[test]
fn an_output_folder_is_never_overwritten() {
    let root = tempdir().unwrap();
    let file = root.path().join("file");
    std::fs::write(&file, "precious").unwrap();
    let output = unheat(&[&SMALL[..], &["--device", "cpu", "-o", text(root.path())]].concat());
    assert_eq!(output.status.code(), Some(2));
    assert!(complaints(&output)[0].contains("exists"));
    assert_eq!(std::fs::read_dir(root.path()).unwrap().count(), 1);
    let inside = file.join("run");
    let output = unheat(&[&SMALL[..], &["--device", "cpu", "-o", text(&inside)]].concat());
    assert_eq!(output.status.code(), Some(1), "{:?}", complaints(&output));
    assert_eq!(std::fs::read(&file).unwrap(), b"precious");
}

fn a_loss_that_explodes_stops_the_run(device: &str) {
    let root = tempdir().unwrap();
    let folder = root.path().join("run");
    let output = unheat(&[
        "train",
        "--steps",
        "30",
        "--batch",
        "2",
        "--size",
        "16x16",
        "--levels",
        "2",
        "--filters",
        "8",
        "--lr",
        "1e30",
        "--device",
        device,
        "-o",
        text(&folder),
    ]);
    assert_eq!(output.status.code(), Some(5), "{:?}", complaints(&output));
    let said = &complaints(&output)[0];
    assert!(said.contains("not finite") && said.contains("weights.safetensors"), "{said}");
    let rows = metrics(&folder).len() - 1;
    assert!(said.contains(&format!("step {rows} ")), "{said}: {rows} rows");
    assert!((1..30).contains(&rows));
    let (tensors, _) = unheat::io::arrays::tensors::read(&folder.join("weights.safetensors")).unwrap();
    for tensor in tensors {
        if let unheat::io::arrays::tensors::Data::F32(values) = tensor.data {
            assert!(values.iter().all(|v| v.is_finite()), "{}", tensor.name);
        }
    }
}

#[test]
fn a_loss_that_explodes_stops_the_run_on_the_cpu() {
    a_loss_that_explodes_stops_the_run("cpu");
}

#[test]
fn a_loss_that_explodes_stops_the_run_on_a_gpu() {
    a_loss_that_explodes_stops_the_run("0");
}

#[test]
fn generate_writes_the_fields_and_pictures_that_training_sees() {
    let root = tempdir().unwrap();
    let (array, pictures) = (root.path().join("x.npy"), root.path().join("png"));
    std::fs::write(&array, "replaced").unwrap();
    succeed(&[
        "generate",
        "--count",
        "3",
        "--size",
        "32x64",
        "--seed",
        "7",
        "-o",
        text(&array),
        "--png",
        text(&pictures),
    ]);
    let fields = unheat::io::arrays::npy::read(&array).unwrap();
    assert_eq!(fields.shape, [3, 32, 64]);
    assert_eq!(std::fs::read_dir(&pictures).unwrap().count(), 3);
    let output = unheat(&["generate", "--count", "0", "-o", text(&array)]);
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(unheat::io::arrays::npy::read(&array).unwrap(), fields, "a refused request replaces nothing");
}

#[test]
fn check_fails_on_a_perturbed_kernel_and_never_takes_the_cpu_engine() {
    let output = unheat(&["check", "--device", "0", "--only", "backward", "--perturb", "upsample_backward"]);
    assert_eq!(output.status.code(), Some(1));
    let table = String::from_utf8_lossy(&output.stdout).into_owned();
    let failed: Vec<&str> = table.lines().filter(|line| line.ends_with("FAIL")).collect();
    let run = table.lines().filter(|line| !line.contains("skipped"));
    let perturbed = run.filter(|line| line.starts_with("upsample_backward"));
    assert_eq!(failed, perturbed.collect::<Vec<_>>(), "{table}");
    assert!(!failed.is_empty());
    assert!(table.lines().any(|line| line.starts_with("bias_backward") && line.ends_with("ok")), "{table}");
    assert!(!table.contains("conv3x3"), "{table}");
    assert_eq!(unheat(&["check", "--device", "cpu"]).status.code(), Some(2));
    assert_eq!(unheat(&["check", "--only", "backwards"]).status.code(), Some(2));
}

#[test]
fn check_tries_what_was_tuned() {
    let cache = tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_unheat"));
    command
        .args(["check", "--device", "0", "--only", "conv3x3/skipup"])
        .env("UNHEAT_CACHE_DIR", cache.path());
    let output = command.output().unwrap();
    let (table, said) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && table.contains("conv3x3/skipup"), "{table}{said}");
    assert!(cache.path().join("tuning.toml").exists(), "{said}");
}

/// Without a GPU: what `shaders` writes is whole, and named so that any system takes it.
#[test]
fn shaders_are_written_in_every_language() {
    let root = tempdir().unwrap();
    let written = |format: &str, more: &[&str]| -> Vec<(String, Vec<u8>)> {
        let folder = root.path().join(format!("{format}{}", more.concat()));
        let output =
            succeed(&[&["shaders", "--batch", "8", "--format", format, "-o", text(&folder)], more].concat());
        let entries = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
        let files: Vec<_> = entries
            .map(|path| {
                (path.file_name().unwrap().to_str().unwrap().to_owned(), std::fs::read(&path).unwrap())
            })
            .collect();
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(said.starts_with(&format!("{} kernels in {format} are in ", files.len())), "{said}");
        assert_eq!(said.lines().count(), 1);
        assert!(
            files
                .iter()
                .all(|(name, _)| name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c)))
        );
        files
    };
    let starts = |files: &[(String, Vec<u8>)], ending: &str, start: &[u8]| {
        files.len() > 25 && files.iter().all(|(name, text)| name.ends_with(ending) && text.starts_with(start))
    };
    assert!(starts(&written("wgsl", &[]), ".wgsl", b"const "));
    assert!(starts(&written("spirv", &[]), ".spv", &0x0723_0203_u32.to_le_bytes()));
    assert!(starts(&written("msl", &[]), ".metal", b"// language: metal2.1"));
    assert!(starts(&written("hlsl", &[]), ".hlsl", b"// "));
    let halves = written("hlsl", &["--activations", "f16"]);
    let half = halves.iter().find(|(name, _)| name == "conv3x3-plain-moments-f16.hlsl").unwrap();
    assert!(half.1.starts_with(b"// conv3x3/plain/moments/f16: cs_6_2\n"));
    let noisy = written("wgsl", &["--noise", "0.1"]);
    assert!(noisy.iter().any(|(name, _)| name == "add_noise.wgsl"), "every flag of training counts");
    // As 64 bits are asked for, what runs on Vulkan alone is left out of the others.
    let folder = root.path().join("wide");
    let output =
        succeed(&["shaders", "--physics", "f64", "--batch", "8", "--format", "msl", "-o", text(&folder)]);
    assert!(String::from_utf8(output.stdout).unwrap().contains(" are left out: msl has no 64-bit floats"));
}
