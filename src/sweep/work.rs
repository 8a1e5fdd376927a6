//! Trains the runs of a sweep, as many at once as there is room for.

use crate::Result;
use crate::io::run_folder;
use crate::sweep::devices::{Crew, DEVICE, Place};
use crate::sweep::ending::Ending;
use crate::sweep::folder::{RunFiles, Sweep};
use crate::sweep::process::{Ended, Launcher, Process};
use crate::sweep::results::{self, Progressed};
use crate::sweep::run::Run;
use std::collections::{HashSet, VecDeque};
use std::path::Path;
use std::time::{Duration, Instant};

/// Between two looks at the processes.
const LOOK: Duration = Duration::from_millis(20);

/// Between two looks at a run that another process trains.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Gets told how a sweep goes, and may end it.
pub trait Watcher {
    /// A run has come to its end.
    fn ended(&mut self, run: &Run, ending: &Ending);

    /// So many runs go on after a rung, of so many.
    fn decided(&mut self, steps: u64, left: usize, of: usize);

    /// Somebody else trains this run, which is waited for.
    fn waits(&mut self, run: &Run);

    /// Whether to stop all runs, each with a checkpoint.
    fn interrupted(&self) -> bool;
}

/// What trains a sweep.
pub struct Work<'a> {
    /// The runs.
    pub sweep: &'a Sweep,
    /// Its folder.
    pub folder: &'a Path,
    /// Steps of every run.
    pub steps: &'a [u64],
    /// The devices.
    pub crew: &'a Crew,
    /// What starts runs.
    pub launcher: &'a Launcher,
}

/// How far a sweep came.
pub struct Came {
    /// Whether all that was to be trained has been, and nothing stopped it.
    pub to_the_end: bool,
    /// The rungs that are decided.
    pub rungs: Vec<u64>,
}

/// A run that is being trained.
struct Active {
    index: usize,
    place: usize,
    process: Process,
}

/// What is left of one stretch of all runs.
struct Stretch {
    waiting: VecDeque<usize>,
    active: Vec<Active>,
    /// The step to pause at.
    rung: Option<u64>,
    /// Runs that others train, and when they were looked at last.
    others: Vec<(usize, Instant)>,
    /// Those of which that was told.
    told: HashSet<usize>,
}

impl Work<'_> {
    /// Trains `only` these runs, or all, to their end; what is done already is left as it is.
    ///
    /// # Errors
    /// Those of starting processes and of writing notes. Runs that fail are no errors.
    pub fn run(&self, only: Option<usize>, watcher: &mut dyn Watcher) -> Result<Came> {
        let mut failed = HashSet::new();
        let rungs = self.rungs();
        for done in 0..=rungs.len() {
            let rung = rungs.get(done).copied();
            let decided = self.progressed();
            let dropped = results::dropped(self.sweep, &decided, &rungs[..done]);
            let left = dropped.iter().filter(|dropped| dropped.is_none()).count();
            if done > 0 {
                watcher.decided(rungs[done - 1], left, dropped.len());
            }
            let mut waiting = VecDeque::new();
            for (index, run) in self.sweep.runs.iter().enumerate() {
                let ended = self.files(index).ended()?.is_some_and(|ending| ending.is_final());
                let is_there = rung.is_some_and(|rung| decided[index].steps() >= rung);
                let is_wanted = only.is_none_or(|number| number == run.number);
                if is_wanted && !ended && !is_there && dropped[index].is_none() && !failed.contains(&index) {
                    waiting.push_back(index);
                }
            }
            let stretch =
                Stretch { waiting, active: Vec::new(), rung, others: Vec::new(), told: HashSet::new() };
            if !self.stretch(stretch, &mut failed, watcher)? {
                return Ok(Came { to_the_end: false, rungs: rungs[..done].to_vec() });
            }
        }
        Ok(Came { to_the_end: true, rungs })
    }

    /// The rungs of the sweep, whose runs all have as many steps.
    fn rungs(&self) -> Vec<u64> {
        self.sweep.halving.map_or(Vec::new(), |halving| halving.rungs(self.steps[0]))
    }

    fn progressed(&self) -> Vec<Progressed> {
        // Nothing is decided by it without rungs.
        match self.sweep.halving {
            None => vec![Progressed::default(); self.sweep.runs.len()],
            Some(_) => (0..self.sweep.runs.len()).map(|i| Progressed::read(&self.files(i).folder)).collect(),
        }
    }

    fn files(&self, index: usize) -> RunFiles {
        RunFiles::of(self.folder, self.sweep.runs[index].number)
    }

    /// Trains what waits; whether all of it came as far as it was to.
    fn stretch(
        &self,
        mut left: Stretch,
        failed: &mut HashSet<usize>,
        watcher: &mut dyn Watcher,
    ) -> Result<bool> {
        let mut all = true;
        loop {
            if watcher.interrupted() {
                all &= left.waiting.is_empty() && left.others.is_empty();
                left.waiting.clear();
                left.others.clear();
                left.active.iter_mut().for_each(|active| active.process.stop());
            }
            let mut still = Vec::new();
            for mut active in left.active.drain(..) {
                match active.process.ended()? {
                    None => still.push(active),
                    Some(ended) => all &= self.note(active.index, ended, left.rung, failed, watcher)?,
                }
            }
            left.active = still;
            self.start(&mut left, watcher)?;
            if left.active.is_empty() && left.waiting.is_empty() && left.others.is_empty() {
                return Ok(all);
            }
            std::thread::sleep(LOOK);
        }
    }

    /// Notes how a run ended; whether it came as far as it was to.
    fn note(
        &self,
        index: usize,
        ended: Ended,
        rung: Option<u64>,
        failed: &mut HashSet<usize>,
        watcher: &mut dyn Watcher,
    ) -> Result<bool> {
        let files = self.files(index);
        let ending = match ended {
            Ended::Stopped => {
                let steps = Progressed::read(&files.folder).steps();
                return Ok(rung.is_some_and(|rung| steps >= rung));
            }
            Ended::Ended(ending) => ending,
        };
        ending.write(&files.ending)?;
        if !ending.is_final() {
            failed.insert(index);
        }
        watcher.ended(&self.sweep.runs[index], &ending);
        Ok(true)
    }

    /// Starts what there is room for.
    fn start(&self, left: &mut Stretch, watcher: &mut dyn Watcher) -> Result<()> {
        let due = |seen: &Instant| seen.elapsed() >= LOOK_AGAIN;
        if let Some(at) = left.others.iter().position(|(_, seen)| due(seen)) {
            left.waiting.push_back(left.others.remove(at).0);
        }
        let mut passed = VecDeque::new();
        while let Some(index) = left.waiting.pop_front() {
            let run = &self.sweep.runs[index];
            let Some(place) = self.room(run, &left.active) else {
                passed.push_back(index);
                continue;
            };
            let files = self.files(index);
            if is_trained_elsewhere(&files) {
                if left.told.insert(index) {
                    watcher.waits(run);
                }
                left.others.push((index, Instant::now()));
                continue;
            }
            if files.ended()?.is_some_and(|ending| ending.is_final()) {
                continue; // somebody else has trained it meanwhile
            }
            let mut flags = run.flags();
            if !self.crew.named {
                flags.push(format!("--{DEVICE}={}", self.crew.places[place].name));
            }
            let process = self.launcher.start(&flags, &files, left.rung)?;
            left.active.push(Active { index, place, process });
        }
        left.waiting = passed;
        Ok(())
    }

    /// A place where the run may be trained now.
    fn room(&self, run: &Run, active: &[Active]) -> Option<usize> {
        if active.len() >= self.crew.jobs {
            return None;
        }
        let named = run.settings.get(DEVICE).and_then(|name| name.as_str()).unwrap_or("auto");
        let is_free = |(index, place): &(usize, &Place)| {
            let busy = active.iter().filter(|active| active.place == *index).count();
            busy < place.at_once && (!self.crew.named || place.name == named)
        };
        let free = self.crew.places.iter().enumerate().filter(is_free);
        // The one with the fewest runs.
        free.map(|(index, _)| index).min_by_key(|index| active.iter().filter(|a| a.place == *index).count())
    }
}

/// Whether another process holds the run's folder.
fn is_trained_elsewhere(files: &RunFiles) -> bool {
    files.folder.exists() && run_folder::lock(&files.folder).is_err()
}
