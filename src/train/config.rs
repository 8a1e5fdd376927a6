//! The settings of a run: what `config.toml` holds.

use super::data::{self, Data, Noise, Source};
use crate::io::{npy, weights};
use crate::model::init::State;
use crate::model::{Adam, HeatEquation, Method, Padding, Precision, Storage, UNet, UNetConfig};
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::PathBuf;
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
    /// In how many bits the network's activations and their gradients are stored.
    #[serde(default)]
    pub activations: Storage,
    /// Adam's learning rate.
    pub lr: f64,
    /// Levels of the U-Net.
    pub levels: usize,
    /// Filters of all levels, or of each from the finest to the coarsest.
    pub filters: Vec<usize>,
    /// What the network's convolutions read beyond the border.
    #[serde(default)]
    pub padding: Padding,
    /// Weights to start from, which have the levels, filters and padding above; none: drawn from the seed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights: Option<PathBuf>,
    /// Fields to train on, which have the size above; none: random rectangles.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<PathBuf>,
    /// Whether the fields of the file are taken in a random order, a new one for every pass.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub shuffle: bool,
    /// Where the parameter gradients of the last step go.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub save_gradients: Option<PathBuf>,
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
            activations: Storage::F32,
            lr: 1e-3,
            levels: 4,
            filters: vec![16],
            padding: Padding::Circular,
            weights: None,
            data: None,
            shuffle: false,
            save_gradients: None,
            seed: 0,
            device: "auto".to_owned(),
        }
    }
}

/// A configuration that has passed every check, with its files read.
pub struct Plan {
    /// The physics.
    pub heat: HeatEquation,
    /// The network.
    pub net: UNet,
    /// The optimiser.
    pub adam: Adam,
    /// Weights before the first step.
    pub start: State,
    /// The fields x*.
    pub data: Data,
}

impl TrainConfig {
    /// Checks every value and reads the files; the error names the first that is impossible.
    ///
    /// # Errors
    /// [`Error::Usage`] for values that are out of range or contradict a file, [`Error::Io`] and [`Error::File`]
    /// for files.
    pub fn plan(&self) -> Result<Plan> {
        let (heat, net, start) = self.model()?;
        let adam = Adam { learning_rate: self.lr, ..Adam::default() };
        let truth = match &self.data {
            None => Source::Drawn,
            Some(path) => Source::File(data::File::new(npy::read(path)?, self.shuffle.then_some(self.seed))),
        };
        let Size { nx, ny } = self.size;
        let data = Data { seed: self.seed, batch: self.batch, nx, ny, truth, noise: Noise::None };
        Ok(Plan { heat, net, adam, start, data })
    }

    fn model(&self) -> Result<(HeatEquation, UNet, State)> {
        let heat = self.heat()?;
        let (net, start) = self.network()?;
        net.config.check_input(self.batch, heat.nx, heat.ny)?;
        if self.steps == 0 {
            return Err(Error::usage("steps 0: must be at least 1"));
        }
        if !(self.lr.is_finite() && self.lr > 0.0) {
            return Err(Error::usage(format!("lr {}: must be a positive number", self.lr)));
        }
        if self.shuffle && self.data.is_none() {
            return Err(Error::usage(
                "shuffle: needs fields from a file; add --data, or leave --shuffle out",
            ));
        }
        let paths = [&self.weights, &self.data, &self.save_gradients];
        if let Some(path) = paths.into_iter().flatten().find(|path| path.to_str().is_none()) {
            let path = path.display();
            return Err(Error::usage(format!(
                "{path}: the name is not UTF-8, so config.toml cannot hold it"
            )));
        }
        Ok((heat, net, start))
    }

    fn heat(&self) -> Result<HeatEquation> {
        let new = || HeatEquation::new(self.size.nx, self.size.ny, self.amount);
        let Some(path) = &self.data else { return new() };
        let [_, nx, ny] = npy::shape(path)?;
        let found = Size { nx, ny };
        if found != self.size {
            let (size, path) = (self.size, path.display());
            return Err(Error::usage(format!(
                "size {size}: {path} holds fields of {found}; leave --size out, or name another file"
            )));
        }
        HeatEquation::new(nx, ny, 0.0).map_err(|e| Error::file(path, e.to_string()))?;
        new()
    }

    fn network(&self) -> Result<(UNet, State)> {
        let Some(path) = &self.weights else {
            let net = UNet::new(&UNetConfig::new(self.levels, &self.filters, self.padding)?);
            let start = State::new(&net, self.seed);
            return Ok((net, start));
        };
        let (net, start) = weights::read(path)?;
        let list = |filters: &[usize]| filters.iter().map(usize::to_string).collect::<Vec<_>>().join(",");
        let filters = match self.filters[..] {
            [one] => vec![one; net.config.levels()],
            _ => self.filters.clone(),
        };
        for (flag, wanted, found) in [
            ("levels", self.levels.to_string(), net.config.levels().to_string()),
            ("filters", list(&filters), list(&net.config.filters)),
            ("padding", self.padding.to_string(), net.config.padding.to_string()),
        ] {
            if wanted != found {
                let path = path.display();
                return Err(Error::usage(format!(
                    "{flag} {wanted}: the network in {path} has {found}; leave --{flag} out, or name another file"
                )));
            }
        }
        Ok((net, start))
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
        assert!(text.contains("physics = \"f32\"") && text.contains("activations = \"f32\""), "{text}");
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
