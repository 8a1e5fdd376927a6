//! Where the runs of a sweep are trained: on which devices, and how many at once.

use crate::engine::DeviceChoice;
use crate::engine::device;
use crate::engine::ranks::environment::Rank;
use crate::io::memory;
use crate::io::memory::batch::{self, Purpose};
use crate::sweep::folder::Sweep;
use crate::train::TrainConfig;
use crate::{Error, Result};
use std::thread::available_parallelism;

/// The setting that names one.
pub const DEVICE: &str = "device";

/// The name of the CPU engine there.
pub const CPU: &str = "cpu";

/// A device and how many runs may share it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// As `--device` has it.
    pub name: String,
    /// Runs at once.
    pub at_once: usize,
    /// Whether it computes on the processor's cores, in the system's memory.
    pub on_cores: bool,
}

/// All places.
#[derive(Clone, Debug)]
pub struct Crew {
    /// One per device.
    pub places: Vec<Place>,
    /// Runs at once on all of them.
    pub jobs: usize,
    /// Whether runs name their devices, so that each has one place.
    pub named: bool,
    /// Why there are fewer runs at once than were asked for, if so.
    pub note: Option<String>,
    /// This process among several.
    pub rank: Option<Rank>,
}

impl Crew {
    /// Every real GPU, or else the cores; or what the runs name. `jobs` runs at once; none: one per device.
    /// One of several processes takes one GPU of its machine, and one run at a time.
    ///
    /// # Errors
    /// [`Error::Usage`] for a device that is not there.
    pub fn of(
        sweep: &Sweep,
        configs: &[TrainConfig],
        jobs: Option<usize>,
        rank: Option<Rank>,
    ) -> Result<Self> {
        let mut names: Vec<String> = Vec::new();
        for run in &sweep.runs {
            let name = run.settings.get(DEVICE).and_then(|name| name.as_str()).unwrap_or("auto");
            if !names.iter().any(|other| other == name) {
                names.push(name.to_owned());
            }
        }
        let named = names != ["auto"];
        if !named {
            let mut gpus = device::real_gpus();
            if let (Some(rank), false) = (rank, gpus.is_empty()) {
                gpus = vec![gpus[rank.local % gpus.len()]];
            }
            names = if gpus.is_empty() {
                vec![CPU.to_owned()]
            } else {
                gpus.iter().map(usize::to_string).collect()
            };
        }
        if jobs == Some(0) {
            return Err(Error::usage("jobs 0: must be at least 1"));
        }
        let mut jobs = jobs.unwrap_or(if rank.is_some() { 1 } else { names.len() });
        let mut places = Vec::new();
        for name in names {
            let Ok(choice) = name.parse::<DeviceChoice>();
            let on_cores = device::computes_on_cores(&choice)?;
            places.push(Place { name, at_once: 1, on_cores });
        }
        let mut note = None;
        if places.iter().any(|place| place.on_cores) && jobs > 1 {
            let largest =
                configs.iter().map(bytes).collect::<Result<Vec<_>>>()?.into_iter().max().unwrap_or(1);
            let fit = memory::available().map_or(jobs, |free| (free / largest.max(1)).max(1) as usize);
            if fit < jobs {
                let needed = memory::words(largest);
                note = Some(format!(
                    "jobs {jobs}: a run needs {needed} of memory, so that {fit} go side by side"
                ));
                jobs = fit;
            }
        }
        let count = places.len();
        places.iter_mut().for_each(|place| place.at_once = jobs.div_ceil(count));
        Ok(Self { places, jobs, named, note, rank })
    }

    /// The cores of a run beside which so many others go on; none: all.
    pub fn threads(&self, others: usize) -> Option<usize> {
        let sharing = if self.places.iter().any(|place| place.on_cores) { others + 1 } else { 1 };
        let own = self.rank.and_then(|rank| rank.threads());
        let cores = own.unwrap_or_else(|| available_parallelism().map_or(1, usize::from));
        (sharing > 1 || own.is_some()).then_some((cores / sharing).max(1))
    }
}

/// What a training takes of the system's memory, where it is computed there.
fn bytes(config: &TrainConfig) -> Result<u64> {
    let spec = config.spec()?;
    let purpose = Purpose::Training(spec.activations);
    Ok(batch::system_bytes(&spec.net, spec.operator.cells(), spec.held(), purpose))
}
