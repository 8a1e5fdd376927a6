//! Layers without batch norm: their biases as normalisations, and the gradients of the biases.

use crate::cases::layers::{half_of, lone_layer};
use crate::cases::{Case, garbage, noise, recorded, widen};
use crate::gpu::layer::layers::Statistics;
use crate::gpu::nn::bias::{bias, bias_backward};
use crate::gpu::{Recorder, Shape};

const CHANNELS: usize = 20;

pub(super) fn cases() -> Vec<Case> {
    vec![
        forward_case(),
        backward_case(1, None, false),
        backward_case(300, Some(7), false),
        backward_case(5, None, true),
    ]
}

/// Where the biases are among the parameters, behind the weights of the last convolution.
const BIAS: usize = CHANNELS + 3;

pub(super) fn forward_case() -> Case {
    let flat = noise(70, BIAS + CHANNELS);
    let params = flat.clone();
    let prepare = move |r: &mut Recorder| {
        let weights = r.gpu.tensor_from("weights", &params)?;
        let layer = lone_layer(r.gpu, Shape { batch: 1, nx: 1, ny: 1 }, CHANNELS)?;
        bias(r, BIAS, &layer, &weights)?;
        Ok(vec![layer.norms])
    };
    let reference = move || {
        let row = |&b: &f32| [0.0, 1.0, 1.0, f64::from(b), 0.0, 0.0, 0.0, 0.0];
        vec![flat[BIAS..].iter().flat_map(row).collect()]
    };
    let case = recorded("bias", CHANNELS.to_string(), 1e-7, prepare, reference);
    case.split_by(|outputs| vec![half_of(&outputs[0], 0)])
}

/// `pooled` is the number of chunks of the pooled values' sums; with `output`, the weights of the last
/// convolution are still to be multiplied in.
pub(super) fn backward_case(chunks: usize, pooled: Option<usize>, output: bool) -> Case {
    let (sums, pooled_sums) =
        (noise(71, 2 * CHANNELS * chunks), noise(72, 2 * CHANNELS * pooled.unwrap_or(1)));
    let flat = noise(73, BIAS + CHANNELS);
    let (own, others, params) = (sums.clone(), pooled_sums.clone(), flat.clone());
    let prepare = move |r: &mut Recorder| {
        let weights = r.gpu.tensor_from("weights", &params)?;
        let [own, others] = [("sums", &own), ("pooled sums", &others)]
            .map(|(label, values)| r.gpu.tensor_from(label, values));
        let (own, others) = (own?, others?);
        let gradients = garbage(r.gpu, "gradients", BIAS + CHANNELS)?;
        let layer = lone_layer(r.gpu, Shape { batch: 1, nx: 1, ny: 1 }, CHANNELS)?;
        let pooled = pooled.map(|chunks| Statistics { buffer: &others, chunks });
        let sums = Statistics { buffer: &own, chunks };
        bias_backward(r, BIAS, &layer, sums, pooled, output.then_some(3), &weights, &gradients)?;
        Ok(vec![gradients, layer.norms])
    };
    let reference = move || {
        let first = |sums: &[f32], c: usize, chunks: usize| -> f64 {
            widen(&sums[2 * c * chunks..][..2 * chunks]).iter().step_by(2).sum()
        };
        let (mut gradients, mut norms) = (vec![0.0; BIAS], Vec::new());
        for c in 0..CHANNELS {
            let weight = if output { f64::from(flat[3 + c]) } else { 1.0 };
            let others = pooled.map_or(0.0, |chunks| first(&pooled_sums, c, chunks));
            gradients.push(weight * (first(&sums, c, chunks) + others));
            norms.extend([0.0, 0.0, 0.0, 0.0, weight, 0.0, 0.0, 0.0]);
        }
        vec![gradients, norms]
    };
    let described = format!(
        "{CHANNELS} of {chunks}+{} chunks{}",
        pooled.unwrap_or(0),
        if output { ", output" } else { "" }
    );
    let case = recorded("bias_backward", described, 1e-6, prepare, reference);
    case.split_by(|outputs| vec![outputs[0][BIAS..].to_vec(), half_of(&outputs[1], 1)])
}
