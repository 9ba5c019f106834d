//! Where the target is expected on the next slice of a chain: the mask of the slice before, drawn towards that of the
//! annotated slice ahead.
//!
//! Between two masks the shape is interpolated: signed distances to both borders, weighted (Raya and Udupa, "Shape-Based
//! Interpolation of Multidimensional Objects", 1990), each mask first moved so that the centres agree. The weights are not those of
//! nearness, which draw a cone to a small mask ahead, but those of an ellipsoid that is widest where the larger of the two is annotated:
//! it keeps its width for long and ends bluntly, as most organs and lesions do.

use super::distance::squared_pixels;

/// Signed distances are given over this fraction of the side of the networks' input, and clamped to -1..1 beyond it.
const REACH: f32 = 0.125;

/// Signed distance of the expected border over [`REACH`] times the side, positive inside, clamped to -1..1.
///
/// `before` is the mask of the slice before; `after` that of the annotated slice ahead and where the slice asked for lies on the way
/// there. An empty mask ahead says only that the target ends before it, so it is left out.
///
/// # Shapes
/// Probabilities `[side, side]` / expected shape `[side, side]`.
pub fn expected_shape(before: &[f32], after: Option<(&[f32], Position)>, side: usize) -> Vec<f32> {
    let after = after.map(|(mask, position)| (Shape::new(mask, side), position));
    towards(before, after.as_ref().map(|(shape, position)| (shape, *position)), side)
}

/// Where a slice lies on the way from an annotated slice to the next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// Slices from the annotated one where the way begins, at least 1.
    pub walked: usize,
    /// Slices to the annotated one ahead.
    pub left: usize,
}

impl Position {
    /// How far the shape has gone from the mask of the slice before to the one ahead, 0..1: as areas of an ellipsoid's slices do, which
    /// fall with the square of the distance from where it is widest; at the beginning when the mask ahead is smaller, at the end
    /// when it is larger.
    fn gone(self, smaller_ahead: bool) -> f32 {
        let (walked, left) = (self.walked.max(1) as f32, self.left as f32);
        let squares = |a: f32, b: f32| b * b - a * a;
        match smaller_ahead {
            true => squares(walked - 1.0, walked) / squares(walked - 1.0, walked + left),
            false => squares(left, left + 1.0) / squares(0.0, left + 1.0),
        }
    }
}

/// As [`expected_shape`], from the shape of the mask ahead.
pub(crate) fn towards(before: &[f32], after: Option<(&Shape, Position)>, side: usize) -> Vec<f32> {
    let reach = REACH * side as f32;
    let scaled = |d: &f32| (d / reach).clamp(-1.0, 1.0);
    let ends = after.and_then(|(after, position)| Some((after, position, centre(before, side)?, after.centre?)));
    let Some((after, position, from, to)) = ends else {
        // Nothing farther away than the reach is told.
        return signed_distance(before, side, reach.ceil() as usize + 1).iter().map(scaled).collect();
    };
    let nearness = 1.0 / (position.left + 1) as f32;
    let at = [0, 1].map(|i| from[i] + nearness * (to[i] - from[i]));
    let before = Shape::new(before, side);
    let weight = position.gone(after.area() < before.area());
    before.drawn_towards(after, at, weight).iter().map(scaled).collect()
}

/// Between two annotated slices with the target: the signed distance (pixels, positive inside) of the border expected on the slice
/// that lies `walked` slices after the one and `left` before the other, from their masks alone.
///
/// # Shapes
/// Shapes of masks `[rows, cols]` / the same; none when one of them is empty.
pub(crate) fn between(one: &Shape, other: &Shape, position: Position) -> Option<Vec<f32>> {
    let (from, to) = (one.centre?, other.centre?);
    let nearness = position.walked as f32 / (position.walked + position.left) as f32;
    // Of an ellipsoid that is widest where the larger one is annotated.
    let weight = if other.area() <= one.area() { nearness.powi(2) } else { 1.0 - (1.0 - nearness).powi(2) };
    Some(one.drawn_towards(other, [0, 1].map(|i| from[i] + nearness * (to[i] - from[i])), weight))
}

/// What is needed of a mask to draw it towards another.
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

    /// Signed distances `weight` of the way to those of `other`, both moved so that their centres lie `at` a row and column.
    fn drawn_towards(&self, other: &Shape, at: [f32; 2], weight: f32) -> Vec<f32> {
        let placed = |shape: &Shape| {
            let from = shape.centre.unwrap_or(at);
            moved(&shape.distance, shape.cols, [0, 1].map(|i| (at[i] - from[i]).round() as i32))
        };
        placed(self).iter().zip(&placed(other)).map(|(n, f)| n + weight * (f - n)).collect()
    }
}

/// Pixels to the border of the mask, positive inside; minus the longer side everywhere when it is empty, that side when it is full.
/// Exact up to `reach` pixels, and no less beyond.
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

/// `map` moved by whole rows and columns, its border continued.
fn moved(map: &[f32], cols: usize, [down, right]: [i32; 2]) -> Vec<f32> {
    let from = |by: i32, n: usize| -> Vec<usize> {
        (0..n as i32).map(|i| i.saturating_sub(by).clamp(0, n as i32 - 1) as usize).collect()
    };
    let columns = from(right, cols);
    let mut moved = Vec::with_capacity(map.len());
    for r in from(down, map.len() / cols) {
        let row = &map[r * cols..(r + 1) * cols];
        moved.extend(columns.iter().map(|&c| row[c]));
    }
    moved
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows 12..20 of columns `left..right`, 32 x 32.
    fn bar(left: usize, right: usize) -> Vec<f32> {
        (0..1024).map(|i| f32::from((12..20).contains(&(i / 32)) && (left..right).contains(&(i % 32)))).collect()
    }

    fn width(shape: &[f32]) -> usize {
        (0..32).filter(|c| shape[15 * 32 + c] > 0.0).count()
    }

    #[test]
    fn alone_the_mask_before_is_expected() {
        let e = expected_shape(&bar(8, 24), None, 32);
        // Half a pixel over a reach of 4.
        assert_eq!((e[15 * 32 + 8], e[15 * 32 + 7]), (0.125, -0.125));
        assert_eq!((e[16 * 32 + 15], e[0]), (3.5 / 4.0, -1.0));
    }

    #[test]
    fn between_two_masks_the_shape_is_between() {
        // 16 wide, 8 wide four slices on: a quarter of the way to it half-way, three quarters of the way back from it.
        let (large, small) = (bar(8, 24), bar(12, 20));
        let position = |walked: usize, left: usize| Position { walked, left };
        assert_eq!(width(&expected_shape(&large, Some((&small, position(1, 1))), 32)), 14);
        assert_eq!(width(&expected_shape(&small, Some((&large, position(1, 1))), 32)), 14);
        assert_eq!(expected_shape(&large, Some((&large, position(1, 5))), 32), expected_shape(&large, None, 32));
    }

    #[test]
    fn an_ellipsoid_s_slices_stay_wide_for_long() {
        let position = |walked: usize, left: usize| Position { walked, left };
        // Of 4 slices to the smaller one 1, 3, 5 and 7 sixteenths each: what is gone of what is left.
        assert_eq!([1, 2, 3, 4].map(|k| position(k, 4 - k).gone(true)), [1.0 / 16.0, 3.0 / 15.0, 5.0 / 12.0, 1.0]);
        // To the larger one the same the other way round: 7, 5, 3 and 1.
        assert_eq!([1, 2, 3, 4].map(|k| position(k, 4 - k).gone(false)), [7.0 / 16.0, 5.0 / 9.0, 3.0 / 4.0, 1.0]);
    }

    #[test]
    fn a_moved_target_is_expected_on_its_way() {
        // Without moving them first, distances of shapes that do not overlap give nothing in between.
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
