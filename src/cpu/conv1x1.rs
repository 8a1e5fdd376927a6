//! The final 1×1 convolution to one channel (SPEC 5), reading the last layer's activations.

use super::Real;
use super::batch_norm::Norm;
use super::reduce::sum;

/// out = bias + Σ_c w_c·activation_c for one sample; `z` is `[channels, cells]`, `out` is `[cells]`.
pub fn conv1x1<T: Real>(norms: &[Norm<T>], z: &[T], weights: &[T], bias: T, out: &mut [T]) {
    out.fill(bias);
    for ((norm, z), &w) in norms.iter().zip(z.chunks_exact(out.len())).zip(weights) {
        for (o, &z) in out.iter_mut().zip(z) {
            *o += w * norm.relu(z);
        }
    }
}

/// For one sample: ∂L/∂activation_c = w_c·g into `gradient` `[channels, cells]`; returns the sample's share of
/// ∂L/∂w_c = Σ g·activation_c, with ∂L/∂bias = Σ g as the last element.
pub fn conv1x1_backward<T: Real>(
    norms: &[Norm<T>],
    z: &[T],
    weights: &[T],
    g: &[T],
    gradient: &mut [T],
) -> Vec<T> {
    let cells = g.len();
    let mut shares = Vec::with_capacity(weights.len() + 1);
    for (c, norm) in norms.iter().enumerate() {
        let z = &z[c * cells..][..cells];
        for (o, &g) in gradient[c * cells..][..cells].iter_mut().zip(g) {
            *o = weights[c] * g;
        }
        shares.push(sum(cells, |i| g[i] * norm.relu(z[i])));
    }
    shares.push(sum(cells, |i| g[i]));
    shares
}
