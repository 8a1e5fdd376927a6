//! The self-test of a device for one kind of training.

use crate::cases::Case;
use crate::gpu::{Gpu, Remedy};
use crate::trust::failure::{Failure, failure};
use crate::trust::remedies;
use crate::trust::work::Work;
use crate::{Error, Result};
use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What the self-test did.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// What it took.
    pub time: Duration,
    /// Comparisons with the CPU reference.
    pub cases: usize,
    /// What makes kernels right that failed; in force now.
    pub found: Vec<Remedy>,
}

/// How often the cases begin anew because something was changed.
const ROUNDS: usize = 4;

/// Tries the kernels of `work` with the variants and remedies in force, and looks for a remedy where one
/// fails. What was right before a remedy was found is tried again with it.
///
/// # Errors
/// [`Error::Distrusted`] where nothing makes a kernel right; [`Error::OutOfMemory`]; [`Error::Device`] where
/// the device is lost.
pub(super) fn run(gpu: &Arc<Gpu>, work: &Work) -> Result<Outcome> {
    let (start, before) = (Instant::now(), gpu.remedies());
    for _ in 0..ROUNDS {
        let (cases, found) = round(gpu, work)?;
        if !found {
            let found = gpu.remedies().into_iter().filter(|remedy| !before.contains(remedy)).collect();
            return Ok(Outcome { time: start.elapsed(), cases, found });
        }
    }
    Err(Error::Distrusted(format!("{}: what helps one kernel harms another, in {ROUNDS} tries", name(gpu))))
}

/// The number of cases, and whether a remedy was found.
fn round(gpu: &Arc<Gpu>, work: &Work) -> Result<(usize, bool)> {
    let (mut sound, mut found, mut count) = (BTreeSet::new(), false, 0);
    let mut cases = work.cases().into_iter().filter(|case| case.missing(gpu).is_none());
    while let Some(case) = cases.next() {
        count += 1;
        gpu.take_asked();
        let failed = failure(&case, gpu)?;
        let asked = gpu.take_asked();
        match failed {
            None => found |= remedies::keep_replacements(gpu, &asked),
            Some(failure) => match remedies::find(gpu, &case, &asked, &sound)? {
                Some(remedies) => found |= !remedies.is_empty(),
                None => {
                    // What the others have in common with it is not to blame. A whole step may pass with a
                    // wrong kernel: its losses come before its gradients.
                    let others = cases.filter(|other| !other.is_step());
                    others.for_each(|other| sound.extend(sound_kernels(gpu, &other)));
                    return Err(distrust(gpu, &case, &failure, &asked.kernels, &sound));
                }
            },
        }
        sound.extend(asked.kernels);
    }
    Ok((count, found))
}

/// The kernels of a case that passes.
fn sound_kernels(gpu: &Arc<Gpu>, case: &Case) -> BTreeSet<String> {
    gpu.take_asked();
    match failure(case, gpu) {
        Ok(None) => gpu.take_asked().kernels,
        _ => BTreeSet::new(),
    }
}

fn distrust(
    gpu: &Gpu,
    case: &Case,
    failure: &Failure,
    asked: &BTreeSet<String>,
    sound: &BTreeSet<String>,
) -> Error {
    /// More names than this tell nobody anything.
    const MOST_NAMED: usize = 5;
    let suspects: Vec<&str> = asked.difference(sound).map(String::as_str).collect();
    let what = match suspects[..] {
        // Each of them is right somewhere else.
        [] if asked.len() <= MOST_NAMED => {
            let kernels: Vec<&str> = asked.iter().map(String::as_str).collect();
            format!("{} (kernels {})", case.name, kernels.join(", "))
        }
        [] => case.name.clone(),
        _ => suspects.join(" or "),
    };
    let (name, said) = (name(gpu), Said { failure, case });
    Error::Distrusted(format!(
        "{name} failed the self-test, in every variant and with zeroed workgroup memory: {what} {said}"
    ))
}

/// The device with its driver, as far as that is known.
fn name(gpu: &Gpu) -> String {
    let info = gpu.info();
    let parts = [info.backend.to_string(), info.driver.clone(), info.driver_info.clone()];
    let known: Vec<String> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    format!("{} ({})", info.name, known.join(", "))
}

/// A failure in words.
struct Said<'a> {
    failure: &'a Failure,
    case: &'a Case,
}

impl fmt::Display for Said<'_> {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let (tolerance, shape) = (self.case.margin(), &self.case.shape);
        match self.failure {
            Failure::Differs(error) => {
                write!(f, "differs from the CPU by {error:.1e} where {tolerance:.0e} is allowed ({shape})")
            }
            Failure::Refused(error) => write!(f, "does not run: {error}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blocking::{adapters, block_on};
    use crate::engine::device::NO_ADAPTER;
    use crate::gpu::Checks;
    use crate::gpu::runtime::variants::{Key, Variant};
    use crate::model::{Method, Operator, StepSpec, UNet, UNetConfig};

    const KERNEL: &str = "conv3x3/activation/moments";

    fn gpu() -> Arc<Gpu> {
        let adapter = adapters().into_iter().next().expect(NO_ADAPTER);
        Arc::new(block_on(Gpu::open(&adapter, Checks::Trusted)).unwrap())
    }

    fn small() -> StepSpec {
        let net = UNet::new(&UNetConfig { filters: vec![8], ..Default::default() });
        StepSpec::new(&net, &Operator::heat(8, 8, 8.0).unwrap(), Method::Sip, 2)
    }

    /// A batch of 128 has the variant for many tiles, a case that for few.
    #[test]
    fn variants_that_no_case_would_take_are_tried_too() {
        let (gpu, spec) = (gpu(), small());
        let key = |tiles| Key { tiles, ..Key::of_all(KERNEL.to_owned()) };
        let [few, many] = [1, 4].map(|channels| Variant::Tiled { patch: 1, channels });
        gpu.set_variants([(key(1), few), (key(4096), many)].into_iter().collect());
        let untouched = run(&gpu, &Work::Inference(&spec)).unwrap();
        assert!(untouched.found.is_empty(), "{:?}", untouched.found);
        let spoiled = self::gpu();
        spoiled.set_variants(gpu.variants());
        spoiled.inject(&format!("wrong {KERNEL} unless CHANNELS=1"));
        let found = run(&spoiled, &Work::Inference(&spec)).unwrap().found;
        let is_remedy = |remedy: &Remedy| {
            remedy.kernel == KERNEL && matches!(remedy.variant, Some(Variant::Tiled { channels: 1, .. }))
        };
        assert!(found.len() == 1 && is_remedy(&found[0]), "{found:?}");
        assert_eq!(spoiled.remedies(), found);
    }

    /// Whatever is tried on a lost device fails, and says nothing about a kernel.
    #[test]
    fn a_lost_device_is_not_distrusted() {
        let (gpu, spec) = (gpu(), small());
        gpu.lose();
        let error = run(&gpu, &Work::Training(&spec)).unwrap_err();
        assert!(matches!(error, Error::Device(_)), "{error}");
        assert!(gpu.remedies().is_empty());
    }
}
