//! Whether a process was started to outlive its terminal.

/// Whether this process was started to outlive its terminal, as nohup does: what is caught is no longer
/// ignored.
#[cfg(target_os = "linux")]
pub(super) fn is_ignored() -> bool {
    std::fs::read_to_string("/proc/self/status").is_ok_and(|status| is_ignored_in(&status))
}

/// The same of what Linux tells of a process: signals are bits, the first of them is this one.
#[cfg(any(target_os = "linux", test))]
fn is_ignored_in(status: &str) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 1 == 1)
}

/// No safe call tells elsewhere. nohup never leaves standard output or standard error on a terminal, and
/// who has neither there does not notice that it goes.
#[cfg(not(target_os = "linux"))]
pub(super) fn is_ignored() -> bool {
    use std::io::IsTerminal;
    !std::io::stdout().is_terminal() && !std::io::stderr().is_terminal()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_bit_of_the_ignored_signals_is_that_of_a_hang_up() {
        let status = |mask: &str| format!("Name:\tunheat\nSigBlk:\t0000000000000001\nSigIgn:\t{mask}\n");
        assert!(is_ignored_in(&status("0000000000000001")));
        assert!(is_ignored_in(&status("0000000000001003")));
        assert!(!is_ignored_in(&status("0000000000001002")));
        assert!(!is_ignored_in("Name:\tunheat\n"));
    }
}
