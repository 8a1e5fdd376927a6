//! The settings of a run: what `config.toml` holds.

use crate::model::{Adam, HeatEquation, Method, Precision, UNet, UNetConfig};
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A grid's size, written `64x64`: cells along x, then along y.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Size {
    /// Cells along x.
    pub nx: usize,
    /// Cells along y.
    pub ny: usize,
}

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let parse = |part: &str| part.trim().parse::<usize>().ok();
        match text.split_once(['x', 'X', '×']).map(|(nx, ny)| (parse(nx), parse(ny))) {
            Some((Some(nx), Some(ny))) => Ok(Self { nx, ny }),
            _ => Err(format!("'{text}' is not a size: write it like 64x64")),
        }
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}x{}", self.nx, self.ny)
    }
}

impl TryFrom<String> for Size {
    type Error = String;

    fn try_from(text: String) -> std::result::Result<Self, String> {
        text.parse()
    }
}

impl From<Size> for String {
    fn from(size: Size) -> Self {
        size.to_string()
    }
}

/// Every setting of a training run, named like its flag.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainConfig {
    /// The training signal.
    pub method: Method,
    /// Updates.
    pub steps: u64,
    /// Samples per step.
    pub batch: usize,
    /// The grid.
    pub size: Size,
    /// Diffusivity × time in cells².
    pub amount: f64,
    /// In how many bits the physics is computed; the network always takes 32.
    pub physics: Precision,
    /// Adam's learning rate.
    pub lr: f64,
    /// Levels of the U-Net.
    pub levels: usize,
    /// Filters of all levels, or of each from the finest to the coarsest.
    pub filters: Vec<usize>,
    /// Seed of weights and data.
    pub seed: u64,
    /// `auto`, `cpu`, an adapter's number or a part of its name.
    pub device: String,
}

impl Default for TrainConfig {
    fn default() -> Self {
        Self {
            method: Method::Sip,
            steps: 50,
            batch: 128,
            size: Size { nx: 64, ny: 64 },
            amount: 8.0,
            physics: Precision::F32,
            lr: 1e-3,
            levels: 4,
            filters: vec![16],
            seed: 0,
            device: "auto".to_owned(),
        }
    }
}

/// A configuration that has passed every check.
pub struct Plan {
    /// The physics.
    pub heat: HeatEquation,
    /// The network.
    pub net: UNet,
    /// The optimiser.
    pub adam: Adam,
}

impl TrainConfig {
    /// Checks every value; the error names the first that is impossible.
    pub fn plan(&self) -> Result<Plan> {
        let heat = HeatEquation::new(self.size.nx, self.size.ny, self.amount)?;
        let unet = UNetConfig::new(self.levels, &self.filters)?;
        unet.check_input(self.batch, heat.nx, heat.ny)?;
        if self.steps == 0 {
            return Err(Error::usage("steps 0: must be at least 1"));
        }
        if !(self.lr.is_finite() && self.lr > 0.0) {
            return Err(Error::usage(format!("lr {}: must be a positive number", self.lr)));
        }
        let adam = Adam { learning_rate: self.lr, ..Adam::default() };
        Ok(Plan { heat, net: UNet::new(&unet), adam })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_possible_and_survives_toml() {
        let config = TrainConfig::default();
        config.plan().unwrap();
        let text = toml::to_string(&config).unwrap();
        assert!(text.contains("size = \"64x64\"") && text.contains("method = \"sip\""), "{text}");
        assert!(text.contains("physics = \"f32\""), "{text}");
        assert_eq!(toml::from_str::<TrainConfig>(&text).unwrap(), config);
        assert!(toml::from_str::<TrainConfig>(&format!("{text}\nstep = 3")).is_err());
    }

    #[test]
    fn impossible_values_are_named() {
        let complain = |change: fn(&mut TrainConfig)| {
            let mut config = TrainConfig::default();
            change(&mut config);
            config.plan().err().map(|e| e.to_string()).unwrap_or_default()
        };
        assert!(complain(|c| c.steps = 0).contains("steps 0"));
        assert!(complain(|c| c.lr = f64::NAN).contains("lr NaN"));
        assert!(complain(|c| c.lr = -1.0).contains("lr -1"));
        assert!(complain(|c| c.batch = 0).contains("batch 0"));
        assert!(complain(|c| c.size.nx = 60).contains("32 or 64"));
        assert!(complain(|c| c.levels = 9).contains("levels 9"));
    }
}
