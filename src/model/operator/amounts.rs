//! How much diffusion there is, along each axis.

use crate::Result;
use crate::model::operator::factor::Factor;
use crate::model::settings::Described;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Diffusivity × time along x and y, in cells²: written `8`, or `8x2` where they differ.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct Amounts(pub [f64; 2]);

/// A number, as files of settings had it at first, or a text for two.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Written {
    Whole(i64),
    Number(f64),
    Text(String),
}

impl Amounts {
    /// Diffusion by these amounts.
    ///
    /// # Errors
    /// [`Error::Usage`](crate::Error::Usage) for one that is out of range.
    pub fn factor(self) -> Result<Factor> {
        Factor::heat(self.0)
    }
}

impl From<f64> for Amounts {
    fn from(amount: f64) -> Self {
        Self([amount; 2])
    }
}

impl FromStr for Amounts {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let number = |text: &str| -> std::result::Result<f64, String> {
            let number = text.trim().parse().ok().filter(|number: &f64| number.is_finite());
            // Its range is looked at where it becomes a factor.
            Ok(number.ok_or("must be a number, such as 8, or two, such as 8x2")?)
        };
        match text.split_once(['x', 'X', '×']) {
            None => Ok(Self([number(text)?; 2])),
            Some((x, y)) => Ok(Self([number(x)?, number(y)?])),
        }
    }
}

impl fmt::Display for Amounts {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self.0 {
            [x, y] if x == y => f.write_str(&digits(x, f.precision())),
            [x, y] => write!(f, "{}x{}", digits(x, f.precision()), digits(y, f.precision())),
        }
    }
}

/// All digits, or so many that count.
fn digits(amount: f64, count: Option<usize>) -> String {
    let rounded = |count: usize| format!("{amount:.*e}", count.saturating_sub(1)).parse().unwrap_or(amount);
    count.map_or(amount, rounded).to_string()
}

impl Described for Amounts {
    fn words() -> String {
        "a number, or two in quotes; write it like 8 or \"8x2\"".to_owned()
    }
}

impl TryFrom<Written> for Amounts {
    type Error = String;

    fn try_from(written: Written) -> std::result::Result<Self, String> {
        match written {
            Written::Whole(amount) => Ok((amount as f64).into()),
            Written::Number(amount) => Ok(amount.into()),
            Written::Text(text) => text.parse(),
        }
    }
}

impl From<Amounts> for Written {
    fn from(amounts: Amounts) -> Self {
        match amounts.0 {
            [x, y] if x == y => Self::Number(x),
            _ => Self::Text(amounts.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_number_or_two() {
        for (text, expected) in [("8", [8.0; 2]), ("8x2", [8.0, 2.0]), ("0.5×1e2", [0.5, 100.0])] {
            assert_eq!(text.parse::<Amounts>().unwrap(), Amounts(expected));
        }
        assert_eq!(Amounts([8.0, 2.0]).to_string(), "8x2");
        assert_eq!(format!("{:.6}", Amounts([611.1111111, 880.0])), "611.111x880");
        for bad in ["", "x", "8x", "nan", "inf", "1e999", "1x2x3", "auto"] {
            assert!(bad.parse::<Amounts>().is_err(), "{bad}");
        }
        for (json, expected) in [("8", [8.0; 2]), ("2.5", [2.5; 2]), ("\"8x2\"", [8.0, 2.0])] {
            let amounts: Amounts = serde_json::from_str(json).unwrap();
            assert_eq!(amounts, Amounts(expected));
            let again: Amounts = serde_json::from_str(&serde_json::to_string(&amounts).unwrap()).unwrap();
            assert_eq!(again, amounts);
        }
    }
}
