//! Batch norms of micro-batches that are normalised together.

use crate::cases::layers::{half_of, lone_layer, lone_norm};
use crate::cases::{Case, garbage, noise, recorded, widen};
use crate::cpu::nn::batch_norm::{Moments, Norm, statistics};
use crate::gpu::layer::layers::{NORM_LEN, Statistics};
use crate::gpu::nn::batch_norm::{Sums, batch_norm};
use crate::gpu::nn::batch_norm_together::{Part, batch_norm_backward_together, merge_moments, merge_sums};
use crate::gpu::nn::pack_weights::{Packing, Weights};
use crate::gpu::{Recorder, Shape};
use crate::model::Padding;

const CHANNELS: usize = 20;

/// γ, β and the biases come first, then the weights of the last convolution.
const OUTPUT_WEIGHT: usize = 3 * CHANNELS;

/// Of the last layer.
const POINT: Shape = Shape { batch: 1, nx: 1, ny: 1 };

pub(super) fn cases() -> Vec<Case> {
    vec![
        forward_case(2, 5),
        forward_case(70, 300),
        backward_case(2, 5, None, true),
        backward_case(70, 300, Some(7), false),
    ]
}

fn shape_of(parts: usize, chunks: usize) -> String {
    format!("{CHANNELS} of {parts} parts of {chunks} chunks")
}

/// Norms and statistics from the moments of `parts` micro-batches, each in `chunks`.
pub(super) fn forward_case(parts: usize, chunks: usize) -> Case {
    let moments = move |part: usize| -> Vec<f32> {
        let values = noise(80 + part as u64, 2 * CHANNELS * chunks);
        let chunk = |(i, v): (usize, &[f32])| [8.0 + (i % 3) as f32, 3.0 + v[0], 10.0 * v[1].abs()];
        values.chunks_exact(2).enumerate().flat_map(chunk).collect()
    };
    let params = noise(79, 3 * CHANNELS);
    let flat = params.clone();
    let prepare = move |r: &mut Recorder| {
        let weights = r.gpu.tensor_from("weights", &flat)?;
        let layer = lone_layer(r.gpu, POINT, CHANNELS)?;
        let merged = garbage(r.gpu, "merged", 3 * CHANNELS * parts)?;
        for number in 0..parts {
            let buffer = &r.gpu.tensor_from("moments", &moments(number))?;
            let into = Part { buffer: &merged, number, of: parts };
            merge_moments(r, CHANNELS, Statistics { buffer, chunks }, into)?;
        }
        let found = garbage(r.gpu, "statistics", 2 * CHANNELS)?;
        let padding = Padding::Circular;
        let packed = Weights { offset: 0, c_out: CHANNELS, c_in: 1, taps: 9, padding, pivot: None };
        let packing = Packing::new(r.gpu, &[packed])?;
        let all = Statistics { buffer: &merged, chunks: parts };
        let (norm, bias) = (lone_norm(CHANNELS), 2 * CHANNELS);
        batch_norm(r, &norm, bias, &layer, all, &weights, packing.forward(0), &found)?;
        Ok(vec![layer.norms, found])
    };
    let reference = move || {
        let params = widen(&params);
        let (mut norms, mut found) = (Vec::new(), vec![0.0; 2 * CHANNELS]);
        for c in 0..CHANNELS {
            let all = (0..parts).flat_map(|part| widen(&moments(part)[3 * c * chunks..][..3 * chunks]));
            let all: Vec<f64> = all.collect();
            let merged = all
                .chunks_exact(3)
                .fold(Moments::default(), |sum, v| sum.merge(Moments { count: v[0], mean: v[1], m2: v[2] }));
            let norm = Norm::new(merged, params[c], params[CHANNELS + c]);
            norms.extend([norm.mean, norm.rstd, norm.scale, norm.shift, 0.0, 0.0, 0.0, 0.0]);
            [found[c], found[CHANNELS + c]] = statistics(merged, params[2 * CHANNELS + c]);
        }
        vec![norms, found]
    };
    let case = recorded("batch_norm/together", shape_of(parts, chunks), 1e-6, prepare, reference);
    case.split_by(|mut outputs| {
        outputs[0] = half_of(&outputs[0], 0);
        outputs
    })
}

/// Gradients of each of `parts` micro-batches and norms of all, from sums in `chunks` and, where the layer is
/// pooled, in so many of the pooled values. With `output`, the weights of the last convolution are still to
/// be multiplied in.
pub(super) fn backward_case(parts: usize, chunks: usize, pooled: Option<usize>, output: bool) -> Case {
    const VALUES: usize = 1000;
    let sums = move |part: usize| {
        let noise = |stream: u64, chunks| noise(stream + part as u64, 2 * CHANNELS * chunks);
        [noise(200, chunks), noise(300, pooled.unwrap_or(1))]
    };
    let (params, forward) = (noise(78, OUTPUT_WEIGHT + CHANNELS), noise(77, NORM_LEN * CHANNELS));
    let (flat, before) = (params.clone(), forward.clone());
    let output_weight = output.then_some(OUTPUT_WEIGHT);
    let prepare = move |r: &mut Recorder| {
        let weights = r.gpu.tensor_from("weights", &flat)?;
        let layer = lone_layer(r.gpu, POINT, CHANNELS)?;
        r.gpu.write(&layer.norms, &before);
        let merged = garbage(r.gpu, "merged", 2 * CHANNELS * parts)?;
        let norm = lone_norm(CHANNELS);
        let mut outputs = Vec::new();
        for number in 0..parts {
            let [own, others] = sums(number);
            let (own, others) =
                (r.gpu.tensor_from("sums", &own)?, r.gpu.tensor_from("pooled sums", &others)?);
            let gradients = garbage(r.gpu, "gradients", 2 * CHANNELS)?;
            let sums = Statistics { buffer: &own, chunks };
            let pooled = pooled.map(|chunks| Statistics { buffer: &others, chunks });
            let sums = Sums { sums, pooled, output_weight, weights: &weights };
            let into = Part { buffer: &merged, number, of: parts };
            merge_sums(r, &norm, CHANNELS, &sums, &gradients, into)?;
            outputs.push(gradients);
        }
        let sums = Statistics { buffer: &merged, chunks: parts };
        let all = Sums { sums, pooled: None, output_weight, weights: &weights };
        batch_norm_backward_together(r, VALUES, &layer, &all)?;
        outputs.push(layer.norms);
        Ok(outputs)
    };
    let reference = move || {
        let (params, forward) = (widen(&params), widen(&forward));
        let factor = |c: usize| output_weight.map_or(1.0, |first| params[first + c]);
        let mut totals = vec![[0.0; 2]; CHANNELS];
        let mut outputs = Vec::new();
        for number in 0..parts {
            let [own, others] = sums(number).map(|sums| widen(&sums));
            let mut gradients = vec![0.0; 2 * CHANNELS];
            for (c, total) in totals.iter_mut().enumerate() {
                let pooled = others.chunks_exact(2).skip(c * pooled.unwrap_or(0)).take(pooled.unwrap_or(0));
                let all = own.chunks_exact(2).skip(c * chunks).take(chunks).chain(pooled);
                let sum = all.fold([0.0; 2], |sum, v| [sum[0] + v[0], sum[1] + v[1]]);
                let [g, gz] = sum.map(|sum| factor(c) * sum);
                (gradients[CHANNELS + c], gradients[c]) = (g, gz);
                *total = [total[0] + g, total[1] + gz];
            }
            outputs.push(gradients);
        }
        let row = |(c, [g, gz]): (usize, &[f64; 2])| {
            let [mean, rstd, scale, _] = [0, 1, 2, 3].map(|k| forward[NORM_LEN * c + k]);
            let each = -scale / VALUES as f64;
            [0.0, 0.0, 0.0, 0.0, scale * factor(c), mean, each * g, each * rstd * gz]
        };
        outputs.push(totals.iter().enumerate().flat_map(row).collect());
        outputs
    };
    let described = format!(
        "{}, {} pooled{}",
        shape_of(parts, chunks),
        pooled.unwrap_or(0),
        if output { ", output" } else { "" }
    );
    let case = recorded("batch_norm_backward/together", described, 1e-5, prepare, reference);
    case.split_by(|mut outputs| {
        let norms = outputs.pop().expect("the norms come last");
        outputs.push(half_of(&norms, 1));
        outputs
    })
}
