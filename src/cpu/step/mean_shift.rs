//! The prediction takes over the mean of the truth, which diffusion preserves (method §4).

use crate::cpu::Real;
use crate::cpu::reduce::sum;

/// prediction = o + (mean(truth) - mean(o)) for one sample; all `[nx, ny]`.
pub fn mean_shift<T: Real>(output: &[T], truth: &[T], prediction: &mut [T]) {
    let shift = mean(truth) - mean(output);
    for (p, &o) in prediction.iter_mut().zip(output) {
        *p = o + shift;
    }
}

/// The adjoint: ∂L/∂o = g - mean(g) for g = ∂L/∂prediction, in place.
pub fn mean_shift_backward<T: Real>(gradient: &mut [T]) {
    let shift = mean(gradient);
    for g in gradient {
        *g -= shift;
    }
}

fn mean<T: Real>(field: &[T]) -> T {
    sum(field.len(), |i| field[i]) / T::of(field.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mean_is_the_truths_and_the_adjoint_is_exact() {
        let output: Vec<f64> = (0..64).map(|i| (i as f64 * 0.7).sin()).collect();
        let truth: Vec<f64> = (0..64).map(|i| (i as f64 * 0.3).cos() + 2.0).collect();
        let weight: Vec<f64> = (0..64).map(|i| (i as f64).sqrt()).collect();
        let mut prediction = vec![0.0; 64];
        mean_shift(&output, &truth, &mut prediction);
        assert!((mean(&prediction) - mean(&truth)).abs() < 1e-14);
        // <J o, w> = <o, Jᵀ w>, where J is the linear part o - mean(o).
        let offset = mean(&truth);
        let forward: f64 = prediction.iter().zip(&weight).map(|(p, w)| (p - offset) * w).sum();
        let mut adjoint = weight;
        mean_shift_backward(&mut adjoint);
        let backward: f64 = output.iter().zip(&adjoint).map(|(o, a)| o * a).sum();
        assert!((forward - backward).abs() < 1e-12);
    }
}
