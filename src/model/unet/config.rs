//! The choices that make an architecture (docs/network.md).

use crate::model::Activation;
use crate::model::settings::choice::choice;
use crate::model::settings::{Described, Range, on_off, settings};
use crate::{Error, Result};
use serde::{Deserialize, Deserializer};
use std::fmt;

/// How many levels a network can have.
pub const LEVELS: Range = Range::Within(1, 6);

/// The largest batch: kernels have one workgroup per sample along one axis of a dispatch.
pub const MAX_BATCH: usize = 65535;

choice! {
    /// What a 3×3 convolution reads beyond the border.
    #[derive(Default)]
    pub enum Padding {
        /// The opposite side, as on a torus and in PhiFlow 2's network.
        #[default]
        Circular = "circular",
        /// Zeros, as in PhiFlow 3's network.
        Zero = "zero",
    }
}

settings! {
    /// The architecture.
    #[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
    #[serde(default)]
    #[cfg_attr(feature = "cli", derive(clap::Args), group(skip))]
    pub struct UNetConfig {
        /// Filters of all levels, or a list from the finest to the coarsest such as 16,32,48,64 (multiples of
        /// 8).
        #[cfg_attr(feature = "cli", arg(long, value_delimiter = ','))]
        #[serde(deserialize_with = "one_or_several")]
        pub filters: Vec<usize> = vec![16; 4];
        /// What convolutions read beyond the border: circular (PhiFlow 2) or zero (PhiFlow 3).
        #[cfg_attr(feature = "cli", arg(long))]
        pub padding: Padding = Padding::Circular;
        /// The first activation of every double convolution, whose second is ReLU as in the reference; both
        /// activations of residual blocks (docs/network.md).
        #[cfg_attr(feature = "cli", arg(long))]
        pub activation: Activation = Activation::Relu;
        /// Batch norm behind the convolutions; without it their biases are trained (docs/network.md).
        #[cfg_attr(feature = "cli", arg(
            long,
            value_name = "on|off",
            action = clap::ArgAction::Set,
            value_parser = on_off::parse,
        ))]
        #[serde(with = "on_off")]
        pub batch_norm: bool = true;
        /// Residual blocks in the place of double convolutions (docs/network.md).
        #[cfg_attr(feature = "cli", arg(long))]
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        pub res_blocks: bool = false;
    }
}

/// A file may have a single number where the flag takes one.
fn one_or_several<'de, D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Vec<usize>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Numbers {
        One(usize),
        Several(Vec<usize>),
    }
    Ok(match Numbers::deserialize(deserializer)? {
        Numbers::One(number) => vec![number],
        Numbers::Several(numbers) => numbers,
    })
}

/// It has no value of its own in a file: its fields stand among the others.
impl Described for UNetConfig {
    fn words() -> String {
        "the network's settings".to_owned()
    }
}

impl fmt::Display for UNetConfig {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{:?} {}", self.filters, self.padding)?;
        if self.activation != Activation::Relu {
            write!(f, " {}", self.activation)?;
        }
        f.write_str(if self.res_blocks { " residual" } else { "" })?;
        f.write_str(if self.batch_norm { "" } else { " without batch norm" })
    }
}

impl UNetConfig {
    /// A network of 1 to 6 levels with multiples of 8 up to 1024 as `filters`: one number for all levels or
    /// one for each. Everything else is as in the default.
    ///
    /// # Errors
    /// As [`UNetConfig::with_levels`].
    pub fn new(levels: usize, filters: &[usize], padding: Padding) -> Result<Self> {
        Self { filters: filters.to_vec(), padding, ..Self::default() }.with_levels(levels)
    }

    /// This architecture with `levels` levels: a single number in `filters` is meant for all of them.
    ///
    /// # Errors
    /// [`Error::Usage`] for impossible numbers, and where there are neither one nor `levels` of them.
    pub fn with_levels(self, levels: usize) -> Result<Self> {
        LEVELS.check("levels", levels as f64)?;
        if let Some(bad) = self.filters.iter().find(|&&f| f == 0 || f % 8 != 0 || f > 1024) {
            return Err(Error::usage(format!("filters {bad}: must be a multiple of 8 from 8 to 1024")));
        }
        match self.filters[..] {
            [one] => Ok(Self { filters: vec![one; levels], ..self }),
            _ if self.filters.len() == levels => Ok(self),
            _ => Err(Error::usage(format!(
                "filters: {} numbers for {levels} levels; give one number, or one for each level",
                self.filters.len()
            ))),
        }
    }

    /// Number of levels, from 1 to 6.
    pub fn levels(&self) -> usize {
        self.filters.len()
    }

    /// Checks that the network can take `batch` fields of `nx` × `ny` cells.
    ///
    /// # Errors
    /// [`Error::Usage`] unless both sides are divisible by 2^(levels-1), the batch is from 1 to
    /// [`MAX_BATCH`], and batch norms have more than one value per channel at the coarsest level: a single
    /// value has no variance.
    pub fn check_input(&self, batch: usize, nx: usize, ny: usize) -> Result<()> {
        let divisor = 1 << (self.levels() - 1);
        if !nx.is_multiple_of(divisor) || !ny.is_multiple_of(divisor) {
            return Err(Error::usage(format!(
                "size {nx}x{ny}: each side must be divisible by {divisor} for {} levels; use fewer levels or \
                 a larger size",
                self.levels()
            )));
        }
        if !(1..=MAX_BATCH).contains(&batch) {
            return Err(Error::usage(format!("batch {batch}: must be from 1 to {MAX_BATCH}")));
        }
        if self.batch_norm && batch * (nx / divisor) * (ny / divisor) == 1 {
            return Err(Error::usage(format!(
                "batch 1 with a 1x1 coarsest level ({nx}x{ny}, {} levels): batch normalisation needs more \
                 than one value; use a larger batch or fewer levels",
                self.levels()
            )));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn impossible_requests_are_refused() {
        assert!(UNetConfig::new(0, &[16], Padding::Circular).is_err());
        assert!(UNetConfig::new(7, &[16], Padding::Circular).is_err());
        assert!(UNetConfig::new(4, &[12], Padding::Circular).is_err());
        assert!(UNetConfig::new(4, &[16, 16], Padding::Circular).is_err());
        let net = UNetConfig::default();
        assert!(net.check_input(1, 64, 64).is_ok());
        assert!(net.check_input(1, 8, 8).is_err());
        assert!(net.check_input(2, 8, 8).is_ok());
        assert!(net.check_input(0, 64, 64).is_err());
        assert!(UNetConfig::new(5, &[16], Padding::Circular).unwrap().check_input(4, 8, 8).is_err());
    }
}
