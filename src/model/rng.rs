//! Random numbers whose key says what is drawn, so that any step can be drawn again alone.

use rand::rngs::ChaCha8Rng;
use rand::{Rng, SeedableRng};

/// What a stream of random numbers is for; different purposes never share numbers.
#[derive(Clone, Copy, Debug)]
pub enum Purpose {
    /// Rectangles of one sample of one training step.
    Rectangles = 1,
    /// Initial weights of one tensor.
    Weights = 2,
    /// Fresh examples for the pictures at the end.
    Examples = 3,
    /// Inputs of tests, checks and benchmarks.
    Cases = 4,
    /// The order of fields from a file in one pass.
    Shuffle = 5,
    /// Held-out fields, the same for every run.
    Validation = 6,
    /// Noise on the observation of one sample of one training step.
    Noise = 7,
    /// Noise on the observations of the fresh examples.
    ExampleNoise = 8,
    /// Noise on the observations of held-out fields.
    ValidationNoise = 9,
    /// Which piece of a picture is a sample of a training step.
    Crops = 10,
    /// Which pieces of pictures are the fresh examples.
    ExampleCrops = 11,
    /// Which pieces of pictures are held out.
    ValidationCrops = 12,
    /// Noise that a command adds to what it has diffused, keyed by what that is.
    Measurement = 13,
    /// Fields that a command writes into a file, which no training step draws.
    Generated = 14,
    /// The values of a setting in the runs of a sweep.
    Sweep = 15,
}

/// Uniform random numbers keyed by (purpose, seed, a, b). ChaCha with 8 rounds makes them, the same on every
/// platform.
pub struct Random(ChaCha8Rng);

impl Random {
    /// The stream for `purpose` and the three counters, such as (seed, step, sample).
    pub fn new(purpose: Purpose, seed: u64, a: u64, b: u64) -> Self {
        let mut key = [0; 32];
        for (bytes, word) in key.chunks_exact_mut(8).zip([seed, a, b, purpose as u64]) {
            bytes.copy_from_slice(&word.to_le_bytes());
        }
        Self(ChaCha8Rng::from_seed(key))
    }

    /// The next number, uniform in [0, 1) with 53 random bits.
    pub fn uniform(&mut self) -> f64 {
        (self.0.next_u64() >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
    }

    /// The next number, uniform in [low, high).
    pub fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.uniform()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_differ_by_every_part_of_the_key_and_repeat() {
        let first = |p, s, a, b| Random::new(p, s, a, b).uniform();
        let reference = first(Purpose::Cases, 1, 2, 3);
        assert_eq!(reference, first(Purpose::Cases, 1, 2, 3));
        for other in [
            first(Purpose::Weights, 1, 2, 3),
            first(Purpose::Cases, 0, 2, 3),
            first(Purpose::Cases, 1, 0, 3),
            first(Purpose::Cases, 1, 2, 0),
        ] {
            assert_ne!(reference, other);
        }
    }

    /// Every purpose, with a match that a new one must be added to.
    fn purposes() -> Vec<Purpose> {
        use Purpose::*;
        let all = vec![
            Rectangles,
            Weights,
            Examples,
            Cases,
            Shuffle,
            Validation,
            Noise,
            ExampleNoise,
            ValidationNoise,
            Crops,
            ExampleCrops,
            ValidationCrops,
            Measurement,
            Generated,
            Sweep,
        ];
        for purpose in &all {
            match purpose {
                Rectangles | Weights | Examples | Cases | Shuffle | Validation | Noise | ExampleNoise
                | ValidationNoise | Crops | ExampleCrops | ValidationCrops | Measurement | Generated
                | Sweep => {}
            }
        }
        all
    }

    /// Under equal seeds and counters, and under small other ones.
    #[test]
    fn no_two_purposes_share_a_stream() {
        let mut seen = std::collections::BTreeMap::new();
        for purpose in purposes() {
            for (seed, a, b) in [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 2, 3), (u64::MAX, 0, 0)] {
                let mut random = Random::new(purpose, seed, a, b);
                let numbers = [random.uniform().to_bits(), random.uniform().to_bits()];
                let other = seen.insert(numbers, (purpose, seed, a, b));
                assert!(other.is_none(), "{purpose:?} {seed} {a} {b} draws what {other:?} draws");
            }
        }
        assert_eq!(seen.len(), 6 * 15);
    }

    /// From ChaCha's definition, computed by a program of its own: blocks of 8 rounds, counted from 0, whose
    /// words are taken in order, the low one of each pair first. The data and the weights of every run depend
    /// on these numbers.
    #[test]
    fn the_stream_is_that_of_chacha_with_8_rounds() {
        let mut random = Random::new(Purpose::Cases, 1, 2, 3); // the key is the words 1, 2, 3, 4
        let draws: Vec<u64> = (0..501).map(|_| (random.uniform() * (1u64 << 53) as f64) as u64).collect();
        for (i, bits) in [
            (0, 0x0002_1f7e_fd15_c486),
            (1, 0x000b_0c58_0ff5_0fa6),
            (7, 0x0016_e4f0_2b3a_a69b),
            (8, 0x001a_27ee_c591_e969),
            (31, 0x0009_a5bc_399f_842d),
            (32, 0x0007_0d35_9dca_36a0),
            (33, 0x001a_f5e6_0877_24b4),
            (500, 0x0000_568c_2a4c_7451),
        ] {
            assert_eq!(draws[i], bits, "number {i}");
        }
    }

    #[test]
    fn uniform_fills_the_unit_interval_evenly() {
        let mut random = Random::new(Purpose::Cases, 0, 0, 0);
        let draws: Vec<f64> = (0..10_000).map(|_| random.uniform()).collect();
        assert!(draws.iter().all(|u| (0.0..1.0).contains(u)));
        let mean = draws.iter().sum::<f64>() / 1e4;
        let variance = draws.iter().map(|u| (u - mean).powi(2)).sum::<f64>() / 1e4;
        assert!((mean - 0.5).abs() < 0.01 && (variance - 1.0 / 12.0).abs() < 0.003);
    }
}
