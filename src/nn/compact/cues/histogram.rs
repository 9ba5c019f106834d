//! Soft histograms of intensities: each pixel counts for the two bins between whose centres it lies.
//!
//! On the CPU, pixels are added to their bins. On a device the order of these additions, and so the last bits of the
//! sums, would differ from run to run: there the histogram is a product with the matrix of all shares.

use super::pooling::on_cpu;
use tch::{Kind, Tensor};

/// Number of bins. Chosen.
pub(crate) const BINS: i64 = 48;
/// Half-width of the bins' range in standard deviations. Chosen.
const SPAN: f64 = 2.5;
/// Count of every bin without pixels, so that ratios stay finite. Chosen.
const EMPTY: f64 = 0.02;

/// Positions of pixels among the bins.
pub(crate) enum Bins {
    Beside {
        /// Index of the lower bin `[N, P]`.
        lower: Tensor,
        /// Share of the upper bin `[N, P]`, 0..1.
        upper_share: Tensor,
    },
    /// Share of each bin `[N, P, BINS]`.
    Shares(Tensor),
}

/// Weighted mean and standard deviation of the pixels, the range of the bins: each `[N, 1]`.
///
/// # Shapes
/// `x`, `weight`: `[N, P]`, f32.
pub(crate) fn range(x: &Tensor, weight: &Tensor) -> (Tensor, Tensor) {
    let sum = |t: &Tensor| t.sum_dim_intlist(1, true, Kind::Float);
    let weight: Tensor = weight + 1e-6;
    let total = sum(&weight);
    let mean = sum(&(x * &weight)) / &total;
    let deviation = (sum(&((x - &mean).square() * &weight)) / &total).sqrt().clamp_min(1e-3);
    (mean, deviation)
}

impl Bins {
    /// # Shapes
    /// `x`: `[N, P]`; `mean`, `deviation`: `[N, 1]`.
    pub fn new(x: &Tensor, (mean, deviation): &(Tensor, Tensor)) -> Bins {
        let last = (BINS - 1) as f64;
        let position = (((x - mean) / deviation / SPAN + 1.0) * (0.5 * last)).clamp(0.0, last);
        if !on_cpu(&position) {
            return Bins::shares(&position);
        }
        let lower = position.floor().clamp_max(last - 1.0);
        Bins::Beside { upper_share: position - &lower, lower: lower.to_kind(Kind::Int64) }
    }

    fn shares(position: &Tensor) -> Bins {
        let bins = Tensor::arange(BINS, (Kind::Float, position.device()));
        let near: Tensor = 1.0 - (position.unsqueeze(2) - bins).abs();
        Bins::Shares(near.clamp_min(0.0))
    }

    /// Share of the weight in each bin `[N, BINS]`, smoothed over three bins, and the total weight `[N, 1]`.
    pub fn histogram(&self, weight: &Tensor) -> (Tensor, Tensor) {
        let total = weight.sum_dim_intlist(1, true, Kind::Float);
        let counts = match self {
            Bins::Beside { lower, upper_share } => {
                let above = weight * upper_share;
                Tensor::zeros([weight.size()[0], BINS], (Kind::Float, weight.device()))
                    .scatter_add(1, lower, &(weight - &above))
                    .scatter_add(1, &(lower + 1), &above)
            }
            Bins::Shares(shares) => weight.unsqueeze(1).bmm(shares).squeeze_dim(1),
        };
        let smooth = counts.unsqueeze(1).avg_pool1d([3], [1], [1], false, true).squeeze_dim(1);
        ((smooth + EMPTY) / (&total + EMPTY * BINS as f64), total)
    }

    /// Values of `table` `[N, BINS]` at the pixels, interpolated: `[N, P]`.
    pub fn look_up(&self, table: &Tensor) -> Tensor {
        match self {
            Bins::Beside { lower, upper_share } => {
                let below = table.gather(1, lower, false);
                let above = table.gather(1, &(lower + 1), false);
                &below + (above - &below) * upper_share
            }
            Bins::Shares(shares) => shares.bmm(&table.unsqueeze(2)).squeeze_dim(2),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pixel_counts_for_the_two_nearest_bins() {
        // Mean 0 and deviation 1: from -2.5 to 2.5; 0 lies half way between the bins 23 and 24.
        let x = Tensor::from_slice(&[0.0f32, 9.0]).view([1, 2]);
        let one = || Tensor::ones([1, 1], (Kind::Float, tch::Device::Cpu));
        let bins = Bins::new(&x, &(one() * 0.0, one()));
        let (shares, total) = bins.histogram(&Tensor::from_slice(&[3.0f32, 0.0]).view([1, 2]));
        assert_eq!(total.double_value(&[0, 0]), 3.0);
        let whole = 3.0 + 0.02 * 48.0;
        let at = |i: i64| shares.double_value(&[0, i]) * whole;
        // 1.5 each, over three bins.
        for (bin, count) in [(21, 0.0), (22, 0.5), (23, 1.0), (24, 1.0), (25, 0.5), (26, 0.0)] {
            assert!((at(bin) - count - 0.02).abs() < 1e-5, "{bin}: {}", at(bin));
        }
        // Far beyond the last bin is in the last bin.
        let table = Tensor::arange(BINS, (Kind::Float, tch::Device::Cpu)).view([1, -1]);
        let values = bins.look_up(&table);
        assert!((values.double_value(&[0, 0]) - 23.5).abs() < 1e-5);
        assert_eq!(values.double_value(&[0, 1]), 47.0);
    }

    #[test]
    fn both_ways_to_count_agree() {
        let values = |n: i64, seed: i64| {
            let values: Vec<f32> = (0..n).map(|i| ((i * 37 + seed) % 101) as f32 / 101.0).collect();
            Tensor::from_slice(&values)
        };
        // On the first bin, between two, on one, between the last two and on the last.
        let position = Tensor::from_slice(&[0.0f32, 0.0, 0.25, 5.5, 7.0, 46.75, 47.0, 47.0]).view([2, 4]);
        let lower = position.floor().clamp_max((BINS - 2) as f64);
        let beside = Bins::Beside { upper_share: &position - &lower, lower: lower.to_kind(Kind::Int64) };
        let shares = Bins::shares(&position);
        let (weight, table) = (values(8, 5).view([2, 4]), values(2 * BINS, 3).view([2, BINS]));
        let close = |a: Tensor, b: Tensor| (a - b).abs().max().double_value(&[]) < 1e-6;
        assert!(close(beside.histogram(&weight).0, shares.histogram(&weight).0));
        assert!(close(beside.look_up(&table), shares.look_up(&table)));
    }

    #[test]
    fn the_range_is_that_of_the_weighted_pixels() {
        let row = |v: &[f32]| Tensor::from_slice(v).view([1, -1]);
        let (mean, deviation) = range(&row(&[1.0, 3.0, 100.0]), &row(&[1.0, 1.0, 0.0]));
        assert!((mean.double_value(&[0, 0]) - 2.0).abs() < 1e-3);
        assert!((deviation.double_value(&[0, 0]) - 1.0).abs() < 2e-2);
    }
}
