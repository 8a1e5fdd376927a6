//! Folders as people have them: with files of the system, notes, damaged, cut off and empty files, pipes, and
//! formats that are not read. What can be used is used, and what is left out is told.

use image::{DynamicImage, ImageFormat, RgbImage};
use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use tempfile::{TempDir, tempdir};
use unheat::io::arrays::npy::{self, FieldData, Fields};

const TRAIN: &str = "train --steps 2 --batch 2 --size 16x16 --levels 2 --filters 8 --device cpu";

/// Reads what `--weights` and `--amount` are needed for.
const RECONSTRUCT: &str = "reconstruct --weights run/weights.safetensors --amount 1 --device cpu";

fn unheat(root: &Path, arguments: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_unheat"));
    command.args(arguments.split_whitespace()).current_dir(root).output().unwrap()
}

#[track_caller]
fn ends(root: &Path, arguments: &str, code: i32) -> String {
    let output = unheat(root, arguments);
    let said = String::from_utf8([output.stderr, output.stdout].concat()).unwrap();
    assert_eq!(output.status.code(), Some(code), "{arguments}: {said}");
    said
}

fn picture(width: u32, height: u32) -> DynamicImage {
    let pixel = |x: u32, y: u32| image::Rgb([(x * 7 + y) as u8, (y * 5) as u8, (x * y % 251) as u8]);
    RgbImage::from_fn(width, height, pixel).into()
}

fn bytes(picture: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    picture.write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

/// A folder with two pictures, and its path.
fn folder(name: &str) -> (TempDir, PathBuf) {
    let root = tempdir().unwrap();
    let folder = root.path().join(name);
    std::fs::create_dir(&folder).unwrap();
    picture(24, 20).save(folder.join("a.png")).unwrap();
    picture(32, 16).save(folder.join("b.jpg")).unwrap();
    (root, folder)
}

/// What systems, cameras and cloud folders leave.
fn clutter(folder: &Path) {
    for name in ["._a.png", ".DS_Store", ".hidden.jpg", "Thumbs.db", "ehthumbs.db", "desktop.ini"] {
        std::fs::write(folder.join(name), b"nothing to see").unwrap();
    }
}

#[test]
fn what_systems_leave_in_folders_is_not_mentioned() {
    let (root, folder) = folder("photos");
    clutter(&folder);
    let run = unheat(root.path(), &format!("{TRAIN} --data photos -o run"));
    let said = String::from_utf8(run.stderr).unwrap();
    assert!(run.status.success() && said.contains("photos: 2 pictures, 6 planes, values from 0"), "{said}");
    assert!(!said.contains("left out"), "{said}");
    for command in [RECONSTRUCT, "diffuse", "restore --method one-shot --noise 1e-2"] {
        let said = ends(root.path(), &format!("{command} -i photos -o out"), 0);
        assert!(said.contains("2 pictures") && !said.contains("left out"), "{said}");
    }
}

/// Every way a member can be of no use, each with a word of its line.
fn losses(folder: &Path) -> Vec<(&'static str, &'static str)> {
    let whole = bytes(&picture(24, 20), ImageFormat::Png);
    let write = |name: &str, bytes: &[u8]| std::fs::write(folder.join(name), bytes).unwrap();
    write("c.png", b"");
    write("d.png", &whole[..whole.len() / 2]);
    let mut damaged = whole.clone();
    damaged[whole.len() / 2] ^= 1;
    write("e.png", &damaged);
    write("f.jpg", b"no picture");
    write("g.heic", b"another format");
    write("h.bin", b"\x76\x2f\x31\x01\x02\0\0\0an EXR picture by content");
    write("i.webp", &bytes(&picture(24, 20), ImageFormat::WebP)[..200]);
    let mut losses = vec![
        ("c.png", "the file is empty"),
        ("d.png", "ends early"),
        ("e.png", "cannot be read as a picture"),
        ("f.jpg", "not a picture that is read"),
        ("g.heic", "a format that is not read"),
        ("h.bin", "a format that is not read"),
        ("i.webp", "ends early"),
    ];
    std::fs::create_dir(folder.join("more.png")).unwrap();
    losses.push(("more.png", "a folder"));
    if cfg!(unix) {
        assert!(Command::new("mkfifo").arg(folder.join("pipe.png")).status().unwrap().success());
        assert!(
            Command::new("ln").args(["-s", "no"]).arg(folder.join("link.png")).status().unwrap().success()
        );
        losses.extend([("pipe.png", "not a regular file"), ("link.png", "a link to what is not there")]);
    }
    losses
}

#[test]
fn what_cannot_be_used_is_left_out_told_and_counted() {
    let (root, folder) = folder("photos");
    let mut expected = losses(&folder);
    picture(8, 8).save(folder.join("small.png")).unwrap();
    std::fs::write(folder.join("notes.txt"), b"hello").unwrap();
    std::fs::write(folder.join("a.xmp"), b"<x/>").unwrap();
    let count = expected.len();
    let check = |said: &str, expected: &[(&str, &str)]| {
        for (name, why) in expected {
            let lines: Vec<_> = said.lines().filter(|line| line.contains(&format!("{name}: "))).collect();
            assert!(lines.iter().any(|l| l.contains("left out: ") && l.contains(why)), "{name}: {said}");
        }
        assert!(said.contains("notes.txt: not a picture") && said.contains("a.xmp: not a picture"), "{said}");
    };
    let said = ends(root.path(), "diffuse -i photos -o out --amount 1", 4);
    check(&said, &expected);
    assert!(said.contains(&format!("3 pictures, {count} left out")), "{said}");
    let said = ends(root.path(), "restore --method one-shot --noise 1e-2 -i photos -o out --amount 1", 4);
    assert!(said.contains(&format!("3 pictures, {count} left out")), "{said}");

    expected.push(("small.png", "8x8 pixels are fewer"));
    let said = ends(root.path(), &format!("{TRAIN} --data photos -o run"), 4);
    check(&said, &expected);
    assert!(said.contains("2 pictures, 6 planes, "), "{said}");
    assert!(said.contains(&format!("{} left out", count + 1)), "{said}");
    check(&ends(root.path(), "train --resume run --steps 3", 4), &expected);
    let said = ends(root.path(), &format!("{RECONSTRUCT} -i photos -o out"), 4);
    assert!(said.contains(&format!("3 pictures, {count} left out")), "{said}");
    for flags in
        ["--validation-data photos --validate-every 2", "--validation-data photos --validate-every 1"]
    {
        let run = format!("run-{}", flags.len() + usize::from(flags.ends_with('1')));
        check(&ends(root.path(), &format!("{TRAIN} {flags} -o {run}"), 4), &expected);
    }

    // Nothing else is computed or written where all has to be of use.
    for command in [
        "diffuse -i photos -o strict --strict".to_owned(),
        "restore --method one-shot -i photos -o strict --strict".to_owned(),
        format!("{RECONSTRUCT} -i photos -o strict --strict"),
        format!("{TRAIN} --data photos --strict -o strict-run"),
        format!("{TRAIN} --validation-data photos --validate-every 1 --strict -o strict-run"),
        format!("{} --data photos --strict -o strict-run", TRAIN.replace("train", "compare --methods gd")),
    ] {
        let said = ends(root.path(), &command, 1);
        assert!(said.lines().filter(|line| line.starts_with("unheat: ")).count() == 1, "{said}");
        let strict = root.path().join("strict");
        assert!(!strict.exists() || std::fs::read_dir(strict).unwrap().next().is_none(), "{command}");
        assert!(!root.path().join("strict-run").exists(), "{command}");
    }
    // Damage that only reading shows stops before the first picture is done, too.
    let (root, folder) = self::folder("photos");
    std::fs::write(folder.join("z.png"), b"no picture").unwrap();
    ends(root.path(), "diffuse -i photos -o strict --strict", 1);
    assert!(std::fs::read_dir(root.path().join("strict")).unwrap().next().is_none());
}

#[test]
fn observations_and_comparisons_leave_out_what_does_not_fit() {
    let (root, folder) = folder("photos");
    for name in ["c.png", "d.bmp", "e.gif"] {
        picture(16, 16).save(folder.join(name)).unwrap();
    }
    let said = ends(root.path(), &format!("{TRAIN} --observations photos -o run"), 4);
    assert!(said.contains("3 pictures, 9 planes") && said.contains("2 left out"), "{said}");
    assert!(said.contains("a.png: observed pictures must be as large"), "{said}");
    let compare = TRAIN.replace("train", "compare --methods gd").replace("16x16", "32x16");
    let said = ends(root.path(), &format!("{compare} --data photos -o compared"), 4);
    assert!(said.contains("1 picture, 3 planes"), "{said}");
}

#[test]
fn a_folder_of_truths_may_lack_some() {
    let (root, folder) = folder("photos");
    let truth = root.path().join("truth");
    std::fs::create_dir(&truth).unwrap();
    for name in ["c.png", "d.png", "e.png"] {
        picture(24, 20).save(folder.join(name)).unwrap();
    }
    picture(24, 20).save(truth.join("a.png")).unwrap();
    picture(32, 16).save(truth.join("b.jpg")).unwrap();
    picture(9, 9).save(truth.join("c.png")).unwrap();
    std::fs::write(truth.join("d.png"), b"").unwrap();
    ends(root.path(), &format!("{TRAIN} -o run"), 0);
    let command = format!("{RECONSTRUCT} -i photos -o out --report reports --truth truth");
    let said = ends(root.path(), &command, 4);
    assert!(said.contains("2 pictures, 3 left out"), "{said}");
    for line in ["9x9 pixels with 3 colours", "d.png: holds nothing", "e.png: cannot read"] {
        assert!(said.contains(line), "{line}: {said}");
    }
    ends(root.path(), &format!("{command} --strict").replace("out ", "strict "), 1);
    assert!(std::fs::read_dir(root.path().join("strict")).unwrap().next().is_none());
}

#[test]
fn a_folder_without_anything_of_use_is_an_error() {
    let root = tempdir().unwrap();
    for (name, bytes) in [("notes", &b"hello"[..]), ("empty", b""), ("bad", b"no picture")] {
        let folder = root.path().join(name);
        std::fs::create_dir(&folder).unwrap();
        clutter(&folder);
        std::fs::write(folder.join(if name == "notes" { "a.txt" } else { "a.png" }), bytes).unwrap();
        for command in [format!("{TRAIN} --data {name} -o run"), format!("diffuse -i {name} -o out")] {
            let said = ends(root.path(), &command, 1);
            assert!(said.contains("no picture that can be used") || said.contains("none of "), "{said}");
            assert!(!root.path().join("run").exists());
        }
    }
}

#[test]
fn formats_that_are_only_read_get_names_of_png() {
    let (root, folder) = folder("photos");
    for name in ["c.gif", "d.webp", "e.BMP"] {
        picture(24, 20).save(folder.join(name)).unwrap();
    }
    std::fs::copy(folder.join("a.png"), folder.join("f")).unwrap();
    let said = ends(root.path(), "diffuse -i photos -o out --amount 1", 0);
    assert!(said.contains("6 pictures"), "{said}");
    let mut names: Vec<_> = std::fs::read_dir(root.path().join("out"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, ["a.png", "b.png", "c.png", "d.png", "e.png", "f.png"]);
    // What loses nothing is the same picture.
    for name in ["d.png", "e.png", "f.png"] {
        let [a, b] = ["a.png", name].map(|name| std::fs::read(root.path().join("out").join(name)).unwrap());
        assert!(a == b, "{name}");
    }
}

/// Values as people have them: counts, kelvin, fractions of a unit.
#[test]
fn data_are_described_and_doubted_where_they_are_far_from_one() {
    let root = tempdir().unwrap();
    for (name, low, high, advice) in [
        ("counts.npy", 0.0, 65535.0, Some("divide them by 1e5")),
        ("kelvin.npy", 280.0, 300.0, Some("divide them by 1e2")),
        ("tiny.npy", 0.0, 1e-4, Some("divide them by 1e-4")),
        ("usual.npy", 0.0, 1.0, None),
        ("negative.npy", -20.0, 20.0, None),
    ] {
        let values = (0..4 * 256).map(|i| low + (high - low) * f64::from(i % 97) / 96.0).collect();
        let fields = Fields { shape: [4, 16, 16], data: FieldData::F64(values), rank2: false };
        npy::write(&root.path().join(name), &fields).unwrap();
        for flag in ["--data", "--observations"] {
            let run = format!("{name}{flag}");
            let said = ends(root.path(), &format!("{TRAIN} {flag} {name} -o {run} --on-nan skip"), 0);
            assert!(said.contains(&format!("{name}: 4 fields, values from ")), "{said}");
            assert_eq!(said.contains("warning"), advice.is_some(), "{said}");
            assert!(advice.is_none_or(|advice| said.contains(advice)), "{said}");
        }
    }
}
