//! Operators other than heat against the formulas word by word: plain sums in place of transforms, and the
//! residual itself in place of the error's spectrum.

use crate::support::relative;
use num_complex::Complex;
use std::f64::consts::TAU;
use unheat::cpu::heat::inverse::invert_above;
use unheat::cpu::heat::physics::Physics;
use unheat::io::point_spread::factors;
use unheat::model::operator::factor::Factor;
use unheat::model::operator::point_spread::PointSpread;
use unheat::model::operator::wave::Wave;
use unheat::model::rng::{Purpose, Random};
use unheat::model::{Method, Objective, Operator};

const NX: usize = 16;
const NY: usize = 8;
const CELLS: usize = NX * NY;

/// Σ x(cell)·exp(-2πi·f·cell) for every mode; with `sign` 1 the inverse without its factor.
fn transform(field: &[Complex<f64>], sign: f64) -> Vec<Complex<f64>> {
    let turn = |mode: usize, cell: usize| {
        let cycles =
            (mode / NY * (cell / NY)) as f64 / NX as f64 + (mode % NY * (cell % NY)) as f64 / NY as f64;
        Complex::from_polar(1.0, sign * TAU * cycles.fract())
    };
    (0..CELLS).map(|mode| (0..CELLS).map(|cell| field[cell] * turn(mode, cell)).sum()).collect()
}

fn spectrum(field: &[f64]) -> Vec<Complex<f64>> {
    transform(&field.iter().map(|&v| v.into()).collect::<Vec<_>>(), -1.0)
}

fn field(spectrum: &[Complex<f64>]) -> Vec<f64> {
    transform(spectrum, 1.0).iter().map(|v| v.re / CELLS as f64).collect()
}

fn random(stream: u64, height: f64) -> Vec<f64> {
    let mut random = Random::new(Purpose::Cases, 20, stream, 0);
    (0..CELLS).map(|_| height * random.between(-1.0, 1.0)).collect()
}

fn operators() -> Vec<(String, Operator)> {
    let texts = [
        "heat:0.3",
        "heat:0.5x0.1",
        "gaussian:0.8",
        "disk:1.3",
        "motion:3,30",
        "advection:0.5,-2.25",
        "poisson",
        "helmholtz:0.4",
        "heat:0.2+advection:1,0.5+disk:0.7",
    ];
    let mut all: Vec<_> = texts
        .iter()
        .map(|text| {
            (
                (*text).to_owned(),
                Operator::of(NX, NY, &factors(&text.parse().unwrap(), 8.0.into()).unwrap()).unwrap(),
            )
        })
        .collect();
    let spread = PointSpread::new(3, 3, vec![1.0, 1.0, 2.0, 0.0, 6.0, 0.0, 1.0, 3.0, 0.0]).unwrap();
    all.push(("psf".to_owned(), Operator::of(NX, NY, &[Factor::PointSpread(spread.into())]).unwrap()));
    all
}

/// H of every mode.
fn transfer(operator: &Operator) -> Vec<Complex<f64>> {
    let phase = |mode| operator.phase().map_or(Complex::ONE, |phase| phase[mode]);
    operator.kernel().iter().enumerate().map(|(mode, k)| phase(mode) * k).collect()
}

fn observed(operator: &Operator, x: &[f64]) -> Vec<f64> {
    let mut y = vec![0.0; x.len()];
    Physics::<f64>::new(operator).diffuse(x, &mut y);
    y
}

#[test]
fn observations_are_those_of_plain_sums() {
    let x = random(1, 1.0);
    for (name, operator) in operators() {
        let by_sums: Vec<_> = spectrum(&x).iter().zip(transfer(&operator)).map(|(x, h)| x * h).collect();
        let expected = field(&by_sums);
        let error = relative(&observed(&operator, &x), &expected);
        assert!(error <= 1e-12, "{name}: {error:.1e}");
        let narrow: Vec<f32> = x.iter().map(|&v| v as f32).collect();
        let mut y = vec![0f32; CELLS];
        Physics::<f32>::new(&operator).diffuse(&narrow, &mut y);
        let error = relative(&y.iter().map(|&v| f64::from(v)).collect::<Vec<_>>(), &expected);
        assert!(error <= 1e-6, "{name} in 32 bits: {error:.1e}");
    }
}

/// Method §3 of the residual r = P(x* - x) + n: κ = exp(Λq), and the phase turned back.
fn literal_update(operator: &Operator, residual: &[f64], sigma: f64) -> Vec<f64> {
    let update = |(residual, h): (Complex<f64>, Complex<f64>)| {
        if h.norm() == 0.0 {
            return Complex::ZERO;
        }
        let (expected, log_kernel) = (NX as f64 * h.norm(), -h.norm().ln());
        let likelihood = |scale: f64| 0.5 * (-0.5 * (residual.norm() / scale).powi(2)).exp();
        let (signal, noise) = (likelihood(expected), likelihood(sigma));
        let p = if signal + noise == 0.0 { 0.0 } else { signal / (signal + noise) };
        let q = if p <= 0.5 || p >= 0.68 { 2.0 * (p - 0.5) } else { 0.0 };
        residual * (log_kernel * q).exp() * (h.conj() / h.norm())
    };
    let updates: Vec<_> = spectrum(residual).into_iter().zip(transfer(operator)).map(update).collect();
    field(&updates)
}

#[test]
fn training_signals_are_those_of_the_residual() {
    for (name, operator) in operators() {
        for height in [0.0, 1e-3] {
            let (error, noise) = (random(2, 1.0), random(3, height));
            let residual: Vec<f64> =
                observed(&operator, &error).iter().zip(&noise).map(|(p, n)| p + n).collect();
            let energy: f64 = residual.iter().map(|r| r * r).sum();
            let objective = |method| Objective { method, uncertainty: 1e-4, noise: height };
            let mut signal = vec![0.0; CELLS];
            let physics = Physics::<f64>::new(&operator);
            let found =
                physics.training_signal(&objective(Method::Sip), &error, Some(&noise), &mut signal)[0];
            assert!((found / energy - 1.0).abs() <= 1e-12, "{name}: {found} {energy}");
            let sigma = (1e-8 * energy + CELLS as f64 * height * height).sqrt();
            let expected: Vec<f64> = literal_update(&operator, &residual, sigma).iter().map(|v| -v).collect();
            let off = relative(&signal, &expected);
            assert!(off <= 1e-9, "{name}, noise {height}: SIP {off:.1e}");
            // The inverse of the residual alone is the same step.
            let inverted = invert_above(&operator, &[sigma], &residual);
            let off = relative(&inverted.dx, &expected.iter().map(|v| -v).collect::<Vec<_>>());
            assert!(off <= 1e-9, "{name}, noise {height}: inverse {off:.1e}");

            physics.training_signal(&objective(Method::Gd), &error, Some(&noise), &mut signal);
            let gradient: Vec<_> =
                spectrum(&residual).iter().zip(transfer(&operator)).map(|(r, h)| -r * h.conj()).collect();
            let off = relative(&signal, &field(&gradient));
            assert!(off <= 1e-12, "{name}, noise {height}: GD {off:.1e}");
        }
    }
}

#[test]
fn gd_is_the_gradient_of_the_misfit_and_the_adjoint() {
    for (name, operator) in operators() {
        let physics = Physics::<f64>::new(&operator);
        let gd = Method::Gd.into();
        let (x, v) = (random(4, 1.0), random(5, 1.0));
        // ⟨P(x), v⟩ = ⟨x, Pᵀ(v)⟩, where Pᵀ(v) is the signal of noise alone.
        let mut adjoint = vec![0.0; CELLS];
        physics.training_signal(&gd, &vec![0.0; CELLS], Some(&v), &mut adjoint);
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        let (left, right) = (dot(&observed(&operator, &x), &v), -dot(&x, &adjoint));
        assert!((left - right).abs() <= 1e-12 * dot(&v, &v), "{name}: {left} {right}");
        // Central differences of ½‖P(e) + n‖² along random directions; x = x* - e.
        let mut signal = vec![0.0; CELLS];
        physics.training_signal(&gd, &x, Some(&v), &mut signal);
        let loss = |e: &[f64]| -> f64 {
            observed(&operator, e).iter().zip(&v).map(|(p, n)| 0.5 * (p + n).powi(2)).sum()
        };
        for stream in 6..10 {
            let direction = random(stream, 1.0);
            let moved = |h: f64| x.iter().zip(&direction).map(|(e, d)| e - h * d).collect::<Vec<f64>>();
            let difference = (loss(&moved(1e-4)) - loss(&moved(-1e-4))) / 2e-4;
            let expected = dot(&signal, &direction);
            assert!((difference / expected - 1.0).abs() <= 1e-7, "{name}: {difference} {expected}");
        }
    }
}

/// A new physics is a table and nothing else: the wave equation, an eighth of a second after the field was
/// let go.
#[test]
fn a_new_operator_is_a_few_lines() {
    let wave = |[fx, fy]: [f64; 2]| Wave::of((TAU * (fx * fx + fy * fy).sqrt() * 0.125).cos().into());
    let operator = Operator::with(16, 16, wave).unwrap();
    let net = unheat::UNet::new(&unheat::model::UNetConfig { filters: vec![8], ..Default::default() });
    let spec = unheat::model::StepSpec::new(&net, &operator, Method::Sip, 2);
    let start = unheat::model::unet::init::State::new(&net, 0);
    let mut trainer = unheat::Trainer::new(&unheat::Device::Cpu, &spec, &start).unwrap();
    let fields = unheat::model::Truth::Fields((0..512).map(|i| f64::from(i % 7)).collect());
    let batch = unheat::model::Batch { truth: fields, noise: None };
    (0..20).for_each(|_| trainer.submit(&batch).unwrap());
    let losses = trainer.losses(true).unwrap();
    assert!(losses[19].x_l2[0] < 0.9 * losses[0].x_l2[0], "{losses:?}");
}
