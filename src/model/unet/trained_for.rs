//! What a network was trained for, kept beside its weights.

use crate::model::Operator;
use crate::model::operator::factor::words;
use serde::{Deserialize, Serialize};

/// The observations that a network has learned from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrainedFor {
    /// Diffusivity × time, in cells²; none where something else than diffusion has made the observations.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount: Option<f64>,
    /// What else has made the observations, such as `disk:3` or `psf of 9x9 cells, checksum 1a2b3c4d`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operator: Option<String>,
    /// The λ of the Tikhonov inverse that the network sees in the place of an observation, if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tikhonov: Option<f64>,
    /// The standard deviation of the noise in a cell.
    pub noise: f64,
    /// The mean over observations of their mean.
    pub mean: f64,
    /// The root mean square over observations of the standard deviation of their cells.
    pub spread: f64,
    /// What lay beyond the edges of its fields.
    pub edges: TrainedEdges,
}

/// What lies beyond the edges of training fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TrainedEdges {
    /// The other side of the field.
    Periodic,
}

impl TrainedFor {
    /// What these observations `[count, cells]` by `operator`, with `noise`, amount to for a network that
    /// sees them as they are.
    pub fn of(observations: &[f32], operator: &Operator, noise: f64) -> Self {
        let cells = operator.cells();
        let count = (observations.len() / cells) as f64;
        let (mut means, mut variances) = (0.0, 0.0);
        for observation in observations.chunks_exact(cells) {
            let mean = observation.iter().map(|&v| f64::from(v)).sum::<f64>() / cells as f64;
            let squares: f64 = observation.iter().map(|&v| (f64::from(v) - mean).powi(2)).sum();
            means += mean;
            variances += squares / cells as f64;
        }
        let spread = (variances / count).sqrt();
        let amount = operator.amount();
        let operator = amount.is_none().then(|| words(operator.factors()));
        Self {
            amount,
            operator,
            tikhonov: None,
            noise,
            mean: means / count,
            spread,
            edges: TrainedEdges::Periodic,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::operator::factor::Factor;

    #[test]
    fn mean_and_spread_are_those_of_the_observations() {
        let operator = Operator::heat(8, 8, 8.0).unwrap();
        let observations = [[1.0, 3.0].repeat(32), [5.0, 5.0].repeat(32)].concat();
        let found = TrainedFor::of(&observations, &operator, 1e-3);
        assert_eq!((found.mean, found.spread), (3.5, 0.5f64.sqrt()));
        assert_eq!((found.amount, found.operator), (Some(8.0), None));
        let disk = Operator::of(8, 8, &[Factor::Disk(2.0), Factor::Poisson]).unwrap();
        let found = TrainedFor::of(&observations, &disk, 0.0);
        assert_eq!((found.amount, found.operator.as_deref()), (None, Some("disk:2+poisson")));
    }
}
