//! Memory read (paper §2.2, eq. 5 and 6) with the affinity of STCN: negative squared L2 distance of keys.
//!
//! | tensor | shape |
//! |---|---|
//! | query key | `[N, CK, h, w]` |
//! | memory of each query: keys, values | `[T P, CK]`, `[T P, CV]`, the annotated slices first |
//! | affinity a_ij = exp(-d_ij² / sqrt(CK)) / Σ_j | `[h w, T P]` |
//! | readout Σ_j a_ij v_j | `[N, CV, h, w]` |
//! | labels l: channel 0 of it, and of the sum over annotated slices alone | `[N, 2, h, w]`, -1..1 |
//! | familiarity 1 / (1 + min_j e_ij) with annotated slices | `[N, 2, h, w]`, 0..1 |
//!
//! In the first channel of the familiarity e_ij = d_ij² / sqrt(CK); in the second, -log((1 + l_j) / 2) is added.

use super::guide::LABELS;
use super::image_groups::ImageGroups;
use crate::nn::layers::f32;
use crate::nn::networks::Memory;
use crate::torch::macs;
use tch::{Kind, Tensor};

/// Least logarithm of a weight relative to the largest one: far below the resolution of f32, and above the denormal
/// numbers that slow processors down.
const LEAST_LOG_WEIGHT: f64 = -60.0;
/// Least share of a position that counts as inside of an annotated mask, for the logarithm. Chosen.
const LEAST_INSIDE: f64 = 1e-4;

/// Result of the memory read.
pub(super) struct Read {
    /// `[N, CV, h, w]`, kind of the keys.
    pub readout: Tensor,
    /// Labels from all memory and from the annotated slices, `[N, 2, h, w]`, f32, -1..1.
    pub labels: Tensor,
    /// Familiarity with the annotated slices and with their masks, `[N, 2, h, w]`, f32, 0..1; none if it is not wanted.
    pub familiarity: Option<Tensor>,
}

/// Reads the memory of each query; the affinity is computed once for each of the `groups`. `familiarity`: whether it is
/// wanted.
///
/// # Shapes
/// `key`: `[N, CK, h, w]`; `memory`: N entries / see [`Read`].
pub(super) fn read_memory(key: &Tensor, memory: &[Memory], groups: &ImageGroups, familiarity: bool) -> Read {
    let group = |queries: &Vec<i64>| {
        let values: Vec<&Tensor> = queries.iter().map(|&n| &memory[n as usize].values).collect();
        let first = &memory[queries[0] as usize];
        read_group(&key.narrow(0, queries[0], 1), &first.keys, first.annotated, &values, familiarity)
    };
    let parts: Vec<Read> = groups.groups().iter().map(group).collect();
    let all = |part: fn(&Read) -> &Tensor| {
        groups.in_order(&parts.iter().map(|read| part(read).shallow_clone()).collect::<Vec<_>>())
    };
    let familiarity = familiarity.then(|| all(|read| read.familiarity.as_ref().expect("wanted")));
    Read { readout: all(|read| &read.readout), labels: all(|read| &read.labels), familiarity }
}

/// Reads several masks' values with the affinity of one query. The query's own term of the distance is the same for all
/// memory positions and drops out in the softmax.
///
/// # Shapes
/// `key`: `[1, CK, h, w]`; `keys`: `[T P, CK]`, the first `annotated` rows of annotated slices; `values`: one
/// `[T P, CV]` for each mask / N is the number of masks.
fn read_group(key: &Tensor, keys: &Tensor, annotated: i64, values: &[&Tensor], familiarity: bool) -> Read {
    let size = key.size();
    let total = |t: &Tensor| t.sum_dim_intlist([1i64].as_slice(), true, Kind::Float);
    // 1. Affinity: 2 q k - k², less its maximum.
    let scale = 1.0 / (size[1] as f64).sqrt();
    let query = key.flatten(2, 3).squeeze_dim(0).transpose(0, 1) * (2.0 * scale);
    let squared = (keys * keys).sum_dim_intlist([1i64].as_slice(), false, Kind::Float) * scale;
    let dots = query.matmul(&keys.transpose(0, 1));
    macs::add(&dots, size[1]);
    let mut weights: Tensor = f32(&dots) - squared.unsqueeze(0);
    let annotated_labels: Vec<Tensor> =
        values.iter().map(|v| f32(&v.narrow(0, 0, annotated).narrow(1, 0, 1))).collect();
    let annotated_labels = Tensor::cat(&annotated_labels, 1);
    // 2. Familiarity, with the query's own term of the distance.
    let familiarity = familiarity.then(|| {
        let own = (key * key).sum_dim_intlist([1i64].as_slice(), false, Kind::Float).flatten(0, 2) * scale;
        familiarity_of(&(weights.narrow(1, 0, annotated) - own.unsqueeze(1)), &annotated_labels)
    });
    weights -= weights.detach().amax([1i64].as_slice(), true);
    let weights = weights.clamp_min_(LEAST_LOG_WEIGHT).exp_();
    let sum = total(&weights);
    // 3. Labels from the annotated slices alone.
    let annotated_weights = weights.narrow(1, 0, annotated);
    let annotated_labels = annotated_weights.matmul(&annotated_labels) / total(&annotated_weights);
    // 4. Readout, divided by the sum of the weights: cheaper than dividing the weights.
    let masks = values.len() as i64;
    let values = if masks == 1 { values[0].shallow_clone() } else { Tensor::cat(values, 1) };
    let weights = weights.to_kind(values.kind());
    let readout = weights.matmul(&values);
    macs::add(&readout, weights.size()[1]);
    let maps = |t: &Tensor| t.transpose(0, 1).reshape([masks, -1, size[2], size[3]]);
    let readout = maps(&(f32(&readout) / sum));
    let labels = Tensor::cat(&[readout.narrow(1, 0, 1), maps(&annotated_labels)], 1);
    debug_assert_eq!(labels.size()[1], LABELS);
    let familiarity = familiarity.map(|f| f.permute([1, 2, 0]).reshape([masks, 2, size[2], size[3]]));
    Read { readout: readout.to_kind(key.kind()), labels, familiarity }
}

/// Familiarity of P query positions with annotated slices, for each mask. Its gradient is not used.
///
/// # Shapes
/// `logits`: `[P, A]`, minus the scaled squared distances; `labels`: `[A, N]`, -1..1 / `[P, N, 2]`, 0..1.
fn familiarity_of(logits: &Tensor, labels: &Tensor) -> Tensor {
    let logits = logits.detach();
    let nearest = |logits: &Tensor| (logits.amax([1i64].as_slice(), false).clamp_max(0.0) - 1.0).reciprocal() * -1.0;
    let all = nearest(&logits);
    let of_mask = |n: i64| {
        let inside = ((labels.select(1, n).detach() + 1.0) * 0.5).clamp_min(LEAST_INSIDE).log();
        Tensor::stack(&[&all, &nearest(&(&logits + inside.unsqueeze(0)))], 1)
    };
    Tensor::stack(&(0..labels.size()[1]).map(of_mask).collect::<Vec<_>>(), 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_weighted_by_distance() {
        // One query at 0; memory keys 0 and 1 (CK = 1): weights 1 and exp(-1), values 10 and 20.
        let t = |v: &[f32], shape: &[i64]| Tensor::from_slice(v).reshape(shape);
        let keys = t(&[0.0, 1.0], &[2, 1]);
        let values = [t(&[10.0, 20.0], &[2, 1]), t(&[1.0, 3.0], &[2, 1])];
        let Read { readout, labels, familiarity } =
            read_group(&t(&[0.0], &[1, 1, 1, 1]), &keys, 1, &values.each_ref(), false);
        assert!(familiarity.is_none());
        assert_eq!((readout.size(), labels.size()), (vec![2, 1, 1, 1], vec![2, 2, 1, 1]));
        // The annotated slices are the first row.
        assert!((labels.double_value(&[0, 1, 0, 0]) - 10.0).abs() < 1e-5);
        assert!((labels.double_value(&[1, 1, 0, 0]) - 1.0).abs() < 1e-5);
        let e = (-1.0f64).exp();
        for (n, expected) in [(0, (10.0 + 20.0 * e) / (1.0 + e)), (1, (1.0 + 3.0 * e) / (1.0 + e))] {
            assert!((readout.double_value(&[n, 0, 0, 0]) - expected).abs() < 1e-5);
            assert!((labels.double_value(&[n, 0, 0, 0]) - expected).abs() < 1e-5);
        }
    }

    #[test]
    fn familiarity_falls_with_the_distance() {
        // Queries 1 and 3, annotated keys 0 (outside, label -1) and 2 (half inside, label 0); CK = 1.
        let t = |v: &[f32], shape: &[i64]| Tensor::from_slice(v).reshape(shape);
        let values = t(&[-1.0, 0.0, 1.0], &[3, 1]);
        // The third key is not annotated.
        let keys = t(&[0.0, 2.0, 3.0], &[3, 1]);
        let read = read_group(&t(&[1.0, 3.0], &[1, 1, 1, 2]), &keys, 2, &[&values], true);
        let familiarity = read.familiarity.unwrap();
        assert_eq!(familiarity.size(), [1, 2, 1, 2]);
        // Squared distances 1 and 1 to the nearest; inside, ln 2 farther.
        let inside = 1.0 / (2.0 + 2f64.ln());
        for (channel, position, expected) in [(0, 0, 0.5), (0, 1, 0.5), (1, 0, inside), (1, 1, inside)] {
            assert!((familiarity.double_value(&[0, channel, 0, position]) - expected).abs() < 1e-5);
        }
    }
}
