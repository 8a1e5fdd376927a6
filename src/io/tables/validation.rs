//! `validation.csv`: how good the network is on fields that training never sees.

use std::path::Path;

use crate::Result;
use crate::io::tables::csv::{self, Line, Table};

/// The first line of the file.
pub const HEADER: &str = "step,x_l2_mean,y_l2_mean";

/// One line of the table.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ValidationRow {
    /// Updates that the network has had.
    pub step: u64,
    /// The mean over the held-out fields of ½ Σ (x* − x)², summed over the cells.
    pub x_l2_mean: f64,
    /// The mean over the held-out fields of ½ Σ (y − y*)², summed over the cells.
    pub y_l2_mean: f64,
}

fn of((step, [x_l2_mean, y_l2_mean]): Line<2>) -> ValidationRow {
    ValidationRow { step, x_l2_mean, y_l2_mean }
}

/// The file while it grows.
#[derive(Debug)]
pub struct ValidationFile(Table);

impl ValidationFile {
    /// Opens the file to go on after update `step`, with a row every `every` updates, and returns the rows up
    /// to it. Those beyond are dropped; from step 0 on a new file is made.
    ///
    /// # Errors
    /// [`crate::Error::Io`]; [`crate::Error::File`] when a row up to `step` is missing or damaged. The file
    /// is as it was then.
    pub fn resume(path: &Path, step: u64, every: u64) -> Result<(Self, Vec<ValidationRow>)> {
        let steps = (1..=step / every).map(|i| i * every);
        let (table, lines) = Table::resume(path, HEADER, steps)?;
        Ok((Self(table), lines.into_iter().map(of).collect()))
    }

    /// Appends one row.
    ///
    /// # Errors
    /// [`crate::Error::Io`] when the file cannot be written.
    pub fn append(&mut self, row: &ValidationRow) -> Result<()> {
        self.0.append(&(row.step, [row.x_l2_mean, row.y_l2_mean]))
    }

    /// Returns when every row is on the disk.
    pub fn sync(&self) -> Result<()> {
        self.0.sync()
    }
}

/// Reads the rows of the file, as [`crate::io::tables::metrics::read`] does.
///
/// # Errors
/// [`crate::Error::Io`] and [`crate::Error::File`], as there.
pub fn read(path: &Path) -> Result<Vec<ValidationRow>> {
    Ok(csv::read(path, HEADER)?.into_iter().map(of).collect())
}

/// Reads the rows of a file that may still grow, as [`crate::io::tables::metrics::read_begun`] does.
pub fn read_begun(path: &Path) -> Vec<ValidationRow> {
    csv::read_begun(path, HEADER).into_iter().map(of).collect()
}
