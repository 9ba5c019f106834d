//! Every rule about the end of a target: which slices are empty, where chains stop, and how far the end is trusted.
//!
//! Thresholds that users may set are fields of [`SessionOptions`]. The paper has no such rules: its chains run to the
//! end of the volume.
//!
//! | where | rule |
//! |---|---|
//! | chain | [`content`]: a slice holds the target, is empty, or lies beyond the end |
//! | chain | [`EmptyRun`]: a chain ends after several empty slices; a target that appears again has no holes |
//! | blend | [`quality_beyond`]: quality of slices that a chain does not reach |
//! | refinement | [`slices_to_refine`], [`refined`]: how far masks may grow beyond the end; small ones are removed |
//! | calibration | [`most_certain`]: how far an empty slice is trusted, by its distance from the nearest mask |

use super::outcome::Estimate;
use crate::engine::session::options::SessionOptions;
use crate::slice::plane::Plane;
use std::ops::Range;

/// Slices beyond the last mask of an open interval that refinement may fill. Chosen.
const REFINED_BEYOND: usize = 2;
/// Factor of the doubt about an empty slice with every slice beyond the last one of a chain. Chosen: slower decay ranks
/// qualities slightly better and suggests worse slices (docs/experiments.md, "Quality" and "Suggestion").
const DOUBT_DECAY: f32 = 0.5;
/// Factor of the least doubt about an empty slice with every diameter of the target between it and the nearest mask.
/// Chosen.
const LEAST_DOUBT_DECAY: f32 = 0.5;

/// What a slice of a chain holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Content {
    /// The target.
    Target,
    /// No mask, or one that is too small or too improbable.
    Empty,
    /// A mask, but probably of something else beyond the end of the target. It counts as empty.
    BeyondEnd,
}

impl Content {
    pub fn is_target(self) -> bool {
        self == Content::Target
    }

    /// Whether the slice is memorized. One that may be called empty by mistake is not: in memory it would make the
    /// slices after it empty, too.
    pub fn is_memorized(self) -> bool {
        self != Content::BeyondEnd
    }

    /// The quality of the slice, from the quality head's estimate of the mask's IoU and the presence of the target.
    pub fn quality(self, iou: f32, presence: f32) -> f32 {
        if self.is_target() { iou } else { 1.0 - presence }
    }
}

/// What a slice holds whose probabilities are `plane`. `presence`: estimated probability that it holds the target;
/// `last_area`: area of the chain's last mask, pixels; `target_ahead`: an annotated slice with the target lies ahead,
/// and so the target does not end before it.
pub(super) fn content(
    plane: &Plane,
    presence: f32,
    last_area: usize,
    target_ahead: bool,
    options: &SessionOptions,
) -> Content {
    if !has_mask(plane, last_area, options) {
        Content::Empty
    } else if !target_ahead && f64::from(presence) < options.least_presence {
        Content::BeyondEnd
    } else {
        Content::Target
    }
}

/// Whether a mask is probable enough somewhere, and not tiny beside the chain's last one.
fn has_mask(plane: &Plane, last_area: usize, options: &SessionOptions) -> bool {
    let area = plane.area();
    area > 0
        && area >= options.min_area
        && f64::from(plane.largest()) / 255.0 >= options.presence_probability
        && area as f64 >= options.presence_area_fraction * last_area as f64
}

/// The slices of a chain since the last one with the target.
#[derive(Debug, Default)]
pub(super) struct EmptyRun {
    slices: usize,
    /// Masks that the networks give for those that count as [`Content::BeyondEnd`].
    removed: Vec<Estimate>,
}

impl EmptyRun {
    /// Whether the last slice holds the target.
    pub fn is_over(&self) -> bool {
        self.slices == 0
    }

    /// Whether the chain ends with one further slice that holds `content`.
    pub fn ends_with(&self, content: Content, options: &SessionOptions) -> bool {
        !content.is_target() && options.stop_after_empty > 0 && self.slices + 1 >= options.stop_after_empty
    }

    /// Adds an empty slice; `removed` is the mask that the networks give for it, if it counts as beyond the end.
    pub fn add(&mut self, removed: Option<Estimate>) {
        self.slices += 1;
        self.removed.extend(removed);
    }

    /// Ends the run with a slice that holds the target. A target has no holes between slices, so that the masks removed
    /// in between are valid: they are returned.
    pub fn end(&mut self) -> Vec<Estimate> {
        self.slices = 0;
        std::mem::take(&mut self.removed)
    }
}

/// Quality of an empty slice `slices` beyond the last one of a chain, whose quality is `last`: the doubt about the end,
/// 1 - quality, halves with every slice.
pub(super) fn quality_beyond(last: f32, slices: usize) -> f32 {
    1.0 - (1.0 - last) * DOUBT_DECAY.powi(slices.min(60) as i32)
}

/// The slices of an interval that are refined: all of a closed one; of an open one those with a mask and
/// [`REFINED_BEYOND`] on both sides, none if there is no mask.
pub(crate) fn slices_to_refine(slices: &[Estimate], closed: bool) -> Option<Range<usize>> {
    let has_mask = |estimate: &Estimate| !estimate.plane.is_empty();
    if closed {
        return Some(0..slices.len());
    }
    let (first, last) = (slices.iter().position(has_mask)?, slices.iter().rposition(has_mask)?);
    Some(first.saturating_sub(REFINED_BEYOND)..(last + 1 + REFINED_BEYOND).min(slices.len()))
}

/// The estimate with refined probabilities. A mask with fewer than `min_area` pixels is removed; where a slice becomes
/// empty or stops being so, its quality is the former doubt.
pub(crate) fn refined(estimate: &Estimate, plane: Plane, options: &SessionOptions) -> Estimate {
    let plane = if plane.area() < options.min_area { Plane::default() } else { plane };
    let changed = (plane.area() > 0) != (estimate.plane.area() > 0);
    let quality = if changed { 1.0 - estimate.quality } else { estimate.quality };
    Estimate { slice: estimate.slice, plane, quality }
}

/// Largest calibrated quality of an empty slice. `diameters`: distance to the nearest mask in diameters of the target;
/// `least_doubt`: doubt beside the mask, from the model's header.
pub(crate) fn most_certain(diameters: f32, least_doubt: f32) -> f32 {
    1.0 - least_doubt * LEAST_DOUBT_DECAY.powf(diameters)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A plane of one row with `area` pixels of the value.
    fn plane(area: usize, value: u8) -> Plane {
        Plane::from_dense(&vec![value; area.max(1)], area.max(1))
    }

    fn estimate(slice: usize, area: usize, quality: f32) -> Estimate {
        Estimate { slice, plane: plane(area, if area > 0 { 255 } else { 0 }), quality }
    }

    #[test]
    fn a_slice_is_empty_when_its_mask_is_small_or_improbable_or_beyond_the_end() {
        let options = SessionOptions { min_area: 4, presence_area_fraction: 0.02, ..SessionOptions::default() };
        let of = |plane: &Plane, presence, last_area, ahead| content(plane, presence, last_area, ahead, &options);
        assert_eq!(of(&plane(4, 128), 0.8, 200, false), Content::Target);
        assert_eq!(of(&plane(3, 255), 1.0, 100, true), Content::Empty);
        // 4 pixels are less than 2 % of 201.
        assert_eq!(of(&plane(4, 255), 1.0, 201, true), Content::Empty);
        assert_eq!(of(&plane(9, 127), 1.0, 10, true), Content::Empty);
        assert_eq!(of(&plane(9, 255), 0.79, 10, false), Content::BeyondEnd);
        assert_eq!(of(&plane(9, 255), 0.79, 10, true), Content::Target);
        assert_eq!(
            [Content::Target, Content::Empty, Content::BeyondEnd].map(|c| c.quality(0.25, 0.375)),
            [0.25, 0.625, 0.625]
        );
        assert!(Content::Empty.is_memorized() && !Content::BeyondEnd.is_memorized());
    }

    #[test]
    fn a_chain_ends_after_three_empty_slices_and_gets_masks_back_when_the_target_appears_again() {
        let options = SessionOptions { stop_after_empty: 3, ..SessionOptions::default() };
        let mut run = EmptyRun::default();
        run.add(None);
        assert!(!run.ends_with(Content::BeyondEnd, &options) && !run.is_over());
        run.add(Some(estimate(7, 5, 0.5)));
        assert!(run.ends_with(Content::Empty, &options) && !run.ends_with(Content::Target, &options));
        assert!(!run.ends_with(Content::Empty, &SessionOptions { stop_after_empty: 0, ..options }));
        assert_eq!(run.end().iter().map(|e| e.slice).collect::<Vec<_>>(), [7]);
        assert!(run.is_over() && run.end().is_empty());
    }

    #[test]
    fn doubt_halves_beyond_the_end() {
        assert!((quality_beyond(0.6, 1) - 0.8).abs() < 1e-6);
        assert!((quality_beyond(0.6, 2) - 0.9).abs() < 1e-6);
        assert!((most_certain(0.0, 0.15) - 0.85).abs() < 1e-6);
        assert!((most_certain(2.0, 0.16) - 0.96).abs() < 1e-6);
    }

    #[test]
    fn refinement_reaches_two_slices_beyond_masks_and_removes_specks() {
        let slices: Vec<Estimate> =
            [0, 0, 0, 9, 9, 0, 0, 0, 0].into_iter().enumerate().map(|(k, area)| estimate(k, area, 0.9)).collect();
        assert_eq!(slices_to_refine(&slices, false), Some(1..7));
        assert_eq!(slices_to_refine(&slices, true), Some(0..9));
        assert_eq!((slices_to_refine(&slices[..2], false), slices_to_refine(&slices[2..5], false)), (None, Some(0..3)));
        let options = SessionOptions { min_area: 4, ..SessionOptions::default() };
        let speck = refined(&slices[3], plane(3, 255), &options);
        assert!(speck.plane.is_empty() && (speck.quality - 0.1).abs() < 1e-6);
        let grown = refined(&slices[0], plane(4, 255), &options);
        assert!(grown.plane.area() == 4 && (grown.quality - 0.1).abs() < 1e-6);
        assert_eq!(refined(&slices[3], plane(8, 255), &options).quality, 0.9);
    }
}
