//! The networks that come with unheat, for those who have trained none. BENCHMARKS.md, "Long trainings on a
//! GPU" and "A picture", says how they were trained and what they reach.

use crate::io::arrays::weights;
use crate::model::operator::factor::{Factor, words};
use crate::model::unet::init::State;
use crate::model::{TrainedFor, UNet};
use crate::restore::network::scale;
use crate::{Error, Result};
use std::path::Path;
use std::sync::OnceLock;

/// A network for rectangles may be shown observations up to this many times as noisy as those of its
/// training; beyond, one that was trained for more noise is better (BENCHMARKS.md, "Long trainings on a
/// GPU").
const SHOWN: f64 = 2.0;

/// The same of a network for pictures (BENCHMARKS.md, "Networks for pictures").
const SHOWN_PICTURES: f64 = 1.3;

/// Up to this many times the noise of its training a network for rectangles is better for them than one for
/// pictures of more noise (BENCHMARKS.md, "Long trainings on a GPU"); beyond, it takes noise for details,
/// which would seem to explain the observation.
const FAR: f64 = 2.5;

/// One of them.
#[derive(Clone)]
pub(crate) struct Shipped {
    pub(crate) name: &'static str,
    pub(crate) net: UNet,
    pub(crate) state: State,
    pub(crate) trained_for: TrainedFor,
    /// Whether what it is to see is in the units of its training.
    pub(crate) same_units: bool,
}

/// A file of `assets/weights/`.
struct File {
    name: &'static str,
    bytes: &'static [u8],
}

macro_rules! files {
    ($($name:literal),*) => {
        [$(File {
            name: $name,
            bytes: include_bytes!(concat!("../../../assets/weights/", $name, ".safetensors")),
        }),*]
    };
}

/// Those of the experiment's own fields, from quiet to noisy observations.
const RECTANGLES: [File; 4] = files![
    "rectangles_8_noise_2e-6",
    "rectangles_8_noise_3e-5",
    "rectangles_8_noise_1e-3",
    "rectangles_8_noise_1e-2"
];

/// Those of drawn pictures with values from 0 to 1, for each amount from quiet to noisy observations.
const PICTURES: [File; 6] = files![
    "pictures_2_noise_2e-3",
    "pictures_2_noise_7e-3",
    "pictures_2_noise_3e-2",
    "pictures_8_noise_2e-3",
    "pictures_8_noise_7e-3",
    "pictures_8_noise_3e-2"
];

/// Those for pictures that these factors observed, at least one, from quiet to noisy observations.
///
/// # Errors
/// [`Error::Usage`] where there is none.
pub(super) fn all_of_pictures(factors: &[Factor]) -> Result<Vec<Shipped>> {
    /// Read once, for folders of many pictures.
    static READ: OnceLock<Vec<Shipped>> = OnceLock::new();
    let read = match READ.get() {
        Some(read) => read,
        None => {
            let read = PICTURES.iter().map(File::read).collect::<Result<_>>()?;
            READ.get_or_init(|| read)
        }
    };
    let suits = |shipped: &&Shipped| scale::other_operator(&shipped.trained_for, factors).is_none();
    let all: Vec<Shipped> = read.iter().filter(suits).cloned().collect();
    if all.is_empty() {
        return Err(Error::usage(format!(
            "no network for {} comes with unheat, only for heat:2 and heat:8 (within 5 %); use restore, \
             which needs none, or name one that you have trained by --weights",
            words(factors)
        )));
    }
    Ok(all)
}

/// The one for pictures y `[planes, cells]` that these factors observed, of which this `[noise, spread]` is
/// usual: that of the least noise which is not much less than theirs. It sees values as they are where they
/// look like samples from 0 to 1, as in its training.
///
/// # Errors
/// [`Error::Usage`] where there is none.
pub(super) fn of_pictures(factors: &[Factor], usual: [f64; 2], y: &[f64], cells: usize) -> Result<Shipped> {
    let mut all = all_of_pictures(factors)?;
    let are_samples = are_samples(y, usual[0]);
    for Shipped { trained_for, same_units, .. } in &mut all {
        *same_units = are_samples && scale::other_units(trained_for, y, cells).is_none();
    }
    Ok(quietest(all, usual, SHOWN_PICTURES).expect("an error where there is none"))
}

/// Whether all of some values but one in a hundred are samples from 0 to 1 with this much noise.
fn are_samples(y: &[f64], noise: f64) -> bool {
    let beyond = 3.0 * noise + 0.01;
    let others = y.iter().filter(|v| !(-beyond..=1.0 + beyond).contains(*v)).count();
    100 * others <= y.len()
}

/// Those of which one suits fields y `[batch, cells]` that these factors observed, of which this
/// `[noise, spread]` is usual: one for pictures and, where units are those of the experiment's own fields,
/// one of theirs. None is among them that was trained for so much less noise than the other that it would
/// take noise for details.
///
/// # Errors
/// [`Error::Usage`] where there is none.
pub(super) fn of_fields(
    factors: &[Factor],
    usual: [f64; 2],
    y: &[f64],
    cells: usize,
) -> Result<Vec<Shipped>> {
    let mut rectangles = Vec::new();
    for shipped in RECTANGLES.iter().map(File::read) {
        let shipped = Shipped { same_units: true, ..shipped? };
        let scale = &shipped.trained_for;
        if scale::other_operator(scale, factors).or(scale::other_units(scale, y, cells)).is_none() {
            rectangles.push(shipped);
        }
    }
    let mut all = vec![of_pictures(factors, usual, y, cells)?];
    all.extend(quietest(rectangles, usual, SHOWN));
    let least = all.iter().map(|shipped| shipped.noisier(usual)).fold(f64::INFINITY, f64::min);
    all.retain(|shipped| {
        let noisier = shipped.noisier(usual);
        noisier <= least.max(FAR) || noisier.is_nan() // of values that are too large to tell
    });
    Ok(all)
}

/// Of some that come from quiet to noisy the first that may be shown fields of which this `[noise, spread]`
/// is usual, at `most` so many times as noisy as those of its training; the last one if none may.
fn quietest(mut all: Vec<Shipped>, usual: [f64; 2], most: f64) -> Option<Shipped> {
    let first = all.iter().position(|shipped| shipped.noisier(usual) <= most);
    let number = first.or(all.len().checked_sub(1))?;
    Some(all.swap_remove(number))
}

impl Shipped {
    /// How many times as noisy as those of its training fields are, of which this `[noise, spread]` is usual.
    fn noisier(&self, [noise, spread]: [f64; 2]) -> f64 {
        scale::times_noisier(&self.trained_for, noise, spread, self.same_units)
    }
}

impl File {
    fn read(&self) -> Result<Shipped> {
        let Self { name, bytes } = *self;
        let (net, state, trained_for) = weights::of_bytes(Path::new(name), bytes)?;
        let trained_for = trained_for
            .ok_or_else(|| Error::file(Path::new(name), "does not say what it was trained for"))?;
        Ok(Shipped { name, net, state, trained_for, same_units: false })
    }
}
