//! A simulated user, who knows the reference mask of a slice and draws on it.
//!
//! Interactions are those of the paper's experiments (§3.1): a scribble, a box or extreme points on a first slice, then
//! clicks or scribbles where the mask is most wrong. Drawings depend on the seed alone. Training and `mem3d evaluate`
//! use the same user.

use super::components::{bounds, components, mask_of};
use super::scribble::{self, Course};
use crate::engine::{Interaction, Stroke};
use crate::nn::InteractionKind;
use crate::slice::distance::depth_inside;
use crate::slice::grid::SliceGrid;
use crate::slice::region::PixelBox;
use crate::volume::{SliceAxis, SliceMask};
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Largest distance of a box from the target on each side, as a share of the target's side. Chosen.
const BOX_SLACK: f64 = 0.1;
/// Largest distance of an extreme point from the extremum, pixels. Chosen.
const EXTREME_PIXELS: f64 = 5.0;
/// The same as a share of the target's side, for small targets. Chosen.
const EXTREME_SHARE: f64 = 0.1;
/// Least depth of a click in the target, as a share of the largest depth. Chosen.
const CLICK_DEPTH: f64 = 0.7;
/// Parts with at least this share of the target's area get a stroke each. Chosen.
const PART_SHARE: f64 = 0.1;
/// Largest number of such parts. Chosen.
const MOST_PARTS: usize = 3;

/// Where an interaction is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Segment it is drawn for.
    pub segment: u32,
    /// Axis the slice is cut along.
    pub axis: SliceAxis,
    /// Slice number.
    pub slice: usize,
}

/// A simulated user.
#[derive(Debug, Clone)]
pub struct RobotUser {
    rng: ChaCha8Rng,
    jitter: bool,
}

impl RobotUser {
    /// A user whose drawings depend on `seed`. Without `jitter` boxes and extreme points are exact, scribbles follow
    /// the centre line without gaps, and clicks lie in the middle.
    pub fn new(seed: u64, jitter: bool) -> RobotUser {
        RobotUser { rng: ChaCha8Rng::seed_from_u64(seed), jitter }
    }

    /// Draws on a slice whose target is `reference`; `None` when the slice holds none of it.
    ///
    /// # Shapes
    /// `reference`: the shape of `grid`.
    pub fn first(
        &mut self,
        kind: InteractionKind,
        reference: &SliceMask,
        grid: &SliceGrid,
        place: Place,
    ) -> Option<Interaction> {
        let target = bounds(reference)?;
        let stroke = match kind {
            InteractionKind::Scribble => {
                let parts = components(reference);
                let least = PART_SHARE * reference.area() as f64;
                let parts = parts.into_iter().take(MOST_PARTS).filter(|p| p.len() as f64 >= least);
                let courses = [Course::Line, Course::CentreLine, Course::Contour];
                let mut drawn = SliceMask::zeros(reference.rows, reference.cols);
                for part in parts {
                    let stroke = self.scribble(&mask_of(&part, reference), grid, &courses);
                    drawn.data.iter_mut().zip(&stroke.data).for_each(|(d, &s)| *d |= s);
                }
                Stroke::Raster(drawn)
            }
            InteractionKind::Click => points(&[self.middle(reference, grid)], place),
            InteractionKind::Box => points(&self.corners(target, grid), place),
            InteractionKind::ExtremePoints => points(&self.extremes(reference, target), place),
        };
        Some(interaction(kind, true, stroke, place))
    }

    /// Corrects `mask` where it is most wrong: in the middle of its largest error, by a click or a scribble (`kind`);
    /// positive where target is missing, negative where there is too much. Missing and superfluous pixels that touch
    /// are different errors. `None` when there is no error.
    ///
    /// # Shapes
    /// `mask`, `reference`: the shape of `grid`.
    ///
    /// # Panics
    /// When `kind` is a box or extreme points: they cannot correct.
    pub fn correct(
        &mut self,
        kind: InteractionKind,
        mask: &SliceMask,
        reference: &SliceMask,
        grid: &SliceGrid,
        place: Place,
    ) -> Option<Interaction> {
        let error = |wrong: fn(bool, bool) -> bool| {
            let pixels = mask.data.iter().zip(&reference.data);
            let data = pixels.map(|(&m, &r)| u8::from(wrong(m != 0, r != 0))).collect();
            let all = SliceMask { rows: mask.rows, cols: mask.cols, data };
            components(&all).first().map(|part| mask_of(part, mask))
        };
        let missing = error(|m, r| !m && r);
        let superfluous = error(|m, r| m && !r);
        let area = |e: &Option<SliceMask>| e.as_ref().map_or(0, SliceMask::area);
        let positive = area(&missing) >= area(&superfluous);
        let part = if positive { missing } else { superfluous }?;
        let stroke = match kind {
            InteractionKind::Click => points(&[self.middle(&part, grid)], place),
            InteractionKind::Scribble => {
                Stroke::Raster(self.scribble(&part, grid, &[Course::Line, Course::CentreLine]))
            }
            other => panic!("{other:?} cannot correct; use a click or a scribble"),
        };
        Some(interaction(kind, positive, stroke, place))
    }

    fn scribble(&mut self, part: &SliceMask, grid: &SliceGrid, courses: &[Course]) -> SliceMask {
        if !self.jitter {
            return scribble::draw(part, grid, Course::CentreLine, None);
        }
        let course = *courses.choose(&mut self.rng).expect("there are courses");
        scribble::draw(part, grid, course, Some(&mut self.rng))
    }

    /// The deepest pixel, or one that is nearly as deep.
    fn middle(&mut self, mask: &SliceMask, grid: &SliceGrid) -> (f64, f64) {
        let depth = depth_inside(mask, grid);
        let most = depth.iter().copied().fold(0.0, f64::max);
        let least = if self.jitter { CLICK_DEPTH * most } else { most };
        let deep: Vec<usize> = (0..depth.len()).filter(|&i| depth[i] >= least).collect();
        let i =
            if self.jitter { *deep.choose(&mut self.rng).expect("the deepest is deep") } else { deep[deep.len() / 2] };
        ((i / mask.cols) as f64, (i % mask.cols) as f64)
    }

    /// Two opposite corners: edges of pixels, hence halves.
    fn corners(&mut self, target: PixelBox, grid: &SliceGrid) -> [(f64, f64); 2] {
        let mut side = |low: usize, high: usize, n: usize| {
            let mut slack = || if self.jitter { self.rng.gen_range(0.0..=BOX_SLACK) } else { 0.0 };
            let length = (high - low) as f64;
            let low = low as f64 - 0.5 - slack() * length;
            let high = high as f64 - 0.5 + slack() * length;
            (low.max(-0.5), high.min(n as f64 - 0.5))
        };
        let rows = side(target.top, target.bottom, grid.rows);
        let cols = side(target.left, target.right, grid.cols);
        [(rows.0, cols.0), (rows.1, cols.1)]
    }

    /// Top, bottom, left- and right-most point.
    fn extremes(&mut self, mask: &SliceMask, target: PixelBox) -> [(f64, f64); 4] {
        let slack = |length: usize| {
            if self.jitter { EXTREME_PIXELS.min(EXTREME_SHARE * length as f64) as usize } else { 0 }
        };
        let (row_slack, col_slack) = (slack(target.bottom - target.top), slack(target.right - target.left));
        let inside: Vec<(usize, usize)> =
            (0..mask.data.len()).filter(|&i| mask.data[i] != 0).map(|i| (i / mask.cols, i % mask.cols)).collect();
        let mut choose = |near: &dyn Fn(&(usize, usize)) -> bool| {
            let near: Vec<_> = inside.iter().copied().filter(near).collect();
            let p = if self.jitter { near[self.rng.gen_range(0..near.len())] } else { near[near.len() / 2] };
            (p.0 as f64, p.1 as f64)
        };
        [
            choose(&|p| p.0 <= target.top + row_slack),
            choose(&|p| p.0 + row_slack + 1 >= target.bottom),
            choose(&|p| p.1 <= target.left + col_slack),
            choose(&|p| p.1 + col_slack + 1 >= target.right),
        ]
    }
}

fn interaction(kind: InteractionKind, positive: bool, stroke: Stroke, place: Place) -> Interaction {
    Interaction { segment: place.segment, axis: place.axis, slice: place.slice, kind, positive, stroke }
}

/// Points of a slice as voxel indices of the volume.
fn points(in_plane: &[(f64, f64)], place: Place) -> Stroke {
    let (row_axis, col_axis) = place.axis.in_plane();
    let points = in_plane.iter().map(|p| {
        let mut index = [place.slice as f64; 3];
        index[row_axis] = p.0;
        index[col_axis] = p.1;
        index
    });
    Stroke::Points { points: points.collect(), radius_mm: 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use InteractionKind::*;

    const GRID: SliceGrid = SliceGrid { rows: 50, cols: 80, row_mm: 1.0, col_mm: 1.0 };
    const PLACE: Place = Place { segment: 7, axis: SliceAxis::Height, slice: 4 };

    fn disc(row: f64, col: f64, radius: f64) -> SliceMask {
        let mut mask = SliceMask::zeros(50, 80);
        for i in 0..mask.data.len() {
            let (r, c) = ((i / 80) as f64, (i % 80) as f64);
            mask.data[i] = u8::from((r - row).hypot(c - col) <= radius);
        }
        mask
    }

    fn union(a: &SliceMask, b: &SliceMask) -> SliceMask {
        SliceMask { data: a.data.iter().zip(&b.data).map(|(a, b)| a | b).collect(), ..*a }
    }

    fn drawn(i: &Interaction) -> Vec<(f64, f64)> {
        match &i.stroke {
            Stroke::Points { points, .. } => {
                // Slices along height have depth as rows and width as columns.
                assert!(points.iter().all(|p| p[1] == 4.0));
                points.iter().map(|p| (p[0], p[2])).collect()
            }
            Stroke::Raster(_) => panic!("points were expected"),
        }
    }

    fn raster(i: &Interaction) -> &SliceMask {
        match &i.stroke {
            Stroke::Raster(mask) => mask,
            Stroke::Points { .. } => panic!("a raster was expected"),
        }
    }

    #[test]
    fn a_steady_hand_is_exact() {
        let mut user = RobotUser::new(1, false);
        let mask = disc(20.0, 30.0, 10.0);
        let mut first = |kind| user.first(kind, &mask, &GRID, PLACE).unwrap();
        assert_eq!(drawn(&first(Box)), [(9.5, 19.5), (30.5, 40.5)]);
        assert_eq!(drawn(&first(ExtremePoints)), [(10.0, 30.0), (30.0, 30.0), (20.0, 20.0), (20.0, 40.0)]);
        assert_eq!(drawn(&first(Click)), [(20.0, 30.0)]);
        let scribble = first(Scribble);
        assert!(raster(&scribble).data[20 * 80 + 30] == 1);
        assert_eq!((scribble.segment, scribble.axis, scribble.slice), (7, SliceAxis::Height, 4));
        assert!(scribble.positive);
    }

    #[test]
    fn an_unsteady_hand_stays_within_its_limits() {
        let mut user = RobotUser::new(2, true);
        let mask = disc(20.0, 30.0, 10.0);
        let mut boxes = std::collections::HashSet::new();
        for _ in 0..200 {
            let corners = drawn(&user.first(Box, &mask, &GRID, PLACE).unwrap());
            // 21 pixels: up to 2.1 outwards.
            assert!((7.4..=9.5).contains(&corners[0].0) && (17.4..=19.5).contains(&corners[0].1), "{corners:?}");
            assert!((30.5..=32.6).contains(&corners[1].0) && (40.5..=42.6).contains(&corners[1].1), "{corners:?}");
            boxes.insert(format!("{corners:?}"));
            let extremes = drawn(&user.first(ExtremePoints, &mask, &GRID, PLACE).unwrap());
            // A tenth of 21 pixels is less than five: up to 2.
            assert!(extremes[0].0 <= 12.0 && extremes[1].0 >= 28.0 && extremes[2].1 <= 22.0 && extremes[3].1 >= 38.0);
            assert!(extremes.iter().all(|p| mask.data[p.0 as usize * 80 + p.1 as usize] == 1));
            let click = drawn(&user.first(Click, &mask, &GRID, PLACE).unwrap())[0];
            assert!((click.0 - 20.0).hypot(click.1 - 30.0) <= 3.5, "{click:?}");
            let scribble = user.first(Scribble, &mask, &GRID, PLACE).unwrap();
            assert!(raster(&scribble).data.iter().zip(&mask.data).all(|(s, m)| s <= m));
        }
        assert!(boxes.len() > 190);
    }

    #[test]
    fn the_same_seed_draws_the_same() {
        let mask = disc(20.0, 30.0, 10.0);
        let session = |seed| {
            let mut user = RobotUser::new(seed, true);
            [Scribble, Box, ExtremePoints, Click].map(|k| user.first(k, &mask, &GRID, PLACE).unwrap())
        };
        assert_eq!(session(5), session(5));
        assert_ne!(session(5), session(6));
    }

    #[test]
    fn every_large_part_gets_a_stroke() {
        let (left, right, speck) = (disc(20.0, 15.0, 8.0), disc(20.0, 60.0, 6.0), disc(45.0, 40.0, 1.0));
        let mask = union(&union(&left, &right), &speck);
        let mut user = RobotUser::new(3, true);
        let scribble = user.first(Scribble, &mask, &GRID, PLACE).unwrap();
        let on = |part: &SliceMask| raster(&scribble).data.iter().zip(&part.data).any(|(s, p)| s & p == 1);
        assert!(on(&left) && on(&right) && !on(&speck));
    }

    #[test]
    fn the_largest_error_is_corrected_in_its_middle() {
        let reference = disc(20.0, 30.0, 10.0);
        let mut user = RobotUser::new(4, false);
        let mut correct = |kind, mask: &SliceMask| user.correct(kind, mask, &reference, &GRID, PLACE);
        assert_eq!(correct(Click, &reference), None);
        // A leak of radius 6 beside a missing speck: negative, in the leak's middle.
        let mut leaked = union(&reference, &disc(20.0, 60.0, 6.0));
        leaked.data[20 * 80 + 30] = 0;
        let click = correct(Click, &leaked).unwrap();
        assert!(!click.positive);
        assert_eq!(drawn(&click), [(20.0, 60.0)]);
        // All of it is missing: positive.
        let missed = correct(Click, &disc(20.0, 60.0, 6.0)).unwrap();
        assert!(missed.positive);
        assert_eq!(drawn(&missed), [(20.0, 30.0)]);
        let scribble = correct(Scribble, &leaked).unwrap();
        assert!(!scribble.positive && raster(&scribble).data.iter().zip(&reference.data).all(|(s, r)| s & r == 0));
    }

    #[test]
    fn touching_errors_of_both_kinds_are_not_one() {
        // Reference: columns 20..40. Mask: columns 26..45, so 6 columns miss on the left and 5 are too many on the
        // right; shifted rows make both errors touch at a corner of no interest. The larger, missing one is corrected.
        let bar = |cols: std::ops::Range<usize>| {
            let mut m = SliceMask::zeros(50, 80);
            (10..40).for_each(|r| m.data[r * 80..(r + 1) * 80][cols.clone()].fill(1));
            m
        };
        let click = |mask: &SliceMask, reference: &SliceMask| {
            RobotUser::new(5, false).correct(Click, mask, reference, &GRID, PLACE).unwrap()
        };
        assert!(click(&bar(26..45), &bar(20..40)).positive);
        // Directly adjacent: missing columns 20..30 beside superfluous columns 30..42. Taken as one error its middle
        // would lie at the seam, column 30.
        let negative = click(&bar(30..42), &bar(20..30));
        assert!(!negative.positive);
        assert!((35.0..=36.0).contains(&drawn(&negative)[0].1), "{negative:?}");
    }

    #[test]
    fn an_empty_slice_is_not_drawn_on() {
        let empty = SliceMask::zeros(50, 80);
        let mut user = RobotUser::new(6, true);
        for kind in [Scribble, Box, ExtremePoints, Click] {
            assert_eq!(user.first(kind, &empty, &GRID, PLACE), None);
        }
        // But what was segmented there is taken away.
        let cut = user.correct(Scribble, &disc(9.0, 9.0, 4.0), &empty, &GRID, PLACE).unwrap();
        assert!(!cut.positive);
    }
}
