//! Appearance model: log-odds of target against surroundings for each pixel, a quadratic logistic regression on
//! intensity, blurred intensity, gradient and local standard deviation.
//!
//! It is fitted to the pixels in and around the annotated masks, as are the colour models of Boykov and Jolly
//! ("Interactive Graph Cuts", 2001), and is independent of the propagated masks.

use super::logistic;
use crate::slice::shape::disc_diameter;
use tch::{Kind, Tensor};

/// Standard deviations of the Gaussians, pixels. Chosen.
const BLURS: [f64; 3] = [1.0, 2.0, 4.0];
/// Index of the Gaussian in which the local standard deviation of intensities is computed. Chosen.
const DEVIATION_BLUR: usize = 1;
/// Gaussians are cut off after this many standard deviations. Chosen.
const REACH: f64 = 3.0;
/// F: intensity, local standard deviation, and for each Gaussian the blurred intensity and the length of its gradient.
const FEATURES: i64 = 2 + 2 * BLURS.len() as i64;
/// Weight of the squared coefficients. Chosen.
const RIDGE: f64 = 2e-3;
/// Width of the ring of surroundings, as a fraction of the radius of a disc with the target's area. Chosen.
const RING: f64 = 0.7;
/// Least width of the ring, pixels. Chosen.
const LEAST_RING: i64 = 3;
/// Pixels of a slice that are used, about: twice this number at most. Chosen.
const SAMPLES: i64 = 4096;
/// Largest logit, a probability of 0.99. Chosen.
const LARGEST: f64 = 4.6;
/// Share of correctly classified pixels that counts as chance, since masks are not exact. Chosen.
const LEAST_CORRECT: f64 = 0.65;
/// Added to the standard deviation of a feature, which may be constant. Chosen.
const LEAST_SPREAD: f64 = 1e-4;

/// A classifier of pixels into target and surroundings.
pub(crate) struct AppearanceModel {
    /// Means of the features, `[F]`.
    mean: Tensor,
    /// Standard deviations of the features, `[F]`.
    spread: Tensor,
    /// Coefficients of the standardised features, `[F]`.
    linear: Tensor,
    /// Coefficients of their products, `[F, F]`.
    products: Tensor,
    /// `[1]`.
    constant: Tensor,
    /// Weight of its logits by its share of correctly classified pixels, 0..1.
    reliability: f32,
}

impl AppearanceModel {
    /// Fits the model to annotated slices and their masks; none if no slice holds the target.
    ///
    /// # Shapes
    /// Each slice and mask: `[1, 1, h, w]`, 0..1.
    pub fn new(annotated: &[(Tensor, Tensor)]) -> Option<AppearanceModel> {
        tch::no_grad(|| {
            let samples: Vec<(Tensor, Tensor)> = annotated.iter().map(|(slice, mask)| samples(slice, mask)).collect();
            if samples.iter().all(|(x, _)| x.size()[0] == 0) {
                return None;
            }
            let (x, inside): (Vec<Tensor>, Vec<Tensor>) = samples.into_iter().unzip();
            let (x, inside) = (Tensor::cat(&x, 0), Tensor::cat(&inside, 0));
            let mean = x.mean_dim([0i64].as_slice(), false, Kind::Float);
            let spread = (&x - &mean).square().mean_dim([0i64].as_slice(), false, Kind::Float).sqrt() + LEAST_SPREAD;
            let pairs: Vec<(i64, i64)> = (0..FEATURES).flat_map(|i| (i..FEATURES).map(move |j| (i, j))).collect();
            let of = |f: &dyn Fn(&(i64, i64)) -> i64| Tensor::from_slice(&pairs.iter().map(f).collect::<Vec<_>>());
            let (first, second) = (of(&|p| p.0), of(&|p| p.1));
            let z = (x - &mean) / &spread;
            let products = z.index_select(1, &first) * z.index_select(1, &second);
            let x = Tensor::cat(&[&z, &products], 1);
            let fitted = logistic::fit(&x, &inside, RIDGE);
            let count = pairs.len() as i64;
            let found = x.mv(&fitted.narrow(0, 0, FEATURES + count)) + fitted.narrow(0, FEATURES + count, 1);
            let reliability = reliability(&found, &inside);
            let products = Tensor::zeros([FEATURES * FEATURES], (Kind::Float, fitted.device()));
            let products = products.index_copy(0, &(first * FEATURES + second), &fitted.narrow(0, FEATURES, count));
            Some(AppearanceModel {
                mean,
                spread,
                linear: fitted.narrow(0, 0, FEATURES),
                products: products.view([FEATURES, FEATURES]),
                constant: fitted.narrow(0, FEATURES + count, 1),
                reliability,
            })
        })
    }

    /// Another owner of the same tensors, for another thread.
    pub fn share(&self) -> AppearanceModel {
        AppearanceModel {
            mean: self.mean.shallow_clone(),
            spread: self.spread.shallow_clone(),
            linear: self.linear.shallow_clone(),
            products: self.products.shallow_clone(),
            constant: self.constant.shallow_clone(),
            reliability: self.reliability,
        }
    }

    /// Logits of the target at each pixel of a slice, row by row, times the reliability: less exact masks give a less
    /// reliable model.
    ///
    /// # Shapes
    /// `[1, 1, h, w]`, 0..1 / `[h * w]`.
    pub fn logits(&self, slice: &Tensor) -> Vec<f32> {
        tch::no_grad(|| {
            let z = (features(slice) - self.mean.unsqueeze(1)) / self.spread.unsqueeze(1);
            let slopes = self.products.transpose(0, 1).matmul(&z) + self.linear.unsqueeze(1);
            let second = (slopes * &z).sum_dim_intlist([0i64].as_slice(), false, Kind::Float);
            let logits = (second + &self.constant).clamp(-LARGEST, LARGEST) * f64::from(self.reliability);
            Vec::try_from(logits).expect("a flat f32 tensor")
        })
    }
}

/// Reliability from the shares of target and surroundings that are classified correctly, with the same weight: 0 up to
/// a mean of [`LEAST_CORRECT`], 1 if all are.
///
/// # Shapes
/// Logits and labels `[P]`.
fn reliability(logits: &Tensor, inside: &Tensor) -> f32 {
    let found = logits.gt(0.0).to_kind(Kind::Float);
    let share = |of: &Tensor, found: &Tensor| (of * found).sum(Kind::Float) / of.sum(Kind::Float).clamp_min(1.0);
    let (outside, missed): (Tensor, Tensor) = (1.0 - inside, 1.0 - &found);
    let correct = (share(inside, &found) + share(&outside, &missed)).double_value(&[]) / 2.0;
    ((correct - LEAST_CORRECT) / (1.0 - LEAST_CORRECT)).max(0.0) as f32
}

/// Features and labels of the pixels in and around a mask; none if it is empty.
///
/// # Shapes
/// `[1, 1, h, w]` / `[P, F]`, `[P]`.
fn samples(slice: &Tensor, mask: &Tensor) -> (Tensor, Tensor) {
    let inside = mask.ge(0.5).to_kind(Kind::Float);
    let area = inside.sum(Kind::Float).double_value(&[]);
    let ring = ((disc_diameter(area) / 2.0 * RING) as i64).max(LEAST_RING);
    let dilated = |t: &Tensor, side: [i64; 2]| t.max_pool2d(side, [1, 1], [side[0] / 2, side[1] / 2], [1, 1], false);
    let around = dilated(&dilated(&inside, [2 * ring + 1, 1]), [1, 2 * ring + 1]);
    let rows = around.view([-1]).gt(0.5).nonzero().view([-1]);
    let rows = rows.slice(0, None, None, (rows.size()[0] / SAMPLES).max(1));
    (features(slice).index_select(1, &rows).transpose(0, 1).contiguous(), inside.view([-1]).index_select(0, &rows))
}

/// The features of all pixels.
///
/// # Shapes
/// `[1, 1, h, w]` / `[F, h * w]`, f32.
fn features(slice: &Tensor) -> Tensor {
    let mut all = vec![slice.shallow_clone()];
    for (n, spread) in BLURS.into_iter().enumerate() {
        let smooth = blur(slice, spread);
        all.push(gradient_length(&smooth));
        if n == DEVIATION_BLUR {
            all.push((blur(&slice.square(), spread) - smooth.square()).clamp_min(0.0).sqrt());
        }
        all.push(smooth);
    }
    Tensor::cat(&all, 1).view([FEATURES, -1])
}

/// A Gaussian filter; border pixels are repeated.
///
/// # Shapes
/// `[1, 1, h, w]` / the same.
fn blur(slice: &Tensor, spread: f64) -> Tensor {
    let size = slice.size();
    let [rows, cols] = [size[2], size[3]];
    smoothing(rows, spread).matmul(slice).matmul(&smoothing(cols, spread).transpose(0, 1))
}

/// The matrix of a Gaussian filter of `n` values, `[n, n]`.
fn smoothing(n: i64, spread: f64) -> Tensor {
    let reach = (REACH * spread).ceil() as i64;
    let weights: Vec<f64> = (-reach..=reach).map(|k| (-0.5 * (k as f64 / spread).powi(2)).exp()).collect();
    let total: f64 = weights.iter().sum();
    let mut matrix = vec![0f32; (n * n) as usize];
    for i in 0..n {
        for (k, weight) in (-reach..=reach).zip(&weights) {
            matrix[(i * n + (i + k).clamp(0, n - 1)) as usize] += (weight / total) as f32;
        }
    }
    Tensor::from_slice(&matrix).view([n, n])
}

/// Length of the gradient by central differences; border pixels are repeated.
///
/// # Shapes
/// `[1, 1, h, w]` / the same.
fn gradient_length(slice: &Tensor) -> Tensor {
    let size = slice.size();
    let padded = slice.replication_pad2d([1, 1, 1, 1]);
    let part = |row: i64, col: i64| padded.narrow(2, row, size[2]).narrow(3, col, size[3]);
    ((part(2, 1) - part(0, 1)).square() + (part(1, 2) - part(1, 0)).square()).sqrt() * 0.5
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(f: &dyn Fn(i64, i64) -> f32) -> Tensor {
        let values: Vec<f32> = (0..32 * 32).map(|i| f(i / 32, i % 32)).collect();
        Tensor::from_slice(&values).view([1, 1, 32, 32])
    }

    fn inside(row: i64, col: i64) -> bool {
        (10..22).contains(&row) && (10..22).contains(&col)
    }

    #[test]
    fn a_bright_target_is_separated_from_dark_surroundings() {
        let slice = map(&|r, c| if inside(r, c) { 0.8 } else { 0.2 });
        let mask = map(&|r, c| f32::from(u8::from(inside(r, c))));
        let model = AppearanceModel::new(&[(slice, mask)]).unwrap();
        // The same target, elsewhere on another slice.
        let logits = model.logits(&map(&|r, c| if inside(r - 6, c + 6) { 0.8 } else { 0.2 }));
        let at = |r: usize, c: usize| logits[r * 32 + c];
        assert!(at(21, 9) > 2.0 && at(26, 6) > 1.0, "{} {}", at(21, 9), at(26, 6));
        assert!(at(4, 20) < -2.0 && at(12, 24) < -2.0, "{} {}", at(4, 20), at(12, 24));
    }

    #[test]
    fn without_a_target_there_is_no_model() {
        assert!(AppearanceModel::new(&[(map(&|_, _| 0.5), map(&|_, _| 0.0))]).is_none());
        assert!(AppearanceModel::new(&[]).is_none());
        // Where all pixels are target, logits are 0.
        let all = AppearanceModel::new(&[(map(&|r, _| r as f32 / 32.0), map(&|_, _| 1.0))]).unwrap();
        assert!(all.logits(&map(&|_, _| 0.5)).iter().all(|&l| l == 0.0));
    }

    #[test]
    fn a_poor_separation_counts_less() {
        // Half of the target and nine tenths of the surroundings are correct: 0.7, a seventh of the way from 0.65 to 1.
        let (logits, inside) = ([1.0, -1.0, -1.0, -1.0, -1.0, -1.0, -1.0, -1.0, -1.0, -1.0, -1.0, 1.0], [1.0, 1.0]);
        let inside =
            Tensor::cat(&[Tensor::from_slice(&inside), Tensor::zeros([10], (Kind::Double, tch::Device::Cpu))], 0);
        let sure = reliability(&Tensor::from_slice(&logits), &inside.to_kind(Kind::Float));
        assert!((sure - 1.0 / 7.0).abs() < 1e-5, "{sure}");
    }

    #[test]
    fn gaussians_and_gradients() {
        // A single bright pixel, and a ramp of 0.01 a column.
        let spot = blur(&map(&|r, c| f32::from(u8::from((r, c) == (16, 16)))), 1.0);
        let sum: f64 = (-3..=3).map(|i| (-0.5 * f64::from(i * i)).exp()).sum();
        let expected = (-0.5f64).exp() / sum / sum;
        assert!((spot.double_value(&[0, 0, 16, 17]) - expected).abs() < 1e-6);
        let steep = gradient_length(&map(&|_, c| c as f32 * 0.01));
        assert!((steep.double_value(&[0, 0, 5, 5]) - 0.01).abs() < 1e-6);
        assert!((steep.double_value(&[0, 0, 5, 0]) - 0.005).abs() < 1e-6);
    }
}
