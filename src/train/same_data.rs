//! Whether a run that goes on draws from what it began with.

use crate::io::arrays::fingerprint::{Fingerprint, Fingerprints, Item, Kind};
use crate::io::arrays::npy;
use crate::io::images::format::is_pictures;
use crate::model::operator::factor::Factor;
use crate::train::config::TrainConfig;
use crate::train::config::paths::OPERATOR;
use crate::train::config::size::Size;
use crate::train::data::picture_crops::Pictures;
use crate::{Error, Result};
use std::path::Path;

/// The settings that name data, which may have moved as long as they hold what they held.
pub const DATA: [&str; 3] = ["data", "observations", "validation_data"];

/// The fingerprints of the data that `config` names, whatever else is wrong with them.
pub(crate) fn fingerprints(config: &TrainConfig) -> Result<Fingerprints> {
    let data = config.files().filter(|(name, _)| DATA.contains(name));
    let data = data.map(|(name, path)| one(name, path, config.size));
    let factors = config.factors().map(|factors| of_point_spreads(&factors));
    let operator = factors.transpose().map(|found| found.map(|found| (OPERATOR.to_owned(), found)));
    data.chain(operator).collect()
}

/// The fingerprint of the point spread functions among these factors, if there are any.
pub(crate) fn of_point_spreads(factors: &[Factor]) -> Option<Fingerprint> {
    let items: Vec<Item> = factors
        .iter()
        .filter_map(|factor| match factor {
            Factor::PointSpread(spread) => Some(Item::new(spread.size(), spread.values().iter().copied())),
            _ => None,
        })
        .collect();
    (!items.is_empty()).then(|| Fingerprint::new(Kind::Field, &items))
}

fn one(name: &str, path: &Path, Size { nx, ny }: Size) -> Result<(String, Fingerprint)> {
    // Of pictures those count that training with fields of this size would use.
    let fingerprint = match (is_pictures(path), name) {
        (false, _) => Fingerprint::of_fields(&npy::read(path)?),
        (true, "observations") => Fingerprint::of_fields(&Pictures::whole(path, nx, ny, false)?.0),
        (true, _) => Pictures::read(path, nx, ny, false)?.fingerprint,
    };
    Ok((name.to_owned(), fingerprint))
}

/// Refuses data that differ from what a run `began` with, and names the difference. `settings` is its file of
/// settings.
pub(crate) fn check(
    settings: &Path,
    config: &TrainConfig,
    began: &Fingerprints,
    found: &Fingerprints,
) -> Result<()> {
    let path_of = |name: &str| config.files().find(|(other, _)| *other == name).map(|(_, path)| path);
    for name in DATA.into_iter().chain([OPERATOR]) {
        let flag = name.replace('_', "-");
        match (began.get(name), found.get(name), path_of(name)) {
            (Some(began), Some(found), Some(path)) => {
                same(path, began, found, &format!("name it with --{flag} if it has moved"))?;
            }
            (Some(began), _, _) => {
                let what = format!("names no {name}, but the run began with {began}; put the line back");
                return Err(Error::file(settings, what));
            }
            (None, Some(found), _) => {
                let what = format!(
                    "names {name} of {found}, but the run began without; take the line out, or start a new \
                     run"
                );
                return Err(Error::file(settings, what));
            }
            (None, None, _) => {}
        }
    }
    Ok(())
}

/// Refuses data and weights of a run that is to start from what another one `began` with.
///
/// # Errors
/// [`Error::File`], with the difference.
pub fn check_start(config: &TrainConfig, began: &Fingerprints, found: &Fingerprints) -> Result<()> {
    for (name, path) in config.files() {
        if let (Some(began), Some(found)) = (began.get(name), found.get(name)) {
            same(path, began, found, "go on without this method (--methods)")?;
        }
    }
    Ok(())
}

fn same(path: &Path, began: &Fingerprint, found: &Fingerprint, advice: &str) -> Result<()> {
    match found.difference(began) {
        None => Ok(()),
        Some(difference) => Err(Error::file(
            path,
            format!("{difference}; put the old one back, {advice}, or start a new run"),
        )),
    }
}
