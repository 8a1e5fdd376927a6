//! What a restoration found out, in words: the noise and where it came from, what was done, how fine details
//! can be, and what cannot be right.

use crate::cli::terminal::messages::note;
use crate::restore::measurement::{Source, Spectrum};
use crate::restore::methods::Sample;
use std::f64::consts::PI;
use std::path::Path;

/// What is remembered of all samples of a run.
#[derive(Default)]
pub(crate) struct Findings {
    noise: Vec<f64>,
    sources: Vec<Source>,
    chosen: Vec<String>,
    /// Half the wavelength of the shortest wave that can be told, in cells; 0 where all can.
    details: Vec<f64>,
    doubts: Vec<String>,
}

impl Findings {
    /// Remembers what a spectrum says.
    pub(crate) fn spectrum(&mut self, spectrum: &Spectrum) {
        self.noise.push(spectrum.noise);
        self.sources.push(spectrum.source);
        self.details.push(spectrum.cutoff.map_or(0.0, |k| PI / k));
    }

    /// Remembers what was found about a sample.
    pub(crate) fn sample(&mut self, sample: &Sample) {
        self.spectrum(&sample.spectrum);
        self.chosen.extend(sample.chosen.clone());
    }

    /// Remembers that something cannot be right, if so.
    pub(crate) fn doubts(&mut self, doubt: Option<String>) {
        self.doubts.extend(doubt);
    }

    /// Puts the name of their file before the doubts.
    pub(crate) fn name(&mut self, path: &Path) {
        self.doubts.iter_mut().for_each(|doubt| *doubt = format!("{}: {doubt}", path.display()));
    }

    /// Takes over all that another file's samples have told.
    pub(crate) fn append(&mut self, mut other: Self) {
        self.noise.append(&mut other.noise);
        self.sources.append(&mut other.sources);
        self.chosen.append(&mut other.chosen);
        self.details.append(&mut other.details);
        self.doubts.append(&mut other.doubts);
    }

    /// Whether something cannot be right.
    pub(crate) fn doubted(&self) -> bool {
        !self.doubts.is_empty()
    }

    /// Tells the doubts in one line.
    pub(crate) fn warn(&self) {
        if let Some(first) = self.doubts.first() {
            let more = match self.doubts.len() {
                1 => String::new(),
                2 => " (and 1 more doubt)".to_owned(),
                all => format!(" (and {} more doubts)", all - 1),
            };
            note!("unheat: warning: {first}{more}");
        }
    }

    /// What was chosen: ", that is …", if anything was.
    pub(crate) fn choice(&self) -> String {
        match self.chosen.first() {
            None => String::new(),
            Some(first) if self.chosen.iter().all(|chosen| chosen == first) => format!(" ({first})"),
            Some(first) => format!(" ({first}, and others by the data)"),
        }
    }

    /// "; noise 1.3e-3 (from …); details below 7.2 cells cannot be told apart at this noise".
    pub(crate) fn told(&self, cells: &str) -> String {
        let (Some(noise), Some(source)) =
            (range(&self.noise, |v| format!("{v:.2e}")), self.sources.iter().max())
        else {
            return String::new();
        };
        let mut text = format!("; noise {noise} ({})", source.describe());
        if let Some(details) = range(&self.details, |v| format!("{v:.1}"))
            && self.details.iter().any(|&d| d > 0.0)
        {
            text += &format!("; details below {details} {cells} cannot be told apart at this noise");
        }
        text
    }
}

/// "1.3" or "1.3 to 1.8".
fn range(values: &[f64], format: impl Fn(f64) -> String) -> Option<String> {
    let low = values.iter().copied().reduce(f64::min)?;
    let high = values.iter().copied().reduce(f64::max)?;
    let (low, high) = (format(low), format(high));
    Some(if low == high { low } else { format!("{low} to {high}") })
}
