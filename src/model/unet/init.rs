//! Initial weights, drawn from the distributions of PyTorch's defaults (method §5).

use crate::model::rng::{Purpose, Random};
use crate::model::unet::{Place, UNet};

/// Parameters, running statistics and the number of batches that they have seen.
#[derive(Clone, Debug, PartialEq)]
pub struct State {
    /// Flat parameters in the order of [`UNet::entries`].
    pub params: Vec<f32>,
    /// Flat running means and variances, in the same order.
    pub buffers: Vec<f32>,
    /// Training batches that have gone into the running statistics.
    pub batches_tracked: i64,
}

impl State {
    /// A fresh network: weights and biases of convolutions are uniform in ±1/√fan_in, batch norms have γ = 1,
    /// β = 0, a running mean of 0 and a running variance of 1.
    ///
    /// The tensor at position i of the state dict has a random stream of its own, keyed by (seed, i).
    pub fn new(net: &UNet, seed: u64) -> Self {
        let mut params = vec![0.0; net.param_count];
        let mut buffers = vec![0.0; net.buffer_count];
        for (i, entry) in net.entries.iter().enumerate() {
            let mut random = Random::new(Purpose::Weights, seed, i as u64, 0);
            match entry.place {
                Place::Param(offset) => params[offset..][..entry.len()].fill_with(|| match entry.bound {
                    0.0 if entry.name.ends_with("weight") => 1.0,
                    0.0 => 0.0,
                    bound => random.between(-bound, bound) as f32,
                }),
                Place::Buffer(offset) if entry.name.ends_with("var") => {
                    buffers[offset..][..entry.len()].fill(1.0);
                }
                Place::Buffer(_) | Place::BatchesTracked => {}
            }
        }
        Self { params, buffers, batches_tracked: 0 }
    }

    /// Whether every number is finite.
    pub fn is_finite(&self) -> bool {
        self.params.iter().chain(&self.buffers).all(|v| v.is_finite())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::UNetConfig;

    #[test]
    fn bounds_are_those_of_the_method() {
        let net = UNet::new(&UNetConfig::default());
        let state = State::new(&net, 0);
        for (name, bound) in [
            ("inc.double_conv.0.weight", 0.3333),
            ("down2.conv.double_conv.3.weight", 0.08333),
            ("up1.conv.double_conv.0.weight", 0.058926),
            ("outc.weight", 0.25),
        ] {
            let entry = net.entries.iter().find(|e| e.name == name).unwrap();
            let Place::Param(offset) = entry.place else { panic!() };
            let largest = state.params[offset..][..entry.len()].iter().fold(0.0f32, |m, w| m.max(w.abs()));
            assert!((0.8 * bound..=bound + 1e-4).contains(&f64::from(largest)), "{name}: {largest}");
        }
        assert_ne!(state, State::new(&net, 1));
        assert_eq!(state, State::new(&net, 0));
    }
}
