//! How the tuned kernels are cut into invocations, and which cut is in force for which work.
//!
//! A variant decides what an invocation owns, never the partition or the order of a sum: whatever is chosen,
//! results are equal bit by bit (`tests/variants.rs`).

use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Two powers of two, whose meaning is the kernel's: `[patch, channels]` of a convolution (`conv3x3`),
/// `[quads, 1]` of a weight gradient. With 0 for the second: the direct kernel, which has no tiles in
/// workgroup memory and needs subgroups.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Variant(pub [u32; 2]);

impl Variant {
    /// How much code it makes, on a scale of its own: compilers unroll both loops, and the direct kernels
    /// have all output channels in one invocation.
    pub fn cost(self) -> u32 {
        self.0[0].saturating_mul(if self.is_direct() { 8 } else { self.0[1] })
    }

    /// Whether its second number is 0: another kernel, without tiles in workgroup memory.
    fn is_direct(self) -> bool {
        self.0[1] == 0
    }

    /// Whether it is `other`, or larger along some axis and smaller along none, so that it compiles no
    /// faster.
    pub fn is_no_smaller_than(self, other: Self) -> bool {
        self.is_direct() == other.is_direct() && self.0.iter().zip(other.0).all(|(&own, other)| own >= other)
    }

    /// Whether one number is doubled or halved and the other the same; the direct ones are next to their own
    /// kind alone.
    pub fn is_next_to(self, other: Self) -> bool {
        if self.is_direct() != other.is_direct() {
            return false;
        }
        let [a, b] = [0, 1].map(|axis| self.0[axis].max(1).ilog2().abs_diff(other.0[axis].max(1).ilog2()));
        a + b == 1
    }
}

/// The work that a variant is chosen for. What reads and writes is in the kernel's name; the tile decides how
/// much workgroup memory is taken, and their number whether the device is full.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Key {
    /// The kernel's name.
    pub kernel: String,
    /// Samples, pixels along x, pixels along y of a workgroup.
    pub tile: [u32; 3],
    /// Vectors of four output channels of a workgroup.
    pub block_quads: u32,
    /// Tiles of all samples and blocks of output channels, rounded up to a power of two.
    pub tiles: u32,
}

impl Key {
    /// How unlike the work of two keys of the same kernel is: a tile or block that differs outweighs any
    /// number of tiles.
    fn distance(&self, other: &Self) -> (bool, bool, u32) {
        let doublings = |key: &Self| key.tiles.max(1).ilog2();
        (
            self.tile != other.tile,
            self.block_quads != other.block_quads,
            doublings(self).abs_diff(doublings(other)),
        )
    }
}

/// The variants in force on a device. Without any, kernels take their usual ones.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Variants(BTreeMap<Key, Variant>);

impl Variants {
    /// No choices.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether there are no choices.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All choices, in a fixed order.
    pub fn iter(&self) -> impl Iterator<Item = (&Key, Variant)> {
        self.0.iter().map(|(key, &variant)| (key, variant))
    }

    /// The choice for just this work.
    pub fn get(&self, key: &Key) -> Option<Variant> {
        self.0.get(key).copied()
    }

    /// Sets the choice for some work.
    pub fn insert(&mut self, key: Key, variant: Variant) {
        self.0.insert(key, variant);
    }

    /// The choice for this work, or for the most similar work of the same kernel, among those that are
    /// `possible`.
    pub fn nearest(&self, key: &Key, possible: &[Variant]) -> Option<Variant> {
        let same_kernel = self.iter().filter(|(other, _)| other.kernel == key.kernel);
        let usable = same_kernel.filter(|(_, variant)| possible.contains(variant));
        usable.min_by_key(|(other, _)| key.distance(other)).map(|(_, variant)| variant)
    }

    /// Sets of choices that between them put every chosen variant of every kernel in force for all its work,
    /// so that a list of small cases meets each of them.
    pub fn rounds(&self) -> Vec<Self> {
        let mut kernels: BTreeMap<&str, BTreeSet<Variant>> = BTreeMap::new();
        for (key, variant) in self.iter() {
            kernels.entry(&key.kernel).or_default().insert(variant);
        }
        let count = kernels.values().map(BTreeSet::len).max().unwrap_or(0);
        let round = |number: usize| {
            let choice = |(kernel, variants): (&&str, &BTreeSet<Variant>)| {
                let variant = variants.iter().nth(number % variants.len()).copied()?;
                Some((Key::of_all((*kernel).to_owned()), variant))
            };
            Self(kernels.iter().filter_map(choice).collect())
        };
        (0..count).map(round).collect()
    }
}

impl Key {
    /// A key that stands for all work of a kernel where it is the only one.
    pub fn of_all(kernel: String) -> Self {
        Self { kernel, tile: [0; 3], block_quads: 0, tiles: 0 }
    }
}

impl FromIterator<(Key, Variant)> for Variants {
    fn from_iter<T: IntoIterator<Item = (Key, Variant)>>(choices: T) -> Self {
        Self(choices.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(kernel: &str, tile: [u32; 3], tiles: u32) -> Key {
        Key { kernel: kernel.to_owned(), tile, block_quads: 4, tiles }
    }

    #[test]
    fn the_most_similar_work_decides() {
        let (wide, small) = ([1, 16, 16], [4, 8, 8]);
        let all: Variants = [
            (key("a", wide, 2048), Variant([8, 8])),
            (key("a", wide, 64), Variant([2, 4])),
            (key("a", small, 64), Variant([1, 1])),
            (key("b", wide, 64), Variant([4, 2])),
        ]
        .into_iter()
        .collect();
        let possible = [Variant([8, 8]), Variant([2, 4]), Variant([1, 1]), Variant([4, 2])];
        let nearest = |key: Key| all.nearest(&key, &possible);
        assert_eq!(nearest(key("a", wide, 2048)), Some(Variant([8, 8])));
        assert_eq!(nearest(key("a", wide, 1024)), Some(Variant([8, 8])));
        assert_eq!(nearest(key("a", wide, 1)), Some(Variant([2, 4])));
        assert_eq!(nearest(key("a", small, 4096)), Some(Variant([1, 1])));
        assert_eq!(nearest(key("c", wide, 64)), None);
        assert_eq!(
            all.nearest(&key("a", wide, 2048), &possible[1..]),
            Some(Variant([2, 4])),
            "8, 8 is no choice"
        );
        assert_eq!(all.nearest(&key("a", wide, 2048), &[]), None);
    }

    #[test]
    fn rounds_meet_every_choice() {
        let all: Variants = [
            (key("a", [1, 16, 16], 64), Variant([8, 8])),
            (key("a", [1, 16, 16], 32), Variant([4, 4])),
            (key("a", [4, 8, 8], 32), Variant([4, 4])),
            (key("b", [4, 8, 8], 32), Variant([2, 1])),
        ]
        .into_iter()
        .collect();
        let rounds = all.rounds();
        let possible = [Variant([8, 8]), Variant([4, 4]), Variant([2, 1])];
        let met = |kernel: &str| -> Vec<_> {
            rounds
                .iter()
                .map(|round| round.nearest(&key(kernel, [1, 16, 16], 1), &possible).unwrap())
                .collect()
        };
        assert_eq!(met("a"), [Variant([4, 4]), Variant([8, 8])]);
        assert_eq!(met("b"), [Variant([2, 1]), Variant([2, 1])]);
        assert!(Variants::new().rounds().is_empty());
    }

    #[test]
    fn hostile_numbers_do_no_harm() {
        let (zero, huge) = (Variant([0, 1]), Variant([u32::MAX, u32::MAX]));
        assert!(!zero.is_next_to(huge) && huge.is_no_smaller_than(zero) && huge.cost() == u32::MAX);
        assert!(Variant([u32::MAX, 0]).cost() == u32::MAX && Variant([0, 0]).cost() == 0);
    }

    #[test]
    fn direct_ones_are_compared_with_their_own_kind() {
        let (direct, staged) = (Variant([2, 0]), Variant([2, 1]));
        assert!(!direct.is_next_to(staged) && !staged.is_next_to(direct));
        assert!(direct.is_next_to(Variant([1, 0])) && !direct.is_next_to(direct));
        assert!(!staged.is_no_smaller_than(direct) && !direct.is_no_smaller_than(staged));
        assert!(direct.is_no_smaller_than(Variant([1, 0])));
    }
}
