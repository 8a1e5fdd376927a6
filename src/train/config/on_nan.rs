//! What happens to a step whose losses, gradients or statistics are not finite.

use crate::model::settings::choice::choice;

choice! {
    /// What training does about a step with a number that is infinite or not one.
    #[derive(Default)]
    pub enum OnNan {
        /// It ends, with the weights of the last good step.
        #[default]
        Stop = "stop",
        /// Weights, moments and running statistics stay as they were before the step, and the next one
        /// follows. The learning rate and Adam's t count it. [`OnNan::LIMIT`] such steps in a row end
        /// training: then it is the weights.
        Skip = "skip",
    }
}

impl OnNan {
    /// Skipped steps in a row that are one too many.
    pub const LIMIT: u64 = 100;
}
