//! Rasterisation, FFT, diffusion, the training signals, the mean shift.

use crate::cases::{Case, garbage, garbage_in, noise, recorded, recorded_in, widen};
use crate::cpu;
use crate::gpu::Recorder;
use crate::gpu::heat::add_noise::add_noise;
use crate::gpu::heat::fft::{Fft, Load, Store, Transfer, pairs};
use crate::gpu::heat::inverse::Inverse;
use crate::gpu::heat::narrow::narrow;
use crate::gpu::heat::rasterise::{flatten, rasterise};
use crate::gpu::probes::exp64::exp64;
use crate::gpu::step::mean_shift::{self, MeanShift};
use crate::model::inverse::UNCERTAINTY;
use crate::model::operator::factor::Factor;
use crate::model::rectangles::{PER_SAMPLE, draw_batch};
use crate::model::rng::Purpose;
use crate::model::{DType, Method, Objective, Operator, Rectangle};
use num_complex::Complex;

pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (batch, nx, ny) in [(3, 64, 64), (2, 8, 16), (1, 128, 64)] {
        cases.push(rasterise_case(batch, nx, ny, DType::F32));
        cases.push(rasterise_case(batch, nx, ny, DType::F64));
    }
    for (count, nx, ny) in [
        (3, 8, 8),
        (2, 64, 64),
        (3, 16, 128),
        (1, 128, 16),
        (1, 256, 32),
        (1, 32, 1024),
        (1, 1024, 512),
        (1, 512, 256),
        (1, 8, 2048),
        (1, 2048, 8),
    ] {
        for precision in [DType::F32, DType::F64] {
            cases.push(fft_case(count, nx, ny, false, precision));
            cases.push(fft_case(count, nx, ny, true, precision));
        }
    }
    let heat = |nx, ny, amount| Operator::heat(nx, ny, amount).expect("a grid of the right size");
    for (batch, nx, ny) in [(5, 512, 8), (1, 1024, 16), (1, 16, 1024), (3, 2048, 8), (1, 8, 2048)] {
        for precision in [DType::F32, DType::F64] {
            cases.push(diffuse_case(batch, &heat(nx, ny, 8.0), precision, precision));
        }
    }
    for (batch, operator) in [
        (3, heat(64, 64, 8.0)),
        (2, heat(8, 16, 0.5)),
        (5, heat(32, 32, 8.0)),
        (4, heat(128, 64, 2.0)),
        (3, with_phase(32, 64)),
        (2, with_phase(8, 16)),
    ] {
        cases.extend(of_operator(batch, &operator));
    }
    cases.push(diffuse_case(5, &heat(32, 32, 8.0), DType::F64, DType::F32));
    for (batch, nx, ny) in [(3, 64, 64), (2, 8, 16)] {
        cases.push(mean_shift_case(batch, nx, ny));
        for method in Method::ALL {
            cases.push(mean_shift_backward_case(batch, nx, ny, method));
        }
    }
    for count in [1, 70_000] {
        cases.push(narrow_case(count));
        cases.extend([DType::F32, DType::F64].map(|precision| add_noise_case(count, precision)));
    }
    cases.push(exp64_case());
    cases
}

/// Compares exp64(x)·exp(-x) with 1 over the whole range of normal results, so that small ones do not hide
/// behind large ones.
fn exp64_case() -> Case {
    let x = |i: usize| -708.0 + 1417.0 * i as f64 / 9999.0;
    let list = move || -> Vec<f64> { (0..10_000).map(x).collect() };
    let prepare = move |recorder: &mut Recorder| {
        let list = list();
        let input = recorder.gpu.table("x", &list, DType::F64)?;
        let output = garbage_in(recorder.gpu, "y", list.len(), DType::F64)?;
        exp64(recorder, &input, &output, list.len())?;
        Ok(vec![output])
    };
    let reference = move || vec![list().into_iter().map(f64::exp).collect()];
    let relative = move |outputs: Vec<Vec<f64>>| -> Vec<Vec<f64>> {
        let ratios = |output: Vec<f64>| output.iter().zip(list()).map(|(y, x)| y / x.exp()).collect();
        outputs.into_iter().map(ratios).collect()
    };
    let case = recorded("exp64", "10000".to_owned(), 1e-15, prepare, reference);
    Case { precision: DType::F64, ..case.split_by(relative) }
}

fn rectangles(batch: usize, nx: usize, ny: usize) -> Vec<Rectangle> {
    // Rounded to f32 as the shader sees them, so that both sides rasterise the same boxes.
    let round = |v: f64| f64::from(v as f32);
    let mut all = draw_batch(Purpose::Cases, 0, 0, batch, nx, ny);
    for r in &mut all {
        *r = Rectangle {
            center: r.center.map(round),
            half_size: r.half_size.map(round),
            strength: round(r.strength),
        };
    }
    all
}

/// x* of a few samples, as f32.
fn fields(batch: usize, nx: usize, ny: usize) -> Vec<f32> {
    let mut fields = vec![0.0; batch * nx * ny];
    let samples = rectangles(batch, nx, ny);
    for (field, rectangles) in fields.chunks_exact_mut(nx * ny).zip(samples.chunks_exact(PER_SAMPLE)) {
        cpu::heat::rasterise::rasterise::<f32>(rectangles, nx, ny, field);
    }
    fields
}

pub(super) fn rasterise_case(batch: usize, nx: usize, ny: usize, precision: DType) -> Case {
    let prepare = move |r: &mut crate::gpu::Recorder| {
        let list = r.gpu.table("rectangles", &flatten(&rectangles(batch, nx, ny)), precision)?;
        let field = garbage_in(r.gpu, "field", batch * nx * ny, precision)?;
        rasterise(r, &list, &field, PER_SAMPLE, batch, nx, ny)?;
        Ok(vec![field])
    };
    let reference = move || {
        let mut field = vec![0.0; batch * nx * ny];
        let samples = rectangles(batch, nx, ny);
        for (field, rectangles) in field.chunks_exact_mut(nx * ny).zip(samples.chunks_exact(PER_SAMPLE)) {
            cpu::heat::rasterise::rasterise::<f64>(rectangles, nx, ny, field);
        }
        vec![field]
    };
    recorded_in(precision, "rasterise", format!("{batch}x{nx}x{ny}"), [2e-6, 1e-13], prepare, reference)
}

fn fft_case(count: usize, nx: usize, ny: usize, inverse: bool, precision: DType) -> Case {
    let data = noise(1, 2 * count * nx * ny);
    let input = data.clone();
    let prepare = move |r: &mut crate::gpu::Recorder| {
        let tensor = r.gpu.table("data", &widen(&input), precision)?;
        let scratch = garbage_in(r.gpu, "scratch", input.len(), precision)?;
        let output = garbage_in(r.gpu, "output", input.len(), precision)?;
        let fft = Fft::new(r.gpu, nx, ny, 2 * count, precision)?;
        if inverse {
            fft.inverse(r, Load::Complex(&tensor), &scratch, Store::Complex(&output))?
        } else {
            fft.forward(r, Load::Complex(&tensor), &scratch, Store::Complex(&output))?
        }
        Ok(vec![output])
    };
    let reference = move || {
        let complex = data.chunks_exact(2).map(|c| Complex::new(f64::from(c[0]), f64::from(c[1])));
        let mut complex: Vec<Complex<f64>> = complex.collect();
        let fft = cpu::heat::fft::Fft::new(nx, ny);
        for field in complex.chunks_exact_mut(nx * ny) {
            if inverse { fft.inverse(field) } else { fft.forward(field) }
        }
        vec![complex.into_iter().flat_map(|c| [c.re, c.im]).collect()]
    };
    let name = if inverse { "fft/inverse" } else { "fft/forward" };
    recorded_in(precision, name, format!("{count}x{nx}x{ny}"), [1e-5, 1e-14], prepare, reference)
}

/// Rounding to 32 bits.
pub(super) fn narrow_case(count: usize) -> Case {
    let wide = move || -> Vec<f64> { noise(6, count).iter().map(|&v| f64::from(v).exp()).collect() };
    let prepare = move |r: &mut crate::gpu::Recorder| {
        let from = r.gpu.table("wide", &wide(), DType::F64)?;
        let to = garbage(r.gpu, "narrow", count)?;
        narrow(r, &from, &to, count)?;
        Ok(vec![to])
    };
    let reference = move || vec![wide()];
    // Not every device rounds to the nearest: 2^-23.
    Case { precision: DType::F64, ..recorded("narrow", count.to_string(), 1.2e-7, prepare, reference) }
}

/// An observation with its noise.
pub(super) fn add_noise_case(count: usize, precision: DType) -> Case {
    let (field, added) = (noise(7, count), noise(8, count));
    let (start, more) = (field.clone(), widen(&added));
    let prepare = move |r: &mut crate::gpu::Recorder| {
        let observation = r.gpu.tensor_from("observation", &start)?;
        let noise = r.gpu.table("noise", &more, precision)?;
        add_noise(r, &noise, &observation, count)?;
        Ok(vec![observation])
    };
    let reference =
        move || vec![widen(&field).iter().zip(widen(&added)).map(|(field, added)| field + added).collect()];
    recorded_in(precision, "add_noise", count.to_string(), [1.2e-7; 2], prepare, reference)
}

/// Observations, inverses and training signals of `batch` fields by an operator, in both precisions.
pub(crate) fn of_operator(batch: usize, operator: &Operator) -> Vec<Case> {
    let mut cases = Vec::new();
    for precision in [DType::F32, DType::F64] {
        cases.push(diffuse_case(batch, operator, precision, precision));
        cases.push(inverse_case(batch, operator, precision));
        cases.push(tikhonov_case(batch, operator, 1e-2, precision));
        for method in Method::ALL {
            for noise in [0.0, 1e-3] {
                let objective = Objective { noise, ..method.into() };
                cases.push(signal_case(batch, operator, objective, precision));
            }
        }
    }
    cases
}

/// An operator with a phase and a real factor that is negative here and there, which amplifies long waves.
pub(super) fn with_phase(nx: usize, ny: usize) -> Operator {
    let factors = [Factor::Advection([0.3, -1.7]), Factor::Disk(1.4), Factor::Helmholtz(0.4)];
    Operator::of(nx, ny, &factors).expect("a grid of the right size")
}

/// A diffusion that is computed in `precision` and stored in `stored`.
pub(super) fn diffuse_case(batch: usize, operator: &Operator, precision: DType, stored: DType) -> Case {
    let Operator { nx, ny, .. } = *operator;
    let [of_gpu, of_cpu] = [operator.clone(), operator.clone()];
    let prepare = move |r: &mut crate::gpu::Recorder| {
        let x = r.gpu.table("x", &widen(&fields(batch, nx, ny)), precision)?;
        let y = garbage_in(r.gpu, "y", batch * nx * ny, stored)?;
        crate::gpu::heat::physics::Physics::new(r.gpu, &of_gpu, batch, precision)?.diffuse(r, &x, &y)?;
        Ok(vec![y])
    };
    let reference = move || {
        let mut y = vec![0.0; batch * nx * ny];
        cpu::heat::physics::Physics::new(&of_cpu).diffuse(&widen(&fields(batch, nx, ny)), &mut y);
        vec![y]
    };
    let (name, tolerance) =
        if precision == stored { ("diffuse", [1e-6, 1e-14]) } else { ("diffuse/narrow", [1e-6, 1e-7]) };
    let shape = format!("{batch}x{nx}x{ny} {}", operator.describe());
    recorded_in(precision, name, shape, tolerance, prepare, reference)
}

/// What a network is shown of noisy observations, whose Tikhonov inverse is computed in `precision`. With a λ
/// of less than a hundredth of the largest K the rounding of 32 bits is what is inverted.
pub(super) fn tikhonov_case(batch: usize, operator: &Operator, lambda: f64, precision: DType) -> Case {
    const LEAST: f64 = 1e-2;
    let most = operator.kernel().iter().copied().fold(1.0, f64::max);
    let lambda = lambda.max(LEAST * most);
    let Operator { nx, ny, .. } = *operator;
    let [of_gpu, of_cpu] = [operator.clone(), operator.clone()];
    let observed = move |operator: &Operator| -> Vec<f32> {
        let mut y = vec![0.0; batch * nx * ny];
        cpu::heat::physics::Physics::new(operator).diffuse(&widen(&fields(batch, nx, ny)), &mut y);
        y.iter().zip(noise(9, batch * nx * ny)).map(|(&y, n)| y as f32 + 1e-3 * n).collect()
    };
    let prepare = move |r: &mut crate::gpu::Recorder| {
        let observation = r.gpu.tensor_from("observation", &observed(&of_gpu))?;
        let input = garbage(r.gpu, "network input", batch * nx * ny)?;
        let inverse = Transfer::new(r.gpu, &of_gpu.tikhonov(lambda), precision)?;
        let physics = crate::gpu::heat::physics::Physics::new(r.gpu, &of_gpu, batch, precision)?;
        physics.filter(r, &observation, &inverse, &input)?;
        Ok(vec![input])
    };
    let reference = move || vec![cpu::heat::shown::Shown::new(&of_cpu, lambda).of(&observed(&of_cpu))];
    let shape = format!("{batch}x{nx}x{ny} {}", operator.describe());
    recorded_in(precision, "tikhonov", shape, [1e-4, 1.2e-7], prepare, reference)
}

/// The error of a poor prediction: strong at low frequencies, with white noise on top.
fn prediction_error(batch: usize, nx: usize, ny: usize) -> Vec<f32> {
    let white = noise(2, batch * nx * ny);
    fields(batch, nx, ny).iter().zip(white).map(|(x, w)| 0.4 * x - 0.2 + 0.1 * w).collect()
}

pub(super) fn signal_case(batch: usize, operator: &Operator, objective: Objective, precision: DType) -> Case {
    let Operator { nx, ny, .. } = *operator;
    let [of_gpu, of_cpu] = [operator.clone(), operator.clone()];
    let scale = objective.noise as f32;
    let observation_noise = move || -> Option<Vec<f64>> {
        let white = || noise(7, batch * nx * ny).iter().map(|n| f64::from(n * scale)).collect();
        (scale > 0.0).then(white)
    };
    let prepare = move |r: &mut crate::gpu::Recorder| {
        let error = r.gpu.table("error", &widen(&prediction_error(batch, nx, ny)), precision)?;
        let noise = match observation_noise() {
            Some(noise) => Some(r.gpu.table("noise", &noise, precision)?),
            None => None,
        };
        let energy = garbage_in(r.gpu, "energy", 2 * pairs(batch), precision)?;
        let signal = garbage_in(r.gpu, "signal", batch * nx * ny, precision)?;
        let physics = crate::gpu::heat::physics::Physics::new(r.gpu, &of_gpu, batch, precision)?;
        physics.training_signal(r, &objective, &error, noise.as_ref(), &energy, &signal)?;
        Ok(vec![signal, energy])
    };
    let reference = move || {
        let mut signal = vec![0.0; batch * nx * ny];
        let error = widen(&prediction_error(batch, nx, ny));
        let physics = cpu::heat::physics::Physics::new(&of_cpu);
        let noise = observation_noise();
        let mut energy = physics.training_signal(&objective, &error, noise.as_deref(), &mut signal);
        for e in &mut energy {
            *e *= (nx * ny) as f64;
        }
        energy.resize(2 * pairs(batch), 0.0);
        vec![signal, energy]
    };
    let suffix = if objective.noise > 0.0 { "/noise" } else { "" };
    let name = format!("training_signal/{}{suffix}", objective.method.name());
    recorded_in(
        precision,
        &name,
        format!("{batch}x{nx}x{ny} {}", operator.describe()),
        [1e-5, 1e-11],
        prepare,
        reference,
    )
}

/// The literal inverse of a residual that is strong at low frequencies. In 32 bits the rounding errors of the
/// residual itself exceed the noise floor of 1e-6 and are inverted, hence the tolerance.
fn inverse_case(batch: usize, operator: &Operator, precision: DType) -> Case {
    let Operator { nx, ny, .. } = *operator;
    let [of_gpu, of_cpu] = [operator.clone(), operator.clone()];
    let residual = move |operator: &Operator| {
        let mut residual = vec![0.0; batch * nx * ny];
        let error = widen(&prediction_error(batch, nx, ny));
        cpu::heat::physics::Physics::new(operator).diffuse(&error, &mut residual);
        residual
    };
    let prepare = move |r: &mut Recorder| {
        let inverse = Inverse::new(r.gpu, &of_gpu, batch, precision)?;
        let residual = residual(&of_gpu);
        let complex: Vec<f64> = residual.iter().flat_map(|&v| [v, 0.0]).collect();
        r.gpu.write_f64(&inverse.field, &complex);
        let sigma: Vec<f64> =
            residual.chunks_exact(nx * ny).map(|r| cpu::heat::inverse::sigma(r, UNCERTAINTY)).collect();
        r.gpu.write_f64(&inverse.sigma, &sigma);
        inverse.record(r)?;
        // The imaginary part is rounding noise, which is small beside the real part.
        Ok(vec![inverse.field.clone()])
    };
    let reference = move || {
        let inverted = cpu::heat::inverse::invert::<f64>(&of_cpu, UNCERTAINTY, &residual(&of_cpu));
        vec![inverted.dx.iter().flat_map(|&v| [v, 0.0]).collect()]
    };
    recorded_in(
        precision,
        "inverse",
        format!("{batch}x{nx}x{ny} {}", operator.describe()),
        [5e-2, 1e-9],
        prepare,
        reference,
    )
}

pub(super) fn mean_shift_case(batch: usize, nx: usize, ny: usize) -> Case {
    let cells = nx * ny;
    let output = move || noise(3, batch * cells);
    let prepare = move |r: &mut crate::gpu::Recorder| {
        let tensors = MeanShift {
            output: &r.gpu.tensor_from("output", &output())?,
            truth: &r.gpu.tensor_from("truth", &fields(batch, nx, ny))?,
            prediction: &garbage(r.gpu, "prediction", batch * cells)?,
            error: &garbage(r.gpu, "error", batch * cells)?,
            x_l2: &garbage(r.gpu, "x_l2", batch)?,
        };
        tensors.record(r, batch, cells)?;
        Ok([tensors.prediction, tensors.error, tensors.x_l2].map(Clone::clone).to_vec())
    };
    let reference = move || {
        let (output, truth) = (widen(&output()), widen(&fields(batch, nx, ny)));
        let mut prediction = vec![0.0; batch * cells];
        for ((p, o), t) in
            prediction.chunks_exact_mut(cells).zip(output.chunks_exact(cells)).zip(truth.chunks_exact(cells))
        {
            cpu::step::mean_shift::mean_shift(o, t, p);
        }
        let error: Vec<f64> = truth.iter().zip(&prediction).map(|(t, p)| t - p).collect();
        let x_l2 = error.chunks_exact(cells).map(|e| 0.5 * e.iter().map(|v| v * v).sum::<f64>()).collect();
        vec![prediction, error, x_l2]
    };
    recorded("mean_shift", format!("{batch}x{nx}x{ny}"), 1e-6, prepare, reference)
}

pub(super) fn mean_shift_backward_case(batch: usize, nx: usize, ny: usize, method: Method) -> Case {
    let cells = nx * ny;
    let signal = move || -> Vec<f32> { noise(4, batch * cells).iter().map(|v| v + 0.5).collect() };
    let energy = move || -> Vec<f32> { noise(5, 2 * pairs(batch)).iter().map(|v| v + 2.0).collect() };
    let prepare = move |r: &mut crate::gpu::Recorder| {
        let signal = r.gpu.tensor_from("signal", &signal())?;
        let energy = r.gpu.tensor_from("energy", &energy())?;
        let gradient = garbage(r.gpu, "gradient", batch * cells)?;
        let losses = garbage(r.gpu, "losses", 2 * batch)?;
        mean_shift::backward(r, method, &signal, &energy, &gradient, &losses, batch, cells)?;
        Ok(vec![gradient, losses])
    };
    let reference = move || {
        let (signal, energy) = (widen(&signal()), widen(&energy()));
        let y_l2: Vec<f64> = energy[..batch].iter().map(|e| 0.5 * e / cells as f64).collect();
        let signal_energy =
            || signal.chunks_exact(cells).map(|g| 0.5 * g.iter().map(|v| v * v).sum::<f64>()).collect();
        let loss = if method.loss_is_signal() { signal_energy() } else { y_l2.clone() };
        let mut gradient = signal;
        gradient.chunks_exact_mut(cells).for_each(cpu::step::mean_shift::mean_shift_backward);
        vec![gradient, [loss, y_l2].concat()]
    };
    let name = format!("mean_shift_backward/{}", method.name());
    recorded(&name, format!("{batch}x{nx}x{ny}"), 1e-6, prepare, reference)
}
