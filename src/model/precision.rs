//! In how many bits the physics is computed (method §0).

use crate::Error;
use std::fmt;
use std::str::FromStr;

/// The number type of the physics; the network computes in 32 bits in any case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// 32 bits, on any GPU. Training needs no more: its Fourier form (method §3b) subtracts nothing that
    /// cancels.
    #[default]
    F32,
    /// 64 bits, as in the reference system.
    F64,
}

impl Precision {
    /// The name used in files and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F64 => "f64",
        }
    }

    /// Bytes of one number.
    pub fn bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F64 => 8,
        }
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Precision {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        match text {
            "f32" => Ok(Self::F32),
            "f64" => Ok(Self::F64),
            other => Err(Error::usage(format!("physics '{other}': must be f32 or f64"))),
        }
    }
}
