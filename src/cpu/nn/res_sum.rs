//! The sum of a residual block (docs/network.md).

use crate::cpu::Real;
use crate::cpu::nn::batch_norm::{self, Norm};
use crate::model::Activation;

/// out = activation(norm(z)) + shortcut_norm(shortcut) of one plane. A shortcut without a convolution has the
/// norm `Norm::bias(0)`, which changes nothing.
pub fn res_sum<T: Real>(
    function: Activation,
    norm: Norm<T>,
    z: &[T],
    shortcut_norm: Norm<T>,
    shortcut: &[T],
    out: &mut [T],
) {
    batch_norm::activate(function, norm, z, out);
    out.iter_mut().zip(shortcut).for_each(|(out, &x)| *out += shortcut_norm.argument(x));
}
