//! `unheat train` as a process, and what it leaves.

use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

pub const SMALL: &str = "--batch 2 --size 16x16 --levels 2 --filters 8 --seed 3 --no-tune --no-self-test";

/// For many runs.
pub const TINY: &str = "--batch 2 --size 8x8 --levels 1 --filters 8 --seed 3 --no-tune --no-self-test";

/// Steps of a run that a test stops in its middle: a second or more of a small one on a fast machine. With
/// fewer the run could be over before a busy machine lets the test stop it.
pub const LONG: usize = 3000;

pub fn command(arguments: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_unheat"));
    command.arg("train").args(arguments.split(' ')).stdin(Stdio::null());
    command
}

pub fn run(arguments: &str) -> Output {
    command(arguments).output().unwrap()
}

pub fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr[..]].concat()).into_owned()
}

#[track_caller]
pub fn succeed(arguments: &str) -> String {
    let output = run(arguments);
    assert!(output.status.success(), "{arguments}: {}", said(&output));
    said(&output)
}

/// Fails with this code, and a line that begins so and contains this.
#[track_caller]
pub fn refused(arguments: &str, code: i32, expected: &str) {
    let output = run(arguments);
    let said = said(&output);
    assert_eq!(output.status.code(), Some(code), "{arguments}: {said}");
    let lines: Vec<&str> = said
        .lines()
        .filter(|line| line.starts_with("unheat: ") && !line.starts_with("unheat: warning: "))
        .collect();
    assert!(lines.len() == 1 && lines[0].contains(expected), "{arguments}: {said}");
}

pub fn start(arguments: &str) -> Child {
    command(arguments).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
}

pub fn rows(folder: &Path) -> usize {
    std::fs::read_to_string(folder.join("metrics.csv"))
        .map_or(0, |text| text.lines().count().saturating_sub(1))
}

#[track_caller]
pub fn wait_for_rows(child: &mut Child, folder: &Path, count: usize) {
    let start = Instant::now();
    while rows(folder) < count {
        assert!(start.elapsed() < Duration::from_secs(120), "{count} rows never came");
        assert!(child.try_wait().unwrap().is_none(), "the run ended before {count} rows");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Every file with its content; of the metrics without the last column, the seconds.
pub fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<(String, Vec<u8>)> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| {
            let entry = entry.unwrap();
            let (name, bytes) =
                (entry.file_name().into_string().unwrap(), std::fs::read(entry.path()).unwrap());
            if !["metrics.csv", "metrics.jsonl"].contains(&name.as_str()) {
                return (name, bytes);
            }
            let text = String::from_utf8(bytes).unwrap();
            let lines = text.lines().map(|line| format!("{}\n", line.rsplit_once(',').unwrap().0));
            (name, lines.collect::<String>().into_bytes())
        })
        .collect();
    files.sort();
    files
}

#[track_caller]
pub fn assert_same(a: &Path, b: &Path) {
    let (a, b) = (files(a), files(b));
    let names = |files: &[(String, Vec<u8>)]| files.iter().map(|file| file.0.clone()).collect::<Vec<_>>();
    assert_eq!(names(&a), names(&b));
    for (a, b) in a.iter().zip(&b) {
        assert!(a.1 == b.1, "{} differs", a.0);
    }
}
