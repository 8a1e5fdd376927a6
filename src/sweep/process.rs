//! A run in a process of its own: it cannot take the others with it.

use crate::sweep::ending::{Ending, Outcome};
use crate::sweep::folder::RunFiles;
use crate::sweep::ranks;
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

/// A run while it goes on. It is stopped, with a checkpoint, when this is dropped or when the process that
/// holds it is gone: its standard input ends then.
pub struct Process {
    child: Child,
    log: PathBuf,
}

impl Launcher {
    /// Starts a run, or goes on with it. With `pause_at` it stops after that step.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn start(&self, settings: &[String], files: &RunFiles, pause_at: Option<u64>) -> Result<Process> {
        let log = |log: &Path| File::options().create(true).append(true).open(log);
        let out = log(&files.log).map_err(Error::io(&files.log, "cannot write"))?;
        let also = out.try_clone().map_err(Error::io(&files.log, "cannot write"))?;
        let mut command = Command::new(&self.program);
        command.arg("train").args(beginning(settings, files)).args(&self.flags).arg("--stop-at-eof");
        if let Some(step) = pause_at {
            command.arg(format!("--pause-at={step}"));
        }
        // What mpirun tells its processes is not meant for theirs.
        for (name, _) in std::env::vars_os().filter(|(name, _)| ranks::is_told_by_launcher(name)) {
            command.env_remove(name);
        }
        if let Some(threads) = self.threads {
            // The CPU engine's threads, and those of Mesa's software device.
            for variable in ["RAYON_NUM_THREADS", "LP_NUM_THREADS"] {
                if std::env::var_os(variable).is_none() {
                    command.env(variable, threads.to_string());
                }
            }
        }
        let child = command.stdin(Stdio::piped()).stdout(out).stderr(also).spawn();
        let child = child.map_err(Error::io(&self.program, "cannot start"))?;
        Ok(Process { child, log: files.log.clone() })
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
        Ok(status.map(|status| match status.code() {
            Some(0 | code::LEFT_OUT) => {
                Ended::Ended(Ending { outcome: Outcome::Done, message: String::new() })
            }
            Some(code::STOPPED) => Ended::Stopped,
            Some(code::DIVERGED) => {
                Ended::Ended(Ending { outcome: Outcome::Diverged, message: self.last_words(status) })
            }
            _ => Ended::Ended(Ending { outcome: Outcome::Failed, message: self.last_words(status) }),
        }))
    }

    /// The line with which the run gave up, or how the system says that it ended.
    fn last_words(&self, status: ExitStatus) -> String {
        let log = std::fs::read(&self.log).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let last = log.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
        match last.strip_prefix("unheat: ").or(last.strip_prefix("error: ")) {
            Some(words) => words.to_owned(),
            None => format!("ended without a word ({status}); its last line is in {}", self.log.display()),
        }
    }
}
