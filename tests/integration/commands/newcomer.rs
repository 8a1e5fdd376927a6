//! What somebody types who does not know unheat yet: each wrong line is answered by one that says how to do
//! it right, and loses nothing. No GPU is needed.

use std::path::Path;
use std::process::{Command, Output};
use tempfile::{TempDir, tempdir};
use unheat::io::arrays::npy::{self, FieldData, Fields};

/// A wrong command line, its exit code, and what the answer must hold: 2 for a request that cannot be met, 1
/// for a file that is missing or not what it should be.
const WRONG: [(&str, i32, &str); 74] = [
    // Names.
    ("trian", 2, "'train'"),
    ("train --stepz 3", 2, "'--steps'"),
    ("--steps 5", 2, "'unheat train --steps'"),
    ("train x.npy", 2, "say '--data x.npy'"),
    ("train taken", 2, "say '--data taken'"),
    ("diffuse good.npy y.npy", 2, "say '--input good.npy'"),
    ("reconstruct --weights w.safetensors good.npy", 2, "say '--input good.npy'"),
    ("check cpu", 2, "say '--device cpu'"),
    ("devices --json", 2, "Usage: unheat devices"),
    ("completions tcsh", 2, "bash, elvish, fish"),
    ("man", 2, "<DIR>"),
    ("shaders", 2, "--output <DIR>"),
    ("shaders --format glsl -o new", 2, "wgsl, spirv, msl, hlsl"),
    ("shaders --device cpu -o new", 2, "leave --device out"),
    ("shaders --size 60x60 -o new", 2, "32 or 64 would do for 60"),
    ("shaders --noise=-1 -o new", 2, "noise -1"),
    ("shaders --data missing.npy -o new", 1, "there is no such file"),
    ("shaders -o taken", 2, "taken exists already; name a new folder"),
    // Numbers and choices.
    ("train --size 60", 2, "write it like 64x64"),
    ("train --size 64", 2, "write it like 64x64"),
    ("train --size 60x60 --device cpu", 2, "32 or 64 would do for 60"),
    ("train --size 16x16 --levels 6 --device cpu", 2, "divisible by 32"),
    ("train --filters foo", 2, "must be a whole number"),
    ("train --filters 10 --device cpu", 2, "multiple of 8"),
    ("train --filters 8,16 --device cpu", 2, "one for each level"),
    ("train --levels 0 --device cpu", 2, "from 1 to 6"),
    ("train --batch 0 --device cpu", 2, "from 1 to 65535"),
    ("train --batch -3", 2, "must be a whole number from 0 on"),
    ("train --steps 0 --device cpu", 2, "at least 1"),
    ("train --steps 1e3", 2, "must be a whole number"),
    ("train --lr -1 --device cpu", 2, "must be a positive number"),
    ("train --lr fast", 2, "must be a number, such as"),
    ("train --amount abc", 2, "must be a number, such as"),
    ("train --amount -2 --device cpu", 2, "from 0 to"),
    ("train --method adam", 2, "sip, gd"),
    ("train --padding periodic", 2, "circular, zero"),
    ("train --activation gelu", 2, "relu, silu, tanh, sigmoid"),
    ("train --batch-norm no", 2, "must be on or off"),
    ("train --physics 64", 2, "f32, f64"),
    ("train --activations f16 --device cpu", 2, "--activations f32"),
    ("train --lr-schedule linear", 2, "constant, cosine, step"),
    ("train --lr-cosine-steps 9 --device cpu", 2, "--lr-schedule cosine"),
    ("train --shuffle --device cpu", 2, "--data FILE.npy"),
    ("train --validation-data good.npy --device cpu", 2, "--validate-every N"),
    ("train --device cuda", 2, "device 'cuda':"),
    ("check --device cpu", 2, "leave --device out"),
    ("compare --methods sip,adam", 2, "sip, gd, supervised"),
    ("compare --method gd --device cpu", 2, "--methods sip,gd,supervised"),
    ("restore -i good.npy", 2, "--output <FILE|DIR>"),
    ("restore --method winer -i good.npy -o y.npy", 2, "wiener"),
    ("restore --noise low -i good.npy -o y.npy", 2, "must be auto or a number, such as 1e-3"),
    ("restore --noise -1 -i good.npy -o y.npy", 2, "noise -1: the standard deviation"),
    ("restore --method tikhonov --iterations 5 -i good.npy -o y.npy", 2, "is for --method iterated"),
    ("invert -i good.npy -o y.npy --uncertainty 0 --device cpu", 2, "must be a positive"),
    ("generate -o y.npy", 2, "--count <COUNT>"),
    ("generate --count 0 -o y.npy", 2, "from 1"),
    ("bench --steps 0 --device cpu", 2, "at least 1"),
    ("bench -o y.png --batch 4 --device cpu", 2, "name an adapter with --device"),
    // Files.
    ("train --data photo.txt --device cpu", 1, ".npy"),
    ("train --data taken --device cpu", 1, "holds no picture"),
    ("train --data missing.npy --device cpu", 1, "missing.npy: cannot read: there is no such file"),
    ("train --data odd.npy --device cpu", 1, "32 or 64 would do for 60"),
    ("invert -i odd.npy -o y.npy --device cpu", 1, "odd.npy: size 60x60"),
    ("diffuse -i photo.txt -o y.npy", 1, "neither a .npy array nor a picture"),
    ("diffuse -i good.npy -o y.png --device cpu", 1, "name a .npy file"),
    ("diffuse -i good.npy -o no/y.npy --device cpu", 1, "there is no folder no"),
    ("invert -i photo.txt -o y.npy --device cpu", 1, "photo.txt: not a .npy file"),
    ("reconstruct --weights missing.safetensors -i good.npy -o y.npy", 1, "there is no such file"),
    ("reconstruct --weights photo.txt -i good.npy -o y.npy", 1, "photo.txt: 6 bytes is too short"),
    ("bench --compare photo.txt --device cpu", 1, "unheat bench --json"),
    ("train --config wrong.toml", 1, "do you mean `steps`?"),
    // Folders.
    ("train -o taken --device cpu", 2, "taken exists already; name a new folder"),
    ("train --resume taken", 2, "name a run's folder"),
    ("compare --resume taken --device cpu", 2, "name a comparison's folder"),
];

/// What Rust and the system say, and a newcomer should not have to read.
const JARGON: [&str; 4] = ["invalid digit", "float literal", "os error", "panicked"];

fn room() -> TempDir {
    let room = tempdir().unwrap();
    let path = |name: &str| room.path().join(name);
    std::fs::create_dir(path("taken")).unwrap();
    std::fs::write(path("photo.txt"), "hello\n").unwrap();
    std::fs::write(path("taken/notes.txt"), "mine\n").unwrap();
    std::fs::write(path("wrong.toml"), "stepz = 3\n").unwrap();
    for (name, n) in [("good.npy", 16), ("odd.npy", 60)] {
        let data = FieldData::F32(vec![0.5; n * n]);
        npy::write(&path(name), &Fields { shape: [1, n, n], data, rank2: false }).unwrap();
    }
    room
}

fn unheat(room: &Path, line: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_unheat"))
        .args(line.split(' '))
        .current_dir(room)
        .env("UNHEAT_CACHE_DIR", room.join("taken"))
        .output()
        .unwrap()
}

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn every_wrong_line_is_answered_with_how_to_do_it_right() {
    let room = room();
    let before = names(room.path());
    let mut bad = Vec::new();
    for (line, code, expected) in WRONG {
        let output = unheat(room.path(), line);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        // Mesa's own, where there is no desktop.
        let lines: Vec<&str> = said.lines().filter(|line| !line.contains("XDG_RUNTIME_DIR")).collect();
        let ours = lines.iter().filter(|line| line.starts_with("unheat: ")).count();
        let claps = lines.iter().filter(|line| line.starts_with("error: ")).count();
        // Our answer is one line and nothing before it; clap's is one with a tip and the usage below.
        let one =
            (ours == 1 && lines.len() == 1) || (ours == 0 && claps == 1 && lines[0].starts_with("error"));
        let right = output.status.code() == Some(code)
            && one
            && output.stdout.is_empty()
            && lines.iter().any(|line| line.contains(expected))
            && !JARGON.iter().any(|jargon| said.contains(jargon));
        if !right {
            bad.push(format!("unheat {line}\n{:?}, expected {code}, {expected}:\n{said}", output.status));
        }
    }
    assert!(bad.is_empty(), "{}", bad.join("\n"));
    assert_eq!(names(room.path()), before, "a refused request leaves nothing");
    assert_eq!(names(&room.path().join("taken")), ["notes.txt"]);
}

#[test]
fn every_shell_gets_completions() {
    let room = room();
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let output = unheat(room.path(), &format!("completions {shell}"));
        assert!(output.status.success());
        let script = String::from_utf8(output.stdout).unwrap();
        assert!(script.contains("checkpoint-every") && script.contains("richardson-lucy"), "{shell}");
    }
}

#[test]
fn every_command_gets_a_manual_page() {
    let room = room();
    let output = unheat(room.path(), "man new/man1");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let pages = names(&room.path().join("new/man1"));
    for page in ["unheat.1", "unheat-train.1", "unheat-compare.1", "unheat-shaders.1"] {
        assert!(pages.iter().any(|name| name == page), "{page}: {pages:?}");
    }
    let page = std::fs::read_to_string(room.path().join("new/man1/unheat-train.1")).unwrap();
    assert!(page.contains("checkpoint\\-every"), "{page}");
}
