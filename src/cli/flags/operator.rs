//! What observed the fields, as the commands on measurements ask for it.

use crate::io::point_spread;
use crate::model::operator::amounts::Amounts;
use crate::model::operator::factor::Factor;
use crate::model::operator::formula::Formula;
use crate::{Error, Result};
use clap::Args;

/// The amount of diffusion where none is told, in cells².
const USUAL: f64 = 8.0;

#[derive(Args)]
pub(crate) struct OperatorFlags {
    /// Diffusivity × time, in cells² (of a picture: pixels²); 8x2 along x and along y [default: 8]
    #[arg(long, value_name = "A|AXxAY")]
    amount: Option<Amounts>,
    /// What observed the fields instead of heat conduction: factors joined by +, of heat (by --amount),
    /// heat:AMOUNT, heat:AXxAY, gaussian:SIGMA, disk:RADIUS, motion:LENGTH,DEGREES, advection:X,Y, poisson,
    /// helmholtz:KAPPA and psf:FILE, with lengths in cells (docs/operators.md)
    #[arg(long, value_name = "NAME[:PARAMETERS]")]
    operator: Option<Formula>,
}

/// An operator, and how it was told.
pub(crate) struct Told {
    pub(crate) factors: Vec<Factor>,
    words: String,
    is_diffusion: bool,
}

impl Told {
    /// "diffused by 8 cells²", or "observed by disk:3"; `cells` is what lengths are counted in.
    pub(crate) fn observed(&self, cells: &str) -> String {
        match self.is_diffusion {
            true => format!("diffused by {} {cells}²", self.words),
            false => format!("observed by {}", self.words),
        }
    }
}

impl OperatorFlags {
    /// Whether anything is told of it.
    pub(crate) fn is_told(&self) -> bool {
        self.amount.is_some() || self.operator.is_some()
    }

    /// The operator.
    ///
    /// # Errors
    /// [`Error::Usage`] for an amount that no factor takes; those of reading a point spread function.
    pub(crate) fn told(&self) -> Result<Told> {
        let heat = Formula::heat();
        let formula = self.operator.as_ref().unwrap_or(&heat);
        if let Some(amount) = self.amount.filter(|_| !formula.needs_amount()) {
            return Err(Error::usage(format!(
                "amount {amount}: is for heat, which operator {formula} has not; say heat+{formula} for both, \
                 or leave --amount out"
            )));
        }
        let amounts = self.amount.unwrap_or(USUAL.into());
        let factors = point_spread::factors(formula, amounts)?;
        let is_diffusion = *formula == heat;
        let words = match (is_diffusion, formula.needs_amount()) {
            (true, _) => amounts.to_string(),
            (false, true) => format!("{formula} with the amount {amounts}"),
            (false, false) => formula.to_string(),
        };
        Ok(Told { factors, words, is_diffusion })
    }
}
