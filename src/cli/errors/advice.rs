//! Which flag helps against an error of the library, whose rooms below the training know no flags.

use crate::Error;
use crate::error::Feature;

/// What to do about `error`, to be appended to its message; nothing where the message says so itself.
pub(crate) fn advice(error: &Error) -> &'static str {
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
        Error::Unsupported { feature: Feature::Timestamps, .. } => {
            "; use --timing submissions, or leave --timing out"
        }
        Error::Stopped { cause, .. } if matches!(**cause, Error::Device(_)) => {
            ", on another device with --device auto, cpu or the name of one that `unheat devices` lists"
        }
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parses(command: &str, flags: &str) -> bool {
        let words = ["unheat", command].into_iter().chain(flags.split(' '));
        crate::cli::command().try_get_matches_from(words).is_ok()
    }

    /// Every flag that is named exists, with the value that is named.
    #[test]
    fn advised_flags_are_accepted() {
        for (command, feature, flags) in [
            ("train", Feature::HalfActivations, "--activations f32"),
            ("train", Feature::DoublePhysics, "--physics f32"),
            ("train", Feature::DoublePhysics, "--device cpu"),
            ("bench", Feature::Timestamps, "--timing submissions"),
        ] {
            let error = Error::Unsupported { feature, why: "it has none".to_owned() };
            assert!(advice(&error).contains(flags), "{error}");
            assert!(parses(command, flags), "{flags}");
        }
        let advised = advice(&Error::Distrusted("wrong".to_owned()));
        for flags in ["--device cpu", "--no-self-test"] {
            assert!(advised.contains(flags), "{advised}");
            assert!(parses("train", flags), "{flags}");
        }
        let lost = |cause| Error::Stopped { cause: Box::new(cause), folder: "runs/a".into() };
        let text = lost(Error::Device("gone".to_owned()));
        let text = format!("{text}{}", advice(&text));
        assert!(text.contains("--resume runs/a, on another device with --device auto, cpu or"), "{text}");
        for device in ["auto", "cpu", "name"] {
            assert!(parses("train", &format!("--resume runs/a --device {device}")), "{device}");
        }
        assert_eq!(advice(&lost(Error::OutOfMemory("full".to_owned()))), "");
        assert_eq!(advice(&Error::usage("typo")), "");
    }
}
