//! Successive halving: all runs begin, and at every rung the best of them go on.
//!
//! With `keep` = 1/3 and `after` = 100 steps the best third of all runs goes on after 100 steps, the best
//! third of those after 300, and so on to the end. What differs by its seed alone is judged together, by the
//! mean.

use crate::{Error, Result};
use serde::{Deserialize, Serialize};

/// Who goes on, and when that is decided.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Halving {
    /// The share of the runs that goes on at every rung, above 0 and below 1.
    pub keep_best: f64,
    /// Steps before the first rung.
    pub after: u64,
}

impl Halving {
    /// Refuses shares and steps that decide nothing.
    ///
    /// # Errors
    /// [`Error::Usage`].
    pub fn check(&self, steps: u64) -> Result<()> {
        if !(self.keep_best > 0.0 && self.keep_best < 1.0) {
            return Err(Error::usage(format!(
                "keep-best {}: must be a share above 0 and below 1, such as 0.5",
                self.keep_best
            )));
        }
        if self.after == 0 || self.after >= steps {
            let Self { after, .. } = self;
            return Err(Error::usage(format!("after {after}: must be from 1 to below --steps {steps}")));
        }
        Ok(())
    }

    /// The steps of every rung of runs with `steps` steps, ascending.
    pub fn rungs(&self, steps: u64) -> Vec<u64> {
        let at = |rung: i32| (self.after as f64 / self.keep_best.powi(rung)).round() as u64;
        // Shares close to 1 have rungs closer than a step.
        let mut rungs: Vec<u64> =
            (0..).map(at).take_while(|&rung| rung < steps).take(steps as usize).collect();
        rungs.dedup();
        rungs
    }

    /// Which of these go on: the best share of them, rounded up, of which the first wins where two are alike.
    /// What has no finite loss is the worst.
    pub fn best(&self, losses: &[f64]) -> Vec<bool> {
        let mut order: Vec<usize> = (0..losses.len()).collect();
        let worth = |&i: &usize| if losses[i].is_nan() { f64::INFINITY } else { losses[i] };
        order.sort_by(|a, b| worth(a).total_cmp(&worth(b)));
        let count = (self.keep_best * losses.len() as f64 - 1e-9).ceil().max(1.0) as usize;
        let mut goes_on = vec![false; losses.len()];
        order.into_iter().take(count).for_each(|i| goes_on[i] = true);
        goes_on
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rungs_are_further_and_further_apart() {
        let halving = |keep_best, after| Halving { keep_best, after };
        assert_eq!(halving(0.5, 10).rungs(100), [10, 20, 40, 80]);
        assert_eq!(halving(1.0 / 3.0, 100).rungs(1000), [100, 300, 900]);
        assert_eq!(halving(0.1, 10).rungs(100), [10], "nothing is left out at the end");
        assert!(halving(0.999, 1).rungs(50).len() < 50);
        assert!(halving(0.5, 10).check(100).is_ok());
        for (keep, after) in [(0.0, 10), (1.0, 10), (f64::NAN, 10), (0.5, 0), (0.5, 100)] {
            assert!(halving(keep, after).check(100).is_err(), "{keep} {after}");
        }
    }

    #[test]
    fn the_best_go_on_and_what_has_exploded_does_not() {
        let half = Halving { keep_best: 0.5, after: 1 };
        assert_eq!(half.best(&[3.0, 1.0, f64::NAN, 2.0]), [false, true, false, true]);
        assert_eq!(half.best(&[3.0, 1.0, 2.0]), [false, true, true], "rounded up");
        assert_eq!(half.best(&[f64::NAN]), [true], "one always does");
        assert_eq!(half.best(&[2.0, 2.0]), [true, false]);
        let third = Halving { keep_best: 1.0 / 3.0, after: 1 };
        assert_eq!(third.best(&[1.0, 2.0, 3.0]), [true, false, false]);
    }
}
