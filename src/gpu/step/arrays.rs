//! What a step computes with and what it leaves, on the device.

use crate::Result;
use crate::gpu::heat::fft::pairs;
use crate::gpu::heat::physics::Physics;
use crate::gpu::runtime::memory::MemoryUse;
use crate::gpu::step::adam::Optimiser;
use crate::gpu::step::data::Data;
use crate::gpu::step::guard::Guard;
use crate::gpu::unet::network::Network;
use crate::gpu::unet::together::Merged;
use crate::gpu::{Gpu, Tensor};
use crate::model::StepSpec;
use crate::model::unet::init::State;

/// Every array of a step.
pub(super) struct Arrays {
    /// One per micro-batch that is computed at once: one, or all that are normalised together.
    pub(super) lanes: Vec<Lane>,
    pub(super) optimiser: Optimiser,
    pub(super) guard: Guard,
    pub(super) physics: Physics,
    /// Statistics that the lanes share, where they are normalised together.
    pub(super) merged: Option<Merged>,
}

/// What a micro-batch has of its own.
pub(super) struct Lane {
    pub(super) network: Network,
    pub(super) data: Data,
    pub(super) fields: Fields,
}

/// The arrays of a step between network and physics, `[batch, nx, ny]` unless said. Error, signal and energy
/// have the physics' precision, the others 32 bits (method §0).
pub(super) struct Fields {
    pub(super) output: Tensor,
    pub(super) prediction: Tensor,
    pub(super) error: Tensor,
    pub(super) signal: Tensor,
    pub(super) output_gradient: Tensor,
    /// Σ|Â|² `[2·pairs]`.
    pub(super) energy: Tensor,
    /// `[batch]`.
    pub(super) x_l2: Tensor,
    /// Loss and y_l2, `[2, batch]`.
    pub(super) losses: Tensor,
}

impl Arrays {
    /// Allocates for steps as `spec` says, with the weights and statistics of `start`.
    pub(super) fn new(gpu: &Gpu, spec: &StepSpec, start: &State) -> Result<Self> {
        let StepSpec { net, operator, physics: precision, activations, samples_at_once: batch, .. } = spec;
        let merged = spec.together.map(|here| Merged::new(gpu, net, here, spec.micro_batches)).transpose()?;
        let network = Network::new(gpu, net, *activations, *batch, operator.nx, operator.ny)?;
        gpu.write(&network.params, &start.params);
        gpu.write(&network.running, &start.buffers);
        let (optimiser, guard) = gpu.allocate_for(MemoryUse::Parameters, || {
            Ok((Optimiser::new(gpu, spec.adam, net.param_count)?, Guard::new(gpu, start)?))
        })?;
        let physics =
            gpu.allocate_for(MemoryUse::Physics, || Physics::new(gpu, operator, *batch, *precision))?;
        let mut lanes = vec![Lane::new(gpu, spec, network)?];
        for _ in 1..spec.together.unwrap_or(1) {
            let network = lanes[0].network.beside(gpu)?;
            lanes.push(Lane::new(gpu, spec, network)?);
        }
        Ok(Self { lanes, optimiser, guard, physics, merged })
    }

    /// Where micro-batches are taken over.
    pub(super) fn first(&self) -> &Lane {
        &self.lanes[0]
    }
}

impl Lane {
    fn new(gpu: &Gpu, spec: &StepSpec, network: Network) -> Result<Self> {
        gpu.allocate_for(MemoryUse::Physics, || {
            Ok(Self { network, data: Data::new(gpu, spec)?, fields: Fields::new(gpu, spec)? })
        })
    }

    /// What a micro-batch adds to its step.
    pub(super) fn share(&self) -> [&Tensor; 4] {
        let Self { network, fields, .. } = self;
        [&network.gradients, &network.batch_statistics, &fields.losses, &fields.x_l2]
    }
}

impl Fields {
    fn new(gpu: &Gpu, spec: &StepSpec) -> Result<Self> {
        let batch = spec.samples_at_once;
        let len = batch * spec.operator.cells();
        let field = |label| gpu.tensor(label, len);
        let physical = |label| gpu.tensor_in(label, len, spec.physics);
        Ok(Self {
            output: field("network output")?,
            prediction: field("prediction")?,
            error: physical("error")?,
            signal: physical("training signal")?,
            output_gradient: field("output gradient")?,
            energy: gpu.tensor_in("residual energy", 2 * pairs(batch), spec.physics)?,
            x_l2: gpu.tensor("x_l2", batch)?,
            losses: gpu.tensor("losses", 2 * batch)?,
        })
    }
}
