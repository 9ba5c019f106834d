//! Where the target is expected on the next slice of a chain: the mask of the slice before, drawn towards that of the
//! annotated slice ahead.
//!
//! Between two masks the shape is interpolated: signed distances to both borders, weighted by nearness (Raya and Udupa,
//! "Shape-Based Interpolation of Multidimensional Objects", 1990), each mask first moved so that the centres agree.

use super::distance::squared_pixels;

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
    towards(before, after.as_ref().map(|(shape, steps)| (shape, *steps)), side)
}

/// As [`expected`], from the shape of the mask ahead.
pub(crate) fn towards(before: &[f32], after: Option<(&Shape, usize)>, side: usize) -> Vec<f32> {
    let reach = REACH * side as f32;
    let scaled = |d: &f32| (d / reach).clamp(-1.0, 1.0);
    let ends = after.and_then(|(after, steps)| Some((after, steps, centre(before, side)?, after.centre?)));
    let Some((after, steps, from, to)) = ends else {
        // Nothing farther away than the reach is told.
        return signed_distance(before, side, reach.ceil() as usize + 1).iter().map(scaled).collect();
    };
    let weight = 1.0 / (steps + 1) as f32;
    let at = [0, 1].map(|i| from[i] + weight * (to[i] - from[i]));
    let distance = signed_distance(before, side, side);
    let near = moved(&distance, side, [0, 1].map(|i| (at[i] - from[i]).round() as i32));
    let far = moved(&after.distance, side, [0, 1].map(|i| (at[i] - to[i]).round() as i32));
    near.iter().zip(&far).map(|(n, f)| scaled(&(n + weight * (f - n)))).collect()
}

/// What is needed of the mask of the annotated slice ahead; it serves every slice of a chain.
#[derive(Debug)]
pub(crate) struct Shape {
    distance: Vec<f32>,
    centre: Option<[f32; 2]>,
}

impl Shape {
    /// The shape of probabilities `[side, side]`.
    pub fn new(mask: &[f32], side: usize) -> Shape {
        Shape { distance: signed_distance(mask, side, side), centre: centre(mask, side) }
    }
}

/// Pixels to the border of the mask, positive inside; -side everywhere when it is empty, side when it is full. Exact up to `reach`
/// pixels, and no less beyond.
fn signed_distance(mask: &[f32], side: usize, reach: usize) -> Vec<f32> {
    let inside: Vec<bool> = mask.iter().map(|&p| p >= 0.5).collect();
    let outside: Vec<bool> = inside.iter().map(|i| !i).collect();
    let [to_inside, to_outside] = [&inside, &outside].map(|to| squared_pixels(to, side, reach));
    let pixels = |squared: f32| squared.sqrt().min(side as f32);
    // The border runs half-way between the centres of the pixels on its two sides.
    let signed = |((&i, &o), &inside): ((&f32, &f32), &bool)| if inside { pixels(o) - 0.5 } else { 0.5 - pixels(i) };
    to_inside.iter().zip(&to_outside).zip(&inside).map(signed).collect()
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
    let from = |by: i32| -> Vec<usize> {
        (0..side as i32).map(|i| i.saturating_sub(by).clamp(0, side as i32 - 1) as usize).collect()
    };
    let cols = from(right);
    let mut moved = Vec::with_capacity(map.len());
    for r in from(down) {
        let row = &map[r * side..(r + 1) * side];
        moved.extend(cols.iter().map(|&c| row[c]));
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
