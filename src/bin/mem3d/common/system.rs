//! What the standard library lacks of the system.

#![allow(unsafe_code, reason = "calls of the C library")]

/// Ends the process at once. [`std::process::exit`] would destroy what other threads compute with in libtorch.
pub fn end(status: i32) -> ! {
    // SAFETY: it ends the process and runs no code of it.
    unsafe { libc::_exit(status) }
}

/// Makes a file beyond a limit of its size (`ulimit -f`) an error of the write. By default it ends the process.
pub fn report_large_files() {
    #[cfg(unix)]
    // SAFETY: no code of this process runs for an ignored signal.
    unsafe {
        libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
    }
}
