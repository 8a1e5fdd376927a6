//! From settings to a run's parts: every value checked, every file read.

use crate::engine::ranks::Group;
use crate::engine::{Device, DeviceChoice, Trainer};
use crate::io::arrays::fingerprint::{Fingerprint, Fingerprints, Item, Kind};
use crate::io::arrays::npy::{self, FieldData, Fields};
use crate::io::arrays::weights;
use crate::io::images::folder::LeftOut;
use crate::io::images::format::is_pictures;
use crate::model::unet::init::State;
use crate::model::{DType, Operator, StepSpec, TrainedFor, UNet};
use crate::restore::measurement::noise::relative_rounding;
use crate::train::config::size::Size;
use crate::train::config::{TrainConfig, file};
use crate::train::data::picture_crops::Pictures;
use crate::train::data::{Data, File, HeldOut, Noise, Source};
use crate::train::found::Found;
use crate::train::same_data;
use crate::{Error, Result};
use std::path::Path;
use std::rc::Rc;

/// A configuration that has passed every check, with its files read.
pub struct Plan {
    /// What the engine is built for.
    pub step: StepSpec,
    /// Weights before the first step.
    pub start: State,
    /// The fields x*.
    pub data: Data,
    /// Fields that training does not see, where validation is asked for.
    pub held_out: Option<HeldOut>,
    /// What the files hold that all this comes from.
    pub fingerprints: Fingerprints,
    /// What the files to train on hold, if there are any.
    pub found: Option<Found>,
    /// Members of folders of pictures that are not used.
    pub left_out: Vec<LeftOut>,
    /// The processes that share the steps, of which this is the first; none: it trains alone.
    pub group: Option<Rc<dyn Group>>,
    /// Whether micro-batches are normalised together.
    syncs: bool,
    /// The settings that all this comes from, as a file.
    settings: String,
}

/// What another process of the group needs to know of a plan, from its settings: the device that is asked
/// for, and the steps.
///
/// # Errors
/// Those of [`TrainConfig::spec`].
pub fn parts_of(settings: &str, noise: f64) -> Result<(DeviceChoice, StepSpec)> {
    let from = Path::new("the first process's settings");
    let table = settings.parse().map_err(|_| Error::file(from, "cannot be read"))?;
    let config = file::config(&table, from)?;
    let Ok(asked) = config.device.parse();
    let mut spec = config.spec()?;
    spec.objective.noise = noise;
    Ok((asked, spec))
}

impl Plan {
    /// Builds the engine on `device`.
    ///
    /// # Errors
    /// Those of [`Trainer::new`]; that of a batch that is too large names the micro-batch that would fit.
    pub fn trainer(&self, device: &Device) -> Result<Trainer> {
        let trainer = match &self.group {
            None => Trainer::new(device, &self.step, &self.start),
            Some(group) => Trainer::shared(device, &self.step, &self.start, &self.settings, group),
        };
        trainer.map_err(|error| self.name_micro_batch(error))
    }

    /// What observations the network is going to learn from, judged by those of the examples.
    ///
    /// # Errors
    /// [`Error::Usage`] where the examples do not fit into memory.
    pub fn trained_for(&mut self) -> Result<TrainedFor> {
        let operator = &self.step.operator;
        let observations = HeldOut::of(self.data.examples(), operator.nx, operator.ny)?.observation(operator);
        let trained_for = TrainedFor::of(&observations, operator, self.step.objective.noise);
        Ok(TrainedFor { tikhonov: self.step.tikhonov, ..trained_for })
    }

    /// Whether the held-out fields are those that are trained on.
    pub fn is_judged_by_what_it_has_seen(&self) -> bool {
        let of = |name| self.fingerprints.get(name);
        of("data").is_some() && of("data") == of("validation_data")
    }

    /// Refuses what [`Plan::trainer`] would refuse before it builds anything.
    pub fn check(&self, device: &Device) -> Result<()> {
        let processes = self.group.as_ref().map_or(1, |group| group.size());
        Trainer::check(device, &self.step.shared_by(processes)).map_err(|error| self.name_micro_batch(error))
    }

    /// Adds to the error of a batch that is too large what could be done about it with `--micro-batch`.
    fn name_micro_batch(&self, error: Error) -> Error {
        match error {
            Error::BatchTooLarge { .. } | Error::OutOfMemory(_) if self.syncs => Error::usage(format!(
                "{error}; --sync-batch-norm keeps all parts of the batch: leave it out and take a smaller \
                 --micro-batch, or share the batch among more processes"
            )),
            Error::BatchTooLarge { fits, .. } if self.step.micro_batches == 1 => {
                let batch = self.step.samples_at_once;
                let Some(micro) = (1..=fits).rev().find(|fits| batch.is_multiple_of(*fits)) else {
                    return error;
                };
                Error::usage(format!("{error}, or add --micro-batch {micro} (see train --help)"))
            }
            other => other,
        }
    }
}

impl TrainConfig {
    /// Checks every value and reads the files; the error names the first that is impossible.
    ///
    /// # Errors
    /// [`Error::Usage`] for values that are out of range or contradict a file, [`Error::Io`] and
    /// [`Error::File`] for files.
    pub fn plan(&self) -> Result<Plan> {
        let (operator, net, start) = self.model()?;
        let mut step = self.step(&net, &operator)?;
        let (mut found, mut left_out) = (None, Vec::new());
        let (truth, noise) = match (&self.data, &self.observations) {
            (None, None) => (Source::Drawn, self.drawn_noise()),
            (Some(path), _) if is_pictures(path) => {
                let Size { nx, ny } = self.size;
                let mut pictures = Pictures::read(path, nx, ny, self.strict)?;
                found = Some(pictures.found());
                left_out.append(&mut pictures.left_out);
                (Source::Pictures(pictures), self.drawn_noise())
            }
            (Some(path), _) => {
                let fields = npy::read(path)?;
                found = Some(fields_found(&fields, None));
                (self.file(fields), self.drawn_noise())
            }
            (None, Some(path)) => {
                let Size { nx, ny } = self.size;
                let (fields, pictures) = if is_pictures(path) {
                    let (fields, mut pictures) = Pictures::whole(path, nx, ny, self.strict)?;
                    left_out.append(&mut pictures.left_out);
                    (fields, Some(pictures.count))
                } else {
                    // The noise of observations and what that is computed from.
                    (npy::read_for(path, 3)?, None)
                };
                found = Some(fields_found(&fields, pictures));
                step.objective.noise = self.noise.max(floor(self.physics, &fields));
                let noise = Noise::of_observations(&operator, &fields);
                (self.file(fields), noise)
            }
        };
        let Size { nx, ny } = self.size;
        let without_mean = operator.loses_mean();
        let data = Data { seed: self.seed, batch: self.batch, nx, ny, truth, noise, without_mean };
        let mut held_out = self.held_out()?.map(|held_out| held_out.seen_by(&operator));
        held_out.iter_mut().for_each(|held_out| left_out.append(&mut held_out.left_out));
        let fingerprints = [
            ("weights", self.weights.as_ref().map(|_| of_weights(&start))),
            ("operator", same_data::of_point_spreads(operator.factors())),
            (if self.data.is_some() { "data" } else { "observations" }, data.fingerprint()),
            ("validation_data", held_out.as_ref().and_then(|held_out| held_out.fingerprint.clone())),
        ];
        let known = fingerprints.into_iter().filter_map(|(name, found)| Some((name.to_owned(), found?)));
        let (group, settings) = (None, file::table(&self.located()?)?.to_string());
        let fingerprints = known.collect();
        Ok(Plan {
            step,
            start,
            data,
            held_out,
            fingerprints,
            found,
            left_out,
            group,
            syncs: self.sync_batch_norm,
            settings,
        })
    }

    fn model(&self) -> Result<(Operator, UNet, State)> {
        self.check_types()?;
        if let Some(path) = self.file_of_fields() {
            let Size { nx, ny } = self.size;
            self.check_size(path)?;
            Operator::heat(nx, ny, 0.0).map_err(|e| Error::file(path, e.to_string()))?;
        }
        let operator = self.operator()?;
        let (net, start) = self.network()?;
        self.check(&net, &operator)?;
        if self.data.is_some() && self.observations.is_some() {
            return Err(Error::usage(
                "observations: train on these or on --data, not on both; leave one out",
            ));
        }
        let ordered =
            self.data.as_ref().is_some_and(|path| !is_pictures(path)) || self.observations.is_some();
        if self.shuffle && !ordered {
            return Err(Error::usage(
                "shuffle: needs fields in an order, --data FILE.npy or --observations; leave --shuffle out",
            ));
        }
        Ok((operator, net, start))
    }

    /// The fields to train on, if they come from a file.
    fn file_of_fields(&self) -> Option<&Path> {
        self.data.as_deref().or(self.observations.as_deref())
    }

    fn file(&self, fields: Fields) -> Source {
        Source::File(File::new(fields, self.shuffle.then_some(self.seed)))
    }

    fn drawn_noise(&self) -> Noise {
        if self.noise > 0.0 { Noise::Drawn(self.noise) } else { Noise::None }
    }

    fn network(&self) -> Result<(UNet, State)> {
        let Some(path) = &self.weights else {
            let net = self.new_network()?;
            let start = State::new(&net, self.seed);
            return Ok((net, start));
        };
        let (net, start, trained_for) = weights::read_all(path)?;
        let shown = trained_for.and_then(|trained_for| trained_for.tikhonov);
        if let (Some(lambda), None) = (shown, self.tikhonov) {
            let what = format!("its network sees Tikhonov inverses; add --tikhonov {lambda}");
            return Err(Error::file(path, what));
        }
        let mut wanted = self.net.clone();
        if let [one] = wanted.filters[..] {
            wanted.filters = vec![one; net.config.levels()];
        }
        let (mut wanted, found) = (file::architecture(&wanted)?, file::architecture(&net.config)?);
        wanted.insert("levels".to_owned(), (self.levels as i64).into());
        if let Some(key) = file::keys().find(|key| wanted.get(*key) != found.get(*key)) {
            let (flag, wanted, found) =
                (key.replace('_', "-"), file::words(wanted.get(key)), file::words(found.get(key)));
            let path = path.display();
            return Err(Error::usage(format!(
                "{flag} {wanted}: the network in {path} has {found}; leave --{flag} out, or name another file"
            )));
        }
        Ok((net, start))
    }

    fn held_out(&self) -> Result<Option<HeldOut>> {
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
        if file.is_none() && self.file_of_fields().is_some() {
            return Err(Error::usage(
                "validate-every: fields that training does not see are needed; add --validation-data \
                 FILE.npy",
            ));
        }
        file.map_or(Ok(()), |path| self.check_size(path))?;
        HeldOut::new(file, self.batch, nx, ny, self.noise, self.strict).map(Some)
    }

    /// Refuses a file whose fields have another size.
    fn check_size(&self, path: &Path) -> Result<()> {
        if is_pictures(path) {
            return Ok(()); // they are cut to size
        }
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

/// The fingerprint of weights before the first step.
fn of_weights(start: &State) -> Fingerprint {
    let values = start.params.iter().chain(&start.buffers).map(|&v| f64::from(v));
    let count = start.batches_tracked as f64;
    let item = Item::new([start.params.len(), 1], values.chain([count]));
    Fingerprint::new(Kind::Network, &[item])
}

/// What an array's fields are, or those of so many pictures.
fn fields_found(fields: &Fields, pictures: Option<usize>) -> Found {
    match &fields.data {
        FieldData::F32(values) => Found::new(pictures, fields.shape[0], values.iter().copied()),
        FieldData::F64(values) => Found::new(pictures, fields.shape[0], values.iter().copied()),
    }
}

/// The noise that rounding alone brings into observations: the largest of their root mean squares times
/// [`relative_rounding`].
fn floor(physics: DType, observations: &Fields) -> f64 {
    let [count, nx, ny] = observations.shape;
    let values = observations.data.clone().into_f64();
    let largest = values.chunks_exact(values.len() / count).map(|y| y.iter().map(|v| v * v).sum::<f64>());
    let rms = (largest.fold(0.0, f64::max) / (nx * ny) as f64).sqrt();
    relative_rounding(physics) * rms
}
