//! Scenes from volumes on disk: images with labels, images alone (their targets are supervoxels), label maps alone
//! (their images are drawn for each clip).

use super::layouts::{self, Pair};
use super::random::{Purpose, random};
use super::scene::{Kind, Merges, Scene, Tissue};
use super::supervoxels::supervoxels;
use crate::error::{Error, Result};
use crate::io::{Format, read_labels, read_labels_on, read_volume};
use crate::slice::window::find_window;
use crate::train::options::TrainOptions;
use crate::volume::{Volume, Voxel};
use crate::with_voxels;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// Labels of fewer voxels are no targets. Chosen.
const LEAST_VOXELS: usize = 100;
/// Largest weight of a data set; the weight is the square root of its number of targets. Chosen.
const MOST_WEIGHT: f32 = 6.0;

/// End of the names of scenes whose targets are supervoxels.
const SUPERVOXELS: &str = " (supervoxels)";

/// Scenes of a training.
#[derive(Debug, Default)]
pub struct Cases {
    /// Scenes for training with their weights.
    pub training: Arc<Vec<(f32, Arc<Scene>)>>,
    /// Held-out scenes, scored in the log.
    pub held_out: Vec<Arc<Scene>>,
}

impl Cases {
    /// Reads all volumes of `options`.
    ///
    /// # Errors
    /// As [`layouts::pairs`] and [`scene`].
    pub fn open(options: &TrainOptions) -> Result<Cases> {
        let mut pairs = vec![];
        for folder in &options.data {
            pairs.extend(layouts::pairs(folder)?);
        }
        for folder in &options.unlabelled {
            pairs.extend(layouts::singles(folder, false)?);
        }
        for folder in &options.labels_only {
            pairs.extend(layouts::singles(folder, true)?);
        }
        if let Some(name) = options.exclude.keys().find(|name| !pairs.iter().any(|p| p.name == **name)) {
            return Err(Error::argument(format!(
                "labels of the case {name:?} are to be left out, but no folder has such a case; correct its name"
            )));
        }
        let (mut training, mut held_out) = (vec![], vec![]);
        let mut scenes = vec![];
        // By data set: cases, targets.
        let mut sizes: BTreeMap<String, [f32; 2]> = BTreeMap::new();
        for pair in &pairs {
            let excluded = options.exclude.get(&pair.name).map_or(&[][..], Vec::as_slice);
            let scene = Arc::new(scene(pair, excluded)?);
            let size = sizes.entry(group(&pair.name)).or_default();
            *size = [size[0] + 1.0, size[1] + scene.targets().len() as f32];
            scenes.push(scene);
        }
        let every = options.hold_out_every;
        for (i, (pair, scene)) in pairs.iter().zip(scenes).enumerate() {
            log::debug!("{}: {:?}, {} targets", pair.name, scene.shape, scene.targets().len());
            let is_pair = pair.image.is_some() && pair.label.is_some();
            let others = sizes[&group(&pair.name)][0] > 1.0;
            if every > 0 && i % every == every - 1 && is_pair && others && !scene.targets().is_empty() {
                log::info!("{} is held out", pair.name);
                held_out.push(scene);
                continue;
            }
            let weight = weight(sizes[&group(&pair.name)]);
            let share = match (&pair.image, &pair.label) {
                (Some(_), None) => 1.0,
                (Some(_), Some(_)) => options.supervoxel_share as f32,
                _ => 0.0,
            };
            if share > 0.0 {
                let parts = Arc::new(without_labels(&scene));
                if !parts.targets().is_empty() {
                    training.push((weight * share, parts));
                }
            }
            if share < 1.0 && !scene.targets().is_empty() {
                training.push((weight * (1.0 - share), scene));
            }
        }
        if training.is_empty() && !pairs.is_empty() {
            return Err(Error::argument(format!(
                "no given volume has a label of at least {LEAST_VOXELS} voxels; give others, or train on synthetic ones"
            )));
        }
        log_shares(&training);
        Ok(Cases { training: Arc::new(training), held_out })
    }
}

/// Weight of each case in a data set of `cases` cases and `targets` targets.
fn weight([cases, targets]: [f32; 2]) -> f32 {
    targets.max(cases).sqrt().min(MOST_WEIGHT) / cases
}

/// Writes the share of each data set in the clips from volumes on disk to the log.
fn log_shares(training: &[(f32, Arc<Scene>)]) {
    let all: f32 = training.iter().map(|(weight, _)| weight).sum();
    let mut shares: BTreeMap<String, f32> = BTreeMap::new();
    for (weight, scene) in training {
        *shares.entry(group(scene.name.trim_end_matches(SUPERVOXELS))).or_default() += weight / all;
    }
    for (set, share) in shares {
        log::info!("{set}: {:.1} % of the clips from volumes on disk", 100.0 * share);
    }
}

/// The data set of a case: its name up to the first number, or all of it.
fn group(name: &str) -> String {
    let set = name.split(|c: char| c.is_ascii_digit()).next().unwrap_or_default().trim_end_matches(['_', '-']);
    if set.is_empty() { name.to_string() } else { set.to_string() }
}

/// The scene of a case; `excluded` labels are no targets.
///
/// # Errors
/// [`Error::Io`] or [`Error::BadFile`] when a file cannot be used, or image and label do not lie on the same grid.
pub fn scene(pair: &Pair, excluded: &[u32]) -> Result<Scene> {
    let image = pair.image.as_deref().map(read_volume).transpose()?;
    let read_label = |path| match &image {
        Some(image) if Format::of_name(path) == Some(Format::SegNrrd) => read_labels_on(path, image),
        None if Format::of_name(path) == Some(Format::SegNrrd) => read_labels(path),
        _ => read_volume(path),
    };
    let label = pair.label.as_deref().map(read_label).transpose()?;
    if let (Some(image), Some(label), Some(path)) = (&image, &label, &pair.label) {
        same_grid(image, label, path)?;
    }
    let Some(first) = image.as_ref().or(label.as_ref()) else {
        return Err(Error::Internal("a case without files".into()));
    };
    let shape = first.shape();
    let spacing = first.geometry().spacing_mm.map(|s| s as f32);
    let (ids, kinds) = match (&label, &pair.label) {
        (Some(label), Some(path)) => instances(label, excluded, path)?,
        _ => (vec![0; first.data().len()], vec![Kind::new(0, Tissue::Fat, false)]),
    };
    let seed = pair.name.bytes().fold(7u64, |h, b| h.wrapping_mul(31).wrapping_add(u64::from(b)));
    let mut scene = Scene::new(shape, spacing, ids, &kinds, LEAST_VOXELS, &random(0, Purpose::Scene, seed));
    scene.name = pair.name.clone();
    scene.merges = Merges { probability: 0.08, most: 2 };
    if let Some(image) = &image {
        let (low, high) = find_window(image, None, true)?;
        let scale = 65535.0 / (high - low);
        let grey = |v: f64| ((v - low) * scale).clamp(0.0, 65535.0) as u16;
        scene.image = Some(Arc::new(with_voxels!(image.data(), v => v.iter().map(|x| grey(x.to_f64())).collect())));
    }
    Ok(scene)
}

/// The scene's image with supervoxels for targets.
fn without_labels(scene: &Scene) -> Scene {
    let image = scene.image.clone().expect("only scenes with image get here");
    let (ids, kinds) = supervoxels(scene.shape, scene.spacing, &image);
    let seed = scene.name.len() as u64;
    let mut parts = Scene::new(scene.shape, scene.spacing, ids, &kinds, LEAST_VOXELS, &random(1, Purpose::Scene, seed));
    parts.name = format!("{}{SUPERVOXELS}", scene.name);
    parts.merges = Merges { probability: 0.9, most: 7 };
    parts.image = Some(image);
    parts
}

/// Label values become instances.
fn instances(label: &Volume, excluded: &[u32], path: &Path) -> Result<(Vec<u16>, Vec<Kind>)> {
    let values: Vec<u32> = with_voxels!(label.data(), v => v.iter().map(|x| value(x.to_f64())).collect::<Option<_>>())
        .ok_or_else(|| Error::bad_file(path, "it holds values that are no whole numbers; give a label volume"))?;
    let mut distinct: Vec<u32> =
        values.iter().copied().collect::<std::collections::BTreeSet<_>>().into_iter().collect();
    if distinct.len() > 60_000 {
        return Err(Error::bad_file(path, "this has more than 60000 different values; it is no label map"));
    }
    if distinct.first() != Some(&0) {
        distinct.insert(0, 0);
    }
    let number = |v: &u32| distinct.binary_search(v).expect("collected above") as u16;
    let ids = values.chunk_by(|a, b| a == b).flat_map(|run| std::iter::repeat_n(number(&run[0]), run.len())).collect();
    let any = Tissue::ANY;
    let kind = |(i, v): (usize, &u32)| {
        let tissue = if *v == 0 { Tissue::Air } else { any[i % any.len()] };
        Kind::new(i as u16, tissue, *v != 0 && !excluded.contains(v))
    };
    Ok((ids, distinct.iter().enumerate().map(kind).collect()))
}

/// The label of a stored value, which may have been scaled; negative ones are background.
fn value(stored: f64) -> Option<u32> {
    let whole = stored.round();
    (stored.is_finite() && (stored - whole).abs() <= 0.01).then_some(whole.max(0.0) as u32)
}

fn same_grid(image: &Volume, label: &Volume, path: &Path) -> Result<()> {
    if image.shape() != label.shape() {
        return Err(Error::bad_file(
            path,
            format!(
                "the label has {:?} voxels [depth, height, width], its image {:?}; resample the label to its image",
                label.shape(),
                image.shape()
            ),
        ));
    }
    let (a, b) = (image.geometry(), label.geometry());
    let apart = a.apart(b, image.shape());
    if apart > 0.5 * a.finest_mm() {
        return Err(Error::bad_file(
            path,
            format!(
                "a corner of the label lies {apart:.2} mm from that of its image (spacing {:?} and {:?} mm); resample \
                 the label to the image's grid",
                b.spacing_mm, a.spacing_mm
            ),
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_data_set_weighs_as_much_as_the_root_of_its_targets() {
        // 25 cases of a target each weigh 5 together, one case of 9 weighs 3, one of 100 no more than 6, and
        // supervoxels as cases.
        assert_eq!([[25.0, 25.0], [1.0, 9.0], [1.0, 100.0], [4.0, 0.0]].map(weight), [0.2, 3.0, 6.0, 0.5]);
        assert_eq!((group("sts_mr_012"), group("msd-7")), ("sts_mr".into(), "msd".into()));
        assert_eq!(
            (group("btp_01_post"), group("trunk"), group("12_a")),
            ("btp".into(), "trunk".into(), "12_a".into())
        );
    }
}
