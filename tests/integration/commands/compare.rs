//! `unheat compare`, training on noisy observations, on observations alone, and without physics.

use std::path::Path;
use std::process::{Command, Output};
use tempfile::tempdir;

fn unheat(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_unheat")).args(arguments).output().unwrap()
}

#[track_caller]
fn succeed(arguments: &[&str]) -> String {
    let output = unheat(arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The only complaint of a command that fails.
#[track_caller]
fn refused(arguments: &[&str]) -> String {
    let output = unheat(arguments);
    assert!(!output.status.success(), "{arguments:?}");
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let complaints: Vec<&str> = text.lines().filter(|line| line.starts_with("unheat: ")).collect();
    assert_eq!(complaints.len(), 1, "{arguments:?}: {text}");
    complaints[0].to_owned()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}

const SMALL: [&str; 10] =
    ["--steps", "3", "--size", "16x16", "--levels", "2", "--filters", "8", "--no-tune", "--no-self-test"];

/// Column `index` of every row of `metrics.csv`.
fn column(folder: &Path, index: usize) -> Vec<f64> {
    let table = read(&folder.join("metrics.csv"));
    table.lines().skip(1).map(|line| line.split(',').nth(index).unwrap().parse().unwrap()).collect()
}

const X_LOSS: usize = 2;
const Y_LOSS: usize = 6;

#[test]
fn a_comparison_trains_every_method_on_the_same_and_reports() {
    let root = tempdir().unwrap();
    let folder = root.path().join("c");
    let said =
        succeed(&[&["compare", "--batch", "4", "--device", "cpu", "-o", text(&folder)], &SMALL[..]].concat());
    let methods = ["sip", "gd", "supervised"].map(|method| folder.join(method));
    let first: Vec<f64> = methods.iter().map(|run| column(run, X_LOSS)[0]).collect();
    assert!(first[0] == first[1] && first[1] == first[2], "the same weights and data: {first:?}");
    let last: Vec<f64> = methods.iter().map(|run| column(run, X_LOSS)[2]).collect();
    assert!(last[0] != last[1] && last[1] != last[2] && last[0] != last[2], "{last:?}");

    let markdown = read(&folder.join("report.md"));
    let html = read(&folder.join("report.html"));
    let networks = ["SIP", "GD", "supervised"];
    let classical = ["observation", "one-shot", "iterated", "Tikhonov", "Wiener", "Richardson-Lucy"];
    for name in [&networks[..], &classical, &["total variation", "automatic"]].concat() {
        assert!(said.contains(name) && markdown.contains(name) && html.contains(name), "{name}");
    }
    assert!(markdown.contains("![Reconstructions](reconstructions.png)") && markdown.contains("steps = 3"));
    assert_eq!(html.matches("src=\"data:image/png;base64,").count(), 2);
    assert!(!html.contains("src=\"curves"), "the page stands alone");
    for picture in ["curves.png", "reconstructions.png"] {
        assert!(std::fs::read(folder.join(picture)).unwrap().starts_with(b"\x89PNG"));
    }

    // A single method of it goes on, and the comparison with it.
    let method =
        succeed(&["compare", "--resume", text(&folder), "--steps", "4", "--no-tune", "--no-self-test"]);
    assert!(method.contains("report.html"));
    assert!(methods.iter().all(|run| column(run, X_LOSS).len() == 4));
}

#[test]
fn impossible_comparisons_are_refused_before_anything_is_written() {
    let root = tempdir().unwrap();
    let folder = root.path().join("c");
    let output = text(&folder);
    assert!(refused(&["compare", "--method", "sip", "-o", output]).contains("--methods"));
    assert!(refused(&["compare", "--size", "60x60", "-o", output]).contains("32 or 64"));
    assert!(refused(&["compare", "--resume", text(root.path())]).contains("name a comparison's folder"));
    assert!(refused(&["compare", "--noise=-1", "-o", output]).contains("noise -1"));
    assert!(!folder.exists());
}

/// Fields, their noisy observations, and a run on those alone beside one that knows the truth.
fn observations_teach(device: &str) {
    let root = tempdir().unwrap();
    let [x, y, blind, seeing] = ["x.npy", "y.npy", "blind", "seeing"].map(|name| root.path().join(name));
    succeed(&["generate", "--count", "12", "--size", "16x16", "--device", "cpu", "-o", text(&x)]);
    succeed(&["diffuse", "-i", text(&x), "--amount", "1", "--device", "cpu", "-o", text(&y)]);
    let common = [&["--batch", "4", "--amount", "1", "--device", device], &SMALL[..]].concat();
    let train = |more: &[&str], folder: &Path| {
        succeed(&[&["train"], &common[..], more, &["-o", text(folder)]].concat());
    };
    train(&["--observations", text(&y), "--noise", "1e-6"], &blind);
    train(&["--data", text(&x)], &seeing);
    assert!(column(&blind, X_LOSS).iter().all(|loss| loss.is_nan()), "nobody knows x");
    // The observations are exact, so both see the same residual.
    let (blind, seeing) = (column(&blind, Y_LOSS), column(&seeing, Y_LOSS));
    for (blind, seeing) in blind.iter().zip(&seeing) {
        assert!((blind / seeing - 1.0).abs() < 1e-2, "{blind} {seeing}");
    }
}

#[test]
fn observations_alone_teach_on_the_cpu() {
    observations_teach("cpu");
}

/// The first adapter; a machine without one fails with the hint of how to get one.
#[test]
fn observations_alone_teach_on_a_gpu() {
    succeed(&["devices"]);
    observations_teach("0");
}

#[test]
fn noise_changes_the_observations_and_survives_in_the_settings() {
    let root = tempdir().unwrap();
    let run = |noise: &str, name: &str| {
        let folder = root.path().join(name);
        succeed(
            &[
                &["train", "--batch", "4", "--device", "cpu", "--noise", noise, "-o", text(&folder)],
                &SMALL[..],
            ]
            .concat(),
        );
        folder
    };
    let (exact, noisy) = (run("0", "a"), run("0.1", "b"));
    assert_ne!(column(&exact, Y_LOSS), column(&noisy, Y_LOSS));
    // ½·256 cells·0.1² of noise is more than the rest at most by chance.
    assert!(column(&noisy, Y_LOSS).iter().all(|&loss| loss > 1.0));
    assert!(read(&noisy.join("config.toml")).contains("noise = 0.1"));
}

#[test]
fn observations_do_not_mix_with_what_needs_the_truth() {
    let root = tempdir().unwrap();
    let x = root.path().join("x.npy");
    succeed(&["generate", "--count", "2", "--size", "16x16", "--device", "cpu", "-o", text(&x)]);
    let file = text(&x);
    let train = |more: &[&str]| {
        refused(&[&["train", "--observations", file, "--levels", "2", "--device", "cpu"], more].concat())
    };
    assert!(train(&["--method", "supervised"]).contains("use sip or gd"));
    assert!(train(&["--validate-every", "2"]).contains("--validation-data"));
    assert!(refused(&["train", "--uncertainty", "0"]).contains("uncertainty 0"));
}
