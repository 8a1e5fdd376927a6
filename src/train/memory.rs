//! Whether a batch fits into memory, and which would.

use crate::model::{HeatEquation, UNet};
use crate::{Error, Result};

/// Refuses a batch whose arrays would not fit into the memory that the system has available now. For the CPU
/// engine and software GPUs; their allocations succeed and the system runs out later.
pub fn check_system(net: &UNet, heat: &HeatEquation, batch: usize) -> Result<()> {
    let mut system = sysinfo::System::new();
    system.refresh_memory();
    let fits = system.available_memory() / bytes_per_sample(net, heat);
    if batch as u64 <= fits {
        return Ok(());
    }
    Err(Error::usage(format!(
        "batch {batch}: does not fit into the {} MiB of memory that are available; the largest batch that fits is {fits}",
        system.available_memory() >> 20,
    )))
}

/// Output and gradient of every layer, and the fields around the network, in f32.
fn bytes_per_sample(net: &UNet, heat: &HeatEquation) -> u64 {
    let values = |level: usize, channels: usize| (channels * (heat.cells() >> (2 * level))) as u64;
    let layers: u64 = net.convs.iter().map(|c| 2 * values(c.level, c.c_out)).sum();
    4 * (layers + values(0, 10))
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
    Err(Error::usage(format!("batch {batch}: {message}; the largest batch that fits is {fits}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::UNetConfig;

    #[test]
    fn an_absurd_batch_is_refused_and_a_small_one_passes() {
        let net = UNet::new(&UNetConfig::default());
        let heat = HeatEquation::new(64, 64, 8.0).unwrap();
        check_system(&net, &heat, 1).unwrap();
        let message = check_system(&net, &heat, 1 << 40).unwrap_err().to_string();
        assert!(message.contains("largest batch that fits is"), "{message}");
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
    }
}
