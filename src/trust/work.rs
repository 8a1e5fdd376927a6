//! What a device is tested for.

use crate::cases::{self, Case};
use crate::engine::tuning;
use crate::gpu::Gpu;
use crate::gpu::runtime::shader_files;
use crate::gpu::tune::Workload;
use crate::model::{Padding, StepSpec};

/// Work of one kind; all work of a kind has the same kernels.
#[derive(Clone, Copy, Debug)]
pub enum Work<'a> {
    /// Training steps as the spec says.
    Training(&'a StepSpec),
    /// Predictions of the spec's network; the rest of the spec does not matter.
    Inference(&'a StepSpec),
}

impl Work<'_> {
    /// Comparisons of its kernels with the CPU reference.
    pub(super) fn cases(&self) -> Vec<Case> {
        match self {
            Self::Training(spec) => cases::of_step(spec),
            Self::Inference(spec) => cases::of_inference(spec),
        }
    }

    /// Everything that decides which kernels are built for it on this device, in words.
    pub(super) fn describe(&self, gpu: &Gpu) -> String {
        let (Self::Training(spec) | Self::Inference(spec)) = self;
        let StepSpec { net, operator, objective, physics, activations, .. } = spec;
        let work = Workload {
            net,
            storage: *activations,
            batch: spec.samples_at_once,
            nx: operator.nx,
            ny: operator.ny,
        };
        let padding = if net.config.padding == Padding::Zero { ", zero padding" } else { "" };
        let phase = if operator.phase().is_some() { ", phase" } else { "" };
        let noise = if objective.noise > 0.0 { ", noise" } else { "" };
        let shown = if spec.tikhonov.is_some() { ", shown the inverse" } else { "" };
        let parts = match (spec.micro_batches, spec.together) {
            (1, _) => "",
            (_, None) => ", micro-batches",
            (_, Some(_)) => ", micro-batches together",
        };
        let skip = if spec.skip_bad_steps { ", skips bad steps" } else { "" };
        let purpose = match self {
            Self::Training(_) => {
                format!("{}{phase}{noise}{shown}, physics {physics}{parts}{skip}", objective.method.name())
            }
            Self::Inference(_) => "inference".to_owned(),
        };
        format!("{}{padding}, {purpose}, built {:08x}", tuning::describe_kernels(&work), fingerprint(gpu))
    }
}

/// A checksum of what else decides how kernels are built: their sources, the variants in force and the
/// device's features.
fn fingerprint(gpu: &Gpu) -> u32 {
    let mut hash = crc32fast::Hasher::new();
    shader_files::texts().iter().for_each(|text| hash.update(text.as_bytes()));
    for (key, variant) in gpu.variants().iter() {
        hash.update(format!("{key:?} {variant}\n").as_bytes());
    }
    hash.update(format!("{:?}", gpu.features()).as_bytes());
    hash.finalize()
}
