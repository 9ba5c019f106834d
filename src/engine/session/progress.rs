//! Progress of a propagation, and how to stop it.

use crate::slice::plane::{Plane, mask_of};
use crate::volume::SliceMask;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

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
pub struct CancelToken(Arc<AtomicBool>);

impl CancelToken {
    /// Requests that the running call stops before its next slice.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// Clears an earlier request; every propagation starts with this.
    pub fn clear(&self) {
        self.0.store(false, Ordering::Release);
    }

    /// Whether a stop is requested.
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}
