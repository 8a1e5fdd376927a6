//! Faults of drivers, injected so that tests can see what is done against them: debug builds take them from
//! the environment, release builds have none.

use crate::gpu::KernelSpec;

/// The environment variable, such as `wrong conv3x3/* unless PATCH=1; refused adam unless zeroed`.
pub const VARIABLE: &str = "UNHEAT_FAULTS";

/// What happens to a kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// The driver refuses to build it.
    Refused,
    /// It writes nothing.
    Wrong,
}

/// One fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    effect: Effect,
    /// The kernel's name; with a * at its end, of every kernel that begins like this.
    kernel: String,
    /// What a kernel must have to be spared.
    unless: Option<Spared>,
}

/// What spares a kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Spared {
    /// Its workgroup memory is set to zero first.
    Zeroed,
    /// It uses subgroups.
    Direct,
    /// One of its constants has this value.
    Constant(String, u32),
}

impl Fault {
    /// Faults from the environment.
    pub(crate) fn from_environment() -> Vec<Self> {
        match std::env::var(VARIABLE) {
            Ok(text) if cfg!(debug_assertions) => Self::parse_all(&text),
            _ => Vec::new(),
        }
    }

    /// The faults in a text; what is written wrongly is logged.
    pub(crate) fn parse_all(text: &str) -> Vec<Self> {
        let parse = |part: &str| {
            let fault = Self::parse(part);
            if fault.is_none() {
                log::error!("{VARIABLE}: '{part}' is no fault");
            }
            fault
        };
        text.split(';').filter(|part| !part.trim().is_empty()).filter_map(parse).collect()
    }

    fn parse(text: &str) -> Option<Self> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let (&[effect, kernel], rest) = words.split_first_chunk::<2>()?;
        let effect = match effect {
            "refused" => Effect::Refused,
            "wrong" => Effect::Wrong,
            _ => return None,
        };
        let unless = match rest {
            [] => None,
            ["unless", "zeroed"] => Some(Spared::Zeroed),
            ["unless", "direct"] => Some(Spared::Direct),
            ["unless", constant] => {
                let (name, value) = constant.split_once('=')?;
                Some(Spared::Constant(name.to_owned(), value.parse().ok()?))
            }
            _ => return None,
        };
        Some(Self { effect, kernel: kernel.to_owned(), unless })
    }

    /// What it does to a kernel.
    pub(crate) fn effect_on(&self, spec: &KernelSpec, zeroed: bool) -> Option<Effect> {
        let is_spared = match &self.unless {
            None => false,
            Some(Spared::Zeroed) => zeroed,
            Some(Spared::Direct) => spec.subgroups,
            Some(Spared::Constant(name, value)) => {
                spec.constants.iter().any(|(own, set)| own == name && set == value)
            }
        };
        let is_meant = match self.kernel.strip_suffix('*') {
            Some(start) => spec.name.starts_with(start),
            None => spec.name == self.kernel,
        };
        (is_meant && !is_spared).then_some(self.effect)
    }
}

/// A kernel's text that returns before it writes anything.
pub(crate) fn spoiled(wgsl: &str) -> String {
    let main = wgsl.find("fn main(").unwrap_or(0);
    match wgsl[main..].find(") {") {
        Some(body) => {
            let (before, after) = wgsl.split_at(main + body + ") {".len());
            format!("{before} if true {{ return; }}{after}")
        }
        None => wgsl.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_read_and_strike_what_they_name() {
        let adam = KernelSpec::new("step/adam");
        let strikes = |text: &str, zeroed| Fault::parse(text).unwrap().effect_on(&adam, zeroed);
        assert_eq!(strikes("wrong adam", false), Some(Effect::Wrong));
        assert_eq!(strikes(" refused ad* unless zeroed ", false), Some(Effect::Refused));
        assert_eq!(strikes("refused adam unless zeroed", true), None);
        assert_eq!(strikes("wrong adam unless direct", false), Some(Effect::Wrong));
        assert_eq!(strikes("wrong adam unless WORKGROUP=256", false), None);
        assert_eq!(strikes("wrong adam unless WORKGROUP=1", false), Some(Effect::Wrong));
        assert_eq!(strikes("wrong guard", false), None);
        for text in
            ["", "wrong", "bad adam", "wrong adam unless", "wrong adam if zeroed", "wrong adam unless A=b"]
        {
            assert_eq!(Fault::parse(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_spoiled_still_compiles() {
        let spec = KernelSpec::new("step/adam");
        let text = spoiled(&spec.source().unwrap());
        assert_ne!(text, spec.source().unwrap());
        naga::front::wgsl::parse_str(&text).unwrap();
    }
}
