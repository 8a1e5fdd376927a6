//! What `unheat reconstruct` keeps from field to field: its networks, its devices, the physics.

use crate::cli::findings::Findings;
use crate::cli::reconstruct::arguments::Arguments;
use crate::cli::reconstruct::networks::{Network, Networks};
use crate::cli::terminal::messages::note;
use crate::engine::predictor::{check_size, predict};
use crate::engine::{Device, Norm, operators};
use crate::model::operator::factor::Factor;
use crate::model::operator::tikhonov;
use crate::model::units::{Extent, Length};
use crate::model::{TrainedFor, UNetConfig};
use crate::restore::measurement::spectrum::Analyser;
use crate::restore::measurement::{Spectrum, some};
use crate::restore::network::refine::refine;
use crate::restore::network::tiled::reconstruct_planes;
use crate::restore::outcome::amount::too_much;
use crate::restore::{Beyond, Blur, Frame};
use crate::{Error, Result};
use rayon::prelude::*;
use std::cell::{Cell, RefCell};
use std::rc::Rc;

/// Fields at a time where it does not matter to the result.
const BATCH: usize = 64;

/// Fields by which one of several networks is chosen.
const FEW: usize = 8;

/// Fields by whose noise it is chosen, at most.
const MANY: usize = 64;

/// What stays the same from field to field.
pub(crate) struct Session {
    pub(crate) arguments: Arguments,
    /// The networks that were named; none where unheat is to bring its own.
    named: Option<Rc<Networks>>,
    pub(crate) device: Device,
    /// Where the physics is computed.
    physics: Device,
    /// The kind of network that the device was last found to be right for.
    tested: RefCell<Option<UNetConfig>>,
    /// Whether [`Session::advise`] has said something.
    has_advised: Cell<bool>,
}

/// The physics behind fields of one size.
pub(crate) struct Physics {
    frame: Frame,
    blur: Blur,
    /// The sides of a cell, where they are known.
    pixel: Option<[Length; 2]>,
}

impl Session {
    /// Opens the devices, and tests the one for networks.
    pub(crate) fn open(arguments: Arguments, named: Option<Networks>) -> Result<Self> {
        let device = arguments.device.open()?;
        let (physics, said) = operators::device_for(device.clone(), arguments.physics);
        if let (Some(said), true) = (said, named.is_none() || arguments.operator.is_told()) {
            note!("{said}");
        }
        let (named, tested, has_advised) = (named.map(Rc::new), RefCell::default(), Cell::default());
        let session = Self { arguments, named, device, physics, tested, has_advised };
        session.named.iter().try_for_each(|named| session.test(named))?;
        Ok(session)
    }

    /// Tests the device for these networks.
    fn test(&self, networks: &Networks) -> Result<()> {
        for Network { net, .. } in &networks.all {
            if self.tested.borrow().as_ref() != Some(&net.config) {
                self.arguments.preparation.recall(&self.device, net)?;
                self.tested.replace(Some(net.config.clone()));
            }
        }
        Ok(())
    }

    /// The networks that were named, or that which comes with unheat and suits a picture's planes y `[planes,
    /// cells]`, of which this is known.
    pub(crate) fn of_pictures(&self, known: &Known, y: &[f64], cells: usize) -> Result<Rc<Networks>> {
        self.named_or(known.physics, |physics| {
            // One network for all planes must bear the noisiest.
            let spectra = self.spectra(physics, known, y, cells)?;
            let noisiest = spectra.iter().map(|s| [s.noise, s.spread]).max_by(|a, b| a[0].total_cmp(&b[0]));
            let noisiest = noisiest.unwrap_or_default();
            let networks = Networks::of_pictures(physics.blur.factors(), noisiest, y, cells)?;
            self.test(&networks)?;
            Ok(networks)
        })
    }

    /// The networks that were named, or that which comes with unheat and suits fields y `[batch, nx, ny]`, of
    /// which this is known.
    pub(crate) fn of_fields(&self, known: &Known, y: &[f64], size: [usize; 2]) -> Result<Rc<Networks>> {
        self.named_or(known.physics, |physics| {
            let Physics { frame, blur, .. } = physics;
            let cells = size[0] * size[1];
            let spectra = self.spectra(physics, known, y, cells)?;
            let usual = [median(spectra.iter().map(|s| s.noise)), median(spectra.iter().map(|s| s.spread))];
            let few = some(y, cells, FEW);
            let mut best: Option<(f64, Networks)> = None;
            for networks in Networks::of_fields(blur.factors(), usual, y, cells)? {
                self.test(&networks)?;
                self.check_size(&networks, size)?;
                let (x, _) = self.predicted(&networks, known, &few, size)?;
                let (norms, _) = blur.misfit(&frame.widened(&few), &frame.widened(&x))?;
                let misfit = norms.iter().map(|norm| norm * norm).sum();
                if best.as_ref().is_none_or(|(least, _)| misfit < *least) {
                    best = Some((misfit, networks));
                }
            }
            Ok(best.expect("an error where there is none").1)
        })
    }

    /// Says once if networks that were named would do better with values y `[batch, cells]` as they are.
    pub(crate) fn advise(&self, networks: &Networks, y: &[f64], cells: usize) {
        if let (false, Some(advice)) = (self.has_advised.get(), networks.advice(y, cells)) {
            note!("{advice}");
            self.has_advised.set(true);
        }
    }

    /// The spectra of fields y `[batch, cells]`, or of some of many.
    fn spectra(&self, physics: &Physics, known: &Known, y: &[f64], cells: usize) -> Result<Vec<Spectrum>> {
        let Physics { frame, blur, .. } = physics;
        let rounding = frame.rounding(y, known.rounding);
        let (level, many) = (self.arguments.noise, some(y, cells, MANY));
        let seen = frame.observed(blur, level, rounding, &many)?;
        let analyser = Analyser::new(blur);
        let spectrum = |y: &[f64]| analyser.analyse(y, level, rounding);
        Ok(seen.par_chunks_exact(blur.cells()).map(spectrum).collect())
    }

    /// Doubts the physics that was told, or that the networks know, where the fields y `[batch, cells]` show
    /// less diffusion.
    pub(crate) fn doubt_amount(&self, known: &Known, y: &[f64], findings: &mut Findings) -> Result<()> {
        let Some(Physics { frame, blur, .. }) = known.physics else { return Ok(()) };
        findings.doubts(too_much(frame, blur.factors(), y, known.rounding)?);
        Ok(())
    }

    /// Refuses periodic fields whose size a network cannot take.
    pub(crate) fn check_size(&self, networks: &Networks, [nx, ny]: [usize; 2]) -> Result<()> {
        let hint = "fields of any size are reconstructed with --edges insulated";
        let fits = |Network { net, .. }: &Network| {
            check_size(net, nx, ny).map_err(|e| Error::usage(format!("{e}; {hint}")))
        };
        match self.arguments.edges.of_arrays() {
            Beyond::Periodic => networks.all.iter().try_for_each(fits),
            Beyond::Insulated | Beyond::Open => Ok(()),
        }
    }

    /// What networks predict for fields y `[batch, nx, ny]`; with several of them also the standard deviation
    /// of their predictions.
    pub(crate) fn predicted(
        &self,
        networks: &Networks,
        known: &Known,
        y: &[f64],
        [nx, ny]: [usize; 2],
    ) -> Result<(Vec<f64>, Option<Vec<f64>>)> {
        let Arguments { edges, norm, batch, .. } = &self.arguments;
        let is_periodic = edges.of_arrays() == Beyond::Periodic;
        let usual = if is_periodic && networks.shipped.is_none() { Norm::Batch } else { Norm::Running };
        let norm = norm.unwrap_or(usual);
        let cells = nx * ny;
        let at_once = batch.unwrap_or(if norm == Norm::Batch { y.len() / cells } else { BATCH });
        let inverse = |lambda, seen: &[f64]| self.inverse(known, lambda, seen);
        networks.predicted(y, cells, norm, inverse, |trained, seen| {
            if !is_periodic {
                return reconstruct_planes(&self.device, trained, *batch, seen, nx, ny);
            }
            let seen: Vec<f32> = seen.iter().map(|&v| v as f32).collect();
            let predicted = predict(&self.device, trained, at_once, &seen, nx, ny)?;
            Ok(predicted.into_iter().map(f64::from).collect())
        })
    }

    /// What networks that see the Tikhonov inverse with this λ see of fields y `[batch, nx, ny]`.
    pub(crate) fn inverse(&self, known: &Known, lambda: f64, y: &[f64]) -> Result<Vec<f64>> {
        let Some(Physics { frame, blur, .. }) = known.physics else {
            return Err(Error::usage(
                "weights: the network sees the inverse of what observed the fields, which is a point spread \
                 function that weights do not hold; add --operator psf:FILE",
            ));
        };
        let observed = frame.observed(blur, self.arguments.noise, frame.rounding(y, known.rounding), y)?;
        let inverse = blur.turning_back(|_, wave| tikhonov::gain(wave.size(), lambda));
        Ok(frame.cropped(blur.filter(&observed, &inverse)?))
    }

    fn named_or(
        &self,
        physics: Option<&Physics>,
        own: impl FnOnce(&Physics) -> Result<Networks>,
    ) -> Result<Rc<Networks>> {
        if let Some(named) = &self.named {
            return Ok(named.clone());
        }
        let physics =
            physics.ok_or_else(|| Error::usage("no operator is told: add --amount or --weights"))?;
        own(physics).map(Rc::new)
    }

    /// The physics behind fields of this size, by what is told or else by what the networks know; `of_file`
    /// is what the fields' file says about the sides of its pixels.
    pub(crate) fn physics(
        &self,
        size: [usize; 2],
        of_file: Option<[f64; 2]>,
        beyond: impl Fn(&[Factor]) -> Beyond,
    ) -> Result<Option<Physics>> {
        let operator = &self.arguments.operator;
        let told = self.named.is_none() || operator.is_told();
        let told = told.then(|| operator.told(of_file)).transpose()?;
        let pixel = told.as_ref().and_then(|told| told.pixel);
        let known = || known_factors(self.named.as_ref()?.trained_for()?);
        let factors = told.map(|told| told.factors.clone()).or_else(known);
        let Some(factors) = factors else { return Ok(None) };
        let frame = Frame::new(size, beyond(&factors), &factors);
        let blur = frame.blur(&self.physics, self.arguments.physics, &factors)?;
        Ok(Some(Physics { frame, blur, pixel }))
    }

    /// The predictions after `--refine`, and what it did to the misfit. What speaks against them goes to the
    /// findings.
    pub(crate) fn refined(
        &self,
        networks: &Networks,
        known: &Known,
        y: &[f64],
        predicted: Vec<f64>,
        findings: &mut Findings,
    ) -> Result<(Vec<f64>, String)> {
        let Known { physics: Some(Physics { frame, blur, .. }), rounding, sampling, bounds } = *known else {
            return Ok((predicted, String::new()));
        };
        let Arguments { refine: updates, noise, .. } = self.arguments;
        // Without updates it tells the misfit alone.
        let rounding = frame.rounding(y, rounding);
        let (y, x) = (frame.observed(blur, noise, rounding, y)?, frame.widened(&predicted));
        let refined = refine(blur, noise, rounding, &y, &x, updates.unwrap_or(0), bounds)?;
        for (spectrum, misfit) in refined.spectra.iter().zip(&refined.after) {
            findings.spectrum(spectrum);
            findings.doubts(networks.doubt(blur, spectrum, sampling, *misfit));
        }
        let Some(updates) = updates else { return Ok((predicted, String::new())) };
        let rms = |misfits: &[f64]| (misfits.iter().map(|m| m * m).sum::<f64>() / y.len() as f64).sqrt();
        let (before, after) = (rms(&refined.before), rms(&refined.after));
        let most = refined.updates.iter().max().copied().unwrap_or(0);
        let told = format!(
            "; {most} of {updates} updates took the misfit per cell from {before:.3e} to {after:.3e}{}",
            findings.told("cells")
        );
        Ok((frame.cropped(refined.x), told))
    }
}

/// What is known of an observation.
pub(crate) struct Known<'a> {
    /// None where nobody has said what observed it.
    pub(crate) physics: Option<&'a Physics>,
    /// The standard deviation of what rounding the numbers has added.
    pub(crate) rounding: f64,
    /// That of rounding to the samples of the file alone, without what JPEG has lost.
    pub(crate) sampling: f64,
    /// The range of its values, where they have one.
    pub(crate) bounds: Option<(f64, f64)>,
}

impl Physics {
    /// What the axes of its fields reach over, where that is known.
    pub(crate) fn axes(&self, size: [usize; 2]) -> Option<Extent> {
        self.pixel.map(|pixel| Extent::of(size, pixel))
    }

    /// What an observer sees of the fields x.
    pub(crate) fn seen(&self, x: &[f64]) -> Result<Vec<f64>> {
        Ok(self.frame.cropped(self.blur.apply(&self.frame.widened(x))?))
    }
}

/// The median of some numbers, of which there are any.
fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    let middle = values.len() / 2;
    *values.select_nth_unstable_by(middle, f64::total_cmp).1
}

/// What a network says that it was trained for, where that is enough to compute it.
fn known_factors(trained_for: &TrainedFor) -> Option<Vec<Factor>> {
    match (trained_for.amount, &trained_for.operator) {
        (Some(amount), _) => Some(vec![Factor::heat([amount; 2]).ok()?]),
        // No formula, which could name a file to read: weights come from anywhere.
        (None, Some(text)) => text.split('+').map(|factor| Factor::parse(factor).ok()).collect(),
        (None, None) => None,
    }
}
