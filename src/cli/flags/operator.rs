//! What observed the fields, as the commands on measurements ask for it.

use crate::io::point_spread;
use crate::model::operator::amounts::Amounts;
use crate::model::operator::factor::Factor;
use crate::model::operator::formula::Formula;
use crate::model::units::{Diffusivity, Length, Physical, PixelSize, Time};
use crate::restore::measurement::amount::Estimate;
use crate::{Error, Result};
use clap::Args;
use std::str::FromStr;
use std::sync::{Arc, OnceLock};

/// The amount of diffusion where none is told, in cells².
const USUAL: f64 = 8.0;

#[derive(Args)]
pub(crate) struct OperatorFlags {
    /// Diffusivity × time, in cells² (of a picture: pixels²); 8x2 along x and along y; auto, of `restore`
    /// alone, estimates it from the observation [default: 8]
    #[arg(long, value_name = "A|AXxAY|auto")]
    amount: Option<Amount>,
    /// In place of --amount: how fast heat spreads, such as 110mm2/s; a bare number is in m²/s. It needs
    /// --time and --pixel
    #[arg(long, value_name = "M2/S", conflicts_with = "amount", requires = "time", requires = "pixel")]
    diffusivity: Option<Diffusivity>,
    /// For how long heat has spread, such as 40ms; a bare number is in seconds
    #[arg(long, value_name = "S", requires = "diffusivity")]
    time: Option<Time>,
    /// The sides of a cell, such as 0.3mm, or 0.3x0.25mm along x and y; a bare number is in metres; auto is
    /// what a PNG or TIFF file says
    #[arg(long, value_name = "M|auto")]
    pixel: Option<PixelSize>,
    /// What observed the fields instead of heat conduction: factors joined by +, of heat (by --amount),
    /// heat:AMOUNT, heat:AXxAY, gaussian:SIGMA, disk:RADIUS, motion:LENGTH,DEGREES, advection:X,Y, poisson,
    /// helmholtz:KAPPA and psf:FILE, with lengths in cells (docs/operators.md)
    #[arg(long, value_name = "NAME[:PARAMETERS]")]
    operator: Option<Formula>,
    /// The operator, where it is the same for all files: what it names is read once.
    #[arg(skip)]
    read: OnceLock<Arc<Told>>,
}

/// What `--amount` says.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Amount {
    Told(Amounts),
    /// The observation itself is to tell it.
    Auto,
}

impl FromStr for Amount {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        if text == "auto" { Ok(Self::Auto) } else { text.parse().map(Self::Told) }
    }
}

/// An operator, and how it was told.
pub(crate) struct Told {
    pub(crate) factors: Vec<Factor>,
    /// The sides of a cell, where they are known.
    pub(crate) pixel: Option<[Length; 2]>,
    /// Where the amounts come from, if not from cells.
    pub(crate) physical: Option<Physical>,
    words: String,
    is_diffusion: bool,
    /// The amounts, where they come from metres and seconds, or from the observation.
    measured: Option<String>,
}

impl Told {
    /// Diffusion by an amount that the observation itself has told.
    ///
    /// # Errors
    /// [`Error::Usage`] for one out of range.
    pub(crate) fn found(Estimate { amount, low, high }: Estimate) -> Result<Self> {
        let words = format!("{amount:.2} cells² ({low:.2} to {high:.2}, as estimated)");
        let factors = vec![Factor::heat([amount; 2])?];
        let measured = Some(words.clone());
        Ok(Self { factors, pixel: None, physical: None, words, is_diffusion: true, measured })
    }

    /// "; the amount: 611 cells² (…)", where it was not told in cells.
    pub(crate) fn measured(&self) -> String {
        self.measured.as_ref().map(|words| format!("; the amount: {words}")).unwrap_or_default()
    }

    /// "diffused by 8 cells²", or "observed by disk:3"; `cells` is what lengths are counted in.
    pub(crate) fn observed(&self, cells: &str) -> String {
        match self.is_diffusion {
            true => format!("diffused by {}", self.words.replacen("cells", cells, 1)),
            false => format!("observed by {}", self.words),
        }
    }
}

impl OperatorFlags {
    /// Whether anything is told of it.
    pub(crate) fn is_told(&self) -> bool {
        self.amount.is_some() || self.operator.is_some() || self.diffusivity.is_some()
    }

    /// Whether the observation is to tell how much diffusion there was.
    ///
    /// # Errors
    /// [`Error::Usage`] for another operator than heat: there is nothing else that it could tell apart.
    pub(crate) fn is_to_be_found(&self) -> Result<bool> {
        let is_auto = self.amount == Some(Amount::Auto);
        match self.operator.as_ref().filter(|operator| is_auto && **operator != Formula::heat()) {
            Some(operator) => Err(Error::usage(format!(
                "amount auto: is for heat alone, not for operator {operator}; leave --amount out"
            ))),
            None => Ok(is_auto),
        }
    }

    /// Says what is impossible before anything is read, if that does not hang on what a file tells.
    ///
    /// # Errors
    /// Those of [`OperatorFlags::told`].
    pub(crate) fn check(&self) -> Result<()> {
        self.known().map(|_| ())
    }

    /// The operator, if it does not hang on what a file tells.
    ///
    /// # Errors
    /// Those of [`OperatorFlags::told`].
    pub(crate) fn known(&self) -> Result<Option<Arc<Told>>> {
        if self.pixel == Some(PixelSize::Auto) { Ok(None) } else { self.told(None).map(Some) }
    }

    /// The operator on fields whose file says that their cells have these sides, in metres.
    ///
    /// # Errors
    /// [`Error::Usage`] for an amount that no factor takes, and for quantities that go together; those of
    /// reading a point spread function.
    pub(crate) fn told(&self, of_file: Option<[f64; 2]>) -> Result<Arc<Told>> {
        if self.pixel == Some(PixelSize::Auto) {
            return self.made(of_file).map(Arc::new);
        }
        if let Some(told) = self.read.get() {
            return Ok(told.clone());
        }
        let told = Arc::new(self.made(of_file)?);
        Ok(self.read.get_or_init(|| told).clone())
    }

    fn made(&self, of_file: Option<[f64; 2]>) -> Result<Told> {
        let pixel = self.sides(of_file)?;
        let amounts = match self.amount {
            None => USUAL.into(),
            Some(Amount::Told(amounts)) => amounts,
            Some(Amount::Auto) => {
                return Err(Error::usage("amount auto: is for restore, which estimates it; give a number"));
            }
        };
        let physical = Physical::of(self.diffusivity, self.time, pixel)?;
        let amounts = physical.map_or(amounts, |physical| Amounts(physical.amounts()));
        let heat = Formula::heat();
        let formula = self.operator.as_ref().unwrap_or(&heat);
        if !formula.needs_amount() && (self.amount.is_some() || physical.is_some()) {
            let both = format!("say heat+{formula} for both, or ");
            let both = if formula.to_string().contains("heat:") { "" } else { &both };
            return Err(Error::usage(format!(
                "amount {amounts}: is for heat without a number, which {formula} has not; {both}leave \
                 --amount out"
            )));
        }
        let factors = point_spread::factors(formula, amounts)?;
        let is_diffusion = *formula == heat;
        let measured = physical.map(|physical| format!("{amounts:.6} cells² ({})", physical.describe()));
        let amount = measured.clone().unwrap_or_else(|| format!("{amounts} cells²"));
        let words = match (is_diffusion, formula.needs_amount()) {
            (true, _) => amount,
            (false, true) => format!("{formula} with the amount {amount}"),
            (false, false) => formula.to_string(),
        };
        Ok(Told { factors, pixel, physical, words, is_diffusion, measured })
    }

    fn sides(&self, of_file: Option<[f64; 2]>) -> Result<Option<[Length; 2]>> {
        match (self.pixel, of_file) {
            (None, _) => Ok(None),
            (Some(PixelSize::Given(sides)), _) => Ok(Some(sides)),
            (Some(PixelSize::Auto), Some([x, y])) => Ok(Some([Length::new(x)?, Length::new(y)?])),
            (Some(PixelSize::Auto), None) => Err(Error::usage(
                "pixel auto: the file does not say how large its pixels are; give --pixel a length",
            )),
        }
    }
}
