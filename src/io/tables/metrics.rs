//! `metrics.csv`: one line per step.

use serde::Serialize;
use std::path::Path;

use crate::Result;
use crate::io::tables::csv::{self, Line, Table};

/// The first line of the file.
pub const HEADER: &str = "step,loss_mean,x_l2_mean,x_l2_std,x_l2_min,x_l2_max,y_l2_mean,seconds";

/// One line of the table.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct MetricsRow {
    /// The training step, counted from 0.
    pub step: u64,
    /// The mean over the batch of the loss that was differentiated; NaN where the step was skipped.
    pub loss_mean: f64,
    /// The mean over the batch of ½ Σ (x* − x)², summed over the cells (method §4).
    pub x_l2_mean: f64,
    /// Its standard deviation over the batch.
    pub x_l2_std: f64,
    /// Its minimum over the batch.
    pub x_l2_min: f64,
    /// Its maximum over the batch.
    pub x_l2_max: f64,
    /// The mean over the batch of ½ Σ (y − y*)², summed over the cells.
    pub y_l2_mean: f64,
    /// Seconds of training so far; a resumed run goes on counting.
    pub seconds: f64,
}

impl MetricsRow {
    /// Whether the step's update was left out, since a loss or a gradient was not finite.
    pub fn is_skipped(&self) -> bool {
        self.loss_mean.is_nan()
    }

    /// Whether everything but the time is the same bit for bit (NaN is NaN).
    pub fn same_numbers(&self, other: &Self) -> bool {
        let numbers = |row: &Self| {
            let (step, mut numbers) = row.line();
            numbers[6] = 0.0;
            (step, numbers.map(|v| if v.is_nan() { f64::NAN.to_bits() } else { v.to_bits() }))
        };
        numbers(self) == numbers(other)
    }

    fn line(&self) -> Line<7> {
        let Self { step, loss_mean, x_l2_mean, x_l2_std, x_l2_min, x_l2_max, y_l2_mean, seconds } = *self;
        (step, [loss_mean, x_l2_mean, x_l2_std, x_l2_min, x_l2_max, y_l2_mean, seconds])
    }

    fn of((step, numbers): Line<7>) -> Self {
        let [loss_mean, x_l2_mean, x_l2_std, x_l2_min, x_l2_max, y_l2_mean, seconds] = numbers;
        Self { step, loss_mean, x_l2_mean, x_l2_std, x_l2_min, x_l2_max, y_l2_mean, seconds }
    }
}

/// The file while it grows.
#[derive(Debug)]
pub struct MetricsFile(Table);

impl MetricsFile {
    /// Creates the file with its header. A file already there is emptied.
    ///
    /// # Errors
    /// [`crate::Error::Io`] when the file cannot be written.
    pub fn create(path: &Path) -> Result<Self> {
        Table::create(path, HEADER).map(Self)
    }

    /// Opens the file to go on with step `step`, and returns the rows before it. Those from it on are
    /// dropped.
    ///
    /// # Errors
    /// [`crate::Error::Io`]; [`crate::Error::File`] when a row before `step` is missing or damaged. The file
    /// is as it was then.
    pub fn resume(path: &Path, step: u64) -> Result<(Self, Vec<MetricsRow>)> {
        let (table, lines) = Table::resume(path, HEADER, 0..step)?;
        Ok((Self(table), lines.into_iter().map(MetricsRow::of).collect()))
    }

    /// Appends one line. It is handed to the system in one unbuffered write, so that a reader sees whole
    /// lines.
    ///
    /// # Errors
    /// [`crate::Error::Io`] when the file cannot be written.
    pub fn append(&mut self, row: &MetricsRow) -> Result<()> {
        self.0.append(&row.line())
    }

    /// Returns when every row is on the disk.
    pub fn sync(&self) -> Result<()> {
        self.0.sync()
    }
}

/// Reads the rows of a metrics file; their numbers are exactly those that were written.
///
/// # Errors
/// [`crate::Error::Io`] when the file cannot be read; [`crate::Error::File`], naming the line, when the
/// header is another one, a line does not hold eight numbers, or the last line was cut short.
pub fn read(path: &Path) -> Result<Vec<MetricsRow>> {
    Ok(csv::read(path, HEADER)?.into_iter().map(MetricsRow::of).collect())
}

/// Reads the rows of a metrics file that may still grow or was cut short: those before the first that is not
/// whole.
pub fn read_begun(path: &Path) -> Vec<MetricsRow> {
    csv::read_begun(path, HEADER).into_iter().map(MetricsRow::of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;

    fn row(step: u64) -> MetricsRow {
        let third = step as f64 / 3.0;
        MetricsRow {
            step,
            loss_mean: third,
            x_l2_mean: 812.25,
            x_l2_std: 1e-300,
            x_l2_min: 0.1f32.into(),
            x_l2_max: f64::INFINITY,
            y_l2_mean: 1e21,
            seconds: 0.5,
        }
    }

    #[test]
    fn what_is_appended_is_read_exactly() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.csv");
        let mut file = MetricsFile::create(&path).unwrap();
        assert_eq!(read(&path).unwrap(), []);
        for step in [0, 1, u64::MAX] {
            file.append(&row(step)).unwrap();
        }
        // Read while the file is still open: nothing waits in a buffer.
        assert_eq!(read(&path).unwrap(), [row(0), row(1), row(u64::MAX)]);
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(
            text.lines().nth(2).unwrap(),
            "1,0.3333333333333333,812.25,1e-300,0.10000000149011612,inf,1e21,0.5"
        );
    }

    #[test]
    fn not_a_number_survives() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.csv");
        let nan = MetricsRow { loss_mean: f64::NAN, ..row(2) };
        MetricsFile::create(&path).unwrap().append(&nan).unwrap();
        assert!(read(&path).unwrap()[0].loss_mean.is_nan());
    }

    #[test]
    fn damage_is_named_by_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.csv");
        let good = "1,1,1,1,1,1,1,1\n";
        for (body, complaint) in [
            (format!("{good}2,1,1\n"), "line 3"),
            (format!("{good}{good}2,1,1,1,1,1,1,1,1\n"), "line 4"),
            ("x,1,1,1,1,1,1,1\n".to_owned(), "line 2"),
            ("1,1,1,one,1,1,1,1\n".to_owned(), "line 2"),
            (format!("{good}\n"), "line 3"),
            (format!("{good}2,1,1,1,1,1,1,1"), "cut short"),
        ] {
            std::fs::write(&path, format!("{HEADER}\n{body}")).unwrap();
            let message = read(&path).unwrap_err().to_string();
            assert!(message.contains(complaint), "{message}");
        }
        std::fs::write(&path, "step,loss\n").unwrap();
        assert!(read(&path).unwrap_err().to_string().contains("line 1"));
        assert!(matches!(read(&folder.path().join("none")), Err(Error::Io { .. })));
        assert!(matches!(MetricsFile::create(&folder.path().join("no/m.csv")), Err(Error::Io { .. })));
    }
}
