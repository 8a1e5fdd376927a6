//! Stacks of fields that are a film of one process, and animated pictures of them.

use crate::cli::flags::operator::Told;
use crate::io::atomic;
use crate::io::images::photo::Photo;
use crate::io::plots::film::{self, DELAYS, Palette};
use crate::model::operator::factor::Factor;
use crate::model::units::{Physical, Time};
use crate::{Error, Result};
use clap::Args;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// How a stack becomes an animated picture.
#[derive(Args)]
pub(crate) struct Animation {
    /// Also write the fields of the result, one after another, as an animated picture; replaced if it exists
    #[arg(long, value_name = "FILE.png|FILE.gif")]
    animation: Option<PathBuf>,
    /// How long it shows a field, in milliseconds [from 1 to 60000]
    #[arg(long, value_name = "MS", default_value_t = 100, requires = "animation")]
    delay: u64,
}

impl Animation {
    /// Refuses a name that is none of an animated picture, and an impossible delay, before anything is
    /// computed.
    ///
    /// # Errors
    /// [`Error::Usage`] and [`Error::File`].
    pub(crate) fn check(&self, is_folder: bool) -> Result<()> {
        self.delay()?;
        let Some(path) = &self.animation else { return Ok(()) };
        if is_folder {
            return Err(Error::usage("--animation is for one stack, not for a folder"));
        }
        film::check(path)?;
        atomic::check(path)
    }

    /// Draws the pages of a stack of grey pictures, if that is asked for.
    ///
    /// # Errors
    /// [`Error::Usage`] for pages of several colours; those of [`film::write`].
    pub(crate) fn write_pages(&self, photo: &Photo) -> Result<()> {
        if self.animation.is_some() && photo.channels() > photo.pages {
            return Err(Error::usage("--animation is for a stack of grey pictures, or of fields"));
        }
        self.write(&photo.planes, [photo.nx, photo.ny], Palette::Grey)
    }

    /// Where it goes.
    pub(crate) fn path(&self) -> Option<&PathBuf> {
        self.animation.as_ref()
    }

    /// Draws fields `[frames, nx, ny]`, if that is asked for.
    ///
    /// # Errors
    /// Those of [`film::write`].
    pub(crate) fn write(&self, frames: &[f64], [nx, ny]: [usize; 2], palette: Palette) -> Result<()> {
        let Some(path) = &self.animation else { return Ok(()) };
        let low = frames.iter().copied().fold(f64::INFINITY, f64::min);
        let high = frames.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let limits = if low < high { (low, high) } else { (low - 0.5, low + 0.5) };
        film::write(path, frames, nx, ny, limits, palette, self.delay()?)
    }

    fn delay(&self) -> Result<u32> {
        u32::try_from(self.delay).ok().filter(|delay| DELAYS.contains(delay)).ok_or_else(|| {
            let (least, most) = (DELAYS.start(), DELAYS.end());
            Error::usage(format!("delay {}: must be from {least} to {most} milliseconds", self.delay))
        })
    }
}

/// How much longer each field of a film has diffused than the one before.
#[derive(Args)]
pub(crate) struct TimeStep {
    /// The fields are a film of one process: each has diffused for this much longer than the one before. A
    /// time such as 40ms with --diffusivity, else an amount in cells²; --amount or --time is that of the
    /// first
    #[arg(long, value_name = "TIME|A")]
    time_step: Option<Step>,
}

/// A number alone is an amount, or a time in seconds.
#[derive(Clone, Copy, Debug)]
struct Step {
    time: Time,
    is_number: bool,
}

impl FromStr for Step {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let explained = |error| Error::usage(format!("{error}; or an amount in cells² such as 0.5"));
        Ok(Self { time: text.parse().map_err(explained)?, is_number: text.trim().parse::<f64>().is_ok() })
    }
}

impl TimeStep {
    /// Whether the fields are a film.
    pub(crate) fn is_told(&self) -> bool {
        self.time_step.is_some()
    }

    /// Refuses a film of one field, where the flag would do nothing.
    ///
    /// # Errors
    /// [`Error::File`], named `path`.
    pub(crate) fn check(&self, path: &Path, fields: usize) -> Result<()> {
        if self.is_told() && fields == 1 {
            return Err(Error::file(path, "holds one field, and --time-step is for films; leave it out"));
        }
        Ok(())
    }

    /// " and 2 more from field to field", of a film.
    pub(crate) fn words(&self) -> String {
        match self.time_step {
            None => String::new(),
            Some(Step { time, is_number: true }) => {
                format!(" and {} more from field to field", time.seconds())
            }
            Some(Step { time, .. }) => format!(" and {time} more from field to field"),
        }
    }

    /// The operator of frame `i`, counted from 0: that which was told, and `i` steps more of diffusion.
    ///
    /// # Errors
    /// [`Error::Usage`] for another operator than diffusion, for a time without a diffusivity, and for an
    /// amount out of range.
    pub(crate) fn factors(&self, told: &Told, i: usize) -> Result<Vec<Factor>> {
        let Some(Step { time, is_number }) = self.time_step else { return Ok(told.factors.clone()) };
        let step = match told.physical {
            Some(physical) => Physical { time, ..physical }.amounts(),
            None if is_number => [time.seconds(); 2],
            None => {
                return Err(Error::usage(format!(
                    "time-step {time}: a time needs --diffusivity, --time and --pixel; without them give an \
                     amount in cells²"
                )));
            }
        };
        match told.factors[..] {
            [Factor::Heat(first)] => {
                let amount = |axis: usize| first[axis] + i as f64 * step[axis];
                Ok(vec![Factor::heat([amount(0), amount(1)])?])
            }
            _ => Err(Error::usage("time-step: is for heat alone; leave --operator out")),
        }
    }
}
