//! Supervoxels: homogeneous parts of an image, targets where there are no labels.
//!
//! Simple linear iterative clustering (Achanta et al., TPAMI 2012) in three dimensions, on a smoothed image, with
//! distances in millimetres. Each connected component of a cluster becomes a part.

use super::scene::{Kind, Tissue, components};

/// Number of clusters. Chosen.
const COUNT: f32 = 700.0;
/// Rounds of assignment and update. Chosen; Achanta et al. use 10.
const ROUNDS: usize = 4;
/// Grey difference (of 0..1) that counts as much as one grid step. Chosen.
const GREY: f32 = 0.06;
/// Darker parts are air and no targets. Chosen.
const DARK: f32 = 0.03;
/// Parts of fewer voxels belong to no instance. Chosen, as in the synthetic scenes.
const LEAST: usize = 60;

/// One cluster: place in voxels and grey.
#[derive(Debug, Clone, Copy, Default)]
struct Centre {
    place: [f32; 3],
    grey: f32,
}

/// Ids and kinds of the supervoxels of `image` (0..65535).
pub fn supervoxels(shape: [usize; 3], spacing: [f32; 3], image: &[u16]) -> (Vec<u16>, Vec<Kind>) {
    let smooth = smooth(shape, image);
    let volume: f32 = (0..3).map(|i| shape[i] as f32 * spacing[i]).product();
    let step_mm = (volume / COUNT).cbrt();
    let step: [f32; 3] = std::array::from_fn(|i| (step_mm / spacing[i]).max(1.0));
    let grid = Grid { shape, spacing, step, step_mm };
    let mut centres = grid.centres(&smooth);
    let mut best = vec![0u32; image.len()];
    for _ in 0..ROUNDS {
        grid.assign(&smooth, &centres, &mut best);
        update(shape, &smooth, &best, &mut centres);
    }
    // Clusters whose numbers differ by a multiple of 65536 share a class; they are far apart.
    let classes: Vec<u16> = best.iter().map(|&b| b as u16).collect();
    let (ids, of_class) = components(shape, &classes, LEAST);
    let mut sums = vec![(0f32, 0f32); of_class.len()];
    for (&id, &grey) in ids.iter().zip(&smooth) {
        let sum = &mut sums[id as usize];
        *sum = (sum.0 + grey, sum.1 + 1.0);
    }
    let kinds = sums.iter().zip(&of_class).map(|(s, &c)| Kind::new(c, Tissue::Organ, s.0 / s.1.max(1.0) > DARK));
    (ids, kinds.collect())
}

/// Binomial smoothing (1 2 1) along every axis, 0..1.
fn smooth(shape: [usize; 3], image: &[u16]) -> Vec<f32> {
    let mut grey: Vec<f32> = image.iter().map(|&v| f32::from(v) / 65535.0).collect();
    let strides = [shape[1] * shape[2], shape[2], 1];
    for axis in 0..3 {
        let (stride, n) = (strides[axis], shape[axis]);
        if n < 3 {
            continue;
        }
        let source = grey.clone();
        for (i, v) in grey.iter_mut().enumerate() {
            let k = i / stride % n;
            let before = if k > 0 { source[i - stride] } else { source[i] };
            let after = if k + 1 < n { source[i + stride] } else { source[i] };
            *v = 0.25 * before + 0.5 * source[i] + 0.25 * after;
        }
    }
    grey
}

/// The voxels, and the initial grid of clusters on them.
struct Grid {
    shape: [usize; 3],
    /// Size of a voxel, mm.
    spacing: [f32; 3],
    /// Distance of neighbouring clusters, voxels.
    step: [f32; 3],
    /// The same in mm.
    step_mm: f32,
}

impl Grid {
    /// Clusters evenly spread over the volume.
    fn centres(&self, smooth: &[f32]) -> Vec<Centre> {
        let (shape, step) = (self.shape, self.step);
        let counts: [usize; 3] = std::array::from_fn(|i| ((shape[i] as f32 / step[i]).round() as usize).max(1));
        let mut centres = vec![];
        for z in 0..counts[0] {
            for y in 0..counts[1] {
                for x in 0..counts[2] {
                    let index = [z, y, x];
                    let place: [f32; 3] =
                        std::array::from_fn(|i| (index[i] as f32 + 0.5) * shape[i] as f32 / counts[i] as f32 - 0.5);
                    let p: [usize; 3] = std::array::from_fn(|i| (place[i] as usize).min(shape[i] - 1));
                    centres.push(Centre { place, grey: smooth[(p[0] * shape[1] + p[1]) * shape[2] + p[2]] });
                }
            }
        }
        centres
    }

    /// Writes the nearest cluster of each voxel into `best`, by place and grey value.
    fn assign(&self, smooth: &[f32], centres: &[Centre], best: &mut [u32]) {
        let Grid { shape, spacing, step, step_mm } = *self;
        let mut nearest = vec![f32::MAX; best.len()];
        for (number, centre) in centres.iter().enumerate() {
            let range = |i: usize| {
                let low = (centre.place[i] - 1.5 * step[i]).ceil().max(0.0) as usize;
                low..((centre.place[i] + 1.5 * step[i]).floor() as usize + 1).min(shape[i])
            };
            for z in range(0) {
                let dz = ((z as f32 - centre.place[0]) * spacing[0]).powi(2);
                for y in range(1) {
                    let dy = dz + ((y as f32 - centre.place[1]) * spacing[1]).powi(2);
                    for x in range(2) {
                        let i = (z * shape[1] + y) * shape[2] + x;
                        let far = (dy + ((x as f32 - centre.place[2]) * spacing[2]).powi(2)) / (step_mm * step_mm);
                        let distance = far + ((smooth[i] - centre.grey) / GREY).powi(2);
                        if distance < nearest[i] {
                            nearest[i] = distance;
                            best[i] = number as u32;
                        }
                    }
                }
            }
        }
    }
}

/// Moves each cluster to the mean place and grey value of its voxels.
fn update(shape: [usize; 3], smooth: &[f32], best: &[u32], centres: &mut [Centre]) {
    let mut sums = vec![(Centre::default(), 0f32); centres.len()];
    for (i, &b) in best.iter().enumerate() {
        let place = [i / (shape[1] * shape[2]), i / shape[2] % shape[1], i % shape[2]];
        let (sum, n) = &mut sums[b as usize];
        (0..3).for_each(|k| sum.place[k] += place[k] as f32);
        sum.grey += smooth[i];
        *n += 1.0;
    }
    for (centre, (sum, n)) in centres.iter_mut().zip(sums).filter(|(_, s)| s.1 > 0.0) {
        *centre = Centre { place: sum.place.map(|p| p / n), grey: sum.grey / n };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn supervoxels_keep_to_edges() {
        // A bright ball on a dark ground: hardly any part crosses its surface.
        let shape = [32; 3];
        let inside = |i: usize| {
            let d = [i / 1024, i / 32 % 32, i % 32].map(|v| (v as f32 - 15.5).powi(2));
            d.iter().sum::<f32>() < 100.0
        };
        let image: Vec<u16> = (0..32 * 32 * 32).map(|i| if inside(i) { 50_000 } else { 20_000 }).collect();
        let (ids, kinds) = supervoxels(shape, [1.0; 3], &image);
        assert!(kinds.len() > 200, "{}", kinds.len());
        let mut counts = vec![[0usize; 2]; kinds.len()];
        ids.iter().enumerate().for_each(|(i, &id)| counts[id as usize][usize::from(inside(i))] += 1);
        let crossing: usize = counts.iter().map(|c| c[0].min(c[1])).sum();
        assert!(crossing < 400, "{crossing} voxels lie on the wrong side");
        assert!(supervoxels([8; 3], [1.0; 3], &[0; 512]).1.iter().all(|k| !k.target));
    }
}
