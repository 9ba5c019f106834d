//! Random walk with prior (Grady, "Multilabel Random Walker Image Segmentation Using Prior Models", 2005).
//!
//! The probability `x` of each voxel minimises `PRIOR · Σ (x - p)² + Σ w (x - x')²` over the prior `p` of every voxel
//! and every pair of neighbours, in the slice and across; `w` falls with their difference of intensity. Annotated
//! slices are boundary conditions: they keep their masks. The system of equations is positive definite and solved by
//! conjugate gradients.

use crate::torch::threads;

/// Weight of the prior against one neighbour of the same intensity. Measured: docs/experiments.md, "Refinement".
const PRIOR: f32 = 0.3;
/// Difference of intensities at which a neighbour's weight is e^-1/2, as a multiple of the median difference of
/// neighbours in a slice. Measured: docs/experiments.md, "Refinement".
const EDGE: f32 = 1.2;
/// Limits of that difference: an image without noise has edges, too, and one of pure noise has none. Chosen.
const EDGES: [f32; 2] = [1e-3, 0.1];
/// Least weight of a neighbour, beyond an edge. Chosen.
const LEAST_WEIGHT: f32 = 1e-3;
/// Weight of a neighbour on another slice, as a multiple of that of one at the same distance in the slice. Chosen.
const ACROSS: f32 = 2.5;
/// Smaller differences are left out of the median: equal voxels of a quantised image carry no information on its noise.
/// Chosen.
const LEAST_DIFFERENCE: f32 = 1e-4;
/// Voxels from which the median is computed, about. Chosen.
const SAMPLES: usize = 100_000;
/// Steps of conjugate gradients. Measured: docs/experiments.md, "Refinement", 40 steps change the DSC by less than
/// 0.002.
const STEPS: usize = 10;
/// Values that are added up at once; the compiler makes one vector operation of them. Chosen.
const LANES: usize = 8;
/// Values that are added up in single precision before the sum continues in double precision. Chosen.
const SINGLE_PRECISION: usize = 4096;

/// Consecutive slices.
pub(crate) struct Block<'a> {
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
    /// The probabilities, 0..1. All operations on a slice are done together, while it is in the processor's cache; on
    /// several threads ([`threads::map`]), several slices at a time.
    ///
    /// # Shapes
    /// `prior` and `image`: `[slices, rows, columns]` / the same.
    pub fn walk(&self, prior: &[f32]) -> Vec<f32> {
        let area = self.area();
        assert_eq!((self.image.len(), prior.len()), (self.fixed.len() * area, self.fixed.len() * area), "one grid");
        let system = System::new(self);
        let mut x = prior.to_vec();
        let [mut residual, mut direction, mut product] = [(); 3].map(|()| vec![0f32; x.len()]);
        // The residual of the prior as a first solution; 0 on slices that keep their probabilities.
        let mut size = each_slice(area, [&mut residual, &mut direction], |k, [residual, direction]| {
            if self.fixed[k] {
                return 0.0;
            }
            system.multiply(k, prior, residual);
            residual.iter_mut().zip(slice(prior, k, area)).for_each(|(r, p)| *r = PRIOR * p - *r);
            system.scale(k, residual, direction);
            dot(residual, direction)
        });
        for _ in 0..STEPS {
            let curvature = each_slice(area, [&mut product], |k, [product]| {
                if self.fixed[k] {
                    return 0.0;
                }
                system.multiply(k, &direction, product);
                dot(slice(&direction, k, area), product)
            });
            if curvature <= 0.0 {
                break;
            }
            let length = (size / curvature) as f32;
            let new = each_slice(area, [&mut x, &mut residual, &mut product], |k, [x, residual, product]| {
                x.iter_mut().zip(slice(&direction, k, area)).for_each(|(x, d)| *x += length * d);
                residual.iter_mut().zip(&*product).for_each(|(r, p)| *r -= length * p);
                // The product is not needed any more: its buffer holds the scaled residual.
                system.scale(k, residual, product);
                dot(residual, product)
            });
            let keep = (new / size) as f32;
            each_slice(area, [&mut direction], |k, [direction]| {
                direction.iter_mut().zip(slice(&product, k, area)).for_each(|(d, step)| *d = step + keep * *d);
                0.0
            });
            size = new;
        }
        x.iter_mut().for_each(|x| *x = x.clamp(0.0, 1.0));
        x
    }

    /// Voxels of a slice.
    fn area(&self) -> usize {
        self.side[0] * self.side[1]
    }

    /// Weights of each voxel and the next one across, down and to the right, 0 where there is none.
    fn weights(&self) -> [Vec<f32>; 3] {
        let edge = (EDGE * self.median_difference()).clamp(EDGES[0], EDGES[1]);
        let nearest = self.spacing.iter().copied().fold(f64::INFINITY, f64::min);
        let [across, down, right] =
            [0, 1, 2].map(|axis| (nearest / self.spacing[axis]) as f32 * if axis == 0 { ACROSS } else { 1.0 });
        let (area, cols) = (self.area(), self.side[1]);
        let set = |weights: &mut [f32], near: f32, values: &[f32], next: &[f32]| {
            let pairs = weights.iter_mut().zip(values.iter().zip(next));
            pairs.for_each(|(w, (a, b))| *w = ((((b - a) / edge).powi(2) * -0.5).exp() + LEAST_WEIGHT) * near);
        };
        let mut weights = [(); 3].map(|()| vec![0f32; self.image.len()]);
        each_slice(area, weights.each_mut().map(Vec::as_mut_slice), |k, [to_next, to_lower, to_right]| {
            let image = slice(self.image, k, area);
            if k + 1 < self.fixed.len() {
                set(to_next, across, image, slice(self.image, k + 1, area));
            }
            set(to_lower, down, image, &image[cols..]);
            for (weights, row) in to_right.chunks_exact_mut(cols).zip(image.chunks_exact(cols)) {
                set(weights, right, row, &row[1..]);
            }
            0.0
        });
        weights
    }

    /// The median difference of neighbours in a slice that differ at all.
    fn median_difference(&self) -> f32 {
        let (area, cols) = (self.area(), self.side[1]);
        let every = (self.image.len() / SAMPLES).max(1);
        let next = |i: usize| {
            let down = (i % area < area - cols).then(|| i + cols);
            let right = (i % cols < cols - 1).then(|| i + 1);
            down.into_iter().chain(right).map(move |j| (i, j))
        };
        let mut differences: Vec<f32> = (0..self.image.len())
            .step_by(every)
            .flat_map(next)
            .map(|(i, j)| (self.image[j] - self.image[i]).abs())
            .filter(|&d| d > LEAST_DIFFERENCE)
            .collect();
        if differences.is_empty() {
            return 0.0;
        }
        let middle = differences.len() / 2;
        *differences.select_nth_unstable_by(middle, f32::total_cmp).1
    }
}

/// The matrix of the system of equations.
struct System {
    area: usize,
    cols: usize,
    weights: [Vec<f32>; 3],
    diagonal: Vec<f32>,
}

impl System {
    fn new(block: &Block) -> System {
        let (area, cols, weights) = (block.area(), block.side[1], block.weights());
        let mut diagonal = vec![PRIOR; block.image.len()];
        let add = |to: &mut [f32], weights: &[f32]| to.iter_mut().zip(weights).for_each(|(d, w)| *d += w);
        each_slice(area, [&mut diagonal], |k, [diagonal]| {
            let [across, down, right] = weights.each_ref().map(|w| slice(w, k, area));
            add(diagonal, across);
            if k > 0 {
                add(diagonal, slice(&weights[0], k - 1, area));
            }
            for (weights, step) in [(down, cols), (right, 1)] {
                add(diagonal, weights);
                add(&mut diagonal[step..], weights);
            }
            0.0
        });
        System { area, cols, weights, diagonal }
    }

    /// `product`: slice `k` of the matrix times `x`.
    fn multiply(&self, k: usize, x: &[f32], product: &mut [f32]) {
        let [across, down, right] = self.weights.each_ref().map(|w| slice(w, k, self.area));
        let subtract = |from: &mut [f32], weights: &[f32], x: &[f32]| {
            from.iter_mut().zip(weights.iter().zip(x)).for_each(|(p, (w, x))| *p -= w * x);
        };
        let own = slice(x, k, self.area);
        product.iter_mut().zip(slice(&self.diagonal, k, self.area).iter().zip(own)).for_each(|(p, (d, x))| *p = d * x);
        subtract(product, across, &x[x.len().min((k + 1) * self.area)..]);
        if k > 0 {
            subtract(product, slice(&self.weights[0], k - 1, self.area), slice(x, k - 1, self.area));
        }
        for (weights, step) in [(down, self.cols), (right, 1)] {
            subtract(product, weights, &own[step..]);
            subtract(&mut product[step..], weights, own);
        }
    }

    /// `scaled`: `residual`, of slice `k`, divided by the matrix's diagonal.
    fn scale(&self, k: usize, residual: &[f32], scaled: &mut [f32]) {
        let parts = residual.iter().zip(slice(&self.diagonal, k, self.area));
        scaled.iter_mut().zip(parts).for_each(|(s, (r, d))| *s = r / d);
    }
}

/// Slice `k` of `values`.
fn slice(values: &[f32], k: usize, area: usize) -> &[f32] {
    &values[k * area..(k + 1) * area]
}

/// Runs `run` on each slice of some arrays; the sum of its results, in order.
fn each_slice<const N: usize>(
    area: usize,
    arrays: [&mut [f32]; N],
    run: impl Fn(usize, [&mut [f32]; N]) -> f64 + Sync,
) -> f64 {
    let slices = arrays[0].len() / area;
    let mut parts = arrays.map(|array| array.chunks_exact_mut(area));
    let next = |k| (k, parts.each_mut().map(|part| part.next().expect("arrays of one length")));
    let jobs = (0..slices).map(next).collect();
    threads::map(jobs, |(k, slices)| run(k, slices)).into_iter().sum()
}

/// Sum of products.
fn dot(a: &[f32], b: &[f32]) -> f64 {
    let mut total = 0.0;
    for (a, b) in a.chunks(SINGLE_PRECISION).zip(b.chunks(SINGLE_PRECISION)) {
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
        // Three voxels on each side of an edge, the prior's border one voxel off: it moves to the edge.
        let image = [0.2, 0.2, 0.21, 0.8, 0.81, 0.8];
        let x = row(&image, &[false]).walk(&[1.0, 1.0, 0.0, 0.0, 0.0, 0.0]);
        assert!(x[..3].iter().all(|&x| x > 0.5) && x[3..].iter().all(|&x| x < 0.01), "{x:?}");
    }

    #[test]
    fn annotated_slices_stay_and_pull_their_neighbours() {
        // Three slices of one voxel; the first is annotated. Weight ACROSS / 2, as slices are twice as far apart as
        // pixels.
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
        // The median difference, 0.8, is that of the edge; the upper limit of EDGES keeps the columns apart.
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
