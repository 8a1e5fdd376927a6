//! What files hold that a run draws from, in so few words that its checkpoint can keep them: a run that goes
//! on notices that they hold something else.

use crate::io::arrays::fields::{FieldData, Fields};
use hmac_sha256::Hash;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// The fingerprints of a run's files, by the names of the settings that name the files.
pub type Fingerprints = BTreeMap<String, Fingerprint>;

/// How many there are of what size, and digests of all values. Neither a file's name nor how it stores its
/// numbers matters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fingerprint {
    /// What is counted.
    pub of: Kind,
    /// How many there are.
    pub count: usize,
    /// The sizes, such as `64x64`.
    pub sizes: String,
    /// SHA-256 of the digests of all items, in order.
    pub in_order: String,
    /// The same with the digests sorted: it tells another order from other values.
    pub in_any_order: String,
}

/// What a file holds several of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Fields of one size.
    Field,
    /// Pictures, of which random pieces are taken.
    Picture,
    /// A network's weights.
    Network,
}

/// A field, a picture or a network: its size, and the SHA-256 of its values.
#[derive(Clone, Debug)]
pub struct Item {
    size: [usize; 2],
    digest: [u8; 32],
}

impl Item {
    /// Of `values`, which all types of numbers that files have are widened to exactly.
    pub fn new(size: [usize; 2], values: impl Iterator<Item = f64>) -> Self {
        let mut hasher = Hash::new();
        size.iter().for_each(|&side| hasher.update((side as u64).to_le_bytes()));
        hasher.update(values.flat_map(f64::to_le_bytes).collect::<Vec<u8>>());
        Self { size, digest: hasher.finalize() }
    }

    /// 64 bits of the digest, to draw random numbers by.
    pub fn key(&self) -> u64 {
        self.digest.iter().take(8).fold(0, |key, &byte| key << 8 | u64::from(byte))
    }
}

impl Fingerprint {
    /// Of these items, in this order.
    pub fn new(of: Kind, items: &[Item]) -> Self {
        let sizes: BTreeSet<[usize; 2]> = items.iter().map(|item| item.size).collect();
        let name = |[nx, ny]: &[usize; 2]| format!("{nx}x{ny}");
        let sizes = match (sizes.first(), sizes.last()) {
            (Some(one), Some(other)) if one == other => name(one),
            (Some(least), Some(most)) => format!("{} sizes, {} to {}", sizes.len(), name(least), name(most)),
            _ => "no size".to_owned(),
        };
        let mut digests: Vec<[u8; 32]> = items.iter().map(|item| item.digest).collect();
        let in_order = digest(&digests);
        digests.sort_unstable();
        Self { of, count: items.len(), sizes, in_order, in_any_order: digest(&digests) }
    }

    /// Of fields, whatever their type.
    pub fn of_fields(fields: &Fields) -> Self {
        let [_, nx, ny] = fields.shape;
        let items: Vec<Item> = match &fields.data {
            FieldData::F32(values) => values
                .par_chunks(nx * ny)
                .map(|field| Item::new([nx, ny], field.iter().map(|&v| f64::from(v))))
                .collect(),
            FieldData::F64(values) => {
                values.par_chunks(nx * ny).map(|field| Item::new([nx, ny], field.iter().copied())).collect()
            }
        };
        Self::new(Kind::Field, &items)
    }

    /// In what this differs from what a run began with, as a sentence about the file; none if in nothing.
    pub fn difference(&self, began: &Self) -> Option<String> {
        if self == began {
            return None;
        }
        let (one, many) = self.of.names();
        let (count, sizes) = (self.count, &self.sizes);
        let alike = self.of == began.of && self.sizes == began.sizes;
        Some(if self.of == Kind::Network {
            "holds other weights than when the run began".to_owned()
        } else if alike && count == began.count && self.in_any_order == began.in_any_order {
            format!("holds the {many} that the run began with in another order")
        } else if alike && count == began.count {
            format!("holds {self} as when the run began, but other values")
        } else if alike && count == began.count + 1 {
            format!("holds {count} {many} of {sizes}, one {one} more than the run began with")
        } else if alike && count + 1 == began.count {
            format!("holds {self}, one {one} less than the run began with")
        } else {
            format!("holds {self}, the run began with {began}")
        })
    }
}

impl Kind {
    /// One, and several.
    fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::Field => ("field", "fields"),
            Self::Picture => ("picture", "pictures"),
            Self::Network => ("network", "networks"),
        }
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let (one, many) = self.of.names();
        write!(f, "{} {} of {}", self.count, if self.count == 1 { one } else { many }, self.sizes)
    }
}

fn digest(digests: &[[u8; 32]]) -> String {
    Hash::hash(&digests.concat()).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(count: usize, change: impl Fn(usize) -> f64) -> Fields {
        Fields {
            shape: [count, 2, 3],
            data: FieldData::F64((0..6 * count).map(change).collect()),
            rank2: false,
        }
    }

    fn plain(count: usize) -> Fingerprint {
        Fingerprint::of_fields(&fields(count, |i| i as f64))
    }

    #[test]
    fn every_difference_is_named() {
        let began = plain(4);
        let says = |found: &Fingerprint| found.difference(&began).unwrap();
        assert_eq!(began.difference(&plain(4)), None);
        assert_eq!(says(&plain(2)), "holds 2 fields of 2x3, the run began with 4 fields of 2x3");
        assert_eq!(says(&plain(5)), "holds 5 fields of 2x3, one field more than the run began with");
        assert_eq!(says(&plain(3)), "holds 3 fields of 2x3, one field less than the run began with");
        for changed in [0, 13, 23] {
            let other = fields(4, |i| i as f64 + if i == changed { 1e-12 } else { 0.0 });
            let said = says(&Fingerprint::of_fields(&other));
            assert_eq!(said, "holds 4 fields of 2x3 as when the run began, but other values");
        }
        let reversed = fields(4, |i| ((3 - i / 6) * 6 + i % 6) as f64);
        assert!(says(&Fingerprint::of_fields(&reversed)).ends_with("in another order"));
        let turned = Fields { shape: [4, 3, 2], ..fields(4, |i| i as f64) };
        assert!(says(&Fingerprint::of_fields(&turned)).contains("4 fields of 3x2, the run began with 4"));
        let items: Vec<Item> = [[2, 3], [4, 4]].map(|size| Item::new(size, [0.5].into_iter())).to_vec();
        let pictures = Fingerprint::new(Kind::Picture, &items);
        assert!(says(&pictures).starts_with("holds 2 pictures of 2 sizes, 2x3 to 4x4, the run began with"));
    }

    #[test]
    fn the_type_of_the_numbers_does_not_matter_but_their_values_do() {
        let wide = fields(3, |i| i as f64 / 4.0);
        let narrow = FieldData::F32((0..18).map(|i| i as f32 / 4.0).collect());
        let narrow = Fields { data: narrow, ..wide.clone() };
        assert_eq!(Fingerprint::of_fields(&wide), Fingerprint::of_fields(&narrow));
        let third = fields(3, |i| i as f64 / 3.0); // which 32 bits round
        let rounded = FieldData::F32((0..18).map(|i| i as f32 / 3.0).collect());
        let rounded = Fields { data: rounded, ..third.clone() };
        assert_ne!(Fingerprint::of_fields(&third), Fingerprint::of_fields(&rounded));
    }
}
