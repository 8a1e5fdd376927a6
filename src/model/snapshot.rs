//! What training depends on besides its settings: with these numbers it continues as if it had never stopped.

use crate::model::unet::init::State;

/// Network and optimiser between two steps, as flat arrays in the order of [`crate::model::UNet::entries`].
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    /// Parameters and running statistics.
    pub state: State,
    /// Adam's first moments.
    pub first_moments: Vec<f32>,
    /// Adam's second moments.
    pub second_moments: Vec<f32>,
    /// Updates that Adam has made.
    pub updates: u64,
    /// The parameters before the last update. They are the last ones whose losses are known to be finite.
    pub last_good_params: Vec<f32>,
}

impl Snapshot {
    /// The snapshot before the first update.
    pub fn before(state: State) -> Self {
        let zeros = vec![0.0; state.params.len()];
        Self {
            last_good_params: state.params.clone(),
            state,
            first_moments: zeros.clone(),
            second_moments: zeros,
            updates: 0,
        }
    }
}
