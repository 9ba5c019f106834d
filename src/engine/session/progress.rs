//! Progress of a propagation, and how to stop it.

use crate::slice::plane::{Plane, mask_of};
use crate::volume::SliceMask;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

/// Progress of a propagation, reported after every slice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Slices done so far.
    pub done: usize,
    /// Most slices to do; chains that end early do fewer.
    pub total: usize,
    /// The slice just segmented.
    pub slice: usize,
    /// The segment it was segmented for.
    pub segment: u32,
}

/// The mask of the slice just segmented, before blending and refinement.
#[derive(Debug, Clone, Copy)]
pub struct Preview<'a> {
    pub(crate) plane: &'a Plane,
    pub(crate) rows: usize,
    pub(crate) cols: usize,
}

impl Preview<'_> {
    /// The mask.
    pub fn mask(&self) -> SliceMask {
        let mut dense = vec![0; self.rows * self.cols];
        self.plane.write_dense(&mut dense, self.cols);
        mask_of(&dense, self.rows, self.cols)
    }
}

/// Stops a running propagation from any thread.
#[derive(Debug, Clone, Default)]
pub struct CancelToken(Arc<AtomicU8>);

/// Bit of a request to stop one call.
const ONCE: u8 = 1;
/// Bit of a request to stop every call.
const FOR_GOOD: u8 = 2;

impl CancelToken {
    /// Requests that the running call stops before its next slice.
    pub fn cancel(&self) {
        self.0.fetch_or(ONCE, Ordering::AcqRel);
    }

    /// Requests that the running call and all later ones stop before their next slice: the session is being freed.
    pub fn close(&self) {
        self.0.fetch_or(FOR_GOOD, Ordering::AcqRel);
    }

    /// Clears earlier requests of [`CancelToken::cancel`]; every propagation starts with this.
    pub fn clear(&self) {
        self.0.fetch_and(!ONCE, Ordering::AcqRel);
    }

    /// Whether a stop is requested.
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Acquire) != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_cleared_and_a_close_stays() {
        let token = CancelToken::default();
        let same = token.clone();
        same.cancel();
        assert!(token.is_cancelled());
        token.clear();
        assert!(!same.is_cancelled());
        same.close();
        token.clear();
        assert!(token.is_cancelled());
        token.cancel();
        token.clear();
        assert!(same.is_cancelled());
    }
}
