//! Exact Euclidean distance transform in one to three dimensions, with anisotropic spacing.
//!
//! Separable lower envelope of parabolas (Felzenszwalb and Huttenlocher, "Distance Transforms of Sampled Functions",
//! 2012): one pass a dimension, linear in the number of voxels. Distances in pixels of one slice have a transform of
//! their own, which is several times as fast for slices of a network's input size.

use super::grid::SliceGrid;
use crate::volume::SliceMask;

/// Squared distance (mm²) of every voxel to the nearest one where `to` holds; infinite when it holds nowhere.
///
/// # Shapes
/// `[depth, height, width]`, C order; spacing in mm in the same order.
pub fn squared_distance(shape: [usize; 3], spacing_mm: [f64; 3], to: impl Fn(usize) -> bool) -> Vec<f64> {
    let [depth, height, width] = shape;
    let mut d: Vec<f64> = (0..depth * height * width).map(|i| if to(i) { 0.0 } else { f64::INFINITY }).collect();
    let mut line = Line::new(depth.max(height).max(width));
    for z in 0..depth {
        for y in 0..height {
            line.pass(&mut d, (z * height + y) * width, 1, width, spacing_mm[2]);
        }
        for x in 0..width {
            line.pass(&mut d, z * height * width + x, width, height, spacing_mm[1]);
        }
    }
    for start in 0..height * width {
        line.pass(&mut d, start, height * width, depth, spacing_mm[0]);
    }
    d
}

/// Distance (mm) of every pixel of a slice's mask to the nearest pixel outside it, 0 outside. The slice ends at its
/// border: pixels beyond it count as outside.
pub fn depth_inside(mask: &SliceMask, grid: &SliceGrid) -> Vec<f64> {
    let (rows, cols) = (mask.rows + 2, mask.cols + 2);
    let outside = |i: usize| {
        let (r, c) = (i / cols, i % cols);
        r == 0 || c == 0 || r > mask.rows || c > mask.cols || mask.data[(r - 1) * mask.cols + c - 1] == 0
    };
    let padded = squared_distance([1, rows, cols], [1.0, grid.row_mm, grid.col_mm], outside);
    (0..mask.data.len()).map(|i| padded[(i / mask.cols + 1) * cols + i % mask.cols + 1].sqrt()).collect()
}

/// Squared distance (pixels²) of every pixel to the nearest one where `to` holds. Exact up to `reach` pixels, beyond
/// that an upper bound; infinite where `to` holds nowhere near.
///
/// # Shapes
/// `to`: `[rows, cols]` / the same. Exact, since whole numbers up to 2^24 are exact in f32.
pub fn squared_pixels(to: &[bool], cols: usize, reach: usize) -> Vec<f32> {
    let rows = to.len() / cols;
    // Along columns first: row by row, from above and from below.
    let mut column: Vec<f32> = to.iter().map(|&t| if t { 0.0 } else { f32::INFINITY }).collect();
    let nearer = |line: &mut [f32], neighbour: &[f32]| {
        line.iter_mut().zip(neighbour).for_each(|(d, n)| *d = least(*d, n + 1.0));
    };
    for r in 1..rows {
        let (above, here) = column.split_at_mut(r * cols);
        nearer(&mut here[..cols], &above[(r - 1) * cols..]);
    }
    for r in (1..rows).rev() {
        let (here, below) = column.split_at_mut(r * cols);
        nearer(&mut here[(r - 1) * cols..], &below[..cols]);
    }
    column.iter_mut().for_each(|d| *d *= *d);
    // Then along rows, from near to far, until no column farther away can be nearer.
    let mut squared = column.clone();
    for (row, column) in squared.chunks_exact_mut(cols).zip(column.chunks_exact(cols)) {
        for away in 1..=reach.min(cols - 1) {
            let square = (away * away) as f32;
            if away % 4 == 1 && row.iter().fold(0.0, |m, &d| if d > m { d } else { m }) <= square {
                break;
            }
            row[away..].iter_mut().zip(column).for_each(|(d, c)| *d = least(*d, c + square));
            row.iter_mut().zip(&column[away..]).for_each(|(d, c)| *d = least(*d, c + square));
        }
    }
    squared
}

/// The smaller value. One instruction, unlike `f32::min`, which handles NaN.
fn least(a: f32, b: f32) -> f32 {
    if b < a { b } else { a }
}

/// Buffers for one line of the transform.
struct Line {
    f: Vec<f64>,
    /// Vertices of the parabolas of the envelope.
    vertex: Vec<usize>,
    /// Position from which on each parabola is the lowest.
    from: Vec<f64>,
}

impl Line {
    fn new(n: usize) -> Line {
        Line { f: vec![0.0; n], vertex: vec![0; n], from: vec![0.0; n] }
    }

    /// Transforms the `n` values of `d` that begin at `start`, `stride` apart.
    fn pass(&mut self, d: &mut [f64], start: usize, stride: usize, n: usize, mm: f64) {
        if n == 1 {
            return;
        }
        for i in 0..n {
            self.f[i] = d[start + i * stride];
        }
        // k: parabolas in the envelope. A line without a finite value stays unchanged.
        let mut k = 0;
        for q in (0..n).filter(|&q| self.f[q].is_finite()) {
            let mut at = f64::NEG_INFINITY;
            while k > 0 {
                at = self.crossing(self.vertex[k - 1], q, mm);
                if at > self.from[k - 1] {
                    break;
                }
                k -= 1;
                at = f64::NEG_INFINITY;
            }
            (self.vertex[k], self.from[k]) = (q, at);
            k += 1;
        }
        if k == 0 {
            return;
        }
        let mut j = 0;
        for i in 0..n {
            let x = i as f64 * mm;
            while j + 1 < k && self.from[j + 1] < x {
                j += 1;
            }
            let v = self.vertex[j];
            // Computed from the difference of indices, so that equal distances give equal numbers.
            d[start + i * stride] = (i.abs_diff(v) as f64 * mm).powi(2) + self.f[v];
        }
    }

    /// Position at which the parabolas of `p` and `q` (`p` < `q`) cross, mm.
    fn crossing(&self, p: usize, q: usize, mm: f64) -> f64 {
        let (a, b) = (p as f64 * mm, q as f64 * mm);
        (self.f[q] - self.f[p] + b * b - a * a) / (2.0 * (b - a))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    #[test]
    fn distances_are_those_of_all_pairs() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        for (shape, spacing) in
            [([5, 6, 7], [2.5, 0.5, 0.75]), ([1, 9, 8], [1.0, 1.0, 3.0]), ([4, 1, 1], [0.3, 1.0, 1.0])]
        {
            let n: usize = shape.iter().product();
            let mask: Vec<bool> = (0..n).map(|_| rng.gen_bool(0.08)).collect();
            let fast = squared_distance(shape, spacing, |i| mask[i]);
            let index = |i: usize| [i / (shape[1] * shape[2]), i / shape[2] % shape[1], i % shape[2]];
            for (i, &d) in fast.iter().enumerate() {
                let (a, mut best) = (index(i), f64::INFINITY);
                for j in (0..n).filter(|&j| mask[j]) {
                    let b = index(j);
                    best = best.min((0..3).map(|k| ((a[k] as f64 - b[k] as f64) * spacing[k]).powi(2)).sum());
                }
                assert!(d == best || (d - best).abs() < 1e-9, "{shape:?} {i}: {d} and not {best}");
            }
        }
    }

    #[test]
    fn pixels_are_as_far_as_in_millimetres_of_one() {
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        for (side, share) in [(1, 0.5), (17, 0.3), (40, 0.01), (40, 0.0), (33, 1.0)] {
            let to: Vec<bool> = (0..side * side).map(|_| rng.gen_bool(share)).collect();
            let exact = squared_distance([1, side, side], [1.0; 3], |i| to[i]);
            for reach in [6, side] {
                let limit = (reach * reach) as f64;
                for (a, &b) in squared_pixels(&to, side, reach).iter().zip(&exact) {
                    let a = f64::from(*a);
                    assert!(a == b || (reach < side && a > limit && b > limit), "{side} {reach}: {a} and not {b}");
                }
            }
        }
    }

    #[test]
    fn the_border_of_the_slice_is_outside() {
        let mask = SliceMask { rows: 3, cols: 5, data: vec![1; 15] };
        let grid = SliceGrid { rows: 3, cols: 5, row_mm: 2.0, col_mm: 1.0 };
        // Columns are 1 mm wide: the middle one is 3 mm from both sides, and 4 mm from top and bottom.
        assert_eq!(depth_inside(&mask, &grid)[5..10], [1.0, 2.0, 3.0, 2.0, 1.0]);
    }
}
