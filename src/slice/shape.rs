//! Interpolation of masks: the shape expected on a slice, between the previous mask and that of the next annotated
//! slice.
//!
//! Shapes are interpolated as signed distances to both borders (Raya and Udupa, "Shape-Based Interpolation of
//! Multidimensional Objects", 1990), after each mask is shifted so that their centres agree. Weights that are linear in
//! the distance would give a cone towards a small mask. The weights are those of an ellipsoid that is widest at the
//! larger mask, since most organs and lesions keep their width for long and end bluntly (docs/experiments.md: DSC 0.933
//! instead of 0.929 after six slices).

use super::distance::squared_pixels;

/// Expected shapes are signed distances divided by this fraction of the side, clamped to -1..1. Chosen; the networks
/// are trained with it.
const REACH: f32 = 0.125;

/// The diameter of a disc of this area, in the unit of length of the area.
pub(crate) fn disc_diameter(area: f64) -> f64 {
    2.0 * (area / std::f64::consts::PI).sqrt()
}

/// Signed distance to the expected border, divided by [`REACH`] times the side, positive inside, clamped to -1..1.
///
/// `before` is the previous mask, `after` the mask of the next annotated slice with the position of the query slice
/// between the two annotated slices. An empty mask ahead is ignored: it has no shape.
///
/// # Shapes
/// Probabilities `[side, side]` / expected shape `[side, side]`.
pub fn expected_shape(before: &[f32], after: Option<(&[f32], Position)>, side: usize) -> Vec<f32> {
    let after = after.map(|(mask, position)| (Shape::new(mask, side), position));
    towards(before, after.as_ref().map(|(shape, position)| (shape, *position)), side)
}

/// Position of a slice between two annotated slices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// Slices from the annotated one where the chain starts, at least 1.
    pub walked: usize,
    /// Slices to the annotated one ahead.
    pub left: usize,
}

impl Position {
    /// Weight of the mask ahead against the previous mask, 0..1. Areas of an ellipsoid's slices fall with the square of
    /// the distance from its widest slice: the start if the mask ahead is smaller, the end if it is larger.
    fn weight_ahead(self, smaller_ahead: bool) -> f32 {
        let (walked, left) = (self.walked.max(1) as f32, self.left as f32);
        let squares = |a: f32, b: f32| b * b - a * a;
        match smaller_ahead {
            true => squares(walked - 1.0, walked) / squares(walked - 1.0, walked + left),
            false => squares(left, left + 1.0) / squares(0.0, left + 1.0),
        }
    }
}

/// As [`expected_shape`], for a mask ahead whose shape is computed already.
pub(crate) fn towards(before: &[f32], after: Option<(&Shape, Position)>, side: usize) -> Vec<f32> {
    let reach = REACH * side as f32;
    let scaled = |d: &f32| (d / reach).clamp(-1.0, 1.0);
    let ends = after.and_then(|(after, position)| Some((after, position, centre(before, side)?, after.centre?)));
    let Some((after, position, from, to)) = ends else {
        // Distances beyond the reach are clamped anyway.
        return signed_distance(before, side, reach.ceil() as usize + 1).iter().map(scaled).collect();
    };
    let nearness = 1.0 / (position.left + 1) as f32;
    let at = [0, 1].map(|i| from[i] + nearness * (to[i] - from[i]));
    let before = Shape::new(before, side);
    let weight = position.weight_ahead(after.area() < before.area());
    before.interpolated(after, at, weight).iter().map(scaled).collect()
}

/// Signed distance (pixels, positive inside) to the border that is interpolated between two annotated masks, on the
/// slice at `position` between them.
///
/// # Shapes
/// Both shapes `[rows, cols]` / `[rows, cols]`; none when one of the masks is empty.
pub(crate) fn between(one: &Shape, other: &Shape, position: Position) -> Option<Vec<f32>> {
    let (from, to) = (one.centre?, other.centre?);
    let nearness = position.walked as f32 / (position.walked + position.left) as f32;
    // Those of an ellipsoid that is widest at the larger mask.
    let weight = if other.area() <= one.area() { nearness.powi(2) } else { 1.0 - (1.0 - nearness).powi(2) };
    Some(one.interpolated(other, [0, 1].map(|i| from[i] + nearness * (to[i] - from[i])), weight))
}

/// Signed distances and centre of a mask, from which it is interpolated with another.
#[derive(Debug)]
pub(crate) struct Shape {
    distance: Vec<f32>,
    cols: usize,
    centre: Option<[f32; 2]>,
}

impl Shape {
    /// The shape of probabilities `[rows, cols]`.
    pub fn new(mask: &[f32], cols: usize) -> Shape {
        let reach = cols.max(mask.len() / cols);
        Shape { distance: signed_distance(mask, cols, reach), cols, centre: centre(mask, cols) }
    }

    /// Pixels of the mask.
    fn area(&self) -> usize {
        self.distance.iter().filter(|&&d| d > 0.0).count()
    }

    /// Signed distances interpolated with those of `other`, which have the given weight; both masks are shifted so that
    /// their centres lie `at` a row and column.
    fn interpolated(&self, other: &Shape, at: [f32; 2], weight: f32) -> Vec<f32> {
        let placed = |shape: &Shape| {
            let from = shape.centre.unwrap_or(at);
            shifted(&shape.distance, shape.cols, [0, 1].map(|i| (at[i] - from[i]).round() as i32))
        };
        placed(self).iter().zip(&placed(other)).map(|(n, f)| n + weight * (f - n)).collect()
    }
}

/// Signed distance to the border of the mask, pixels, positive inside. An empty mask has minus its longer side
/// everywhere, a full one its longer side. Exact up to `reach` pixels, an upper bound of the distance beyond.
fn signed_distance(mask: &[f32], cols: usize, reach: usize) -> Vec<f32> {
    let inside: Vec<bool> = mask.iter().map(|&p| p >= 0.5).collect();
    let outside: Vec<bool> = inside.iter().map(|i| !i).collect();
    let [to_inside, to_outside] = [&inside, &outside].map(|to| squared_pixels(to, cols, reach));
    let longest = cols.max(mask.len() / cols) as f32;
    let pixels = |squared: f32| squared.sqrt().min(longest);
    // The border runs half-way between the centres of the pixels on its two sides.
    let signed = |((&i, &o), &inside): ((&f32, &f32), &bool)| if inside { pixels(o) - 0.5 } else { 0.5 - pixels(i) };
    to_inside.iter().zip(&to_outside).zip(&inside).map(signed).collect()
}

/// Mean row and column of the mask; none when it is empty.
fn centre(mask: &[f32], cols: usize) -> Option<[f32; 2]> {
    let inside = (0..mask.len()).filter(|&i| mask[i] >= 0.5);
    let (n, r, c) =
        inside.fold((0.0, 0.0, 0.0), |(n, r, c), i| (n + 1.0, r + (i / cols) as f32, c + (i % cols) as f32));
    (n > 0.0).then(|| [r / n, c / n])
}

/// `map` shifted by whole rows and columns, its border repeated.
fn shifted(map: &[f32], cols: usize, [down, right]: [i32; 2]) -> Vec<f32> {
    let from = |by: i32, n: usize| -> Vec<usize> {
        (0..n as i32).map(|i| i.saturating_sub(by).clamp(0, n as i32 - 1) as usize).collect()
    };
    let columns = from(right, cols);
    let mut shifted = Vec::with_capacity(map.len());
    for r in from(down, map.len() / cols) {
        let row = &map[r * cols..(r + 1) * cols];
        shifted.extend(columns.iter().map(|&c| row[c]));
    }
    shifted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disc_of_radius_three() {
        assert!((disc_diameter(9.0 * std::f64::consts::PI) - 6.0).abs() < 1e-12);
    }

    /// Rows 12..20 of columns `left..right`, 32 x 32.
    fn bar(left: usize, right: usize) -> Vec<f32> {
        (0..1024).map(|i| f32::from((12..20).contains(&(i / 32)) && (left..right).contains(&(i % 32)))).collect()
    }

    fn width(shape: &[f32]) -> usize {
        (0..32).filter(|c| shape[15 * 32 + c] > 0.0).count()
    }

    #[test]
    fn without_a_mask_ahead_the_previous_one_is_expected() {
        let e = expected_shape(&bar(8, 24), None, 32);
        // Half a pixel over a reach of 4.
        assert_eq!((e[15 * 32 + 8], e[15 * 32 + 7]), (0.125, -0.125));
        assert_eq!((e[16 * 32 + 15], e[0]), (3.5 / 4.0, -1.0));
    }

    #[test]
    fn between_two_masks_the_shape_is_between() {
        // 16 and 8 wide: half-way the larger one has a weight of three quarters, from either side.
        let (large, small) = (bar(8, 24), bar(12, 20));
        let position = |walked: usize, left: usize| Position { walked, left };
        assert_eq!(width(&expected_shape(&large, Some((&small, position(1, 1))), 32)), 14);
        assert_eq!(width(&expected_shape(&small, Some((&large, position(1, 1))), 32)), 14);
        assert_eq!(expected_shape(&large, Some((&large, position(1, 5))), 32), expected_shape(&large, None, 32));
    }

    #[test]
    fn an_ellipsoid_s_slices_stay_wide_for_long() {
        let position = |walked: usize, left: usize| Position { walked, left };
        // Over 4 slices to the smaller mask 1, 3, 5 and 7 sixteenths of the difference are lost: share of what is left.
        assert_eq!(
            [1, 2, 3, 4].map(|k| position(k, 4 - k).weight_ahead(true)),
            [1.0 / 16.0, 3.0 / 15.0, 5.0 / 12.0, 1.0]
        );
        // To the larger mask in reverse order: 7, 5, 3 and 1.
        assert_eq!(
            [1, 2, 3, 4].map(|k| position(k, 4 - k).weight_ahead(false)),
            [7.0 / 16.0, 5.0 / 9.0, 3.0 / 4.0, 1.0]
        );
    }

    #[test]
    fn a_target_that_moves_is_expected_half_way() {
        // Distances of masks that do not overlap, unless they are shifted, interpolate to an empty mask.
        let e = expected_shape(&bar(2, 8), Some((&bar(20, 26), Position { walked: 1, left: 1 })), 32);
        assert_eq!((width(&e), e[15 * 32 + 11] > 0.0, e[15 * 32 + 16] > 0.0), (6, true, true));
    }

    #[test]
    fn empty_masks_are_no_shape() {
        let empty = vec![0.0; 1024];
        assert_eq!(expected_shape(&empty, None, 32), vec![-1.0; 1024]);
        assert_eq!(
            expected_shape(&bar(8, 24), Some((&empty, Position { walked: 1, left: 1 })), 32),
            expected_shape(&bar(8, 24), None, 32)
        );
        assert_eq!(expected_shape(&vec![1.0; 1024], None, 32), vec![1.0; 1024]);
    }
}
