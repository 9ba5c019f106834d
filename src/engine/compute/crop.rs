//! A slice in a region of interest and an intensity window: the key of its features.

use crate::slice::region::Roi;

/// What the networks receive of a slice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Crop {
    /// Slice number.
    pub slice: usize,
    /// Region of interest.
    pub roi: Roi,
    /// Bits of the window's ends, which make the crop a key.
    window: [u64; 2],
}

impl Crop {
    /// The region of interest of a slice, with the intensities of `window` mapped to 0..1.
    pub fn new(slice: usize, roi: Roi, window: (f64, f64)) -> Crop {
        Crop { slice, roi, window: [window.0.to_bits(), window.1.to_bits()] }
    }

    /// The intensities that become 0 and 1.
    pub fn window(&self) -> (f64, f64) {
        (f64::from_bits(self.window[0]), f64::from_bits(self.window[1]))
    }
}
