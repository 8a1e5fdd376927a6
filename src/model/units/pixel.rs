//! How large a cell of a field is, as people write it.

use crate::model::settings::Described;
use crate::model::units::quantity::{Length, split};
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// The sides of a cell along x and y.
///
/// It is read from `0.3mm` for both, `0.3mmx0.25mm`, `0.3x0.25mm` where the unit holds for both, `3e-4` in
/// metres, or `auto`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum PixelSize {
    /// What the file of the field says.
    Auto,
    /// These.
    Given([Length; 2]),
}

impl PixelSize {
    /// The sides along x and y; none where the file of the field is to tell them.
    pub fn given(self) -> Option<[Length; 2]> {
        match self {
            Self::Auto => None,
            Self::Given(sides) => Some(sides),
        }
    }
}

/// Both sides of a text such as `0.3x0.25mm`. A unit behind the first number alone would leave it open what
/// the second one is.
fn sides(text: &str) -> Option<[Length; 2]> {
    let Some((along_x, along_y)) = text.split_once(['x', 'X', '×']) else {
        return text.parse().ok().map(|side| [side; 2]);
    };
    let [own, common] = [along_x, along_y].map(|side| split(side).1);
    let along_x = match (own, common) {
        ("", unit) => format!("{along_x}{unit}"),
        (_, "") => return None,
        _ => along_x.to_owned(),
    };
    Some([along_x.parse().ok()?, along_y.parse().ok()?])
}

impl FromStr for PixelSize {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        if text.trim() == "auto" {
            return Ok(Self::Auto);
        }
        sides(text).map(Self::Given).ok_or_else(|| {
            Error::usage(format!(
                "pixel size '{text}': write a length such as 0.3mm, two along x and y such as 0.3x0.25mm, or \
                 auto; there are m, cm, mm, um, nm"
            ))
        })
    }
}

impl fmt::Display for PixelSize {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Given(sides) => write_sides(sides, f),
        }
    }
}

/// Writes sides with the formatter's precision: one, where they are the same.
fn write_sides([along_x, along_y]: &[Length; 2], f: &mut fmt::Formatter) -> fmt::Result {
    fmt::Display::fmt(along_x, f)?;
    if along_x == along_y {
        return Ok(());
    }
    f.write_str(" x ")?;
    fmt::Display::fmt(along_y, f)
}

impl TryFrom<String> for PixelSize {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<PixelSize> for String {
    fn from(size: PixelSize) -> Self {
        size.to_string()
    }
}

impl Described for PixelSize {
    fn words() -> String {
        "a pixel's size in quotes, such as \"0.3mm\", \"0.3x0.25mm\" or \"auto\"".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_at_the_end_holds_for_both() {
        let sides = |x: f64, y: f64| PixelSize::Given([x, y].map(|side| Length::new(side).unwrap()));
        for (text, expected) in [
            ("3e-4", sides(3e-4, 3e-4)),
            ("0.3mm", sides(3e-4, 3e-4)),
            ("0.3mmx0.25mm", sides(3e-4, 2.5e-4)),
            ("0.3x0.25mm", sides(3e-4, 2.5e-4)),
            ("0.3 × 0.25 mm", sides(3e-4, 2.5e-4)),
            ("0.3mm x 250um", sides(3e-4, 2.5e-4)),
            ("3e-4x2.5e-4", sides(3e-4, 2.5e-4)),
            ("auto", PixelSize::Auto),
        ] {
            let size: PixelSize = text.parse().unwrap();
            assert_eq!(size, expected, "{text}");
            assert_eq!(size.to_string().parse::<PixelSize>().unwrap(), size);
            let stored = serde_json::to_string(&size).unwrap();
            assert_eq!(serde_json::from_str::<PixelSize>(&stored).unwrap(), size);
        }
        assert_eq!(sides(3e-4, 2.5e-4).to_string(), "0.3 mm x 0.25 mm");
        assert_eq!(PixelSize::Auto.given(), None);
    }

    #[test]
    fn what_leaves_a_side_open_is_refused() {
        for text in ["", "x", "0.3mmx", "x0.3mm", "0.3mmx0.25", "0.3x0.2x0.1mm", "0mm", "automatic", "3ft"] {
            let message = text.parse::<PixelSize>().unwrap_err().to_string();
            assert!(message.contains(&format!("'{text}'")) && message.contains("m, cm, mm, um, nm"));
        }
    }
}
