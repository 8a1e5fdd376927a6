//! Which flag helps against an error of the library, whose rooms below the training know no flags.

use crate::Error;
use crate::error::Feature;

/// What to do about `error`, to be appended to its message; nothing where the message says so itself.
pub(super) fn advice(error: &Error) -> &'static str {
    match error {
        Error::Unsupported { feature: Feature::HalfActivations, .. } => {
            "; use --activations f32, or name a GPU that has them with --device"
        }
        Error::Unsupported { feature: Feature::DoublePhysics, .. } => {
            "; use --physics f32, whose Fourier form is as accurate for training (docs/numerics.md), \
             or --device cpu"
        }
        Error::Distrusted(_) => {
            "; use --device cpu or another device, or try another version of the driver (--no-self-test uses \
             it all the same)"
        }
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::ArgMatches;

    fn parses(flags: &str) -> bool {
        let words = ["unheat", "train"].into_iter().chain(flags.split(' '));
        let parsed: Result<ArgMatches, _> = crate::cli::command().try_get_matches_from(words);
        parsed.is_ok()
    }

    /// Every flag that is named exists, with the value that is named.
    #[test]
    fn advised_flags_are_accepted() {
        for (feature, flags) in [
            (Feature::HalfActivations, "--activations f32"),
            (Feature::DoublePhysics, "--physics f32"),
            (Feature::DoublePhysics, "--device cpu"),
        ] {
            let error = Error::Unsupported { feature, why: "it has none".to_owned() };
            assert!(advice(&error).contains(flags), "{error}");
            assert!(parses(flags), "{flags}");
        }
        let advised = advice(&Error::Distrusted("wrong".to_owned()));
        for flags in ["--device cpu", "--no-self-test"] {
            assert!(advised.contains(flags), "{advised}");
            assert!(parses(flags), "{flags}");
        }
        assert_eq!(advice(&Error::usage("typo")), "");
    }
}
