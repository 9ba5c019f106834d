//! Counts multiply-accumulate operations, for benchmarks. Off unless [`count`] runs; per thread.

use std::cell::Cell;
use tch::Tensor;

thread_local! {
    static COUNT: Cell<Option<u64>> = const { Cell::new(None) };
}

/// Runs `body` and counts the multiply-accumulates of its convolutions and matrix products.
pub fn count<T>(body: impl FnOnce() -> T) -> (T, u64) {
    let before = COUNT.replace(Some(0));
    let result = body();
    let macs = COUNT.replace(before).unwrap_or(0);
    (result, macs)
}

/// Adds the multiply-accumulates of `out`, `per_element` for each of its elements.
pub(crate) fn add(out: &Tensor, per_element: i64) {
    if let Some(n) = COUNT.get() {
        COUNT.set(Some(n + out.numel() as u64 * per_element as u64));
    }
}

/// Adds the count of another thread.
pub(crate) fn add_counted(macs: u64) {
    if let Some(n) = COUNT.get() {
        COUNT.set(Some(n + macs));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::layers::{Conv, ConvOptions};
    use crate::nn::params::{Params, Target};
    use tch::{Device, Kind};

    #[test]
    fn a_convolution_is_counted_by_hand() {
        let conv = Conv::new(&Params::init(1, Target::default()), ConvOptions::new(4, 6, 3).stride(2).groups(2));
        let x = Tensor::zeros([2, 4, 8, 8], (Kind::Float, Device::Cpu));
        let (_, macs) = count(|| conv.forward(&x));
        // 2 slices x 6 channels x 4x4 pixels, each from 2 channels x 3x3 pixels.
        assert_eq!(macs, 2 * 6 * 16 * 18);
        let _ = conv.forward(&x);
        assert_eq!(count(|| ()).1, 0);
    }
}
