//! One training that the processes of mpirun or srun share. The first one is told what to train and says how
//! it goes; the others are called before anything is read, and do what that one says.

use crate::cli::terminal::messages::note;
use crate::engine::DeviceChoice;
use crate::engine::device::choice_of;
use crate::engine::ranks::Group;
use crate::engine::ranks::environment::Rank;
use crate::{Error, Result};
use std::process::ExitCode;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// The command that processes share.
const SHARED: &str = "train";

/// The one that they must not run side by side.
const ALONE: &str = "compare";

/// What the first process answers alone.
const QUESTIONS: [&str; 4] = ["-h", "--help", "-V", "--version"];

/// Works for the first process, if this is another one; none: it is the first, or alone.
pub(super) fn work() -> Option<ExitCode> {
    let rank = Rank::of_environment().filter(|rank| rank.number > 0)?;
    let words: Vec<_> = std::env::args_os().skip(1).collect();
    let is_question = words.iter().any(|word| QUESTIONS.iter().any(|question| word == question));
    match words.first()? {
        command if command == ALONE || command == SHARED && is_question => Some(ExitCode::SUCCESS),
        command => (command == SHARED).then(|| serve(rank)),
    }
}

/// Refuses to do the same in several processes.
///
/// # Errors
/// [`Error::Usage`].
pub(super) fn check_alone() -> Result<()> {
    match Rank::of_environment() {
        None => Ok(()),
        Some(rank) => Err(Error::usage(format!(
            "compare: trains in one process, and {} were started; start one, or share its trainings with \
             unheat sweep --method sip,gd,supervised",
            rank.count
        ))),
    }
}

#[cfg(feature = "mpi")]
fn serve(rank: Rank) -> ExitCode {
    use crate::cli::errors::{advice, outcome};
    use crate::cli::terminal::interrupt;
    use crate::engine::ranks::mpi::World;
    use crate::train::plan::parts_of;

    let complain = |error: &Error| {
        note!("unheat: process {}: {error}{}", rank.number, advice::advice(error));
    };
    let joined = || {
        use_own_cores(rank);
        let _ignored = interrupt::catch()?; // the first process stops, and says so
        World::join(rank)
    };
    let world = match joined() {
        Ok(world) => world,
        Err(error) => return outcome::exit_code(&error), // which the first process says
    };
    let prepare = |settings: &str, noise: f64, on_gpu: bool| {
        let (asked, spec) = parts_of(settings, noise)?;
        Ok((open(asked, &spec.shared_by(rank.count), on_gpu)?, spec))
    };
    crate::engine::ranks::serve(&world, prepare, complain);
    ExitCode::SUCCESS // the first process fails for all
}

/// A device of the kind that the first process has, ready for its steps.
#[cfg(feature = "mpi")]
fn open(asked: DeviceChoice, spec: &crate::model::StepSpec, on_gpu: bool) -> Result<crate::engine::Device> {
    use crate::cli::flags::device;
    use crate::cli::flags::tuning::{Preparation, Tuning};
    use crate::engine::{Device, Trainer};
    if !on_gpu {
        return Ok(Device::Cpu);
    }
    let device = device::open(&choice(asked))?;
    if let Device::Cpu = device {
        return Err(Error::Device(
            "no GPU was found on this machine, and the first process trains on one; add --device cpu to \
             train on cores everywhere"
                .to_owned(),
        ));
    }
    Trainer::check(&device, spec)?;
    let said = |flag: &str| std::env::args_os().any(|word| word == flag);
    let tuning = Tuning { no_tune: said("--no-tune") };
    Preparation { tuning, no_self_test: said("--no-self-test") }.prepare(&device, spec)?;
    Ok(device)
}

/// What this process opens where this is asked for.
pub(super) fn choice(asked: DeviceChoice) -> DeviceChoice {
    match Rank::of_environment() {
        Some(rank) => choice_of(rank, asked),
        None => asked,
    }
}

/// The first process says why nothing comes of it, and fails for all.
#[cfg(not(feature = "mpi"))]
fn serve(_: Rank) -> ExitCode {
    ExitCode::SUCCESS
}

/// The processes that share the training of this one; none: it was started alone.
///
/// # Errors
/// [`Error::Usage`] where this program was built without the feature `mpi`; those of MPI.
pub(super) fn join() -> Result<Option<Rc<dyn Group>>> {
    Rank::of_environment().map(joined).transpose()
}

#[cfg(feature = "mpi")]
fn joined(rank: Rank) -> Result<Rc<dyn Group>> {
    use_own_cores(rank);
    Ok(Rc::new(crate::engine::ranks::mpi::World::join(rank)?))
}

#[cfg(not(feature = "mpi"))]
fn joined(rank: Rank) -> Result<Rc<dyn Group>> {
    Err(Error::usage(format!(
        "{} processes were started to share a training, which this unheat was built without; build it with \
         --features mpi, or start one",
        rank.count
    )))
}

/// Processes on one machine share its cores, unless their launcher has dealt them out.
#[cfg(feature = "mpi")]
fn use_own_cores(rank: Rank) {
    if let (Some(threads), None) = (rank.threads(), std::env::var_os("RAYON_NUM_THREADS")) {
        // It fails where threads have been started already, which then are as many as they are.
        let _ = rayon::ThreadPoolBuilder::new().num_threads(threads).build_global();
    }
}

/// Says how to go on where this process is asked to stop among several, and cannot: mpirun does so when
/// another one has died, and this one waits for it. Soon after, mpirun ends it.
pub(super) fn explain(asked: &Arc<AtomicBool>) {
    /// A step at hand may end meanwhile. Open MPI kills after a second.
    const PATIENCE: Duration = Duration::from_millis(300);
    if Rank::of_environment().is_none() {
        return;
    }
    let asked = asked.clone();
    std::thread::spawn(move || {
        while !asked.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(20));
        }
        std::thread::sleep(PATIENCE);
        note!(
            "unheat: asked to stop, which waits for the step at hand; if another process has died, it does \
             not end, and unheat train --resume with the run's folder goes on from the last checkpoint"
        );
    });
}

/// The share of a batch that one of the processes takes at a time, where nothing is said.
///
/// # Errors
/// [`Error::Usage`] where the batch has no such shares.
pub(super) fn micro_batch(batch: usize) -> Result<Option<usize>> {
    let Some(rank) = Rank::of_environment() else { return Ok(None) };
    if batch.is_multiple_of(rank.count) {
        return Ok(Some(batch / rank.count));
    }
    let below = (1..=batch / rank.count).rev().find(|parts| batch.is_multiple_of(*parts)).unwrap_or(1);
    let count = rank.count;
    Err(Error::usage(format!(
        "batch {batch}: has no {count} equal shares for {count} processes; say how it is shared with \
         --micro-batch, such as {below} (with --sync-batch-norm the network stays that of the whole batch)"
    )))
}
