//! The kernels that a device has built, and what is done where its driver does not build them right.

use crate::gpu::faults::{Effect, Fault};
use crate::gpu::runtime::kernel::Kernel;
use crate::gpu::runtime::variants::Variant;
use crate::gpu::{Checks, KernelSpec};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt;
use std::sync::Arc;

/// What makes a kernel right that is wrong, or refused, as it is usually built.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Remedy {
    /// The kernel's name.
    pub kernel: String,
    /// The variant that is right, for all of its work.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<Variant>,
    /// Whether its workgroup memory must be zero when it starts. Every kernel writes what it reads there, and
    /// does without; drivers are known that need it all the same.
    #[serde(default)]
    pub zeroed: bool,
}

impl fmt::Display for Remedy {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{} runs", self.kernel)?;
        if let Some(variant) = self.variant {
            write!(f, " in the variant {variant}")?;
        }
        if self.zeroed {
            write!(f, " with zeroed workgroup memory")?;
        }
        Ok(())
    }
}

/// The kernels built so far, and the remedies in force.
#[derive(Default)]
pub(crate) struct KernelCache {
    built: HashMap<Build, Arc<Kernel>>,
    asked: Asked,
    remedies: Vec<Remedy>,
    faults: Vec<Fault>,
}

/// Kernels by name that were asked for, built or not.
#[derive(Clone, Debug, Default)]
pub(crate) struct Asked {
    /// All of them.
    pub(crate) kernels: BTreeSet<String>,
    /// Those that come in variants, with the possible ones.
    pub(crate) variants: BTreeMap<String, BTreeSet<Variant>>,
    /// Those of which the driver refused the variant in force, or a usual one, and the variant in its place.
    pub(crate) replaced: BTreeMap<String, Variant>,
}

/// What tells builds of a kernel apart: whether accesses are checked, and whether its workgroup memory starts
/// as zeros.
type Build = (KernelSpec, Checks, bool);

impl KernelCache {
    /// An empty one; `faults` are injected.
    pub(crate) fn new(faults: Vec<Fault>) -> Self {
        Self { faults, ..Self::default() }
    }

    /// Injects these faults instead of those before.
    #[cfg(test)]
    pub(crate) fn inject(&mut self, faults: Vec<Fault>) {
        self.faults = faults;
    }

    /// How `spec` is to be built, and its kernel if that was done before.
    pub(crate) fn ask(&mut self, spec: &KernelSpec, checks: Checks) -> (Build, Option<Arc<Kernel>>) {
        self.asked.kernels.insert(spec.name.clone());
        let zeroed = self.remedies.iter().any(|remedy| remedy.zeroed && remedy.kernel == spec.name);
        let key = (spec.clone(), checks, zeroed);
        let kernel = self.built.get(&key).cloned();
        (key, kernel)
    }

    /// The fault of the driver for what is about to be built.
    pub(crate) fn fault(&self, (spec, _, zeroed): &Build) -> Option<Effect> {
        self.faults.iter().find_map(|fault| fault.effect_on(spec, *zeroed))
    }

    /// Keeps a kernel that was built.
    pub(crate) fn keep(&mut self, build: Build, kernel: Arc<Kernel>) {
        self.built.insert(build, kernel);
    }

    /// The one of its `possible` variants that a kernel must take for all of its work.
    pub(crate) fn variant(&mut self, kernel: &str, possible: &[Variant]) -> Option<Variant> {
        self.asked.variants.entry(kernel.to_owned()).or_default().extend(possible);
        let mut own = self.remedies.iter().filter(|remedy| remedy.kernel == kernel);
        own.find_map(|remedy| remedy.variant.filter(|variant| possible.contains(variant)))
    }

    /// The driver refused to build another variant of a kernel than this.
    pub(crate) fn replaced(&mut self, kernel: &str, variant: Variant) {
        self.asked.replaced.insert(kernel.to_owned(), variant);
    }

    /// The remedies in force.
    pub(crate) fn remedies(&self) -> &[Remedy] {
        &self.remedies
    }

    /// Puts these remedies in force, for what is recorded from here on.
    pub(crate) fn set_remedies(&mut self, remedies: Vec<Remedy>) {
        self.remedies = remedies;
    }

    /// Drops the kernels built from these specs; recordings that use them keep them.
    pub(crate) fn forget(&mut self, specs: &HashSet<&KernelSpec>) {
        self.built.retain(|(spec, ..), _| !specs.contains(spec));
    }

    /// The specs of all kernels built so far.
    pub(crate) fn specs(&self) -> Vec<KernelSpec> {
        self.built.keys().map(|(spec, ..)| spec.clone()).collect()
    }

    /// What was asked for since the last call.
    pub(crate) fn take_asked(&mut self) -> Asked {
        std::mem::take(&mut self.asked)
    }
}
