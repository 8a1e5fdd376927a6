//! `diffuse`, `invert` and `generate` as people use them: files in, files out, one clear line when it cannot
//! be.

use crate::support::desk::Desk;
use crate::support::{Golden, check, precisions, relative};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use unheat::io::arrays::npy::{self, FieldData, Fields};
use unheat::io::arrays::rectangles;
use unheat::io::arrays::tensors::{self, Data, Tensor};
use unheat::model::rectangles::draw_batch;
use unheat::model::rng::Purpose;

struct Room(tempfile::TempDir);

impl Room {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn save(&self, name: &str, shape: [usize; 3], values: Vec<f64>) {
        let data = FieldData::F64(values);
        npy::write(&self.path(name), &Fields { shape, data, rank2: false }).unwrap();
    }

    fn load(&self, name: &str) -> Vec<f64> {
        match npy::read(&self.path(name)).unwrap().data {
            FieldData::F64(values) => values,
            FieldData::F32(values) => values.into_iter().map(f64::from).collect(),
        }
    }

    fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.0.path()).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// Runs `unheat` in this folder.
    fn unheat(&self, arguments: &str) -> Output {
        Command::new(env!("CARGO_BIN_EXE_unheat"))
            .args(arguments.split_whitespace())
            .current_dir(self.0.path())
            .output()
            .unwrap()
    }

    #[track_caller]
    fn succeeds(&self, arguments: &str) -> String {
        let output = self.unheat(arguments);
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{arguments}: {stderr}");
        stderr
    }

    /// The one line on standard error; nothing may be written.
    #[track_caller]
    fn fails(&self, arguments: &str, code: i32) -> String {
        let before = self.names();
        let output = self.unheat(arguments);
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{arguments}: {stderr}");
        // Mesa's loader may complain about the desktop, and clap adds how to use the command; ours is one
        // line.
        let is_ours = |l: &&str| l.starts_with("unheat: ") || l.starts_with("error: ");
        let ours: Vec<&str> =
            stderr.lines().filter(is_ours).filter(|l| !l.contains("XDG_RUNTIME_DIR")).collect();
        assert_eq!(ours.len(), 1, "{arguments}: {stderr}");
        assert!(!stderr.contains("panicked"), "{stderr}");
        assert_eq!(self.names(), before, "{arguments}");
        // Clap lists the choices in the line below its error.
        let choices = stderr.lines().find(|l| l.contains("[possible values")).unwrap_or_default();
        [ours[0], choices].concat()
    }
}

fn by(physics: &str, f32: f64, f64: f64) -> f64 {
    if physics == "f64" { f64 } else { f32 }
}

fn save_rectangles(path: &Path, golden: &Golden, prefix: &str) {
    let tensors = ["center", "half_size", "strength"].map(|name| Tensor {
        name: name.to_owned(),
        shape: golden.shape(&format!("{prefix}{name}")).to_vec(),
        data: Data::F64(golden.f64(&format!("{prefix}{name}"))),
    });
    tensors::write(path, &tensors, None).unwrap();
}

#[test]
fn golden_values_through_the_commands() {
    let (data, diffuse, inverse) =
        (Golden::open("data"), Golden::open("diffuse"), Golden::open("inv_diffuse"));
    let room = Room::new();
    save_rectangles(&room.path("r.safetensors"), &data, "128x64.");
    room.save("x.npy", [2, 128, 64], data.f64("128x64.x_gt"));
    room.save("r.npy", [2, 64, 64], inverse.f64("64.good.a8.residual"));
    room.save("p.npy", [2, 64, 64], inverse.f64("64.poor.a8.x_pred"));
    room.save("t.npy", [2, 64, 64], data.f64("64.x_gt")[..8192].to_vec());
    for (device, physics) in precisions() {
        let flags = format!("--physics {physics} --device {device}");
        room.succeeds(&format!("generate --rectangles r.safetensors --size 128x64 -o g.npy {flags}"));
        let dtype = matches!(npy::read(&room.path("g.npy")).unwrap().data, FieldData::F64(_));
        assert_eq!(dtype, physics == "f64");
        let error = relative(&room.load("g.npy"), &data.f64("128x64.x_gt"));
        check(&format!("generate {flags}"), error, by(physics, 2e-6, 1e-12));

        room.succeeds(&format!("diffuse -i x.npy --amount 8 -o y.npy {flags}"));
        let error = relative(&room.load("y.npy"), &diffuse.f64("128x64.y_amount8"));
        check(&format!("diffuse {flags}"), error, by(physics, 1e-6, 1e-12));

        let note = room.succeeds(&format!(
            "invert -i r.npy --amount 8 --uncertainty 1e-6 -o dx.npy --diagnostics d.safetensors {flags}"
        ));
        assert_eq!(note.contains("good to about 2e-2"), physics == "f32", "{note}");
        let error = relative(&room.load("dx.npy"), &inverse.f64("64.good.a8.dx"));
        check(&format!("invert {flags}"), error, by(physics, 3e-2, 1e-8));
        let (found, _) = tensors::read(&room.path("d.safetensors")).unwrap();
        let names: Vec<(&str, &[usize])> = found.iter().map(|t| (&*t.name, &*t.shape)).collect();
        let whole: &[usize] = &[2, 64, 64];
        let expected: [(&str, &[usize]); 5] = [
            ("amp", whole),
            ("kernel", whole),
            ("raw_kernel", &[64, 64]),
            ("sig_prob", whole),
            ("uncertainty", &[2]),
        ];
        assert_eq!(names, expected);

        room.succeeds(&format!("invert --truth t.npy -i p.npy --amount 8 -o dx.npy {flags}"));
        let error = relative(&room.load("dx.npy"), &inverse.f64("64.poor.a8.dx"));
        check(&format!("invert --truth {flags}"), error, by(physics, 1e-6, 1e-9));
    }
}

#[test]
fn dtype_and_rank_are_kept_and_the_default_inverse_is_in_64_bits() {
    let room = Room::new();
    let data = FieldData::F32((0..128).map(|i| (i as f32).sin()).collect());
    npy::write(&room.path("x.npy"), &Fields { shape: [1, 8, 16], data, rank2: true }).unwrap();
    for command in ["diffuse", "invert", "diffuse --physics f64", "invert --truth x.npy"] {
        let note = room.succeeds(&format!("{command} -i x.npy --amount 0.5 -o y.npy --device cpu"));
        assert!(note.is_empty(), "{note}");
        let y = npy::read(&room.path("y.npy")).unwrap();
        assert!(y.rank2 && y.shape == [1, 8, 16] && matches!(y.data, FieldData::F32(_)), "{command}");
    }
    // The last one had the truth for its prediction.
    assert!(room.load("y.npy").iter().all(|&v| v == 0.0));
}

#[test]
fn a_measurement_has_the_noise_that_was_asked_for() {
    let room = Room::new();
    room.succeeds("generate --count 2 --size 32x32 -o x.npy");
    room.succeeds("diffuse -i x.npy --device cpu -o exact.npy");
    for (name, seed) in [("a", 1), ("again", 1), ("b", 2)] {
        room.succeeds(&format!("diffuse -i x.npy --device cpu --noise 0.02 --seed {seed} -o {name}.npy"));
    }
    assert_eq!(room.load("a.npy"), room.load("again.npy"));
    let exact = room.load("exact.npy");
    let noise = |name: &str| -> Vec<f64> {
        room.load(name).iter().zip(&exact).map(|(noisy, exact)| noisy - exact).collect()
    };
    let [a, b] = ["a.npy", "b.npy"].map(noise);
    let std = |noise: &[f64]| (noise.iter().map(|n| n * n).sum::<f64>() / noise.len() as f64).sqrt();
    let difference: Vec<f64> = a.iter().zip(&b).map(|(a, b)| a - b).collect();
    let samples: Vec<f64> = a[..1024].iter().zip(&a[1024..]).map(|(a, b)| a - b).collect();
    for (std, expected) in
        [(std(&a), 0.02), (std(&difference), 0.02 * 2f64.sqrt()), (std(&samples), 0.02 * 2f64.sqrt())]
    {
        assert!((std / expected - 1.0).abs() < 0.1, "{std}");
    }
}

/// Under one seed two inputs get different noise, whatever they are: files, fields of an array, fields that
/// are equal; and an input gets the same noise alone as among others.
#[test]
fn equal_seeds_give_different_inputs_different_noise() {
    let room = Room::new();
    room.succeeds("generate --count 3 --size 16x16 -o x.npy");
    let x = room.load("x.npy");
    let (first, second) = (&x[..256], &x[256..512]);
    for (name, fields) in [
        ("a", vec![first]),
        ("b", vec![second]),
        ("both", vec![first, second]),
        ("swapped", vec![second, first]),
    ] {
        room.save(&format!("{name}.npy"), [fields.len(), 16, 16], fields.concat());
    }
    room.save("twice.npy", [3, 16, 16], [first, second, first].concat());
    let noise = |name: &str| -> Vec<Vec<f64>> {
        let run = |noise: &str, output: &str| {
            room.succeeds(&format!(
                "diffuse -i {name}.npy --noise {noise} --seed 4 -o {output} --device cpu"
            ));
            room.load(output)
        };
        let (exact, noisy) = (run("0", "exact.npy"), run("0.5", "noisy.npy"));
        let noise: Vec<f64> = exact.iter().zip(noisy).map(|(exact, noisy)| noisy - exact).collect();
        noise.chunks(256).map(<[f64]>::to_vec).collect()
    };
    let alike = |a: &[f64], b: &[f64]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-6);
    let (a, b) = (noise("a").remove(0), noise("b").remove(0));
    assert!(!alike(&a, &b), "two files");
    let both = noise("both");
    assert!(alike(&both[0], &a) && alike(&both[1], &b), "in an array as alone");
    let swapped = noise("swapped");
    assert!(alike(&swapped[0], &b) && alike(&swapped[1], &a), "wherever it stands");
    let twice = noise("twice");
    assert!(alike(&twice[0], &a) && alike(&twice[1], &b), "as alone");
    assert!(!alike(&twice[2], &a) && !alike(&twice[2], &b), "equal fields are measured twice");
}

/// What a command writes is no batch of a training, unless it is asked for.
#[test]
fn generated_fields_are_no_training_data_but_on_request() {
    let desk = Desk::new();
    let drawn = |flags: &str| {
        let said =
            desk.run(&format!("generate --size 16x16 {flags} -o x.npy --save-rectangles r.safetensors"), 0);
        let list = rectangles::read(&desk.path("r.safetensors")).unwrap().list;
        (list, said)
    };
    let of_training = |seed, step| draw_batch(Purpose::Rectangles, seed, step, 4, 16, 16);
    for (flags, seed, step) in [("--training-step 0", 0, 0), ("--training-step 7 --seed 5", 5, 7)] {
        let (list, said) = drawn(&format!("--count 4 {flags}"));
        assert_eq!(list, of_training(seed, step), "{flags}");
        assert!(said.contains(&format!("what step {step} of a training run with --seed {seed}")), "{said}");
    }
    for seed in [0, 5] {
        let (list, said) = drawn(&format!("--count 4 --seed {seed}"));
        assert!(!said.contains("training run"), "{said}");
        let others = (0..20).map(|step| (Purpose::Rectangles, seed, step)).chain([
            (Purpose::Examples, seed, 0),
            (Purpose::Validation, 0, 0),
            (Purpose::Generated, seed + 1, 0),
        ]);
        for (purpose, seed, step) in others {
            let other = draw_batch(purpose, seed, step, 20, 16, 16);
            assert!(list.iter().all(|one| !other.contains(one)), "{purpose:?} {seed} {step}");
        }
    }
}

#[test]
fn drawn_rectangles_make_the_same_fields_again() {
    let room = Room::new();
    room.succeeds("generate --count 3 --size 32x64 --seed 5 -o a.npy --save-rectangles r.safetensors");
    room.succeeds("generate --rectangles r.safetensors --size 32x64 -o b.npy");
    assert_eq!(std::fs::read(room.path("a.npy")).unwrap(), std::fs::read(room.path("b.npy")).unwrap());
    room.succeeds("generate --rectangles r.safetensors --size 32x64 -o c.npy --device 0");
    check("on the GPU", relative(&room.load("c.npy"), &room.load("a.npy")), 2e-6);
}

#[test]
fn training_takes_either_precision() {
    let room = Room::new();
    for (device, physics) in precisions() {
        let folder = format!("{device}-{physics}");
        room.succeeds(&format!(
            "train --no-tune --no-self-test --steps 2 --batch 2 --size 16x16 --levels 2 --filters 8 \
             --physics {physics} --device {device} -o {folder}"
        ));
        let config = std::fs::read_to_string(room.path(&folder).join("config.toml")).unwrap();
        assert!(config.contains(&format!("physics = \"{physics}\"")), "{config}");
    }
}

#[test]
fn bad_input_is_refused_in_one_line() {
    let room = Room::new();
    room.save("x.npy", [1, 8, 8], vec![1.0; 64]);
    room.save("odd.npy", [1, 8, 100], vec![1.0; 800]);
    room.save("two.npy", [2, 8, 8], vec![1.0; 128]);
    let good = std::fs::read(room.path("x.npy")).unwrap();
    let text = |from: &str, to: &str| {
        assert_eq!(from.len(), to.len());
        let at = good.windows(from.len()).position(|w| w == from.as_bytes()).unwrap();
        let mut bytes = good.clone();
        bytes[at..at + to.len()].copy_from_slice(to.as_bytes());
        bytes
    };
    let mut nan = good.clone();
    let last = nan.len() - 8;
    nan[last..].copy_from_slice(&f64::NAN.to_le_bytes());
    let files: [(&str, Vec<u8>, &str); 9] = [
        ("cut.npy", good[..good.len() - 9].to_vec(), "cut short"),
        ("header.npy", good[..40].to_vec(), "header is cut short"),
        ("lying.npy", text("(1, 8, 8, )", "(9, 8, 8, )"), "does not match"),
        ("object.npy", text("'<f8'", "'|O' "), "'|O'"),
        ("integer.npy", text("'<f8'", "'<i8'"), "<i8"),
        ("rank1.npy", text("(1, 8, 8, )", "(64,      )"), "1 axes"),
        ("rank4.npy", text("(1, 8, 8, )", "(1,1, 8, 8)"), "4 axes"),
        ("nan.npy", nan, "[0, 7, 7] is NaN"),
        ("empty.npy", Vec::new(), "cut short"),
    ];
    for (name, bytes, expected) in files {
        std::fs::write(room.path(name), bytes).unwrap();
        for command in ["diffuse", "invert", "invert --truth x.npy"] {
            let line = room.fails(&format!("{command} -i {name} -o y.npy --device cpu"), 1);
            assert!(line.contains(expected) && line.contains(name), "{line}");
        }
        let line = room.fails(&format!("invert --truth {name} -i x.npy -o y.npy --device cpu"), 1);
        assert!(line.contains(expected), "{line}");
    }
    for (arguments, code, expected) in [
        ("diffuse -i none.npy -o y.npy", 1, "none.npy"),
        ("invert -i odd.npy -o y.npy", 1, "64 or 128"),
        ("diffuse -i x.npy -o y.npy --amount -1", 2, "amount -1"),
        ("diffuse -i x.npy -o y.npy --amount NaN", 2, "must be a number, such as"),
        ("diffuse -i x.npy -o y.npy --physics f16", 2, "[possible values: f32, f64]"),
        ("diffuse -i x.npy -o y.npy --device nosuch", 2, "no such adapter"),
        ("diffuse -i x.npy -o no/y.npy --device cpu", 1, "no folder no"),
        ("invert -i x.npy -o y.npy --uncertainty 0", 2, "uncertainty 0"),
        ("invert -i x.npy -o y.npy --uncertainty -1", 2, "uncertainty -1"),
        ("invert -i x.npy -o y.npy --uncertainty inf", 2, "must be a number, such as"),
        ("invert -i x.npy -o y.npy --truth two.npy", 2, "[2, 8, 8]"),
        ("invert -i x.npy -o y.npy --truth x.npy --uncertainty 1e-6", 2, "cannot be used with"),
        ("invert -i x.npy -o y.npy --diagnostics y.npy", 2, "the same file"),
        ("invert -i x.npy -o no/y.npy --diagnostics d.safetensors --device cpu", 1, "no folder no"),
        ("generate --count 0 -o y.npy", 2, "count 0"),
        ("generate --count 1 --size 100x64 -o y.npy", 2, "64 or 128"),
        ("generate --rectangles x.npy -o y.npy", 1, "x.npy"),
        ("generate --rectangles x.npy --count 2 -o y.npy", 2, "cannot be used with"),
        ("generate -o y.npy", 2, "required arguments"),
        ("generate --count 1 -o y.npy --save-rectangles no/r.safetensors", 1, "no folder no"),
        ("diffuse -i x.npy -o .", 1, "this is a folder"),
    ] {
        let line = room.fails(arguments, code);
        assert!(line.contains(expected), "{arguments}: {line}");
    }
}
