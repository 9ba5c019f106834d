//! Memory read: what the memory holds of each position of the query, and the labels there.

use crate::nn::layers::f32;
use crate::torch::macs;
use tch::{Kind, Tensor};

/// Least logarithm of a weight over the largest: nothing beside it in f32, and well above the numbers near 0 that processors
/// are slow with.
const LEAST_LOG_WEIGHT: f64 = -60.0;

/// Memory read with the negative squared L2 distance as affinity; the query's own term drops out in the softmax. Memories of one
/// image with several masks have their keys, and so the affinity, in common.
///
/// # Shapes
/// `key`: `[1, CK, h, w]`; `keys`: `[T*P, CK]`, the first `annotated` of annotated slices; `values`: one `[T*P, CV]` a mask /
/// readout `[masks, CV, h, w]`, labels from all and from the annotated `[masks, 2, h, w]`, f32.
pub(super) fn read(key: &Tensor, keys: &Tensor, annotated: i64, values: &[&Tensor]) -> (Tensor, Tensor) {
    let size = key.size();
    let scale = 1.0 / (size[1] as f64).sqrt();
    let query = key.flatten(2, 3).squeeze_dim(0).transpose(0, 1) * (2.0 * scale);
    let squared = (keys * keys).sum_dim_intlist([1i64].as_slice(), false, Kind::Float) * scale;
    let dots = query.matmul(&keys.transpose(0, 1));
    macs::add(&dots, size[1]);
    let mut weights: Tensor = f32(&dots) - squared.unsqueeze(0);
    // A softmax whose sum is divided by at the end, where there is less to divide.
    weights -= weights.detach().amax([1i64].as_slice(), true);
    let weights = weights.clamp_min_(LEAST_LOG_WEIGHT).exp_();
    let total = |t: &Tensor| t.sum_dim_intlist([1i64].as_slice(), true, Kind::Float);
    let sum = total(&weights);
    let certain = weights.narrow(1, 0, annotated);
    let marked: Vec<Tensor> = values.iter().map(|v| f32(&v.narrow(0, 0, annotated).narrow(1, 0, 1))).collect();
    let marked = certain.matmul(&Tensor::cat(&marked, 1)) / total(&certain);
    let masks = values.len() as i64;
    let values = if masks == 1 { values[0].shallow_clone() } else { Tensor::cat(values, 1) };
    let weights = weights.to_kind(values.kind());
    let readout = weights.matmul(&values);
    macs::add(&readout, weights.size()[1]);
    let maps = |t: &Tensor| t.transpose(0, 1).reshape([masks, -1, size[2], size[3]]);
    let readout = maps(&(f32(&readout) / sum));
    let labels = Tensor::cat(&[readout.narrow(1, 0, 1), maps(&marked)], 1);
    (readout.to_kind(key.kind()), labels)
}
