//! Tables of a step and some numbers per line, readable by any spreadsheet while training goes on.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::io::atomic;
use crate::{Error, Result};

/// A line: a step, and N numbers.
pub(crate) type Line<const N: usize> = (u64, [f64; N]);

/// A table while it grows.
#[derive(Debug)]
pub(crate) struct Table {
    file: File,
    path: PathBuf,
}

impl Table {
    /// Creates the file with its header. A file already there is emptied.
    pub(crate) fn create(path: &Path, header: &str) -> Result<Self> {
        let mut file = File::create(path).map_err(Error::io(path, "cannot create"))?;
        file.write_all(format!("{header}\n").as_bytes()).map_err(Error::io(path, "cannot write"))?;
        Ok(Self { file, path: path.to_owned() })
    }

    /// Opens the file to go on after the lines of `steps`, and returns these. Everything after them is
    /// dropped, a line that was half written too.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::File`], naming the step, when one of the lines is missing. The file is as it
    /// was then.
    pub(crate) fn resume<const N: usize>(
        path: &Path,
        header: &str,
        steps: impl Iterator<Item = u64>,
    ) -> Result<(Self, Vec<Line<N>>)> {
        let mut steps = steps.peekable();
        if steps.peek().is_none() {
            return Ok((Self::create(path, header)?, Vec::new()));
        }
        let bytes = std::fs::read(path).map_err(Error::io(path, "cannot read"))?;
        let text = String::from_utf8_lossy(&bytes); // what is dropped may be anything
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        let mut lines = whole.lines().skip_while(|&line| line == header);
        let mut kept = Vec::new();
        for step in steps {
            let line = lines.next().and_then(parse::<N>).filter(|line| line.0 == step);
            kept.push(line.ok_or_else(|| {
                let what = format!(
                    "step {step}, which the checkpoint has passed, is missing or damaged; put the file back \
                     as it was, or start a new run"
                );
                Error::file(path, what)
            })?);
        }
        atomic::write(path, |out| {
            writeln!(out, "{header}")?;
            kept.iter().try_for_each(|kept| out.write_all(line(kept).as_bytes()))
        })?;
        let file = OpenOptions::new().append(true).open(path).map_err(Error::io(path, "cannot open"))?;
        Ok((Self { file, path: path.to_owned() }, kept))
    }

    /// Appends one line. It is handed to the system in one unbuffered write, so that a reader sees whole
    /// lines.
    pub(crate) fn append<const N: usize>(&mut self, row: &Line<N>) -> Result<()> {
        self.file.write_all(line(row).as_bytes()).map_err(Error::io(&self.path, "cannot write"))
    }

    /// Returns when every line is on the disk.
    pub(crate) fn sync(&self) -> Result<()> {
        self.file.sync_data().map_err(Error::io(&self.path, "cannot write"))
    }
}

/// Reads a table; its numbers are exactly those that were written.
pub(crate) fn read<const N: usize>(path: &Path, header: &str) -> Result<Vec<Line<N>>> {
    let text = std::fs::read_to_string(path).map_err(Error::io(path, "cannot read"))?;
    let mut lines = text.lines();
    if lines.next() != Some(header) {
        return Err(Error::file(path, format!("line 1 must be `{header}`; is this such a table?")));
    }
    if !text.ends_with('\n') {
        return Err(Error::file(path, "the last line was cut short; delete it"));
    }
    let rows = lines.enumerate().map(|(index, line)| {
        let what = || format!("line {} must hold a step and {N} numbers; mend or delete it", index + 2);
        parse(line).ok_or_else(|| Error::file(path, what()))
    });
    rows.collect()
}

/// The lines of a table that may still grow, or has been cut short: those before the first that is not whole.
pub(crate) fn read_begun<const N: usize>(path: &Path, header: &str) -> Vec<Line<N>> {
    let bytes = std::fs::read(path).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
    let lines = whole.strip_prefix(header).unwrap_or_default().lines().skip(1);
    lines.map_while(parse).collect()
}

/// `{:?}` prints the fewest digits that read back as the same f64, with an exponent where that is shorter.
fn line<const N: usize>((step, numbers): &Line<N>) -> String {
    let numbers: String = numbers.iter().map(|number| format!(",{number:?}")).collect();
    format!("{step}{numbers}\n")
}

fn parse<const N: usize>(line: &str) -> Option<Line<N>> {
    let (step, numbers) = line.split_once(',')?;
    let numbers: Vec<f64> = numbers.split(',').map(|number| number.parse().ok()).collect::<Option<_>>()?;
    Some((step.parse().ok()?, numbers.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = "step,a,b";

    #[test]
    fn a_table_goes_on_after_the_lines_that_count() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.csv");
        let good = "step,a,b\n0,0.1,inf\n1,1.0,2.0\n";
        let rests: [&[u8]; 6] =
            [b"", b"2,3.0,4.0\n", b"2,3.0", b"2,3.0,4.0\n3,", b"what is this\n", b"\xff\0\n"];
        for rest in rests {
            std::fs::write(&path, [good.as_bytes(), rest].concat()).unwrap();
            let (mut table, kept) = Table::resume::<2>(&path, HEADER, 0..2).unwrap();
            assert_eq!(kept, [(0, [0.1, f64::INFINITY]), (1, [1.0, 2.0])]);
            assert_eq!(std::fs::read_to_string(&path).unwrap(), good);
            table.append(&(2, [5.0, 6.0])).unwrap();
            assert_eq!(std::fs::read_to_string(&path).unwrap(), format!("{good}2,5.0,6.0\n"));
        }
    }

    #[test]
    fn what_is_whole_is_read_of_a_table_that_was_cut() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.csv");
        let read = || read_begun::<2>(&path, HEADER).len();
        assert_eq!(read(), 0);
        for (text, count) in [
            ("step,a,b\n0,0.1,inf\n1,1.0,2.0\n", 2),
            ("step,a,b\n0,0.1,inf\n1,1.0,2", 1),
            ("step,a,b\n0,0.1,inf\nwhat\n1,1.0,2.0\n", 1),
            ("step,a,b\n", 0),
            ("step,a", 0),
            ("another,table\n0,0.1,inf\n", 0),
        ] {
            std::fs::write(&path, text).unwrap();
            assert_eq!(read(), count, "{text:?}");
        }
    }

    #[test]
    fn a_missing_line_is_named_and_nothing_is_lost() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.csv");
        for text in ["", HEADER, "step,a,b\n0,1.0,1.0\n2,1.0,1.0\n", "step,a,b\n0,1.0,1.0\n1,1.0,1.0"] {
            std::fs::write(&path, text).unwrap();
            let message = Table::resume::<2>(&path, HEADER, 0..2).unwrap_err().to_string();
            let missing = if text.contains("\n0") { "step 1," } else { "step 0," };
            assert!(message.contains(missing), "{text:?}: {message}");
            assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
        }
        assert!(Table::resume::<2>(&folder.path().join("none"), HEADER, 0..1).is_err());
        Table::resume::<2>(&path, HEADER, 0..0).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "step,a,b\n");
    }
}
