//! How much memory this process may still take.

/// Bytes that the system has available, or a container's limit leaves; none where the system does not say.
pub(crate) fn available() -> Option<u64> {
    let mut system = sysinfo::System::new();
    system.refresh_memory();
    let limit = system.cgroup_limits().map_or(u64::MAX, |limits| limits.free_memory);
    Some(system.available_memory().min(limit)).filter(|&bytes| bytes > 0)
}
