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
use toml::Value;

/// The share of its steps over whose losses the mean is taken: single batches differ by chance.
const TAIL: u64 = 10;

/// By what runs are compared, the same for all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The last x loss on held-out fields.
    HeldOut,
    /// The x loss, as the mean over the last tenth of the steps.
    X,
    /// The y loss, likewise.
    Y,
}

impl Kind {
    /// What every run has after at most `steps` steps: held-out fields, else a truth, else observations.
    fn of<'a>(sweep: &Sweep, progressed: impl Iterator<Item = &'a Progressed>, steps: u64) -> Self {
        let looks =
            |run: &Run| run.settings.get("validate_every").and_then(Value::as_integer).unwrap_or(0) > 0;
        let has_looked = |run: &Progressed| run.looks.iter().any(|look| look.step <= steps);
        if sweep.runs.iter().all(looks) && progressed.filter(|run| run.steps() > 0).all(has_looked) {
            return Self::HeldOut;
        }
        let is_blind = |run: &Run| run.settings.contains_key("observations");
        if sweep.runs.iter().any(is_blind) { Self::Y } else { Self::X }
    }

    /// What it is, as a sentence.
    pub fn describe(self) -> &'static str {
        match self {
            Self::HeldOut => {
                "The loss of a run is the x loss ½Σ(x* − x)² on held-out fields when it was last tried."
            }
            Self::X => {
                "The loss of a run is the x loss ½Σ(x* − x)², as the mean over the last tenth of its steps; \
                 those that were skipped do not count."
            }
            Self::Y => {
                "The loss of a run is the y loss ½Σ(y* − y)², as the mean over the last tenth of its steps, \
                 for the truth of some is not known."
            }
        }
    }
}

/// The metrics of a run so far.
#[derive(Clone, Debug, Default)]
pub struct Progressed {
    /// A row per step.
    pub rows: Vec<MetricsRow>,
    /// A row per look at held-out fields, where the run does that.
    pub looks: Vec<ValidationRow>,
}

impl Progressed {
    /// Reads what is whole of the tables in a run's folder: a run that was killed may have cut their last
    /// line.
    pub fn read(folder: &Path) -> Self {
        let rows = metrics::read_begun(&folder.join("metrics.csv"));
        Self { rows, looks: validation::read_begun(&folder.join("validation.csv")) }
    }

    /// Steps that are done.
    pub fn steps(&self) -> u64 {
        self.rows.len() as u64
    }

    /// The loss after `steps` steps; NaN where there is none.
    pub fn loss(&self, steps: u64, kind: Kind) -> f64 {
        match kind {
            Kind::HeldOut => {
                let looked = self.looks.iter().rfind(|look| look.step <= steps);
                looked.map_or(f64::NAN, |look| look.x_l2_mean)
            }
            Kind::X => self.tail(steps, |row| row.x_l2_mean),
            Kind::Y => self.tail(steps, |row| row.y_l2_mean),
        }
    }

    /// The mean of a column over the last tenth of so many steps, at least one, skipped ones left out.
    pub fn tail(&self, steps: u64, column: impl Fn(&MetricsRow) -> f64) -> f64 {
        let steps = steps.min(self.steps()) as usize;
        let rows = &self.rows[steps - steps.div_ceil(TAIL as usize)..steps];
        let counted: Vec<f64> = rows.iter().filter(|row| !row.is_skipped()).map(column).collect();
        counted.iter().sum::<f64>() / counted.len() as f64
    }
}

/// A line of the table.
#[derive(Clone, Debug)]
pub struct Row {
    /// What became of the run.
    pub outcome: Outcome,
    /// Its metrics.
    pub progressed: Progressed,
    /// The loss after the steps that it has, if there is a finite one that counts.
    pub loss: Option<f64>,
    /// What it said last, where it failed; what is wrong with its files.
    pub message: String,
}

impl Row {
    /// The loss of a run that is done.
    pub fn final_loss(&self) -> Option<f64> {
        self.loss.filter(|_| self.outcome == Outcome::Done)
    }

    /// Seconds of training.
    pub fn seconds(&self) -> f64 {
        self.progressed.rows.last().map_or(0.0, |row| row.seconds)
    }
}

/// All rows, and what their losses are.
pub struct Results {
    /// One per run.
    pub rows: Vec<Row>,
    /// By what they are compared.
    pub kind: Kind,
}

/// Which runs go on after the rungs so far, and after how many steps those that do not were left.
///
/// Only the rows before a rung count for it, so that the answer is the same whenever it is asked for.
pub fn dropped(sweep: &Sweep, progressed: &[Progressed], rungs: &[u64]) -> Vec<Option<u64>> {
    let mut dropped = vec![None; sweep.runs.len()];
    let Some(halving) = sweep.halving else { return dropped };
    let mut alive = sweep.groups();
    for &rung in rungs {
        let kind = Kind::of(sweep, alive.iter().flatten().map(|&i| &progressed[i]), rung);
        let mean = |group: &Vec<usize>| {
            let losses = group.iter().map(|&i| match progressed[i].steps() >= rung {
                true => progressed[i].loss(rung, kind),
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

/// What all runs came to, of which each was to do so many `steps`. `rungs` are those that are decided.
///
/// # Errors
/// Those of reading the notes of how runs ended.
pub fn read(sweep: &Sweep, folder: &Path, steps: &[u64], rungs: &[u64]) -> Result<Results> {
    let files: Vec<RunFiles> = sweep.runs.iter().map(|run| RunFiles::of(folder, run.number)).collect();
    let progressed: Vec<Progressed> = files.iter().map(|files| Progressed::read(&files.folder)).collect();
    let dropped = dropped(sweep, &progressed, rungs);
    let kind = Kind::of(sweep, progressed.iter(), u64::MAX);
    let row = |(i, progressed): (usize, Progressed)| -> Result<Row> {
        let (outcome, mut message) = match files[i].ended()? {
            Some(ending) => (ending.outcome, ending.message),
            None if dropped[i].is_some() => (Outcome::Dropped, String::new()),
            None if files[i].folder.exists() => (Outcome::Stopped, String::new()),
            None => (Outcome::Waiting, String::new()),
        };
        let has_all = progressed.steps() >= steps[i];
        if outcome == Outcome::Done && !has_all {
            message = format!("metrics.csv holds {} of {} steps", progressed.steps(), steps[i]);
        }
        let counts = match outcome {
            Outcome::Done => has_all,
            Outcome::Dropped | Outcome::Stopped => true,
            Outcome::Diverged | Outcome::Failed | Outcome::Waiting => false,
        };
        let loss = Some(progressed.loss(progressed.steps(), kind)).filter(|loss| counts && loss.is_finite());
        Ok(Row { outcome, progressed, loss, message })
    };
    let rows: Result<Vec<Row>> = progressed.into_iter().enumerate().map(row).collect();
    Ok(Results { rows: rows?, kind })
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

/// The loss of one run by itself.
pub fn loss_of(sweep: &Sweep, progressed: &Progressed) -> f64 {
    progressed.loss(progressed.steps(), Kind::of(sweep, [progressed].into_iter(), u64::MAX))
}

/// Writes `sweep.csv`: the number of every run, its settings that differ, and what it came to.
///
/// # Errors
/// Those of [`atomic::write`].
pub fn write(path: &Path, sweep: &Sweep, rows: &[Row]) -> Result<()> {
    let own = ["outcome", "steps_done", "loss", "x_loss", "y_loss", "seconds", "message"];
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
            row.loss.map_or(String::new(), number),
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

    fn look(step: u64, x_l2_mean: f64) -> ValidationRow {
        ValidationRow { step, x_l2_mean, y_l2_mean: 0.0 }
    }

    /// Losses of two kinds are never compared with each other.
    #[test]
    fn runs_are_compared_by_what_all_of_them_have() {
        let sweep =
            |texts: [&str; 2]| Sweep::new(texts.map(|text| text.parse().unwrap()).to_vec(), None, Vec::new());
        let plain = progressed(&[5.0; 20]);
        let looked = Progressed { looks: vec![look(10, 7.0)], ..plain.clone() };
        let all = sweep(["validate_every = 10", "validate_every = 10\nseed = 1"]);
        let some = sweep(["validate_every = 10", "validate_every = 0"]);
        let blind = sweep(["observations = \"y.npy\"", "data = \"x.npy\""]);
        let both = [looked.clone(), looked.clone()];
        assert_eq!(Kind::of(&all, both.iter(), 20), Kind::HeldOut);
        assert_eq!(Kind::of(&all, both.iter(), 5), Kind::X, "nobody has looked yet");
        assert_eq!(Kind::of(&all, [looked, plain.clone()].iter(), 20), Kind::X);
        assert_eq!(Kind::of(&some, both.iter(), 20), Kind::X);
        assert_eq!(Kind::of(&blind, [plain.clone(), plain].iter(), 20), Kind::Y);
    }

    #[test]
    fn the_loss_is_the_mean_of_the_last_tenth() {
        let falling: Vec<f64> = (0..20).map(|step| 100.0 - f64::from(step)).collect();
        let run = progressed(&falling);
        assert_eq!(run.loss(20, Kind::X), 81.5);
        assert_eq!(run.loss(10, Kind::X), 91.0, "later steps do not count");
        assert_eq!(run.loss(20, Kind::Y), 163.0);
        assert_eq!(progressed(&[3.0]).loss(1, Kind::X), 3.0);
        assert!(progressed(&[]).loss(0, Kind::X).is_nan());
        let mut skipped = run.clone();
        (skipped.rows[19].loss_mean, skipped.rows[19].x_l2_mean) = (f64::NAN, f64::INFINITY);
        assert_eq!(skipped.loss(20, Kind::X), 82.0, "skipped steps do not count");
        let looked = Progressed { looks: vec![look(5, 7.0), look(15, 6.0)], ..run };
        assert_eq!((looked.loss(14, Kind::HeldOut), looked.loss(20, Kind::HeldOut)), (7.0, 6.0));
    }

    #[test]
    fn groups_of_seeds_are_dropped_together_by_what_was_known_at_the_rung() {
        let settings = |lr: f64, seed: u64| format!("lr = {lr:?}\nseed = {seed}").parse::<Table>().unwrap();
        let runs = vec![settings(0.1, 0), settings(0.1, 1), settings(0.2, 0), settings(0.2, 1)];
        let sweep = Sweep::new(runs, Some(Halving { keep_best: 0.5, after: 2 }), Vec::new());
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
