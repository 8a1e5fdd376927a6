//! What a network is shown of observations: these themselves, or their Tikhonov inverse (method §4a).

use crate::cpu::heat::physics::Physics;
use crate::model::Operator;
use rayon::prelude::*;

/// The inverse by which networks are shown the observations of one operator.
pub struct Shown {
    cells: usize,
    inverse: Physics<f64>,
}

impl Shown {
    /// With this λ.
    pub fn new(operator: &Operator, lambda: f64) -> Self {
        Self { cells: operator.cells(), inverse: Physics::new(&operator.tikhonov(lambda)) }
    }

    /// The inverse of observations of 32 bits, both `[batch, nx, ny]`, each by itself.
    pub fn of(&self, observations: &[f32]) -> Vec<f64> {
        let mut shown = vec![0.0; observations.len()];
        let fields = shown.par_chunks_exact_mut(self.cells).zip(observations.par_chunks_exact(self.cells));
        fields.for_each(|(shown, observation)| {
            let wide: Vec<f64> = observation.iter().map(|&y| y.into()).collect();
            self.inverse.diffuse(&wide, shown);
        });
        shown
    }
}

/// What a network that was trained with this λ, if any, is shown of observations `[batch, nx, ny]`.
pub fn shown(operator: &Operator, lambda: Option<f64>, observations: &[f32]) -> Vec<f32> {
    match lambda {
        None => observations.to_vec(),
        Some(lambda) => Shown::new(operator, lambda).of(observations).iter().map(|&v| v as f32).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::operator::tikhonov::gain;

    #[test]
    fn waves_come_back_by_their_gain_and_means_stay() {
        let (heat, lambda) = (Operator::heat(16, 32, 3.0).unwrap(), 1e-3);
        let wave = |cell: usize| {
            let (x, y) = ((cell / 32) as f64, (cell % 32) as f64);
            (std::f64::consts::TAU * (2.0 * x / 16.0 + 3.0 * y / 32.0)).cos()
        };
        let kernel = heat.kernel()[2 * 32 + 3];
        let observation: Vec<f32> = (0..512).map(|cell| (0.25 + kernel * wave(cell)) as f32).collect();
        // Two fields, of which the second is something else.
        let both = [observation.clone(), vec![7.0; 512]].concat();
        let seen = shown(&heat, Some(lambda), &both);
        assert_eq!(shown(&heat, None, &observation), observation);
        assert_eq!(seen[..512], shown(&heat, Some(lambda), &observation));
        for (cell, value) in seen[..512].iter().enumerate() {
            let expected = 0.25 + gain(kernel, lambda) * kernel * wave(cell);
            assert!((f64::from(*value) - expected).abs() < 2e-5, "{value} and not {expected}");
        }
        assert!(seen[512..].iter().all(|value| (value - 7.0).abs() < 1e-5));
    }
}
