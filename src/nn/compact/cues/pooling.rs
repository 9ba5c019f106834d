//! Means and extremes over small windows. On the CPU they are computed from shifted copies, which is several times as
//! fast as libtorch's pooling; on a device, where every operation costs a launch, by pooling.

use crate::nn::layers::size2;
use tch::{Device, Kind, Tensor};

/// Whether `t` is on the CPU, where many small operations cost no more than a large one.
pub(crate) fn on_cpu(t: &Tensor) -> bool {
    t.device() == Device::Cpu
}

/// Means of 2 x 2 pixels.
///
/// # Shapes
/// `[N, C, H, W]` / `[N, C, H / 2, W / 2]`, f32.
pub(crate) fn half(t: &Tensor) -> Tensor {
    t.to_kind(Kind::Float).avg_pool2d([2, 2], [2, 2], [0, 0], false, true, None::<i64>)
}

/// Mean over 3 x 3 pixels; at the border, over those inside the map.
///
/// # Shapes
/// `[N, C, H, W]`, f32 / the same.
pub(crate) fn mean3(t: &Tensor) -> Tensor {
    if !on_cpu(t) {
        return t.avg_pool2d([3, 3], [1, 1], [1, 1], false, false, None::<i64>);
    }
    let [height, width] = size2(t);
    let sum = sum3(&sum3(t, 2), 3);
    let counts = |n: i64| {
        let ones = Tensor::ones([1, 1, n, 1], (Kind::Float, t.device()));
        sum3(&ones, 2)
    };
    sum * (counts(height) * counts(width).transpose(2, 3)).reciprocal()
}

/// Sum of each pixel and its two neighbours along `dim`; neighbours beyond the border count 0.
fn sum3(t: &Tensor, dim: i64) -> Tensor {
    let n = t.size()[dim as usize];
    let sum = t.copy();
    let _ = sum.narrow(dim, 1, n - 1).g_add_(&t.narrow(dim, 0, n - 1));
    let _ = sum.narrow(dim, 0, n - 1).g_add_(&t.narrow(dim, 1, n - 1));
    sum
}

/// Largest value of the `side` x `side` pixels around each pixel (dilation); `side` is odd.
///
/// # Shapes
/// `[N, C, H, W]` / the same.
pub(crate) fn largest(t: &Tensor, side: i64) -> Tensor {
    if !on_cpu(t) {
        return t.max_pool2d([side, side], [1, 1], [side / 2, side / 2], [1, 1], false);
    }
    [2, 3].iter().fold(t.shallow_clone(), |t, &dim| along(&t, dim, side / 2, &|a, b| a.maximum(b)))
}

/// Smallest value of the `side` x `side` pixels around each pixel (erosion); `side` is odd.
///
/// # Shapes
/// `[N, C, H, W]` / the same.
pub(crate) fn smallest(t: &Tensor, side: i64) -> Tensor {
    if !on_cpu(t) {
        return -largest(&-t, side);
    }
    [2, 3].iter().fold(t.shallow_clone(), |t, &dim| along(&t, dim, side / 2, &|a, b| a.minimum(b)))
}

/// Reduces each pixel and `reach` pixels on both sides of it along `dim` with `pick`, a maximum or minimum. Border
/// pixels are repeated, which changes no extreme.
fn along(t: &Tensor, dim: i64, reach: i64, pick: &dyn Fn(&Tensor, &Tensor) -> Tensor) -> Tensor {
    let n = t.size()[dim as usize];
    let pad = if dim == 2 { [0, 0, reach, reach] } else { [reach, reach, 0, 0] };
    let mut window = t.replication_pad2d(pad);
    // A window of `width` is reduced from two smaller ones that touch or overlap.
    let (mut width, whole) = (1, 2 * reach + 1);
    while width < whole {
        let step = width.min(whole - width);
        let left = window.size()[dim as usize] - step;
        window = pick(&window.narrow(dim, 0, left), &window.narrow(dim, step, left));
        width += step;
    }
    debug_assert_eq!(window.size()[dim as usize], n);
    window
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise() -> Tensor {
        let values: Vec<f32> = (0..2 * 9 * 8).map(|i| ((i * 37 + 11) % 101) as f32 - 50.0).collect();
        Tensor::from_slice(&values).view([2, 1, 9, 8])
    }

    #[test]
    fn shifted_copies_and_pooling_agree() {
        let t = noise();
        let mean = t.avg_pool2d([3, 3], [1, 1], [1, 1], false, false, None::<i64>);
        assert!((mean3(&t) - mean).abs().max().double_value(&[]) < 1e-4);
        for side in [3, 5, 7] {
            let pooled = |t: &Tensor| t.max_pool2d([side, side], [1, 1], [side / 2, side / 2], [1, 1], false);
            assert!(largest(&t, side).equal(&pooled(&t)), "{side}");
            assert!(smallest(&t, side).equal(&-pooled(&-&t)), "{side}");
        }
    }

    #[test]
    fn a_window_by_hand() {
        let t = Tensor::from_slice(&[1.0f32, 5.0, 2.0, 0.0]).view([1, 1, 1, 4]);
        let row = |t: Tensor| Vec::<f32>::try_from(t.view([-1])).unwrap();
        for (mean, expected) in row(mean3(&t)).into_iter().zip([3.0, 8.0 / 3.0, 7.0 / 3.0, 1.0]) {
            assert!((mean - expected).abs() < 1e-6);
        }
        assert_eq!(row(largest(&t, 3)), [5.0, 5.0, 5.0, 2.0]);
        assert_eq!(row(smallest(&t, 3)), [1.0, 1.0, 0.0, 0.0]);
    }
}
