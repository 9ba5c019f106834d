//! A scene: a volume in which every voxel belongs to an instance (an organ, a lesion, a region of a real label map),
//! with or without an image. Clips are cut from scenes.

use super::random::{Random, chance, integer};
use std::sync::Arc;

/// Tissue of an instance; gives its intensity in CT-like images.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the variants are their names")]
pub enum Tissue {
    Air,
    Lung,
    Fat,
    Fluid,
    Muscle,
    Organ,
    Vessel,
    SpongyBone,
    CorticalBone,
    Lesion,
    Content,
}

impl Tissue {
    /// Tissues of shapes without anatomy.
    pub const ANY: [Tissue; 9] = [
        Tissue::Fat,
        Tissue::Fluid,
        Tissue::Muscle,
        Tissue::Organ,
        Tissue::Organ,
        Tissue::Vessel,
        Tissue::SpongyBone,
        Tissue::Lesion,
        Tissue::Content,
    ];
}

/// Class and tissue of an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kind {
    /// Number of the class; instances of one class have similar intensities.
    pub class: u16,
    /// Tissue of the class.
    pub tissue: Tissue,
    /// Whether it may be a target.
    pub target: bool,
    /// The instance that this one is a part of; a target includes its parts.
    pub part_of: Option<u16>,
}

impl Kind {
    /// An instance by itself.
    pub fn new(class: u16, tissue: Tissue, target: bool) -> Kind {
        Kind { class, tissue, target, part_of: None }
    }
}

/// Size of the random sample of an instance's voxels. Chosen.
const REMEMBERED: usize = 512;

/// One instance.
#[derive(Debug, Clone)]
pub struct Instance {
    /// What it is.
    pub kind: Kind,
    /// Number of voxels.
    pub voxels: usize,
    /// A random sample of its voxels, flat indices.
    pub sample: Vec<u32>,
    /// Lowest and highest index along each axis.
    pub bounds: [[usize; 2]; 3],
}

/// Distribution of the number of neighbours that join a target.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Merges {
    /// Probability of at least one.
    pub probability: f64,
    /// Largest number.
    pub most: usize,
}

impl Merges {
    /// The number for one clip.
    pub fn draw(&self, random: &Random) -> usize {
        if self.most > 0 && chance(random, self.probability) { integer(random, 1, self.most) } else { 0 }
    }
}

/// A scene.
#[derive(Debug, Clone)]
pub struct Scene {
    /// `[depth, height, width]`.
    pub shape: [usize; 3],
    /// Distance of neighbouring voxels, mm (synthetic scenes: 1).
    pub spacing: [f32; 3],
    /// Instance of each voxel, C order.
    pub ids: Vec<u16>,
    /// By id.
    pub instances: Vec<Instance>,
    /// Neighbours that join a target. Default: 12 %, up to two. Chosen.
    pub merges: Merges,
    /// Whether the scene is mirrored at its border; else there is nothing beyond.
    pub mirrored: bool,
    /// Image after the engine's intensity window, in 1/65535; none: intensities are drawn for each clip.
    pub image: Option<Arc<Vec<u16>>>,
    /// Name for messages.
    pub name: String,
}

impl Scene {
    /// A scene of `ids`; `kinds`: class and tissue of each id. Instances of fewer than `least` voxels are no targets.
    pub fn new(
        shape: [usize; 3],
        spacing: [f32; 3],
        ids: Vec<u16>,
        kinds: &[Kind],
        least: usize,
        random: &Random,
    ) -> Scene {
        let mut instances: Vec<Instance> = kinds
            .iter()
            .map(|&kind| Instance { kind, voxels: 0, sample: vec![], bounds: [[usize::MAX, 0]; 3] })
            .collect();
        let (plane, width) = (shape[1] * shape[2], shape[2]);
        for (i, &id) in ids.iter().enumerate() {
            let instance = &mut instances[id as usize];
            instance.voxels += 1;
            if !instance.kind.target && instance.kind.part_of.is_none() {
                continue;
            }
            for (b, x) in instance.bounds.iter_mut().zip([i / plane, i / width % shape[1], i % width]) {
                *b = [b[0].min(x), b[1].max(x)];
            }
            // Reservoir sampling: every voxel is as likely to be kept.
            if instance.sample.len() < REMEMBERED {
                instance.sample.push(i as u32);
            } else {
                let at = integer(random, 0, instance.voxels - 1);
                if at < REMEMBERED {
                    instance.sample[at] = i as u32;
                }
            }
        }
        for instance in &mut instances {
            // An instance larger than a third of the volume is background.
            instance.kind.target &= instance.voxels >= least && 3 * instance.voxels <= ids.len();
        }
        Scene {
            shape,
            spacing,
            ids,
            instances,
            merges: Merges { probability: 0.12, most: 2 },
            mirrored: false,
            image: None,
            name: String::new(),
        }
    }

    /// Ids that may be targets.
    pub fn targets(&self) -> Vec<u16> {
        (0..self.instances.len()).filter(|&i| self.instances[i].kind.target).map(|i| i as u16).collect()
    }

    /// Place of voxel `i`.
    pub fn place(&self, i: u32) -> [f32; 3] {
        let (i, [_, h, w]) = (i as usize, self.shape);
        [(i / (h * w)) as f32, (i / w % h) as f32, (i % w) as f32]
    }

    /// Length of a direction in voxels, mm.
    pub fn length_mm(&self, direction: [f32; 3]) -> f32 {
        (0..3).map(|i| (direction[i] * self.spacing[i]).powi(2)).sum::<f32>().sqrt()
    }

    /// Instances that touch those of `inside`, with more than a few voxels in common.
    pub fn neighbours(&self, inside: &[bool]) -> Vec<u16> {
        let [d, h, w] = self.shape;
        let mut touching = vec![0u32; self.instances.len()];
        let (mut low, mut high) = (self.shape, [0; 3]);
        for (instance, _) in self.instances.iter().zip(inside).filter(|(_, inside)| **inside) {
            for axis in 0..3 {
                low[axis] = low[axis].min(instance.bounds[axis][0]);
                high[axis] = high[axis].max(instance.bounds[axis][1]);
            }
        }
        for z in low[0]..=high[0].min(d - 1) {
            for y in low[1]..=high[1].min(h - 1) {
                for x in low[2]..=high[2].min(w - 1) {
                    let i = (z * h + y) * w + x;
                    if !inside[self.ids[i] as usize] {
                        continue;
                    }
                    let around = [
                        (z > 0).then(|| i - h * w),
                        (z + 1 < d).then(|| i + h * w),
                        (y > 0).then(|| i - w),
                        (y + 1 < h).then(|| i + w),
                        (x > 0).then(|| i - 1),
                        (x + 1 < w).then(|| i + 1),
                    ];
                    for j in around.into_iter().flatten() {
                        let id = self.ids[j] as usize;
                        if !inside[id] {
                            touching[id] += 1;
                        }
                    }
                }
            }
        }
        (0..touching.len()).filter(|&i| touching[i] > 8).map(|i| i as u16).collect()
    }
}

/// Numbers the six-connected components of equal `classes`; those smaller than `least` voxels share one number per
/// class. Returns the numbers and each number's class.
///
/// # Shapes
/// `classes`: C order of `shape` / the same.
pub fn components(shape: [usize; 3], classes: &[u16], least: usize) -> (Vec<u16>, Vec<u16>) {
    const UNSEEN: u32 = u32::MAX;
    let [d, h, w] = shape;
    let mut number = vec![UNSEEN; classes.len()];
    let mut of_class: Vec<u16> = vec![];
    let mut sizes: Vec<usize> = vec![];
    let mut stack: Vec<u32> = vec![];
    for start in 0..classes.len() {
        if number[start] != UNSEEN {
            continue;
        }
        let id = of_class.len() as u32;
        let class = classes[start];
        number[start] = id;
        stack.push(start as u32);
        let mut size = 0;
        while let Some(i) = stack.pop() {
            let i = i as usize;
            size += 1;
            let (z, y, x) = (i / (h * w), i / w % h, i % w);
            let mut visit = |ok: bool, j: usize| {
                if ok && number[j] == UNSEEN && classes[j] == class {
                    number[j] = id;
                    stack.push(j as u32);
                }
            };
            visit(z > 0, i.wrapping_sub(h * w));
            visit(z + 1 < d, i + h * w);
            visit(y > 0, i.wrapping_sub(w));
            visit(y + 1 < h, i + w);
            visit(x > 0, i.wrapping_sub(1));
            visit(x + 1 < w, i + 1);
        }
        of_class.push(class);
        sizes.push(size);
    }
    // Each large component gets a number; the small ones of a class share one.
    let mut names = vec![0u16; of_class.len()];
    let mut classes_of_names: Vec<u16> = vec![];
    let mut crumbs = std::collections::BTreeMap::new();
    for i in 0..of_class.len() {
        let full = classes_of_names.len() >= usize::from(u16::MAX) - 1024;
        names[i] = if sizes[i] >= least && !full {
            classes_of_names.push(of_class[i]);
            (classes_of_names.len() - 1) as u16
        } else {
            *crumbs.entry(of_class[i]).or_insert_with(|| {
                classes_of_names.push(of_class[i]);
                (classes_of_names.len() - 1) as u16
            })
        };
    }
    (number.into_iter().map(|n| names[n as usize]).collect(), classes_of_names)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::data::random::{Purpose, random};

    #[test]
    fn components_are_numbered_and_crumbs_share_a_number() {
        // Class 1 three times: two voxels, one, one; class 0 between.
        let classes = [1, 1, 0, 0, 1, 0, 0, 1];
        let (ids, of) = components([1, 1, 8], &classes, 2);
        assert_eq!(ids[0], ids[1]);
        assert_eq!(ids[4], ids[7]);
        assert_ne!(ids[0], ids[4]);
        assert_ne!(ids[2], ids[5]);
        for (id, class) in ids.iter().zip(classes) {
            assert_eq!(of[*id as usize], class);
        }
    }

    #[test]
    fn a_scene_knows_its_instances_and_their_neighbours() {
        let mut ids = vec![0u16; 4 * 8 * 8];
        for (i, id) in ids.iter_mut().enumerate() {
            *id = [0, 1, 2, 2][i % 8 / 2];
        }
        let kind = |c, target| Kind::new(c, Tissue::Fat, target);
        let kinds = [kind(0, true), kind(1, true), kind(2, true)];
        let scene = Scene::new([4, 8, 8], [1.0; 3], ids, &kinds, 65, &random(1, Purpose::Scene, 0));
        // Two columns of eight are 64 voxels: too few. Four are 128 of 256: too many.
        assert!(scene.targets().is_empty());
        assert_eq!(scene.instances[1].bounds, [[0, 3], [0, 7], [2, 3]]);
        assert_eq!(scene.instances[1].sample.len(), 64);
        assert_eq!(scene.place(scene.instances[1].sample[0])[2] as usize / 2, 1);
        assert_eq!(scene.neighbours(&[false, true, false]), [0, 2]);
        assert_eq!(scene.neighbours(&[true, false, false]), [1]);
    }
}
