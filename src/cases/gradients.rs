//! What the cases of the backward pass share: the gradient that a kernel reads, and the layer that it
//! reaches.

use crate::Result;
use crate::cases::layers::*;
use crate::cases::{Case, garbage, noise, widen};
use crate::cpu::nn::batch_norm::Norm;
use crate::cpu::nn::{activation, batch_norm as reference_norm, max_pool as reference_pool};
use crate::gpu::layer::gradient::Gradient;
use crate::gpu::layer::layers::{Layer, NORM_LEN, Statistics};
use crate::gpu::nn::batch_norm::batch_norm_backward;
use crate::gpu::{Gpu, Recorder, Shape, Tensor};
use crate::model::{Activation, DType};

/// Where g of a layer comes from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Of {
    /// An array.
    Stored,
    /// A skip connection's array, and one of pooled values.
    Pooled,
    /// ∂L/∂output.
    Output,
}

/// ∂L/∂z of a layer on both sides.
#[derive(Clone)]
pub(super) struct LayerGradient {
    pub(super) shape: Shape,
    pub(super) channels: usize,
    pub(super) of: Of,
    pub(super) storage: DType,
    pub(super) z: Vec<f32>,
    pub(super) g: Vec<f32>,
    /// g of the pooled values, of grid `shape.coarser()`.
    pub(super) pooled: Vec<f32>,
}

impl LayerGradient {
    pub(super) fn new(shape: Shape, channels: usize, of: Of, storage: DType) -> Self {
        let len = shape.batch * channels * shape.cells();
        let g = match of {
            Of::Output => noise(31, shape.values()),
            Of::Stored | Of::Pooled => stored_noise(31, len, storage),
        };
        let mut gradient =
            Self { shape, channels, of, storage, z: stored_noise(34, len, storage), g, pooled: Vec::new() };
        if of == Of::Pooled {
            // Every other channel has few values: many of four neighbours are equal.
            for plane in gradient.z.chunks_exact_mut(shape.cells()).step_by(2) {
                plane.iter_mut().for_each(|z| *z = (2.0 * *z).round() / 2.0);
            }
            // g is zero where the ReLU of the pooled values is.
            let mut pooled = stored_noise(35, len / 4, storage);
            for (plane, pooled) in pooled.chunks_exact_mut(shape.cells() / 4).enumerate() {
                let mut highest = vec![0.0; pooled.len()];
                reference_pool::max_pool(&gradient.activation(plane), &mut highest, shape.ny);
                pooled.iter_mut().zip(highest).filter(|(_, a)| *a <= 0.0).for_each(|(g, _)| *g = 0.0);
            }
            gradient.pooled = pooled;
        }
        gradient
    }

    pub(super) fn norms(&self) -> Vec<Norm<f32>> {
        let mut all = norms(36, self.channels);
        if self.of == Of::Pooled {
            // Two channels with γ = 0, whose activations are all the same.
            all.iter_mut().take(2).for_each(|norm| (norm.scale, norm.shift) = (0.0, 0.5));
        }
        all
    }

    /// The activation of one plane, the number of its sample times the channels plus that of its channel.
    fn activation(&self, plane: usize) -> Vec<f64> {
        let norm = widen_norm(self.norms()[plane % self.channels]);
        let cells = self.shape.cells();
        self.z[plane * cells..][..cells].iter().map(|&z| norm.relu(f64::from(z))).collect()
    }

    pub(super) fn planes(&self) -> Vec<f64> {
        let cells = self.shape.cells();
        let norms = self.norms();
        let mut planes = Vec::with_capacity(self.z.len());
        for (plane, z) in self.z.chunks_exact(cells).enumerate() {
            let (n, c) = (plane / self.channels, plane % self.channels);
            let own = if self.of == Of::Output { n } else { plane };
            let mut g = widen(&self.g[own * cells..][..cells]);
            match self.of {
                Of::Stored => {}
                Of::Pooled => {
                    let pooled = widen(&self.pooled[plane * cells / 4..][..cells / 4]);
                    let activation = self.activation(plane);
                    reference_pool::max_pool_backward(&activation, &pooled, &mut g, self.shape.ny);
                }
                Of::Output => {
                    let activation = self.activation(plane);
                    g.iter_mut().zip(activation).filter(|(_, a)| *a <= 0.0).for_each(|(g, _)| *g = 0.0);
                }
            }
            let [factor, mean, constant, slope] = backward_norm(norms[c], c).map(f64::from);
            planes
                .extend(g.iter().zip(z).map(|(g, &z)| factor * g + slope * (f64::from(z) - mean) + constant));
        }
        planes
    }

    /// Calls `f` with this gradient on `gpu`, whose norms are in `table`.
    pub(super) fn with<R>(
        &self,
        gpu: &Gpu,
        table: &Tensor,
        f: impl FnOnce(Gradient) -> Result<R>,
    ) -> Result<R> {
        let layer = &layer(gpu, table, GRADIENT, self.shape, &self.z, &self.norms(), self.storage)?;
        let stored = |label, shape, values| stored_gradient(gpu, label, shape, values, self.storage);
        match self.of {
            Of::Stored => f(Gradient::Stored { layer, g: &stored("g", self.shape, &self.g)? }),
            Of::Pooled => f(Gradient::Pooled {
                layer,
                g: &stored("g", self.shape, &self.g)?,
                pooled: &stored("pooled g", self.shape.coarser(), &self.pooled)?,
            }),
            Of::Output => {
                let output_gradient = &gpu.tensor_from("output gradient", &store(self.shape, &self.g))?;
                f(Gradient::Output { layer, output_gradient })
            }
        }
    }
}

/// A layer that a gradient reaches through its activation. Both sides compute g, the gradients of γ and β,
/// and the second half of the layer's norms.
#[derive(Clone)]
pub(super) struct Below {
    pub(super) shape: Shape,
    pub(super) channels: usize,
    pub(super) storage: DType,
    pub(super) activation: Activation,
    pub(super) z: Vec<f32>,
}

impl Below {
    pub(super) fn new(shape: Shape, channels: usize, storage: DType) -> Self {
        let z = stored_noise(37, shape.batch * channels * shape.cells(), storage);
        Self { shape, channels, storage, activation: Activation::Relu, z }
    }

    pub(super) fn norms(&self) -> Vec<Norm<f32>> {
        norms(40, self.channels)
    }

    pub(super) fn layer(&self, gpu: &Gpu, table: &Tensor) -> Result<Layer> {
        let layer = layer(gpu, table, TARGET, self.shape, &self.z, &self.norms(), self.storage)?;
        Ok(Layer { activation: self.activation, ..layer })
    }

    /// What a stage has `stored`, followed by the gradients of γ and β and the norms.
    pub(super) fn outputs(
        &self,
        r: &mut Recorder,
        layer: Layer,
        mut stored: Vec<Tensor>,
        sums: Statistics,
    ) -> Result<Vec<Tensor>> {
        let gradients = garbage(r.gpu, "gradients", 2 * self.channels)?;
        let (norm, none) = (lone_norm(self.channels), no_parameters(r.gpu)?);
        batch_norm_backward(r, self.shape, &norm, &layer, sums, None, None, &none, &gradients)?;
        stored.extend([gradients, layer.norms]);
        Ok(stored)
    }

    /// The same outputs in f64, from ∂L/∂activation.
    pub(super) fn reference(&self, incoming: Vec<f64>) -> Vec<Vec<f64>> {
        let (cells, count) = (self.shape.cells(), self.shape.values() as f64);
        let (mut g, mut gradients, mut norm_rows) = (incoming, vec![0.0; 2 * self.channels], Vec::new());
        let z = widen(&self.z);
        for (c, narrow) in self.norms().into_iter().enumerate() {
            let norm = widen_norm(narrow);
            let mut sums = [0.0; 2];
            for n in 0..self.shape.batch {
                let plane = (n * self.channels + c) * cells..(n * self.channels + c + 1) * cells;
                let (z, g) = (&z[plane.clone()], &mut g[plane]);
                let share = reference_norm::backward_sums(self.activation, norm, z, g);
                sums = [sums[0] + share[0], sums[1] + share[1]];
                for (g, &z) in g.iter_mut().zip(z) {
                    *g = activation::backward(self.activation, norm.argument(z), *g);
                }
            }
            [gradients[self.channels + c], gradients[c]] = sums;
            let [mean_g, mean_gz] = sums.map(|s| s / count);
            norm_rows.extend([norm.mean, norm.rstd, norm.scale, norm.shift]);
            norm_rows.extend([
                norm.scale,
                norm.mean,
                -norm.scale * mean_g,
                -norm.scale * norm.rstd * mean_gz,
            ]);
        }
        vec![g, gradients, norm_rows]
    }
}

/// Splits the outputs of a [`Below`]. The first ones are stored gradients with as many `channels`, the very
/// first that of the layer itself: their padding is cut off. Each of the numbers that a norm has is compared
/// by itself, since errors in small ones would hide behind large ones.
pub(super) fn below_stored(case: Case, shape: Shape, channels: &[usize], storage: DType) -> Case {
    let case = case.stored_in(storage).scaled(gradient_scale(storage), channels.len());
    let channels = channels.to_vec();
    case.split_by(move |mut outputs| {
        let norms = own_norms(&outputs.pop().expect("norms"), channels[0]);
        let gradients = outputs.pop().expect("gradients of γ and β");
        let (gamma, beta) = gradients.split_at(channels[0]);
        let stored = outputs.iter().zip(&channels);
        let mut parts: Vec<_> = stored.map(|(values, &channels)| unstore(shape, channels, values)).collect();
        parts.extend([gamma.to_vec(), beta.to_vec()]);
        parts.extend(
            (0..NORM_LEN).map(|k| norms.iter().skip(k).step_by(NORM_LEN).copied().collect::<Vec<_>>()),
        );
        parts
    })
}

/// The norms of a [`Below`] out of the table that its kernel has; norms that are no such table stay as they
/// are.
pub(super) fn own_norms(norms: &[f64], channels: usize) -> Vec<f64> {
    let len = NORM_LEN * channels;
    if norms.len() == len { norms.to_vec() } else { norms[NORM_LEN * TARGET..][..len].to_vec() }
}
