//! What the commands on measurements ask: the noise, the edges, whether doubts are errors.

use crate::cli::flags::numbers::real;
use crate::restore::Beyond;
use crate::restore::measurement::NoiseLevel;
use crate::restore::measurement::noise::check_noise;
use clap::ValueEnum;
use clap::builder::PossibleValue;

/// Parses `auto` or a standard deviation.
pub(crate) fn noise(text: &str) -> Result<NoiseLevel, String> {
    if text == "auto" {
        return Ok(NoiseLevel::Auto);
    }
    let noise = real(text).map_err(|_| "must be auto or a number, such as 1e-3")?;
    check_noise(noise).map_err(|error| error.to_string())?;
    Ok(NoiseLevel::Told(noise))
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
