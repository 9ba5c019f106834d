//! Progress of a propagation, and how to stop it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Told after every slice of a propagation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Slices done so far.
    pub done: usize,
    /// Slices to do at most; fewer are done where the target ends early.
    pub total: usize,
    /// The slice just segmented.
    pub slice: usize,
    /// The segment it was segmented for.
    pub segment: u32,
}

/// Stops a running propagation from any thread.
#[derive(Debug, Clone, Default)]
pub struct CancelToken(Arc<AtomicBool>);

impl CancelToken {
    /// Asks the call that is running to stop before its next slice.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// Forgets an earlier request; every propagation starts with this.
    pub fn clear(&self) {
        self.0.store(false, Ordering::Release);
    }

    /// Whether a stop was asked for.
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}
