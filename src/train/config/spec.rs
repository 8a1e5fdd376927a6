//! From settings to what an engine is built for. Nothing here reads a file but what the operator names, so
//! that a browser can do it too.

use crate::io::memory;
use crate::model::operator::tikhonov;
use crate::model::{Adam, DType, Method, Objective, Operator, StepSpec, UNet, noise};
use crate::train::config::on_nan::OnNan;
use crate::train::config::size::Size;
use crate::train::config::{TrainConfig, file};
use crate::{Error, Result};
use std::time::Duration;
use toml::Value;

impl TrainConfig {
    /// Checks every value that has to do with a step, whose network is the one that the settings describe.
    ///
    /// # Errors
    /// [`Error::Usage`] for values that are out of range or contradict each other; those of reading a point
    /// spread function.
    pub fn spec(&self) -> Result<StepSpec> {
        self.check_types()?;
        let (operator, net) = (self.operator()?, self.new_network()?);
        self.check(&net, &operator)?;
        self.step(&net, &operator)
    }

    pub(in crate::train) fn check_types(&self) -> Result<()> {
        self.physics.check_physics()?;
        self.activations.check_activations()
    }

    pub(in crate::train) fn operator(&self) -> Result<Operator> {
        let Size { nx, ny } = self.size;
        let factors = self.factors()?;
        // Tables that are kept and what they are made from.
        memory::check((64 * nx * ny) as u64)
            .map_err(|what| Error::usage(format!("size {}: {what}", self.size)))?;
        Operator::of(nx, ny, &factors)
    }

    pub(in crate::train) fn new_network(&self) -> Result<UNet> {
        Ok(UNet::new(&self.net.clone().with_levels(self.levels)?))
    }

    /// Refuses what this network cannot be trained with, and numbers that are out of range.
    pub(in crate::train) fn check(&self, net: &UNet, operator: &Operator) -> Result<()> {
        self.check_micro_batch()?;
        let normalised = if self.sync_batch_norm { self.batch } else { self.samples_at_once() };
        net.config.check_input(normalised, operator.nx, operator.ny)?;
        if self.sync_batch_norm && !net.config.batch_norm {
            return Err(Error::usage(
                "sync-batch-norm: the network has no batch norm; leave --sync-batch-norm or --batch-norm out",
            ));
        }
        if net.config.res_blocks && self.activations == DType::F16 {
            return Err(Error::usage(
                "activations f16: the sums of residual blocks need 32 bits (docs/network.md); leave \
                 --activations or --res-blocks out",
            ));
        }
        self.check_ranges()
    }

    /// Steps of `net` through `operator`.
    pub(in crate::train) fn step(&self, net: &UNet, operator: &Operator) -> Result<StepSpec> {
        let adam = Adam { learning_rate: self.lr, schedule: self.schedule()?, ..Adam::default() };
        let objective = self.objective()?;
        self.tikhonov.map_or(Ok(()), tikhonov::check)?;
        let micro_batches = self.micro_batches();
        Ok(StepSpec {
            tikhonov: self.tikhonov,
            physics: self.physics,
            activations: self.activations,
            adam,
            micro_batches,
            together: (self.sync_batch_norm && micro_batches > 1).then_some(micro_batches),
            skip_bad_steps: self.on_nan == OnNan::Skip,
            longest_submission: Some(Duration::from_millis(self.max_dispatch_ms)),
            ..StepSpec::new(net, operator, objective, self.samples_at_once())
        })
    }

    fn objective(&self) -> Result<Objective> {
        let &Self { method, noise, uncertainty, .. } = self;
        noise::check(noise)?;
        if method == Method::Supervised && self.observations.is_some() {
            return Err(Error::usage(
                "method supervised: needs the truth, which --observations does not have; use sip or gd",
            ));
        }
        // The reference holds ε in 32 bits (method §3).
        Ok(Objective { method, uncertainty: f64::from(uncertainty as f32), noise })
    }

    /// Refuses numbers that are out of range.
    fn check_ranges(&self) -> Result<()> {
        let table = file::table(self)?;
        for (name, range) in Self::RANGES {
            match table.get(*name) {
                Some(Value::Integer(value)) => range.check(name, *value as f64)?,
                Some(Value::Float(value)) => range.check(name, *value)?,
                _ => {} // not said
            }
        }
        Ok(())
    }

    fn check_micro_batch(&self) -> Result<()> {
        let Some(micro) = self.micro_batch else { return Ok(()) };
        if self.batch == 0 {
            return Err(Error::usage("batch 0: must be at least 1"));
        }
        if micro == 0 || !self.batch.is_multiple_of(micro) {
            let batch = self.batch;
            let below = (1..=micro.min(batch)).rev().find(|parts| batch.is_multiple_of(*parts)).unwrap_or(1);
            return Err(Error::usage(format!(
                "micro-batch {micro}: must divide --batch {batch}, such as {below}"
            )));
        }
        Ok(())
    }
}
