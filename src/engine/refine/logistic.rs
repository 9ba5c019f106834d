//! Logistic regression with a ridge penalty, solved by Newton's method.

use tch::{Kind, Tensor};

/// Newton steps. Chosen.
const STEPS: usize = 6;
/// Least number of samples of either class. Chosen.
const LEAST_SAMPLES: f64 = 4.0;
/// Added to the standard deviation of a feature, which may be constant. Chosen.
const LEAST_SPREAD: f64 = 1e-3;
/// Penalty of the constant. Chosen: as small as the system can be solved with.
const CONSTANT_PENALTY: f64 = 1e-6;

/// Fits log-odds of inside against outside; both classes have the same weight. `ridge`: weight of the squared
/// coefficients of standardised features against the mean loss. Call without gradients.
///
/// # Shapes
/// `x`: `[P, F]`, f32; `inside`: `[P]`, 0..1 / coefficients of the features, then the constant: `[F + 1]`, zeros if a
/// class has too few samples.
pub(crate) fn fit(x: &Tensor, inside: &Tensor, ridge: f64) -> Tensor {
    let options = (Kind::Float, x.device());
    let (samples, channels) = (x.size()[0], x.size()[1]);
    let outside: Tensor = 1.0 - inside;
    let (inner, outer) = (inside.sum(Kind::Float), outside.sum(Kind::Float));
    if inner.double_value(&[]) < LEAST_SAMPLES || outer.double_value(&[]) < LEAST_SAMPLES {
        return Tensor::zeros([channels + 1], options);
    }
    let weight = (inside / inner + outside / outer) * 0.5;
    let mean_of = |t: &Tensor| (t * weight.unsqueeze(1)).sum_dim_intlist([0i64].as_slice(), false, Kind::Float);
    let mean = mean_of(x);
    let spread = mean_of(&(x - &mean).square()).sqrt() + LEAST_SPREAD;
    let z = Tensor::cat(&[(x - &mean) / &spread, Tensor::ones([samples, 1], options)], 1);
    let across = z.transpose(0, 1);
    let penalty =
        Tensor::cat(&[Tensor::full([channels], ridge, options), Tensor::full([1], CONSTANT_PENALTY, options)], 0);
    let mut beta = Tensor::zeros([channels + 1], options);
    for _ in 0..STEPS {
        let p = z.mv(&beta).sigmoid();
        let slope = across.mv(&((&p - inside) * &weight)) + &penalty * &beta;
        let doubt: Tensor = 1.0 - &p;
        let curvature = across.matmul(&(&z * (p * doubt * &weight).unsqueeze(1)));
        let step = Tensor::linalg_solve(&(curvature + penalty.diag(0)), &slope.unsqueeze(1), true);
        beta -= step.squeeze_dim(1);
    }
    let coefficients = beta.narrow(0, 0, channels) / spread;
    let constant = beta.narrow(0, channels, 1) - (&coefficients * mean).sum(Kind::Float);
    Tensor::cat(&[coefficients, constant], 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_feature_that_differs_decides() {
        // Inside 3, outside 1, three samples outside for one inside; the second feature is the same everywhere.
        let x: Vec<f32> = (0..32).flat_map(|i| [if i % 4 == 0 { 3.0 } else { 1.0 }, 5.0]).collect();
        let inside: Vec<f32> = (0..32).map(|i| f32::from(u8::from(i % 4 == 0))).collect();
        let ridge = 0.1;
        let fitted = fit(&Tensor::from_slice(&x).view([32, 2]), &Tensor::from_slice(&inside), ridge);
        let [a, b, constant] = <[f32; 3]>::try_from(Vec::<f32>::try_from(&fitted).unwrap()).unwrap();
        // Standardised, the feature is -1 and 1: its coefficient solves sigmoid(-a) = ridge a, and the border is
        // half-way.
        let standard = f64::from(a) * (1.0 + LEAST_SPREAD);
        assert!((1.0 / (1.0 + standard.exp()) - ridge * standard).abs() < 1e-4, "{a}");
        assert!(b.abs() < 1e-4 && (constant + 2.0 * a).abs() < 1e-2, "{a} {b} {constant}");
    }

    #[test]
    fn one_class_gives_zeros() {
        let x = Tensor::from_slice(&[1f32, 2.0, 3.0, 4.0, 5.0]).view([5, 1]);
        for inside in [[0f32; 5], [1.0; 5]] {
            assert_eq!(fit(&x, &Tensor::from_slice(&inside), 0.1).abs().max().double_value(&[]), 0.0);
        }
    }
}
