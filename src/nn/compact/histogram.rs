//! Soft histograms of intensities: each pixel counts for the two bins that it lies between.

use tch::{Kind, Tensor};

/// Bins.
pub(super) const BINS: i64 = 48;
/// They cover this many standard deviations on both sides of the mean.
const SPAN: f64 = 2.5;
/// Count of every bin before the first pixel.
const EMPTY: f64 = 0.02;

/// Places of pixels among the bins.
pub(super) struct Bins {
    /// Number of the bin below `[N, P]`.
    lower: Tensor,
    /// Share of the bin above `[N, P]`, 0..1.
    upper_share: Tensor,
}

/// The bins that fit the pixels that count, not the whole volume's: mean and standard deviation, each `[N, 1]`.
///
/// # Shapes
/// `x`, `weight`: `[N, P]`, f32.
pub(super) fn range(x: &Tensor, weight: &Tensor) -> (Tensor, Tensor) {
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
        let lower = position.floor().clamp_max(last - 1.0);
        Bins { upper_share: position - &lower, lower: lower.to_kind(Kind::Int64) }
    }

    /// Share of the weight in each bin `[N, BINS]`, smoothed over three bins, and the whole weight `[N, 1]`.
    pub fn histogram(&self, weight: &Tensor) -> (Tensor, Tensor) {
        let total = weight.sum_dim_intlist(1, true, Kind::Float);
        let above = weight * &self.upper_share;
        let counts = Tensor::zeros([weight.size()[0], BINS], (Kind::Float, weight.device()))
            .scatter_add(1, &self.lower, &(weight - &above))
            .scatter_add(1, &(&self.lower + 1), &above);
        let smooth = counts.unsqueeze(1).avg_pool1d([3], [1], [1], false, true).squeeze_dim(1);
        ((smooth + EMPTY) / (&total + EMPTY * BINS as f64), total)
    }

    /// Values of `table` `[N, BINS]` at the pixels `[N, P]`.
    pub fn look_up(&self, table: &Tensor) -> Tensor {
        let below = table.gather(1, &self.lower, false);
        let above = table.gather(1, &(&self.lower + 1), false);
        &below + (above - &below) * &self.upper_share
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pixel_counts_for_the_bins_beside_it() {
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
    fn the_range_is_that_of_the_pixels_that_count() {
        let row = |v: &[f32]| Tensor::from_slice(v).view([1, -1]);
        let (mean, deviation) = range(&row(&[1.0, 3.0, 100.0]), &row(&[1.0, 1.0, 0.0]));
        assert!((mean.double_value(&[0, 0]) - 2.0).abs() < 1e-3);
        assert!((deviation.double_value(&[0, 0]) - 1.0).abs() < 2e-2);
    }
}
