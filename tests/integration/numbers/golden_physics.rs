//! The physics on every engine, in 32 and 64 bits, against the reference system's values.

use crate::support::{Golden, check, live_errors, net, relative, widen};
use std::sync::Arc;
use unheat::Error;
use unheat::blocking::{adapters, block_on};
use unheat::cpu::heat::inverse::damping;
use unheat::engine::device::NO_ADAPTER;
use unheat::engine::{Device, operators};
use unheat::error::Feature;
use unheat::gpu::probes::exp64::exp64;
use unheat::gpu::{Checks, Gpu, Recorder, Step};
use unheat::model::inverse::{UNCERTAINTY, expected_amplitude, raw_kernel};
use unheat::model::rectangles::PER_SAMPLE;
use unheat::model::unet::init::State;
use unheat::model::{DType, Method, Operator, StepSpec};

fn gpus() -> Vec<Arc<Gpu>> {
    let adapters = adapters();
    assert!(!adapters.is_empty(), "{NO_ADAPTER}");
    adapters
        .iter()
        .map(|adapter| Arc::new(block_on(Gpu::open(adapter, Checks::default())).unwrap()))
        .collect()
}

/// Every engine in every precision that it has.
fn engines() -> Vec<(String, Device, DType)> {
    let mut engines = Vec::new();
    for device in [vec![Device::Cpu], gpus().into_iter().map(Device::Gpu).collect()].concat() {
        for precision in [DType::F32, DType::F64] {
            let name = format!("{} {precision}", device.describe());
            match &device {
                Device::Gpu(gpu) if !gpu.computes_in(precision) => eprintln!("{name}: skipped, not offered"),
                _ => engines.push((name, device.clone(), precision)),
            }
        }
    }
    engines
}

fn tolerance(precision: DType, f32: f64, f64: f64) -> f64 {
    match precision {
        DType::F16 | DType::F32 => f32,
        DType::F64 => f64,
    }
}

#[test]
fn rasterised_fields() {
    let golden = Golden::open("data");
    for (engine, device, precision) in engines() {
        for (prefix, nx, ny) in [("64.", 64, 64), ("32.", 32, 32), ("128x64.", 128, 64)] {
            let rectangles = golden.rectangles(prefix);
            let ours = operators::rasterise(&device, precision, &rectangles, PER_SAMPLE, nx, ny).unwrap();
            let error = relative(&ours, &golden.f64(&format!("{prefix}x_gt")));
            check(&format!("{engine}: x* {prefix}"), error, tolerance(precision, 2e-6, 1e-12));
        }
    }
}

#[test]
fn diffused_fields() {
    let (data, golden) = (Golden::open("data"), Golden::open("diffuse"));
    for (engine, device, precision) in engines() {
        for (prefix, nx, ny, amount) in [
            ("64", 64, 64, 8.0),
            ("64", 64, 64, 2.0),
            ("64", 64, 64, 0.5),
            ("32", 32, 32, 8.0),
            ("128x64", 128, 64, 8.0),
        ] {
            let y = golden.f64(&format!("{prefix}.y_amount{amount}"));
            let x = &data.f64(&format!("{prefix}.x_gt"))[..y.len()];
            let heat = Operator::heat(nx, ny, amount).unwrap();
            let ours = operators::diffuse(&device, precision, &heat, x).unwrap();
            let what = format!("{engine}: y {prefix} a={amount}");
            check(&what, relative(&ours, &y), tolerance(precision, 1e-6, 1e-12));
        }
    }
}

/// Name, grid and amount of the golden inverses.
const INVERSES: [(&str, usize, usize, f64); 6] = [
    ("64.poor.a8", 64, 64, 8.0),
    ("64.good.a8", 64, 64, 8.0),
    ("64.poor.a2", 64, 64, 2.0),
    ("64.good.a2", 64, 64, 2.0),
    ("128x64.poor.a8", 128, 64, 8.0),
    ("128x64.good.a8", 128, 64, 8.0),
];

/// Truth, prediction and dx.
fn inverse_case(case: &str) -> [Vec<f64>; 3] {
    let golden = Golden::open("inv_diffuse");
    let dx = golden.f64(&format!("{case}.dx"));
    let mut truth = Golden::open("data").f64(&format!("{}.x_gt", case.split('.').next().unwrap()));
    truth.truncate(dx.len());
    [truth, golden.f64(&format!("{case}.x_pred")), dx]
}

#[test]
fn sip_updates_in_training_form() {
    for (engine, device, precision) in engines() {
        for (case, nx, ny, amount) in INVERSES {
            let [truth, prediction, dx] = inverse_case(case);
            let heat = Operator::heat(nx, ny, amount).unwrap();
            let update = |truth: &[f64], precision| {
                operators::sip_update(&device, precision, &heat, truth, &prediction).unwrap()
            };
            let ours = update(&truth, precision);
            let poor = case.contains("poor");
            let limit =
                if poor { tolerance(precision, 1e-6, 1e-9) } else { tolerance(precision, 5e-5, 1e-6) };
            check(&format!("{engine}: dx {case}"), relative(&ours, &dx), limit);
            if precision == DType::F32 {
                let rounded: Vec<f64> = truth.iter().map(|&t| f64::from(t as f32)).collect();
                let exact =
                    operators::sip_update(&Device::Cpu, DType::F64, &heat, &rounded, &prediction).unwrap();
                let error = relative(&update(&rounded, precision), &exact);
                check(&format!("{engine}: dx {case}, truth exact in f32"), error, 3e-6);
            }
        }
    }
}

#[test]
fn inverses_of_given_residuals() {
    let golden = Golden::open("inv_diffuse");
    for (engine, device, precision) in engines() {
        for (case, nx, ny, amount) in INVERSES {
            let heat = Operator::heat(nx, ny, amount).unwrap();
            let [truth, prediction, dx] = inverse_case(case);
            let poor = case.contains("poor");
            let (residual, limit) = if case.starts_with("64.good") {
                (golden.f64(&format!("{case}.residual")), 1e-8)
            } else {
                let [y, of_prediction] = [&truth, &prediction]
                    .map(|x| operators::diffuse(&Device::Cpu, DType::F64, &heat, x).unwrap());
                let residual = y.iter().zip(&of_prediction).map(|(a, b)| a - b).collect();
                (residual, if poor { 1e-9 } else { 1e-6 })
            };
            let inverted = operators::invert(&device, precision, &heat, UNCERTAINTY, &residual).unwrap();
            let what = format!("{engine}: dx {case} of the residual");
            check(&what, relative(&inverted.dx, &dx), tolerance(precision, 3e-2, limit));
            assert!(
                [&inverted.amp, &inverted.sig_prob, &inverted.kernel].iter().all(|d| d.len() == dx.len())
            );
            if precision == DType::F64 {
                let uncertainty = golden.f64(&format!("{case}.uncertainty"));
                check(&format!("{what}: uncertainty"), relative(&inverted.uncertainty, &uncertainty), 1e-5);
            }
        }
    }
}

/// Bin by bin on the reference's own |Â|: at high frequencies those of another FFT are other rounding noise.
#[test]
fn damping_of_given_amplitudes() {
    let golden = Golden::open("inv_diffuse");
    for (case, nx, ny, amount) in INVERSES.into_iter().filter(|(case, ..)| *case != "128x64.good.a8") {
        let heat = Operator::heat(nx, ny, amount).unwrap();
        let tables: Vec<(f64, f64)> =
            heat.log_kernel().iter().copied().zip(expected_amplitude(&heat)).collect();
        let [amp, kernel, prob] =
            ["amp", "kernel", "sig_prob"].map(|name| golden.f64(&format!("{case}.{name}")));
        let [truth, prediction, _] = inverse_case(case);
        let given = case.starts_with("64.good");
        let residual = if given {
            golden.f64(&format!("{case}.residual"))
        } else {
            let [y, of_prediction] = [&truth, &prediction]
                .map(|x| operators::diffuse(&Device::Cpu, DType::F64, &heat, x).unwrap());
            y.iter().zip(&of_prediction).map(|(a, b)| a - b).collect()
        };
        let (mut worst_p, mut worst_kernel) = (0.0f64, 0.0f64);
        for (sample, residual) in residual.chunks_exact(nx * ny).enumerate() {
            let sigma = unheat::cpu::heat::inverse::sigma(residual, UNCERTAINTY);
            for (k, &(log_kernel, expected)) in tables.iter().enumerate() {
                let i = sample * nx * ny + k;
                let (p, kappa) = damping(amp[i], log_kernel, expected, sigma);
                worst_p = worst_p.max((p - prob[i]).abs());
                worst_kernel = worst_kernel.max((kappa / kernel[i] - 1.0).abs());
            }
        }
        // A residual of another FFT has another σ, by 1e-10.
        check(&format!("p {case}"), worst_p, if given { 4e-16 } else { 1e-8 });
        check(&format!("kernel {case}"), worst_kernel, if given { 2e-14 } else { 1e-6 });
        if case.contains("poor") {
            let raw = golden.f64(&format!("{case}.raw_kernel"));
            check(&format!("raw kernel {case}"), relative(&raw_kernel(&heat), &raw), 1e-13);
        }
    }
}

#[test]
fn corner_cases_of_the_inverse() {
    let heat = Operator::heat(64, 64, 8.0).unwrap();
    let cells = heat.cells();
    let wave = |i: usize| (std::f64::consts::TAU * (i / 64) as f64 / 64.0).cos();
    let log_kernel = heat.log_kernel()[64];
    // |Â| = amplitude·cells/2 in two modes, to be compared with 38.6·nx·exp(-Λ).
    let strong = |factor: f64| 2.0 * factor * 64.0 * (-log_kernel).exp() / cells as f64;
    let sine = |amplitude: f64| (0..cells).map(|i| amplitude * wave(i)).collect::<Vec<f64>>();
    let residual =
        [vec![0.0; cells], vec![0.75; cells], sine(strong(38.5)), sine(strong(38.7)), vec![1e-300; cells]]
            .concat();
    for (engine, device, precision) in engines() {
        let found = operators::invert(&device, precision, &heat, UNCERTAINTY, &residual).unwrap();
        let all = [&found.dx, &found.amp, &found.sig_prob, &found.kernel, &found.uncertainty];
        assert!(all.iter().all(|values| values.iter().all(|v| v.is_finite())), "{engine}");
        let sample = |i: usize| &found.dx[i * cells..][..cells];
        assert!(sample(0).iter().all(|&v| v == 0.0), "{engine}: a perfect prediction");
        assert!(found.kernel[..cells].iter().all(|&v| v == 1.0), "{engine}: a perfect prediction");
        assert!(found.sig_prob[..cells].iter().all(|&v| v == 0.5), "{engine}: a perfect prediction");
        check(&format!("{engine}: a constant field"), relative(sample(1), &vec![0.75; cells]), 1e-6);
        let limit = tolerance(precision, 1e-2, 1e-10);
        for (i, factor, action) in [(2, 38.5, 1.0), (3, 38.7, -1.0)] {
            let expected: Vec<f64> = sine(strong(factor) * (action * log_kernel).exp());
            check(&format!("{engine}: amplitude {factor}·n"), relative(sample(i), &expected), limit);
        }
    }
}

#[test]
fn samples_do_not_depend_on_their_neighbours() {
    let heat = Operator::heat(64, 64, 8.0).unwrap();
    let x = Golden::open("data").f64("64.x_gt");
    let scaled: Vec<f64> =
        x[..3 * 4096].iter().enumerate().map(|(i, v)| v * 1e3f64.powi(i as i32 / 4096)).collect();
    for (engine, device, precision) in engines() {
        let together = operators::diffuse(&device, precision, &heat, &scaled).unwrap();
        let inverted = operators::invert(&device, precision, &heat, UNCERTAINTY, &scaled).unwrap();
        for (i, sample) in scaled.chunks_exact(4096).enumerate() {
            let part = 4096 * i..4096 * (i + 1);
            assert_eq!(
                operators::diffuse(&device, precision, &heat, sample).unwrap(),
                together[part.clone()]
            );
            let alone = operators::invert(&device, precision, &heat, UNCERTAINTY, sample).unwrap();
            assert_eq!(alone.dx, inverted.dx[part], "{engine}");
        }
    }
}

#[test]
fn exponentials_in_double_precision() {
    for gpu in gpus() {
        if !gpu.computes_in(DType::F64) {
            eprintln!("{}: skipped, no 64-bit floats in shaders", gpu.name());
            continue;
        }
        let mut x: Vec<f64> = (0..=200_000).map(|i| -760.0 + 1480.0 * f64::from(i) / 200_000.0).collect();
        x.extend([0.0, -0.0, 1e-300, -1e-17, 708.9, 709.0, -708.3, -745.0, -1e308, 1e308]);
        let input = gpu.table("x", &x, DType::F64).unwrap();
        let output = gpu.table("y", &vec![f64::NAN; x.len()], DType::F64).unwrap();
        let mut recorder = Recorder::new(&gpu);
        exp64(&mut recorder, &input, &output, x.len()).unwrap();
        recorder.finish().submit(&gpu);
        let mut worst = 0.0f64;
        for (&x, y) in x.iter().zip(gpu.read_f64(&output).unwrap()) {
            let exact = x.exp();
            match x {
                _ if x > 709.0 => assert!(y.is_finite() && y > 8e307, "exp({x}) = {y}"),
                _ if exact >= f64::MIN_POSITIVE => worst = worst.max((y / exact - 1.0).abs()),
                // Subnormal: rounded or flushed.
                _ => assert!(y == 0.0 || (y - exact).abs() <= 1e-15 * exact + 5e-324, "exp({x}) = {y}"),
            }
        }
        check(&format!("{}: exp", gpu.name()), worst, 2e-15);
    }
}

#[test]
fn training_steps_with_64_bit_physics() {
    let (init, golden, net) = (Golden::open("unet_init"), Golden::open("loss"), net());
    let heat = Operator::heat(64, 64, 8.0).unwrap();
    let mut state = State::new(&net, 0);
    state.params = init.params(&net, "").into_iter().map(|v| v as f32).collect();
    for gpu in gpus() {
        for method in [Method::Sip, Method::Gd] {
            let spec = StepSpec { physics: DType::F64, ..StepSpec::new(&net, &heat, method, 4) };
            let step = Step::new(&gpu, &spec, &state);
            if !gpu.computes_in(DType::F64) {
                let error = step.err().unwrap();
                assert!(
                    matches!(error, Error::Unsupported { feature: Feature::DoublePhysics, .. }),
                    "{error}"
                );
                continue;
            }
            let mut step = step.unwrap();
            gpu.block_on(step.submit(&unheat::model::Batch::fields(golden.f64("x_gt")))).unwrap();
            step.request_losses().unwrap();
            let losses = gpu.block_on(step.losses(true)).unwrap().remove(0);
            let prefix = format!("{}.", method.name());
            for (name, values) in [("loss", losses.loss), ("x_l2", losses.x_l2), ("y_l2", losses.y_l2)] {
                let error = relative(&values, &golden.f64(&format!("{prefix}{name}")));
                check(&format!("{prefix}{name}"), error, 1e-5);
            }
            let ours = widen(&gpu.block_on(step.gradients()).unwrap());
            let (worst, all) = live_errors(&net, &ours, &golden.params(&net, &format!("{prefix}grad.")));
            check(&format!("{prefix}worst gradient"), worst, 3e-3);
            check(&format!("{prefix}all gradients"), all, 5e-4);
        }
    }
}

/// Metal and DX12 know no 64-bit floats: the 32-bit variants must not mention them.
#[test]
fn kernels_in_32_bits_are_portable() {
    let (gpu, net) = (gpus().remove(0), net());
    let heat = Operator::heat(64, 64, 8.0).unwrap();
    let state = State::new(&net, 0);
    Step::new(&gpu, &StepSpec::new(&net, &heat, Method::Sip, 2), &state).unwrap();
    operators::invert(&Device::Gpu(gpu.clone()), DType::F32, &heat, UNCERTAINTY, &[1.0; 4096]).unwrap();
    // The data may be made in 64 bits where the adapter can.
    let specs: Vec<_> =
        gpu.kernel_specs().into_iter().filter(|spec| spec.precision() == DType::F32).collect();
    assert!(specs.len() > 20 && specs.iter().any(|spec| spec.name == "inverse"));
    for spec in specs {
        let source = spec.source().unwrap();
        let code = source.lines().map(|line| line.split("//").next().unwrap_or_default());
        assert!(code.into_iter().all(|line| !line.contains("f64")), "{}", spec.name);
        unheat::gpu::runtime::spec::validate(&spec).unwrap();
    }
}
