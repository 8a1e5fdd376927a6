//! Batch norms over a step's micro-batches: what every sample gives is put together in the order of the
//! samples of a micro-batch, then of the micro-batches.

use crate::cpu::Real;
use crate::cpu::nn::batch_norm::{self, Moments, Norm};
use crate::cpu::unet::together::Together;
use crate::model::UNet;
use crate::model::unet::Conv;
use crate::model::unet::init::State;

/// The normalisations `[c_out]` of a layer by its batch's statistics, from the `moments` of every sample's
/// channels. `statistics` get the batch's means and variances. Without batch norm, they hold the bias alone.
pub(crate) fn batch_norms<T: Real>(
    conv: &Conv,
    params: &[T],
    statistics: &mut [T],
    moments: &[Vec<Moments<T>>],
    together: &mut Together<T>,
) -> Vec<Norm<T>> {
    let Some(norm) = conv.norm else {
        return running_norms(conv, params, statistics);
    };
    let merged = |part: &[Vec<Moments<T>>], c: usize| {
        let Moments { count, mean, m2 } =
            part.iter().fold(Moments::default(), |m, sample| m.merge(sample[c]));
        [count, mean, m2]
    };
    let parts = moments.chunks(together.samples);
    let own: Vec<Vec<T>> =
        parts.map(|part| (0..conv.c_out).flat_map(|c| merged(part, c)).collect()).collect();
    let all = together.all(&own);
    let mut of_channel = |c: usize| {
        let moments = all.iter().fold(Moments::default(), |m, part| {
            m.merge(Moments { count: part[3 * c], mean: part[3 * c + 1], m2: part[3 * c + 2] })
        });
        let [mean, variance] = batch_norm::statistics(moments, params[conv.bias + c]);
        statistics[norm.running_mean + c] = mean;
        statistics[norm.running_var + c] = variance;
        Norm::new(moments, params[norm.gamma + c], params[norm.beta + c])
    };
    (0..conv.c_out).map(&mut of_channel).collect()
}

/// The normalisations `[c_out]` of a layer by its running statistics, or without batch norm by its biases.
pub(crate) fn running_norms<T: Real>(conv: &Conv, params: &[T], running: &[T]) -> Vec<Norm<T>> {
    let norm = |c: usize| {
        let bias = params[conv.bias + c];
        let Some(norm) = conv.norm else { return Norm::bias(bias) };
        let (mean, var) = (running[norm.running_mean + c], running[norm.running_var + c]);
        Norm::running(mean, var, bias, params[norm.gamma + c], params[norm.beta + c])
    };
    (0..conv.c_out).map(norm).collect()
}

/// What the statistics of `state` come to, per layer `[c_out]` of (mean, rstd, scale, shift).
pub fn norm_rows(net: &UNet, state: &State) -> Vec<Vec<[f32; 4]>> {
    let row = |norm: Norm<f32>| [norm.mean, norm.rstd, norm.scale, norm.shift];
    let rows = |conv| running_norms(conv, &state.params, &state.buffers).into_iter().map(row).collect();
    net.convs.iter().map(rows).collect()
}

/// From Σg and Σg·ẑ of every sample's channels: the gradients of a layer's batch norm or bias, of each
/// micro-batch by itself `[param_count]`, and the sums over all micro-batches, which the backward pass
/// subtracts. Without batch norm nothing is subtracted: they are zero.
pub(crate) fn norm_gradients<T: Real>(
    conv: &Conv,
    per_sample: &[Vec<[T; 2]>],
    gradients: &mut [T],
    param_count: usize,
    together: &mut Together<T>,
) -> Vec<[T; 2]> {
    let sums = |part: &[Vec<[T; 2]>]| {
        let mut sums = vec![T::zero(); 2 * conv.c_out];
        for sample in part {
            sums.iter_mut().zip(sample.as_flattened()).for_each(|(sum, share)| *sum += *share);
        }
        sums
    };
    let parts: Vec<Vec<T>> = per_sample.chunks(together.samples).map(sums).collect();
    for (gradients, sums) in gradients.chunks_exact_mut(param_count).zip(&parts) {
        for (c, sums) in sums.chunks_exact(2).enumerate() {
            match conv.norm {
                Some(norm) => [gradients[norm.beta + c], gradients[norm.gamma + c]] = [sums[0], sums[1]],
                None => gradients[conv.bias + c] = sums[0],
            }
        }
    }
    let mut total = vec![[T::zero(); 2]; conv.c_out];
    if conv.norm.is_some() {
        for part in together.all(&parts) {
            for (total, sums) in total.iter_mut().zip(part.chunks_exact(2)) {
                total[0] += sums[0];
                total[1] += sums[1];
            }
        }
    }
    total
}
