//! What people write of an operator: factors by their names, joined by +.

use crate::model::operator::amounts::Amounts;
use crate::model::operator::factor::Factor;
use crate::model::operator::point_spread::PointSpread;
use crate::model::settings::Described;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// An operator in words, such as `heat+advection:0.5,0` or `heat:8+psf:lens.tif`.
///
/// `heat` alone is diffusion by the amount that is told beside it. A point spread function is the name of a
/// file, which somebody else reads: its centre of mass stays where it is, or with `psf-middle:` the middle of
/// its array.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Formula(Vec<Term>);

#[derive(Clone, Debug, PartialEq)]
enum Term {
    Heat,
    Factor(Factor),
    File { path: PathBuf, at_middle: bool },
}

const HEAT: &str = "heat";
const POINT_SPREAD: &str = "psf:";
const AT_MIDDLE: &str = "psf-middle:";

impl Formula {
    /// Heat conduction alone, by the amount that is told beside it.
    pub fn heat() -> Self {
        Self(vec![Term::Heat])
    }

    /// Whether the amount that is told beside it is part of it.
    pub fn needs_amount(&self) -> bool {
        self.0.contains(&Term::Heat)
    }

    /// The files that it names.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        self.0.iter().filter_map(|term| match term {
            Term::File { path, .. } => Some(path.as_path()),
            _ => None,
        })
    }

    /// The same with other names of its files.
    ///
    /// # Errors
    /// Those of `rename`.
    pub fn renamed(&self, rename: impl Fn(&Path) -> Result<PathBuf>) -> Result<Self> {
        let mut renamed = self.clone();
        for term in &mut renamed.0 {
            if let Term::File { path, .. } = term {
                *path = rename(path)?;
            }
        }
        Ok(renamed)
    }

    /// The same whatever its files are called.
    pub fn without_names(&self) -> Self {
        self.renamed(|_| Ok("FILE".into())).unwrap_or_else(|_| self.clone()) // which cannot fail
    }

    /// The factors, with the amounts for `heat` alone, and files as they are `read`.
    ///
    /// # Errors
    /// Those of `read`; [`Error::Usage`] for amounts out of range.
    pub fn factors(
        &self,
        amounts: Amounts,
        read: impl Fn(&Path) -> Result<PointSpread>,
    ) -> Result<Vec<Factor>> {
        let factor = |term: &Term| match term {
            Term::Heat => amounts.factor(),
            Term::Factor(factor) => Ok(factor.clone()),
            Term::File { path, at_middle } => {
                let spread = read(path)?;
                Ok(Factor::PointSpread(if *at_middle { spread.at_middle() } else { spread }.into()))
            }
        };
        self.0.iter().map(factor).collect()
    }
}

/// The terms of a text. A file's name may hold a +: it ends where a + and another factor's name follow.
fn terms(text: &str) -> Vec<&str> {
    let begins = |rest: &str| {
        let word = rest.split([':', '+']).next().unwrap_or("").trim();
        let follows = &rest.trim_start()[word.len()..];
        Factor::NAMES.contains(&word) && (follows.is_empty() || follows.starts_with([':', '+', ' ']))
            || rest.trim_start().starts_with(AT_MIDDLE)
    };
    let mut terms = Vec::new();
    let mut start = 0;
    for (at, _) in text.match_indices('+') {
        let own = text[start..].trim_start();
        let is_file = own.starts_with(POINT_SPREAD) || own.starts_with(AT_MIDDLE);
        if !is_file || begins(&text[at + 1..]) {
            terms.push(&text[start..at]);
            start = at + 1;
        }
    }
    terms.push(&text[start..]);
    terms
}

impl FromStr for Formula {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let term = |text: &str| {
            let text = text.trim();
            let file = |path: &str, at_middle| match path.is_empty() {
                false => Ok(Term::File { path: path.into(), at_middle }),
                true => Err(Error::usage("operator psf: write psf:FILE, an array or a picture")),
            };
            if text == HEAT {
                Ok(Term::Heat)
            } else if let Some(path) = text.strip_prefix(POINT_SPREAD) {
                file(path, false)
            } else if let Some(path) = text.strip_prefix(AT_MIDDLE) {
                file(path, true)
            } else {
                Factor::parse(text).map(Term::Factor)
            }
        };
        Ok(Self(terms(text).into_iter().map(term).collect::<Result<_>>()?))
    }
}

impl fmt::Display for Formula {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        for (i, term) in self.0.iter().enumerate() {
            f.write_str(if i > 0 { "+" } else { "" })?;
            match term {
                Term::Heat => f.write_str(HEAT)?,
                Term::Factor(factor) => factor.fmt(f)?,
                Term::File { path, at_middle } => {
                    write!(f, "{}{}", if *at_middle { AT_MIDDLE } else { POINT_SPREAD }, path.display())?;
                }
            }
        }
        Ok(())
    }
}

impl Described for Formula {
    fn words() -> String {
        "an operator in quotes; write it like \"heat+advection:0.5,0\"".to_owned()
    }
}

impl TryFrom<String> for Formula {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<Formula> for String {
    fn from(formula: Formula) -> Self {
        formula.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formulas_are_read_and_written_in_one_way() {
        for (text, written) in [
            ("heat", "heat"),
            (" heat : 8", "heat:8"),
            ("heat:8x2 + poisson", "heat:8x2+poisson"),
            ("motion:9.0,30+heat", "motion:9,30+heat"),
            ("psf:a+b.npy", "psf:a+b.npy"),
            ("psf:a+b.npy + heat", "psf:a+b.npy+heat"),
            ("disk:2+psf-middle:/x/y.tif+psf:z.png", "disk:2+psf-middle:/x/y.tif+psf:z.png"),
            ("psf:C:\\lens+diskette.npy", "psf:C:\\lens+diskette.npy"),
        ] {
            let formula: Formula = text.replace(" : ", ":").parse().unwrap();
            assert_eq!(formula.to_string(), written);
            assert_eq!(written.parse::<Formula>().unwrap(), formula);
        }
        let formula: Formula = "heat:1+psf:a.npy+psf:b.npy".parse().unwrap();
        assert_eq!(formula.files().collect::<Vec<_>>(), [Path::new("a.npy"), Path::new("b.npy")]);
        let renamed = formula.renamed(|path| Ok(Path::new("/r").join(path))).unwrap();
        assert_eq!(renamed.to_string(), "heat:1+psf:/r/a.npy+psf:/r/b.npy");
        assert!(!formula.needs_amount() && Formula::heat().needs_amount());
        for bad in ["", "heat+", "+heat", "psf:", "heat:8++poisson", "sharpen"] {
            assert!(bad.parse::<Formula>().is_err(), "{bad}");
        }
    }
}
