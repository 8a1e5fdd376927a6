//! The U-Net's other stages, forward and backward, and the whole network.

use crate::cases::gradients::*;
use crate::cases::layers::*;
use crate::cases::{Case, garbage, garbage_in, noise, recorded, widen};
use crate::cpu;
use crate::cpu::nn::batch_norm::Norm;
use crate::cpu::nn::upsample as reference_upsample;
use crate::gpu::layer::layers::NORM_LEN;
use crate::gpu::nn::batch_norm::batch_norm_backward;
use crate::gpu::nn::conv1x1::{self, conv1x1, conv1x1_backward};
use crate::gpu::nn::sum_rows::{Columns, PartialSums, Rows};
use crate::gpu::nn::upsample;
use crate::gpu::{Recorder, Shape};
use crate::model::unet::init::State;
use crate::model::unet::{Entry, Place};
use crate::model::{Activation, DType, Padding, UNet, UNetConfig};

pub(super) fn cases() -> Vec<Case> {
    let mut cases = vec![sum_rows_case()];
    for (batch, nx, ny) in [(3, 8, 16), (2, 2, 2), (2, 1, 1)] {
        let shape = Shape { batch, nx, ny };
        for storage in DType::ACTIVATIONS {
            cases.push(upsample_case(shape, storage));
            cases.push(conv1x1_case(shape, storage));
            cases.push(conv1x1_backward_case(shape, storage));
        }
    }
    for (filters, batch, nx, ny) in
        [(vec![8], 2, 8, 16), (vec![8, 16, 24], 3, 16, 32), (vec![16; 4], 2, 32, 32), (vec![8; 6], 2, 32, 64)]
    {
        // Every variant of every kernel has cases of its own; here one network shows that they fit together.
        let all = filters.len() == 3;
        for (storage, padding) in
            storages(all).into_iter().filter(|&(_, padding)| all || padding == Padding::Circular)
        {
            let choices = UNetConfig { padding, ..Default::default() };
            cases.push(network_case(filters.clone(), choices, batch, nx, ny, storage, noise));
        }
    }
    let zero = UNetConfig { padding: Padding::Zero, ..Default::default() };
    cases.push(network_case(vec![8, 16], zero, 2, 16, 32, DType::F32, blocks));
    for activation in [Activation::Silu, Activation::Tanh, Activation::Sigmoid] {
        let choices = UNetConfig { activation, ..Default::default() };
        cases.push(network_case(vec![8, 16], choices, 2, 16, 32, DType::F32, noise));
    }
    for (activation, batch_norm, filters) in [
        (Activation::Relu, true, vec![8]),
        (Activation::Relu, true, vec![8, 8, 16]),
        (Activation::Silu, false, vec![8, 16, 16]),
    ] {
        let choices = UNetConfig { activation, batch_norm, res_blocks: true, ..Default::default() };
        cases.push(network_case(filters, choices, 3, 16, 8, DType::F32, noise));
    }
    for storage in DType::ACTIVATIONS {
        let choices = UNetConfig { batch_norm: false, ..Default::default() };
        cases.push(network_case(vec![8, 16, 24], choices, 3, 16, 32, storage, noise));
    }
    cases
}

/// The largest error of a stage of a few additions; else as [`tolerance`].
fn exact(storage: DType) -> f64 {
    match storage {
        DType::F32 | DType::F64 => 1e-6,
        DType::F16 => tolerance(storage),
    }
}

pub(super) fn upsample_case(shape: Shape, storage: DType) -> Case {
    let channels = 10;
    let below = Below::new(shape, channels, storage);
    let fine = stored_noise(41, 4 * shape.batch * channels * shape.cells(), storage);
    let (on_gpu, f) = (below.clone(), fine.clone());
    let prepare = move |r: &mut Recorder| {
        let layer = on_gpu.layer(r.gpu, &norm_table(r.gpu)?)?;
        let fine = stored_gradient(r.gpu, "fine gradient", shape.finer(), &f, storage)?;
        let gradient = garbage_in(r.gpu, "gradient", shape.stored(channels), storage)?;
        let sums = garbage(r.gpu, "sums", 2 * channels * upsample::chunks(shape))?;
        let statistics = upsample::upsample_backward(r, shape, &layer, &fine, &gradient, &sums)?;
        on_gpu.outputs(r, layer, vec![gradient], statistics)
    };
    let reference = move || {
        let mut gradient = vec![0.0; below.z.len()];
        let fine = widen(&fine);
        let planes = fine.chunks_exact(4 * shape.cells()).zip(gradient.chunks_exact_mut(shape.cells()));
        planes.for_each(|(fine, coarse)| {
            reference_upsample::upsample_backward(fine, coarse, shape.nx, shape.ny);
        });
        below.reference(gradient)
    };
    let described = format!("{}x{channels}", text(shape));
    let case = recorded("upsample_backward", described, exact(storage), prepare, reference);
    below_stored(case, shape, &[channels], storage)
}

pub(super) fn conv1x1_case(shape: Shape, storage: DType) -> Case {
    let channels = 10;
    let below = Below::new(shape, channels, storage);
    let flat = noise(43, WEIGHT_OFFSET + channels + 1);
    let (on_gpu, params) = (below.clone(), flat.clone());
    let prepare = move |r: &mut Recorder| {
        let layer = on_gpu.layer(r.gpu, &norm_table(r.gpu)?)?;
        let buffer = r.gpu.tensor_from("weights", &params)?;
        let out = garbage(r.gpu, "out", shape.stored(1))?;
        conv1x1(r, shape, &layer, conv1x1::Weights { buffer: &buffer, offset: WEIGHT_OFFSET }, &out)?;
        Ok(vec![out])
    };
    let reference = move || {
        let (z, weights) = (widen(&below.z), widen(&flat[WEIGHT_OFFSET..]));
        let norms: Vec<Norm<f64>> = below.norms().into_iter().map(widen_norm).collect();
        let mut out = vec![0.0; shape.values()];
        let samples = z.chunks_exact(channels * shape.cells()).zip(out.chunks_exact_mut(shape.cells()));
        samples.for_each(|(z, out)| {
            let value = |c: usize, z: f64| norms[c].relu(z);
            cpu::nn::conv1x1::conv1x1(value, z, &weights[..channels], weights[channels], out);
        });
        vec![out]
    };
    let case = recorded("conv1x1", format!("{}x{channels}", text(shape)), 1e-5, prepare, reference);
    first_stored(case.stored_in(storage), shape, 1, 1.0)
}

/// Three matrices of partial sums, of which two have room in the scratch memory: these are added up together,
/// the third by itself, from the place of the first.
pub(super) fn sum_rows_case() -> Case {
    let matrices = [
        (Rows::whole(70, 40), 0),
        (Rows { count: 9, columns: 33, wanted: Columns { step: 9, first: 4 } }, 40),
        (Rows::whole(1, 5), 73),
    ];
    let starts = [0, 70 * 40, 0];
    let rows = noise(47, 70 * 40 + 9 * 33 * 9);
    let on_gpu = rows.clone();
    let prepare = move |r: &mut Recorder| {
        let scratch = r.gpu.tensor_from("rows", &on_gpu)?;
        let total = garbage(r.gpu, "total", 73 + 5)?;
        let mut partial = PartialSums::new(&scratch, &total);
        for (rows, offset) in matrices {
            partial.make_room(r, rows, offset)?;
        }
        partial.add_up(r)?;
        Ok(vec![total])
    };
    let reference = move || {
        let mut total = vec![0.0; 73 + 5];
        for ((matrix, offset), start) in matrices.into_iter().zip(starts) {
            let Rows { count, columns, wanted: Columns { step, first } } = matrix;
            for column in 0..columns {
                let places = (0..count).map(|row| start + (row * columns + column) * step + first);
                total[offset + column] = places.map(|place| f64::from(rows[place])).sum();
            }
        }
        vec![total]
    };
    let described = "70x40, 9x33 of 297, 1x5".to_owned();
    recorded("sum_rows", described, 1e-6, prepare, reference)
}

pub(super) fn conv1x1_backward_case(shape: Shape, storage: DType) -> Case {
    let channels = 10;
    let below = Below::new(shape, channels, storage);
    let flat = noise(43, channels + 1);
    let output_gradient = noise(45, shape.values());
    let (on_gpu, params, g) = (below.clone(), flat.clone(), output_gradient.clone());
    let prepare = move |r: &mut Recorder| {
        let layer = on_gpu.layer(r.gpu, &norm_table(r.gpu)?)?;
        let buffer = r.gpu.tensor_from("weights", &params)?;
        let output_gradient = r.gpu.tensor_from("output gradient", &store(shape, &g))?;
        let gradients = garbage(r.gpu, "gradients", channels + 1)?;
        let shares = garbage(r.gpu, "shares", shape.batch * (channels + 1))?;
        let sums = garbage(r.gpu, "sums", 2 * channels * shape.batch)?;
        let mut partial = PartialSums::new(&shares, &gradients);
        let statistics = conv1x1_backward(r, shape, &layer, &output_gradient, 0, &mut partial, &sums)?;
        partial.add_up(r)?;
        let affine = garbage(r.gpu, "affine gradients", 2 * channels)?;
        let norm = lone_norm(channels);
        batch_norm_backward(r, shape, &norm, &layer, statistics, None, Some(0), &buffer, &affine)?;
        Ok(vec![gradients, affine, layer.norms])
    };
    let reference = move || {
        let (z, weights, g) = (widen(&below.z), widen(&flat), widen(&output_gradient));
        let norms: Vec<Norm<f64>> = below.norms().into_iter().map(widen_norm).collect();
        let mut gradient = vec![0.0; z.len()];
        let mut shares = Vec::new();
        for (n, g) in g.chunks_exact(shape.cells()).enumerate() {
            let range = n * channels * shape.cells()..(n + 1) * channels * shape.cells();
            let (z, gradient) = (&z[range.clone()], &mut gradient[range]);
            let value = |c: usize, z: f64| norms[c].relu(z);
            shares.push(cpu::nn::conv1x1::conv1x1_backward(value, z, &weights[..channels], g, gradient));
        }
        let mut sums = vec![0.0; channels + 1];
        cpu::reduce::sum_rows(&shares, &mut sums);
        let [_, affine, mut norm_rows] = below.reference(gradient).try_into().expect("three outputs");
        // The factor of ∂L/∂output contains the weight.
        (0..channels).for_each(|c| norm_rows[NORM_LEN * c + 4] *= weights[c]);
        vec![sums, affine, norm_rows]
    };
    let described = format!("{}x{channels}", text(shape));
    let case = recorded("conv1x1_backward", described, 1e-5, prepare, reference).stored_in(storage);
    case.split_by(move |mut outputs| {
        let norms = outputs.pop().expect("three outputs");
        outputs.push(own_norms(&norms, channels));
        outputs
    })
}

/// [`noise`] of one value for every 256 cells: most of the cells that are pooled have equal neighbours.
fn blocks(stream: u64, len: usize) -> Vec<f32> {
    noise(stream, len.div_ceil(256)).into_iter().flat_map(|value| [value; 256]).take(len).collect()
}

/// The whole network, forward and backward, for an input from `field`.
fn network_case(
    filters: Vec<usize>,
    choices: UNetConfig,
    batch: usize,
    nx: usize,
    ny: usize,
    storage: DType,
    field: fn(u64, usize) -> Vec<f32>,
) -> Case {
    let net = UNet::new(&UNetConfig { filters, ..choices });
    let (state, entries) = (State::new(&net, 3), net.entries.clone());
    let (input, gradient) = (field(46, batch * nx * ny), noise(47, batch * nx * ny));
    let described = format!("{batch}x{nx}x{ny} {}", net.config);
    let (on_gpu, start, x, g) = (net.clone(), state.clone(), input.clone(), gradient.clone());
    let prepare = move |r: &mut Recorder| {
        let network = crate::gpu::unet::network::Network::new(r.gpu, &on_gpu, storage, batch, nx, ny)?;
        r.gpu.write(&network.params, &start.params);
        r.gpu.write(&network.running, &start.buffers);
        let input = r.gpu.tensor_from("input", &x)?;
        let output_gradient = r.gpu.tensor_from("output gradient", &g)?;
        let output = garbage(r.gpu, "output", batch * nx * ny)?;
        network.pack(r)?;
        network.forward(r, &input, &output)?;
        network.backward(r, &input, &output_gradient)?;
        Ok(vec![output, network.batch_statistics, network.gradients])
    };
    let reference = move || {
        let mut network = cpu::unet::network::Network::<f64>::new(&net, batch, nx, ny);
        let (params, mut statistics) = (widen(&state.params), widen(&state.buffers));
        let (mut output, mut gradients) = (vec![0.0; input.len()], vec![0.0; params.len()]);
        network.forward_apart(&params, &mut statistics, &widen(&input), &mut output);
        network.backward(&params, &widen(&input), &widen(&gradient), &mut gradients, None);
        vec![output, statistics, gradients]
    };
    // The gradients of biases before a batch norm are an exact zero. Other dead gradients are rounding noise.
    let is_noise =
        |entry: &Entry| entry.dead && entry.name.contains("sample") && !entry.name.ends_with("input.bias");
    let ranges: Vec<_> = entries
        .iter()
        .filter(|entry| !is_noise(entry))
        .filter_map(|entry| match entry.place {
            Place::Param(offset) => Some(offset..offset + entry.len()),
            _ => None,
        })
        .collect();
    // In 16 bits, roundings by up to 2⁻¹¹ put about 1e-4 of the ReLUs' arguments on the other side of zero,
    // which changes the gradients of a layer by √1e-4 = 1e-2. The errors of the layers add up, and batch
    // norms multiply them on coarse levels with few values per channel: networks of four levels and more are
    // compared by their losses (cases/step.rs).
    let tolerance = match storage {
        DType::F32 | DType::F64 => 1e-4,
        DType::F16 => 1e-1,
    };
    let case = recorded("unet", described, tolerance, prepare, reference);
    case.stored_in(storage).split_by(move |mut outputs| {
        let gradients = outputs.pop().expect("three outputs");
        outputs.extend(ranges.iter().map(|range| gradients[range.clone()].to_vec()));
        outputs
    })
}
