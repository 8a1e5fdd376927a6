//! How the tuned kernels are cut into invocations, and which cut is in force for which work.
//!
//! A variant decides what an invocation owns, never the partition or the order of a sum: whatever is chosen,
//! results are equal bit by bit (`tests/integration/numbers/variants.rs`).

use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// What an invocation of a tuned kernel owns. Its numbers are powers of two; a file keeps it as `tiled 4x8`
/// or `direct 2`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Variant {
    /// A kernel with tiles in workgroup memory, for every device.
    Tiled {
        /// Pixels along x of an invocation; of the weight gradient, vectors of four output channels.
        patch: u32,
        /// Input channels in workgroup memory at a time; of the weight gradient always 1.
        channels: u32,
    },
    /// A kernel without tiles, whose invocations hand values to each other within their subgroup.
    Direct {
        /// Pixels along x of an invocation; of the weight gradient, vectors of four output channels.
        patch: u32,
    },
}

impl Variant {
    /// How much code it makes, on a scale of its own: compilers unroll both loops, and in a direct kernel an
    /// invocation has all output channels.
    pub fn cost(self) -> u32 {
        match self {
            Self::Tiled { patch, channels } => patch.saturating_mul(channels),
            Self::Direct { patch } => patch.saturating_mul(8),
        }
    }

    /// Whether it is the direct kernel.
    pub fn is_direct(self) -> bool {
        matches!(self, Self::Direct { .. })
    }

    /// Whether it is `other`, or the same kernel with a larger number and no smaller one, so that it compiles
    /// no faster.
    pub fn is_no_smaller_than(self, other: Self) -> bool {
        match (self, other) {
            (Self::Tiled { patch, channels }, Self::Tiled { patch: p, channels: c }) => {
                patch >= p && channels >= c
            }
            (Self::Direct { patch }, Self::Direct { patch: p }) => patch >= p,
            _ => false,
        }
    }

    /// Whether it is the same kernel with one number doubled or halved.
    pub fn is_next_to(self, other: Self) -> bool {
        let doublings = |a: u32, b: u32| a.max(1).ilog2().abs_diff(b.max(1).ilog2());
        match (self, other) {
            (Self::Tiled { patch, channels }, Self::Tiled { patch: p, channels: c }) => {
                doublings(patch, p) + doublings(channels, c) == 1
            }
            (Self::Direct { patch }, Self::Direct { patch: p }) => doublings(patch, p) == 1,
            _ => false,
        }
    }
}

impl fmt::Display for Variant {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Tiled { patch, channels } => write!(f, "tiled {patch}x{channels}"),
            Self::Direct { patch } => write!(f, "direct {patch}"),
        }
    }
}

impl From<Variant> for String {
    fn from(variant: Variant) -> Self {
        variant.to_string()
    }
}

impl TryFrom<String> for Variant {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let parsed = match text.split_once(' ') {
            Some(("tiled", numbers)) => numbers.split_once('x').and_then(|(patch, channels)| {
                Some(Self::Tiled { patch: patch.parse().ok()?, channels: channels.parse().ok()? })
            }),
            Some(("direct", patch)) => patch.parse().ok().map(|patch| Self::Direct { patch }),
            _ => None,
        };
        parsed.ok_or_else(|| format!("'{text}': must be a variant such as 'tiled 4x8' or 'direct 2'"))
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

    fn tiled(patch: u32, channels: u32) -> Variant {
        Variant::Tiled { patch, channels }
    }

    fn direct(patch: u32) -> Variant {
        Variant::Direct { patch }
    }

    fn key(kernel: &str, tile: [u32; 3], tiles: u32) -> Key {
        Key { kernel: kernel.to_owned(), tile, block_quads: 4, tiles }
    }

    #[test]
    fn the_most_similar_work_decides() {
        let (wide, small) = ([1, 16, 16], [4, 8, 8]);
        let all: Variants = [
            (key("a", wide, 2048), tiled(8, 8)),
            (key("a", wide, 64), tiled(2, 4)),
            (key("a", small, 64), tiled(1, 1)),
            (key("b", wide, 64), tiled(4, 2)),
        ]
        .into_iter()
        .collect();
        let possible = [tiled(8, 8), tiled(2, 4), tiled(1, 1), tiled(4, 2)];
        let nearest = |key: Key| all.nearest(&key, &possible);
        assert_eq!(nearest(key("a", wide, 2048)), Some(tiled(8, 8)));
        assert_eq!(nearest(key("a", wide, 1024)), Some(tiled(8, 8)));
        assert_eq!(nearest(key("a", wide, 1)), Some(tiled(2, 4)));
        assert_eq!(nearest(key("a", small, 4096)), Some(tiled(1, 1)));
        assert_eq!(nearest(key("c", wide, 64)), None);
        assert_eq!(
            all.nearest(&key("a", wide, 2048), &possible[1..]),
            Some(tiled(2, 4)),
            "8, 8 is no choice"
        );
        assert_eq!(all.nearest(&key("a", wide, 2048), &[]), None);
    }

    #[test]
    fn rounds_meet_every_choice() {
        let all: Variants = [
            (key("a", [1, 16, 16], 64), tiled(8, 8)),
            (key("a", [1, 16, 16], 32), tiled(4, 4)),
            (key("a", [4, 8, 8], 32), tiled(4, 4)),
            (key("b", [4, 8, 8], 32), tiled(2, 1)),
        ]
        .into_iter()
        .collect();
        let rounds = all.rounds();
        let possible = [tiled(8, 8), tiled(4, 4), tiled(2, 1)];
        let met = |kernel: &str| -> Vec<_> {
            rounds
                .iter()
                .map(|round| round.nearest(&key(kernel, [1, 16, 16], 1), &possible).unwrap())
                .collect()
        };
        assert_eq!(met("a"), [tiled(4, 4), tiled(8, 8)]);
        assert_eq!(met("b"), [tiled(2, 1), tiled(2, 1)]);
        assert!(Variants::new().rounds().is_empty());
    }

    #[test]
    fn hostile_numbers_do_no_harm() {
        let (zero, huge) = (tiled(0, 1), tiled(u32::MAX, u32::MAX));
        assert!(!zero.is_next_to(huge) && huge.is_no_smaller_than(zero) && huge.cost() == u32::MAX);
        assert!(direct(u32::MAX).cost() == u32::MAX && direct(0).cost() == 0);
    }

    #[test]
    fn direct_ones_are_compared_with_their_own_kind() {
        assert!(!direct(2).is_next_to(tiled(2, 1)) && !tiled(2, 1).is_next_to(direct(2)));
        assert!(direct(2).is_next_to(direct(1)) && !direct(2).is_next_to(direct(2)));
        assert!(!tiled(2, 1).is_no_smaller_than(direct(2)) && !direct(2).is_no_smaller_than(tiled(2, 1)));
        assert!(direct(2).is_no_smaller_than(direct(1)));
    }

    #[test]
    fn names_are_read_again() {
        for variant in [tiled(4, 8), direct(2)] {
            assert_eq!(Variant::try_from(String::from(variant)), Ok(variant));
        }
        for text in
            ["", "tiled", "tiled 4", "tiled 4x-8", "direct", "direct 2x2", "direct 99999999999", "4x8"]
        {
            assert!(
                Variant::try_from(text.to_owned()).unwrap_err().contains("such as 'tiled 4x8'"),
                "{text}"
            );
        }
    }
}
