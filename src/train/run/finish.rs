//! What a run leaves: checkpoints on the way, its files at the end, its last good weights where it fails.

use crate::engine::trainer::Trainer;
use crate::io::arrays::checkpoint::Checkpoint;
use crate::io::arrays::weights;
use crate::model::Snapshot;
use crate::model::unet::init::State;
use crate::train::checkpoint;
use crate::train::config::on_nan::OnNan;
#[cfg(feature = "pictures")]
use crate::train::drawings;
use crate::train::progress::Outcome;
use crate::train::run::{Run, checkpoint_of};
use crate::train::validation::Validation;
use crate::{Error, Result};

impl Run<'_> {
    /// Writes a checkpoint, unless training has failed: then the last good one stays.
    pub(super) fn save(&mut self, trainer: &mut Trainer) -> Result<()> {
        let Some(snapshot) = self.settle(trainer)? else { return Ok(()) };
        checkpoint::save(&self.folder, &self.checkpoint(snapshot)?)?;
        self.saved = self.done;
        Ok(())
    }

    /// The checkpoint after the steps so far. Tables reach the disk before it, since it says how far they
    /// are.
    fn checkpoint(&self, snapshot: Snapshot) -> Result<Checkpoint> {
        self.metrics.sync()?;
        self.validation.as_ref().map_or(Ok(()), Validation::sync)?;
        checkpoint_of(&self.config, &self.plan, self.done, snapshot)
    }

    /// Stops before the end, with a checkpoint from which the run can go on.
    pub(super) fn pause(&mut self, trainer: &mut Trainer) -> Result<Outcome> {
        let Some(snapshot) = self.settle(trainer)? else { return Err(self.fail(trainer)?) };
        self.write_weights(&snapshot.state)?;
        checkpoint::save(&self.folder, &self.checkpoint(snapshot)?)?;
        Ok(self.outcome())
    }

    /// Writes what a run leaves. The last checkpoint is the last file: where it is, the others are.
    pub(super) fn finish(&mut self, trainer: &mut Trainer) -> Result<Outcome> {
        let Some(snapshot) = self.settle(trainer)? else { return Err(self.fail(trainer)?) };
        self.write_weights(&snapshot.state)?;
        if let Some(path) = &self.config.save_gradients {
            weights::write_gradients(path, &self.plan.step.net, &trainer.gradients()?)?;
        }
        #[cfg(feature = "pictures")]
        {
            let file = |name: &str| self.folder.join(name);
            let examples = trainer.predict(&self.plan.data.examples())?;
            drawings::curves(&file("curves.png"), &self.config, &self.metrics.rows)?;
            drawings::reconstruction(&file("reconstruction.png"), &self.config, &examples)?;
        }
        checkpoint::save(&self.folder, &self.checkpoint(snapshot)?)?;
        checkpoint::drop_previous(&self.folder)?;
        Ok(self.outcome())
    }

    /// Writes the last good weights, and returns what to say.
    fn fail(&mut self, trainer: &mut Trainer) -> Result<Error> {
        let path = self.folder.join("weights.safetensors");
        self.write_weights(&trainer.last_good_state()?)?;
        #[cfg(feature = "pictures")]
        drawings::curves(&self.folder.join("curves.png"), &self.config, &self.metrics.rows)?;
        let before = match (self.config.on_nan, self.metrics.failed) {
            (OnNan::Skip, Some(_)) => format!("nor were the {} steps before it; ", OnNan::LIMIT - 1),
            _ => String::new(),
        };
        let hint = format!("{before}the last good weights are in {}; try a smaller --lr", path.display());
        Ok(Error::NonFinite { step: self.metrics.failed.unwrap_or(self.done), hint })
    }

    fn write_weights(&self, state: &State) -> Result<()> {
        let path = self.folder.join("weights.safetensors");
        weights::write(&path, &self.plan.step.net, state, Some(&self.trained_for))
    }

    fn outcome(&self) -> Outcome {
        Outcome {
            folder: self.folder.clone(),
            steps: self.done,
            skipped: self.metrics.skipped(),
            x_l2: self.metrics.last,
            seconds: self.metrics.seconds(),
        }
    }
}
