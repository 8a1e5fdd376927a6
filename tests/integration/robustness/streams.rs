//! Standard input, standard output and pipes, with readers and writers that come and go.
#![cfg(unix)]

use crate::support::desk::Desk;
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::FileTypeExt;
use std::process::{Command, Output, Stdio};

fn desk() -> Desk {
    let desk = Desk::new();
    let values: Vec<f64> = (0..300).map(|i| f64::from(i).sin().abs()).collect();
    desk.save("x.npy", [1, 15, 20], &values);
    let picture = image::RgbImage::from_fn(24, 16, |x, y| image::Rgb([(7 * x) as u8, (9 * y) as u8, 77]));
    for name in ["a.png", "a.tif", "a.jpg"] {
        picture.save(desk.path(name)).unwrap();
    }
    desk
}

/// A line of a shell, in which `unheat` is the program.
fn shell(desk: &Desk, line: &str) -> Output {
    let line = line.replace("unheat", env!("CARGO_BIN_EXE_unheat"));
    Command::new("bash").args(["-c", &line]).current_dir(desk.path("")).stdin(Stdio::null()).output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn pipes_carry_what_files_hold() {
    let desk = desk();
    let flags = "--amount 2 --device cpu";
    for (file, ending) in [("x.npy", "npy"), ("a.png", "png"), ("a.tif", "png"), ("a.jpg", "png")] {
        desk.run(&format!("diffuse {flags} -i {file} -o whole.{ending}"), 0);
        let expected = fs::read(desk.path(&format!("whole.{ending}"))).unwrap();
        let restored = if ending == "npy" { "r.npy" } else { "r.png" };
        desk.run(&format!("restore {flags} -i whole.{ending} -o {restored}"), 0);
        for line in [
            format!("unheat diffuse {flags} -i - -o - < {file}"),
            format!("cat {file} | unheat diffuse {flags} -i - -o - | cat"),
            format!("unheat diffuse {flags} -i <(cat {file}) -o -"),
            format!("cat {file} | unheat diffuse {flags} -i /dev/stdin -o -"),
            format!(
                "unheat diffuse {flags} -i {file} -o >(cat > got.{ending}) > line && sleep 0.5 && cat got.*"
            ),
            format!(
                "mkfifo in out; cat {file} >in & cat out & unheat diffuse {flags} -i in -o out >line; wait"
            ),
        ] {
            let output = shell(&desk, &line);
            assert!(output.status.success() && output.stdout == expected, "{line}: {}", said(&output));
            for name in [&format!("got.{ending}"), "in", "out"] {
                let _ = fs::remove_file(desk.path(name));
            }
        }
        let line =
            format!("cat {file} | unheat diffuse {flags} -i - -o - | unheat restore {flags} -i - -o -");
        let output = shell(&desk, &line);
        assert!(output.stdout == fs::read(desk.path(restored)).unwrap(), "{line}: {}", said(&output));
    }
    // The lines about a result are not in it.
    let output = shell(&desk, "unheat generate --count 2 --size 16x16 -o -");
    assert!(output.stdout.starts_with(b"\x93NUMPY") && said(&output).contains("2 fields of 16x16"));
    let output =
        shell(&desk, "unheat generate --count 2 --size 16x16 -o - | unheat invert -i - -o - --device cpu");
    assert!(output.stdout.starts_with(b"\x93NUMPY"), "{}", said(&output));
    assert!(!desk.path("-").exists());
    shell(&desk, "unheat generate --count 2 --size 16x16 -o /dev/null");
    assert!(fs::metadata("/dev/null").unwrap().file_type().is_char_device());
}

#[test]
fn streams_that_hold_something_else_or_end_early_are_refused() {
    let desk = desk();
    for (line, expected) in [
        ("head -c 500 x.npy | unheat diffuse -i - -o y.npy --device cpu", "standard input: its shape"),
        ("head -c 90 a.png | unheat diffuse -i - -o y.png --device cpu", "standard input: "),
        (
            "head -c 60% a.jpg 2>/dev/null | unheat diffuse -i - -o y.png --device cpu",
            "standard input: neither",
        ),
        ("echo hello | unheat restore -i - -o y.npy", "standard input: neither a .npy array nor a picture"),
        ("unheat restore -i - -o y.npy < /dev/null", "standard input: neither"),
        ("unheat invert -i - -o y.npy < a.png", "standard input: not a .npy file"),
        ("unheat diffuse -i <(head -c 200 x.npy) -o y.npy", "its shape"),
        ("unheat diffuse -i /dev/zero -o y.npy", "/dev/zero: neither"),
        ("unheat diffuse -i x.npy -o ./-/y.npy", "there is no folder ./-"),
        (
            "unheat diffuse -i x.npy -o /dev/full --device cpu",
            "/dev/full: cannot write: No space left on device",
        ),
    ] {
        let output = shell(&desk, line);
        let said = said(&output);
        let lines: Vec<&str> = said.lines().filter(|line| line.starts_with("unheat: ")).collect();
        assert!(output.status.code() == Some(1) && lines.len() == 1, "{line}: {said}");
        assert!(lines[0].contains(expected) && !said.contains("os error"), "{line}: {said}");
        assert!(!desk.path("y.npy").exists() && !desk.path("y.png").exists(), "{line}");
    }
}

/// A full disk is said, a reader who leaves is not.
#[test]
fn what_cannot_be_printed_is_no_success() {
    let desk = desk();
    for line in [
        "unheat --help",
        "unheat --version",
        "unheat help train",
        "unheat restore --help",
        "unheat completions bash",
        "unheat generate --count 1 --size 16x16 -o g.npy",
        "unheat diffuse -i x.npy -o y.npy --device cpu",
        "unheat diffuse -i x.npy -o - --device cpu",
        "unheat diffuse -i a.png -o - --device cpu",
        "unheat man pages",
        "unheat train --steps 1 --batch 2 --size 16x16 --levels 1 --filters 8 --device cpu -o run",
    ] {
        let output = shell(&desk, &format!("{line} > /dev/full"));
        let told = said(&output);
        assert_eq!(output.status.code(), Some(1), "{line}: {told}");
        assert!(
            told.contains("unheat: standard output: cannot write: No space left on device"),
            "{line}: {told}"
        );
        let _ = fs::remove_dir_all(desk.path("run"));
        let output = shell(&desk, &format!("{line} | true"));
        assert!(!said(&output).contains("standard output"), "{line}: {}", said(&output));
        let _ = fs::remove_dir_all(desk.path("run"));
    }
}

/// A stream that never ends takes no more memory than there is.
#[test]
fn a_stream_without_an_end_is_refused() {
    let desk = desk();
    let mut child = Command::new("bash");
    let line = format!("ulimit -v 4000000; exec {} restore -i - -o y.npy", env!("CARGO_BIN_EXE_unheat"));
    child.args(["-c", &line]).current_dir(desk.path("")).stdin(Stdio::piped()).stderr(Stdio::piped());
    let mut child = child.spawn().unwrap();
    let mut to = child.stdin.take().unwrap();
    let _ = to.write_all(b"\x93NUMPY");
    let block = vec![0; 1 << 20];
    while to.write_all(&block).is_ok() {}
    let output = child.wait_with_output().unwrap();
    let told = said(&output);
    assert!(output.status.code() == Some(1) && told.contains("standard input: "), "{told}");
    assert!(File::open(desk.path("y.npy")).is_err());
}
