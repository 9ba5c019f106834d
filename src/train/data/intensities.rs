//! Intensities of a block of slices, drawn for each clip, and the artefacts of scanners.
//!
//! A synthetic block gets one of three appearances: a free mixture (any instance class, any grey), CT-like (Hounsfield
//! units by tissue, through the engine's CT window), MR-like (any grey, air and cortical bone dark). In 30 % of the
//! clips the target differs from a neighbour by 0.3 to 1.5 standard deviations only. Bias field, blur, noise, gamma and
//! window follow; 5 % of the blocks have neither texture nor noise, as drawn phantoms. Real images get the same,
//! weaker, and in a third of the clips other greys ([`remap`]), so that tissues differ as in other sequences and
//! modalities.
//!
//! All distributions are chosen.

use super::noise::Noise;
use super::random::{Random, chance, integer, log_uniform, normal, uniform, weighted};
use super::resample::blur;
use super::scene::{Scene, Tissue};

/// Texture fields of a clip. Chosen.
const FIELDS: usize = 3;
/// Share of the synthetic clips without texture and noise.
const PHANTOMS: f64 = 0.05;
/// Share of the real clips whose greys are remapped.
const REMAPPED: f64 = 0.35;
/// Points of the curve by which greys are remapped.
const CURVE: usize = 6;

/// Grey value of one class.
#[derive(Debug, Clone, Copy, Default)]
struct ClassIntensity {
    mean: f32,
    /// Standard deviation of the texture.
    amplitude: f32,
    field: usize,
}

/// Intensities of a synthetic clip.
pub(crate) struct Appearance {
    /// By instance.
    intensities: Vec<ClassIntensity>,
    fields: [Noise; FIELDS],
    outside: f32,
    noise: f32,
    ct: bool,
}

/// Hounsfield units of a tissue: mean drawn in this range, and texture.
fn hounsfield(tissue: Tissue) -> ([f32; 2], f32) {
    match tissue {
        Tissue::Air => ([-1000.0, -980.0], 2.0),
        Tissue::Lung => ([-880.0, -650.0], 40.0),
        Tissue::Fat => ([-120.0, -75.0], 8.0),
        Tissue::Fluid => ([-5.0, 25.0], 3.0),
        Tissue::Muscle => ([25.0, 75.0], 9.0),
        Tissue::Organ => ([20.0, 160.0], 8.0),
        Tissue::Vessel => ([35.0, 380.0], 8.0),
        Tissue::SpongyBone => ([120.0, 330.0], 45.0),
        Tissue::CorticalBone => ([420.0, 1300.0], 70.0),
        Tissue::Lesion => ([-10.0, 130.0], 15.0),
        Tissue::Content => ([-300.0, 320.0], 40.0),
    }
}

impl Appearance {
    /// Draws the intensities of every class. `neighbours` are instances at the target's edge; `pixel` is the size of a
    /// pixel, voxels.
    pub fn new(random: &Random, scene: &Scene, inside: &[bool], neighbours: &[u16], pixel: f32) -> Appearance {
        let style = weighted(random, &[0.35, 0.4, 0.25]);
        let ct = style == 1;
        let scale = [2.2, 5.0, 14.0].map(|s| s * pixel * log_uniform(random, 0.7, 1.5));
        let fields = scale.map(|s| Noise::even(random, s));
        let mut noise = if ct { log_uniform(random, 4.0, 45.0) / 700.0 } else { log_uniform(random, 0.006, 0.1) };
        let mut texture = log_uniform(random, 0.25, 2.0);
        if chance(random, PHANTOMS) {
            (noise, texture) = (0.0, 0.0);
        }
        let classes = scene.instances.iter().map(|i| i.kind.class).max().map_or(1, |c| usize::from(c) + 1);
        let mut by_class = vec![None; classes];
        let mut intensities = Vec::with_capacity(scene.instances.len());
        // Tissues of one kind are close to each other in an image: three levels that most classes are near to.
        let levels: [f32; 3] = std::array::from_fn(|_| uniform(random, 0.1, 0.9));
        for instance in &scene.instances {
            let kind = instance.kind;
            let intensity = *by_class[usize::from(kind.class)].get_or_insert_with(|| {
                let field = integer(random, 0, FIELDS - 1);
                if ct {
                    let ([low, high], spread) = hounsfield(kind.tissue);
                    let mean = (uniform(random, low, high) + 250.0) / 700.0;
                    let amplitude = spread / 700.0 * texture * uniform(random, 0.3, 1.7);
                    return ClassIntensity { mean, amplitude, field };
                }
                let dark = match kind.tissue {
                    Tissue::Air | Tissue::Lung => chance(random, 0.85),
                    Tissue::CorticalBone => style == 2 && chance(random, 0.8),
                    _ => false,
                };
                let mean = if dark {
                    uniform(random, 0.0, 0.06)
                } else if chance(random, 0.5) {
                    levels[integer(random, 0, 2)] + 0.07 * normal(random)
                } else {
                    uniform(random, 0.0, 1.0)
                };
                let amplitude = if dark { 0.005_f32.min(texture) } else { texture * uniform(random, 0.003, 0.06) };
                ClassIntensity { mean: mean.clamp(0.0, 1.1), amplitude, field }
            });
            intensities.push(intensity);
        }
        // Instances of one class differ a little, or not at all.
        let apart = if chance(random, 0.5) { uniform(random, 0.0, 0.03) } else { 0.0 };
        intensities.iter_mut().for_each(|l| l.mean += apart * normal(random));
        let dark = if ct { -1.0 } else { uniform(random, 0.0, 0.04) };
        let mut appearance = Appearance { intensities, fields, outside: dark, noise, ct };
        // Beside a neighbour without texture and noise, no contrast would be left.
        if texture > 0.0 && chance(random, 0.3) && !neighbours.is_empty() {
            appearance.lower_contrast(random, scene, inside, neighbours);
        }
        appearance
    }

    /// Brings the target to 0.3 to 1.5 standard deviations from a neighbour.
    fn lower_contrast(&mut self, random: &Random, scene: &Scene, inside: &[bool], neighbours: &[u16]) {
        let beside = self.intensities[usize::from(neighbours[integer(random, 0, neighbours.len() - 1)])];
        let sigma = beside.amplitude.hypot(self.noise);
        let sign = if chance(random, 0.5) { 1.0 } else { -1.0 };
        let mean = beside.mean + sign * sigma * uniform(random, 0.3, 1.5);
        let alike = chance(random, 0.6);
        let Some(first) = (0..inside.len()).find(|&i| inside[i] && scene.instances[i].kind.part_of.is_none()) else {
            return;
        };
        let class = scene.instances[first].kind.class;
        for (intensity, instance) in self.intensities.iter_mut().zip(&scene.instances) {
            if instance.kind.class == class {
                intensity.mean = mean;
                if alike {
                    (intensity.amplitude, intensity.field) = (beside.amplitude, beside.field);
                }
            }
        }
    }

    /// Grey of instance `id` (none: beyond the scene) at `p`.
    pub fn grey(&self, id: Option<u16>, p: [f32; 3]) -> f32 {
        let Some(id) = id else { return self.outside };
        let intensity = &self.intensities[usize::from(id)];
        intensity.mean
            + if intensity.amplitude > 0.004 { intensity.amplitude * self.fields[intensity.field].at(p) } else { 0.0 }
    }

    /// Applies blur, bias field, noise, gamma and window to the planes `[side, side]` of a block.
    pub fn scan(&self, random: &Random, planes: &mut [Vec<f32>], side: usize) {
        let sigma = if self.ct { uniform(random, 0.3, 0.9) } else { uniform(random, 0.2, 1.1) };
        planes.iter_mut().for_each(|p| blur(p, side, sigma));
        if self.ct {
            add_noise(random, planes, side, self.noise, uniform(random, 0.3, 1.0));
            let stretch =
                if chance(random, 0.3) { [uniform(random, -0.15, 0.2), uniform(random, 0.7, 1.2)] } else { [0.0, 1.0] };
            window(planes, stretch);
            return;
        }
        if chance(random, 0.6) {
            let strength = uniform(random, 0.05, 0.35);
            bias(random, planes, side, strength);
        }
        if chance(random, 0.3) {
            ramp(random, planes);
        }
        let grain = if chance(random, 0.6) { 0.0 } else { uniform(random, 0.3, 0.9) };
        add_noise(random, planes, side, self.noise, grain);
        if chance(random, 0.5) {
            gamma(planes, (0.35 * normal(random)).clamp(-0.8, 0.8).exp());
        }
        if chance(random, 0.12) {
            planes.iter_mut().flatten().for_each(|v| *v = 1.0 - *v);
        }
        let stretch = [uniform(random, -0.08, 0.12), uniform(random, 0.8, 1.12)];
        window(planes, stretch);
    }
}

/// Varies a real block's intensities.
pub(crate) fn vary(random: &Random, planes: &mut [Vec<f32>], side: usize) {
    if chance(random, REMAPPED) {
        let curve = std::array::from_fn(|_| uniform(random, 0.0, 1.0));
        remap(planes, &curve, uniform(random, 0.3, 1.0));
    }
    if chance(random, 0.25) {
        let sigma = uniform(random, 0.2, 0.9);
        planes.iter_mut().for_each(|p| blur(p, side, sigma));
    }
    if chance(random, 0.25) {
        let strength = uniform(random, 0.03, 0.25);
        bias(random, planes, side, strength);
    }
    if chance(random, 0.3) {
        let (strength, grain) = (log_uniform(random, 0.005, 0.05), uniform(random, 0.0, 0.8));
        add_noise(random, planes, side, strength, grain);
    }
    if chance(random, 0.3) {
        ramp(random, planes);
    }
    if chance(random, 0.5) {
        gamma(planes, (0.3 * normal(random)).clamp(-0.7, 0.7).exp());
    }
    if chance(random, 0.06) {
        planes.iter_mut().flatten().for_each(|v| *v = 1.0 - *v);
    }
    if chance(random, 0.6) {
        let stretch = [uniform(random, -0.1, 0.15), uniform(random, 0.75, 1.15)];
        window(planes, stretch);
    }
}

/// Gaussian noise of deviation `strength`, correlated over `grain` pixels.
fn add_noise(random: &Random, planes: &mut [Vec<f32>], side: usize, strength: f32, grain: f32) {
    let mut noise = vec![0f32; side * side];
    // Smoothing a white plane with a Gaussian divides its deviation by about 2 sqrt(pi) sigma.
    let gain = if grain < 0.15 { 1.0 } else { (2.0 * std::f32::consts::PI.sqrt() * grain).max(1.0) };
    for plane in planes {
        noise.iter_mut().for_each(|v| *v = normal(random));
        blur(&mut noise, side, grain);
        plane.iter_mut().zip(&noise).for_each(|(v, n)| *v += strength * gain * n);
    }
}

/// A smooth factor over the block.
fn bias(random: &Random, planes: &mut [Vec<f32>], side: usize, strength: f32) {
    let size = side as f32 * uniform(random, 0.6, 2.0);
    let field = Noise::new(random, [planes.len() as f32 * 2.0 + 2.0, size, size]);
    for (k, plane) in planes.iter_mut().enumerate() {
        // Smooth enough to be evaluated at every fourth pixel.
        for (r, row) in plane.chunks_exact_mut(side).enumerate() {
            for (c, part) in row.chunks_mut(4).enumerate() {
                let factor = (strength * field.at([k as f32, r as f32, 4.0 * c as f32])).exp();
                part.iter_mut().for_each(|v| *v *= factor);
            }
        }
    }
}

/// Planes become brighter or darker one after the other, by up to a third from the first to the last: as with distance
/// from a coil.
fn ramp(random: &Random, planes: &mut [Vec<f32>]) {
    let (strength, last) = (uniform(random, -0.3, 0.3), planes.len().max(2) as f32 - 1.0);
    for (k, plane) in planes.iter_mut().enumerate() {
        let factor = (strength * k as f32 / last).exp();
        plane.iter_mut().for_each(|v| *v *= factor);
    }
}

/// Moves every grey by `share` towards its value on a curve through evenly spaced points.
fn remap(planes: &mut [Vec<f32>], curve: &[f32; CURVE], share: f32) {
    for v in planes.iter_mut().flatten() {
        let x = v.clamp(0.0, 1.0) * (CURVE - 1) as f32;
        let i = (x as usize).min(CURVE - 2);
        let on_curve = curve[i] + (curve[i + 1] - curve[i]) * (x - i as f32);
        *v += share * (on_curve - *v);
    }
}

fn gamma(planes: &mut [Vec<f32>], exponent: f32) {
    planes.iter_mut().flatten().for_each(|v| *v = v.clamp(0.0, 1.0).powf(exponent));
}

/// `low` becomes 0 and `high` 1; values beyond are clamped.
fn window(planes: &mut [Vec<f32>], [low, high]: [f32; 2]) {
    let scale = 1.0 / (high - low);
    planes.iter_mut().flatten().for_each(|v| *v = ((*v - low) * scale).clamp(0.0, 1.0));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::data::random::{Purpose, random};

    #[test]
    fn greys_move_towards_a_curve() {
        let mut planes = vec![vec![0.0, 0.2, 0.3], vec![0.9, 1.0, 1.2]];
        remap(&mut planes, &[0.5, 0.1, 0.3, 0.0, 1.0, 0.6], 1.0);
        // 0.3 lies half way from 0.2 to 0.4, 0.9 from 0.8 to 1; beyond 1 the curve goes on level.
        let expected = [0.5, 0.1, 0.2, 0.8, 0.6, 0.6];
        assert!(planes.iter().flatten().zip(expected).all(|(v, e)| (v - e).abs() < 1e-6), "{planes:?}");
        let mut planes = vec![vec![0.2]];
        remap(&mut planes, &[0.0, 1.0, 0.0, 0.0, 0.0, 0.0], 0.25);
        assert!((planes[0][0] - 0.4).abs() < 1e-6);
    }

    #[test]
    fn a_ramp_goes_evenly_from_the_first_plane_to_the_last() {
        let mut factors = vec![];
        for i in 0..50 {
            let mut planes = vec![vec![0.5f32; 4]; 3];
            ramp(&random(1, Purpose::Clip, i), &mut planes);
            let [first, middle, last] = [0, 1, 2].map(|k| planes[k][3]);
            assert_eq!(first, 0.5);
            // Equal factors from plane to plane.
            assert!((middle / first - last / middle).abs() < 1e-5);
            factors.push(last / first);
        }
        let (low, high) = (0.3f32.exp().recip(), 0.3f32.exp());
        assert!(factors.iter().all(|&f| (low..=high).contains(&f)));
        assert!(factors.iter().any(|&f| f < 0.85) && factors.iter().any(|&f| f > 1.17));
    }
}
