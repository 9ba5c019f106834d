//! Processes that are forked after the library used several threads or CUDA: the threads are not in them, and a call
//! would wait for them for ever. With one thread, a forked process can go on.

use crate::error::{Error, Result};
use std::sync::atomic::{AtomicU32, Ordering};

/// The process that used several threads or CUDA; 0 before.
static OWNER: AtomicU32 = AtomicU32::new(0);

/// Notes that this process uses several threads or CUDA.
pub(super) fn used() {
    let _ = OWNER.compare_exchange(0, std::process::id(), Ordering::Relaxed, Ordering::Relaxed);
}

/// # Errors
/// [`Error::InvalidState`] in a process that was forked after [`used`].
pub(super) fn check() -> Result<()> {
    match OWNER.load(Ordering::Relaxed) {
        0 => Ok(()),
        owner if owner == std::process::id() => Ok(()),
        owner => Err(Error::InvalidState(format!(
            "this process was forked from process {owner} after mem3d used several threads or CUDA there, and cannot \
             use it; start child processes with exec (in Python, multiprocessing's \"spawn\"), or set the number of \
             threads to 1 before the first use"
        ))),
    }
}
