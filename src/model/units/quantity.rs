//! Lengths, times and diffusivities: numbers that are read and written with a unit.

use crate::model::settings::Described;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A unit of a quantity: `times` · 10^`exponent` of SI's.
struct Unit {
    name: &'static str,
    exponent: i32,
    times: f64,
    /// Whether quantities of any size are written in it.
    is_common: bool,
}

const fn common(name: &'static str, exponent: i32) -> Unit {
    Unit { name, exponent, times: 1.0, is_common: true }
}

const fn rare(name: &'static str, exponent: i32, times: f64) -> Unit {
    Unit { name, exponent, times, is_common: false }
}

/// What is measured.
struct Kind {
    name: &'static str,
    example: &'static str,
    /// From large to small, SI's unit among the common ones first.
    units: &'static [Unit],
}

const LENGTH: Kind = Kind {
    name: "length",
    example: "0.3mm",
    units: &[common("m", 0), rare("cm", -2, 1.0), common("mm", -3), common("µm", -6), common("nm", -9)],
};

const TIME: Kind = Kind {
    name: "time",
    example: "40ms",
    units: &[rare("h", 0, 3600.0), rare("min", 0, 60.0), common("s", 0), common("ms", -3), common("µs", -6)],
};

const DIFFUSIVITY: Kind = Kind {
    name: "diffusivity",
    example: "110mm2/s",
    units: &[
        common("m²/s", 0),
        rare("cm²/s", -4, 1.0),
        common("mm²/s", -6),
        common("µm²/s", -12),
        common("nm²/s", -18),
    ],
};

/// A unit as it is typed on any keyboard. Unicode has two signs for micro.
fn plain(unit: &str) -> String {
    unit.replace(['\u{b5}', '\u{3bc}'], "u").replace('²', "2").replace("^2", "2")
}

/// A number and the unit behind it, which may be empty.
pub(crate) fn split(text: &str) -> (&str, &str) {
    let text = text.trim();
    let end = text.find(|c: char| !(c.is_ascii_digit() || "+-.eE".contains(c))).unwrap_or(text.len());
    (&text[..end], text[end..].trim_start())
}

/// A decimal number times a power of ten, rounded once: 0.3 mm are the same number as 3e-4 m.
fn scaled(number: &str, exponent: i32) -> Option<f64> {
    let (digits, own) = number.split_once(['e', 'E']).unwrap_or((number, "0"));
    let exponent = own.parse::<i32>().ok()?.checked_add(exponent)?;
    format!("{digits}e{exponent}").parse().ok()
}

fn is_size(value: f64) -> bool {
    value > 0.0 && value.is_finite()
}

impl Kind {
    fn names(&self) -> String {
        self.units.iter().map(|unit| plain(unit.name)).collect::<Vec<_>>().join(", ")
    }

    /// SI's unit.
    fn basic(&self) -> &'static str {
        let basic = |unit: &&Unit| unit.exponent == 0 && unit.is_common;
        self.units.iter().find(basic).map_or("", |unit| unit.name)
    }

    fn parse(&self, text: &str) -> Result<f64> {
        let Self { name, example, .. } = self;
        let (number, unit) = split(text);
        let (exponent, times) = match (unit, self.units.iter().find(|known| plain(known.name) == plain(unit)))
        {
            ("", _) => (0, 1.0),
            (_, Some(unit)) => (unit.exponent, unit.times),
            (_, None) => {
                let names = self.names();
                return Err(Error::usage(format!(
                    "{name} '{text}': write a number and one of {names}, such as {example}"
                )));
            }
        };
        scaled(number, exponent).map(|value| value * times).filter(|&value| is_size(value)).ok_or_else(|| {
            let (names, basic) = (self.names(), plain(self.basic()));
            Error::usage(format!(
                "{name} '{text}': must be a positive number of {basic}, or have one of {names} behind it, \
                 such as {example}"
            ))
        })
    }

    /// The largest common unit that a value with this power of ten is at least a tenth of, or the smallest.
    fn common_for(&self, power: i32) -> &'static Unit {
        let mut common = self.units.iter().filter(|unit| unit.is_common);
        let fitting = common.clone().find(|unit| power >= unit.exponent - 1);
        fitting.or(common.next_back()).unwrap_or(&self.units[0])
    }

    /// Writes a value so that it can be read again, exactly, or rounded to so many digits.
    fn write(&self, value: f64, digits: Option<usize>, f: &mut fmt::Formatter) -> fmt::Result {
        let is_whole =
            |unit: &&Unit| unit.times > 1.0 && value >= 2.0 * unit.times && value % unit.times == 0.0;
        if let Some(unit) = self.units.iter().find(is_whole).filter(|_| value < 1e9) {
            return write!(f, "{} {}", value / unit.times, unit.name);
        }
        let text = match digits {
            Some(digits) => format!("{value:.*e}", digits.saturating_sub(1)),
            None => format!("{value:e}"),
        };
        let (digits, power) = text.split_once('e').unwrap_or((&text, "0"));
        let power = power.parse().unwrap_or(0);
        let unit = self.common_for(power);
        match power - unit.exponent {
            places @ -4..=6 => write!(f, "{} {}", shifted(digits, places), unit.name),
            _ => write!(f, "{text} {}", self.basic()),
        }
    }
}

/// A number from 1 to 10, such as 1.25, with its point moved to the right.
fn shifted(number: &str, places: i32) -> String {
    let (whole, part) = number.split_once('.').unwrap_or((number, ""));
    let digits = [whole, part.trim_end_matches('0')].concat();
    match usize::try_from(places + 1) {
        Ok(point) if point >= digits.len() => format!("{digits:0<point$}"),
        Ok(point) if point > 0 => format!("{}.{}", &digits[..point], &digits[point..]),
        _ => format!("0.{}{digits}", "0".repeat(places.unsigned_abs() as usize - 1)),
    }
}

/// The unit that lengths up to this one are told in, and how many metres it is: m, mm, µm or nm.
pub(crate) fn unit_of_length(metres: f64) -> (&'static str, f64) {
    let unit = LENGTH.common_for(metres.log10().floor() as i32);
    (unit.name, 10f64.powi(unit.exponent))
}

macro_rules! quantity {
    ($(#[$meta:meta])* pub struct $quantity:ident in $si:ident, $(#[$in_si:meta])* $kind:ident) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $quantity(f64);

        impl $quantity {
            /// From a number of SI's unit.
            ///
            /// # Errors
            /// [`Error::Usage`] unless it is positive and finite.
            pub fn new($si: f64) -> Result<Self> {
                if is_size($si) {
                    return Ok(Self($si));
                }
                let (name, basic) = ($kind.name, $kind.basic());
                Err(Error::usage(format!("{name} {} {basic}: must be positive and finite", $si)))
            }

            $(#[$in_si])*
            pub fn $si(self) -> f64 {
                self.0
            }
        }

        impl FromStr for $quantity {
            type Err = Error;

            fn from_str(text: &str) -> Result<Self> {
                $kind.parse(text).map(Self)
            }
        }

        /// What can be read again, in a unit that is easy to read. A precision, as in `{:.4}`, is the number
        /// of digits that it is rounded to.
        impl fmt::Display for $quantity {
            fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
                $kind.write(self.0, f.precision(), f)
            }
        }

        impl TryFrom<String> for $quantity {
            type Error = Error;

            fn try_from(text: String) -> Result<Self> {
                text.parse()
            }
        }

        impl From<$quantity> for String {
            fn from(quantity: $quantity) -> Self {
                quantity.to_string()
            }
        }

        impl Described for $quantity {
            fn words() -> String {
                format!("a {} in quotes, such as \"{}\"", $kind.name, $kind.example)
            }
        }
    };
}

quantity! {
    /// A length, positive and finite. It is read from `3e-4` (metres), `0.3mm` or `0.3 mm`; there are m, cm,
    /// mm, um (µm) and nm.
    pub struct Length in metres,
    /// In metres.
    LENGTH
}

quantity! {
    /// A time, positive and finite. It is read from `0.04` (seconds) or `40ms`; there are h, min, s, ms and
    /// us (µs).
    pub struct Time in seconds,
    /// In seconds.
    TIME
}

quantity! {
    /// A diffusivity, positive and finite. It is read from `1.1e-4` (m²/s) or `110mm2/s`; there are m2/s,
    /// cm2/s, mm2/s, um2/s and nm2/s, with `²` as well.
    pub struct Diffusivity in square_metres_per_second,
    /// In m²/s.
    DIFFUSIVITY
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_that_the_same_text_in_si_gives() {
        for (text, expected) in [
            ("3e-4", 3e-4),
            ("0.3mm", 3e-4),
            (" 0.3 mm ", 3e-4),
            ("300um", 3e-4),
            ("300\u{b5}m", 3e-4),
            ("300\u{3bc}m", 3e-4),
            ("3e5nm", 3e-4),
            ("+.03E0cm", 3e-4),
            ("0.1e3m", 100.0),
            ("7.mm", 7e-3),
        ] {
            assert_eq!(text.parse::<Length>().unwrap().metres(), expected, "{text}");
        }
        for (text, expected) in
            [("0.5", 0.5), ("40ms", 0.04), ("3us", 3e-6), ("3µs", 3e-6), ("2min", 120.0), ("1.5h", 5400.0)]
        {
            assert_eq!(text.parse::<Time>().unwrap().seconds(), expected, "{text}");
        }
        for (text, expected) in [
            ("1.1e-4", 1.1e-4),
            ("110mm2/s", 1.1e-4),
            ("110 mm²/s", 1.1e-4),
            ("110mm^2/s", 1.1e-4),
            ("1.1cm2/s", 1.1e-4),
            ("2300um2/s", 2.3e-9),
            ("2300μm²/s", 2.3e-9),
            ("5nm2/s", 5e-18),
        ] {
            assert_eq!(text.parse::<Diffusivity>().unwrap().square_metres_per_second(), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_quantity_is_refused_in_one_line() {
        for text in
            ["", "mm", "0", "-3mm", "0mm", "nan", "inf", "1e400", "1e-400", "1e-320nm", "1e99999999999m"]
        {
            let message = text.parse::<Length>().unwrap_err().to_string();
            assert!(message.contains(&format!("length '{text}'")) && !message.contains('\n'), "{message}");
            assert!(message.contains("m, cm, mm, um, nm"), "{message}");
        }
        for text in ["3ft", "3 parsecs", "3mm2", "3s", "1,5mm", "0x3mm", "3m m", "3e"] {
            assert!(text.parse::<Length>().is_err(), "{text}");
        }
        let message = "3fortnights".parse::<Time>().unwrap_err().to_string();
        assert_eq!(message, "time '3fortnights': write a number and one of h, min, s, ms, us, such as 40ms");
        let message = "5mm".parse::<Diffusivity>().unwrap_err().to_string();
        assert!(message.contains("m2/s, cm2/s, mm2/s, um2/s, nm2/s"), "{message}");
        assert!(Time::new(0.0).is_err() && Time::new(f64::INFINITY).is_err() && Time::new(2.0).is_ok());
        assert_eq!(Length::new(-1.0).unwrap_err().to_string(), "length -1 m: must be positive and finite");
    }

    #[test]
    fn units_are_chosen_for_the_eye_and_read_again_as_they_were() {
        let length = |metres: f64| Length::new(metres).unwrap().to_string();
        let time = |seconds: f64| Time::new(seconds).unwrap().to_string();
        let diffusivity = |value: f64| Diffusivity::new(value).unwrap().to_string();
        assert_eq!([3e-4, 0.0192, 0.5, 2.0].map(length), ["0.3 mm", "19.2 mm", "0.5 m", "2 m"]);
        assert_eq!([65e-9, 1.5e-6, 1200.0].map(length), ["65 nm", "1.5 µm", "1200 m"]);
        assert_eq!([1e-12, 1e-30, 1e30].map(length), ["0.001 nm", "1e-30 m", "1e30 m"]);
        assert_eq!([0.04, 0.5, 90.0, 120.0, 5400.0, 7200.0].map(time).join(", "), {
            "40 ms, 0.5 s, 90 s, 2 min, 90 min, 2 h"
        });
        assert_eq!([1.1e-4, 2.3e-9, 1e-18].map(diffusivity), ["110 mm²/s", "2300 µm²/s", "1 nm²/s"]);
        let exact = Length::new(0.0254 / 300.0).unwrap();
        assert_eq!(format!("{exact:.4}"), "84.67 µm");
        assert_eq!(format!("{:.3}", Length::new(0.9999e-4).unwrap()), "0.1 mm");
        for power in -40..40 {
            for digits in [1.0, 1.0 / 3.0, 0.1 + 0.2, 9.999_999_999_999_998] {
                let value = digits * 10f64.powi(power);
                assert_eq!(length(value).parse::<Length>().unwrap().metres(), value);
                assert_eq!(time(value).parse::<Time>().unwrap().seconds(), value);
                let read: Diffusivity = diffusivity(value).parse().unwrap();
                assert_eq!(read.square_metres_per_second(), value);
            }
        }
        assert_eq!(time(f64::MAX).parse::<Time>().unwrap().seconds(), f64::MAX);
    }

    #[test]
    fn files_hold_them_as_text() {
        let length: Length = "0.3mm".parse().unwrap();
        assert_eq!(serde_json::to_string(&length).unwrap(), "\"0.3 mm\"");
        assert_eq!(serde_json::from_str::<Length>("\"300um\"").unwrap(), length);
        assert!(
            serde_json::from_str::<Length>("\"300\u{20ac}\"").unwrap_err().to_string().contains("one of")
        );
    }
}
