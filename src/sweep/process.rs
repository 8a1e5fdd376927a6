//! A run in a process of its own: it cannot take the others with it.

use crate::engine::ranks::environment;
use crate::io::run_folder::{self, Lock};
use crate::sweep::devices::DEVICE;
use crate::sweep::ending::{Ending, Outcome};
use crate::sweep::folder::RunFiles;
use crate::{Error, Result};
use std::ffi::OsString;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

/// The exit codes of `unheat` that say more than that it failed.
pub mod code {
    /// All is done, but some members of a folder were left out.
    pub const LEFT_OUT: i32 = 4;
    /// A loss was not finite.
    pub const DIVERGED: i32 = 5;
    /// Stopped before the end, with a checkpoint.
    pub const STOPPED: i32 = 130;
}

/// What starts runs: the program, and what it is told besides the settings.
pub struct Launcher {
    /// `unheat`.
    pub program: PathBuf,
    /// Flags for every run, such as `--no-tune`.
    pub flags: Vec<String>,
}

/// What a run is started with.
pub struct Start<'a> {
    /// Its settings as flags.
    pub settings: &'a [String],
    /// The device, if another one than the settings say.
    pub device: Option<&'a str>,
    /// The step after which it stops.
    pub pause_at: Option<u64>,
    /// How many cores the engines of the processor may use; none: what the environment says, or all.
    pub threads: Option<usize>,
}

/// How a process ended.
pub enum Ended {
    /// Before the last step, with a checkpoint.
    Stopped,
    /// For good.
    Ended(Ending),
}

/// The right to train a run, which one process has at a time. The run itself keeps it as long as it lives,
/// even if what had started it is gone: it writes into the file that is locked.
pub struct Claim {
    log: File,
    /// Where a locked file can be written by its owner alone, another one is locked.
    _lock: Option<Lock>,
}

impl Claim {
    /// Claims a run; none while another process trains it.
    ///
    /// # Errors
    /// [`Error::Io`] and [`Error::File`].
    pub fn take(files: &RunFiles) -> Result<Option<Self>> {
        let folder = files.log.parent().unwrap_or(Path::new(""));
        std::fs::create_dir_all(folder).map_err(Error::io(folder, "cannot create the folder"))?;
        let log = File::options().create(true).append(true).open(&files.log);
        let log = log.map_err(Error::io(&files.log, "cannot write"))?;
        let lock = match cfg!(unix) {
            true => run_folder::take(&log, &files.log)?.then_some(None),
            false => run_folder::try_lock(&files.log.with_extension("lock"))?.map(Some),
        };
        // One that was started alone has the lock of its folder.
        let is_free = lock.is_some() && !(files.folder.exists() && run_folder::is_locked(&files.folder)?);
        Ok(lock.filter(|_| is_free).map(|lock| Self { log, _lock: lock }))
    }
}

/// A run while it goes on. It is stopped, with a checkpoint, when this is dropped or when the process that
/// holds it is gone: its standard input ends then.
pub struct Process {
    child: Child,
    log: PathBuf,
    /// The bytes of the log that others have written before.
    before: u64,
    /// Held until the run's end is noted.
    _claim: Claim,
}

impl Launcher {
    /// Starts a run, or goes on with it.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn start(&self, start: &Start, files: &RunFiles, claim: Claim) -> Result<Process> {
        let mut command = Command::new(&self.program);
        command.arg("train").args(beginning(start.settings, files)).args(&self.flags).arg("--stop-at-eof");
        if let Some(device) = start.device {
            command.arg(format!("--{DEVICE}={device}"));
        }
        if let Some(step) = start.pause_at {
            command.arg(format!("--pause-at={step}"));
        }
        // What mpirun tells its processes is not meant for theirs.
        for (name, _) in std::env::vars_os().filter(|(name, _)| environment::is_told_by_launcher(name)) {
            command.env_remove(name);
        }
        if let Some(threads) = start.threads {
            // The CPU engine's threads, and those of Mesa's software device.
            for variable in ["RAYON_NUM_THREADS", "LP_NUM_THREADS"] {
                if std::env::var_os(variable).is_none() {
                    command.env(variable, threads.to_string());
                }
            }
        }
        let refused = || Error::io(&files.log, "cannot write");
        let before = claim.log.metadata().map_err(refused())?.len();
        let [out, errors] = [claim.log.try_clone(), claim.log.try_clone()];
        let (out, errors) = (out.map_err(refused())?, errors.map_err(refused())?);
        let child = command.stdin(Stdio::piped()).stdout(out).stderr(errors).spawn();
        let child = child.map_err(Error::io(&self.program, "cannot start"))?;
        Ok(Process { child, log: files.log.clone(), before, _claim: claim })
    }
}

/// The flags that begin a run or go on with it.
pub fn beginning(settings: &[String], files: &RunFiles) -> Vec<OsString> {
    if files.folder.exists() {
        return vec!["--resume".into(), files.folder.clone().into()];
    }
    let settings = settings.iter().map(OsString::from);
    settings.chain(["--output".into(), files.folder.clone().into()]).collect()
}

impl Process {
    /// Asks the run to stop with a checkpoint.
    pub fn stop(&mut self) {
        drop(self.child.stdin.take());
    }

    /// How the run ended; none while it goes on.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn ended(&mut self) -> Result<Option<Ended>> {
        let status = self.child.try_wait().map_err(Error::io(&self.log, "cannot wait for the run"))?;
        let note = |outcome, message| Ended::Ended(Ending { outcome, message });
        Ok(status.map(|status| match status.code() {
            Some(0 | code::LEFT_OUT) => note(Outcome::Done, String::new()),
            Some(code::STOPPED) => Ended::Stopped,
            Some(code::DIVERGED) => note(Outcome::Diverged, self.last_words(status)),
            _ => note(Outcome::Failed, self.last_words(status)),
        }))
    }

    /// The line with which the run gave up, or how the system says that it ended.
    fn last_words(&self, status: ExitStatus) -> String {
        let log = std::fs::read(&self.log).unwrap_or_default();
        let own = log.get(self.before as usize..).unwrap_or_default();
        let text = String::from_utf8_lossy(own);
        let complaint = |line: &str| -> Option<String> {
            let words = line.strip_prefix("unheat: ").or(line.strip_prefix("error: "))?;
            (!words.starts_with("warning: ")).then(|| words.to_owned())
        };
        let given_up = text.lines().rev().find_map(complaint);
        given_up.unwrap_or_else(|| {
            format!("ended without a word ({status}); what it said before is in {}", self.log.display())
        })
    }
}
