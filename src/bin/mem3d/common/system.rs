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

/// Runs `install`, which sets handlers of signals. Those that this process was started to ignore stay ignored: `nohup`
/// does so with SIGHUP, and a script's shell with SIGINT of what it starts by `&`.
pub fn keeping_ignored<T>(install: impl FnOnce() -> T) -> T {
    #[cfg(unix)]
    let ignored = [libc::SIGHUP, libc::SIGINT, libc::SIGTERM].map(|signal| (signal, is_ignored(signal)));
    let installed = install();
    #[cfg(unix)]
    for (signal, _) in ignored.into_iter().filter(|(_, is_ignored)| *is_ignored) {
        // SAFETY: no code of this process runs for an ignored signal.
        unsafe {
            libc::signal(signal, libc::SIG_IGN);
        }
    }
    installed
}

#[cfg(unix)]
fn is_ignored(signal: libc::c_int) -> bool {
    let mut now = std::mem::MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: without a new action, the present one is written to `now` when the call succeeds, and nothing is changed.
    unsafe {
        libc::sigaction(signal, std::ptr::null(), now.as_mut_ptr()) == 0
            && now.assume_init().sa_sigaction == libc::SIG_IGN
    }
}
