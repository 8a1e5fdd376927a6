//! What happens to a step whose losses, gradients or statistics are not finite.

use crate::Error;
use std::fmt;
use std::str::FromStr;

/// What training does about a step with a number that is infinite or not one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnNan {
    /// It ends, with the weights of the last good step.
    #[default]
    Stop,
    /// Weights, moments and running statistics stay as they were before the step, and the next one follows. The
    /// learning rate and Adam's t count it. [`OnNan::LIMIT`] such steps in a row end training: then it is the weights.
    Skip,
}

impl OnNan {
    /// Skipped steps in a row that are one too many.
    pub const LIMIT: u64 = 100;

    /// The name used in files and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Skip => "skip",
        }
    }
}

impl fmt::Display for OnNan {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for OnNan {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let found = [Self::Stop, Self::Skip].into_iter().find(|choice| choice.name() == text);
        found.ok_or_else(|| Error::usage(format!("'{text}' is neither stop nor skip")))
    }
}
