//! What happens around the convolutions of residual blocks, forward and backward.

use crate::cases::gradients::*;
use crate::cases::layers::*;
use crate::cases::{Case, garbage, garbage_in, noise, recorded, widen};
use crate::cpu::nn::batch_norm::Norm;
use crate::cpu::nn::{max_pool as reference_pool, res_sum as reference_sum};
use crate::gpu::nn::activation::{self, activation_backward};
use crate::gpu::nn::add_gradient::add_gradient;
use crate::gpu::nn::conv1x1::{self, output_gradient};
use crate::gpu::nn::max_pool::{max_pool, max_pool_backward};
use crate::gpu::nn::res_sum::res_sum;
use crate::gpu::{Recorder, Shape};
use crate::model::{Activation, DType};

/// The channels of every layer in these cases.
const CHANNELS: usize = 10;

pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (batch, nx, ny) in [(3, 8, 16), (2, 2, 2), (5, 64, 128)] {
        let shape = Shape { batch, nx, ny };
        for storage in DType::ACTIVATIONS {
            for activation in Activation::ALL.into_iter().chain([Activation::Identity]) {
                if storage == DType::F32 || activation == Activation::Silu {
                    cases.push(activation_backward_case(shape, activation, storage));
                }
            }
            cases.push(sum_case(shape, Activation::Relu, storage));
            cases.push(sum_case(shape, Activation::Tanh, storage));
            cases.push(max_pool_case(shape, storage));
            cases.push(max_pool_backward_case(shape, storage));
            cases.push(output_gradient_case(shape, storage));
            cases.push(add_gradient_case(shape, storage));
        }
    }
    cases
}

fn described(shape: Shape) -> String {
    format!("{}x{CHANNELS}", text(shape))
}

pub(super) fn activation_backward_case(shape: Shape, activation: Activation, storage: DType) -> Case {
    let below = Below { activation, ..Below::new(shape, CHANNELS, storage) };
    let incoming = stored_noise(80, below.z.len(), storage);
    let (on_gpu, from) = (below.clone(), incoming.clone());
    let prepare = move |r: &mut Recorder| {
        let layer = on_gpu.layer(r.gpu, &norm_table(r.gpu)?)?;
        let incoming = stored_gradient(r.gpu, "incoming", shape, &from, storage)?;
        let gradient = garbage_in(r.gpu, "gradient", shape.stored(CHANNELS), storage)?;
        let sums = garbage(r.gpu, "sums", 2 * CHANNELS * activation::chunks(shape))?;
        let statistics = activation_backward(r, shape, &layer, &incoming, &gradient, &sums)?;
        on_gpu.outputs(r, layer, vec![gradient], statistics)
    };
    let reference = move || below.reference(widen(&incoming));
    let name = format!("activation_backward/{activation}");
    let case = recorded(&name, described(shape), tolerance(storage), prepare, reference);
    below_stored(case, shape, &[CHANNELS], storage)
}

pub(super) fn sum_case(shape: Shape, activation: Activation, storage: DType) -> Case {
    let own = Below { activation, ..Below::new(shape, CHANNELS, storage) };
    let (shortcut, shortcut_norms) = (stored_noise(81, own.z.len(), storage), norms(82, CHANNELS));
    let (on_gpu, x, n) = (own.clone(), shortcut.clone(), shortcut_norms.clone());
    let prepare = move |r: &mut Recorder| {
        let table = norm_table(r.gpu)?;
        let other = layer(r.gpu, &table, GRADIENT, shape, &x, &n, storage)?;
        let sum = garbage_in(r.gpu, "sum", shape.stored(CHANNELS), storage)?;
        res_sum(r, shape, &on_gpu.layer(r.gpu, &table)?, &other, &sum)?;
        Ok(vec![sum])
    };
    let reference = move || {
        let (z, x) = (widen(&own.z), widen(&shortcut));
        let mut out = vec![0.0; z.len()];
        let planes = z.chunks_exact(shape.cells()).zip(x.chunks_exact(shape.cells()));
        for (plane, (out, (z, x))) in out.chunks_exact_mut(shape.cells()).zip(planes).enumerate() {
            let [norm, other]: [Norm<f64>; 2] =
                [&own.norms(), &shortcut_norms].map(|norms| widen_norm(norms[plane % CHANNELS]));
            reference_sum::res_sum(activation, norm, z, other, x, out);
        }
        vec![out]
    };
    let name = format!("res_sum/{activation}");
    let case = recorded(&name, described(shape), tolerance(storage), prepare, reference);
    first_stored(case.stored_in(storage), shape, CHANNELS, 1.0)
}

/// Noise of few different values, so that some of four neighbours are equal.
fn tied(stream: u64, len: usize) -> Vec<f32> {
    noise(stream, len).into_iter().map(|v| (4.0 * v).round() / 4.0).collect()
}

pub(super) fn max_pool_case(shape: Shape, storage: DType) -> Case {
    let fine = tied(83, 4 * shape.batch * CHANNELS * shape.cells());
    let values = fine.clone();
    let prepare = move |r: &mut Recorder| {
        let fine = stored(r.gpu, "fine", shape.finer(), &values, storage, 1.0)?;
        let pooled = garbage_in(r.gpu, "pooled", shape.stored(CHANNELS), storage)?;
        max_pool(r, shape, CHANNELS, &fine, &pooled)?;
        Ok(vec![pooled])
    };
    let reference = move || {
        let fine = widen(&fine);
        let mut pooled = vec![0.0; fine.len() / 4];
        reference_pool::max_pool(&fine, &mut pooled, 2 * shape.ny); // plane after plane
        vec![pooled]
    };
    let case = recorded("max_pool", described(shape), 0.0, prepare, reference);
    first_stored(case.stored_in(storage), shape, CHANNELS, 1.0)
}

pub(super) fn max_pool_backward_case(shape: Shape, storage: DType) -> Case {
    let len = shape.batch * CHANNELS * shape.cells();
    let (fine, pooled) = (tied(84, 4 * len), stored_noise(85, len, storage));
    let start = stored_noise(86, 4 * len, storage);
    let (z, g, before) = (fine.clone(), pooled.clone(), start.clone());
    let prepare = move |r: &mut Recorder| {
        let fine = stored(r.gpu, "fine", shape.finer(), &z, storage, 1.0)?;
        let pooled = stored_gradient(r.gpu, "pooled gradient", shape, &g, storage)?;
        let gradient = stored_gradient(r.gpu, "gradient", shape.finer(), &before, storage)?;
        max_pool_backward(r, shape, CHANNELS, &fine, &pooled, &gradient)?;
        Ok(vec![gradient])
    };
    let reference = move || {
        let (fine, pooled, mut gradient) = (widen(&fine), widen(&pooled), widen(&start));
        reference_pool::max_pool_backward(&fine, &pooled, &mut gradient, 2 * shape.ny);
        vec![gradient]
    };
    let case = recorded("max_pool_backward", described(shape), tolerance(storage), prepare, reference);
    first_stored(case.stored_in(storage), shape.finer(), CHANNELS, gradient_scale(storage))
}

pub(super) fn output_gradient_case(shape: Shape, storage: DType) -> Case {
    let (weights, g) = (noise(87, WEIGHT_OFFSET + CHANNELS), noise(88, shape.values()));
    let (params, from) = (weights.clone(), g.clone());
    let prepare = move |r: &mut Recorder| {
        let buffer = r.gpu.tensor_from("weights", &params)?;
        let g = r.gpu.tensor_from("output gradient", &store(shape, &from))?;
        let gradient = garbage_in(r.gpu, "gradient", shape.stored(CHANNELS), storage)?;
        let weights = conv1x1::Weights { buffer: &buffer, offset: WEIGHT_OFFSET };
        output_gradient(r, shape, CHANNELS, &g, weights, &gradient)?;
        Ok(vec![gradient])
    };
    let reference = move || {
        let (weights, g) = (widen(&weights[WEIGHT_OFFSET..]), widen(&g));
        let mut gradient = vec![0.0; CHANNELS * g.len()];
        let (cells, unused) = (shape.cells(), vec![0.0; CHANNELS * shape.cells()]);
        for (g, gradient) in g.chunks_exact(cells).zip(gradient.chunks_exact_mut(CHANNELS * cells)) {
            crate::cpu::nn::conv1x1::conv1x1_backward(|_, z| z, &unused, &weights, g, gradient);
        }
        vec![gradient]
    };
    let case = recorded("output_gradient", described(shape), tolerance(storage), prepare, reference);
    first_stored(case.stored_in(storage), shape, CHANNELS, gradient_scale(storage))
}

pub(super) fn add_gradient_case(shape: Shape, storage: DType) -> Case {
    let [share, total] = [89, 90].map(|s| stored_noise(s, shape.batch * CHANNELS * shape.cells(), storage));
    let (a, b) = (share.clone(), total.clone());
    let prepare = move |r: &mut Recorder| {
        let share = stored_gradient(r.gpu, "share", shape, &a, storage)?;
        let total = stored_gradient(r.gpu, "total", shape, &b, storage)?;
        add_gradient(r, &share, &total, shape.stored(CHANNELS))?;
        Ok(vec![total])
    };
    let reference =
        move || vec![share.iter().zip(&total).map(|(&a, &b)| f64::from(a) + f64::from(b)).collect()];
    let case = recorded("add_gradient", described(shape), tolerance(storage), prepare, reference);
    first_stored(case.stored_in(storage), shape, CHANNELS, gradient_scale(storage))
}
