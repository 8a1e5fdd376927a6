//! The learning rate of every step, a pure function of the settings and the step.

use crate::model::settings::choice::choice;
use std::f64::consts::PI;

/// The factor that multiplies the learning rate in step s = 0, 1, …
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Schedule {
    /// 1 in every step.
    #[default]
    Constant,
    /// ½·(1 + cos(π·s/T)) for s below T, and 0 from then on.
    Cosine {
        /// T, positive.
        steps: u64,
    },
    /// decay^⌊s/every⌋.
    Step {
        /// Steps between two decays, positive.
        every: u64,
        /// What each decay multiplies by, positive.
        decay: f64,
    },
}

impl Schedule {
    /// The factor of step `step`, counted from 0.
    pub fn factor(&self, step: u64) -> f64 {
        match *self {
            Self::Constant => 1.0,
            Self::Cosine { steps } if step >= steps => 0.0,
            Self::Cosine { steps } => 0.5 * (1.0 + (PI * step as f64 / steps as f64).cos()),
            Self::Step { every, decay } => decay.powf((step / every) as f64),
        }
    }
}

choice! {
    /// The name of a [`Schedule`] in files and on the command line.
    #[derive(Default)]
    pub enum ScheduleName {
        /// [`Schedule::Constant`].
        #[default]
        Constant = "constant",
        /// [`Schedule::Cosine`].
        Cosine = "cosine",
        /// [`Schedule::Step`].
        Step = "step",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schedules_follow_their_formulas() {
        assert!([0, 1, u64::MAX].into_iter().all(|step| Schedule::Constant.factor(step) == 1.0));

        let cosine = Schedule::Cosine { steps: 100 };
        assert_eq!(cosine.factor(0), 1.0);
        assert!((cosine.factor(50) - 0.5).abs() < 1e-12);
        assert!((cosine.factor(25) - 0.853_553_390_593_273_8).abs() < 1e-12);
        assert!(cosine.factor(99) > 0.0);
        assert!([100, 101, u64::MAX].into_iter().all(|step| cosine.factor(step) == 0.0));

        let step = Schedule::Step { every: 10, decay: 0.5 };
        assert_eq!([0, 9, 10, 19, 20].map(|s| step.factor(s)), [1.0, 1.0, 0.5, 0.5, 0.25]);
    }

    #[test]
    fn names_read_back() {
        for name in ScheduleName::ALL {
            assert_eq!(name.to_string().parse::<ScheduleName>().unwrap(), name);
        }
        assert!("linear".parse::<ScheduleName>().unwrap_err().to_string().contains("cosine"));
    }
}
