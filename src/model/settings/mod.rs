//! Settings: fields of a struct that carry their documentation, default, range and flag.

pub(crate) mod choice;

use crate::{Error, Result};
use std::path::PathBuf;

/// A struct whose fields are declared together with their defaults, and with their ranges where they have
/// one: `pub steps: u64 = 50, in Range::AtLeast(1);`. It is written as it will be once Rust has default field
/// values (RFC 3681), but for the range.
///
/// The struct gets `Default`, and three lists by which settings are found by name: `NAMES`, `RANGES`, and
/// `WORDS`, what the value of a field must be. Flags
/// are clap's: `#[cfg_attr(feature = "cli", arg(long))]` on a field makes its documentation the flag's help.
macro_rules! settings {
    (
        $(#[$meta:meta])*
        pub struct $settings:ident {
            $( $(#[$attr:meta])* pub $field:ident: $type:ty = $default:expr $(, in $range:expr)?; )+
        }
    ) => {
        $(#[$meta])*
        pub struct $settings { $( $(#[$attr])* pub $field: $type, )+ }

        impl Default for $settings {
            fn default() -> Self {
                Self { $( $field: $default, )+ }
            }
        }

        impl $settings {
            /// The names of all fields, in order.
            pub const NAMES: &'static [&'static str] = &[$( stringify!($field), )+];

            /// The ranges of the fields that have one.
            pub const RANGES: &'static [(&'static str, $crate::model::settings::Range)] =
                &[$( $( (stringify!($field), $range), )? )+];

            /// What a field's value must be in a file, in words.
            pub const WORDS: &'static [(&'static str, fn() -> String)] =
                &[$( (stringify!($field), <$type as $crate::model::settings::Described>::words), )+];
        }
    };
}
pub(crate) use settings;

/// A type of settings that can say what its values look like in a file.
pub trait Described {
    /// "true or false", to follow "must be".
    fn words() -> String;
}

impl Described for u64 {
    fn words() -> String {
        "a whole number from 0 on, such as 16, without quotes".to_owned()
    }
}

impl Described for usize {
    fn words() -> String {
        u64::words()
    }
}

impl Described for Vec<usize> {
    fn words() -> String {
        "a whole number such as 16, or a list of them such as [16, 32]".to_owned()
    }
}

impl Described for f64 {
    fn words() -> String {
        "a number, such as 0.5 or 1e-3, without quotes".to_owned()
    }
}

impl Described for bool {
    fn words() -> String {
        "true or false, without quotes".to_owned()
    }
}

impl Described for String {
    fn words() -> String {
        "a name or a number in quotes, such as \"auto\" or \"0\"".to_owned()
    }
}

impl Described for PathBuf {
    fn words() -> String {
        "the name of a file in quotes, such as \"x.npy\"".to_owned()
    }
}

impl<T: Described> Described for Option<T> {
    fn words() -> String {
        T::words()
    }
}

/// `"a", "b" or "c", in quotes`
pub(crate) fn one_of(names: &[&str]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("\"{name}\"")).collect();
    match quoted.split_last() {
        Some((last, others)) if !others.is_empty() => format!("{} or {last}, in quotes", others.join(", ")),
        _ => quoted.concat(),
    }
}

/// The values that a number may have.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Range {
    /// From this number on.
    AtLeast(u32),
    /// From the first number to the second.
    Within(u32, u32),
    /// Above 0, and finite.
    Positive,
}

impl Range {
    /// Refuses `value` of the setting `name` if it is out of range.
    ///
    /// # Errors
    /// [`Error::Usage`].
    pub fn check(self, name: &str, value: f64) -> Result<()> {
        let holds = match self {
            Self::AtLeast(least) => value >= f64::from(least),
            Self::Within(least, most) => (f64::from(least)..=f64::from(most)).contains(&value),
            Self::Positive => value > 0.0 && value.is_finite(),
        };
        let flag = name.replace('_', "-");
        if holds { Ok(()) } else { Err(Error::usage(format!("{flag} {value}: must be {self}"))) }
    }
}

impl std::fmt::Display for Range {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        match self {
            Self::AtLeast(least) => write!(f, "at least {least}"),
            Self::Within(least, most) => write!(f, "from {least} to {most}"),
            Self::Positive => f.write_str("a positive number"),
        }
    }
}

/// Serde's and clap's view of a `bool` that is written `on` or `off`.
pub mod on_off {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    /// The word for a value.
    pub fn name(on: bool) -> &'static str {
        if on { "on" } else { "off" }
    }

    /// The value of a word.
    ///
    /// # Errors
    /// What is to be said of any other word.
    pub fn parse(text: &str) -> Result<bool, String> {
        match text {
            "on" => Ok(true),
            "off" => Ok(false),
            other => Err(format!("'{other}': must be on or off")),
        }
    }

    pub(crate) fn serialize<S: Serializer>(on: &bool, serializer: S) -> Result<S::Ok, S::Error> {
        name(*on).serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
        parse(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}
