//! Target of an experiment.

use crate::volume::Volume;

/// The segment that is drawn.
pub(crate) const SEGMENT: u32 = 1;

/// One label of one case.
#[derive(Debug, Clone)]
pub struct Target<'a> {
    /// Name of the case.
    pub case: String,
    /// The label.
    pub label: u32,
    /// The image.
    pub volume: &'a Volume,
    /// Where the label is: 0 or 1, `[depth, height, width]`.
    pub reference: Vec<u8>,
}
