//! Smooth noise in space: periodic blocks, computed once and sampled at any scale and place. Textures, deformations and
//! label volumes are made of it.

use super::random::{Purpose, Random, normal, random, uniform};
use std::sync::OnceLock;

/// Side of a block; a power of two. Chosen: 4 MiB for all blocks.
const SIDE: usize = 64;
/// Number of independent blocks. Chosen.
const BLOCKS: usize = 4;

/// Periodic noise with mean 0 and variance 1; features are about 3 units wide.
struct Blocks(Vec<Vec<f32>>);

fn blocks() -> &'static Blocks {
    static MADE: OnceLock<Blocks> = OnceLock::new();
    MADE.get_or_init(|| {
        Blocks(
            (0..BLOCKS)
                .map(|i| {
                    let r = random(0, Purpose::Noise, i as u64);
                    let mut block: Vec<f32> = (0..SIDE * SIDE * SIDE).map(|_| normal(&r)).collect();
                    for stride in [1, SIDE, SIDE * SIDE] {
                        smooth(&mut block, stride);
                    }
                    let n = block.len() as f32;
                    let mean = block.iter().sum::<f32>() / n;
                    let deviation = (block.iter().map(|v| (v - mean).powi(2)).sum::<f32>() / n).sqrt();
                    block.iter_mut().for_each(|v| *v = (*v - mean) / deviation);
                    block
                })
                .collect(),
        )
    })
}

/// Binomial smoothing (1 4 6 4 1) along the axis of `stride`, around the end.
fn smooth(block: &mut [f32], stride: usize) {
    let mut line = [0f32; SIDE];
    for start in (0..block.len()).filter(|i| (i / stride).is_multiple_of(SIDE)) {
        for (k, v) in line.iter_mut().enumerate() {
            *v = block[start + k * stride];
        }
        for k in 0..SIDE {
            let at = |d: usize| line[(k + SIDE + d - 2) % SIDE];
            block[start + k * stride] = (at(0) + at(4) + 4.0 * (at(1) + at(3)) + 6.0 * at(2)) / 16.0;
        }
    }
}

/// A noise field: a random place in one of the blocks, stretched.
#[derive(Debug, Clone, Copy)]
pub struct Noise {
    block: usize,
    offset: [f32; 3],
    /// 1 / size of a unit along each axis.
    pitch: [f32; 3],
}

impl Noise {
    /// A field whose features are about `size` wide along each axis.
    pub fn new(random: &Random, size: [f32; 3]) -> Noise {
        Noise {
            block: super::random::integer(random, 0, BLOCKS - 1),
            offset: std::array::from_fn(|_| uniform(random, 0.0, SIDE as f32)),
            pitch: size.map(|s| 3.0 / s.max(1e-3)),
        }
    }

    /// A field whose features are about `size` wide along all axes.
    pub fn even(random: &Random, size: f32) -> Noise {
        Noise::new(random, [size; 3])
    }

    /// The value at `p`.
    pub fn at(&self, p: [f32; 3]) -> f32 {
        let block = &blocks().0[self.block];
        let mut low = [0usize; 3];
        let mut part = [0f32; 3];
        for i in 0..3 {
            let x = p[i] * self.pitch[i] + self.offset[i];
            let floor = x.floor();
            low[i] = (floor as i32 as usize) & (SIDE - 1);
            part[i] = x - floor;
        }
        let next = low.map(|l| (l + 1) & (SIDE - 1));
        let plane = |z: usize| {
            let row = |y: usize| {
                let at = (z * SIDE + y) * SIDE;
                let (a, b) = (block[at + low[2]], block[at + next[2]]);
                a + (b - a) * part[2]
            };
            let (a, b) = (row(low[1]), row(next[1]));
            a + (b - a) * part[1]
        };
        let (a, b) = (plane(low[0]), plane(next[0]));
        a + (b - a) * part[0]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_is_smooth_at_its_size_and_has_unit_variance() {
        let r = random(1, Purpose::Clip, 0);
        let noise = Noise::even(&r, 12.0);
        let values: Vec<f32> =
            (0..20_000).map(|i| noise.at([i as f32 * 1.7, (i % 131) as f32, 0.3 * i as f32])).collect();
        let mean = values.iter().sum::<f32>() / values.len() as f32;
        let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f32>() / values.len() as f32;
        // Interpolation between grid points reduces the variance.
        assert!(mean.abs() < 0.1 && (0.6..1.1).contains(&variance), "{mean} {variance}");
        let step = |d: f32| {
            (0..1000).map(|i| (noise.at([i as f32, 0.0, 0.0]) - noise.at([i as f32 + d, 0.0, 0.0])).abs()).sum::<f32>()
        };
        assert!(step(0.5) * 4.0 < step(12.0));
    }
}
