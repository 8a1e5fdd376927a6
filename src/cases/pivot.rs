//! z in 16 bits where its mean is large beside its spread, which is what the pivot is for.

use crate::cases::convolution::pack;
use crate::cases::layers::lone_norm;
use crate::cases::{Case, garbage, garbage_in, noise, recorded, widen};
use crate::cpu::nn::batch_norm::{Moments, Norm, statistics};
use crate::gpu::layer::epilogue::Epilogue;
use crate::gpu::layer::input::ConvInput;
use crate::gpu::layer::layers::{Layer, NORM_LEN, Statistics};
use crate::gpu::nn::batch_norm::batch_norm;
use crate::gpu::nn::conv3x3;
use crate::gpu::nn::pack_weights::{Pivot, Weights};
use crate::gpu::{Recorder, Shape};
use crate::model::{Activation, DType, Padding};

const SHAPE: Shape = Shape { batch: 3, nx: 32, ny: 16 };
const CHANNELS: usize = 12;

/// Mean and half spread of the convolutions' input, and how far the running mean lags behind that mean.
const OFFSET: f32 = 100.0;
const SPREAD: f32 = 1.0;
const LAG: f32 = 0.5;

/// Relative error of ẑ: z - pivot is about as large as the spread, and has an 11-bit mantissa.
const TOLERANCE: f64 = 2e-3;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Part {
    /// ẑ, and the batch's statistics.
    Values,
    /// The mean of ẑ, which must be as near to zero as that of values stored in 32 bits.
    Mean,
}

pub(super) fn cases() -> Vec<Case> {
    vec![case(Part::Values, TOLERANCE, true), case(Part::Mean, 1e-5, true)]
}

/// The batch norm of convolutions that only multiply by ±2^k. With `near`, the running means are near the
/// means of z; if not, the pivots are zero.
fn case(part: Part, tolerance: f64, near: bool) -> Case {
    let field: Vec<f32> = noise(32, SHAPE.values()).iter().map(|v| OFFSET + SPREAD * v).collect();
    let factor = |c: usize| if c % 3 == 2 { -1.0 } else { 1.0 } * (1 << (c % 4)) as f32;
    // The parameters are γ, β, the biases, and the weights.
    let mut params = noise(33, 3 * CHANNELS);
    params.resize(12 * CHANNELS, 0.0);
    (0..CHANNELS).for_each(|c| params[3 * CHANNELS + 9 * c + 4] = factor(c));
    let biases = params[2 * CHANNELS..3 * CHANNELS].to_vec();
    let mut running = vec![0.5; 2 * CHANNELS];
    for c in 0..CHANNELS {
        running[c] = biases[c] + if near { factor(c) * (OFFSET - LAG) } else { 0.0 };
    }
    let (x, flat, start) = (field.clone(), params.clone(), running.clone());
    let prepare = move |r: &mut Recorder| {
        let x = r.gpu.tensor_from("field", &x)?;
        let pivot = Some(Pivot::RunningMean { bias: 2 * CHANNELS, running_mean: 0 });
        let (offset, padding) = (3 * CHANNELS, Padding::Circular);
        let weights = Weights { offset, c_out: CHANNELS, c_in: 1, taps: 9, padding, pivot };
        let packing = pack(r, weights, &flat, &start)?;
        let layer = Layer {
            z: garbage_in(r.gpu, "z", SHAPE.stored(CHANNELS), DType::F16)?,
            norms: garbage(r.gpu, "norms", NORM_LEN * CHANNELS)?,
            first_norm: 0,
            channels: CHANNELS,
            activation: Activation::Relu,
        };
        let moments = garbage(r.gpu, "moments", conv3x3::statistics_len(SHAPE, CHANNELS))?;
        let epilogue = Epilogue::Moments { z: &layer.z, moments: &moments, pool: None };
        let conv_input = ConvInput::Plain { field: &x, channels: 1 };
        conv3x3::conv3x3(r, SHAPE, conv_input, packing.forward(0), epilogue)?;
        let weights = r.gpu.tensor_from("weights", &flat)?;
        let found = garbage(r.gpu, "statistics", 2 * CHANNELS)?;
        let (norm, bias) = (lone_norm(CHANNELS), 2 * CHANNELS);
        let moments = Statistics { buffer: &moments, chunks: conv3x3::chunks(SHAPE) };
        batch_norm(r, &norm, bias, &layer, moments, &weights, packing.forward(0), &found)?;
        Ok(vec![layer.z, layer.norms, found])
    };
    let reference = move || {
        let (params, field, mut found) = (widen(&params), widen(&field), vec![0.0; 2 * CHANNELS]);
        let (mut all, mut norms) = (vec![0.0; SHAPE.stored(CHANNELS)], Vec::new());
        for c in 0..CHANNELS {
            let z: Vec<f64> = field.iter().map(|v| v * f64::from(factor(c))).collect();
            let moments = Moments::of(&z);
            let norm = Norm::new(moments, params[c], params[CHANNELS + c]);
            norms.extend([norm.mean, norm.rstd, norm.scale, norm.shift, 0.0, 0.0, 0.0, 0.0]);
            [found[c], found[CHANNELS + c]] = statistics(moments, params[2 * CHANNELS + c]);
            for (n, sample) in z.chunks_exact(SHAPE.cells()).enumerate() {
                all[(n * CHANNELS + c) * SHAPE.cells()..][..SHAPE.cells()].copy_from_slice(sample);
            }
        }
        vec![all, norms, found]
    };
    let shape = format!("{}x{}x{}x{CHANNELS}", SHAPE.batch, SHAPE.nx, SHAPE.ny);
    let name = format!("batch_norm/{OFFSET}±{SPREAD}/{part:?}").to_lowercase();
    let case = recorded(&name, shape, tolerance, prepare, reference).stored_in(DType::F16);
    case.split_by(move |outputs| {
        let [z, norms, found] = outputs.try_into().expect("three outputs");
        let standard = standardised(&z, &norms);
        match part {
            Part::Values => [standard, vec![found]].concat(),
            // Relative to one, since the reference's is zero but for its own rounding.
            Part::Mean => {
                vec![standard.iter().map(|z| 1.0 + z.iter().sum::<f64>() / z.len() as f64).collect()]
            }
        }
    })
}

/// ẑ of every channel.
fn standardised(z: &[f64], norms: &[f64]) -> Vec<Vec<f64>> {
    let mut channels = vec![Vec::new(); CHANNELS];
    for (plane, z) in z.chunks_exact(SHAPE.cells()).enumerate() {
        let c = plane % CHANNELS;
        channels[c].extend(z.iter().map(|z| (z - norms[NORM_LEN * c]) * norms[NORM_LEN * c + 1]));
    }
    channels
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blocking::{adapters, block_on};
    use crate::gpu::{Checks, Gpu};
    use std::sync::Arc;

    #[test]
    fn without_a_pivot_a_large_mean_takes_the_digits() {
        for adapter in adapters() {
            let gpu = Arc::new(block_on(Gpu::open(&adapter, Checks::Checked)).unwrap());
            if gpu.stores_in(DType::F16) {
                let case = case(Part::Values, TOLERANCE, false);
                let error = gpu.block_on(case.error(&gpu, false)).unwrap();
                assert!(error > 10.0 * TOLERANCE, "{error}");
            }
        }
    }
}
