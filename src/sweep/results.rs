//! What the runs of a sweep have come to, as their folders say, and the table of it.

use crate::Result;
use crate::io::atomic;
use crate::io::tables::metrics::{self, MetricsRow};
use crate::io::tables::validation::{self, ValidationRow};
use crate::sweep::ending::Outcome;
use crate::sweep::folder::{RunFiles, Sweep};
use crate::sweep::run::Run;
use std::collections::BTreeSet;
use std::path::Path;

/// The share of its steps over whose losses the mean is taken: single batches differ by chance.
const TAIL: u64 = 10;

/// The metrics of a run so far.
#[derive(Clone, Debug, Default)]
pub struct Progressed {
    /// A row per step.
    pub rows: Vec<MetricsRow>,
    /// A row per look at held-out fields, where the run does that.
    pub looks: Vec<ValidationRow>,
}

impl Progressed {
    /// Reads the tables in a run's folder, as far as they can be read: a run that was killed may have cut
    /// their last line.
    pub fn read(folder: &Path) -> Self {
        let rows = metrics::read(&folder.join("metrics.csv")).unwrap_or_default();
        Self { rows, looks: validation::read(&folder.join("validation.csv")).unwrap_or_default() }
    }

    /// Steps that are done.
    pub fn steps(&self) -> u64 {
        self.rows.len() as u64
    }

    /// The loss by which runs are compared after `steps` steps: on held-out fields, where there are looks at
    /// them; else the x loss, or where nobody knows the truth the y loss, as a mean over the last tenth of
    /// the steps. NaN where there is none.
    pub fn loss(&self, steps: u64) -> f64 {
        let looked = self.looks.iter().rfind(|look| look.step <= steps);
        let x_loss = looked.map_or_else(|| self.tail(steps, |row| row.x_l2_mean), |look| look.x_l2_mean);
        if x_loss.is_nan() { self.tail(steps, |row| row.y_l2_mean) } else { x_loss }
    }

    /// The mean of a column over the last tenth of so many steps, at least one.
    pub fn tail(&self, steps: u64, column: impl Fn(&MetricsRow) -> f64) -> f64 {
        let steps = steps.min(self.steps()) as usize;
        let rows = &self.rows[steps - steps.div_ceil(TAIL as usize)..steps];
        rows.iter().map(column).sum::<f64>() / rows.len() as f64
    }
}

/// A line of the table.
#[derive(Clone, Debug)]
pub struct Row {
    /// What became of the run.
    pub outcome: Outcome,
    /// Its metrics.
    pub progressed: Progressed,
    /// What it said last, where it failed.
    pub message: String,
}

impl Row {
    /// The run's loss after the steps it has, if there is a finite one that counts.
    pub fn loss(&self) -> Option<f64> {
        let counts = !matches!(self.outcome, Outcome::Diverged | Outcome::Failed | Outcome::Waiting);
        Some(self.progressed.loss(self.progressed.steps())).filter(|loss| counts && loss.is_finite())
    }

    /// Seconds of training.
    pub fn seconds(&self) -> f64 {
        self.progressed.rows.last().map_or(0.0, |row| row.seconds)
    }
}

/// Which runs go on after the rungs so far, and after how many steps those that do not were left.
///
/// Only the rows before a rung count for it, so that the answer is the same whenever it is asked for.
pub fn dropped(sweep: &Sweep, progressed: &[Progressed], rungs: &[u64]) -> Vec<Option<u64>> {
    let mut dropped = vec![None; sweep.runs.len()];
    let Some(halving) = sweep.halving else { return dropped };
    let mut alive = sweep.groups();
    for &rung in rungs {
        let mean = |group: &Vec<usize>| {
            let losses = group.iter().map(|&i| match progressed[i].steps() >= rung {
                true => progressed[i].loss(rung),
                false => f64::NAN, // it has failed before
            });
            losses.sum::<f64>() / group.len() as f64
        };
        let best = halving.best(&alive.iter().map(mean).collect::<Vec<_>>());
        let mut goes_on = best.into_iter();
        alive.retain(|group| {
            let stays = goes_on.next().unwrap_or(true);
            if !stays {
                group.iter().for_each(|&i| dropped[i] = Some(rung));
            }
            stays
        });
    }
    dropped
}

/// The rows of all runs. `rungs` are those that are decided.
///
/// # Errors
/// Those of reading the notes of how runs ended.
pub fn rows(sweep: &Sweep, folder: &Path, rungs: &[u64]) -> Result<Vec<Row>> {
    let files: Vec<RunFiles> = sweep.runs.iter().map(|run| RunFiles::of(folder, run.number)).collect();
    let progressed: Vec<Progressed> = files.iter().map(|files| Progressed::read(&files.folder)).collect();
    let dropped = dropped(sweep, &progressed, rungs);
    let row = |((files, progressed), dropped): ((&RunFiles, Progressed), Option<u64>)| -> Result<Row> {
        let (outcome, message) = match files.ended()? {
            Some(ending) => (ending.outcome, ending.message),
            None if dropped.is_some() => (Outcome::Dropped, String::new()),
            None if files.folder.exists() => (Outcome::Stopped, String::new()),
            None => (Outcome::Waiting, String::new()),
        };
        Ok(Row { outcome, progressed, message })
    };
    files.iter().zip(progressed).zip(dropped).map(row).collect()
}

/// Which version trained the runs, and on which devices, as their `config.toml` say.
pub fn made_by(sweep: &Sweep, folder: &Path) -> BTreeSet<String> {
    let made = |run: &Run| {
        let text =
            std::fs::read_to_string(RunFiles::of(folder, run.number).folder.join("config.toml")).ok()?;
        text.lines().find_map(|line| Some(line.strip_prefix("# ")?.strip_prefix("unheat ")?.to_owned()))
    };
    sweep.runs.iter().filter_map(made).map(|made| format!("unheat {made}")).collect()
}

/// Writes `sweep.csv`: the number of every run, its settings that differ, and what it came to.
///
/// # Errors
/// Those of [`atomic::write`].
pub fn write(path: &Path, sweep: &Sweep, rows: &[Row]) -> Result<()> {
    let own = ["outcome", "steps", "loss", "x_loss", "y_loss", "seconds", "message"];
    let header = ["run"].into_iter().chain(sweep.varied.iter().map(String::as_str)).chain(own);
    let mut table = line(header.map(str::to_owned));
    for (run, row) in sweep.runs.iter().zip(rows) {
        let (steps, number) =
            (
                row.progressed.steps(),
                |value: f64| {
                    if value.is_finite() { format!("{value:?}") } else { String::new() }
                },
            );
        let tail = |column: fn(&MetricsRow) -> f64| number(row.progressed.tail(steps, column));
        let settings = sweep.varied.iter().map(|name| run.value(name));
        let results = [
            row.outcome.name().to_owned(),
            steps.to_string(),
            row.loss().map_or(String::new(), number),
            tail(|row| row.x_l2_mean),
            tail(|row| row.y_l2_mean),
            format!("{:.3}", row.seconds()),
            row.message.clone(),
        ];
        table += &line([format!("{:03}", run.number)].into_iter().chain(settings).chain(results));
    }
    atomic::write(path, |file| file.write_all(table.as_bytes()))
}

/// Cells as a line of a table for spreadsheets (RFC 4180).
fn line(cells: impl Iterator<Item = String>) -> String {
    let quoted = |cell: String| match cell.contains([',', '"', '\n', '\r']) {
        true => format!("\"{}\"", cell.replace('"', "\"\"")),
        false => cell,
    };
    cells.map(quoted).collect::<Vec<_>>().join(",") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sweep::halving::Halving;
    use toml::Table;

    fn progressed(losses: &[f64]) -> Progressed {
        let row = |(step, &loss): (usize, &f64)| MetricsRow {
            step: step as u64,
            loss_mean: loss,
            x_l2_mean: loss,
            x_l2_std: 0.0,
            x_l2_min: loss,
            x_l2_max: loss,
            y_l2_mean: 2.0 * loss,
            seconds: 1.0,
        };
        Progressed { rows: losses.iter().enumerate().map(row).collect(), looks: Vec::new() }
    }

    #[test]
    fn the_loss_is_the_mean_of_the_last_tenth() {
        let falling: Vec<f64> = (0..20).map(|step| 100.0 - f64::from(step)).collect();
        let run = progressed(&falling);
        assert_eq!(run.loss(20), 81.5);
        assert_eq!(run.loss(10), 91.0, "later steps do not count");
        assert_eq!(progressed(&[3.0]).loss(1), 3.0);
        assert!(progressed(&[]).loss(0).is_nan());
        let blind = progressed(&[f64::NAN]);
        assert!(blind.loss(1).is_nan(), "y is NaN here as well");
        let look = |step, x_l2_mean| ValidationRow { step, x_l2_mean, y_l2_mean: 0.0 };
        let looked = Progressed { looks: vec![look(5, 7.0), look(15, 6.0)], ..run };
        assert_eq!((looked.loss(14), looked.loss(20)), (7.0, 6.0));
    }

    #[test]
    fn groups_of_seeds_are_dropped_together_by_what_was_known_at_the_rung() {
        let settings = |lr: f64, seed: u64| format!("lr = {lr:?}\nseed = {seed}").parse::<Table>().unwrap();
        let runs = vec![settings(0.1, 0), settings(0.1, 1), settings(0.2, 0), settings(0.2, 1)];
        let sweep = Sweep::new(runs, Some(Halving { keep_best: 0.5, after: 2 }));
        let losses = [[9.0, 1.0, 1.0], [9.0, 9.0, 9.0], [9.0, 4.0, 0.0], [9.0, 4.0, 0.0]];
        let runs: Vec<Progressed> = losses.iter().map(|losses| progressed(losses)).collect();
        assert_eq!(dropped(&sweep, &runs, &[2]), [Some(2), Some(2), None, None]);
        assert_eq!(dropped(&sweep, &runs, &[]), [None; 4]);
        let mut failed = runs.clone();
        failed[3] = progressed(&[9.0]);
        assert_eq!(dropped(&sweep, &failed, &[2]), [None, None, Some(2), Some(2)]);
    }

    #[test]
    fn cells_are_quoted_where_they_must_be() {
        let cells = ["a", "8,16", "it said \"no\""].map(str::to_owned);
        assert_eq!(line(cells.into_iter()), "a,\"8,16\",\"it said \"\"no\"\"\"\n");
    }
}
