//! What the commands on measurements ask: the noise, the edges, whether doubts are errors.

use crate::cli::flags::numbers::real;
use crate::cpu::reduce::mean;
use crate::model::noise;
use crate::model::operator::factor::Factor;
use crate::restore::Beyond;
use crate::restore::measurement::NoiseLevel;
use clap::builder::PossibleValue;
use clap::{Args, ValueEnum};

/// The noise that `restore` reckons with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Noise {
    Level(NoiseLevel),
    /// That of counts, whose variance is their mean.
    Counts,
}

impl Noise {
    /// Its level in a field of which `white` is one unit of a count: √(mean count).
    pub(crate) fn level(self, field: &[f64], white: f64) -> NoiseLevel {
        match self {
            Self::Level(level) => level,
            Self::Counts => NoiseLevel::Told((mean(field).max(0.0) * white).sqrt() / white),
        }
    }
}

/// Parses `counts`, `auto` or a standard deviation.
pub(crate) fn noise_or_counts(text: &str) -> Result<Noise, String> {
    if text == "counts" { Ok(Noise::Counts) } else { noise(text).map(Noise::Level) }
}

/// Parses `auto` or a standard deviation.
pub(crate) fn noise(text: &str) -> Result<NoiseLevel, String> {
    if text == "auto" {
        return Ok(NoiseLevel::Auto);
    }
    let noise = real(text).map_err(|_| "must be auto or a number, such as 1e-3")?;
    noise::check(noise).map_err(|error| error.to_string())?;
    Ok(NoiseLevel::Told(noise))
}

#[derive(Args)]
pub(crate) struct EdgesFlag {
    /// What lies beyond the edges [default: periodic for arrays; for pictures insulated, or open where
    /// mirrors change the operator]; networks take fields of any size unless they are periodic
    #[arg(long, value_enum)]
    edges: Option<Beyond>,
}

impl EdgesFlag {
    /// Whether anything is told of them.
    pub(crate) fn is_told(&self) -> bool {
        self.edges.is_some()
    }

    /// Those of arrays.
    pub(crate) fn of_arrays(&self) -> Beyond {
        self.edges.unwrap_or(Beyond::Periodic)
    }

    /// Those of pictures that these factors observed.
    pub(crate) fn of_pictures(&self, factors: &[Factor]) -> Beyond {
        self.edges.unwrap_or(Beyond::of_pictures(factors))
    }
}

impl ValueEnum for Beyond {
    fn value_variants<'a>() -> &'a [Self] {
        &[Self::Periodic, Self::Insulated, Self::Open]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(match self {
            Self::Periodic => {
                PossibleValue::new("periodic").help("What leaves on one side comes back on the other")
            }
            Self::Insulated => {
                PossibleValue::new("insulated").help("Nothing flows through them; they act as mirrors")
            }
            Self::Open => PossibleValue::new("open")
                .help("Nobody knows: something goes on smoothly, and what comes back near them is a guess"),
        })
    }
}
