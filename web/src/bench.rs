//! "How fast?": the table of `unheat bench`, where the browser lets a page time dispatches.

use crate::experiment::Experiment;
use crate::failure::thrown;
use serde_json::json;
use unheat::bench::By;
use unheat::bench::measurement::{Stage, groups};
use unheat::gpu::runtime::profiler;
use unheat::gpu::{Gpu, Recording, Timing};
use unheat::{Result, gpu};
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;
use web_time::Instant;

/// Measurements of every dispatch, at most, whose mean counts: browsers round the device's clock, often to
/// 100 µs, so that single times are worth nothing.
const ROUNDS: usize = 50;

/// Seconds after which those that were made are enough: slow devices are rounded less.
const ENOUGH: f64 = 2.0;

/// Times every dispatch of a step of the first method. Returns a JSON object: columns, rows, note.
///
/// # Errors
/// Of the kind "usage" where the device or the browser has no timestamps, or they cannot be.
#[wasm_bindgen]
pub async fn bench(experiment: &Experiment) -> std::result::Result<String, JsValue> {
    let Some((gpu, step)) = experiment.first_on_gpu() else {
        let note = "The CPU engine has no dispatches to time; the line above tells the time of a step.";
        return Ok(json!({ "columns": [], "rows": [], "note": note }).to_string());
    };
    if !gpu.has_timestamps() {
        let note =
            "This browser lets no page read the device's clock; the line above tells the time of a step.";
        return Ok(json!({ "columns": [], "rows": [], "note": note }).to_string());
    }
    let (stages, rounds) = stages(gpu, step).await.map_err(thrown)?;
    let total: f64 = stages.iter().map(|stage| stage.ms).sum();
    let rows: Vec<[String; 6]> = groups(&stages, By::Kernel, None)
        .into_iter()
        .map(|group| {
            let share = 100.0 * group.ms / total;
            [
                group.name.clone(),
                group.count.to_string(),
                format!("{:.3}", group.ms),
                format!("{share:.1} %"),
                format!("{:.1}", group.gflops()),
                format!("{:.1}", group.gbytes_per_second()),
            ]
        })
        .collect();
    let note = format!(
        "{} dispatches of a step take {total:.3} ms by the device's clock, the mean of {rounds} steps; many \
         browsers round it to 0.1 ms, which the mean evens out.",
        stages.len()
    );
    let columns = ["kernel", "count", "ms", "share", "GFLOP/s", "GB/s"];
    Ok(json!({ "columns": columns, "rows": rows, "note": note }).to_string())
}

/// Every dispatch of a step, and how often it was timed.
async fn stages(gpu: &Gpu, step: &gpu::Step) -> Result<(Vec<Stage>, usize)> {
    let parts = step.recordings();
    let recordings: Vec<&Recording> = parts.iter().map(|(_, recording)| *recording).collect();
    profiler::check(gpu)?;
    let mut seconds = profiler::time(gpu, &recordings, Timing::Timestamps).await?;
    seconds.fill(0.0); // the first round compiles
    let (start, mut rounds) = (Instant::now(), 0);
    while rounds < ROUNDS && (rounds == 0 || start.elapsed().as_secs_f64() < ENOUGH) {
        rounds += 1;
        let times = profiler::time(gpu, &recordings, Timing::Timestamps).await?;
        seconds.iter_mut().zip(times).for_each(|(sum, time)| *sum += time);
    }
    let dispatches = parts.iter().flat_map(|(part, recording)| recording.describe().map(move |d| (part, d)));
    let stage = |((part, dispatch), seconds): ((&&str, _), f64)| {
        let unheat::gpu::runtime::recording::Description { label, kernel, work, .. } = dispatch;
        Stage {
            part: (*part).to_owned(),
            layer: label.to_owned(),
            kernel: kernel.to_owned(),
            ms: 1e3 * seconds / rounds as f64,
            flops: work.flops,
            bytes: work.bytes,
        }
    };
    Ok((dispatches.zip(seconds).map(stage).collect(), rounds))
}
