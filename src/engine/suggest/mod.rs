//! Calibrated quality of every slice, and the slice to correct next (paper §2.3).

pub(crate) mod calibration;
pub(crate) mod gain;
