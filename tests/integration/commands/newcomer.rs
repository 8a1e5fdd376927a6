//! What somebody types who does not know unheat yet: each wrong line is answered by one that says how to do
//! it right, and loses nothing. No GPU is needed.

use std::path::Path;
use std::process::{Command, Output};
use tempfile::{TempDir, tempdir};
use unheat::io::arrays::npy::{self, FieldData, Fields};
use unheat::io::arrays::rectangles::{self, Rectangles};
use unheat::io::arrays::weights;
use unheat::model::rectangles::{PER_SAMPLE, draw_batch};
use unheat::model::rng::Purpose;
use unheat::model::unet::init::State;
use unheat::model::{UNet, UNetConfig};

/// A wrong command line, its exit code, and what the answer must hold: 2 for a request that cannot be met, 1
/// for a file that is missing or not what it should be.
const WRONG: [(&str, i32, &str); 135] = [
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
    // Sweeps.
    ("sweep --lr 1e-3..1e-2 --device cpu", 2, "say how many, as in 1e-3..1e-2:5"),
    ("sweep --lr 2..1", 2, "a range begins with its lower end"),
    ("sweep --lr 1e-3,fast", 2, "must be a number, such as"),
    ("sweep --lr 1e-3,-1 --device cpu", 2, "run 002 (lr -1): lr -1: must be a positive number"),
    ("sweep --operator disk:3,motion:5,30", 2, "with commas stands in brackets"),
    ("sweep --lr 1,2 --seed 1,2,3 --zip", 2, "--zip needs as many of each"),
    ("sweep --steps 5,6 --keep-best 0.5 --after 2 --device cpu", 2, "a single number"),
    ("sweep --steps 5 --keep-best 2 --after 2 --device cpu", 2, "a share above 0 and below 1"),
    ("sweep --keep-best 0.5", 2, "need each other"),
    ("sweep --list", 2, "name it with --output"),
    ("sweep --lr 1,2 --task 1", 2, "name it with --output"),
    ("sweep --lr 1,2 --task 3 -o new", 2, "runs from 1 to 2"),
    ("sweep --random 0 --lr 1..2", 2, "at least 1"),
    ("sweep --jobs 0 --device cpu -o new", 2, "at least 1"),
    ("sweep --save-gradients g.safetensors", 2, "every run would write the same file"),
    ("sweep --resume taken", 2, "no sweep to go on with"),
    ("sweep --resume missing", 2, "there is no such folder"),
    ("sweep --lr 1 -o taken", 2, "taken exists already"),
    ("sweep --device nothing,cpu -o new", 2, "no such adapter"),
    ("sweep --data missing.npy", 1, "there is no such file"),
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
    ("train --sync-batch-norm --batch-norm off --device cpu", 2, "has no batch norm; leave"),
    ("train --physics 64", 2, "f32, f64"),
    ("train --activations f16 --device cpu", 2, "--activations f32"),
    ("train --lr-schedule linear", 2, "constant, cosine, step"),
    ("train --lr-cosine-steps 9 --device cpu", 2, "--lr-schedule cosine"),
    ("train --shuffle --device cpu", 2, "--data FILE.npy"),
    ("train --validation-data good.npy --device cpu", 2, "--validate-every N"),
    ("train --device cuda", 2, "device 'cuda':"),
    ("train --device 1.0", 2, "device '1.0':"),
    ("train --device -1", 2, "device '-1':"),
    ("train --device +1", 2, "device '+1':"),
    ("train --device 99999999999999999999", 2, "device '99999999999999999999':"),
    ("check --device 15.0.6", 2, "device '15.0.6':"),
    ("check --device 256", 2, "device '256':"),
    ("train --size -1", 2, "write it like 64x64"),
    ("train --size 64 64", 2, "sizes with an x"),
    ("train --filters 8 16", 2, "lists with commas"),
    ("train --lr inf", 2, "must be a number, such as"),
    ("train --amount nan", 2, "must be a number, such as"),
    ("train --noise 1e999", 2, "must be a number, such as"),
    ("diffuse -i good.npy -o y.npy --noise inf", 2, "must be a number, such as"),
    ("restore --noise nan -i good.npy -o y.npy", 2, "must be auto or a number"),
    ("invert -i good.npy -o y.npy --uncertainty=-inf", 2, "must be a number, such as"),
    ("generate --count 2 --training-step -1 -o y.npy", 2, "must be a whole number from 0 on"),
    ("compare --save-gradients g --device cpu", 2, "every method would write the same file"),
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
    ("train --config upper.toml", 1, "do you mean `lr`?"),
    ("train --config section.toml", 1, "write settings without sections"),
    ("train --config quoted.toml", 1, "steps = \"50\": must be a whole number"),
    ("train --config device.toml", 1, "device = 0: must be a name or a number in quotes"),
    ("train --config good.npy", 1, "a .npy array; name a file of settings"),
    ("train --config w.safetensors", 1, "a network's weights; name a file of settings"),
    ("train --config run", 1, "name a file of settings, such as run/config.toml"),
    ("train --config missing.toml", 1, "missing.toml: cannot read: there is no such file"),
    ("train --config moved.toml", 1, "name it with --data"),
    ("train --data w.safetensors --device cpu", 1, "a network's weights, not a .npy file"),
    ("train --data model.pt --device cpu", 1, "a file of torch.save, not a .npy file"),
    ("diffuse -i w.safetensors -o y.npy", 1, "a network's weights, neither a .npy array nor a picture"),
    ("reconstruct --weights model.pt -i good.npy -o y.npy", 1, "python -c \"import torch, safetensors.torch"),
    ("train --weights model.ckpt --device cpu", 1, "['state_dict'], 'model.safetensors')"),
    ("train --weights good.npy --device cpu", 1, "a .npy array, not a safetensors file"),
    ("train --weights run --device cpu", 1, "name the weights in it, run/weights.safetensors"),
    (
        "train --weights g.safetensors --device cpu",
        1,
        "gradients (--save-gradients), not a network's weights",
    ),
    ("train --weights r.safetensors --device cpu", 1, "rectangles (--save-rectangles), not a network's"),
    // Folders.
    ("train -o taken --device cpu", 2, "taken exists already; name a new folder"),
    ("train --resume taken", 2, "name a run's folder"),
    ("train --resume missing", 2, "there is no such folder"),
    ("train --resume good.npy", 2, "a file; name a run's folder"),
    ("train --resume run/config.toml", 2, "name its folder, run"),
    ("train --resume comparison", 2, "unheat compare --resume comparison"),
    ("compare --resume run --device cpu", 2, "unheat train --resume run"),
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
    for (name, text) in [
        ("wrong.toml", "stepz = 3\n"),
        ("upper.toml", "LR = 1e-3\n"),
        ("section.toml", "[train]\nlr = 1e-3\n"),
        ("quoted.toml", "steps = \"50\"\n"),
        ("device.toml", "device = 0\n"),
        ("moved.toml", "data = \"folder/x.npy\"\n"),
        ("model.pt", "PK\u{3}\u{4}model/data.pkl"),
        ("model.ckpt", "PK\u{3}\u{4}model/data.pkl"),
    ] {
        std::fs::write(path(name), text).unwrap();
    }
    let net = UNet::new(&UNetConfig { filters: vec![8], ..Default::default() });
    for folder in ["run", "comparison/sip"] {
        std::fs::create_dir_all(path(folder)).unwrap();
        std::fs::write(path(folder).join("config.toml"), "").unwrap();
    }
    for name in ["w.safetensors", "run/weights.safetensors"] {
        weights::write(&path(name), &net, &State::new(&net, 0), None).unwrap();
    }
    weights::write_gradients(&path("g.safetensors"), &net, &vec![0.5; net.param_count]).unwrap();
    let list = draw_batch(Purpose::Cases, 0, 0, 1, 8, 8);
    rectangles::write(&path("r.safetensors"), &Rectangles { list, per_sample: PER_SAMPLE }).unwrap();
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

/// The long flags that the help of a command shows, with the name of their values if they take one.
fn shown(room: &Path, command: &str) -> Vec<(String, Option<String>)> {
    let output = unheat(room, &format!("{command} --help"));
    let help = String::from_utf8(output.stdout).unwrap();
    let flags = help.lines().filter_map(|line| {
        let line = line.trim_start().trim_start_matches("-o, ").trim_start_matches("-i, ");
        let mut words = line.strip_prefix("--")?.split_whitespace();
        let name = words.next()?.to_owned();
        Some((name, words.next().filter(|word| word.starts_with('<')).map(str::to_owned)))
    });
    flags.collect()
}

/// A flag that a command refuses whatever it says is not in its help: each one that is there comes as far as
/// the refusal of an impossible size.
#[test]
fn no_command_shows_a_flag_that_it_always_refuses() {
    let room = room();
    // What a flag needs, where it is not any number.
    let values = |flag: &str| -> Option<&str> {
        Some(match flag {
            "method" | "methods" => "gd",
            "noise" | "uncertainty" | "lr" | "amount" => "0.5",
            "physics" | "activations" => "f32",
            "lr-schedule" => "cosine",
            "lr-decay" | "lr-decay-every" => "1 --lr-schedule step",
            "lr-cosine-steps" => "1 --lr-schedule cosine",
            "on-nan" => "skip",
            "filters" => "8",
            "padding" => "zero",
            "activation" => "silu",
            "batch-norm" => "off",
            "data" | "observations" => "odd.npy",
            "weights" => "w.safetensors",
            "validation-data" => "odd.npy --validate-every 1",
            "validate-every" => "1",
            "save-gradients" => "new.safetensors",
            "operator" => "poisson",
            "diffusivity" => "1 --time 1 --pixel 1",
            "time" => "1 --diffusivity 1 --pixel 1",
            "device" => "cpu",
            "config" => "empty.toml",
            "output" => "new",
            "by" => "layer",
            "timing" => "submissions",
            "format" => "msl",
            "compare" => "measured.json",
            "keep-best" => "0.5 --after 1",
            "after" => "1 --keep-best 0.5",
            "random-seed" => "1 --random 2",
            _ => return None,
        })
    };
    std::fs::write(room.path().join("empty.toml"), "").unwrap();
    let mut tried = 0;
    for (command, rest) in
        [("train", ""), ("compare", ""), ("shaders", " -o new-shaders"), ("bench", ""), ("sweep", "")]
    {
        let flags = shown(room.path(), command);
        assert!(flags.len() > 10, "{command}: {flags:?}");
        let help = unheat(room.path(), &format!("{command} --help")).stdout;
        let is_named = String::from_utf8_lossy(&help).contains("--save-gradients");
        assert_eq!(is_named, ["train", "shaders"].contains(&command), "{command}: not even beside others");
        let hidden = ["method", "save-gradients"].map(|flag| !flags.iter().any(|(name, _)| name == flag));
        assert_eq!(hidden, [command == "compare", ["compare", "bench", "sweep"].contains(&command)]);
        for (flag, value) in flags {
            // Another run's size is its own, and these end before any request.
            if ["resume", "size", "help", "version"].contains(&flag.as_str()) {
                continue;
            }
            let value = value.map_or(String::new(), |_| format!(" {}", values(&flag).unwrap_or("1")));
            let shuffled = match flag.as_str() {
                "shuffle" => " --data odd.npy",
                "list" => " -o new",
                _ => "",
            };
            let rest = if flag == "output" { "" } else { rest };
            let line = format!("{command} --{flag}{value}{shuffled} --size 60x60{rest}");
            let output = unheat(room.path(), &line);
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(said.contains("32 or 64 would do for 60"), "{line}: {said}");
            tried += 1;
        }
    }
    println!("{tried} flags of 5 commands reach the request");
}
