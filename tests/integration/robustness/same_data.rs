//! A run that goes on draws from what it began with, wherever its files are by then and whoever has changed
//! them: else it is refused with the difference, and nothing is lost.

use crate::support::desk::Desk;
use crate::support::runs::{LONG, assert_same, files, rows, wait_for_rows};
use std::path::Path;
use std::process::{Command, Stdio};
use unheat::io::arrays::checkpoint::{self, Checkpoint};
use unheat::io::arrays::npy::{self, FieldData, Fields};
use unheat::io::images::photo::{Depth, Photo};

const TINY: &str = "train --batch 2 --size 8x8 --levels 1 --filters 8 --no-tune --no-self-test --device cpu";

/// `count` fields whose numbers 32 bits hold exactly; others for another `seed`.
fn fields(count: usize, n: usize, seed: usize) -> Vec<f64> {
    (0..count * n * n).map(|i| ((i * 37 + seed * 11) % 101) as f64 / 64.0).collect()
}

fn save(desk: &Desk, name: &str, count: usize, seed: usize) {
    desk.save(name, [count, 8, 8], &fields(count, 8, seed));
}

/// A run of 2 of 5 steps in `run`, and the whole one in `whole`.
fn begun(desk: &Desk, flags: &str) {
    desk.run(&format!("{TINY} {flags} --steps 5 -o whole"), 0);
    desk.run(&format!("{TINY} {flags} --steps 2 -o run"), 0);
}

/// Goes on with it, which must be refused so, and leave every file as it was.
#[track_caller]
fn refused(desk: &Desk, flags: &str, expected: &str) {
    let before = files(&desk.path("run"));
    let said = desk.run(&format!("train --resume run --steps 5 {flags}"), 1);
    let lines: Vec<&str> = said.lines().filter(|line| line.starts_with("unheat: ")).collect();
    assert!(lines.len() == 1 && lines[0].contains(expected), "{expected}: {said}");
    assert!(files(&desk.path("run")) == before);
}

/// Goes on with it to the end, which makes the whole run of it.
#[track_caller]
fn goes_on(desk: &Desk, flags: &str) -> String {
    let said = desk.run(&format!("train --resume run --steps 5 {flags}"), 0);
    let same = |folder: &str| {
        let all = files(&desk.path(folder)).into_iter();
        all.filter(|file| file.0 != "config.toml").collect::<Vec<_>>() // which names the data
    };
    assert!(same("whole") == same("run"), "{said}");
    said
}

fn config(desk: &Desk) -> String {
    std::fs::read_to_string(desk.path("run/config.toml")).unwrap()
}

fn edit(desk: &Desk, from: &str, to: &str) {
    let text = config(desk);
    assert!(text.contains(from), "{text}");
    std::fs::write(desk.path("run/config.toml"), text.replace(from, to)).unwrap();
}

#[test]
fn other_fields_are_named_and_the_same_ones_go_on() {
    let desk = Desk::new();
    save(&desk, "x.npy", 5, 1);
    begun(&desk, "--data x.npy");
    for (count, seed, expected) in [
        (
            5,
            2,
            "x.npy (data in run/config.toml): holds 5 fields of 8x8 as when the run began, but other values",
        ),
        (4, 1, "holds 4 fields of 8x8, one field less than the run began with"),
        (6, 1, "holds 6 fields of 8x8, one field more than the run began with"),
        (3, 1, "holds 3 fields of 8x8, the run began with 5 fields of 8x8"),
    ] {
        save(&desk, "x.npy", count, seed);
        refused(&desk, "", expected);
    }
    let mut reversed: Vec<Vec<f64>> = fields(5, 8, 1).chunks(64).map(<[f64]>::to_vec).collect();
    reversed.reverse();
    desk.save("x.npy", [5, 8, 8], &reversed.concat());
    refused(&desk, "", "holds the fields that the run began with in another order");
    desk.save("x.npy", [5, 16, 16], &fields(5, 16, 1));
    refused(&desk, "", "holds 5 fields of 16x16, the run began with 5 fields of 8x8");
    std::fs::write(desk.path("x.npy"), "no array").unwrap();
    refused(&desk, "", "x.npy (data in run/config.toml): not a .npy file");
    std::fs::remove_file(desk.path("x.npy")).unwrap();
    refused(&desk, "", "cannot read: there is no such file or folder; check the name; if it is elsewhere");

    // The same numbers in another type.
    let narrow = FieldData::F32(fields(5, 8, 1).into_iter().map(|v| v as f32).collect());
    npy::write(&desk.path("x.npy"), &Fields { shape: [5, 8, 8], data: narrow, rank2: false }).unwrap();
    goes_on(&desk, "");
}

/// A point spread function is data too.
#[test]
fn other_point_spread_functions_are_named_and_the_same_one_goes_on() {
    let desk = Desk::new();
    let spread = [0.0, 1.0, 0.5, 2.0, 6.0, 1.0, 0.0, 1.5, 0.0];
    desk.save("p.npy", [1, 3, 3], &spread);
    begun(&desk, "--operator heat:0.5+psf:p.npy");
    assert!(config(&desk).contains(&format!("heat:0.5+psf:{}", desk.path("p.npy").display())));
    desk.save("p.npy", [1, 3, 3], &spread.map(|v| v + 0.5));
    refused(&desk, "", "p.npy (operator in run/config.toml): holds 1 field of 3x3 as when the run began");
    std::fs::remove_file(desk.path("p.npy")).unwrap();
    refused(&desk, "", "p.npy (operator in run/config.toml): cannot read");
    // Elsewhere, and at another height: what counts is what it is divided by its sum.
    desk.save("moved.npy", [1, 3, 3], &spread.map(|v| 2.0 * v));
    desk.run("train --resume run --steps 5 --operator heat:0.6+psf:moved.npy", 2);
    goes_on(&desk, "--operator heat:0.5+psf:moved.npy");
}

#[test]
fn edited_settings_name_other_data_in_vain() {
    let desk = Desk::new();
    save(&desk, "x.npy", 5, 1);
    save(&desk, "y.npy", 5, 2);
    begun(&desk, "--data x.npy");
    let good = config(&desk);
    let line = good.lines().find(|line| line.starts_with("data = ")).unwrap().to_owned();
    assert!(Path::new(line.trim_start_matches("data = ").trim_matches('"')).is_absolute(), "{line}");
    edit(&desk, &line, "data = \"../y.npy\"");
    refused(&desk, "", "y.npy (data in run/config.toml): holds 5 fields of 8x8 as when the run began");
    // A path in a file counts from that file's folder.
    std::fs::write(desk.path("run/config.toml"), &good).unwrap();
    edit(&desk, &line, "data = \"x.npy\"");
    refused(&desk, "", "the working directory has one: say --data x.npy");
    for (other, expected) in [
        ("", "names no data, but the run began with 5 fields of 8x8"),
        ("observations = \"../x.npy\"\n", "names no data, but the run began with"),
    ] {
        std::fs::write(desk.path("run/config.toml"), &good).unwrap();
        edit(&desk, &format!("{line}\n"), other);
        refused(&desk, "", expected);
    }
    std::fs::write(desk.path("run/config.toml"), &good).unwrap();
    edit(&desk, &line, "data = \"../x.npy\"");
    goes_on(&desk, "");
    let path = desk.path("run/../x.npy");
    assert!(config(&desk).contains(&format!("data = {path:?}")), "it is whole again: {}", config(&desk));
}

#[test]
fn a_working_directory_changes_nothing_and_moved_data_are_named_anew() {
    let desk = Desk::new();
    save(&desk, "x.npy", 5, 1);
    begun(&desk, "--data x.npy");
    // Another file of that name where the command runs.
    std::fs::create_dir(desk.path("else")).unwrap();
    save(&desk, "else/x.npy", 5, 2);
    let unheat = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_unheat"));
        let output = command.args(arguments).current_dir(desk.path("else")).output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (code, said) = unheat(&["train", "--resume", "../run", "--steps", "3"]);
    assert_eq!(code, Some(0), "{said}");
    // Data that were moved.
    std::fs::rename(desk.path("x.npy"), desk.path("else/moved.npy")).unwrap();
    refused(&desk, "", "if it is elsewhere, name it with --data");
    refused(&desk, "--data else/x.npy", "else/x.npy: holds 5 fields of 8x8 as when the run began, but other");
    let (code, said) = unheat(&["train", "--resume", "../run", "--steps", "4", "--data", "moved.npy"]);
    assert_eq!(code, Some(0), "{said}");
    let named = config(&desk);
    assert!(named.contains(&format!("data = {:?}", desk.path("else/moved.npy"))), "{named}");
    goes_on(&desk, "");
    // What a run never had cannot be named anew, and neither can weights.
    for flag in ["--observations else/x.npy", "--validation-data else/x.npy", "--weights else/x.npy"] {
        let said = desk.run(&format!("train --resume run --steps 6 {flag}"), 2);
        assert!(said.contains("has none; leave --"), "{flag}: {said}");
    }
}

#[test]
fn observations_and_held_out_fields_are_held_to_too() {
    for flags in ["--observations", "--data d.npy --validate-every 2 --validation-data"] {
        let desk = Desk::new();
        save(&desk, "d.npy", 3, 7);
        save(&desk, "x.npy", 5, 1);
        begun(&desk, &format!("{flags} x.npy"));
        let name = flags.split("--").last().unwrap().trim().replace('-', "_");
        for (count, seed, expected) in [
            (5, 2, format!("({name} in run/config.toml): holds 5 fields of 8x8 as when")),
            (4, 1, "one field less".to_owned()),
            (6, 1, "one field more".to_owned()),
        ] {
            save(&desk, "x.npy", count, seed);
            refused(&desk, "", &expected);
        }
        save(&desk, "moved.npy", 5, 1);
        let flag = flags.split("--").last().unwrap();
        goes_on(&desk, &format!("--{} moved.npy", flag.trim()));
    }
}

fn picture(desk: &Desk, name: &str, n: usize, seed: usize) {
    let values = (0..n * n).map(|i| ((i * 7 + seed * 13) % 256) as f64 / 255.0).collect();
    Photo::new(n, n, values, Depth::Eight).write(&desk.path(name)).unwrap();
}

#[test]
fn other_pictures_are_named_and_another_format_is_none() {
    let desk = Desk::new();
    std::fs::create_dir(desk.path("p")).unwrap();
    picture(&desk, "p/a.png", 12, 1);
    picture(&desk, "p/b.png", 12, 2);
    begun(&desk, "--data p");
    let names = ["a.png", "b.png", "c.png"].map(|name| desk.path("p").join(name));
    picture(&desk, "p/c.png", 12, 3);
    refused(&desk, "", "p (data in run/config.toml): holds 3 pictures of 12x12, one picture more than");
    std::fs::remove_file(&names[0]).unwrap();
    refused(&desk, "", "holds 2 pictures of 12x12 as when the run began, but other values");
    std::fs::remove_file(&names[2]).unwrap();
    refused(&desk, "", "holds 1 picture of 12x12, one picture less than");
    picture(&desk, "p/c.png", 12, 1); // a.png under another name: the order is that of names
    refused(&desk, "", "holds the pictures that the run began with in another order");
    std::fs::remove_file(&names[2]).unwrap();
    picture(&desk, "p/a.png", 4, 1);
    refused(&desk, "", "holds 1 picture of 12x12, one picture less than"); // the other one is too small
    std::fs::remove_file(&names[0]).unwrap();
    picture(&desk, "p/a.tiff", 12, 1); // the same samples
    goes_on(&desk, "");
}

/// A run that is killed before its first regular checkpoint has one of step 0.
#[test]
fn a_run_killed_at_its_start_keeps_its_data_and_its_weights() {
    let desk = Desk::new();
    save(&desk, "x.npy", 5, 1);
    let other = format!("{TINY} --steps 1 --seed 9");
    desk.run(&format!("{other} -o first"), 0);
    desk.run(&format!("{other} --lr 0.1 -o second"), 0);
    for name in ["w", "v"] {
        let from = if name == "w" { "first" } else { "second" };
        std::fs::copy(desk.path(from).join("weights.safetensors"), desk.path(name)).unwrap();
    }
    let flags = format!("{TINY} --checkpoint-every 0 --data x.npy --weights w --steps {LONG}");
    desk.run(&format!("{flags} -o whole"), 0);
    let mut child = Command::new(env!("CARGO_BIN_EXE_unheat"))
        .args(format!("{flags} -o run").split(' '))
        .current_dir(desk.path("."))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    wait_for_rows(&mut child, &desk.path("run"), 3);
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(rows(&desk.path("run")) < LONG);
    let found = checkpoint::read(&desk.path("run/checkpoint.safetensors")).unwrap();
    assert_eq!(found.step, 0);

    save(&desk, "x.npy", 5, 2);
    let said = desk.run("train --resume run", 1);
    assert!(said.contains("as when the run began, but other values"), "{said}");
    save(&desk, "x.npy", 5, 1);
    std::fs::copy(desk.path("v"), desk.path("w")).unwrap(); // other weights under the same name
    desk.run("train --resume run", 0);
    assert_same(&desk.path("whole"), &desk.path("run"));
}

/// Its checkpoint says nothing of its data: a line says that they are not checked, and from then on they are.
#[test]
fn a_run_of_an_earlier_version_goes_on_with_a_line() {
    let desk = Desk::new();
    save(&desk, "x.npy", 5, 1);
    begun(&desk, "--data x.npy");
    let path = desk.path("run/checkpoint.safetensors");
    let written = checkpoint::read(&path).unwrap();
    checkpoint::write(&path, &Checkpoint { fingerprints: None, ..written }).unwrap();
    let said = goes_on(&desk, "");
    assert!(said.contains("whether it is the data that the run began with cannot be checked"), "{said}");
    save(&desk, "x.npy", 5, 2);
    let said = desk.run("train --resume run --steps 6", 1);
    assert!(said.contains("but other values"), "{said}");
}

#[test]
fn a_comparison_keeps_the_data_and_the_weights_of_its_first_method() {
    let desk = Desk::new();
    save(&desk, "x.npy", 5, 1);
    save(&desk, "v.npy", 2, 5);
    desk.run(&format!("{TINY} --steps 1 --seed 9 -o first"), 0);
    desk.run(&format!("{TINY} --steps 1 --seed 8 -o second"), 0);
    let weights = |from: &str| {
        std::fs::copy(desk.path(from).join("weights.safetensors"), desk.path("w")).unwrap();
    };
    weights("first");
    let tiny = TINY.replace("train ", "compare ");
    let data = "--data x.npy --validate-every 2 --validation-data v.npy --weights w";
    desk.run(&format!("{tiny} {data} --steps 2 --methods sip -o c"), 0);
    let resume = "compare --resume c --no-tune --no-self-test --methods sip,gd";
    let refused = |flags: &str, expected: &str| {
        let said = desk.run(&format!("{resume} {flags}"), 1);
        assert!(said.contains(expected) && !desk.path("c/gd").exists(), "{said}");
    };
    for (name, count, seed) in [("x.npy", 5, 2), ("v.npy", 3, 5)] {
        let good = std::fs::read(desk.path(name)).unwrap();
        save(&desk, name, count, seed);
        refused("", if count == 5 { "but other values" } else { "one field more" });
        std::fs::write(desk.path(name), good).unwrap();
    }
    weights("second");
    refused("", "holds other weights than when the run began");
    weights("first");
    std::fs::rename(desk.path("x.npy"), desk.path("moved.npy")).unwrap();
    refused("", "if it is elsewhere, name it with --data");
    desk.run(&format!("{resume} --data moved.npy"), 0);
    assert_eq!((rows(&desk.path("c/sip")), rows(&desk.path("c/gd"))), (2, 2));
}

#[test]
fn a_file_of_settings_means_the_same_from_every_folder() {
    let desk = Desk::new();
    std::fs::create_dir(desk.path("settings")).unwrap();
    save(&desk, "settings/x.npy", 5, 1);
    let text =
        "data = \"x.npy\"\nsteps = 2\nbatch = 2\nlevels = 1\nfilters = 8\ndevice = \"cpu\"\noutput = \"out\"";
    std::fs::write(desk.path("settings/s.toml"), text).unwrap();
    desk.run("train --config settings/s.toml", 0);
    assert!(desk.path("settings/out/weights.safetensors").exists());
    std::fs::rename(desk.path("settings/x.npy"), desk.path("x.npy")).unwrap();
    let said = desk.run("train --config settings/s.toml -o new", 1);
    assert!(said.contains("settings/x.npy (data in settings/s.toml): cannot read"), "{said}");
    assert!(said.contains("the working directory has one: say --data x.npy"), "{said}");
    desk.run("train --config settings/s.toml --data x.npy -o new", 0);
}

#[test]
fn a_network_that_is_judged_by_what_it_has_seen_gets_a_line() {
    let desk = Desk::new();
    save(&desk, "x.npy", 5, 1);
    save(&desk, "v.npy", 5, 2);
    std::fs::copy(desk.path("x.npy"), desk.path("copy.npy")).unwrap();
    for (name, judged) in [("x.npy", true), ("copy.npy", true), ("v.npy", false)] {
        let flags = format!("--data x.npy --validate-every 1 --validation-data {name} --steps 2");
        let said = desk.run(&format!("{TINY} {flags} -o run-{name}"), 0);
        assert_eq!(said.contains("judged by what it has seen"), judged, "{said}");
    }
}
