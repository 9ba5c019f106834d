//! Damaged masks: errors of users and networks. A border drawn too far in or out, a lost part, a leak, a shift, noise
//! along the border, a mask that is missing altogether.
//!
//! All distributions are chosen.

use super::noise::Noise;
use super::random::{Random, chance, integer, log_uniform, normal, pick, uniform};
use super::resample::blur;

/// A little damage, such as an annotated slice may have: the border 1 to 4 pixels off, a part dropped or a leak.
pub fn slight(random: &Random, mask: &[f32], side: usize) -> Vec<f32> {
    match integer(random, 0, 3) {
        0 | 1 => {
            let amount = uniform(random, -4.0, 4.0) * side as f32 / 128.0;
            border(random, mask, side, amount)
        }
        2 => disc(random, mask, side, false, 0.35),
        _ => disc(random, mask, side, true, 0.35),
    }
}

/// A mask after propagation over many slices: its border moved by up to a fifth of its radius, unevenly.
pub fn drifted(random: &Random, mask: &[f32], side: usize) -> Vec<f32> {
    let radius = (mask.iter().filter(|&&v| v > 0.5).count() as f32 / std::f32::consts::PI).sqrt();
    border(random, mask, side, radius * uniform(random, -0.2, 0.2))
}

/// Any amount of damage, up to a mask that is lost or lies elsewhere.
pub fn any(random: &Random, mask: &[f32], side: usize) -> Vec<f32> {
    let mut damaged = mask.to_vec();
    let s = side as f32 / 128.0;
    match integer(random, 0, 9) {
        0 => damaged.fill(0.0),
        1 => damaged = shift(random, &damaged, side, 30.0 * s),
        2 => damaged = shift(random, &damaged, side, 8.0 * s),
        n => {
            for _ in 0..=n / 5 {
                damaged = match integer(random, 0, 3) {
                    0 => {
                        let amount = normal(random) * 5.0 * s;
                        border(random, &damaged, side, amount)
                    }
                    1 => disc(random, &damaged, side, false, 0.9),
                    _ => disc(random, &damaged, side, true, 0.9),
                };
            }
        }
    }
    if chance(random, 0.4) {
        let amount = 0.5 * normal(random);
        damaged = border(random, &damaged, side, amount);
    }
    damaged
}

/// Moves the border outward by `amount` pixels (inward when negative), unevenly.
fn border(random: &Random, mask: &[f32], side: usize, amount: f32) -> Vec<f32> {
    // Across a straight border, a mask smoothed with deviation sigma falls through erf: a threshold moves the border.
    let sigma = amount.abs().max(1.0) * 1.2;
    let mut soft = mask.to_vec();
    blur(&mut soft, side, sigma);
    let ripple = Noise::even(random, side as f32 * log_uniform(random, 0.06, 0.4));
    let strength = uniform(random, 0.0, 0.6);
    let mut out = vec![0f32; mask.len()];
    for (i, (out, &v)) in out.iter_mut().zip(&soft).enumerate() {
        let wave = strength * ripple.at([0.0, (i / side) as f32, (i % side) as f32]);
        let move_by = (amount + wave * sigma) / sigma;
        // The logistic curve stands in for the normal distribution's.
        let threshold = 1.0 / (1.0 + (1.7 * move_by).exp());
        *out = f32::from(v > threshold);
    }
    out
}

/// Fills (or clears) a deformed disc about a border pixel, or anywhere.
fn disc(random: &Random, mask: &[f32], side: usize, fill: bool, largest: f32) -> Vec<f32> {
    let mut out = mask.to_vec();
    let inside: Vec<usize> = (0..mask.len()).filter(|&i| mask[i] > 0.5).collect();
    let edge: Vec<usize> = inside
        .iter()
        .copied()
        .filter(|&i| {
            let (r, c) = (i / side, i % side);
            r == 0 || c == 0 || r + 1 == side || c + 1 == side || {
                [i - 1, i + 1, i - side, i + side].iter().any(|&j| mask[j] <= 0.5)
            }
        })
        .collect();
    if inside.is_empty() {
        if fill {
            let centre = integer(random, 0, mask.len() - 1);
            stamp(random, &mut out, side, centre, side as f32 * uniform(random, 0.03, 0.2), 1.0);
        }
        return out;
    }
    let size = (inside.len() as f32 / std::f32::consts::PI).sqrt();
    let centre = if fill && chance(random, 0.15) { integer(random, 0, mask.len() - 1) } else { *pick(random, &edge) };
    let radius = (size * uniform(random, 0.15, largest)).max(1.5);
    stamp(random, &mut out, side, centre, radius, f32::from(fill));
    out
}

fn stamp(random: &Random, mask: &mut [f32], side: usize, centre: usize, radius: f32, value: f32) {
    let noise = Noise::even(random, radius.max(2.0));
    let (cr, cc) = ((centre / side) as f32, (centre % side) as f32);
    for (i, v) in mask.iter_mut().enumerate() {
        let (r, c) = ((i / side) as f32, (i % side) as f32);
        let d = (r - cr).hypot(c - cc);
        if d < 2.0 * radius && d < radius * (1.0 + 0.3 * noise.at([0.0, r, c])) {
            *v = value;
        }
    }
}

fn shift(random: &Random, mask: &[f32], side: usize, most: f32) -> Vec<f32> {
    let (dr, dc) = (uniform(random, -most, most) as i32, uniform(random, -most, most) as i32);
    let mut out = vec![0f32; mask.len()];
    for (i, out) in out.iter_mut().enumerate() {
        let (r, c) = ((i / side) as i32 - dr, (i % side) as i32 - dc);
        if r >= 0 && c >= 0 && r < side as i32 && c < side as i32 {
            *out = mask[r as usize * side + c as usize];
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::data::random::{Purpose, random};

    fn square() -> Vec<f32> {
        (0..64 * 64).map(|i| f32::from((16..48).contains(&(i / 64)) && (16..48).contains(&(i % 64)))).collect()
    }

    #[test]
    fn a_border_moves_by_the_given_amount() {
        let r = random(1, Purpose::Step, 0);
        let width = |m: &[f32]| m[32 * 64..33 * 64].iter().sum::<f32>();
        let mean =
            |amount: f32, r: &Random| (0..20).map(|_| width(&border(r, &square(), 64, amount))).sum::<f32>() / 20.0;
        assert!((mean(3.0, &r) - 38.0).abs() < 1.5);
        assert!((mean(-3.0, &r) - 26.0).abs() < 1.5);
    }

    #[test]
    fn damage_ranges_from_slight_to_total() {
        let mask = square();
        let iou = |m: &[f32]| {
            let both = m.iter().zip(&mask).filter(|(a, b)| **a > 0.5 && **b > 0.5).count() as f32;
            let any = m.iter().zip(&mask).filter(|(a, b)| **a > 0.5 || **b > 0.5).count() as f32;
            both / any
        };
        let draw = |f: fn(&Random, &[f32], usize) -> Vec<f32>| -> Vec<f32> {
            (0..200).map(|i| iou(&f(&random(2, Purpose::Step, i), &mask, 64))).collect()
        };
        assert!(draw(slight).iter().all(|&v| v > 0.55));
        let drifted = draw(drifted);
        assert!(drifted.iter().all(|&v| v > 0.4) && drifted.iter().any(|&v| v < 0.65), "{drifted:?}");
        let any = draw(any);
        for (low, high) in [(0.0, 0.2), (0.2, 0.5), (0.5, 0.8), (0.8, 1.01)] {
            assert!(any.iter().filter(|&&v| v >= low && v < high).count() >= 10, "{low} to {high}: {any:?}");
        }
    }
}
