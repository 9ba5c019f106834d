//! Probabilities made to agree with the image: a random walk through the voxels that ends where the networks say so, or on an
//! annotated slice (Grady, "Multilabel Random Walker Image Segmentation Using Prior Models", 2005).
//!
//! The probability `x` of each voxel minimises `PRIOR · Σ (x - p)² + Σ w (x - x')²` over the prior `p` of every voxel and every pair of
//! neighbours, in the slice and across; `w` falls with their difference of intensity. Annotated slices keep their masks, and are
//! neighbours like any other. A positive definite system of equations, solved by conjugate gradients.

/// Weight of the prior against one neighbour of the same intensity.
const PRIOR: f32 = 0.3;
/// Difference of intensities, over the median difference of neighbours in a slice, at which a neighbour counts e^-1/2.
const EDGE: f32 = 1.2;
/// That difference is within these: an image without noise has edges, too, and one that is nothing but noise has none.
const EDGES: [f32; 2] = [1e-3, 0.1];
/// What a neighbour beyond an edge counts at least.
const LEAST_WEIGHT: f32 = 1e-3;
/// Weight of a neighbour on another slice over that of one as far away in the same slice.
const ACROSS: f32 = 2.5;
/// Smaller differences are none: equal voxels of a quantised image say nothing about its noise.
const LEAST_DIFFERENCE: f32 = 1e-4;
/// Voxels that the median is taken over, about.
const SAMPLES: usize = 100_000;
/// Steps of the solution; more change no mask.
const STEPS: usize = 10;

/// Consecutive slices.
pub(super) struct Block<'a> {
    /// Rows and columns of a slice.
    pub side: [usize; 2],
    /// Distance of slices, rows and columns, in any unit.
    pub spacing: [f64; 3],
    /// Intensities, 0..1.
    pub image: &'a [f32],
    /// Whether each slice keeps its probabilities.
    pub fixed: &'a [bool],
}

impl Block<'_> {
    /// The probabilities, 0..1.
    ///
    /// # Shapes
    /// `prior` and `image`: `[slices, rows, columns]` / the same.
    pub fn walk(&self, prior: &[f32]) -> Vec<f32> {
        let [rows, cols] = self.side;
        let area = rows * cols;
        assert_eq!((self.image.len(), prior.len()), (self.fixed.len() * area, self.fixed.len() * area), "one grid");
        let weights = self.weights();
        let mut diagonal = vec![PRIOR; prior.len()];
        for (w, step) in weights.iter().zip(self.steps()) {
            diagonal.iter_mut().zip(w).for_each(|(d, w)| *d += w);
            diagonal[step..].iter_mut().zip(w).for_each(|(d, w)| *d += w);
        }
        let free = |values: &mut [f32]| {
            let slices = values.chunks_exact_mut(area).zip(self.fixed);
            slices.filter(|(_, fixed)| **fixed).for_each(|(slice, _)| slice.fill(0.0));
        };
        let mut x = prior.to_vec();
        // Residual of the prior itself.
        let mut product = vec![0.0; x.len()];
        self.multiply(&weights, &diagonal, &x, &mut product);
        let mut residual: Vec<f32> = prior.iter().zip(&product).map(|(p, a)| PRIOR * p - a).collect();
        free(&mut residual);
        let scaled = |residual: &[f32]| -> Vec<f32> { residual.iter().zip(&diagonal).map(|(r, d)| r / d).collect() };
        let mut direction = scaled(&residual);
        let mut size = dot(&residual, &direction);
        for _ in 0..STEPS {
            self.multiply(&weights, &diagonal, &direction, &mut product);
            free(&mut product);
            let curvature = dot(&direction, &product);
            if curvature <= 0.0 {
                break;
            }
            let length = (size / curvature) as f32;
            x.iter_mut().zip(&direction).for_each(|(x, d)| *x += length * d);
            residual.iter_mut().zip(&product).for_each(|(r, p)| *r -= length * p);
            let step = scaled(&residual);
            let new = dot(&residual, &step);
            let keep = (new / size) as f32;
            direction.iter_mut().zip(step).for_each(|(d, step)| *d = step + keep * *d);
            size = new;
        }
        x.iter_mut().for_each(|x| *x = x.clamp(0.0, 1.0));
        x
    }

    /// From a voxel to its neighbour on the next slice, row and column.
    fn steps(&self) -> [usize; 3] {
        let [rows, cols] = self.side;
        [rows * cols, cols, 1]
    }

    /// Whether voxel `i` has no next neighbour along `axis`.
    fn is_last(&self, axis: usize, i: usize) -> bool {
        let [area, cols, _] = self.steps();
        match axis {
            0 => i + area >= self.image.len(),
            1 => i % area >= area - cols,
            _ => i % cols == cols - 1,
        }
    }

    /// Weights of each voxel and its next neighbour, 0 where there is none.
    fn weights(&self) -> [Vec<f32>; 3] {
        let edge = (EDGE * self.median_difference()).clamp(EDGES[0], EDGES[1]);
        let nearest = self.spacing.iter().copied().fold(f64::INFINITY, f64::min);
        let steps = self.steps();
        [0, 1, 2].map(|axis| {
            let near = (nearest / self.spacing[axis]) as f32 * if axis == 0 { ACROSS } else { 1.0 };
            let next = &self.image[steps[axis].min(self.image.len())..];
            let mut weights = vec![0.0; self.image.len()];
            let pairs = weights.iter_mut().zip(self.image.iter().zip(next));
            pairs.for_each(|(w, (a, b))| *w = ((((b - a) / edge).powi(2) * -0.5).exp() + LEAST_WEIGHT) * near);
            (0..weights.len()).filter(|&i| self.is_last(axis, i)).for_each(|i| weights[i] = 0.0);
            weights
        })
    }

    /// Of neighbours in a slice that differ at all.
    fn median_difference(&self) -> f32 {
        let steps = self.steps();
        let every = (self.image.len() / SAMPLES).max(1);
        let pairs = (0..self.image.len()).step_by(every).flat_map(|i| [(i, 1), (i, 2)]);
        let inside = pairs.filter(|&(i, axis)| !self.is_last(axis, i));
        let mut differences: Vec<f32> = inside
            .map(|(i, axis)| (self.image[i + steps[axis]] - self.image[i]).abs())
            .filter(|&d| d > LEAST_DIFFERENCE)
            .collect();
        if differences.is_empty() {
            return 0.0;
        }
        let middle = differences.len() / 2;
        *differences.select_nth_unstable_by(middle, f32::total_cmp).1
    }

    /// `product`: the system's matrix times `x`.
    fn multiply(&self, weights: &[Vec<f32>; 3], diagonal: &[f32], x: &[f32], product: &mut [f32]) {
        product.iter_mut().zip(diagonal.iter().zip(x)).for_each(|(p, (d, x))| *p = d * x);
        for (w, step) in weights.iter().zip(self.steps()) {
            let next = &x[step.min(x.len())..];
            product.iter_mut().zip(w.iter().zip(next)).for_each(|(p, (w, x))| *p -= w * x);
            let after = &mut product[step.min(x.len())..];
            after.iter_mut().zip(w.iter().zip(x)).for_each(|(p, (w, x))| *p -= w * x);
        }
    }
}

/// Sum of products, eight at a time.
fn dot(a: &[f32], b: &[f32]) -> f64 {
    const LANES: usize = 8;
    let mut total = 0.0;
    // No more are added up in single precision than its digits allow.
    for (a, b) in a.chunks(4096).zip(b.chunks(4096)) {
        let mut sums = [0f32; LANES];
        for (a, b) in a.chunks(LANES).zip(b.chunks(LANES)) {
            sums.iter_mut().zip(a.iter().zip(b)).for_each(|(s, (a, b))| *s += a * b);
        }
        total += sums.iter().map(|&s| f64::from(s)).sum::<f64>();
    }
    total
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One slice of one row.
    fn row<'a>(image: &'a [f32], fixed: &'a [bool]) -> Block<'a> {
        Block { side: [1, image.len()], spacing: [1.0; 3], image, fixed }
    }

    #[test]
    fn neighbours_of_one_intensity_agree() {
        // (PRIOR + w) x - w y = PRIOR, (PRIOR + w) y - w x = 0, w = 1 + LEAST_WEIGHT.
        let w = 1.0 + LEAST_WEIGHT;
        let x = row(&[0.5, 0.5], &[false]).walk(&[1.0, 0.0]);
        let expected = (PRIOR + w) / (PRIOR + 2.0 * w);
        assert!((x[0] - expected).abs() < 1e-5 && (x[0] + x[1] - 1.0).abs() < 1e-5, "{x:?} {expected}");
    }

    #[test]
    fn an_edge_keeps_them_apart() {
        // Two voxels on each side of an edge, the prior's border one voxel off: it moves to the edge.
        let image = [0.2, 0.2, 0.21, 0.8, 0.81, 0.8];
        let x = row(&image, &[false]).walk(&[1.0, 1.0, 0.0, 0.0, 0.0, 0.0]);
        assert!(x[..3].iter().all(|&x| x > 0.5) && x[3..].iter().all(|&x| x < 0.01), "{x:?}");
    }

    #[test]
    fn annotated_slices_stay_and_draw_their_neighbours() {
        // Three slices of one voxel; the first is annotated. ACROSS over 2 for slices twice as far apart as pixels.
        let block = Block { side: [1, 1], spacing: [2.0, 1.0, 1.0], image: &[0.5; 3], fixed: &[true, false, false] };
        let x = block.walk(&[1.0, 0.0, 0.0]);
        let w = (1.0 + LEAST_WEIGHT) * ACROSS / 2.0;
        // (PRIOR + 2 w) y - w z = w, (PRIOR + w) z = w y.
        let y = w / (PRIOR + 2.0 * w - w * w / (PRIOR + w));
        assert_eq!(x[0], 1.0);
        assert!((x[1] - y).abs() < 1e-5 && (x[2] - w * y / (PRIOR + w)).abs() < 1e-5, "{x:?} {y}");
    }

    #[test]
    fn rows_end_at_their_border() {
        // Two rows: the last voxel of the first is no neighbour of the first of the second. Columns of two intensities.
        let image = [0.1, 0.9, 0.1, 0.9];
        let block = Block { side: [2, 2], spacing: [1.0; 3], image: &image, fixed: &[false] };
        let x = block.walk(&[1.0, 0.0, 1.0, 0.0]);
        // The median difference, 0.8, is that of the edge: it is the largest that is taken for noise that keeps them apart.
        assert!(x[0] > 0.99 && x[2] > 0.99 && x[1] < 0.01 && x[3] < 0.01, "{x:?}");
        // Rows of two intensities, a prior that crosses them.
        let image = [0.1, 0.1, 0.9, 0.9];
        let x = Block { image: &image, ..block }.walk(&[1.0, 0.0, 0.0, 0.0]);
        let w = 1.0 + LEAST_WEIGHT;
        let expected = (PRIOR + w) / (PRIOR + 2.0 * w);
        assert!((x[0] - expected).abs() < 0.01 && (x[1] - 1.0 + expected).abs() < 0.01 && x[2] < 0.01, "{x:?}");
    }

    #[test]
    fn nothing_to_solve_is_no_division_by_zero() {
        assert_eq!(row(&[0.3; 4], &[true]).walk(&[1.0, 0.0, 1.0, 0.0]), [1.0, 0.0, 1.0, 0.0]);
        assert_eq!(row(&[0.3; 4], &[false]).walk(&[0.0; 4]), [0.0; 4]);
    }
}
