//! From settings to a run's parts: every value checked, every file read.

use super::config::TrainConfig;
use super::data::{self, Data};
use super::size::Size;
use crate::io::{npy, weights};
use crate::model::init::State;
use crate::model::{Adam, HeatEquation, UNet, UNetConfig};
use crate::{Error, Result};
use std::path::Path;

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
    /// Fields x* that training does not see, `[count, nx, ny]`, where validation is asked for.
    pub held_out: Option<Vec<f64>>,
}

impl TrainConfig {
    /// Checks every value and reads the files; the error names the first that is impossible.
    ///
    /// # Errors
    /// [`Error::Usage`] for values that are out of range or contradict a file, [`Error::Io`] and [`Error::File`]
    /// for files.
    pub fn plan(&self) -> Result<Plan> {
        let (heat, net, start) = self.model()?;
        let adam = Adam { learning_rate: self.lr, schedule: self.schedule()?, ..Adam::default() };
        let data = match &self.data {
            None => {
                let Size { nx, ny } = self.size;
                Data::Drawn(data::Drawn { seed: self.seed, batch: self.batch, nx, ny })
            }
            Some(path) => {
                let shuffle = self.shuffle.then_some(self.seed);
                Data::File(data::File::new(npy::read(path)?, self.batch, shuffle))
            }
        };
        let held_out = self.held_out()?;
        Ok(Plan { heat, net, adam, start, data, held_out })
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
        self.check_names()?;
        Ok((heat, net, start))
    }

    fn heat(&self) -> Result<HeatEquation> {
        let Size { nx, ny } = self.size;
        if let Some(path) = &self.data {
            self.check_size(path)?;
            HeatEquation::new(nx, ny, 0.0).map_err(|e| Error::file(path, e.to_string()))?;
        }
        HeatEquation::new(nx, ny, self.amount)
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

    fn held_out(&self) -> Result<Option<Vec<f64>>> {
        let Size { nx, ny } = self.size;
        if self.validate_every == 0 {
            return match self.validation_data {
                None => Ok(None),
                Some(_) => {
                    Err(Error::usage("validation-data: is for --validate-every N; add that, or leave it out"))
                }
            };
        }
        let file = self.validation_data.as_deref();
        if file.is_none() && self.data.is_some() {
            return Err(Error::usage(
                "validate-every: fields that --data does not hold are needed; add --validation-data FILE.npy",
            ));
        }
        file.map_or(Ok(()), |path| self.check_size(path))?;
        data::held_out(file, self.batch, nx, ny).map(Some)
    }

    /// Refuses a file whose fields have another size.
    fn check_size(&self, path: &Path) -> Result<()> {
        let [_, nx, ny] = npy::shape(path)?;
        let found = Size { nx, ny };
        if found != self.size {
            let (size, path) = (self.size, path.display());
            return Err(Error::usage(format!(
                "size {size}: {path} holds fields of {found}; leave --size out, or name another file"
            )));
        }
        Ok(())
    }
}
