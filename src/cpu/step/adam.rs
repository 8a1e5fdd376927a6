//! The Adam update over flat buffers (method §6).

use crate::cpu::Real;
use crate::model::Adam;

/// Update `t` = 1, 2, …: m ← β1·m + (1-β1)·g, v ← β2·v + (1-β2)·g², θ ← θ - step·m/(√v·root + ε).
pub fn adam<T: Real>(settings: &Adam, t: u64, gradients: &[T], params: &mut [T], m: &mut [T], v: &mut [T]) {
    let [beta1, beta2, epsilon] = [settings.beta1, settings.beta2, settings.epsilon].map(T::of);
    let (keep1, keep2) = (T::of(1.0 - settings.beta1), T::of(1.0 - settings.beta2));
    let (step, root) = (T::of(settings.step_size(t)), T::of(settings.root_scale(t)));
    for i in 0..params.len() {
        m[i] = beta1 * m[i] + keep1 * gradients[i];
        v[i] = beta2 * v[i] + keep2 * gradients[i] * gradients[i];
        params[i] -= step * m[i] / (v[i].sqrt() * root + epsilon);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_update_is_the_learning_rate_whatever_the_gradients_size() {
        let (mut params, mut m, mut v) = ([1.0f64; 3], [0.0; 3], [0.0; 3]);
        adam(&Adam::default(), 1, &[1e3, -1e-2, 0.0], &mut params, &mut m, &mut v);
        assert!((params[0] - 0.999).abs() < 1e-9);
        assert!((params[1] - 1.001).abs() < 1e-7);
        assert_eq!(params[2], 1.0);
    }
}
