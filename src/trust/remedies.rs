//! The search for what makes a failing kernel right.

use crate::Result;
use crate::cases::Case;
use crate::gpu::kernel_cache::Asked;
use crate::gpu::runtime::variants::Variant;
use crate::gpu::{Gpu, Remedy};
use crate::trust::failure::failure;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Keeps kernels in the variants in which they run because the driver refused others; whether there are any.
pub(super) fn keep_replacements(gpu: &Gpu, asked: &Asked) -> bool {
    let new: Vec<Remedy> =
        asked.replaced.iter().map(|(kernel, &variant)| in_variant(kernel, variant)).collect();
    let found = !new.is_empty();
    gpu.set_remedies([gpu.remedies(), new].concat());
    found
}

fn in_variant(kernel: &str, variant: Variant) -> Remedy {
    Remedy { kernel: kernel.to_owned(), variant: Some(variant), zeroed: false }
}

/// The fewest remedies with which a failing case passes, in force when it returns; none where nothing helps,
/// and then those before are in force. The kernels that the case has `asked` for are to blame, except those
/// that are `sound`: they were part of cases that pass.
pub(super) fn find(
    gpu: &Arc<Gpu>,
    case: &Case,
    asked: &Asked,
    sound: &BTreeSet<String>,
) -> Result<Option<Vec<Remedy>>> {
    let before = gpu.remedies();
    // All of them may be sound by themselves, and fail together.
    let all_sound = asked.kernels.is_subset(sound);
    let is_suspect = |kernel: &&String| all_sound || !sound.contains(*kernel);
    let suspects: Vec<&String> = asked.kernels.iter().filter(is_suspect).collect();
    if failure(case, gpu)?.is_none() {
        log::warn!("{}: {} {} failed, and passed when it was tried again", gpu.name(), case.name, case.shape);
        return Ok(Some(Vec::new()));
    }
    for attempt in attempts(asked, &suspects) {
        if let Some(remedies) = passing(gpu, case, &before, attempt)? {
            return Ok(Some(remedies));
        }
    }
    gpu.set_remedies(before);
    Ok(None)
}

/// What may help, likely and cheap things first: one other variant for all suspects that have it, then zeroed
/// workgroup memory for all suspects, then both.
fn attempts(asked: &Asked, suspects: &[&String]) -> Vec<Vec<Remedy>> {
    /// As much code as the variants have that are usual on a GPU. Much less is slow, much more compiles
    /// slowly.
    const USUAL_COST: u32 = 16;
    let possible = |kernel: &String| asked.variants.get(kernel);
    let all: BTreeSet<Variant> =
        suspects.iter().filter_map(|kernel| possible(kernel)).flatten().copied().collect();
    let mut variants: Vec<Variant> = all.into_iter().collect();
    variants.sort_by_key(|variant| variant.cost().max(1).ilog2().abs_diff(USUAL_COST.ilog2()));
    let with = |variant: Variant| -> Vec<Remedy> {
        let having =
            suspects.iter().filter(|kernel| possible(kernel).is_some_and(|all| all.contains(&variant)));
        having.map(|kernel| in_variant(kernel, variant)).collect()
    };
    let zeroed = |variant: Option<Variant>| -> Vec<Remedy> {
        let having = |kernel: &&&String| {
            variant.is_none_or(|variant| possible(kernel).is_some_and(|all| all.contains(&variant)))
        };
        let remedy = |kernel: &&String| Remedy { kernel: (*kernel).clone(), variant, zeroed: true };
        suspects.iter().filter(having).map(remedy).collect()
    };
    let in_variants = variants.iter().map(|&variant| with(variant));
    let both = variants.iter().map(|&variant| zeroed(Some(variant)));
    in_variants.chain([zeroed(None)]).chain(both).collect()
}

/// Those of these remedies without which the case fails, in force; none if it fails with all of them.
fn passing(
    gpu: &Arc<Gpu>,
    case: &Case,
    before: &[Remedy],
    attempt: Vec<Remedy>,
) -> Result<Option<Vec<Remedy>>> {
    let passes = |remedies: &[Remedy]| -> Result<bool> {
        let others = before.iter().filter(|old| remedies.iter().all(|new| new.kernel != old.kernel));
        gpu.set_remedies(others.chain(remedies).cloned().collect());
        Ok(failure(case, gpu)?.is_none())
    };
    if !passes(&attempt)? {
        return Ok(None);
    }
    let mut needed = attempt;
    let mut i = 0;
    while needed.len() > 1 && i < needed.len() {
        let mut fewer = needed.clone();
        fewer.remove(i);
        if passes(&fewer)? { needed = fewer } else { i += 1 }
    }
    passes(&needed)?;
    Ok(Some(needed))
}
