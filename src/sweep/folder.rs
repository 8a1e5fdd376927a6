//! A sweep's folder: `sweep.toml` with the runs, `runs/` with what they leave, and the tables and pictures.

use crate::io::{atomic, run_folder};
use crate::sweep::combine::SEED;
use crate::sweep::ending::Ending;
use crate::sweep::halving::Halving;
use crate::sweep::run::Run;
use crate::train::TrainConfig;
use crate::train::config::file;
use crate::train::resume::lasting;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use toml::Table;

/// The file with the runs.
pub const FILE: &str = "sweep.toml";

/// What a sweep writes beside it.
pub const OWN: [&str; 5] = [FILE, "sweep.csv", "report.html", "settings.png", "curves.png"];

/// The runs of a sweep.
#[derive(Clone, Debug, PartialEq)]
pub struct Sweep {
    /// The settings whose values differ between runs, seeds last.
    pub varied: Vec<String>,
    /// Whether the best alone go on.
    pub halving: Option<Halving>,
    /// In the order of their numbers.
    pub runs: Vec<Run>,
    /// Flags for all of them that are no settings, such as `--no-self-test`.
    pub flags: Vec<String>,
}

/// The file's content.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Content {
    varied: Vec<String>,
    #[serde(default)]
    flags: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    halving: Option<Halving>,
    /// Settings that all runs share.
    common: Table,
    /// What every run has besides.
    runs: Vec<Table>,
}

impl Sweep {
    /// From the settings of every run, which are all different.
    pub fn new(settings: Vec<Table>, halving: Option<Halving>, flags: Vec<String>) -> Self {
        let differs = |name: &&str| settings.iter().any(|table| table.get(*name) != settings[0].get(*name));
        let (seeds, mut varied): (Vec<&str>, Vec<&str>) =
            file::keys().filter(differs).partition(|name| *name == SEED);
        varied.extend(seeds);
        let varied = varied.into_iter().map(str::to_owned).collect();
        let run = |(i, settings)| Run { number: i + 1, settings };
        Self { varied, halving, runs: settings.into_iter().enumerate().map(run).collect(), flags }
    }

    /// The settings that all runs share.
    pub fn common(&self) -> Table {
        let mut common = self.runs[0].settings.clone();
        common.retain(|name, _| !self.varies(name));
        common
    }

    fn varies(&self, name: &str) -> bool {
        self.varied.iter().any(|varied| varied == name)
    }

    /// The text of `sweep.toml`. The same sweep has the same text.
    fn text(&self) -> Result<String> {
        let own = |run: &Run| {
            let mut table = run.settings.clone();
            table.retain(|name, _| self.varies(name));
            table
        };
        let content = Content {
            varied: self.varied.clone(),
            flags: self.flags.clone(),
            halving: self.halving,
            common: self.common(),
            runs: self.runs.iter().map(own).collect(),
        };
        let text =
            toml::to_string(&content).map_err(|e| Error::usage(format!("{FILE} cannot be written: {e}")))?;
        Ok(format!(
            "# The runs of `unheat sweep`, in the order of their numbers; settings are named like flags.\n\
             {text}"
        ))
    }

    /// Makes the folder `path`, or the next `runs/sweep-001` where none is named.
    ///
    /// # Errors
    /// Those of [`run_folder::create`].
    pub fn create(&self, path: Option<&Path>) -> Result<PathBuf> {
        run_folder::create(path, "sweep", |folder| self.fill(folder))
    }

    fn fill(&self, folder: &Path) -> Result<()> {
        let runs = folder.join("runs");
        std::fs::create_dir_all(&runs).map_err(Error::io(&runs, "cannot create the folder"))?;
        let text = self.text()?;
        atomic::write(&folder.join(FILE), |file| file.write_all(text.as_bytes()))
    }

    /// Makes the folder, or takes the one that another task of the same sweep has made.
    ///
    /// # Errors
    /// [`Error::Usage`] where the folder holds something else; [`Error::Io`] and [`Error::File`].
    pub fn create_or_join(&self, path: &Path) -> Result<()> {
        let _lock = run_folder::wait_for_lock(path)?; // many tasks may come at once
        if run_folder::is_new(path) {
            return self.fill(path);
        }
        if !path.join(FILE).exists() {
            return run_folder::check_new(path);
        }
        let other = Self::read(path)?;
        if (&other.runs, other.halving) == (&self.runs, self.halving) {
            return Ok(());
        }
        let path = path.display();
        Err(Error::usage(format!(
            "{path}: holds a sweep with other runs; name another folder, or give the flags that it was begun \
             with"
        )))
    }

    /// Refuses runs that are not those of the sweep, whose settings lead to `configs`.
    ///
    /// # Errors
    /// [`Error::File`] which names the first difference.
    pub fn check_runs(&self, folder: &Path, configs: &[TrainConfig]) -> Result<()> {
        for (run, wanted) in self.runs.iter().zip(configs) {
            let path = RunFiles::of(folder, run.number).folder.join("config.toml");
            if !path.is_file() {
                continue;
            }
            let found = file::config(&file::read(&path, &[])?, &path)?;
            let steps = |config: &TrainConfig| ("steps".to_owned(), (config.steps as i64).into());
            let [own, wanted] = [&found, wanted].map(|config| -> Result<Table> {
                Ok(lasting(config)?.into_iter().chain([steps(config)]).collect())
            });
            let (own, wanted) = (own?, wanted?);
            let mut keys = own.keys().chain(wanted.keys());
            if let Some(key) = keys.find(|&key| own.get(key) != wanted.get(key)) {
                let [own, wanted] = [own.get(key), wanted.get(key)].map(file::words);
                let what = format!(
                    "has {key} {own}, but the sweep's run has {wanted}; put it back, or move it away"
                );
                return Err(Error::file(&path, what));
            }
        }
        Ok(())
    }

    /// Reads the folder of a sweep.
    ///
    /// # Errors
    /// [`Error::Usage`] where it is none, [`Error::Io`] and [`Error::File`].
    pub fn read(folder: &Path) -> Result<Self> {
        let path = folder.join(FILE);
        if !path.is_file() {
            return Err(Error::usage(format!("{}: {}", folder.display(), no_sweep(folder))));
        }
        run_folder::check_own(folder, &OWN)?;
        let text = std::fs::read_to_string(&path).map_err(Error::io(&path, "cannot read"))?;
        let damaged =
            |what: &str| Error::file(&path, format!("{what}; put it back as it was, or start a new sweep"));
        let content: Content = toml::from_str(&text).map_err(|e| damaged(e.message()))?;
        let known: Vec<&str> = file::keys().collect();
        let settings =
            content.runs.into_iter().map(|own| content.common.clone().into_iter().chain(own).collect());
        let runs: Vec<Run> =
            settings.enumerate().map(|(i, settings)| Run { number: i + 1, settings }).collect();
        let mut names = content.varied.iter().chain(runs.iter().flat_map(|run| run.settings.keys()));
        if let Some(name) = names.find(|name| !known.contains(&name.as_str())) {
            return Err(damaged(&format!("{name} is no setting")));
        }
        if runs.is_empty() {
            return Err(damaged("there is no run in it"));
        }
        let Content { varied, halving, flags, .. } = content;
        Ok(Self { varied, halving, runs, flags })
    }

    /// The settings that differ, without the seed.
    pub fn varied_but_seed(&self) -> impl Iterator<Item = &String> {
        self.varied.iter().filter(|name| *name != SEED)
    }

    /// The runs in groups that differ by their seeds alone, in the order of their first runs.
    pub fn groups(&self) -> Vec<Vec<usize>> {
        let mut places: HashMap<String, usize> = HashMap::new();
        let mut groups: Vec<Vec<usize>> = Vec::new();
        for (i, run) in self.runs.iter().enumerate() {
            let mut settings = run.settings.clone();
            settings.remove(SEED);
            let place = *places.entry(settings.to_string()).or_insert(groups.len());
            match groups.get_mut(place) {
                Some(group) => group.push(i),
                None => groups.push(vec![i]),
            }
        }
        groups
    }
}

/// Why a path names no sweep, and what to name instead.
fn no_sweep(path: &Path) -> String {
    if !path.exists() {
        return "there is no such folder; name a sweep's folder".to_owned();
    }
    if path.join("config.toml").is_file() {
        return format!("a single run; to go on: unheat train --resume {}", path.display());
    }
    format!("has no {FILE}, so there is no sweep to go on with; name a sweep's folder")
}

/// Where a run's things are in the folder of its sweep.
pub struct RunFiles {
    /// What `unheat train` leaves.
    pub folder: PathBuf,
    /// What it has said.
    pub log: PathBuf,
    /// How it ended.
    pub ending: PathBuf,
}

impl RunFiles {
    /// Those of the run with this number.
    pub fn of(sweep: &Path, number: usize) -> Self {
        let file = |ending: &str| sweep.join("runs").join(format!("{number:03}{ending}"));
        Self { folder: file(""), log: file(".log"), ending: file(".toml") }
    }

    /// Forgets how it ended, for it is tried again.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn forget_ending(&self) -> Result<()> {
        match std::fs::remove_file(&self.ending) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(Error::io(&self.ending, "cannot remove")(error))
            }
            _ => Ok(()),
        }
    }

    /// How it ended, if it has.
    ///
    /// # Errors
    /// Those of [`Ending::read`].
    pub fn ended(&self) -> Result<Option<Ending>> {
        Ending::read(&self.ending)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sweep() -> Sweep {
        let table = |text: &str| text.parse::<Table>().unwrap();
        let runs = [
            "lr = 0.1\nseed = 0\nbatch = 4",
            "lr = 0.1\nseed = 1\nbatch = 4",
            "lr = 0.2\nseed = 0\nbatch = 4",
        ];
        Sweep::new(
            runs.map(table).to_vec(),
            Some(Halving { keep_best: 0.5, after: 10 }),
            vec!["--no-tune".to_owned()],
        )
    }

    #[test]
    fn a_sweep_survives_its_file() {
        let root = tempfile::tempdir().unwrap();
        let sweep = sweep();
        assert_eq!(sweep.varied, ["lr", "seed"]);
        assert_eq!(sweep.groups(), [vec![0, 1], vec![2]]);
        let folder = sweep.create(Some(&root.path().join("s"))).unwrap();
        assert_eq!(Sweep::read(&folder).unwrap(), sweep);
        assert!(std::fs::read_to_string(folder.join(FILE)).unwrap().contains("[common]\nbatch = 4"));
        sweep.create_or_join(&folder).unwrap();
        sweep.create_or_join(&root.path().join("t")).unwrap();
        std::fs::create_dir(root.path().join("empty")).unwrap();
        std::thread::scope(|scope| {
            let joined: Vec<_> =
                (0..8).map(|_| scope.spawn(|| sweep.create_or_join(&root.path().join("empty")))).collect();
            joined.into_iter().for_each(|task| task.join().unwrap().unwrap());
        });
        assert_eq!(Sweep::read(&root.path().join("empty")).unwrap(), sweep);
        let other = Sweep { halving: None, ..sweep };
        assert!(other.create_or_join(&folder).unwrap_err().to_string().contains("other runs"));
        assert!(other.create_or_join(root.path()).is_err());
    }

    #[test]
    fn a_damaged_sweep_is_named() {
        let root = tempfile::tempdir().unwrap();
        let refused = |text: &str| {
            std::fs::write(root.path().join(FILE), text).unwrap();
            Sweep::read(root.path()).unwrap_err().to_string()
        };
        assert!(refused("varied = [").contains("sweep.toml"));
        assert!(refused("varied = []\nruns = []\n[common]").contains("there is no run in it"));
        let said = refused("varied = [\"lr\"]\nruns = [{ lrr = 1.0 }]\n[common]");
        assert!(said.contains("lrr is no setting"), "{said}");
        std::fs::remove_file(root.path().join(FILE)).unwrap();
        assert!(Sweep::read(root.path()).unwrap_err().to_string().contains("no sweep to go on with"));
    }

    #[test]
    fn endings_survive_their_files() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("001.toml");
        assert_eq!(Ending::read(&path).unwrap(), None);
        let ending = Ending {
            outcome: crate::sweep::ending::Outcome::Failed,
            message: "out of \"memory\"".to_owned(),
        };
        ending.write(&path).unwrap();
        assert_eq!(Ending::read(&path).unwrap(), Some(ending));
        std::fs::write(&path, "outcome = \"gone\"").unwrap();
        assert!(Ending::read(&path).is_err());
    }
}
