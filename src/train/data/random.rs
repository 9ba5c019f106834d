//! Random numbers that depend on a seed, a purpose and an index alone: clips are independent of the number of threads,
//! and a resumed training draws the numbers of an uninterrupted one.

use rand::{Rng, RngCore, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;
use std::cell::RefCell;

/// The generator; behind a shared reference, so that arguments of a function that draws can be drawn themselves.
#[derive(Debug)]
pub struct Random(RefCell<ChaCha8Rng>);

impl Random {
    /// A seed for a generator of another kind.
    pub fn seed(&self) -> u64 {
        self.0.borrow_mut().next_u64()
    }
}

/// Purpose of random numbers; each has a sequence of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// A synthetic scene.
    Scene,
    /// A clip cut from a scene.
    Clip,
    /// Choices of a training step: masks put into memory, drawings, damage.
    Step,
    /// The shared noise.
    Noise,
    /// Held-out clips.
    HeldOut,
}

/// The generator for number `index` of `purpose`.
pub fn random(seed: u64, purpose: Purpose, index: u64) -> Random {
    let mut random = ChaCha8Rng::seed_from_u64(seed ^ (purpose as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    random.set_stream(index);
    Random(RefCell::new(random))
}

/// True with probability `p`.
pub fn chance(random: &Random, p: f64) -> bool {
    random.0.borrow_mut().gen_bool(p.clamp(0.0, 1.0))
}

fn unit(random: &Random) -> f32 {
    random.0.borrow_mut().gen_range(0.0..1.0)
}

/// Uniform in `low..high`.
pub fn uniform(random: &Random, low: f32, high: f32) -> f32 {
    low + (high - low) * unit(random)
}

/// Uniform in its logarithm: as often between 1 and 2 as between 2 and 4.
pub fn log_uniform(random: &Random, low: f32, high: f32) -> f32 {
    low * (high / low).powf(unit(random))
}

/// Uniform in `low..=high`.
pub fn integer(random: &Random, low: usize, high: usize) -> usize {
    random.0.borrow_mut().gen_range(low..=high)
}

/// Gaussian with mean 0 and standard deviation 1.
pub fn normal(random: &Random) -> f32 {
    random.0.borrow_mut().sample(StandardNormal)
}

/// One of `items`.
pub fn pick<'a, T>(random: &Random, items: &'a [T]) -> &'a T {
    &items[random.0.borrow_mut().gen_range(0..items.len())]
}

/// Number of the entry drawn in proportion to `weights`.
pub fn weighted(random: &Random, weights: &[f32]) -> usize {
    let mut left = unit(random) * weights.iter().sum::<f32>();
    for (i, w) in weights.iter().enumerate() {
        left -= w;
        if left < 0.0 {
            return i;
        }
    }
    weights.len() - 1
}

/// A rotation drawn uniformly from all rotations: rows are the turned axes.
pub fn rotation(random: &Random) -> [[f32; 3]; 3] {
    let q: [f32; 4] = std::array::from_fn(|_| normal(random));
    let n = q.iter().map(|x| x * x).sum::<f32>().sqrt().max(1e-6);
    let [w, x, y, z] = q.map(|v| v / n);
    [
        [1.0 - 2.0 * (y * y + z * z), 2.0 * (x * y - w * z), 2.0 * (x * z + w * y)],
        [2.0 * (x * y + w * z), 1.0 - 2.0 * (x * x + z * z), 2.0 * (y * z - w * x)],
        [2.0 * (x * z - w * y), 2.0 * (y * z + w * x), 1.0 - 2.0 * (x * x + y * y)],
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_depend_on_seed_purpose_and_index_alone() {
        let draw = |seed, purpose, index| random(seed, purpose, index).seed();
        assert_eq!(draw(1, Purpose::Clip, 5), draw(1, Purpose::Clip, 5));
        let all = [
            draw(1, Purpose::Clip, 5),
            draw(2, Purpose::Clip, 5),
            draw(1, Purpose::Step, 5),
            draw(1, Purpose::Clip, 6),
        ];
        for (i, a) in all.iter().enumerate() {
            assert!(all[..i].iter().all(|b| a != b));
        }
    }

    #[test]
    fn a_rotation_keeps_lengths_and_right_angles() {
        let r = rotation(&random(1, Purpose::Scene, 0));
        for i in 0..3 {
            for j in 0..3 {
                let dot: f32 = (0..3).map(|k| r[i][k] * r[j][k]).sum();
                assert!((dot - if i == j { 1.0 } else { 0.0 }).abs() < 1e-5);
            }
        }
    }

    #[test]
    fn weights_are_honoured() {
        let r = random(3, Purpose::Clip, 0);
        assert!((0..100).all(|_| weighted(&r, &[0.0, 1.0, 0.0]) == 1));
        let n = (0..4000).filter(|_| weighted(&r, &[1.0, 3.0]) == 1).count();
        assert!((2800..3200).contains(&n), "{n}");
    }
}
