//! The final 1×1 convolution to one channel (method §5). Its input is what a function `value` makes of a
//! channel's number and of a stored value: an activation from a convolution's output, or the value itself.

use crate::cpu::Real;
use crate::cpu::reduce::sum;

/// out = bias + Σ_c w_c·value_c for one sample; `stored` is `[channels, cells]`, `out` is `[cells]`,
/// overwritten.
pub fn conv1x1<T: Real>(value: impl Fn(usize, T) -> T, stored: &[T], weights: &[T], bias: T, out: &mut [T]) {
    out.fill(bias);
    for (c, (plane, &w)) in stored.chunks_exact(out.len()).zip(weights).enumerate() {
        for (o, &z) in out.iter_mut().zip(plane) {
            *o += w * value(c, z);
        }
    }
}

/// From `g` = ∂L/∂out of one sample: writes ∂L/∂value_c = w_c·g to `gradient` `[channels, cells]`, and
/// returns the sample's share of ∂L/∂w_c = Σ g·value_c, with ∂L/∂bias = Σ g as the last element.
pub fn conv1x1_backward<T: Real>(
    value: impl Fn(usize, T) -> T,
    stored: &[T],
    weights: &[T],
    g: &[T],
    gradient: &mut [T],
) -> Vec<T> {
    let cells = g.len();
    let mut shares = Vec::with_capacity(weights.len() + 1);
    for (c, &w) in weights.iter().enumerate() {
        let plane = &stored[c * cells..][..cells];
        for (o, &g) in gradient[c * cells..][..cells].iter_mut().zip(g) {
            *o = w * g;
        }
        shares.push(sum(cells, |i| g[i] * value(c, plane[i])));
    }
    shares.push(sum(cells, |i| g[i]));
    shares
}
