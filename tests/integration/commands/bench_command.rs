//! `unheat bench` as a person and a tool use it.

use serde_json::Value;
use std::path::Path;
use std::process::{Command, Output};
use tempfile::tempdir;
use unheat::model::{UNet, UNetConfig};

/// Small enough for a software adapter in a debug build.
const SMALL: [&str; 11] =
    ["bench", "--batch", "2", "--size", "16x16", "--levels", "2", "--filters", "8", "--steps", "2"];

fn bench(arguments: &[&str]) -> Output {
    command(arguments).output().unwrap()
}

fn command(arguments: &[&str]) -> Command {
    // A flag may be given once only.
    let rest = SMALL[1..].chunks(2).filter(|pair| !arguments.contains(&pair[0])).flatten();
    let mut command = Command::new(env!("CARGO_BIN_EXE_unheat"));
    command.args(["bench", "--no-tune"]).args(rest).args(arguments);
    command
}

#[track_caller]
fn succeed(arguments: &[&str]) -> String {
    let output = bench(arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// What the program itself complained about.
fn complaints(output: &Output) -> Vec<String> {
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    text.lines().filter(|line| line.starts_with("unheat: ")).map(str::to_owned).collect()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[track_caller]
fn positive(value: &Value) -> f64 {
    let number = value.as_f64().unwrap_or_else(|| panic!("{value} is no number"));
    assert!(number > 0.0 && number.is_finite(), "{number}");
    number
}

fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap()
}

#[test]
fn the_json_of_a_gpu_is_complete_and_compares_with_itself() {
    let root = tempdir().unwrap();
    let (earlier, figure) = (root.path().join("earlier.json"), root.path().join("roofline.png"));
    let json = succeed(&["--device", "0", "--json", "--output", text(&figure)]);
    std::fs::write(&earlier, &json).unwrap();
    assert!(image::open(&figure).unwrap().width() > 800);

    let found: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(found["settings"]["size"], "16x16");
    for part in [&found["ceilings"]["gflops"], &found["ceilings"]["gbytes_per_second"]] {
        positive(part);
    }
    for part in
        ["ms", "fastest_ms", "slowest_ms", "submit_ms", "encode_ms", "flops", "bytes", "dispatches", "timed"]
    {
        positive(&found["step"][part]);
    }
    let stages = list(&found["stages"]);
    assert_eq!(stages.len() as u64, found["step"]["dispatches"].as_u64().unwrap());
    let parts: Vec<&str> = stages.iter().map(|stage| stage["part"].as_str().unwrap()).collect();
    assert!(
        parts.is_sorted_by_key(|p| ["data", "forward", "backward", "update"].iter().position(|q| p == q))
    );
    let mut bytes = 0.0;
    for stage in stages {
        assert!(stage["ms"].as_f64().unwrap() >= 0.0);
        assert!(
            !stage["kernel"].as_str().unwrap().is_empty() && !stage["layer"].as_str().unwrap().is_empty()
        );
        bytes += positive(&stage["bytes"]);
    }
    assert_eq!(bytes, found["step"]["bytes"].as_f64().unwrap());
    assert!(stages.iter().map(|stage| stage["ms"].as_f64().unwrap()).sum::<f64>() > 0.0);

    // Gradients once; weights and both moments in and out; three scalars.
    let net = UNet::new(&UNetConfig { filters: vec![8, 8], ..Default::default() });
    let adam = stages.iter().find(|stage| stage["kernel"] == "adam").unwrap();
    assert_eq!(adam["bytes"].as_u64().unwrap(), 4 * (7 * net.param_count as u64 + 3));
    let parameters =
        list(&found["memory"]).iter().find(|m| m["used_for"] == "parameters and optimiser").unwrap();
    assert!(parameters["bytes"].as_u64().unwrap() >= 3 * 4 * net.param_count as u64);

    let table = succeed(&["--device", "0", "--by", "layer", "--compare", text(&earlier)]);
    for word in ["whole step", "GFLOP/s", "roofline", "memory", "speed-up", "update adam"] {
        assert!(table.contains(word), "{word}: {table}");
    }
    let ratios = table.lines().filter(|line| line.ends_with('x')).count();
    assert!(ratios > 5, "{table}");
    assert!(!table.contains("not the same"), "{table}");
}

#[test]
fn dispatches_can_be_timed_by_the_host() {
    let table = succeed(&["--device", "0", "--timing", "submissions", "--by", "dispatch", "--method", "gd"]);
    assert!(table.lines().any(|line| line.starts_with("update adam adam")), "{table}");
    assert!(table.contains("timing       of the dispatches: by the host's clock"), "{table}");
}

/// The least device that WebGPU allows has none.
#[test]
fn where_timestamps_are_missing_the_table_is_the_hosts_and_a_wish_for_them_an_error() {
    let least = |more: &[&str]| {
        let arguments = [&["--device", "0", "--physics", "f32"][..], more].concat();
        command(&arguments).env("UNHEAT_LEAST_DEVICE", "1").output().unwrap()
    };
    let output = least(&["--json"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("timing submissions instead"), "{said}");
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(found["timing"], "submissions");

    let output = least(&["--timing", "timestamps"]);
    let said = complaints(&output);
    assert_eq!(output.status.code(), Some(2));
    assert!(said.len() == 1 && said[0].contains("has none; use --timing submissions"), "{said:?}");
    assert!(output.stdout.is_empty());
}

#[test]
fn the_cpu_engine_has_the_same_shape() {
    let root = tempdir().unwrap();
    let earlier = root.path().join("earlier.json");
    let json = succeed(&["--device", "cpu", "--json"]);
    std::fs::write(&earlier, &json).unwrap();
    let found: Value = serde_json::from_str(&json).unwrap();
    positive(&found["step"]["ms"]);
    assert_eq!(found["kind"], "cpu");
    let kernels: Vec<&str> =
        list(&found["stages"]).iter().map(|stage| stage["kernel"].as_str().unwrap()).collect();
    assert_eq!(kernels, ["data", "forward", "backward", "update"]);
    for stage in list(&found["stages"]) {
        positive(&stage["ms"]);
    }
    let json = succeed(&["--device", "cpu", "--batch", "3", "--json", "--compare", text(&earlier)]);
    let found: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(list(&found["comparison"]["differences"]), ["batch: 2 before, 3 now"]);
    positive(&found["comparison"]["step"]["speed_up"]);
    assert_eq!(list(&found["comparison"]["rows"]).len(), 4);
}

#[test]
fn impossible_requests_get_one_line() {
    let root = tempdir().unwrap();
    let file = root.path().join("not.json");
    std::fs::write(&file, "{\"unheat\": 1}").unwrap();
    let missing = root.path().join("missing.json");
    let (picture, nowhere) = (root.path().join("p.png"), root.path().join("no/p.png"));
    for (flags, code, expected) in [
        (vec!["--compare", text(&file)], 1, "not what `unheat bench --json` prints"),
        (vec!["--compare", text(&missing)], 1, "missing.json"),
        (vec!["--device", "cpu", "--output", text(&picture)], 2, "CPU engine"),
        (vec!["--device", "cpu", "--timing", "submissions"], 2, "CPU engine"),
        (vec!["--device", "0", "--output", text(&nowhere)], 1, "there is no folder"),
        (vec!["--device", "0", "--output", text(root.path())], 1, "this is a folder"),
        (vec!["--device", "no such thing"], 2, "no such"),
        (vec!["--size", "60x64"], 2, "32 or 64"),
        (vec!["--levels", "7"], 2, "levels 7"),
    ] {
        let flags: Vec<&str> =
            if flags.contains(&"--device") { flags } else { [&["--device", "cpu"][..], &flags].concat() };
        let output = bench(&flags);
        let said = complaints(&output);
        assert_eq!(output.status.code(), Some(code), "{flags:?}: {said:?}");
        assert_eq!(said.len(), 1, "{flags:?}: {said:?}");
        assert!(said[0].contains(expected), "{flags:?}: {said:?}");
        assert!(output.stdout.is_empty(), "{flags:?}");
    }
}
