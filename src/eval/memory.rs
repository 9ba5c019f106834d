//! Peak memory of this process, on Linux.

/// A line of `/proc/self/status`, MB; 0 without it.
fn status_mb(field: &str) -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|l| l.starts_with(field));
    line.and_then(|l| l.split_whitespace().nth(1)?.parse::<f64>().ok()).unwrap_or(0.0) * 1024.0 / 1e6
}

/// Peak memory since [`reset_peak`], MB; 0 on other systems.
pub(crate) fn peak_mb() -> f64 {
    status_mb("VmHWM:")
}

/// Resets the peak; where that is impossible, the peak is that of the whole run.
pub(crate) fn reset_peak() {
    let _ = std::fs::write("/proc/self/clear_refs", "5");
}
