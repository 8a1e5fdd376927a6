//! The page in real browsers: what it trains, checks and saves, against the program on this machine.
//!
//! It is `scripts/web` that builds the page, and `scripts/web setup` that brings browsers on Debian. Where
//! either is missing nothing is tried, and said so; CI sets UNHEAT_NEEDS_BROWSERS, so that it cannot be
//! missing there.

mod browsers;
mod server;

use browsers::Browser;
use serde_json::{Value, json};
use server::Server;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use unheat::io::arrays::npy::{self, FieldData, Fields};
use unheat::io::tables::metrics::{self, MetricsRow};

/// A small training.
const SETTINGS: [(&str, &str); 6] =
    [("seed", "1"), ("size", "32x32"), ("levels", "2"), ("filters", "8"), ("batch", "4"), ("steps", "20")];

/// Its steps.
const STEPS: usize = 20;

/// These settings as the page's address has them, on WebGPU.
fn query() -> String {
    let pairs: String = SETTINGS.iter().map(|(name, value)| format!("{name}={value}&")).collect();
    format!("{pairs}methods=sip,gd&device=gpu&run=off")
}

/// Settings as the program's flags.
fn flags(settings: &[(&str, &str)]) -> Vec<String> {
    settings.iter().flat_map(|(name, value)| [format!("--{name}"), (*value).to_owned()]).collect()
}

/// Steps whose losses are the program's, whatever computes: later ones drift apart as roundings grow.
const EXACT: usize = 3;

/// How long a report may take; every case takes minutes.
const PATIENCE: Duration = Duration::from_secs(900);

/// How far losses of later steps may be off, as a part.
const BAND: f64 = 1e-2;

/// The page, and the browsers to try it in; none where nothing can be tried.
fn ready() -> Option<(PathBuf, Vec<Browser>)> {
    let is_needed = std::env::var_os("UNHEAT_NEEDS_BROWSERS").is_some();
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or("target".into(), PathBuf::from);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(target).join("web");
    let (is_built, browsers) = (folder.join("unheat_web_bg.wasm").is_file(), Browser::installed());
    if is_needed {
        assert!(is_built, "the page is not built: scripts/web");
        assert_eq!(browsers.len(), 2, "found {browsers:?} and not both browsers: scripts/web setup");
    }
    if !is_built || browsers.is_empty() {
        eprintln!("\n*** the page was NOT TRIED: scripts/web setup brings browsers, scripts/web builds it\n");
        return None;
    }
    Some((folder, browsers))
}

/// What the page reports of these jobs; nothing may have been said on its console.
fn report(browser: Browser, page: &Path, jobs: &Value) -> Value {
    let server = Server::new(page, jobs);
    let profile = tempfile::tempdir().unwrap();
    let running = browser.open(&format!("{}/?{}", server.address, query()), profile.path());
    let found = server.report(PATIENCE);
    drop(running);
    let found = found.unwrap_or_else(|what| panic!("{}: {what}", browser.name()));
    assert_eq!(found["failed"], Value::Null, "{}", browser.name());
    assert_eq!(found["console"], json!([]), "{}: something was said on the console", browser.name());
    found["report"].clone()
}

/// Runs the program, which must succeed.
fn unheat(arguments: &[&str]) {
    let output = Command::new(env!("CARGO_BIN_EXE_unheat")).args(arguments).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "unheat {}: {said}", arguments.join(" "));
}

/// The rows of the same training by the program.
fn native(method: &str, folder: &Path) -> Vec<MetricsRow> {
    let run = folder.join(format!("native-{method}"));
    let settings = flags(&SETTINGS);
    let mut arguments = vec!["train", "--device", "cpu", "--method", method, "-o", run.to_str().unwrap()];
    arguments.extend(settings.iter().map(String::as_str));
    unheat(&arguments);
    metrics::read(&run.join("metrics.csv")).unwrap()
}

/// The largest relative differences from the program's losses, of the exact steps and of all.
fn differences(rows: &Value, expected: &[MetricsRow]) -> [f64; 2] {
    let rows = rows.as_array().unwrap();
    assert_eq!(rows.len(), expected.len());
    let mut worst = [0.0f64; 2];
    for (number, (row, expected)) in rows.iter().zip(expected).enumerate() {
        assert_eq!(row["step"].as_u64(), Some(expected.step));
        for (name, expected) in [
            ("loss_mean", expected.loss_mean),
            ("x_l2_mean", expected.x_l2_mean),
            ("x_l2_min", expected.x_l2_min),
            ("x_l2_max", expected.x_l2_max),
            ("y_l2_mean", expected.y_l2_mean),
        ] {
            let found = row[name].as_f64().unwrap_or_else(|| panic!("step {number} has no {name}"));
            let difference = (found - expected).abs() / expected.abs();
            worst[1] = worst[1].max(difference);
            if number < EXACT {
                worst[0] = worst[0].max(difference);
            }
        }
    }
    worst
}

fn numbers(values: &Value) -> Vec<f64> {
    values.as_array().unwrap().iter().map(|value| value.as_f64().unwrap()).collect()
}

/// ‖a - b‖/‖b‖.
fn relative_error(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    let squares = |values: &mut dyn Iterator<Item = f64>| values.map(|v| v * v).sum::<f64>().sqrt();
    squares(&mut a.iter().zip(b).map(|(a, b)| a - b)) / squares(&mut b.iter().copied())
}

fn bytes(hex: &Value) -> Vec<u8> {
    let text = hex.as_str().unwrap();
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

/// Trains on WebGPU and on the CPU engine as the program does; what is drawn is reconstructed, by the page
/// and by `unheat reconstruct` with the page's weights alike; and every kernel of the training is right.
#[test]
fn a_page_trains_and_reconstructs_as_the_program_does() {
    let Some((page, browsers)) = ready() else { return };
    let folder = tempfile::tempdir().unwrap();
    let expected = ["sip", "gd"].map(|method| (method, native(method, folder.path())));
    for browser in browsers {
        let steps = json!({ "steps": STEPS });
        let jobs = json!([["train", steps], ["check", {}], ["bench", {}], ["cpu", steps]]);
        let found = report(browser, &page, &jobs);
        for (job, kind) in [("train", "gpu"), ("cpu", "cpu")] {
            let found = &found[job];
            assert_eq!(found["device"]["kind"], kind, "{}", found["device"]);
            for (method, expected) in &expected {
                let [exact, all] = differences(&found["losses"][method], expected);
                let name = browser.name();
                println!("{name} {kind} {method}: losses of {EXACT} steps {exact:.1e}, of all {all:.1e} off");
                assert!(exact <= 1e-4 && all <= BAND, "{name} {kind} {method}: {exact:e} and {all:e}");
                reconstructs(found, method, folder.path());
            }
            println!(
                "{} {kind}: {} steps in {:.2} s",
                browser.name(),
                STEPS,
                found["seconds"].as_f64().unwrap()
            );
        }
        shows_fields(&found, browser);
        let kernels = found["bench"]["rows"].as_array().unwrap();
        let note = found["bench"]["note"].as_str().unwrap();
        assert!(kernels.len() > 20 || note.contains("lets no page"), "{}: {note}", browser.name());
        println!("{}: {} kernels timed; {note}", browser.name(), kernels.len());
        let cases = found["check"]["cases"].as_array().unwrap();
        let wrong: Vec<&Value> = cases.iter().filter(|case| case["ok"] != true).collect();
        assert!(wrong.is_empty() && cases.len() > 20, "{}: {wrong:?} of {}", browser.name(), cases.len());
        let run = cases.iter().filter(|case| case["skipped"].is_null()).count();
        println!("{}: {run} cases right, in {} s", browser.name(), found["check"]["seconds"]);
    }
}

/// The canvases of both engines show the same, and something: the shader that draws and what paints for the
/// CPU engine are told apart by roundings alone.
fn shows_fields(found: &Value, browser: Browser) {
    let name = browser.name();
    let panels = found["train"]["shown"].as_object().unwrap();
    assert_eq!(panels.len(), 4, "{name}: {:?}", panels.keys());
    for (caption, panel) in panels {
        let other = &found["cpu"]["shown"][caption];
        assert_eq!((&panel["width"], &panel["height"]), (&json!(4 * 32), &json!(32)), "{name}: {caption}");
        let [pixels, others] = [panel, other].map(|panel| numbers(&panel["pixels"]));
        let brightest = pixels.iter().copied().fold(0.0, f64::max);
        assert!(brightest > 100.0, "{name}: {caption} is dark");
        let apart: f64 = pixels.iter().zip(&others).map(|(a, b)| (a - b).abs()).sum();
        let mean = apart / pixels.len() as f64;
        println!("{name}: {caption}: {mean:.3} of 255 apart");
        assert!(pixels.len() == others.len() && mean < 0.5, "{name}: {caption}: {mean} apart");
    }
}

/// The page's weights do by `unheat reconstruct` what they do in the page, and a drawn field comes back.
fn reconstructs(found: &Value, method: &str, folder: &Path) {
    let [weights, observation, output] =
        ["w.safetensors", "y.npy", "x.npy"].map(|name| folder.join(name).to_str().unwrap().to_owned());
    std::fs::write(&weights, bytes(&found["weights"][method])).unwrap();
    let seen = numbers(&found["observation"]);
    let data = FieldData::F64(seen.clone());
    npy::write(Path::new(&observation), &Fields { shape: [1, 32, 32], data, rank2: true }).unwrap();
    unheat(&[
        "reconstruct",
        "--weights",
        &weights,
        "-i",
        &observation,
        "-o",
        &output,
        "--norm",
        "running",
        "--same-units",
        "--device",
        "cpu",
    ]);
    let prediction = numbers(&found["predictions"][method]);
    let own = npy::read(Path::new(&output)).unwrap().data.into_f64();
    let difference = relative_error(&prediction, &own);
    assert!(difference < 1e-4, "{method}: the page and unheat reconstruct differ by {difference:e}");
    // A network of twenty steps gets nearer to what was drawn than a constant is.
    let drawn = numbers(&found["field"]);
    let mean = drawn.iter().sum::<f64>() / drawn.len() as f64;
    let flat = vec![mean; drawn.len()];
    let (by_network, by_nothing) = (relative_error(&prediction, &drawn), relative_error(&flat, &drawn));
    // The plain gradient needs more steps for that.
    assert!(by_network < by_nothing || method == "gd", "{by_network} and {by_nothing} without a network");
    println!("{method}: {by_network:.2} off what was drawn; page and program {difference:.1e} apart");
}

/// Every case; SwiftShader compiles them for longer than anybody waits, so that Chromium is left out.
#[test]
#[ignore = "takes minutes"]
fn every_case() {
    let Some((page, browsers)) = ready() else { return };
    for browser in browsers.into_iter().filter(|browser| browser.name() == "Firefox") {
        let found = report(browser, &page, &json!([["everything", {}]]));
        let cases = found["everything"]["cases"].as_array().unwrap();
        let run = cases.iter().filter(|case| case["skipped"].is_null());
        let wrong: Vec<&Value> = run.clone().filter(|case| case["ok"] != true).collect();
        println!("{}: {} of {} cases run", browser.name(), run.count(), cases.len());
        assert!(wrong.is_empty() && cases.len() > 300, "{wrong:?}");
    }
}

/// The table of docs/browser.md.
#[test]
#[ignore = "measures, which wants a quiet machine"]
fn speed() {
    let Some((page, browsers)) = ready() else { return };
    const STEPS: u64 = 40;
    let folder = tempfile::tempdir().unwrap();
    let settings = [("size", "32x32"), ("levels", "3"), ("filters", "8"), ("batch", "8"), ("seed", "0")];
    let flags = flags(&settings);
    let native = |device: &str| {
        let run = folder.path().join(device);
        let mut arguments: Vec<&str> = flags.iter().map(String::as_str).collect();
        let steps = (STEPS + 3).to_string();
        arguments.extend(["--steps", &steps, "--device", device, "-o", run.to_str().unwrap()]);
        unheat(&[&["train"], &arguments[..]].concat());
        let rows = metrics::read(&run.join("metrics.csv")).unwrap();
        let seconds = |step: u64| rows[step as usize].seconds;
        1e3 * (seconds(STEPS + 2) - seconds(2)) / STEPS as f64
    };
    println!("native: CPU engine {:.1} ms, llvmpipe {:.1} ms per step", native("cpu"), native("llvmpipe"));
    let wish: serde_json::Map<String, Value> =
        settings.iter().map(|(name, value)| (name.to_string(), Value::from(*value))).collect();
    for browser in browsers {
        let jobs = json!([["speed", { "steps": STEPS, "settings": wish }]]);
        let found = report(browser, &page, &jobs);
        for device in ["gpu", "cpu"] {
            let of = |kind: &str| found["speed"][device][kind].as_f64().unwrap();
            let name = browser.name();
            println!(
                "{name} {device}: page {:.1} ms, bare loop {:.1} ms per step and method",
                of("page"),
                of("bare")
            );
        }
    }
}

/// What is impossible is said, and leaves the training as it was; a lost device is opened again; weights come
/// back; losses that are not finite end each method by itself.
#[test]
fn a_page_refuses_recovers_and_reloads() {
    let Some((page, browsers)) = ready() else { return };
    let wishes = [
        (json!({ "levels": 9 }), "levels 9: must be from 1 to 6"),
        (json!({ "size": "60x64" }), "a power of two"),
        (json!({ "lr": -1 }), "lr -1: must be a positive number"),
        (json!({ "filters": "a" }), "filters a: must be a whole number"),
        (json!({ "activation": "gelu" }), "activation gelu: must be"),
        (json!({ "foo": 1 }), "`foo` is no setting"),
        (json!({ "data": "x.npy" }), "data: is for the command line"),
        (json!({ "operator": "psf:x.npy" }), "a page has no files"),
        (json!({ "methods": "adam" }), "methods 'adam': must be one of sip, gd, supervised"),
        (json!({ "device": "tpu" }), "device tpu: must be auto, gpu or cpu"),
        (json!({ "batch": 60000, "size": "256x256" }), "batch"),
        (json!({ "batch": 60000, "size": "256x256", "device": "cpu" }), "batch"),
    ];
    for browser in browsers {
        let asked: Vec<&Value> = wishes.iter().map(|(wish, _)| wish).collect();
        let steps = json!({ "steps": 2 });
        let jobs =
            json!([["refusals", { "wishes": asked }], ["reload", steps], ["lose", steps], ["explode", {}]]);
        let found = report(browser, &page, &jobs);
        let answers = found["refusals"]["answers"].as_array().unwrap();
        for ((wish, expected), answer) in wishes.iter().zip(answers) {
            let answer = answer.as_str().unwrap();
            let kind = answer.split(':').next().unwrap();
            assert!(["usage", "memory"].contains(&kind) && answer.contains(expected), "{wish}: {answer}");
        }
        assert_eq!(found["refusals"]["steps"], json!([1, 1]), "the training before goes on");
        assert_eq!(found["reload"]["weights"], "mine.safetensors");
        assert_eq!(found["reload"]["settings"]["filters"], json!([8, 8]));
        let difference = found["reload"]["difference"].as_f64().unwrap();
        assert!(difference < 1e-5, "weights that were saved and loaded predict otherwise: {difference:e}");
        for method in ["sip", "gd"] {
            let rows = found["lose"]["losses"][method].as_array().unwrap();
            let steps: Vec<u64> = rows.iter().map(|row| row["step"].as_u64().unwrap()).collect();
            assert_eq!(steps, [0, 1, 2, 3], "{}: a lost device costs no row", browser.name());
        }
        assert_eq!(found["lose"]["device"]["kind"], "gpu");
        let [many, one] = [0, 1].map(|i| &found["explode"][i]);
        let why = many["why"].as_str().unwrap();
        assert!(why.contains("SIP in step") && why.contains("GD in step"), "{why}");
        assert_eq!(many, one, "{}: what stops does not depend on the rhythm", browser.name());
    }
}
