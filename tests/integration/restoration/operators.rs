//! Operators other than diffusion, undone: by every method, at every size, from the command line too.

use crate::support::desk::Desk;
use crate::support::opened;
use std::path::Path;
use unheat::engine::{Device, operators};
use unheat::io::point_spread::factors;
use unheat::io::tables::{metrics, validation};
use unheat::model::operator::factor::Factor;
use unheat::model::{DType, Operator};
use unheat::restore::measurement::NoiseLevel;
use unheat::restore::{Beyond, Classic, Frame};

/// Two hot rectangles, the mean taken out.
fn rectangles([nx, ny]: [usize; 2]) -> Vec<f64> {
    let inside = |at: usize, [from, to]: [f64; 2], n: usize| {
        ((from * n as f64) as usize..(to * n as f64) as usize).contains(&at)
    };
    let value = |at: usize| {
        let (x, y) = (at / ny, at % ny);
        let one = inside(x, [0.2, 0.5], nx) && inside(y, [0.3, 0.8], ny);
        let two = inside(x, [0.4, 0.85], nx) && inside(y, [0.1, 0.4], ny);
        f64::from(u8::from(one)) + 0.6 * f64::from(u8::from(two))
    };
    let field: Vec<f64> = (0..nx * ny).map(value).collect();
    let mean = field.iter().sum::<f64>() / field.len() as f64;
    field.iter().map(|v| v - mean).collect()
}

fn squares(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum()
}

fn of(text: &str) -> Vec<Factor> {
    factors(&text.parse().unwrap(), 2.0.into()).unwrap()
}

const ALL: [&str; 9] = [
    "heat",
    "heat:3x0.5",
    "gaussian:1.2",
    "disk:2.5",
    "motion:5,35",
    "advection:0.5,3",
    "poisson",
    "helmholtz:0.3",
    "heat:1+advection:2,-0.25+disk:1.5",
];

/// Without noise, every method comes nearer to the truth than nothing at all does, with whatever sign and
/// phase the operator has.
#[test]
fn every_method_undoes_every_operator() {
    for text in ALL {
        let factors = of(text);
        for (size, beyond) in [
            ([32, 32], Beyond::Periodic),
            ([45, 30], Beyond::Periodic),
            ([45, 30], Beyond::of_pictures(&factors)),
        ] {
            let x = rectangles(size);
            let frame = Frame::new(size, beyond, &factors);
            let blur = frame.blur(&Device::Cpu, DType::F64, &factors).unwrap();
            let seen = frame.cropped(blur.apply(&frame.widened(&x)).unwrap());
            // A margin is known to no more digits than a few rounds give.
            let told = NoiseLevel::Told(if beyond == Beyond::Open { 1e-3 } else { 1e-6 });
            let y = frame.observed(&blur, told, 0.0, &seen).unwrap();
            for method in Classic::ALL {
                let restored = method.restore(&blur, told, 0.0, &y, || ());
                if !method.suits(&factors) {
                    assert!(restored.is_err(), "{text}");
                    continue;
                }
                if method == Classic::Observation {
                    continue;
                }
                let found = frame.cropped(restored.unwrap().x);
                let left = squares(&found, &x) / squares(&x, &vec![0.0; x.len()]);
                // Richardson-Lucy is slow, and the damped inverse expects less of some waves than there is.
                let enough = match method {
                    Classic::RichardsonLucy { .. } | Classic::OneShot => 0.7,
                    // What a shift has brought in from beyond the edges is not known.
                    _ if beyond == Beyond::Open => 0.4,
                    _ => 0.2,
                };
                assert!(left < enough, "{text} {size:?} {beyond:?} {}: {left:.3} is left", method.name());
            }
        }
    }
}

/// What the library calls an observation has the operator's phase, on every device.
#[test]
fn observations_are_turned_on_every_device() {
    let x = rectangles([16, 32]);
    for text in ALL {
        let operator = Operator::of(16, 32, &of(text)).unwrap();
        let mut expected = vec![0.0; x.len()];
        unheat::cpu::heat::physics::Physics::<f64>::new(&operator).diffuse(&x, &mut expected);
        for device in opened() {
            for (precision, tolerance) in [(DType::F64, 1e-12), (DType::F32, 1e-6)] {
                let (device, _) = operators::device_for(device.clone(), precision);
                let seen = operators::diffuse(&device, precision, &operator, &x).unwrap();
                let wrong = (squares(&seen, &expected) / squares(&expected, &vec![0.0; x.len()])).sqrt();
                assert!(wrong <= tolerance, "{text} on {}: {wrong:e}", device.describe());
            }
        }
    }
}

#[test]
fn point_spread_functions_come_from_files_and_are_refused_where_they_are_none() {
    let desk = Desk::new();
    let size = [40, 27];
    desk.save("x.npy", [1, size[0], size[1]], &rectangles(size));
    let bell = |i: usize| (-((i / 5) as f64 - 2.0).powi(2) - ((i % 5) as f64 - 2.0).powi(2)).exp();
    desk.save("psf.npy", [1, 5, 5], &(0..25).map(|i| 7.0 * bell(i)).collect::<Vec<_>>());
    desk.run("diffuse -i x.npy -o y.npy --operator psf:psf.npy", 0);
    let said = desk.run("restore -i y.npy -o r.npy --operator psf:psf.npy --edges periodic --strict", 0);
    assert!(said.contains("40x27"), "{said}");
    let [x, y, r] = ["x.npy", "y.npy", "r.npy"].map(|name| desk.load(name));
    assert!(squares(&r, &x) < 0.1 * squares(&y, &x), "{} {}", squares(&r, &x), squares(&y, &x));
    // The same function as a picture, which is nothing that mirrors change.
    let levels: Vec<u8> = (0..25).map(|i| (255.0 * bell(i)).round() as u8).collect();
    image::GrayImage::from_raw(5, 5, levels).unwrap().save(desk.path("psf.png")).unwrap();
    desk.run("restore -i y.npy -o p.npy --operator psf:psf.png --edges insulated", 0);
    desk.save("two.npy", [2, 5, 5], &[1.0; 50]);
    desk.save("none.npy", [1, 5, 5], &[0.0; 25]);
    desk.save("large.npy", [1, 64, 5], &[1.0; 320]);
    for (operator, code, expected) in [
        ("psf:two.npy", 1, "holds 2 fields"),
        ("psf:none.npy", 1, "positive sum"),
        ("psf:gone.npy", 1, "gone.npy"),
        ("psf:large.npy", 2, "larger than the field of 40x27"),
        ("psf:", 2, "write psf:FILE"),
        ("motion:5,35", 2, "--edges open or periodic"),
        ("blur:3", 2, "there are heat:AMOUNT"),
    ] {
        let edges = if operator.starts_with("motion") { "--edges insulated" } else { "" };
        let said = desk.run(&format!("restore -i y.npy -o q.npy --operator {operator} {edges}"), code);
        assert!(said.contains(expected), "{operator}: {said}");
        assert!(!Path::new(&desk.path("q.npy")).exists());
    }
    // A file that is read is not written over.
    desk.run("restore -i y.npy -o psf.npy --operator psf:psf.npy", 2);
    assert_eq!(desk.load("psf.npy").len(), 25);
}

#[test]
fn amounts_come_from_metres_and_seconds_or_from_the_observation() {
    let desk = Desk::new();
    desk.save("x.npy", [1, 64, 48], &rectangles([64, 48]));
    let said = desk.run("diffuse -i x.npy -o y.npy --diffusivity 1mm2/s --time 0.5 --pixel 0.5x0.25mm", 0);
    assert!(said.contains("2x8 cells² (0.5 s at 1 mm²/s with pixels of 0.5 mm x 0.25 mm)"), "{said}");
    desk.run("diffuse -i x.npy -o z.npy --amount 2x8", 0);
    assert_eq!(desk.load("y.npy"), desk.load("z.npy"));
    desk.run("diffuse -i x.npy -o z.npy --amount 4 --noise 1e-5", 0);
    let said = desk.run("restore -i z.npy -o r.npy --amount auto", 0);
    assert!(said.contains("the amount: 3.") || said.contains("the amount: 4."), "{said}");
    let said = desk.run("restore -i x.npy -o q.npy --amount auto", 1);
    assert!(said.contains("the data do not tell"), "{said}");
    for (flags, expected) in [
        ("--diffusivity 1 --pixel 1mm", "--time"),
        ("--diffusivity 1 --time 1", "--pixel"),
        ("--time 1", "--diffusivity"),
        ("--diffusivity 1 --time 1 --pixel 1mm --amount 3", "cannot be used with"),
        ("--diffusivity 1 --time 1 --pixel auto", "does not say how large its pixels are"),
        ("--diffusivity 1kg --time 1 --pixel 1mm", "mm2/s"),
        ("--operator disk:2 --amount 3", "say heat+disk:2 for both"),
        ("--operator disk:2 --amount auto", "for heat alone"),
    ] {
        let said = desk.run(&format!("restore -i y.npy -o q.npy {flags}"), 2);
        assert!(said.contains(expected), "{flags}: {said}");
    }
    let said = desk.run("diffuse -i x.npy -o q.npy --amount auto", 2);
    assert!(said.contains("is for restore"), "{said}");
}

/// Where an operator leaves every wave, Tikhonov's filter stays near the observation and does not flatten it.
#[test]
fn weak_operators_leave_the_field_as_it_is() {
    let x = rectangles([32, 32]);
    for text in ["heat:0", "disk:0.6", "advection:0.3,2"] {
        let factors = of(text);
        let blur = Frame::new([32, 32], Beyond::Periodic, &factors);
        let blur = blur.blur(&Device::Cpu, DType::F64, &factors).unwrap();
        let rough = |i: usize| 1e-2 * (((i * 7919) % 1009) as f64 / 291.0 - 1.73);
        let y: Vec<f64> = blur.apply(&x).unwrap().iter().enumerate().map(|(i, y)| y + rough(i)).collect();
        let tikhonov = Classic::Tikhonov { lambda: None };
        let found = tikhonov.restore(&blur, NoiseLevel::Told(1e-2), 0.0, &y, || ()).unwrap().x;
        let left = squares(&found, &x) / squares(&x, &vec![0.0; x.len()]);
        assert!(left < 0.01, "{text}: {left:.3} is left");
    }
}

/// The noise of counts is the root of their mean, of every field by itself.
#[test]
fn counts_have_the_noise_of_their_mean() {
    let desk = Desk::new();
    let field = |mean: f64| (0..256).map(move |i| mean + (i % 7) as f64 - 3.0).collect::<Vec<_>>();
    let [few, many] = [field(100.0), field(2500.0)];
    let of = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    desk.save("c.npy", [2, 16, 16], &[few.clone(), many.clone()].concat());
    let said = desk.run("restore -i c.npy -o r.npy --amount 1 --noise counts --edges insulated", 0);
    let expected = format!("noise {:.2e} to {:.2e} (as told", of(&few).sqrt(), of(&many).sqrt());
    assert!(said.contains(&expected), "{said} {expected}");
    let levels: Vec<u16> = few.iter().map(|&v| v as u16).collect();
    let picture = image::ImageBuffer::<image::Luma<u16>, _>::from_raw(16, 16, levels).unwrap();
    picture.save(desk.path("c.png")).unwrap();
    let said = desk.run("restore -i c.png -o r.png --amount 1 --noise counts", 0);
    assert!(said.contains(&format!("noise {:.2e} (as told", of(&few).sqrt() / 65535.0)), "{said}");
}

/// What `generate` observes is what `diffuse` makes of its fields.
#[test]
fn generated_fields_can_be_observed_at_once() {
    let desk = Desk::new();
    let line = "generate --count 2 --size 16x32 --physics f64 -o x.npy";
    desk.run(&format!("{line} --observed y.npy --operator heat:1+advection:0.5,2"), 0);
    desk.run("diffuse -i x.npy -o z.npy --operator heat:1+advection:0.5,2 --device cpu", 0);
    let [y, z] = ["y.npy", "z.npy"].map(|name| desk.load(name));
    assert!(squares(&y, &z).sqrt() < 1e-12 * z.len() as f64);
    let said = desk.run(&format!("{line} --operator poisson"), 2);
    assert!(said.contains("add that"), "{said}");
    desk.run(&format!("{line} --observed x.npy"), 2);
    // A film is the same field, diffused further and further.
    desk.run("generate --film 3 --time-step 2x1 --size 16x32 --physics f64 -o f.npy --animation f.gif", 0);
    desk.run("generate --count 1 --size 16x32 --physics f64 -o one.npy", 0);
    desk.run("diffuse -i one.npy -o last.npy --amount 4x2 --device cpu", 0);
    assert!(squares(&desk.load("f.npy")[1024..], &desk.load("last.npy")).sqrt() < 1e-10);
    let said = desk.run("diffuse -i f.npy -o g.npy --amount 1 --time-step 2 --device cpu", 0);
    assert!(said.contains("2 more from field to field"), "{said}");
    desk.run("diffuse -i f.npy -o h.npy --amount 5 --device cpu", 0);
    assert_eq!(desk.load("g.npy")[1024..], desk.load("h.npy")[1024..]);
    desk.run("restore -i g.npy -o r.npy --amount 1 --time-step 2 --noise 1e-3 --animation r.png", 0);
    assert!(desk.path("r.png").is_file() && desk.path("f.gif").is_file());
}

/// The second experiment of the paper: of Poisson's equation SIP learns to undo more than the gradient does,
/// and held-out fields, whose mean nobody can know, tell the same as those of training.
#[test]
fn sip_learns_poissons_equation_better_than_the_gradient() {
    let desk = Desk::new();
    let line = "--operator poisson --steps 60 --batch 8 --size 32x32 --levels 2 --filters 8 --device cpu \
                --validate-every 60";
    let loss = |method: &str| {
        desk.run(&format!("train --method {method} {line} -o {method}"), 0);
        let rows = metrics::read(&desk.path(method).join("metrics.csv")).unwrap();
        let held_out = validation::read(&desk.path(method).join("validation.csv")).unwrap();
        let last: f64 = rows[50..].iter().map(|row| row.x_l2_mean).sum::<f64>() / 10.0;
        (last, held_out.last().unwrap().x_l2_mean)
    };
    let [(sip, sip_held_out), (gd, gd_held_out)] = ["sip", "gd"].map(loss);
    assert!(sip < 0.8 * gd, "{sip} {gd}");
    assert!(sip_held_out < 0.9 * gd_held_out, "{sip_held_out} {gd_held_out}");
    println!("x loss: SIP {sip:.3}, GD {gd:.3}; held out: {sip_held_out:.3}, {gd_held_out:.3}");
}
