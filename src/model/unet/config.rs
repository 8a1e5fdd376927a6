//! The choices that make an architecture (docs/network.md).

use crate::model::Activation;
use crate::{Error, Result};
use std::fmt;

/// The largest batch: kernels have one workgroup per sample along one axis of a dispatch.
pub const MAX_BATCH: usize = 65535;

/// What a 3×3 convolution reads beyond the border.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Padding {
    /// The opposite side, as on a torus and in PhiFlow 2's network.
    #[default]
    Circular,
    /// Zeros, as in PhiFlow 3's network.
    Zero,
}

impl fmt::Display for Padding {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Self::Circular => "circular",
            Self::Zero => "zero",
        })
    }
}

/// The architecture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UNetConfig {
    /// Channels per level from the finest to the coarsest: 1 to 6 entries, each a positive multiple of 8.
    pub filters: Vec<usize>,
    /// Padding of every 3×3 convolution.
    pub padding: Padding,
    /// The first activation of every double convolution; the second is ReLU in any case, as in the reference.
    /// In residual blocks, both activations.
    pub activation: Activation,
    /// Whether batch norms follow the convolutions; if not, the biases of the convolutions count.
    pub batch_norm: bool,
    /// Whether residual blocks take the place of double convolutions
    /// ([`ResBlock`](crate::model::unet::layout::ResBlock)).
    pub res_blocks: bool,
}

impl Default for UNetConfig {
    fn default() -> Self {
        Self {
            filters: vec![16; 4],
            padding: Padding::Circular,
            activation: Activation::Relu,
            batch_norm: true,
            res_blocks: false,
        }
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
    /// [`Error::Usage`] where a number is out of range.
    pub fn new(levels: usize, filters: &[usize], padding: Padding) -> Result<Self> {
        if !(1..=6).contains(&levels) {
            return Err(Error::usage(format!("levels {levels}: must be from 1 to 6")));
        }
        if let Some(bad) = filters.iter().find(|&&f| f == 0 || f % 8 != 0 || f > 1024) {
            return Err(Error::usage(format!("filters {bad}: must be a multiple of 8 from 8 to 1024")));
        }
        let of = |filters| Self { filters, padding, ..Self::default() };
        match filters {
            [one] => Ok(of(vec![*one; levels])),
            list if list.len() == levels => Ok(of(list.to_vec())),
            list => Err(Error::usage(format!(
                "filters: {} numbers for {levels} levels; give one number, or one for each level",
                list.len()
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
                "size {nx}x{ny}: each side must be divisible by {divisor} for {} levels; use fewer levels or a larger size",
                self.levels()
            )));
        }
        if !(1..=MAX_BATCH).contains(&batch) {
            return Err(Error::usage(format!("batch {batch}: must be from 1 to {MAX_BATCH}")));
        }
        if self.batch_norm && batch * (nx / divisor) * (ny / divisor) == 1 {
            return Err(Error::usage(format!(
                "batch 1 with a 1x1 coarsest level ({nx}x{ny}, {} levels): batch normalisation needs more than one value; use a larger batch or fewer levels",
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
