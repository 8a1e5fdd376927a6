//! Choices with names: the same in files, on the command line and in messages.

/// An enum whose entries are declared together with their names.
///
/// It gets `ALL` (every entry, in order), `name`, `Display`, `FromStr`, serde's traits, and with the feature
/// `cli` clap's `ValueEnum`. Entries of a second block, behind `internal`, have a name too, but cannot be
/// chosen.
macro_rules! choice {
    (
        $(#[$meta:meta])*
        pub enum $choice:ident { $( $(#[$attr:meta])* $entry:ident = $name:literal, )+ }
        $( internal { $( $(#[$inner_attr:meta])* $inner:ident = $inner_name:literal, )+ } )?
    ) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
        pub enum $choice {
            $( $(#[$attr])* #[serde(rename = $name)] $entry, )+
            $($( $(#[$inner_attr])* #[serde(skip)] $inner, )+)?
        }

        impl $choice {
            /// Every entry that can be chosen.
            pub const ALL: [Self; [$($name),+].len()] = [$(Self::$entry),+];

            /// The name in files, on the command line and in messages.
            pub fn name(self) -> &'static str {
                match self {
                    $( Self::$entry => $name, )+
                    $($( Self::$inner => $inner_name, )+)?
                }
            }
        }

        impl std::fmt::Display for $choice {
            fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
                f.write_str(self.name())
            }
        }

        impl std::str::FromStr for $choice {
            type Err = $crate::Error;

            fn from_str(text: &str) -> $crate::Result<Self> {
                Self::ALL.into_iter().find(|entry| entry.name() == text).ok_or_else(|| {
                    let names = Self::ALL.map(Self::name).join(", ");
                    $crate::Error::usage(format!("'{text}': must be one of {names}"))
                })
            }
        }

        impl $crate::model::settings::Described for $choice {
            fn words() -> String {
                $crate::model::settings::one_of(&Self::ALL.map(Self::name))
            }
        }

        #[cfg(feature = "cli")]
        impl clap::ValueEnum for $choice {
            fn value_variants<'a>() -> &'a [Self] {
                &Self::ALL
            }

            fn to_possible_value(&self) -> Option<clap::builder::PossibleValue> {
                Some(self.name().into())
            }
        }
    };
}
pub(crate) use choice;

#[cfg(test)]
mod tests {
    use crate::model::{Activation, Method};

    #[test]
    fn names_are_the_same_everywhere() {
        for method in Method::ALL {
            assert_eq!(serde_json::to_string(&method).unwrap(), format!("\"{method}\""));
            assert_eq!(method.to_string().parse::<Method>().unwrap(), method);
        }
        let complaint = "sgd".parse::<Method>().unwrap_err().to_string();
        assert_eq!(complaint, "'sgd': must be one of sip, gd, supervised");
    }

    #[test]
    fn internal_entries_cannot_be_chosen() {
        assert!(!Activation::ALL.contains(&Activation::Identity));
        assert!("identity".parse::<Activation>().is_err());
        assert!(serde_json::from_str::<Activation>("\"identity\"").is_err());
    }
}
