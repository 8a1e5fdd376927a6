//! Processes that can talk to each other.

/// Processes that can talk to each other, all at once.
pub trait Group {
    /// The number of this process, from 0 on.
    fn rank(&self) -> usize;

    /// How many there are.
    fn size(&self) -> usize;

    /// Gives the bytes of process 0 to all.
    fn broadcast(&self, bytes: Vec<u8>) -> Vec<u8>;

    /// Gives everybody's bytes to all, in the order of the processes; they are equally many. `meanwhile` is
    /// done while they travel.
    fn all_gather(&self, own: &[u8], meanwhile: &mut dyn FnMut()) -> Vec<u8>;
}
