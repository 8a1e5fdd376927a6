//! `metrics.jsonl`: the rows of `metrics.csv` as JSON, an object per line, for tools that prefer that.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::io::atomic;
use crate::io::tables::metrics::MetricsRow;
use crate::{Error, Result};

/// The file while it grows.
#[derive(Debug)]
pub struct JsonLines {
    file: File,
    path: PathBuf,
}

impl JsonLines {
    /// Writes `rows`, and takes more. A file already there is replaced: `metrics.csv` alone says what has
    /// been done, so that a run which goes on has each step once, whatever an interruption has left here.
    ///
    /// # Errors
    /// [`Error::Io`] when the file cannot be written; [`Error::File`] when a folder is in its place.
    pub fn create(path: &Path, rows: &[MetricsRow]) -> Result<Self> {
        atomic::write(path, |out| rows.iter().try_for_each(|row| out.write_all(line(row)?.as_bytes())))?;
        let file = OpenOptions::new().append(true).open(path).map_err(Error::io(path, "cannot open"))?;
        Ok(Self { file, path: path.to_owned() })
    }

    /// Appends one line. It is handed to the system in one unbuffered write, so that a reader sees whole
    /// lines.
    ///
    /// # Errors
    /// [`Error::Io`] when the file cannot be written.
    pub fn append(&mut self, row: &MetricsRow) -> Result<()> {
        let written = line(row).and_then(|line| self.file.write_all(line.as_bytes()));
        written.map_err(Error::io(&self.path, "cannot write"))
    }

    /// Returns when every line is on the disk.
    ///
    /// # Errors
    /// [`Error::Io`] when the disk refuses.
    pub fn sync(&self) -> Result<()> {
        self.file.sync_data().map_err(Error::io(&self.path, "cannot write"))
    }
}

/// Numbers read back as the same f64; JSON has neither infinities nor NaN, and null stands for them.
fn line(row: &MetricsRow) -> std::io::Result<String> {
    Ok(serde_json::to_string(row)? + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::tables::metrics::HEADER;

    fn row(step: u64) -> MetricsRow {
        MetricsRow {
            step,
            loss_mean: 1.0 / 3.0,
            x_l2_mean: f64::NAN,
            x_l2_std: 1e-300,
            x_l2_min: 0.1f32.into(),
            x_l2_max: f64::INFINITY,
            y_l2_mean: 1e21,
            seconds: 0.5,
        }
    }

    #[test]
    fn a_line_is_a_row_of_the_table() {
        let text = line(&row(7)).unwrap();
        let keys: Vec<&str> = text.split('"').skip(1).step_by(2).collect();
        assert_eq!(keys.join(","), HEADER);
        assert_eq!(
            text,
            "{\"step\":7,\"loss_mean\":0.3333333333333333,\"x_l2_mean\":null,\"x_l2_std\":1e-300,\
             \"x_l2_min\":0.10000000149011612,\"x_l2_max\":null,\"y_l2_mean\":1e+21,\"seconds\":0.5}\n"
        );
    }

    #[test]
    fn what_was_there_is_replaced_by_the_rows_that_count() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m.jsonl");
        std::fs::write(&path, "{\"step\":0}\n{\"step\":1}\n{\"ste").unwrap();
        let mut file = JsonLines::create(&path, &[row(0)]).unwrap();
        file.append(&row(1)).unwrap();
        file.sync().unwrap();
        let expected = line(&row(0)).unwrap() + &line(&row(1)).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), expected);
        assert!(JsonLines::create(&folder.path().join("no/m.jsonl"), &[]).is_err());
    }
}
