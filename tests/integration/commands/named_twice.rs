//! No command line can make a command write over what it reads, or over what it has just written: every
//! pair of arguments that take a path is tried, as clap lists them, so that a new one is tried too.

use crate::support::desk::Desk;
use clap::{Arg, Command};
use std::any::TypeId;
use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use unheat::cli;

/// What an argument reads, or where it writes when it is alone. `{}` is the command.
const FILES: [(&str, &str); 21] = [
    ("input", "x.npy"),
    ("truth", "t.npy"),
    ("data", "d.npy"),
    ("observations", "d.npy"),
    ("validation_data", "v.npy"),
    ("weights", "w.safetensors"),
    ("rectangles", "r.safetensors"),
    ("config", "c.toml"),
    ("resume", "run"),
    ("compare", "b.json"),
    ("output", "out.npy"),
    ("report", "report.png"),
    ("animation", "film.gif"),
    ("observed", "seen.npy"),
    ("uncertainty_map", "map.npy"),
    ("save_rectangles", "new.safetensors"),
    ("save_gradients", "g.safetensors"),
    ("diagnostics", "found.safetensors"),
    ("png", "pictures"),
    ("folder", "pages"),
    ("strict", ""),
];

/// Where `--output` of a command is no array.
const OUTPUTS: [(&str, &str); 5] =
    [("train", "new"), ("compare", "new"), ("sweep", "new"), ("shaders", "new"), ("bench", "roofline.png")];

/// Lines that use every argument with a path. An argument that is in none is missed by the test below.
const LINES: [(&str, &str); 12] = [
    ("train", "--config --weights --data --validation_data --save_gradients --output --validate-every 1"),
    ("train", "--observations --output"),
    ("compare", "--config --weights --data --validation_data --output --methods gd --validate-every 1"),
    ("sweep", "--config --output"),
    ("generate", "--rectangles --output --save_rectangles --png --animation --observed --size 16x16"),
    ("diffuse", "--input --output --animation --device cpu"),
    ("invert", "--input --output --diagnostics --device cpu"),
    ("invert", "--input --output --truth --device cpu"),
    ("restore", "--input --output --uncertainty_map --animation --method wiener --device cpu"),
    (
        "reconstruct",
        "--weights --weights --input --output --uncertainty_map --report --truth --animation --amount 0.5 \
         --device cpu",
    ),
    ("shaders", "--weights --data --validation_data --output --validate-every 1"),
    ("man", "--folder"),
];

/// Arguments that no line above can have: `--resume` and `--compare` want files that take long to make, and
/// these are refused or without use where they stand.
const ELSEWHERE: [(&str, &str); 10] = [
    ("train", "resume"),
    ("compare", "resume"),
    ("sweep", "resume"),
    ("compare", "observations"),
    ("compare", "save_gradients"),
    ("shaders", "observations"),
    ("shaders", "save_gradients"),
    ("shaders", "config"),
    ("bench", "compare"),
    ("bench", "output"),
];

const TRAINING: &str =
    "size = \"16x16\"\nlevels = 1\nfilters = [8]\nsteps = 1\nbatch = 2\ndevice = \"cpu\"\nno_tune = true\n";

fn file_of(command: &str, argument: &str) -> &'static str {
    let own = OUTPUTS.iter().find(|(name, _)| argument == "output" && *name == command);
    let usual = || FILES.iter().find(|(name, _)| *name == argument);
    own.or_else(usual).unwrap_or_else(|| panic!("say in FILES what --{argument} of {command} is")).1
}

/// The arguments of a command that take a path.
fn with_paths(command: &Command) -> impl Iterator<Item = &Arg> {
    command.get_arguments().filter(|arg| arg.get_value_parser().type_id() == TypeId::of::<PathBuf>())
}

/// A desk with everything that is read.
fn desk() -> Desk {
    let desk = Desk::new();
    for name in ["x.npy", "t.npy", "d.npy", "v.npy"] {
        let value = f64::from(name.as_bytes()[0]);
        let values: Vec<f64> = (0..2 * 256).map(|i| (value + f64::from(i)).sin().abs()).collect();
        desk.save(name, [2, 16, 16], &values);
    }
    fs::write(desk.path("c.toml"), TRAINING).unwrap();
    desk.run("generate --count 2 --size 16x16 --save-rectangles r.safetensors -o r.npy", 0);
    desk.run("train --config c.toml --no-self-test -o run", 0);
    fs::copy(desk.path("run/weights.safetensors"), desk.path("w.safetensors")).unwrap();
    fs::write(desk.path("b.json"), "{}").unwrap();
    desk
}

/// A line of [`LINES`] with its files, of which those of `pair` are `file`.
fn line(command: &str, words: &str, pair: &[&str], files: [&str; 2]) -> String {
    let is_positional = command == "man";
    let mut line = command.to_owned();
    for word in words.split(' ') {
        let Some(argument) = word.strip_prefix("--").filter(|name| FILES.iter().any(|(own, _)| own == name))
        else {
            line += &format!(" {word}");
            continue;
        };
        let at = pair.iter().position(|name| *name == argument);
        let file = at.map_or(file_of(command, argument), |at| files[at]);
        line += &if is_positional {
            format!(" {file}")
        } else {
            format!(" --{} {file}", argument.replace('_', "-"))
        };
    }
    if ["train", "compare", "sweep"].contains(&command) {
        line += " --no-self-test";
        if !words.contains("--config") {
            line += " --size 16x16 --levels 1 --filters 8 --steps 1 --batch 2 --device cpu --no-tune";
        }
    }
    line
}

#[test]
fn no_file_is_read_and_written_in_one_command() {
    let program = cli::command();
    let (mut tried, mut used) = (0, BTreeSet::new());
    for (name, words) in LINES {
        let desk = desk();
        let command = program.find_subcommand(name).unwrap();
        let has =
            |arg: &&Arg| words.split(' ').any(|word| word.strip_prefix("--") == Some(arg.get_id().as_str()));
        let arguments: Vec<&str> = with_paths(command).filter(has).map(|arg| arg.get_id().as_str()).collect();
        used.extend(arguments.iter().map(|argument| (name, *argument)));
        // Each file by itself works. Those that were not there before are outputs.
        let is_there = |argument: &&&str| desk.path(file_of(name, argument)).exists();
        let read: Vec<&str> = arguments.iter().filter(is_there).copied().collect();
        desk.run(&line(name, words, &[], [""; 2]), 0);
        for argument in &arguments {
            assert!(desk.path(file_of(name, argument)).exists(), "{name} --{argument} has written nothing");
        }
        for (i, a) in arguments.iter().enumerate() {
            for b in &arguments[..i] {
                if read.contains(a) && read.contains(b) {
                    continue;
                }
                let shared = file_of(name, if read.contains(a) { a } else { b });
                tried += refused(&desk, name, words, [a, b], shared);
            }
        }
    }
    let all = program
        .get_subcommands()
        .flat_map(|command| with_paths(command).map(|arg| (command.get_name(), arg.get_id().as_str())));
    for (command, argument) in all {
        let known = used.contains(&(command, argument)) || ELSEWHERE.contains(&(command, argument));
        assert!(known, "let a line of LINES have --{argument} of {command}");
    }
    println!("torture: {tried} command lines that name a file twice are refused, and leave it alone");
}

/// Tries a pair of arguments on one file, named in several ways; how many.
fn refused(desk: &Desk, name: &str, words: &str, pair: [&str; 2], shared: &str) -> usize {
    let path = desk.path(shared);
    let names =
        [shared.to_owned(), format!("./{shared}"), format!("run/../{shared}"), "link".into(), "hard".into()];
    #[cfg(unix)]
    std::os::unix::fs::symlink(shared, desk.path("link")).unwrap();
    if path.is_file() {
        fs::hard_link(&path, desk.path("hard")).unwrap();
    }
    let before = content(&path);
    let mut tried = 0;
    for other in names.iter().filter(|name| desk.path(name).exists()) {
        let said = desk.run(&line(name, words, &pair, [shared, other]), 2);
        assert!(said.contains("name the same file or folder"), "{name} {pair:?} {other}: {said}");
        assert!(content(&path) == before, "{name} {pair:?} {other}");
        tried += 1;
    }
    for name in ["link", "hard"] {
        let _ = fs::remove_file(desk.path(name));
    }
    tried
}

/// The bytes of a file, or the names in a folder.
fn content(path: &std::path::Path) -> Vec<u8> {
    match fs::read_dir(path) {
        Ok(entries) => entries.flat_map(|entry| entry.unwrap().file_name().into_encoded_bytes()).collect(),
        Err(_) => fs::read(path).unwrap(),
    }
}

/// What a file of settings says counts like a flag.
#[test]
fn settings_from_a_file_are_kept_apart_too() {
    let desk = desk();
    for key in ["weights", "data", "observations", "validation_data"] {
        let file = file_of("train", key);
        let before = fs::read(desk.path(file)).unwrap();
        for (settings, flags) in [
            (format!("{key} = \"{file}\"\nsave_gradients = \"run/../{file}\"\n"), String::new()),
            (format!("{key} = \"{file}\"\n"), format!(" --save-gradients {file}")),
            (format!("save_gradients = \"{file}\"\n"), format!(" --{} ./{file}", key.replace('_', "-"))),
        ] {
            fs::write(desk.path("s.toml"), format!("{settings}{TRAINING}")).unwrap();
            let said = desk.run(&format!("train --config s.toml -o new{flags}"), 2);
            assert!(said.contains("name the same file or folder"), "{said}");
            assert_eq!(fs::read(desk.path(file)).unwrap(), before);
        }
    }
    // The files of the run itself.
    for name in ["weights.safetensors", "checkpoint.safetensors", "metrics.csv"] {
        fs::hard_link(desk.path("run").join(name), desk.path("linked.safetensors")).unwrap();
        let before = fs::read(desk.path("run").join(name)).unwrap();
        desk.run("train --resume run --steps 2 --save-gradients linked.safetensors --no-self-test", 2);
        assert_eq!(fs::read(desk.path("run").join(name)).unwrap(), before);
        fs::remove_file(desk.path("linked.safetensors")).unwrap();
    }
}

/// Folders of pictures, whose members are read and written.
#[cfg(unix)]
#[test]
fn members_of_folders_are_kept_apart() {
    use std::os::unix::fs::symlink;
    let desk = desk();
    for folder in ["in", "true", "out", "linked", "hard", "crossed"] {
        fs::create_dir(desk.path(folder)).unwrap();
    }
    for name in ["a.png", "b.png"] {
        for folder in ["in", "true"] {
            image::GrayImage::from_fn(16, 16, |x, y| image::Luma([(x * y) as u8]))
                .save(desk.path(folder).join(name))
                .unwrap();
        }
    }
    symlink("in", desk.path("folder")).unwrap();
    symlink("../in/a.png", desk.path("linked/a.png")).unwrap();
    fs::hard_link(desk.path("in/b.png"), desk.path("hard/b.png")).unwrap();
    symlink("b.png", desk.path("crossed/a.png")).unwrap();
    symlink("../true/b.png", desk.path("out/b.png")).unwrap();
    let read = || {
        ["in/a.png", "in/b.png", "true/a.png", "true/b.png"].map(|name| fs::read(desk.path(name)).unwrap())
    };
    let before = read();
    let reports = "--weights w.safetensors --amount 0.5 --report";
    for line in [
        "diffuse -i in -o in --device cpu".to_owned(),
        "diffuse -i in -o ./true/../in --device cpu".into(),
        "restore -i in -o folder --device cpu".into(),
        "restore -i folder -o in --device cpu".into(),
        "restore -i in -o linked --device cpu".into(),
        "restore -i in -o hard --device cpu".into(),
        "diffuse -i in -o crossed --device cpu".into(),
        format!("reconstruct -i in -o true --truth true {reports} reports --device cpu"),
        format!("reconstruct -i in -o fresh --truth true {reports} true --device cpu"),
        format!("reconstruct -i in -o fresh --truth true {reports} fresh --device cpu"),
        format!("reconstruct -i in -o fresh --truth true {reports} ./in --device cpu"),
        format!("reconstruct -i in -o out --truth true {reports} reports --device cpu"),
        format!(
            "reconstruct -i in/a.png -o b.png --truth true/a.png {reports} true/../true/a.png --device cpu"
        ),
        format!("reconstruct -i in/a.png -o b.png {reports} in/a.png --device cpu"),
        format!("reconstruct -i in/a.png -o b.png {reports} ./b.png --device cpu"),
    ] {
        let said = desk.run(&line, 2);
        assert!(said.contains("same file") || said.contains("own folder"), "{line}: {said}");
        assert!(read() == before, "{line}");
    }
}

/// Where no argument names the file that would be lost: members of folders, a run's own files, redirections.
#[cfg(unix)]
#[test]
fn files_that_nobody_names_are_not_lost_either() {
    use std::os::unix::fs::symlink;
    let desk = desk();
    for folder in ["in", "out", "empty"] {
        fs::create_dir(desk.path(folder)).unwrap();
    }
    image::GrayImage::from_fn(16, 16, |x, y| image::Luma([(x * y) as u8]))
        .save(desk.path("in/a.png"))
        .unwrap();
    fs::copy(desk.path("w.safetensors"), desk.path("out/a.png")).unwrap();
    symlink("in/a.png", desk.path("g.safetensors")).unwrap();
    symlink("empty/00000.png", desk.path("late.npy")).unwrap();
    fs::copy(desk.path("r.safetensors"), desk.path("empty/00001.png")).unwrap();
    let precious = ["x.npy", "in/a.png", "out/a.png", "empty/00001.png"];
    let read = || precious.map(|name| fs::read(desk.path(name)).unwrap());
    let before = read();
    let training = "--config c.toml --no-self-test";
    for (line, code) in [
        (format!("train {training} --data in --save-gradients g.safetensors -o new"), 2),
        (
            format!(
                "train {training} --validate-every 1 --validation-data in --save-gradients g.safetensors -o n"
            ),
            2,
        ),
        ("reconstruct --weights out/a.png -i in -o out --device cpu".to_owned(), 2),
        ("reconstruct --weights out/a.png -i in -o o --amount 1 --report out --device cpu".to_owned(), 2),
        ("generate --count 2 --size 16x16 -o late.npy --png empty".to_owned(), 2),
        ("generate --rectangles empty/00001.png --size 16x16 -o y.npy --png empty".to_owned(), 2),
        ("diffuse -i in -o - --device cpu".to_owned(), 2),
    ] {
        let said = desk.run(&line, code);
        assert!(said.contains("name the same file") || said.contains("name a folder"), "{line}: {said}");
        assert!(read() == before, "{line}");
    }
    for line in ["diffuse -i - -o x.npy --device cpu < x.npy", "diffuse -i x.npy -o - --device cpu 1<>x.npy"]
    {
        let line = format!("{} {line}", env!("CARGO_BIN_EXE_unheat"));
        let output =
            std::process::Command::new("sh").args(["-c", &line]).current_dir(desk.path("")).output().unwrap();
        assert!(output.status.code() == Some(2) && read() == before, "{line}");
    }
    // A pipe that waits in the folder of the results is not waited for.
    fs::remove_file(desk.path("out/a.png")).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(desk.path("out/a.png")).status().unwrap().success());
    assert!(desk.run("diffuse -i in -o out --device cpu", 1).contains("a pipe or a device"));
    // What a run writes is no link to something else.
    for name in [".lock", "metrics.jsonl", "curves.png", "weights.safetensors"] {
        let own = desk.path("run").join(name);
        let _ = fs::rename(&own, desk.path("aside"));
        symlink("../x.npy", &own).unwrap();
        let said = desk.run("train --resume run --steps 2 --jsonl --no-self-test", 1);
        assert!(said.contains("not a file of its own"), "{name}: {said}");
        assert!(fs::read(desk.path("x.npy")).unwrap() == before[0]);
        fs::remove_file(&own).unwrap();
        let _ = fs::rename(desk.path("aside"), &own);
    }
    // Nor is a run of another comparison one of this.
    let compare = "compare --config c.toml --no-self-test --methods sip,gd";
    desk.run(&format!("{compare} -o c1"), 0);
    desk.run(&format!("{compare} --operator poisson -o c2"), 0);
    for other in ["c2/gd", "c1/sip"] {
        fs::remove_dir_all(desk.path("c1/gd")).unwrap();
        fs::rename(desk.path(other), desk.path("c1/gd")).unwrap();
        let said = desk.run("compare --resume c1 --methods gd,sip --no-self-test", 1);
        assert!(
            said.contains("a run of another comparison") || said.contains("is another run"),
            "{other}: {said}"
        );
    }
}

/// A limit on the size of files ends in a line, and leaves nothing behind.
#[cfg(unix)]
#[test]
fn a_limit_on_file_sizes_is_said() {
    let desk = desk();
    let line =
        format!("ulimit -f 1; exec {} diffuse -i x.npy -o y.npy --device cpu", env!("CARGO_BIN_EXE_unheat"));
    let output =
        std::process::Command::new("bash").args(["-c", &line]).current_dir(desk.path("")).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        output.status.code() == Some(1) && said.contains("y.npy: cannot write: File too large"),
        "{said}"
    );
    let names = fs::read_dir(desk.path("")).unwrap().map(|entry| entry.unwrap().file_name());
    assert!(!names.into_iter().any(|name| name.to_string_lossy().contains(".part")));
}
