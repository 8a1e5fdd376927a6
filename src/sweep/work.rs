//! Trains the runs of a sweep, as many at once as there is room for.

use crate::Result;
use crate::sweep::devices::{CPU, Crew, DEVICE, Place};
use crate::sweep::ending::{Ending, Outcome};
use crate::sweep::folder::{RunFiles, Sweep};
use crate::sweep::process::{Claim, Ended, Launcher, Process, Start};
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
    /// The place in the sweep of the run to begin with.
    pub first: usize,
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
}

/// What one process remembers of a sweep.
#[derive(Default)]
struct Memory {
    /// Runs that had failed before, and are tried again once.
    to_retry: HashSet<usize>,
    /// Runs of which it was told that others train them.
    told: HashSet<usize>,
}

impl Work<'_> {
    /// Trains `only` this run, or all, to their end; what is done already is left as it is. Several processes
    /// may do so at once: each run is claimed by one of them, and the others wait for it.
    ///
    /// # Errors
    /// Those of starting processes and of writing notes. Runs that fail are no errors.
    pub fn run(&self, only: Option<usize>, watcher: &mut dyn Watcher) -> Result<Came> {
        let runs = &self.sweep.runs;
        let mut memory = Memory::default();
        for index in 0..runs.len() {
            if self.files(index).ended()?.is_some_and(|ending| !ending.is_final()) {
                memory.to_retry.insert(index);
            }
        }
        let rungs = self.rungs();
        for done in 0..=rungs.len() {
            let dropped = results::dropped(self.sweep, &self.progressed(), &rungs[..done]);
            if done > 0 {
                let left = dropped.iter().filter(|dropped| dropped.is_none()).count();
                watcher.decided(rungs[done - 1], left, dropped.len());
            }
            let is_wanted = |&index: &usize| {
                dropped[index].is_none() && only.is_none_or(|number| number == runs[index].number)
            };
            // Processes that begin at different runs rarely want the same one.
            let order = (0..runs.len()).map(|place| (place + self.first) % runs.len());
            let waiting = order.filter(is_wanted).collect();
            let rung = rungs.get(done).copied();
            let stretch = Stretch { waiting, active: Vec::new(), rung, others: Vec::new() };
            if !self.stretch(stretch, &mut memory, watcher)? {
                return Ok(Came { to_the_end: false, rungs: rungs[..done].to_vec() });
            }
        }
        Ok(Came { to_the_end: true, rungs })
    }

    /// How many runs there are to train.
    ///
    /// # Errors
    /// Those of reading notes.
    pub fn left(&self, only: Option<usize>) -> Result<usize> {
        let (rungs, progressed) = (self.rungs(), self.progressed());
        let mut ended = Vec::new();
        for index in 0..self.sweep.runs.len() {
            let files = self.files(index);
            ended.push(files.ended()?.is_some_and(|ending| ending.is_final()) && files.folder.exists());
        }
        let mut dropped = vec![None; ended.len()];
        for done in 0..rungs.len() {
            let came = |i: usize| ended[i] || dropped[i].is_some() || progressed[i].steps() >= rungs[done];
            if !(0..ended.len()).all(came) {
                break;
            }
            dropped = results::dropped(self.sweep, &progressed, &rungs[..=done]);
        }
        let is_wanted = |i: usize| only.is_none_or(|number| number == self.sweep.runs[i].number);
        Ok((0..ended.len()).filter(|&i| is_wanted(i) && !ended[i] && dropped[i].is_none()).count())
    }

    /// Whether there is nothing to do for a run in this stretch.
    fn is_there(&self, index: usize, rung: Option<u64>, memory: &Memory) -> Result<bool> {
        let files = self.files(index);
        match files.ended()? {
            Some(Ending { outcome: Outcome::Done, .. }) => Ok(files.folder.exists()),
            Some(ending) => Ok(ending.is_final() || !memory.to_retry.contains(&index)),
            None => Ok(rung.is_some_and(|rung| Progressed::read(&files.folder).steps() >= rung)),
        }
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
    fn stretch(&self, mut left: Stretch, memory: &mut Memory, watcher: &mut dyn Watcher) -> Result<bool> {
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
                    Some(ended) => all &= self.note(active.index, ended, left.rung, watcher)?,
                }
            }
            left.active = still;
            self.start(&mut left, memory, watcher)?;
            if left.active.is_empty() && left.waiting.is_empty() && left.others.is_empty() {
                return Ok(all);
            }
            std::thread::sleep(LOOK);
        }
    }

    /// Notes how a run ended; whether it came as far as it was to.
    fn note(&self, index: usize, ended: Ended, rung: Option<u64>, watcher: &mut dyn Watcher) -> Result<bool> {
        let files = self.files(index);
        let ending = match ended {
            Ended::Stopped => {
                let steps = Progressed::read(&files.folder).steps();
                return Ok(rung.is_some_and(|rung| steps >= rung));
            }
            Ended::Ended(ending) => ending,
        };
        ending.write(&files.ending)?;
        watcher.ended(&self.sweep.runs[index], &ending);
        Ok(true)
    }

    /// Starts what there is room for.
    fn start(&self, left: &mut Stretch, memory: &mut Memory, watcher: &mut dyn Watcher) -> Result<()> {
        let due = |seen: &Instant| seen.elapsed() >= LOOK_AGAIN;
        if let Some(at) = left.others.iter().position(|(_, seen)| due(seen)) {
            left.waiting.push_back(left.others.remove(at).0);
        }
        let mut passed = VecDeque::new();
        while let Some(index) = left.waiting.pop_front() {
            let run = &self.sweep.runs[index];
            let files = self.files(index);
            let Some(place) = self.room(run, &left.active) else {
                passed.push_back(index);
                continue;
            };
            if self.is_there(index, left.rung, memory)? {
                continue;
            }
            let Some(claim) = Claim::take(&files)? else {
                if memory.told.insert(index) {
                    watcher.waits(run);
                }
                left.others.push((index, Instant::now()));
                continue;
            };
            if self.is_there(index, left.rung, memory)? {
                continue; // somebody else has trained it just now
            }
            memory.to_retry.remove(&index);
            files.forget_ending()?;
            let beside = left.active.len() + left.waiting.len() + passed.len();
            let start = Start {
                settings: &run.flags(),
                // A run that goes on forgets what its settings say of it.
                device: Some(self.crew.places[place].name.as_str())
                    .filter(|_| !self.crew.named || files.folder.exists()),
                pause_at: left.rung,
                threads: self.crew.threads(beside.min(self.crew.jobs - 1)),
            };
            let process = self.launcher.start(&start, &files, claim)?;
            left.active.push(Active { index, place, process });
        }
        left.waiting = passed;
        Ok(())
    }

    /// A place where the run may be trained now.
    fn room(&self, run: &Run, active: &[Active]) -> Option<usize> {
        // A device that is new is measured first, which others beside it would falsify.
        let is_preparing = |active: &Active| {
            let place = &self.crew.places[active.place];
            place.name != CPU && !self.files(active.index).folder.exists()
        };
        if active.len() >= self.crew.jobs || active.iter().any(is_preparing) {
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
