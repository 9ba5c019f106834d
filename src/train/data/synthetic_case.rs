//! A synthetic scene as a whole volume with labels, for other programs that train on files.

use super::intensities::Appearance;
use super::random::{Purpose, integer, random};
use super::scene::Scene;
use super::synthetic::scene;

/// A volume with labels; voxels are 1 mm a side.
#[derive(Debug, Clone, PartialEq)]
pub struct SyntheticCase {
    /// `[depth, height, width]`.
    pub shape: [usize; 3],
    /// Grey values, 0..1, C order.
    pub image: Vec<f32>,
    /// 0: no target; 1, 2, ...: the targets, each with its parts that are no targets themselves. C order.
    pub labels: Vec<u16>,
}

/// Scene number `index` of `seed`, `side` voxels a side, the one that clips of a training with this seed are cut from,
/// with intensities drawn for the whole volume.
pub fn synthetic_case(seed: u64, index: u64, side: usize) -> SyntheticCase {
    let scene = scene(seed, index, side);
    let image = image(&scene, seed, index);
    let names = labels(&scene);
    let labels = scene.ids.iter().map(|&id| names[usize::from(id)]).collect();
    SyntheticCase { shape: scene.shape, image, labels }
}

/// Label of each instance.
fn labels(scene: &Scene) -> Vec<u16> {
    let mut names = vec![0; scene.instances.len()];
    for (label, id) in (1..).zip(scene.targets()) {
        names[usize::from(id)] = label;
    }
    for (i, instance) in scene.instances.iter().enumerate() {
        if let Some(host) = instance.kind.part_of
            && names[i] == 0
        {
            names[i] = names[usize::from(host)];
        }
    }
    names
}

/// Grey values; one target, drawn at random, has the low contrast that a clip's target may have.
fn image(scene: &Scene, seed: u64, index: u64) -> Vec<f32> {
    let random = random(seed, Purpose::Clip, index);
    let [_, height, width] = scene.shape;
    let mut inside = vec![false; scene.instances.len()];
    let targets = scene.targets();
    if !targets.is_empty() {
        inside[usize::from(targets[integer(&random, 0, targets.len() - 1)])] = true;
    }
    let neighbours = if targets.is_empty() { vec![] } else { scene.neighbours(&inside) };
    let appearance = Appearance::new(&random, scene, &inside, &neighbours, 1.0);
    let grey = |(i, &id): (usize, &u16)| appearance.grey(Some(id), scene.place(i as u32));
    let grey: Vec<f32> = scene.ids.iter().enumerate().map(grey).collect();
    let mut planes: Vec<Vec<f32>> = grey.chunks(height * width).map(<[f32]>::to_vec).collect();
    appearance.scan(&random, &mut planes, width);
    planes.concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::data::random::Random;
    use crate::train::data::scene::{Kind, Tissue};

    fn generator() -> Random {
        random(1, Purpose::Scene, 0)
    }

    #[test]
    fn targets_are_labelled_in_order_with_their_parts() {
        // Four columns: ground, target, part of it, target.
        let ids: Vec<u16> = (0..4 * 4 * 8).map(|i| [0, 1, 2, 3, 0, 0, 0, 0][i % 8]).collect();
        let kind = |target, part_of| Kind { part_of, ..Kind::new(0, Tissue::Fat, target) };
        let kinds = [kind(false, None), kind(true, None), kind(false, Some(1)), kind(true, None)];
        let scene = Scene::new([4, 4, 8], [1.0; 3], ids, &kinds, 1, &generator());
        assert_eq!(labels(&scene), [0, 1, 1, 2]);
    }

    #[test]
    fn a_case_follows_from_its_seed_and_number() {
        let case = synthetic_case(5, 2, 24);
        assert_eq!(case.shape, [24; 3]);
        assert_eq!((case.image.len(), case.labels.len()), (24 * 24 * 24, 24 * 24 * 24));
        assert!(case.image.iter().all(|v| (0.0..=1.0).contains(v)));
        assert!(case.image.iter().any(|v| *v != case.image[0]));
        assert!(case.labels.iter().any(|&l| l > 0));
        assert_eq!(case, synthetic_case(5, 2, 24));
        assert_ne!(case, synthetic_case(5, 3, 24));
    }
}
