//! How much memory this process may still take.

pub mod batch;

/// Bytes that the system has available, or that a limit of the container or the process leaves; none where
/// the system does not say.
#[cfg(not(target_family = "wasm"))]
pub(crate) fn available() -> Option<u64> {
    let mut system = sysinfo::System::new();
    system.refresh_memory();
    let container = system.cgroup_limits().map(|limits| limits.free_memory);
    let machine = Some(system.available_memory()).filter(|&bytes| bytes > 0);
    [machine, container, own_limit()].into_iter().flatten().min()
}

/// Half of what 32-bit addresses reach: a page makes something new before it drops the old. A browser does
/// not say how much less it grants.
#[cfg(target_family = "wasm")]
pub(crate) fn available() -> Option<u64> {
    Some(2 << 30)
}

/// What threads that are not started yet, and the allocator, take of a process's own limit.
#[cfg(not(target_family = "wasm"))]
const RESERVE: u64 = 24 << 20;

/// What the process's own limits (`ulimit -v`, `ulimit -d`) leave. Linux alone tells without an unsafe call.
#[cfg(not(target_family = "wasm"))]
fn own_limit() -> Option<u64> {
    let limits = std::fs::read_to_string("/proc/self/limits").ok()?;
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    Some(left(&limits, &status)?.saturating_sub(RESERVE))
}

#[cfg(not(target_family = "wasm"))]
fn left(limits: &str, status: &str) -> Option<u64> {
    let rest = |limit: &str, used: &str| {
        let limit = limits.lines().find_map(|line| line.strip_prefix(limit))?.split_whitespace().next()?;
        let used = status.lines().find_map(|line| line.strip_prefix(used))?.split_whitespace().next()?;
        // "unlimited" is no number.
        Some(limit.parse::<u64>().ok()?.saturating_sub(1024 * used.parse::<u64>().ok()?))
    };
    [rest("Max address space", "VmSize:"), rest("Max data size", "VmData:")].into_iter().flatten().min()
}

/// Bytes in words: "31 GiB", "1.5 MiB".
pub(crate) fn words(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    let mut value = bytes as f64 / 1024.0;
    let mut unit = 0;
    while value >= 1000.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    if value < 10.0 { format!("{value:.1} {}", UNITS[unit]) } else { format!("{value:.0} {}", UNITS[unit]) }
}

/// That more bytes are needed than are available, if so, as the beginning of a message.
pub(crate) fn check(needed: u64) -> Result<(), String> {
    let Some(free) = available().filter(|&free| needed > free) else { return Ok(()) };
    Err(format!("needs {} of memory, {} are available", words(needed), words(free)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tightest_limit_counts_less_what_is_in_use() {
        let limits = |space: &str, data: &str| {
            format!(
                "Limit                     Soft Limit           Hard Limit           Units\n\
                 Max data size             {data}            unlimited            bytes\n\
                 Max address space         {space}            unlimited            bytes\n"
            )
        };
        let status = "Name:\tx\nVmSize:\t    2048 kB\nVmData:\t     1024 kB\n";
        assert_eq!(left(&limits("unlimited", "unlimited"), status), None);
        assert_eq!(left(&limits("3145728", "unlimited"), status), Some(1 << 20));
        assert_eq!(left(&limits("3145728", "1048577"), status), Some(1));
        assert_eq!(left(&limits("1024", "unlimited"), status), Some(0));
        assert!(available().is_some_and(|bytes| bytes > 0));
    }

    #[test]
    fn bytes_are_told_in_units_that_fit() {
        assert_eq!(words(33_000_000_000), "31 GiB");
        assert_eq!(words(3 << 19), "1.5 MiB");
        assert_eq!(words(100), "0.1 KiB");
    }
}
