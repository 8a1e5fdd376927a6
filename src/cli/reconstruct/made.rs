//! Which of the networks that come with unheat has made which files.

use std::collections::BTreeMap;
use std::fmt::{Display, Formatter, Result};
use std::path::{Path, PathBuf};

/// So many files of a network are named.
const NAMED: usize = 3;

/// The files that each network has made, by the networks' names.
#[derive(Default)]
pub(super) struct Made(BTreeMap<&'static str, Vec<PathBuf>>);

impl Made {
    /// Remembers that a network has made something of a file; none where somebody has named the network.
    pub(super) fn add(&mut self, network: Option<&'static str>, file: &Path) {
        if let Some(network) = network {
            self.0.entry(network).or_default().push(file.to_owned());
        }
    }
}

/// "; by the network …, which comes with unheat"; of several networks, some of the files that each has made.
impl Display for Made {
    fn fmt(&self, f: &mut Formatter) -> Result {
        let Self(made) = self;
        let [first, others @ ..] = &made.iter().collect::<Vec<_>>()[..] else { return Ok(()) };
        if others.is_empty() {
            return write!(f, "; by the network {}, which comes with unheat", first.0);
        }
        let of = |(network, files): (&&str, &Vec<PathBuf>)| format!("{network} ({})", some(files));
        write!(
            f,
            "; by networks that come with unheat: {}",
            made.iter().map(of).collect::<Vec<_>>().join(", ")
        )
    }
}

/// "a.png, b.png, c.png and 4 more".
fn some(files: &[PathBuf]) -> String {
    let name = |file: &PathBuf| file.file_name().unwrap_or(file.as_os_str()).display().to_string();
    let named = files.iter().take(NAMED).map(name).collect::<Vec<_>>().join(", ");
    match files.len().saturating_sub(NAMED) {
        0 => named,
        more => format!("{named} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_named_where_there_are_several_networks() {
        let mut made = Made::default();
        assert_eq!(made.to_string(), "");
        made.add(None, Path::new("x.png"));
        assert_eq!(made.to_string(), "");
        for name in ["a", "b", "c", "d", "e"] {
            made.add(Some("quiet"), &Path::new("folder").join(name));
        }
        assert_eq!(made.to_string(), "; by the network quiet, which comes with unheat");
        made.add(Some("noisy"), Path::new("f"));
        let told = "; by networks that come with unheat: noisy (f), quiet (a, b, c and 2 more)";
        assert_eq!(made.to_string(), told);
    }
}
