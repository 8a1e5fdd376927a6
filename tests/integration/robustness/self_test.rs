//! What a person sees of a device that computes wrongly, or not at all. The faults are injected
//! (`src/gpu/faults.rs`), which debug builds alone can do.

use crate::support::runs::{command, said};
use std::path::Path;
use std::process::Output;
use tempfile::{TempDir, tempdir};

const TRAINING: &str = "--device 0 --no-tune --batch 2 --size 8x8 --levels 1 --filters 8 --steps 2 --seed 3";

/// A cache of one's own, and folders for runs.
struct Room(TempDir);

impl Room {
    fn new() -> Self {
        Self(tempdir().unwrap())
    }

    fn train(&self, run: &str, faults: &str, more: &str) -> Output {
        let folder = self.0.path().join(run);
        let arguments = format!("{TRAINING} {more} -o {}", folder.display());
        command(arguments.replace("  ", " ").trim())
            .env("UNHEAT_CACHE_DIR", self.cache())
            .env("UNHEAT_FAULTS", faults)
            .output()
            .unwrap()
    }

    fn cache(&self) -> std::path::PathBuf {
        self.0.path().join("cache")
    }

    fn kept(&self) -> String {
        std::fs::read_to_string(self.cache().join("tuning.toml")).unwrap_or_default()
    }

    fn weights(&self, run: &str) -> Vec<u8> {
        std::fs::read(self.0.path().join(run).join("weights.safetensors")).unwrap()
    }
}

/// The one line that begins like this.
#[track_caller]
fn line<'a>(said: &'a str, start: &str) -> &'a str {
    let mut lines = said.lines().filter(|line| line.contains(start));
    let line = lines.next().unwrap_or_else(|| panic!("no line has '{start}': {said}"));
    assert_eq!(lines.next(), None, "{said}");
    line
}

#[test]
fn a_device_is_tested_once_for_each_kind_of_training() {
    let room = Room::new();
    let first = said(&room.train("first", "", ""));
    assert!(line(&first, "self-test: ").contains("passed in"), "{first}");
    let kept = room.kept();
    assert!(kept.contains("tested = [\"") && !kept.contains("remedy"), "{kept}");
    let second = said(&room.train("second", "", ""));
    assert!(!second.contains("self-test"), "{second}");
    assert_eq!(room.kept(), kept);
    // Another kind of training has other kernels.
    let other = said(&room.train("other", "", "--activation silu"));
    line(&other, "self-test: ");
    // A verdict belongs to one driver.
    let driver = kept.lines().find(|line| line.starts_with("driver_version")).unwrap();
    std::fs::write(room.cache().join("tuning.toml"), kept.replace(driver, "driver_version = \"1\"")).unwrap();
    line(&said(&room.train("driver", "", "")), "self-test: ");
    let untested = Room::new();
    assert!(!said(&untested.train("run", "", "--no-self-test")).contains("self-test"));
    assert!(!untested.cache().exists(), "--no-tune --no-self-test leaves nothing");
}

/// A wrong result, or a refused pipeline, with a remedy: it is found, said in one line, kept, and in force in
/// the next run, whose weights are those of a sound device.
#[test]
fn a_kernel_that_fails_gets_a_remedy() {
    let room = Room::new();
    room.train("sound", "", "--no-self-test");
    for (i, (faults, remedy)) in [
        (
            "wrong conv3x3/activation/moments unless CHANNELS=4",
            "conv3x3/activation/moments runs in the variant tiled",
        ),
        (
            "refused conv3x3/activation/moments unless CHANNELS=4",
            "conv3x3/activation/moments runs in the variant tiled",
        ),
        ("wrong mean_shift_backward unless zeroed", "mean_shift_backward runs with zeroed workgroup memory"),
        ("refused adam unless zeroed", "adam runs with zeroed workgroup memory"),
    ]
    .into_iter()
    .enumerate()
    {
        let _ = std::fs::remove_dir_all(room.cache());
        let [first, second] = ["first", "second"].map(|name| format!("{name} {i}").replace(' ', "-"));
        let told = said(&room.train(&first, faults, ""));
        assert!(line(&told, "fails the self-test as usual").contains(remedy), "{faults}: {told}");
        assert!(room.kept().contains("[[device.remedy]]"), "{}", room.kept());
        let again = said(&room.train(&second, faults, ""));
        assert!(!again.contains("self-test"), "{faults}: {again}");
        let sound = room.weights("sound");
        assert!(room.weights(&first) == sound && room.weights(&second) == sound, "{faults}");
    }
}

/// Without a remedy training refuses, with the kernel's name, the error, the driver and a way out, and leaves
/// nothing; the verdict is shown by `check`.
#[test]
fn a_device_without_a_remedy_is_refused() {
    let room = Room::new();
    for (faults, expected) in [
        ("wrong batch_norm_merge", "batch_norm_merge differs from the CPU by"),
        ("refused adam", "refused by a fault"),
        ("wrong guard", "guard or last_good differs from the CPU by"),
        ("wrong conv3x3/output_gradient/relu", "conv3x3/output_gradient/relu differs from the CPU by"),
    ] {
        let output = room.train("run", faults, "");
        let told = said(&output);
        assert_eq!(output.status.code(), Some(1), "{faults}: {told}");
        let line = line(&told, "unheat: ");
        for part in [expected, "Mesa", "--device cpu", "--no-self-test"] {
            assert!(line.contains(part), "{faults}: {line}");
        }
        assert!(!room.0.path().join("run").exists(), "nothing is left behind");
        let verdict = check(&room.cache());
        assert!(
            verdict.contains("self-test: not to be trusted with 8x8") && verdict.contains(expected),
            "{verdict}"
        );
    }
    // Who insists gets what the device computes.
    let output = room.train("insisted", "wrong guard", "--no-self-test");
    assert!(output.status.success(), "{}", said(&output));
    // A sound driver is trusted again.
    line(&said(&room.train("mended", "", "")), "self-test: ");
    assert!(check(&room.cache()).contains("self-test: right for one kind of work"));
}

/// The first lines of `unheat check`.
fn check(cache: &Path) -> String {
    let mut check = std::process::Command::new(env!("CARGO_BIN_EXE_unheat"));
    check.args(["check", "--no-tune", "--device", "0", "--quick", "--only", "mean_shift"]);
    let output = check.env("UNHEAT_CACHE_DIR", cache).output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    said(&output)
}
