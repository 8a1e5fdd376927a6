//! Networks on observations in other units than those that they were trained on.

use crate::support::desk::Desk;
use crate::support::{opened, relative, widen};
use std::fs;
use std::path::Path;
use unheat::io::arrays::weights;
use unheat::io::images::photo::{self, Depth, Photo};
use unheat::model::TrainedFor;
use unheat::train::config::size::Size;
use unheat::train::data::drawn::Drawn;
use unheat::train::plan::Plan;
use unheat::{Device, TrainConfig};

const TRAIN: &str = "train --batch 8 --size 32x32 --levels 2 --filters 8 --steps 10 --device cpu --no-tune \
                     --no-self-test --seed 4";

fn trained() -> Desk {
    let desk = Desk::new();
    desk.run(&format!("{TRAIN} -o net"), 0);
    desk.run("generate --count 6 --size 32x32 -o x.npy --device cpu", 0);
    desk.run("diffuse -i x.npy -o y32.npy --device cpu", 0);
    let y = desk.load("y32.npy");
    desk.save("y.npy", [6, 32, 32], &y);
    desk
}

#[test]
fn networks_do_not_depend_on_the_unit_or_the_zero_of_values() {
    let desk = trained();
    let reconstruct = |input: &str| {
        desk.run(
            &format!("reconstruct --weights net/weights.safetensors -i {input} -o p.npy --device cpu"),
            0,
        );
        desk.load("p.npy")
    };
    let (y, expected) = (desk.load("y.npy"), reconstruct("y.npy"));
    for (scale, offset) in [(0.01, 0.0), (100.0, 0.0), (1.0, 293.0), (1e-12, 0.0)] {
        desk.save("other.npy", [6, 32, 32], &y.iter().map(|v| scale * v + offset).collect::<Vec<_>>());
        for (found, expected) in reconstruct("other.npy").iter().zip(&expected) {
            let found = (found - offset) / scale;
            assert!((found - expected).abs() < 1e-4, "{scale} {offset}: {found}, not {expected}");
        }
    }
}

/// Weights that do not say what they were trained for see everything as it is.
#[test]
fn networks_see_values_in_the_units_of_their_training_as_they_are() {
    let desk = trained();
    let (net, state) = weights::read(&desk.path("net/weights.safetensors")).unwrap();
    weights::write(&desk.path("bare.safetensors"), &net, &state, None).unwrap();
    let reconstruct = |flags: &str| {
        let said = desk.run(&format!("reconstruct --weights {flags} -i y.npy -o p.npy --device cpu"), 0);
        assert_eq!(said.contains("with --same-units it sees"), flags == "net/weights.safetensors", "{said}");
        desk.load("p.npy")
    };
    let found = reconstruct("net/weights.safetensors --same-units");
    assert_eq!(found, reconstruct("bare.safetensors"));
    assert_ne!(found, reconstruct("net/weights.safetensors"));
    let kelvin: Vec<f64> = desk.load("y.npy").iter().map(|v| 293.0 + 40.0 * v).collect();
    desk.save("y.npy", [6, 32, 32], &kelvin);
    let flags = "--weights net/weights.safetensors --same-units --strict -i y.npy -o p.npy --device cpu";
    let said = desk.run(&format!("reconstruct {flags}"), 3);
    assert!(said.contains("leave --same-units out"), "{said}");
}

#[test]
fn weights_remember_what_they_were_trained_for() {
    let desk = trained();
    let flags = "reconstruct --weights net/weights.safetensors -i y.npy -o p.npy --device cpu";
    let said = desk.run(&format!("{flags} --amount 2 --strict"), 3);
    assert!(said.contains("trained for an amount of 8, not of 2"), "{said}");
    let mut state = 1u64;
    let y: Vec<f64> = desk.load("y.npy");
    let rough = y.iter().map(|v| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        v + 0.1 * ((state >> 33) as f64 / f64::from(1u32 << 31) - 0.5)
    });
    desk.save("rough.npy", [6, 32, 32], &rough.collect::<Vec<_>>());
    let said = desk.run(&flags.replace("y.npy", "rough.npy"), 0);
    assert!(said.contains("warning: noise is") && said.contains("details may be made up"), "{said}");
}

#[test]
fn arrays_of_any_size_are_reconstructed_with_insulated_edges() {
    let desk = trained();
    desk.save("odd.npy", [1, 50, 37], &(0..1850).map(|i| f64::from(i % 37) / 37.0).collect::<Vec<_>>());
    let flags = "reconstruct --weights net/weights.safetensors -i odd.npy -o p.npy --device cpu";
    let said = desk.run(flags, 1);
    assert!(said.contains("--edges insulated"), "{said}");
    desk.run(&format!("{flags} --edges insulated"), 0);
    assert_eq!(desk.load("p.npy").len(), 1850);
}

/// Where networks of other seeds disagree, none of them knows.
#[test]
fn several_networks_tell_how_uncertain_they_are() {
    let desk = trained();
    desk.run(&format!("{} -o other", TRAIN.replace("--seed 4", "--seed 5")), 0);
    let one = |net: &str| {
        let flags = format!("reconstruct --weights {net}/weights.safetensors -i y.npy -o p.npy --device cpu");
        desk.run(&flags, 0);
        desk.load("p.npy")
    };
    let (first, second) = (one("net"), one("other"));
    let both = "reconstruct --weights net/weights.safetensors --weights other/weights.safetensors -i y.npy \
                -o p.npy --uncertainty-map map.npy --device cpu";
    desk.run(both, 0);
    let (mean, map) = (desk.load("p.npy"), desk.load("map.npy"));
    for cell in 0..mean.len() {
        assert!((mean[cell] - 0.5 * (first[cell] + second[cell])).abs() < 1e-12);
        assert!((map[cell] - (first[cell] - second[cell]).abs() * 0.5f64.sqrt()).abs() < 1e-12);
    }
    assert!(map.iter().any(|&deviation| deviation > 1e-3));
    let said = desk.run(&both.replace("--weights other/weights.safetensors ", ""), 2);
    assert!(said.contains("needs --weights several times"), "{said}");
}

/// Where a network has learned from inverses it is shown inverses, by whatever command: reconstruction finds
/// the loss that validation has found.
#[test]
fn networks_that_see_the_inverse_see_it_everywhere() {
    let desk = Desk::new();
    desk.run("generate --count 6 --size 32x32 -o x.npy --device cpu", 0);
    let train = "--tikhonov 1e-2 --amount 4 --method supervised --validate-every 40 --validation-data x.npy";
    desk.run(&format!("{} {train} --steps 40 -o net", TRAIN.replace("--steps 10 ", "")), 0);
    let validation = std::fs::read_to_string(desk.path("net/validation.csv")).unwrap();
    let told: f64 = validation.trim().lines().last().unwrap().split(',').nth(1).unwrap().parse().unwrap();

    desk.run("diffuse -i x.npy --amount 4 -o y.npy --device cpu --physics f64", 0);
    let (y, truth) = (desk.load("y.npy"), desk.load("x.npy"));
    let reconstruct = |flags: &str| {
        let usual = "--norm running --same-units -o p.npy --device cpu";
        desk.run(&format!("reconstruct --weights net/weights.safetensors {flags} {usual}"), 0);
        desk.load("p.npy")
    };
    let found = x_loss(&reconstruct("-i y.npy"), &truth) / 4.0;
    assert!((found / told - 1.0).abs() < 1e-3, "{found} and not {told}");
    // With another operator it is shown another inverse.
    assert_ne!(reconstruct("-i y.npy --amount 4.1"), reconstruct("-i y.npy"));
    // Walls are mirrors: what lies between them is a quarter of a periodic field.
    let quarter: Vec<f64> = (0..256).map(|cell| y[32 * (cell / 16) + cell % 16]).collect();
    let mirror = |at: usize| at.min(31 - at);
    let whole: Vec<f64> = (0..1024).map(|cell| quarter[16 * mirror(cell / 32) + mirror(cell % 32)]).collect();
    desk.save("quarter.npy", [1, 16, 16], &quarter);
    desk.save("whole.npy", [1, 32, 32], &whole);
    let (periodic, walled) = (reconstruct("-i whole.npy"), reconstruct("-i quarter.npy --edges insulated"));
    // But for what upsampling repeats at the border of the periodic field, and for its part in the mean.
    let inner = |field: &[f64], row: usize| -> Vec<f64> {
        let cells: Vec<f64> = (0..64).map(|cell| field[row * (8 + cell / 8) + 8 + cell % 8]).collect();
        let mean = cells.iter().sum::<f64>() / 64.0;
        cells.iter().map(|value| value - mean).collect()
    };
    let difference = relative(&inner(&walled, 16), &inner(&periodic, 32));
    assert!(difference < 1e-5, "{difference}");
    // Fields of any size go.
    desk.save("odd.npy", [1, 30, 25], &y[..750]);
    let (open, insulated) =
        (reconstruct("-i odd.npy --edges open"), reconstruct("-i odd.npy --edges insulated"));
    assert_eq!((open.len(), insulated.len()), (750, 750));

    // Weights bring it along, and the settings may say something else.
    let on =
        "train --weights net/weights.safetensors --batch 4 --size 32x32 --steps 1 --device cpu --no-tune";
    for (more, expected) in [("", "tikhonov = 0.01"), ("--tikhonov 0.5", "tikhonov = 0.5")] {
        desk.run(&format!("{on} {more} -o on"), 0);
        let config = std::fs::read_to_string(desk.path("on/config.toml")).unwrap();
        assert!(config.contains(expected), "{config}");
        std::fs::remove_dir_all(desk.path("on")).unwrap();
    }
    let named = Some(desk.path("net/weights.safetensors"));
    let config = TrainConfig { weights: named, ..TrainConfig::default() };
    let refused = config.plan().err().unwrap().to_string();
    assert!(refused.contains("add --tikhonov 0.01"), "{refused}");
    // A checkpoint's weights do not tell what they are to be shown.
    let said = desk.run("reconstruct --weights net/checkpoint.safetensors -i y.npy -o p.npy --device cpu", 1);
    assert!(said.contains("name the run's weights.safetensors"), "{said}");
    assert!(weights::read(&desk.path("net/weights.safetensors")).is_err());
    // Files of an operator that no file can tell.
    let (net, state, trained_for) = weights::read_all(&desk.path("net/weights.safetensors")).unwrap();
    let trained_for = trained_for.map(|known| TrainedFor {
        amount: None,
        operator: Some("psf of 9x9 cells, checksum 1a2b3c4d".to_owned()),
        ..known
    });
    weights::write(&desk.path("psf.safetensors"), &net, &state, trained_for.as_ref()).unwrap();
    let said = desk.run("reconstruct --weights psf.safetensors -i y.npy -o p.npy --device cpu", 2);
    assert!(said.contains("add --operator psf:FILE"), "{said}");
    let both = "--weights psf.safetensors --weights net/weights.safetensors";
    let said = desk.run(&format!("reconstruct {both} -i y.npy -o p.npy --device cpu"), 2);
    assert!(said.contains("name networks of one operator"), "{said}");
    // One that no training can have.
    let trained_for = trained_for.map(|known| TrainedFor { tikhonov: Some(0.0), ..known });
    weights::write(&desk.path("zero.safetensors"), &net, &state, trained_for.as_ref()).unwrap();
    let said = desk.run("reconstruct --weights zero.safetensors -i y.npy -o p.npy --device cpu", 1);
    assert!(said.contains("tikhonov 0: must be a number from 1e-8 to 1"), "{said}");
}

/// The inverse comes before the scale: units, and with open edges what is told of the noise, do not matter.
#[test]
fn networks_that_see_the_inverse_do_not_depend_on_the_unit() {
    let desk = Desk::new();
    desk.run(&format!("{TRAIN} --tikhonov 1e-2 -o net"), 0);
    desk.run("generate --count 2 --size 32x32 -o x.npy --device cpu", 0);
    desk.run("diffuse -i x.npy -o y32.npy --noise 1e-3 --device cpu", 0);
    let y = desk.load("y32.npy");
    for edges in ["periodic", "open"] {
        let reconstruct = |scale: f64, offset: f64| -> Vec<f64> {
            desk.save("y.npy", [2, 32, 32], &y.iter().map(|v| scale * v + offset).collect::<Vec<_>>());
            let noise = scale * 1e-3;
            let flags = format!("--edges {edges} --noise {noise} --norm running -i y.npy -o p.npy");
            desk.run(&format!("reconstruct --weights net/weights.safetensors {flags} --device cpu"), 0);
            desk.load("p.npy").iter().map(|x| (x - offset) / scale).collect()
        };
        let expected = reconstruct(1.0, 0.0);
        for (found, expected) in reconstruct(40.0, 293.0).iter().zip(&expected) {
            assert!((found - expected).abs() < 1e-3, "{edges}: {found}, not {expected}");
        }
    }
}

/// What a trainer shows of a batch is the observation, whatever its network sees, on both engines.
#[test]
fn observations_are_told_and_not_what_is_seen_of_them() {
    let config = TrainConfig {
        batch: 4,
        size: Size { nx: 32, ny: 32 },
        levels: 2,
        tikhonov: Some(1e-2),
        ..TrainConfig::default()
    };
    let plan = config.plan().unwrap();
    let batch = Drawn::new(&config, &plan.step.operator).batch(0);
    let seen = |device: &Device, plan: &Plan| plan.trainer(device).unwrap().predict(&batch).unwrap();
    let plain = TrainConfig { tikhonov: None, ..config.clone() }.plan().unwrap();
    let [truth, expected, unlike] = seen(&Device::Cpu, &plain);
    for device in opened() {
        let [found_truth, found, prediction] = seen(&device, &plan);
        assert!(relative(&widen(&found_truth), &widen(&truth)) < 1e-6);
        assert!(relative(&widen(&found), &widen(&expected)) < 1e-6, "{}", device.describe());
        assert!(relative(&widen(&prediction), &widen(&unlike)) > 1e-2, "it sees something else");
    }
}

/// ½Σ(x − x*)², the mean over fields of 64 × 64 cells.
fn x_loss(x: &[f64], truth: &[f64]) -> f64 {
    let squares: f64 = x.iter().zip(truth).map(|(x, t)| (x - t).powi(2)).sum();
    0.5 * squares * 4096.0 / x.len() as f64
}

/// Nobody has trained or named one. The bounds are a third above what BENCHMARKS.md has of 128 fields.
#[test]
fn the_network_for_the_noise_of_the_experiments_own_fields_comes_with_unheat() {
    let desk = Desk::new();
    desk.run("generate --count 32 --seed 5 -o x.npy --device cpu", 0);
    let truth = desk.load("x.npy");
    for (noise, name, most) in [
        ("0", "rectangles_8_noise_2e-6", 0.95),
        ("1e-5", "rectangles_8_noise_3e-5", 1.35),
        ("5e-5", "rectangles_8_noise_3e-5", 1.5),
        ("1e-4", "rectangles_8_noise_1e-3", 2.3),
        ("1e-3", "rectangles_8_noise_1e-3", 2.6),
        ("3e-3", "rectangles_8_noise_1e-2", 4.3),
        ("1e-2", "rectangles_8_noise_1e-2", 5.0),
        ("2e-2", "rectangles_8_noise_1e-2", 10.6),
        // It takes less of so much noise for details.
        ("0.1", "pictures_8_noise_3e-2", 45.0),
    ] {
        desk.run(&format!("diffuse -i x.npy -o y.npy --physics f64 --noise {noise} --device cpu"), 0);
        let said = desk.run("reconstruct -i y.npy -o p.npy --device cpu", 0);
        assert!(said.contains(&format!("by the network {name}, which comes with unheat")), "{said}");
        let found = x_loss(&desk.load("p.npy"), &truth);
        assert!(found < most, "{noise}: {found}");
    }
    // Ten times the noise of any training: no network is right, and it says what is.
    let said = desk.run("reconstruct -i y.npy -o p.npy --device cpu --strict", 3);
    assert!(said.contains("noise is") && said.contains("`unheat restore` needs no network"), "{said}");
    desk.save("zero.npy", [1, 64, 64], &[0.0; 4096]);
    desk.run("reconstruct -i zero.npy -o p.npy --device cpu --strict", 0);
    // The same in kelvin is no field of the experiment.
    let kelvin: Vec<f64> = desk.load("y.npy").iter().map(|v| 293.0 + 40.0 * v).collect();
    desk.save("y.npy", [32, 64, 64], &kelvin);
    let said = desk.run("reconstruct -i y.npy -o p.npy --device cpu", 0);
    assert!(said.contains("by the network pictures_8"), "{said}");
    let said = desk.run("reconstruct -i y.npy -o p.npy --device cpu --amount 5", 2);
    assert!(said.contains("no network for heat:5 comes with unheat, only for heat:2 and heat:8"), "{said}");
}

#[test]
fn networks_for_pictures_come_with_unheat() {
    let desk = Desk::new();
    let scene = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/scene.png");
    let truth = photo::read(&scene).unwrap().planes;
    for amount in [8, 2] {
        desk.run(&format!("diffuse -i {} -o y.png --amount {amount} --device cpu", scene.display()), 0);
        let flags = format!("reconstruct -i y.png -o p.png --amount {amount} --device cpu");
        let said = desk.run(&flags, 0);
        assert!(
            said.contains(&format!("by the network pictures_{amount}_noise_2e-3, which comes with unheat")),
            "{said}"
        );
        let distance = |name: &str| x_loss(&photo::read(&desk.path(name)).unwrap().planes, &truth);
        let (before, after) = (distance("y.png"), distance("p.png"));
        assert!(after < 0.4 * before, "{amount}: {before} and {after}");
        // Noise in the units of the samples.
        for (noise, network) in [("5e-3", "7e-3"), ("2e-2", "3e-2")] {
            let flags = format!("-i {} -o n.png --amount {amount} --noise {noise}", scene.display());
            desk.run(&format!("diffuse {flags} --device cpu"), 0);
            let said = desk.run(&format!("reconstruct -i n.png -o p.png --amount {amount} --device cpu"), 0);
            assert!(said.contains(&format!("by the network pictures_{amount}_noise_{network},")), "{said}");
            assert!(!said.contains("warning"), "{said}");
            let (before, after) = (distance("n.png"), distance("p.png"));
            assert!(after < 0.7 * before, "{amount}, {noise}: {before} and {after}");
        }
    }
    // A camera of 12 bits in a file of 16 leaves most of the range unused: that is no contrast to be kept.
    let dark: Vec<f64> = truth[..512 * 256].iter().map(|v| v / 16.0).collect();
    Photo::new(256, 512, dark.clone(), Depth::Sixteen).write(&desk.path("dark.png")).unwrap();
    desk.run("diffuse -i dark.png -o y.png --amount 2 --device cpu", 0);
    desk.run("reconstruct -i y.png -o p.png --amount 2 --device cpu", 0);
    let distance = |name: &str| x_loss(&photo::read(&desk.path(name)).unwrap().planes, &dark);
    let (before, after) = (distance("y.png"), distance("p.png"));
    assert!(after < 0.4 * before, "dark: {before} and {after}");
    // A picture of a dozen levels has steps for edges.
    let pale: Vec<f64> = truth[..512 * 256].iter().map(|v| 0.4 + v / 20.0).collect();
    Photo::new(256, 512, pale, Depth::Eight).write(&desk.path("pale.png")).unwrap();
    desk.run("diffuse -i pale.png -o y.png --amount 8 --device cpu", 0);
    let said = desk.run("reconstruct -i y.png -o p.png --amount 8 --device cpu --strict", 3);
    assert!(said.contains("steps of its samples"), "{said}");
    // A picture of one level has nothing to be restored and nothing to be doubted. Of several pictures the
    // last line says which network has made which.
    fs::create_dir(desk.path("pictures")).unwrap();
    Photo::new(20, 30, vec![77.0 / 255.0; 600], Depth::Eight).write(&desk.path("pictures/flat.png")).unwrap();
    fs::copy(desk.path("n.png"), desk.path("pictures/noisy.png")).unwrap();
    let said = desk.run("reconstruct -i pictures -o made --amount 2 --device cpu --strict", 0);
    assert!(said.contains("pictures_2_noise_2e-3 (flat.png), pictures_2_noise_3e-2 (noisy.png)"), "{said}");
    let flat = photo::read(&desk.path("made/flat.png")).unwrap().planes;
    assert!(flat.iter().all(|v| (v * 255.0).round() == 77.0), "{:?}", &flat[..5]);
    // More noise than any of them was trained for is told.
    desk.run(&format!("diffuse -i {} -o n.png --amount 8 --noise 0.2 --device cpu", scene.display()), 0);
    let said = desk.run("reconstruct -i n.png -o p.png --amount 8 --device cpu --strict", 3);
    assert!(said.contains("pictures_8_noise_3e-2") && said.contains("details may be made up"), "{said}");
    // In an array it is no field of the experiment, though its units might be.
    desk.run(&format!("diffuse -i {} -o y.png --amount 2 --device cpu", scene.display()), 0);
    let planes = photo::read(&desk.path("y.png")).unwrap().planes;
    let of_first = &planes[..512 * 256];
    desk.save("y.npy", [1, 512, 256], of_first);
    let said = desk.run("reconstruct -i y.npy -o p.npy --amount 2 --edges insulated --device cpu", 0);
    assert!(said.contains("by the network pictures_2"), "{said}");
    // Half a unit lower they are no samples from 0 to 1, and are shown as if they were; so are values whose
    // squares are no numbers.
    let first = &truth[..512 * 256];
    let before = x_loss(of_first, first);
    for (scale, offset) in [(1.0, -0.5), (1.0, 0.5), (1e300, 0.0)] {
        let moved: Vec<f64> = of_first.iter().map(|v| scale * (v + offset)).collect();
        desk.save("moved.npy", [1, 512, 256], &moved);
        desk.run("reconstruct -i moved.npy -o p.npy --amount 2 --edges insulated --device cpu", 0);
        let back: Vec<f64> = desk.load("p.npy").iter().map(|v| v / scale - offset).collect();
        let after = x_loss(&back, first);
        assert!(after < 0.7 * before, "{scale}, {offset}: {before} and {after}");
    }
    for flags in ["--operator disk:3", "--amount 2x8", "--operator helmholtz:0.1+disk:2"] {
        let said = desk.run(&format!("reconstruct -i y.png -o p.png --device cpu {flags}"), 2);
        assert!(said.contains("no network for") && said.contains("use restore"), "{said}");
    }
    // A blur of standard deviation 2 is heat of another name.
    let said = desk.run("reconstruct -i y.png -o p.png --device cpu --operator gaussian:2", 0);
    assert!(said.contains("by the network pictures_2"), "{said}");
    let said = desk.run("reconstruct -i y.png -o p.png --same-units", 2);
    assert!(said.contains("--weights"), "{said}");
}
