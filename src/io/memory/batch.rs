//! Whether a batch fits into memory, and which would.

use crate::io::memory::available;
use crate::model::unet::Conv;
use crate::model::{DType, UNet};
use crate::{Error, Result};

/// What the arrays that are going to be allocated are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Layers and their gradients in this storage, the fields around the network, a weight gradient per
    /// sample.
    Training(DType),
    /// The layers and the network's input and output.
    Prediction,
    /// The fields of a batch and of their observations alone, where a GPU has everything else.
    Fields,
}

/// Refuses a batch of `cells` cells per sample whose arrays would not fit into the memory that the system has
/// available now. For the CPU engine and software GPUs: their allocations succeed and the system runs out
/// later.
pub fn check_system(net: &UNet, cells: usize, batch: usize, purpose: Purpose) -> Result<()> {
    check_shared(net, cells, [batch, 1], purpose, 1)
}

/// As [`check_system`], of so many networks side by side, for so many samples in so many parts, each of which
/// has gradients of its own.
///
/// # Errors
/// As there.
pub fn check_shared(
    net: &UNet,
    cells: usize,
    [samples, parts]: [usize; 2],
    purpose: Purpose,
    networks: usize,
) -> Result<()> {
    let batch = samples.saturating_mul(parts);
    let Some(available) = available().map(|available| available / networks as u64) else { return Ok(()) };
    let fixed = fixed_bytes(net, parts) + working_bytes(net, cells, batch, purpose);
    let fits = available.saturating_sub(fixed) / bytes_per_sample(net, cells, purpose);
    if batch as u64 <= fits {
        return Ok(());
    }
    let why = format!("does not fit into the {} MiB of memory that are available", available >> 20);
    Err(match fits {
        0 => Error::usage(format!(
            "batch {batch}: {why}; even a batch of 1 does not; use fewer filters or a smaller size"
        )),
        fits => Error::BatchTooLarge { batch, why, fits: fits as usize },
    })
}

/// About the bytes that the arrays of so many samples of `cells` cells, in so many parts, take of the
/// system's memory.
pub fn system_bytes(net: &UNet, cells: usize, [samples, parts]: [usize; 2], purpose: Purpose) -> u64 {
    let batch = samples * parts;
    fixed_bytes(net, parts)
        + working_bytes(net, cells, batch, purpose)
        + batch as u64 * bytes_per_sample(net, cells, purpose)
}

/// Parameters, moments, the copy of the last good ones, and gradients: their sum, those of each part, and
/// what goes of these to other processes.
fn fixed_bytes(net: &UNet, parts: usize) -> u64 {
    4 * (5 + 2 * parts as u64) * net.param_count as u64
}

/// What the CPU engine has at hand: the weights of all layers at Winograd's 36 points in the place of 9 taps,
/// and for every thread that has a sample what it makes of it, with the points of its tiles and of the
/// weights' gradient. `src/cpu/fast/` has these arrays.
fn working_bytes(net: &UNet, cells: usize, batch: usize, purpose: Purpose) -> u64 {
    let most = |floats: &dyn Fn(&Conv) -> usize| net.convs.iter().map(floats).max().unwrap_or(0) as u64;
    let read = most(&|c| c.c_in * (cells >> (2 * c.level)));
    let made = most(&|c| c.c_out * (cells >> (2 * c.level)));
    // Points of 48 tiles and one of room, in groups of 16 channels.
    let tiles = 36 * 49 * (most(&|c| c.c_in.next_multiple_of(16)) + most(&|c| c.c_out.next_multiple_of(16)));
    let per_thread = match purpose {
        Purpose::Training(_) => 2 * read + 2 * made + tiles + (36 + 9) * most(&|c| c.c_in * c.c_out),
        Purpose::Prediction => read + made + tiles,
        Purpose::Fields => return 0,
    };
    let threads = batch.min(rayon::current_num_threads()) as u64;
    4 * (4 * net.param_count as u64 + threads * per_thread)
}

/// In f64 where the physics may be, else in f32.
fn bytes_per_sample(net: &UNet, cells: usize, purpose: Purpose) -> u64 {
    // The CPU engine has room for eight channels where there are four.
    let z = |c: &Conv| (c.c_out.next_multiple_of(8) * (cells >> (2 * c.level))) as u64;
    let layers: u64 = net.convs.iter().map(z).sum();
    let sums: u64 = net.blocks.iter().map(|b| ((b.c_in + b.c_out) * (cells >> (2 * b.level))) as u64).sum();
    let widest = net.convs.iter().map(|c| c.c_in * c.c_out).max().unwrap_or(0) as u64;
    match purpose {
        Purpose::Training(storage) => {
            3 * storage.bytes() as u64 * layers + 2 * 4 * sums + 4 * 9 * widest + 8 * 12 * cells as u64
        }
        Purpose::Prediction => 4 * (layers + sums + 3 * cells as u64),
        Purpose::Fields => 8 * 5 * cells as u64,
    }
}

/// Builds for `batch`; where the device runs out of memory, finds the largest batch that builds and names it.
pub fn build_or_name_largest<T>(batch: usize, build: impl Fn(usize) -> Result<T>) -> Result<T> {
    let message = match build(batch) {
        Err(Error::OutOfMemory(message)) => message,
        other => return other,
    };
    let (mut fits, mut too_large) = (0, batch);
    while too_large - fits > 1 {
        let middle = fits + (too_large - fits) / 2;
        match build(middle) {
            Ok(_) => fits = middle,
            Err(Error::OutOfMemory(_)) => too_large = middle,
            Err(other) => return Err(other),
        }
    }
    match fits {
        0 => Err(Error::OutOfMemory(format!(
            "{message}, even for a batch of 1; use fewer filters or a smaller size"
        ))),
        fits => Err(Error::BatchTooLarge { batch, why: message, fits }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::UNetConfig;

    #[test]
    fn an_absurd_batch_is_refused_and_a_small_one_passes() {
        let net = UNet::new(&UNetConfig::default());
        for purpose in [Purpose::Training(DType::F16), Purpose::Prediction] {
            check_system(&net, 4096, 1, purpose).unwrap();
            let message = check_system(&net, 4096, 1 << 40, purpose).unwrap_err().to_string();
            assert!(message.contains("largest batch that fits is"), "{message}");
        }
    }

    #[test]
    fn the_largest_batch_that_builds_is_named() {
        let build =
            |batch: usize| if batch <= 77 { Ok(batch) } else { Err(Error::OutOfMemory("full".to_owned())) };
        assert_eq!(build_or_name_largest(77, build).unwrap(), 77);
        for batch in [78, 128, 10_000] {
            let message = build_or_name_largest(batch, build).unwrap_err().to_string();
            assert!(message.ends_with("the largest batch that fits is 77"), "{message}");
        }
        let never = |_| -> Result<()> { Err(Error::OutOfMemory("full".to_owned())) };
        assert!(build_or_name_largest(9, never).unwrap_err().to_string().contains("even for a batch of 1"));
    }
}
