//! The self-test of a device for one kind of training.

use crate::cases::{self, Case};
use crate::gpu::{Gpu, Remedy};
use crate::model::StepSpec;
use crate::trust::failure::{Failure, MARGIN, failure};
use crate::trust::remedies;
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

/// Tries every kernel of steps as `spec` says, with the variants and remedies in force, and looks for a
/// remedy where one fails.
///
/// # Errors
/// [`Error::Distrusted`] where nothing makes a kernel right; [`Error::OutOfMemory`].
pub(super) fn run(gpu: &Arc<Gpu>, spec: &StepSpec) -> Result<Outcome> {
    let start = Instant::now();
    let (mut sound, mut found, mut count) = (BTreeSet::new(), Vec::new(), 0);
    let mut cases = cases::of_step(spec).into_iter().filter(|case| case.missing(gpu).is_none());
    while let Some(case) = cases.next() {
        count += 1;
        gpu.take_asked();
        let failed = failure(&case, gpu)?;
        let asked = gpu.take_asked();
        match failed {
            None => found.extend(remedies::of_refused(gpu, &asked)),
            Some(failure) => match remedies::find(gpu, &case, &asked, &sound)? {
                Some(remedies) => found.extend(remedies),
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
    Ok(Outcome { time: start.elapsed(), cases: count, found })
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
    let info = gpu.info();
    Error::Distrusted(format!(
        "{} ({:?}, {} {}) failed the self-test, in every variant and with zeroed workgroup memory: {what} {}",
        info.name,
        info.backend,
        info.driver,
        info.driver_info,
        Said { failure, case }
    ))
}

/// A failure in words.
struct Said<'a> {
    failure: &'a Failure,
    case: &'a Case,
}

impl fmt::Display for Said<'_> {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let (tolerance, shape) = (MARGIN * self.case.tolerance, &self.case.shape);
        match self.failure {
            Failure::Differs(error) => {
                write!(f, "differs from the CPU by {error:.1e} where {tolerance:.0e} is allowed ({shape})")
            }
            Failure::Refused(error) => write!(f, "does not run: {error}"),
        }
    }
}
