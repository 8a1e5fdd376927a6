//! The climb from a usual variant to the fastest one, wherever the times come from.

use crate::gpu::runtime::variants::Variant;
use std::time::Duration;

/// The longest compilation that is worth it.
pub(super) const SLOW: Duration = Duration::from_secs(2);

/// A variant must take at most this fraction of the time of another to displace it: less is noise.
const WORTH: f64 = 0.95;

/// What one trial found.
#[derive(Clone, Copy, Debug)]
pub(super) struct Trial {
    /// The time of one dispatch.
    pub(super) seconds: f64,
    /// What compiling the kernel took.
    pub(super) compilation: Duration,
}

/// The fastest of the `possible` variants that a climb from `usual` meets, or from one of the `others`, which
/// are timed first. `slow` holds variants that took too long to compile and gets more of them. `time` returns
/// nothing for a variant that fails, or when the time is up.
pub(super) async fn search(
    usual: Variant,
    others: &[Variant],
    possible: &[Variant],
    slow: &mut Vec<Variant>,
    mut time: impl AsyncFnMut(Variant) -> Option<Trial>,
) -> Variant {
    let Some(first) = time(usual).await else { return usual };
    if first.compilation > SLOW {
        slow.push(usual);
    }
    let mut tried = vec![usual];
    let (mut best, mut seconds) = (usual, first.seconds);
    loop {
        let centre = best;
        let is_near = |v: &Variant| v.is_next_to(centre) || (centre == usual && others.contains(v));
        let is_new = |v: &&Variant| is_near(v) && !tried.contains(v);
        let mut neighbours: Vec<Variant> = possible.iter().filter(is_new).copied().collect();
        neighbours.sort_by_key(|v| v.cost());
        for variant in neighbours {
            tried.push(variant);
            if slow.iter().any(|&s| variant.is_no_smaller_than(s)) {
                continue;
            }
            let Some(trial) = time(variant).await else { continue };
            if trial.compilation > SLOW {
                slow.push(variant);
            } else if trial.seconds < WORTH * seconds {
                (best, seconds) = (variant, trial.seconds);
            }
        }
        if best == centre {
            break;
        }
    }
    if best == usual {
        return usual;
    }
    // A second look: the first trial may have met the device in another state.
    match time(usual).await {
        Some(again) if seconds >= WORTH * again.seconds => usual,
        _ => best,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blocking::block_on;

    const fn tiled(patch: u32, channels: u32) -> Variant {
        Variant::Tiled { patch, channels }
    }

    fn all() -> Vec<Variant> {
        let tiles = [1, 2, 4, 8].into_iter().flat_map(|p| [1, 2, 4, 8].map(|c| tiled(p, c)));
        tiles.chain([1, 2].map(|patch| Variant::Direct { patch })).collect()
    }

    const OTHERS: [Variant; 1] = [Variant::Direct { patch: 2 }];

    /// Searches where `seconds` and `compilation` (in seconds) are known; returns the choice and what was
    /// timed.
    fn climb(
        usual: Variant,
        seconds: impl Fn(Variant) -> f64,
        compilation: impl Fn(Variant) -> f64,
        trials: usize,
    ) -> (Variant, Vec<Variant>) {
        let mut timed = Vec::new();
        let choice = block_on(search(usual, &OTHERS, &all(), &mut Vec::new(), async |variant| {
            if timed.len() == trials {
                return None;
            }
            timed.push(variant);
            let compilation = Duration::from_secs_f64(compilation(variant));
            Some(Trial { seconds: seconds(variant), compilation })
        }));
        (choice, timed)
    }

    fn bowl(centre: Variant) -> impl Fn(Variant) -> f64 {
        // The direct ones lie beyond a hill.
        let axes = |variant| match variant {
            Variant::Tiled { patch, channels } => [patch.ilog2(), channels.ilog2()],
            Variant::Direct { patch } => [patch.ilog2(), 20],
        };
        move |v| {
            let [a, b] = [0, 1].map(|axis| axes(v)[axis].abs_diff(axes(centre)[axis]));
            1.0 + f64::from(a + b)
        }
    }

    #[test]
    fn finds_the_fastest_from_anywhere() {
        // From the direct ones through the other usual one, as both are timed whatever lies between.
        for centre in all() {
            for usual in all().into_iter().filter(|usual| !usual.is_direct()) {
                let (choice, timed) = climb(usual, bowl(centre), |_| 0.1, usize::MAX);
                assert_eq!(choice, centre);
                assert_eq!(timed[0], usual);
                assert!(
                    timed[..timed.len() - 1].iter().all(|v| timed.iter().filter(|w| v == *w).count() <= 2)
                );
            }
        }
    }

    #[test]
    fn noise_changes_nothing() {
        let (choice, _) =
            climb(tiled(4, 4), |v| if v == tiled(4, 4) { 1.0 } else { 0.96 }, |_| 0.1, usize::MAX);
        assert_eq!(choice, tiled(4, 4));
        // The usual one was slow at first only.
        let first = std::cell::Cell::new(true);
        let time = |v| if v == tiled(4, 4) && first.take() { 2.0 } else { 1.0 };
        assert_eq!(climb(tiled(4, 4), time, |_| 0.1, usize::MAX).0, tiled(4, 4));
    }

    #[test]
    fn what_compiles_slowly_is_neither_chosen_nor_followed() {
        let large = |variant: Variant| match variant {
            Variant::Tiled { patch, .. } | Variant::Direct { patch } => patch >= 4,
        };
        let compilation = |variant| if large(variant) { 2.5 } else { 0.1 };
        let (choice, timed) = climb(tiled(2, 2), bowl(tiled(8, 8)), compilation, usize::MAX);
        assert_eq!(choice, tiled(2, 8));
        assert_eq!(timed.iter().filter(|&&v| large(v)).count(), 1, "{timed:?}");
        // Even the usual one: its relatives are left alone, smaller ones are not.
        let (choice, timed) = climb(tiled(4, 4), bowl(tiled(2, 4)), compilation, usize::MAX);
        assert_eq!(choice, tiled(2, 4));
        assert!(timed.iter().all(|&v| v == tiled(4, 4) || !v.is_no_smaller_than(tiled(4, 4))), "{timed:?}");
    }

    #[test]
    fn cheap_neighbours_come_first() {
        let (_, timed) = climb(tiled(4, 4), |_| 1.0, |_| 0.1, usize::MAX);
        let costs: Vec<u32> = timed[1..6].iter().map(|v| v.cost()).collect();
        assert_eq!(costs, [8, 8, 16, 32, 32]);
    }

    #[test]
    fn when_the_time_is_up_the_best_so_far_stays() {
        assert_eq!(climb(tiled(4, 4), bowl(tiled(1, 1)), |_| 0.1, 0).0, tiled(4, 4));
        assert_eq!(climb(tiled(4, 4), bowl(tiled(1, 1)), |_| 0.1, 1).0, tiled(4, 4));
        assert_eq!(climb(tiled(4, 4), bowl(tiled(1, 1)), |_| 0.1, 3).0, tiled(2, 4));
    }
}
