//! Where the target is expected on the next slice of a chain: the mask of the slice before, drawn towards that of the
//! annotated slice ahead.
//!
//! Between two masks the shape is interpolated: signed distances to both borders, weighted by nearness (Raya and Udupa,
//! "Shape-Based Interpolation of Multidimensional Objects", 1990), each mask first moved so that the centres agree.

use super::distance::squared_distance;

/// Signed distances are given over this fraction of the side of the networks' input, and clamped to -1..1 beyond it.
const REACH: f32 = 0.125;

/// Signed distance of the expected border over [`REACH`] times the side, positive inside, clamped to -1..1.
///
/// `before` is the mask of the slice before; `after` that of the annotated slice ahead and how many slices it lies beyond
/// the one asked for. An empty mask ahead says only that the target ends before it, so it is left out.
///
/// # Shapes
/// Probabilities `[side, side]` / expected shape `[side, side]`.
pub fn expected(before: &[f32], after: Option<(&[f32], usize)>, side: usize) -> Vec<f32> {
    let after = after.map(|(mask, steps)| (Shape::new(mask, side), steps));
    Shape::new(before, side).towards(after.as_ref().map(|(shape, steps)| (shape, *steps)))
}

/// What is needed of one mask; the annotated slice's ahead serves every slice of a chain.
#[derive(Debug)]
pub(crate) struct Shape {
    distance: Vec<f32>,
    centre: Option<[f32; 2]>,
    side: usize,
}

impl Shape {
    /// The shape of probabilities `[side, side]`.
    pub fn new(mask: &[f32], side: usize) -> Shape {
        Shape { distance: signed_distance(mask, side), centre: centre(mask, side), side }
    }

    /// As [`expected`], from this shape.
    pub fn towards(&self, after: Option<(&Shape, usize)>) -> Vec<f32> {
        let reach = REACH * self.side as f32;
        let scaled = |d: &f32| (d / reach).clamp(-1.0, 1.0);
        let (Some((after, steps)), Some(from)) = (after, self.centre) else {
            return self.distance.iter().map(scaled).collect();
        };
        let Some(to) = after.centre else { return self.distance.iter().map(scaled).collect() };
        let weight = 1.0 / (steps + 1) as f32;
        let at = [0, 1].map(|i| from[i] + weight * (to[i] - from[i]));
        let near = moved(&self.distance, self.side, [0, 1].map(|i| (at[i] - from[i]).round() as i32));
        let far = moved(&after.distance, self.side, [0, 1].map(|i| (at[i] - to[i]).round() as i32));
        near.iter().zip(&far).map(|(n, f)| scaled(&(n + weight * (f - n)))).collect()
    }
}

/// Pixels to the border of the mask, positive inside; -side everywhere when it is empty, side when it is full.
fn signed_distance(mask: &[f32], side: usize) -> Vec<f32> {
    let inside = |i: usize| mask[i] >= 0.5;
    let to_outside = squared_distance([1, side, side], [1.0; 3], |i| !inside(i));
    let to_inside = squared_distance([1, side, side], [1.0; 3], inside);
    let pixels = |squared: f64| (squared.sqrt() as f32).min(side as f32);
    // The border runs half-way between the centres of the pixels on its two sides.
    (0..mask.len()).map(|i| if inside(i) { pixels(to_outside[i]) - 0.5 } else { 0.5 - pixels(to_inside[i]) }).collect()
}

/// Mean row and column of the mask; none when it is empty.
fn centre(mask: &[f32], side: usize) -> Option<[f32; 2]> {
    let inside = (0..mask.len()).filter(|&i| mask[i] >= 0.5);
    let (n, r, c) =
        inside.fold((0.0, 0.0, 0.0), |(n, r, c), i| (n + 1.0, r + (i / side) as f32, c + (i % side) as f32));
    (n > 0.0).then(|| [r / n, c / n])
}

/// `map` moved by whole rows and columns, its border continued.
fn moved(map: &[f32], side: usize, [down, right]: [i32; 2]) -> Vec<f32> {
    let at = |i: usize, by: i32| (i as i32 - by).clamp(0, side as i32 - 1) as usize;
    (0..map.len()).map(|i| map[at(i / side, down) * side + at(i % side, right)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows 12..20 of columns `left..right`, 32 x 32.
    fn bar(left: usize, right: usize) -> Vec<f32> {
        (0..1024).map(|i| f32::from((12..20).contains(&(i / 32)) && (left..right).contains(&(i % 32)))).collect()
    }

    fn width(expected: &[f32]) -> usize {
        (0..32).filter(|c| expected[15 * 32 + c] > 0.0).count()
    }

    #[test]
    fn alone_the_mask_before_is_expected() {
        let e = expected(&bar(8, 24), None, 32);
        // Half a pixel over a reach of 4.
        assert_eq!((e[15 * 32 + 8], e[15 * 32 + 7]), (0.125, -0.125));
        assert_eq!((e[16 * 32 + 15], e[0]), (3.5 / 4.0, -1.0));
    }

    #[test]
    fn between_two_masks_the_shape_is_between() {
        // 16 wide, 8 wide two slices on: 12 wide half-way, and nearer to the first with the other farther away.
        let (before, after) = (bar(8, 24), bar(12, 20));
        assert_eq!(width(&expected(&before, Some((&after, 1)), 32)), 12);
        assert_eq!(width(&expected(&before, Some((&after, 3)), 32)), 14);
        assert_eq!(expected(&before, Some((&before, 5)), 32), expected(&before, None, 32));
    }

    #[test]
    fn a_moved_target_is_expected_on_its_way() {
        // Without moving them first, distances of shapes that do not overlap give nothing in between.
        let e = expected(&bar(2, 8), Some((&bar(20, 26), 1)), 32);
        assert_eq!((width(&e), e[15 * 32 + 11] > 0.0, e[15 * 32 + 16] > 0.0), (6, true, true));
    }

    #[test]
    fn empty_masks_are_no_shape() {
        let empty = vec![0.0; 1024];
        assert_eq!(expected(&empty, None, 32), vec![-1.0; 1024]);
        assert_eq!(expected(&bar(8, 24), Some((&empty, 1)), 32), expected(&bar(8, 24), None, 32));
        assert_eq!(expected(&vec![1.0; 1024], None, 32), vec![1.0; 1024]);
    }
}
