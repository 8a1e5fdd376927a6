//! The networks that come with unheat, for those who have trained none. BENCHMARKS.md, "Long trainings on a
//! GPU" and "A picture", says how they were trained and what they reach.

use crate::io::arrays::weights;
use crate::model::operator::factor::{Factor, words};
use crate::model::unet::init::State;
use crate::model::{TrainedFor, UNet};
use crate::restore::network::scale;
use crate::{Error, Result};
use std::path::Path;

/// A network may be shown observations up to this many times as noisy as those of its training; beyond, one
/// that was trained for more noise is better (BENCHMARKS.md, "Long trainings on a GPU").
const SHOWN: f64 = 2.0;

/// One of them.
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

/// Those of the experiment's own fields, from quiet to noisy observations. The first one sees the inverse,
/// with so small a λ that it bears less noise than the second, which was trained without.
const RECTANGLES: [File; 4] = files![
    "rectangles_8_noise_2e-6",
    "rectangles_8_noise_0",
    "rectangles_8_noise_1e-3",
    "rectangles_8_noise_1e-2"
];

/// Those of drawn pictures that were stored in 8 bits.
const PICTURES: [File; 2] = files!["pictures_2", "pictures_8"];

/// The one for pictures that these factors observed.
///
/// # Errors
/// [`Error::Usage`] where there is none.
pub(super) fn of_pictures(factors: &[Factor]) -> Result<Shipped> {
    let suits = |shipped: &Shipped| scale::other_operator(&shipped.trained_for, factors).is_none();
    let all = PICTURES.iter().map(File::read).collect::<Result<Vec<_>>>()?;
    let found = all.into_iter().find(suits);
    found.ok_or_else(|| {
        Error::usage(format!(
            "no network for {} comes with unheat, only for heat:2 and heat:8 (within 5 %); use restore, \
             which needs none, or name one that you have trained by --weights",
            words(factors)
        ))
    })
}

/// Those of which one suits fields y `[batch, cells]` that these factors observed, of which this
/// `[noise, spread]` is usual: the one for pictures, and before it, where units are those of the experiment's
/// own fields, the one of theirs whose training was about as noisy. None is among them that was trained for
/// so much less noise than another that it would take noise for details.
///
/// # Errors
/// [`Error::Usage`] where there is none.
pub(super) fn of_fields(
    factors: &[Factor],
    [noise, spread]: [f64; 2],
    y: &[f64],
    cells: usize,
) -> Result<Vec<Shipped>> {
    let mut all = vec![of_pictures(factors)?];
    for shipped in RECTANGLES.iter().map(File::read) {
        let shipped = Shipped { same_units: true, ..shipped? };
        let scale = &shipped.trained_for;
        if scale::other_operator(scale, factors).or(scale::other_units(scale, y, cells)).is_none() {
            all.push(shipped);
        }
    }
    let noisier =
        |shipped: &Shipped| scale::times_noisier(&shipped.trained_for, noise, spread, shipped.same_units);
    let most = all.iter().map(noisier).fold(f64::INFINITY, f64::min).max(SHOWN);
    all.retain(|shipped| noisier(shipped) <= most);
    // Of those for rectangles, which come from quiet to noisy, the first.
    let mut is_first = true;
    all.retain(|shipped| !shipped.same_units || std::mem::take(&mut is_first));
    Ok(all)
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
