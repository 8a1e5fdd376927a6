//! What a benchmark found, as it is written to and read from JSON.

use crate::bench::ceilings::Ceilings;
use crate::gpu::Timing;
use crate::model::settings::choice::choice;
use crate::train::TrainConfig;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// Everything that was measured on one device for one setting.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measurement {
    /// The version that measured.
    pub unheat: String,
    /// Name and driver.
    pub device: String,
    /// What kind of device it is.
    pub kind: Kind,
    /// The settings of the training, with the filters of every level.
    pub settings: TrainConfig,
    /// How the stages were timed; none on the CPU engine, whose parts are timed by the host's clock.
    pub timing: Option<Timing>,
    /// The device's limits; none in what an earlier version measured on the CPU engine.
    pub ceilings: Option<Ceilings>,
    /// Whole steps.
    pub step: StepTime,
    /// Memory in use.
    pub memory: Vec<Memory>,
    /// Every dispatch of a step in order; on the CPU engine the step's parts.
    pub stages: Vec<Stage>,
}

/// What computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A GPU.
    Gpu,
    /// A CPU that runs the shaders: llvmpipe, WARP.
    Software,
    /// The CPU engine.
    Cpu,
}

/// Whole training steps, several in flight. Times are wall-clock milliseconds per step.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StepTime {
    /// The median over rounds of equally many steps.
    pub ms: f64,
    /// The fastest round.
    pub fastest_ms: f64,
    /// The slowest.
    pub slowest_ms: f64,
    /// Steps timed.
    pub timed: usize,
    /// The host's time to upload, encode and submit a step; none on the CPU engine. A software adapter may
    /// compute in the meantime.
    pub submit_ms: Option<f64>,
    /// The host's share of that which is the same on every device, wgpu's and the driver's: to encode the
    /// dispatches.
    #[serde(default)]
    pub encode_ms: Option<f64>,
    /// Dispatches per step; none are needed on the CPU engine.
    pub dispatches: usize,
    /// Floating-point operations that the stages declare.
    pub flops: u64,
    /// Bytes that they declare to read and write.
    pub bytes: u64,
}

/// The tensors of one kind.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Memory {
    /// What they are for.
    pub used_for: String,
    /// Their size.
    pub bytes: u64,
}

/// One dispatch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stage {
    /// data, forward, backward or update.
    pub part: String,
    /// The layer, or the stage outside the network; may be empty.
    pub layer: String,
    /// The kernel.
    pub kernel: String,
    /// Median milliseconds.
    pub ms: f64,
    /// Floating-point operations that it declares; 0 where it declares none.
    pub flops: u64,
    /// Bytes that it reads and writes at least; 0 on the CPU engine.
    pub bytes: u64,
}

choice! {
    /// What the rows of a table are.
    #[derive(Default)]
    pub enum By {
        /// All dispatches of a kernel together, the slowest first.
        #[default]
        Kernel = "kernel",
        /// All dispatches of a layer in one part of the step together, in the step's order.
        Layer = "layer",
        /// Each dispatch by itself, in the step's order.
        Dispatch = "dispatch",
    }
}

/// Some dispatches together: a row of the table.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DispatchGroup {
    /// What they have in common.
    pub name: String,
    /// How many.
    pub count: usize,
    /// Milliseconds of all of them.
    pub ms: f64,
    /// Operations of all of them.
    pub flops: u64,
    /// Bytes of all of them.
    pub bytes: u64,
    /// Milliseconds that they would take at the device's ceilings.
    pub least_ms: Option<f64>,
}

impl Stage {
    fn name(&self, by: By) -> String {
        let words: [&str; 3] = match by {
            By::Kernel => ["", "", &self.kernel],
            By::Layer => [&self.part, &self.layer, ""],
            By::Dispatch if self.kernel == self.part => [&self.part, "", ""],
            By::Dispatch => [&self.part, &self.layer, &self.kernel],
        };
        words.into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
    }
}

impl DispatchGroup {
    fn add(&mut self, stage: &Stage, ceilings: Option<&Ceilings>) {
        self.count += 1;
        self.ms += stage.ms;
        self.flops += stage.flops;
        self.bytes += stage.bytes;
        self.least_ms =
            ceilings.map(|c| self.least_ms.unwrap_or(0.0) + 1e3 * c.seconds(stage.flops, stage.bytes));
    }

    /// 10⁹ declared operations per second.
    pub fn gflops(&self) -> f64 {
        1e-6 * self.flops as f64 / self.ms
    }

    /// 10⁹ declared bytes per second.
    pub fn gbytes_per_second(&self) -> f64 {
        1e-6 * self.bytes as f64 / self.ms
    }

    /// How much of the roofline is reached: each dispatch's larger fraction of the two ceilings, weighted by
    /// its time. Above 1 where data come from a cache. None where nothing is declared.
    pub fn roofline(&self) -> Option<f64> {
        self.least_ms.filter(|_| self.flops > 0 || self.bytes > 0).map(|least| least / self.ms)
    }
}

/// Dispatches, grouped as the rows of a table.
pub fn groups(stages: &[Stage], by: By, ceilings: Option<&Ceilings>) -> Vec<DispatchGroup> {
    let mut groups: Vec<DispatchGroup> = Vec::new();
    for stage in stages {
        let name = stage.name(by);
        let known = match by {
            By::Dispatch => None,
            _ => groups.iter().position(|group| group.name == name),
        };
        let place = known.unwrap_or_else(|| {
            groups.push(DispatchGroup { name, ..DispatchGroup::default() });
            groups.len() - 1
        });
        groups[place].add(stage, ceilings);
    }
    if by == By::Kernel {
        groups.sort_by(|a, b| b.ms.total_cmp(&a.ms));
    }
    groups
}

impl Measurement {
    /// The dispatches, grouped as the rows of the table.
    pub fn groups(&self, by: By) -> Vec<DispatchGroup> {
        groups(&self.stages, by, self.ceilings.as_ref())
    }

    /// All dispatches in one group.
    pub fn total(&self) -> DispatchGroup {
        let mut total = DispatchGroup { name: "together".to_owned(), ..DispatchGroup::default() };
        self.stages.iter().for_each(|stage| total.add(stage, self.ceilings.as_ref()));
        total
    }

    /// Reads what `unheat bench --json` printed.
    ///
    /// # Errors
    /// [`Error::Io`] where the file cannot be read, [`Error::File`] where it holds something else.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read(path).map_err(Error::io(path, "cannot read"))?;
        serde_json::from_slice(&text)
            .map_err(|e| Error::file(path, format!("not what `unheat bench --json` prints: {e}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Activation, DType};

    /// What a version wrote that knew neither activations nor batch norm nor residual blocks as choices.
    const EARLIER: &str = r#"{
        "unheat": "0.1.0", "device": "CPU", "kind": "cpu", "timing": null, "ceilings": null,
        "memory": [], "stages": [],
        "settings": {
            "method": "gd", "batch": 8, "size": "32x64", "levels": 2, "filters": [8, 16], "padding": "zero",
            "physics": "f64"
        },
        "step": {
            "ms": 1.5, "fastest_ms": 1.0, "slowest_ms": 2.0, "timed": 3, "submit_ms": null, "dispatches": 0,
            "flops": 7, "bytes": 0
        }
    }"#;

    #[test]
    fn the_files_of_earlier_versions_can_be_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("earlier.json");
        std::fs::write(&path, EARLIER).unwrap();
        let settings = Measurement::read(&path).unwrap().settings;
        assert_eq!((settings.batch, settings.levels, &settings.net.filters[..]), (8, 2, &[8, 16][..]));
        let net = &settings.net;
        assert_eq!((net.activation, net.batch_norm, net.res_blocks), (Activation::Relu, true, false));
        assert_eq!(settings.activations, DType::F32);
    }

    #[test]
    fn what_is_written_can_be_read() {
        let measured: Measurement = serde_json::from_str(EARLIER).unwrap();
        let text = serde_json::to_string(&measured).unwrap();
        assert!(text.contains("\"batch_norm\":\"on\"") && text.contains("\"filters\":[8,16]"), "{text}");
        assert_eq!(serde_json::from_str::<Measurement>(&text).unwrap(), measured);
    }
}
