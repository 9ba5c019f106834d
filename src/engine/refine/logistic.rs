//! Logistic regression with a ridge, solved by Newton's method: what can be learnt while the user waits.

use tch::{Kind, Tensor};

/// Newton steps.
const STEPS: usize = 6;
/// Least weight, in samples, of either class that anything is learnt from.
const LEAST: f64 = 4.0;
/// What a feature that is the same everywhere is taken to vary by.
const LEAST_SPREAD: f64 = 1e-3;
/// Penalty of the constant: none but for a system that can be solved.
const FREE: f64 = 1e-6;

/// Coefficients of the features and the constant, in that order, that tell inside from outside; both count the same. Features are
/// standardised before `ridge`, the weight of the squared coefficients over that of the mean loss, is applied. Zeros where either class
/// has too few samples. Call without gradients.
///
/// # Shapes
/// `x`: `[P, F]`, f32; `inside`: `[P]`, 0..1 / `[F + 1]`.
pub(crate) fn fit(x: &Tensor, inside: &Tensor, ridge: f64) -> Tensor {
    let options = (Kind::Float, x.device());
    let (samples, channels) = (x.size()[0], x.size()[1]);
    let outside: Tensor = 1.0 - inside;
    let (inner, outer) = (inside.sum(Kind::Float), outside.sum(Kind::Float));
    if inner.double_value(&[]) < LEAST || outer.double_value(&[]) < LEAST {
        return Tensor::zeros([channels + 1], options);
    }
    let weight = (inside / inner + outside / outer) * 0.5;
    let mean_of = |t: &Tensor| (t * weight.unsqueeze(1)).sum_dim_intlist([0i64].as_slice(), false, Kind::Float);
    let mean = mean_of(x);
    let spread = mean_of(&(x - &mean).square()).sqrt() + LEAST_SPREAD;
    let z = Tensor::cat(&[(x - &mean) / &spread, Tensor::ones([samples, 1], options)], 1);
    let across = z.transpose(0, 1);
    let penalty = Tensor::cat(&[Tensor::full([channels], ridge, options), Tensor::full([1], FREE, options)], 0);
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
        // Standardised, the feature is -1 and 1: its coefficient solves sigmoid(-a) = ridge a, and the border is in the middle.
        let standard = f64::from(a) * (1.0 + LEAST_SPREAD);
        assert!((1.0 / (1.0 + standard.exp()) - ridge * standard).abs() < 1e-4, "{a}");
        assert!(b.abs() < 1e-4 && (constant + 2.0 * a).abs() < 1e-2, "{a} {b} {constant}");
    }

    #[test]
    fn nothing_is_learnt_of_one_class() {
        let x = Tensor::from_slice(&[1f32, 2.0, 3.0, 4.0, 5.0]).view([5, 1]);
        for inside in [[0f32; 5], [1.0; 5]] {
            assert_eq!(fit(&x, &Tensor::from_slice(&inside), 0.1).abs().max().double_value(&[]), 0.0);
        }
    }
}
