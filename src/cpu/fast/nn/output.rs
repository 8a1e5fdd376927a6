//! The final 1×1 convolution to one channel (method §5), from values `[cells, channels]`.

use crate::cpu::fast::nn::channels::LANES;
use crate::cpu::fast::nn::lanes::vectorised;
use crate::cpu::fast::nn::norm::{load, store};
use fearless_simd::{Simd, SimdBase, SimdFloat, f32x8};

/// out = bias + Σ_c w_c·value_c; the weights have room for as many channels as the values.
pub(crate) fn conv1x1(values: &[f32], weights: &[f32], bias: f32, out: &mut [f32]) {
    vectorised!(simd => {
        for (out, value) in out.iter_mut().zip(values.chunks_exact(weights.len())) {
            let mut sum = f32x8::splat(simd, 0.0);
            for c in (0..weights.len()).step_by(LANES) {
                sum = load(simd, weights, c).mul_add(load(simd, value, c), sum);
            }
            let mut lanes = [0.0; LANES];
            sum.store_slice(&mut lanes);
            let [a, b, c, d, e, f, g, h] = lanes;
            *out = bias + (((a + e) + (c + g)) + ((b + f) + (d + h)));
        }
    });
}

/// From `g` = ∂L/∂out of one sample: writes ∂L/∂value_c = w_c·g to `gradient` `[cells, channels]`, and
/// returns the sample's share of ∂L/∂w_c = Σ g·value_c, with ∂L/∂bias = Σ g as the last element.
pub(crate) fn conv1x1_backward(values: &[f32], weights: &[f32], g: &[f32], gradient: &mut [f32]) -> Vec<f32> {
    vectorised!(simd => backward_by(simd, values, weights, g, gradient))
}

#[inline(always)]
fn backward_by<S: Simd>(
    simd: S,
    values: &[f32],
    weights: &[f32],
    g: &[f32],
    gradient: &mut [f32],
) -> Vec<f32> {
    let channels = weights.len();
    let mut shares = vec![0.0; channels + 1];
    // In strips, so that no sum of many terms loses digits.
    for strip in (0..g.len()).step_by(256) {
        let cells = strip..g.len().min(strip + 256);
        for c in (0..channels).step_by(LANES) {
            let (weight, mut sum) = (load(simd, weights, c), f32x8::splat(simd, 0.0));
            for cell in cells.clone() {
                let g = f32x8::splat(simd, g[cell]);
                store(weight * g, gradient, cell * channels + c);
                sum = g.mul_add(load(simd, values, cell * channels + c), sum);
            }
            store(load(simd, &shares, c) + sum, &mut shares, c);
        }
        shares[channels] += g[cells].iter().sum::<f32>();
    }
    shares
}
