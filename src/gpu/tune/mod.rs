//! The autotune: which variant of the convolutions is fastest on this device, for the work of one network.
//!
//! The network is recorded as a training step records it, on a smaller batch where one dispatch would take
//! long, and every kind of work ([`Key`]) is timed by itself, the largest share of the arithmetic first. Each
//! gets its share of the time; what it leaves is for those after it. The search climbs: from the usual
//! variant, or the one chosen for the same kernel at another level, and the other usual ones it times the
//! neighbours (one number doubled or halved) of the best so far, and stops where none is faster. Results do
//! not depend on any of this: variants never change the partition or the order of a sum.
//!
//! Bounds: [`LIMIT`] altogether. A compilation cannot be interrupted, so neighbours are tried from cheap to
//! expensive; a variant that took more than `search::SLOW` to compile is not chosen, and none that is
//! at least as large along both axes is tried. Nothing is begun when what is left is shorter than the longest
//! trial so far.

mod search;

use crate::Result;
use crate::gpu::nn::conv3x3::TILE_SIDE;
use crate::gpu::runtime::dispatch::Dispatch;
use crate::gpu::runtime::kernel::Kernel;
use crate::gpu::runtime::profiler::seconds;
use crate::gpu::runtime::recording::Tunable;
use crate::gpu::runtime::spec::KernelSpec;
use crate::gpu::runtime::variants::{Key, Variant, Variants};
use crate::gpu::stopwatch::Stopwatch;
use crate::gpu::tune::search::{Trial, search};
use crate::gpu::unet::network::Network;
use crate::gpu::{Gpu, Recorder};
use crate::model::{DType, UNet};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

/// The time for everything.
pub const LIMIT: Duration = Duration::from_secs(10);

/// Each time is the best of this many.
const REPEATS: usize = 3;

/// Dispatches are repeated in one submission until it takes this many seconds, or they are [`MOST_REPEATS`].
const LONG_ENOUGH: f64 = 2e-3;
const MOST_REPEATS: f64 = 50.0;

/// What a training step asks of the convolutions.
#[derive(Clone, Copy, Debug)]
pub struct Workload<'a> {
    /// The network.
    pub net: &'a UNet,
    /// What its activations are stored in.
    pub storage: DType,
    /// Samples per step.
    pub batch: usize,
    /// Cells along x.
    pub nx: usize,
    /// Cells along y.
    pub ny: usize,
}

/// What the tuning did.
#[derive(Clone, Copy, Debug)]
pub struct Outcome {
    /// What it took.
    pub seconds: f64,
    /// Kinds of work.
    pub kinds: usize,
    /// Those for which another variant than the usual one won.
    pub changed: usize,
    /// Variants that were timed, the usual ones included.
    pub timed: usize,
}

/// Times the variants for this work, for about `limit` at most, and puts the fastest in force. Work that has
/// a choice already keeps it.
///
/// # Errors
/// [`Error`](crate::Error) where the network does not fit the device, or the device fails.
pub async fn tune(gpu: &Gpu, work: &Workload<'_>, limit: Duration) -> Result<Outcome> {
    let start = Stopwatch::start();
    let before = gpu.variants();
    let mut chosen = before.clone();
    let kinds = kinds(gpu, work, &before)?;
    if let Some(first) = kinds.first() {
        warm_up(gpu, first).await?;
    }
    let whole: u64 = kinds.iter().map(|kind| kind.flops).sum();
    let (begun, left) = (start.elapsed(), limit.saturating_sub(start.elapsed()));
    let mut clock = Clock { start, limit, longest: Duration::ZERO, timed: 0 };
    let mut families: HashMap<(String, [u32; 3], u32), Family> = HashMap::new();
    let (mut share, mut changed) = (0, 0);
    for kind in &kinds {
        share += kind.flops;
        let end = begun + left.mul_f64(share as f64 / whole.max(1) as f64);
        let possible: Vec<Variant> = kind.specs.iter().map(|(variant, _)| *variant).collect();
        let key = &kind.key;
        let family = families.entry((key.kernel.clone(), key.tile, key.block_quads)).or_default();
        let usual = family.best.filter(|best| possible.contains(best)).unwrap_or(kind.recorded);
        let time = async |v| clock.time(gpu, kind, v, end).await;
        let best = search(usual, &kind.usual, &possible, &mut family.slow, time).await;
        family.best = Some(best);
        changed += usize::from(best != kind.recorded);
        log::debug!("{key:?}: {best:?}, usually {:?}", kind.recorded);
        chosen.insert(key.clone(), best);
    }
    forget_the_others(gpu, &kinds, &chosen);
    gpu.set_variants(chosen);
    gpu.finished().await?;
    let (seconds, timed) = (start.elapsed().as_secs_f64(), clock.timed);
    Ok(Outcome { seconds, kinds: kinds.len(), changed, timed })
}

/// What is known of the very same kernels from work with more tiles, or fewer.
#[derive(Default)]
struct Family {
    /// Where a climb starts, and what stays when the time is up.
    best: Option<Variant>,
    /// Variants that took too long to compile.
    slow: Vec<Variant>,
}

/// One call for every kind of work that has no choice yet, the largest share of the arithmetic first; the
/// keys are those of the whole batch and grid.
fn kinds(gpu: &Gpu, work: &Workload, before: &Variants) -> Result<Vec<Tunable>> {
    let Workload { net, storage, batch, nx, ny } = smaller(gpu, work);
    let scale = ((work.batch * work.nx * work.ny) as f64 / (batch * nx * ny) as f64).max(1.0);
    let network = Network::new(gpu, net, storage, batch, nx, ny)?;
    let field = |label| gpu.tensor(label, batch * nx * ny);
    let (input, output, gradient) = (field("input")?, field("output")?, field("output gradient")?);
    let mut recorder = Recorder::for_tuning(gpu);
    network.pack(&mut recorder)?;
    network.forward(&mut recorder, &input, &output)?;
    network.backward(&mut recorder, &input, &gradient)?;

    let mut kinds: BTreeMap<Key, Tunable> = BTreeMap::new();
    for mut call in recorder.into_tunables() {
        let tiles = (f64::from(call.key.tiles) * scale).round() as u32;
        call.key.tiles = tiles.checked_next_power_of_two().unwrap_or(1 << 31);
        match kinds.get_mut(&call.key) {
            Some(known) => known.flops += call.flops,
            None => drop(kinds.insert(call.key.clone(), call)),
        }
    }
    let mut kinds: Vec<Tunable> =
        kinds.into_values().filter(|kind| before.get(&kind.key).is_none()).collect();
    kinds.sort_by_key(|kind| std::cmp::Reverse(kind.flops));
    Ok(kinds)
}

/// The work with a batch and a grid such that no dispatch does more than some milliseconds of arithmetic, but
/// with the same tiles.
fn smaller<'a>(gpu: &Gpu, work: &Workload<'a>) -> Workload<'a> {
    let most = if gpu.is_software() { 3e8 } else { 1e10 };
    let flops = |w: &Workload| -> f64 {
        let per_cell =
            |c: &crate::model::unet::Conv| (18 * c.c_in * c.c_out) as f64 / 4f64.powi(c.level as i32);
        (w.batch * w.nx * w.ny) as f64 * w.net.convs.iter().map(per_cell).fold(0.0, f64::max)
    };
    let mut smaller = *work;
    while smaller.batch > 1 && flops(&smaller) > most {
        smaller.batch = smaller.batch.div_ceil(2);
    }
    let coarsest = work.net.config.levels() - 1;
    while flops(&smaller) > most && smaller.nx >> coarsest > TILE_SIDE {
        smaller.nx /= 2;
    }
    while flops(&smaller) > most && smaller.ny >> coarsest > TILE_SIDE {
        smaller.ny /= 2;
    }
    smaller
}

/// Keeps the time.
struct Clock {
    start: Stopwatch,
    limit: Duration,
    /// The longest trial so far.
    longest: Duration,
    timed: usize,
}

impl Clock {
    /// Times `variant`, unless `end` (since the start) has passed or it may last beyond the limit.
    async fn time(&mut self, gpu: &Gpu, kind: &Tunable, variant: Variant, end: Duration) -> Option<Trial> {
        let (begin, elapsed) = (Stopwatch::start(), self.start.elapsed());
        if elapsed > end || elapsed + self.longest > self.limit {
            return None;
        }
        let trial = trial(gpu, kind, variant).await;
        self.longest = self.longest.max(begin.elapsed());
        self.timed += 1;
        log::debug!("{} {:?} {variant:?}: {trial:?}", kind.key.kernel, kind.key.tile);
        trial.map_err(|error| log::debug!("{error}")).ok()
    }
}

async fn trial(gpu: &Gpu, kind: &Tunable, variant: Variant) -> Result<Trial> {
    let (dispatch, kernel) = dispatch(gpu, kind, variant)?;
    let first = run(gpu, &dispatch, 1).await?;
    let second = run(gpu, &dispatch, 1).await?;
    let times = (LONG_ENOUGH / second.max(1e-9)).ceil().clamp(1.0, MOST_REPEATS);
    let mut seconds = f64::INFINITY;
    for _ in 0..REPEATS {
        seconds = seconds.min(run(gpu, &dispatch, times as usize).await? / times);
    }
    let compilation = kernel.build_time + Duration::from_secs_f64((first - second).max(0.0));
    Ok(Trial { seconds, compilation })
}

fn dispatch(gpu: &Gpu, kind: &Tunable, variant: Variant) -> Result<(Dispatch, Arc<Kernel>)> {
    let spec = spec_of(kind, variant);
    let spec = spec.ok_or_else(|| crate::Error::Device(format!("{}: no {variant:?}", kind.key.kernel)))?;
    let kernel = gpu.kernel(spec)?;
    Ok(((kind.bind)(gpu, &kernel)?, kernel))
}

fn spec_of(kind: &Tunable, variant: Variant) -> Option<&KernelSpec> {
    kind.specs.iter().find(|(v, _)| *v == variant).map(|(_, spec)| spec)
}

/// Seconds of a submission of this many dispatches.
async fn run(gpu: &Gpu, dispatch: &Dispatch, times: usize) -> Result<f64> {
    seconds(gpu, std::iter::repeat_n(dispatch, times)).await
}

/// Clocks of idle GPUs are low.
async fn warm_up(gpu: &Gpu, kind: &Tunable) -> Result<()> {
    if gpu.is_software() {
        return Ok(());
    }
    let (dispatch, _) = dispatch(gpu, kind, kind.recorded)?;
    let start = Stopwatch::start();
    while start.elapsed() < Duration::from_millis(50) {
        run(gpu, &dispatch, 4).await?;
    }
    Ok(())
}

/// Kernels that were built for a trial and lost.
fn forget_the_others(gpu: &Gpu, kinds: &[Tunable], chosen: &Variants) {
    let (mut kept, mut lost) = (HashSet::new(), HashSet::new());
    for kind in kinds {
        for (variant, spec) in &kind.specs {
            let winners = if chosen.get(&kind.key) == Some(*variant) { &mut kept } else { &mut lost };
            winners.insert(spec);
        }
    }
    lost.retain(|spec| !kept.contains(spec));
    gpu.forget(&lost);
}
