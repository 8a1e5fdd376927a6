//! How long every dispatch of a recording takes.

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

/// Runs `recordings` once, in order, and returns the seconds that each dispatch took.
///
/// # Errors
/// [`Error::Device`] where timestamps are asked of an adapter without them, or the device fails.
pub async fn time(gpu: &Gpu, recordings: &[&Recording], timing: Timing) -> Result<Vec<f64>> {
    let dispatches: Vec<&Dispatch> = recordings.iter().flat_map(|r| r.dispatches()).collect();
    match timing {
        Timing::Timestamps => {
            if !gpu.has_timestamps() {
                return Err(Error::Device(format!("{} has no timestamps", gpu.name())));
            }
            let mut times = Vec::with_capacity(dispatches.len());
            for set in dispatches.chunks(SET) {
                times.extend(by_timestamps(gpu, set).await?);
            }
            Ok(times)
        }
        Timing::Submissions => by_submissions(gpu, &dispatches).await,
    }
}

async fn by_timestamps(gpu: &Gpu, dispatches: &[&Dispatch]) -> Result<Vec<f64>> {
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
    let ticks: Vec<u64> = gpu.fetch_buffer(encoder, &resolved, bytes, "timestamps").await?;
    let period = 1e-9 * f64::from(gpu.queue.get_timestamp_period());
    Ok(ticks.chunks_exact(2).map(|t| t[1].saturating_sub(t[0]) as f64 * period).collect())
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
    let measured =
        watch.measured().ok_or_else(|| Error::Device("no clock: submissions cannot be timed here".into()))?;
    Ok(measured.as_secs_f64())
}

/// The middle of `values`, the lower one of two; 0 if there are none. Sorts them.
pub(crate) fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len().saturating_sub(1) / 2).copied().unwrap_or(0.0)
}
