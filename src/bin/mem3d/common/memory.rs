//! Memory of this process, on Linux.

/// A line of `/proc/self/status`, MB; 0 without it.
pub fn status_mb(field: &str) -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|l| l.starts_with(field));
    line.and_then(|l| l.split_whitespace().nth(1)?.parse::<f64>().ok()).unwrap_or(0.0) * 1024.0 / 1e6
}

/// Largest memory since [`reset_peak`], MB; none on other systems.
pub fn peak_mb() -> Option<f64> {
    Some(status_mb("VmHWM:")).filter(|mb| *mb > 0.0)
}

/// Makes the kernel count the peak from now on; without it the peak is that of the whole run, which is larger.
pub fn reset_peak() {
    let _ = std::fs::write("/proc/self/clear_refs", "5");
}
