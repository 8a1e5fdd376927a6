//! How long every dispatch of a recording takes.

use crate::error::Feature;
use crate::gpu::runtime::dispatch::Dispatch;
use crate::gpu::stopwatch::Stopwatch;
use crate::gpu::{Gpu, Recording};
use crate::{Error, Result};

/// How dispatches are timed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Timing {
    /// By the device's clock, before and after each dispatch, in one submission.
    Timestamps,
    /// By the host's clock: each dispatch alone in a submission, less what an empty one takes. For adapters
    /// without timestamps; times below some tens of microseconds are mostly noise.
    Submissions,
}

/// Dispatches per query set: each takes two queries.
const SET: usize = wgpu::QUERY_SET_MAX_QUERIES as usize / 2;

/// Empty submissions whose median is what a submission costs.
const EMPTY: usize = 15;

/// A device's clock may seem this many times too fast before it is not believed: the host's clock runs from
/// before the submission until the numbers have arrived.
const TOO_FAST: f64 = 1.5;

/// It may seem this many times too slow, since the host does other things as well, and the driver may
/// compile.
const TOO_SLOW: f64 = 20.0;

/// Seconds below which the host's clock says nothing about the device's.
const TOO_SHORT: f64 = 0.05;

/// A clock is not believed after this many measurements in a row that cannot be: a host that was busy with
/// something else is not the clock's fault.
const TRIES: usize = 3;

/// Refuses timestamps where the adapter has none.
///
/// # Errors
/// [`Error::Unsupported`].
pub fn check(gpu: &Gpu) -> Result<()> {
    if gpu.has_timestamps() { Ok(()) } else { Err(unsupported(gpu, "has none")) }
}

fn unsupported(gpu: &Gpu, why: &str) -> Error {
    Error::Unsupported { feature: Feature::Timestamps, why: format!("{} {why}", gpu.name()) }
}

/// Runs `recordings` in order, and returns the seconds that each dispatch took.
///
/// # Errors
/// [`Error::Unsupported`] where timestamps are asked of an adapter without them, or of one whose clock stands
/// still, runs backwards or tells times that cannot be; [`Error::Device`] where the device fails.
pub async fn time(gpu: &Gpu, recordings: &[&Recording], timing: Timing) -> Result<Vec<f64>> {
    let dispatches: Vec<&Dispatch> = recordings.iter().flat_map(|r| r.dispatches()).collect();
    match timing {
        Timing::Timestamps => {
            check(gpu)?;
            let mut times = Vec::with_capacity(dispatches.len());
            for set in dispatches.chunks(SET) {
                times.extend(believable(gpu, set).await?);
            }
            Ok(times)
        }
        Timing::Submissions => by_submissions(gpu, &dispatches).await,
    }
}

/// As [`by_timestamps`], several times if need be.
async fn believable(gpu: &Gpu, dispatches: &[&Dispatch]) -> Result<Vec<f64>> {
    let mut fault = String::new();
    for _ in 0..TRIES {
        match by_timestamps(gpu, dispatches).await? {
            Ok(times) => return Ok(times),
            Err(why) => fault = why,
        }
    }
    Err(unsupported(gpu, &fault))
}

/// The seconds that each dispatch took by the device's clock, or why that clock is not believed.
async fn by_timestamps(gpu: &Gpu, dispatches: &[&Dispatch]) -> Result<std::result::Result<Vec<f64>, String>> {
    let queries = 2 * dispatches.len() as u32;
    let bytes = u64::from(queries * wgpu::QUERY_SIZE);
    let (set, resolved) = gpu.checked("timestamps", || {
        let set = gpu.device.create_query_set(&wgpu::QuerySetDescriptor {
            label: Some("timestamps"),
            ty: wgpu::QueryType::Timestamp,
            count: queries,
        });
        let resolved = gpu.device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("timestamps"),
            size: bytes,
            usage: wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC,
            mapped_at_creation: false,
        });
        (set, resolved)
    })?;
    let mut encoder = gpu.device.create_command_encoder(&Default::default());
    for (i, dispatch) in dispatches.iter().enumerate() {
        let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor {
            label: None,
            timestamp_writes: Some(wgpu::ComputePassTimestampWrites {
                query_set: &set,
                beginning_of_pass_write_index: Some(2 * i as u32),
                end_of_pass_write_index: Some(2 * i as u32 + 1),
            }),
        });
        dispatch.encode(&mut pass);
    }
    encoder.resolve_query_set(&set, 0..queries, &resolved, 0);
    let watch = Stopwatch::start();
    let ticks: Vec<u64> = gpu.fetch_buffer(encoder, &resolved, bytes, "timestamps").await?;
    let period = 1e-9 * f64::from(gpu.queue.get_timestamp_period());
    Ok(seconds_between(&ticks, period, watch.elapsed().as_secs_f64()))
}

/// Seconds between the ticks of each pair, where a tick takes `period` seconds and all of them together took
/// less than `watched` by another clock; or what about the ticks cannot be. Known to happen: all are zero
/// (Metal on macOS 26), some were never written (zero, or Metal's error value, all ones), the end is before
/// the begin, and a period that is not the clock's.
fn seconds_between(ticks: &[u64], period: f64, watched: f64) -> std::result::Result<Vec<f64>, String> {
    let (Some(&first), Some(&last)) = (ticks.iter().min(), ticks.iter().max()) else {
        return Ok(Vec::new());
    };
    if first == last {
        return Err(format!("has a clock that stands still: all {} timestamps are {first}", ticks.len()));
    }
    let missing = ticks.iter().filter(|&&tick| tick == 0 || tick == u64::MAX).count();
    if missing > 0 {
        return Err(format!("has not written {missing} of {} timestamps", ticks.len()));
    }
    if let Some(pair) = ticks.chunks_exact(2).find(|pair| pair[1] < pair[0]) {
        return Err(format!("has a clock that runs backwards: from {} to {}", pair[0], pair[1]));
    }
    let span = (last - first) as f64 * period;
    let is_slow = watched > TOO_SHORT && span * TOO_SLOW < watched;
    if !(span > 0.0 && span.is_finite()) || span > TOO_FAST * watched || is_slow {
        return Err(format!("has a clock that counts {span:.2e} s while {watched:.2e} s passed"));
    }
    Ok(ticks.chunks_exact(2).map(|pair| (pair[1] - pair[0]) as f64 * period).collect())
}

async fn by_submissions(gpu: &Gpu, dispatches: &[&Dispatch]) -> Result<Vec<f64>> {
    gpu.finished().await?;
    let mut empty = [0.0; EMPTY];
    for time in &mut empty {
        *time = seconds(gpu, []).await?;
    }
    let overhead = median(&mut empty);
    let mut times = Vec::with_capacity(dispatches.len());
    for &dispatch in dispatches {
        times.push((seconds(gpu, [dispatch]).await? - overhead).max(0.0));
    }
    Ok(times)
}

/// Seconds from the submission of these dispatches, in one pass, until they have run.
pub(crate) async fn seconds<'a>(
    gpu: &Gpu,
    dispatches: impl IntoIterator<Item = &'a Dispatch>,
) -> Result<f64> {
    let mut encoder = gpu.device.create_command_encoder(&Default::default());
    {
        let mut pass = encoder.begin_compute_pass(&Default::default());
        dispatches.into_iter().for_each(|dispatch| dispatch.encode(&mut pass));
    }
    let commands = encoder.finish();
    let watch = Stopwatch::start();
    gpu.queue.submit([commands]);
    gpu.finished().await?;
    Ok(watch.elapsed().as_secs_f64())
}

/// The middle of `values`, the lower one of two; 0 if there are none. Sorts them.
pub(crate) fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len().saturating_sub(1) / 2).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NS: f64 = 1e-9;

    #[test]
    fn ticks_become_seconds() {
        let ticks = [5_000, 7_000, 7_000, 7_000, 8_000, 11_000];
        let expected = [2e-6, 0.0, 3e-6];
        for watched in [6e-6, 4.1e-6, 0.04] {
            let found = seconds_between(&ticks, NS, watched).unwrap();
            assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() <= 1e-15), "{found:?}");
            assert_eq!(found.len(), expected.len());
        }
        assert!(seconds_between(&[], NS, 1.0).unwrap().is_empty());
        // Passes of later dispatches may begin first where they do not depend on each other.
        assert!(seconds_between(&[20, 30, 10, 15], NS, 1e-6).is_ok());
    }

    #[test]
    fn a_clock_that_cannot_be_is_not_believed() {
        let second = 1_000_000_000;
        let cases: [(&[u64], f64, f64, &str); 10] = [
            (&[0, 0, 0, 0], NS, 1.0, "all 4 timestamps are 0"),
            (&[7, 7, 7, 7], NS, 1.0, "stands still"),
            (&[u64::MAX; 4], NS, 1.0, "stands still"),
            (&[5, 6, 0, 0], NS, 1.0, "not written 2 of 4"),
            (&[5, u64::MAX, 7, 9], NS, 1.0, "not written 1 of 4"),
            (&[5, 9, 8, 7], NS, 1.0, "backwards: from 8 to 7"),
            (&[1, 1 + 2 * second], NS, 1.0, "counts 2.00e0 s while 1.00e0 s passed"),
            (&[1, 1 + second / 50], NS, 1.0, "counts 2.00e-2 s"),
            (&[1, 5], 0.0, 1.0, "counts 0.00e0 s"),
            (&[1, 5], f64::NAN, 1.0, "counts NaN s"),
        ];
        for (ticks, period, watched, expected) in cases {
            let fault = seconds_between(ticks, period, watched).unwrap_err();
            assert!(fault.contains(expected), "{ticks:?}: {fault}");
        }
        // A host that was busy for some milliseconds says nothing.
        assert!(seconds_between(&[1, 1 + second / 10_000], NS, 0.04).is_ok());
    }
}
