//! How many cells a grid has.

use crate::model::settings::Described;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A grid's size, written `64x64`: cells along x, then along y.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Size {
    /// Cells along x.
    pub nx: usize,
    /// Cells along y.
    pub ny: usize,
}

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let parse = |part: &str| part.trim().parse::<usize>().ok();
        match text.split_once(['x', 'X', '×']).map(|(nx, ny)| (parse(nx), parse(ny))) {
            Some((Some(nx), Some(ny))) => Ok(Self { nx, ny }),
            _ => Err(format!("'{text}' is not a size: write it like 64x64")),
        }
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}x{}", self.nx, self.ny)
    }
}

impl Described for Size {
    fn words() -> String {
        "a size in quotes; write it like \"64x64\"".to_owned()
    }
}

impl TryFrom<String> for Size {
    type Error = String;

    fn try_from(text: String) -> std::result::Result<Self, String> {
        text.parse()
    }
}

impl From<Size> for String {
    fn from(size: Size) -> Self {
        size.to_string()
    }
}
