//! Networks that reconstruct together, and how they are shown what was observed.

use crate::cli::findings::Findings;
use crate::cli::reconstruct::shipped::{Shipped, all_of_pictures, of_fields, of_pictures};
use crate::engine::{Norm, Trained};
use crate::io::arrays::weights;
use crate::model::operator::factor::Factor;
use crate::model::unet::init::State;
use crate::model::{TrainedFor, UNet};
use crate::restore::Blur;
use crate::restore::measurement::Spectrum;
use crate::restore::network::scale::{self, at_scale};
use crate::train::Found;
use crate::{Error, Result};
use std::borrow::Cow;
use std::path::PathBuf;

/// One or several of them.
pub(crate) struct Networks {
    pub(crate) all: Vec<Network>,
    /// Whether they see the values as they are, not at the scale of their training.
    same_units: bool,
    /// What those are called that come with unheat.
    pub(crate) shipped: Option<&'static str>,
}

pub(crate) struct Network {
    pub(crate) net: UNet,
    state: State,
    /// What it was trained for, if the file says so.
    trained_for: Option<TrainedFor>,
}

impl Networks {
    /// Those of these files.
    pub(crate) fn read(paths: &[PathBuf], same_units: bool) -> Result<Self> {
        let read = |path: &PathBuf| {
            weights::read_all(path).map(|(net, state, trained_for)| Network { net, state, trained_for })
        };
        let all = paths.iter().map(read).collect::<Result<Vec<Network>>>()?;
        // They are shown the inverse of one operator.
        let known = || all.iter().filter_map(|network| network.trained_for.as_ref());
        let operators = || known().map(|known| (&known.amount, &known.operator));
        if known().any(|known| known.tikhonov.is_some()) && operators().any(|o| Some(o) != operators().next())
        {
            return Err(Error::usage(
                "weights: these networks were trained for several operators, and some see the inverse of \
                 theirs; name networks of one operator",
            ));
        }
        Ok(Self { all, same_units, shipped: None })
    }

    /// Refuses an operator for which no network comes with unheat; there is one for pictures for every
    /// operator that there is any for.
    pub(crate) fn check(factors: &[Factor]) -> Result<()> {
        all_of_pictures(factors).map(drop)
    }

    /// The one that comes with unheat and suits a picture's planes y `[planes, cells]` that these factors
    /// observed, with this `[noise, spread]`.
    pub(crate) fn of_pictures(factors: &[Factor], usual: [f64; 2], y: &[f64], cells: usize) -> Result<Self> {
        of_pictures(factors, usual, y, cells).map(Self::of)
    }

    /// Those that come with unheat of which one suits fields y `[batch, cells]` that these factors observed,
    /// of which this `[noise, spread]` is usual: at least one.
    pub(crate) fn of_fields(
        factors: &[Factor],
        usual: [f64; 2],
        y: &[f64],
        cells: usize,
    ) -> Result<Vec<Self>> {
        Ok(of_fields(factors, usual, y, cells)?.into_iter().map(Self::of).collect())
    }

    fn of(Shipped { name, net, state, trained_for, same_units }: Shipped) -> Self {
        let all = vec![Network { net, state, trained_for: Some(trained_for) }];
        Self { all, same_units, shipped: Some(name) }
    }

    /// What the first network that says so was trained for.
    pub(crate) fn trained_for(&self) -> Option<&TrainedFor> {
        self.all.iter().find_map(|network| network.trained_for.as_ref())
    }

    /// Why they should not be asked about an observation through `blur` with this spectrum and `sampling`, or
    /// why what they make of it, ‖y - P(x)‖ being `misfit`, cannot be right.
    pub(crate) fn doubt(
        &self,
        blur: &Blur,
        spectrum: &Spectrum,
        sampling: f64,
        misfit: f64,
    ) -> Option<String> {
        let of = |scale: &TrainedFor| scale::misfit(scale, spectrum, blur.factors(), self.same_units);
        let unsuited = self.trained_for().and_then(of).or_else(|| scale::coarse(spectrum, sampling));
        let why = unsuited.or_else(|| scale::unexplained(spectrum, misfit, blur.cells()))?;
        // Nobody has trained it who could train it for longer.
        Some(if self.shipped.is_some() { format!("{why}; `unheat restore` needs no network") } else { why })
    }

    /// Doubts values far from those that networks are made for, where no network says what it was trained for
    /// and would be shown them at that scale, or where they are to be shown as they are.
    pub(crate) fn doubt_scale(&self, y: &[f64], cells: usize, findings: &mut Findings) {
        findings.doubts(match self.trained_for() {
            None => Found::new(None, 1, y.iter().copied()).warning(),
            // Those that come with unheat have been chosen by the units.
            Some(scale) if self.same_units && self.shipped.is_none() => scale::other_units(scale, y, cells),
            Some(_) => None,
        });
    }

    /// What to say where values in the units of their training are moved and stretched like any others.
    pub(crate) fn advice(&self, y: &[f64], cells: usize) -> Option<&'static str> {
        let is_moved = self.shipped.is_none() && !self.same_units;
        let scale = self.trained_for().filter(|scale| is_moved && scale.amount.is_some())?;
        let advice = "the values seem to be in the units of the network's training: with --same-units it \
                      sees them as they are, which predicts better if so";
        scale::other_units(scale, y, cells).is_none().then_some(advice)
    }

    /// The mean of what the networks `predict` for y `[batch, cells]`, each at its own scale and by the
    /// `inverse` with its λ where it sees that; with several of them also the standard deviation of their
    /// predictions.
    pub(crate) fn predicted(
        &self,
        y: &[f64],
        cells: usize,
        norm: Norm,
        inverse: impl Fn(f64, &[f64]) -> Result<Vec<f64>>,
        predict: impl Fn(Trained, &[f64]) -> Result<Vec<f64>>,
    ) -> Result<(Vec<f64>, Option<Vec<f64>>)> {
        let of = |Network { net, state, trained_for }: &Network| {
            let scale = trained_for.as_ref().filter(|_| !self.same_units);
            let lambda = trained_for.as_ref().and_then(|known| known.tikhonov);
            // Before it is moved and stretched: what is told of its noise is in its own units.
            let shown = lambda.map_or(Ok(Cow::Borrowed(y)), |lambda| inverse(lambda, y).map(Cow::Owned))?;
            at_scale(scale, y, &shown, cells, |seen| predict(Trained { net, state, norm }, seen))
        };
        let mut all = self.all.iter().map(of).collect::<Result<Vec<_>>>()?;
        if all.len() == 1 {
            return Ok((all.remove(0), None));
        }
        let count = all.len() as f64;
        let mean: Vec<f64> =
            (0..y.len()).map(|cell| all.iter().map(|x| x[cell]).sum::<f64>() / count).collect();
        let squares = |cell: usize| all.iter().map(|x| (x[cell] - mean[cell]).powi(2)).sum::<f64>();
        let deviations = (0..y.len()).map(|cell| (squares(cell) / (count - 1.0)).sqrt()).collect();
        Ok((mean, Some(deviations)))
    }
}
