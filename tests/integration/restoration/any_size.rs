//! Diffusion against sums over all waves, for any size, amount and kind of edge.

use std::f64::consts::{PI, TAU};
use unheat::engine::Device;
use unheat::model::DType;
use unheat::model::rng::{Purpose, Random};
use unheat::restore::{Blur, Edges};

/// What diffusion makes of each cell of an axis alone, `[n, n]`: the sum over all waves of the axis.
fn matrix(n: usize, amount: f64, edges: Edges) -> Vec<f64> {
    let value = |i: usize, j: usize| -> f64 {
        let wave = |k: usize| match edges {
            Edges::Periodic => {
                let wavenumber = TAU * k.min(n - k) as f64 / n as f64;
                let steps = (k * (i + n - j)) % n;
                (-amount * wavenumber.powi(2)).exp() * (TAU * steps as f64 / n as f64).cos() / n as f64
            }
            Edges::Insulated => {
                let wavenumber = PI * k as f64 / n as f64;
                let norm = if k == 0 { 1.0 } else { 2.0 } / n as f64;
                let at = |i: usize| (wavenumber * (i as f64 + 0.5)).cos();
                norm * (-amount * wavenumber.powi(2)).exp() * at(i) * at(j)
            }
        };
        (0..n).map(wave).sum()
    };
    (0..n * n).map(|at| value(at / n, at % n)).collect()
}

fn summed(field: &[f64], nx: usize, ny: usize, amount: f64, edges: Edges) -> Vec<f64> {
    let (along_x, along_y) = (matrix(nx, amount, edges), matrix(ny, amount, edges));
    let rows: Vec<f64> = (0..nx * ny)
        .map(|at| (0..ny).map(|j| along_y[at % ny * ny + j] * field[at / ny * ny + j]).sum())
        .collect();
    (0..nx * ny).map(|at| (0..nx).map(|i| along_x[at / ny * nx + i] * rows[i * ny + at % ny]).sum()).collect()
}

#[test]
fn diffusion_is_exact_at_every_size_and_amount() {
    let mut random = Random::new(Purpose::Cases, 19, 1, 0);
    let mut worst = 0f64;
    let side = |random: &mut Random| 1 + (random.uniform() * 90.0) as usize;
    for case in 0..40 {
        let (nx, ny) = match case {
            0 => (61, 97),
            1 => (1, 40),
            2 => (64, 64),
            _ => (side(&mut random), side(&mut random)),
        };
        let amount = match case {
            0 => 1000.0,
            3 => 0.0,
            _ => 10f64.powf(random.between(-2.0, 4.0)),
        };
        // A small signal on a large ground.
        let field: Vec<f64> = (0..nx * ny).map(|_| 300.0 + 1e-3 * random.between(-1.0, 1.0)).collect();
        for edges in [Edges::Periodic, Edges::Insulated] {
            let blur = Blur::new(&Device::Cpu, DType::F64, [nx, ny], amount, edges).unwrap();
            let found = blur.apply(&field).unwrap();
            let signal: Vec<f64> = field.iter().map(|v| v - 300.0).collect();
            let expected = summed(&signal, nx, ny, amount, edges);
            let error = found.iter().zip(&expected).map(|(a, b)| (a - 300.0 - b).abs()).fold(0.0, f64::max);
            assert!(error <= 3e-13, "{edges:?} {nx}x{ny}, amount {amount}: off by {error}");
            worst = worst.max(error);
        }
    }
    println!("the largest error of 80 fields around 300 is {worst:.1e}, their last place being 5.7e-14");
}

#[test]
fn shaders_diffuse_as_the_cpu_does_where_they_have_the_size() {
    let gpu = Device::open(&"0".parse().unwrap()).unwrap();
    let mut random = Random::new(Purpose::Cases, 19, 2, 0);
    for (edges, size) in [
        (Edges::Periodic, [64, 32]),
        (Edges::Insulated, [32, 64]),
        (Edges::Insulated, [4, 8]),
        (Edges::Periodic, [12, 32]), // on the CPU, though a GPU is named
    ] {
        let field: Vec<f64> = (0..size[0] * size[1]).map(|_| random.between(1e3, 1e3 + 1.0)).collect();
        let on = |device: &Device, precision| {
            Blur::new(device, precision, size, 3.0, edges).unwrap().apply(&field).unwrap()
        };
        let expected = on(&Device::Cpu, DType::F64);
        for precision in [DType::F32, DType::F64] {
            let Device::Gpu(opened) = &gpu else { panic!("a GPU was named") };
            if !opened.computes_in(precision) {
                continue;
            }
            let found = on(&gpu, precision);
            let error = found.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
            let allowed = if precision == DType::F32 { 1e-6 } else { 1e-12 };
            assert!(error <= allowed, "{edges:?} {size:?} {precision}: off by {error}");
        }
    }
}
