//! What fixes a training step, on either engine.

use crate::Result;
use crate::model::{Adam, DType, Objective, Operator, UNet};
use std::time::Duration;

/// A training step: everything that an engine has to know before the first batch, but the weights.
#[derive(Clone, Debug)]
pub struct StepSpec {
    /// The network.
    pub net: UNet,
    /// What observes the fields, and their grid.
    pub operator: Operator,
    /// What is minimised.
    pub objective: Objective,
    /// The λ of the Tikhonov inverse that the network is shown in the place of an observation; none: it is
    /// shown the observation itself.
    pub tikhonov: Option<f64>,
    /// In how many bits the physics is computed; the network always takes 32.
    pub physics: DType,
    /// In how many bits activations and their gradients are stored.
    pub activations: DType,
    /// The optimiser.
    pub adam: Adam,
    /// Samples of a micro-batch: they go through the network at once and are normalised together. At least 1.
    pub samples_at_once: usize,
    /// Micro-batches of a step, whose gradients are added up, in order, before the update. At least 1.
    pub micro_batches: usize,
    /// Where all micro-batches of a step are normalised together, as if they were one: how many of them are
    /// computed at once, all of them or one process's share. None: each is normalised by itself.
    pub together: Option<usize>,
    /// Whether a step whose losses, gradients or statistics are not finite is left out, and the next one
    /// counts again. Else the first such step is the last: neither it nor a later one changes anything.
    pub skip_bad_steps: bool,
    /// How long one submission to a GPU may keep it busy, as far as whole dispatches allow: drivers take a
    /// device for hung after some seconds, and a desktop on it stands still meanwhile. The device's speed is
    /// measured in the second step; until it is known, every dispatch is a submission of its own. `None`: a
    /// step is one submission per micro-batch. The CPU engine has no use for it.
    pub longest_submission: Option<Duration>,
}

impl StepSpec {
    /// Steps of one micro-batch in 32 bits with the reference system's Adam; the first bad step is the last.
    pub fn new(
        net: &UNet,
        operator: &Operator,
        objective: impl Into<Objective>,
        samples_at_once: usize,
    ) -> Self {
        Self {
            net: net.clone(),
            operator: operator.clone(),
            objective: objective.into(),
            tikhonov: None,
            physics: DType::F32,
            activations: DType::F32,
            adam: Adam::default(),
            samples_at_once,
            micro_batches: 1,
            together: None,
            skip_bad_steps: false,
            longest_submission: None,
        }
    }

    /// The steps as each of so many processes has them, which share them.
    pub fn shared_by(&self, processes: usize) -> Self {
        Self { together: self.together.map(|all| all.div_ceil(processes)), ..self.clone() }
    }

    /// Samples of a micro-batch, and how many micro-batches are kept at once.
    pub fn held(&self) -> [usize; 2] {
        [self.samples_at_once, self.together.unwrap_or(1)]
    }

    /// Refuses number types that no engine computes the physics in or stores activations in.
    ///
    /// # Errors
    /// [`Error::Usage`](crate::Error::Usage) for physics in 16 bits and activations in 64.
    pub fn check_types(&self) -> Result<()> {
        self.physics.check_physics()?;
        self.activations.check_activations()
    }
}
