//! Folders of images with labels, and the targets in them.
//!
//! | layout | image | label |
//! |---|---|---|
//! | one folder a case | `CASE/image.*` | `CASE/label.*` |
//! | KiTS19 | `CASE/imaging.*` | `CASE/segmentation.*` |
//! | Medical Segmentation Decathlon | `imagesTr/CASE.*` or `imagesTr/CASE_0000.*` | `labelsTr/CASE.*` |
//! | two folders | `images/CASE.*` | `labels/CASE.*` |
//! | one folder | `CASE_image.*` | `CASE_label.*` |

use super::protocol::Protocol;
use crate::error::{Error, Result};
use crate::io::{self, Format};
use crate::volume::{Volume, Voxel};
use crate::with_voxels;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// An image and its labels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case {
    /// Name, from the file or folder.
    pub name: String,
    /// The image file.
    pub image: PathBuf,
    /// The label file.
    pub label: PathBuf,
}

/// Which targets are large enough to be annotated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Labels to take; all when empty.
    pub labels: Vec<u32>,
    /// Least number of voxels.
    pub min_voxels: usize,
    /// Least number of slices with target.
    pub min_slices: usize,
}

/// Finds the cases in `folder`, by name.
///
/// # Errors
/// [`Error::Io`] when it cannot be read, [`Error::BadFile`] when it holds no case, an image or label alone, two cases
/// or files of one name, or a name that is not UTF-8.
pub fn find(folder: &Path) -> Result<Vec<Case>> {
    let mut cases = Vec::new();
    let entries = list(folder)?;
    for path in entries.iter().filter(|p| p.is_dir()) {
        for (image, label) in [("image", "label"), ("imaging", "segmentation")] {
            let files = volumes(path, |name| name == image || name == label)?;
            if let (Some(i), Some(l)) = (files.get(image), files.get(label)) {
                let name = named(path)?;
                cases.push(Case { name, image: i.clone(), label: l.clone() });
            } else if files.contains_key(image) || files.contains_key(label) {
                return Err(Error::bad_file(
                    path,
                    format!("a case has both an {image} and a {label} file; add the other one"),
                ));
            }
        }
    }
    for (images, labels) in [("imagesTr", "labelsTr"), ("images", "labels")] {
        let (images, labels) = (folder.join(images), folder.join(labels));
        if images.is_dir() && labels.is_dir() {
            let all = |folder: &Path| volumes(folder, |_| true);
            pair(&all(&images)?, &all(&labels)?, "_0000", "", &labels, &mut cases)?;
        }
    }
    let files = volumes(folder, |name| name.ends_with("_image") || name.ends_with("_label"))?;
    let ending = |end: &str| -> BTreeMap<String, PathBuf> {
        files.iter().filter(|(n, _)| n.ends_with(end)).map(|(n, p)| (n.clone(), p.clone())).collect()
    };
    pair(&ending("_image"), &ending("_label"), "_image", "_label", folder, &mut cases)?;
    cases.sort_by(|a, b| a.name.cmp(&b.name));
    if let Some([one, other]) = cases.windows(2).find(|pair| pair[0].name == pair[1].name) {
        return Err(Error::bad_file(
            &other.image,
            format!("the case \"{}\" is also that of {}; give each a name of its own", one.name, one.image.display()),
        ));
    }
    if cases.is_empty() {
        return Err(Error::bad_file(
            folder,
            "no image with labels was found; use CASE/image.nii.gz with CASE/label.nii.gz, imagesTr with labelsTr, \
             images with labels, or CASE_image.nii.gz with CASE_label.nii.gz (NIfTI or NRRD)",
        ));
    }
    Ok(cases)
}

/// Joins images and labels of the same name, less the endings.
fn pair(
    images: &BTreeMap<String, PathBuf>,
    labels: &BTreeMap<String, PathBuf>,
    image_end: &str,
    label_end: &str,
    place: &Path,
    cases: &mut Vec<Case>,
) -> Result<()> {
    let mut left: BTreeMap<&str, &PathBuf> =
        labels.iter().map(|(n, p)| (n.strip_suffix(label_end).unwrap_or(n), p)).collect();
    for (name, image) in images {
        let name = name.strip_suffix(image_end).unwrap_or(name);
        let label = left.remove(name).ok_or_else(|| {
            Error::bad_file(
                image,
                format!("there is no label \"{name}{label_end}\" for this image in {}", place.display()),
            )
        })?;
        cases.push(Case { name: name.into(), image: image.clone(), label: label.clone() });
    }
    match left.values().next() {
        Some(label) => {
            Err(Error::bad_file(label, "there is no image for this label file; add it or move the label away"))
        }
        None => Ok(()),
    }
}

fn list(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder).map_err(|e| Error::io(folder, e))?;
    let paths: std::io::Result<Vec<PathBuf>> = entries.map(|e| Ok(e?.path())).collect();
    let mut paths = paths.map_err(|e| Error::io(folder, e))?;
    // Hidden files, such as the "._" copies in archives made on a Mac, are no volumes.
    paths.retain(|p| !file_name(p).starts_with('.'));
    paths.sort();
    Ok(paths)
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// The name of a case's file or folder, which its results have in theirs.
fn named(path: &Path) -> Result<String> {
    let name = path.file_name().and_then(|name| name.to_str());
    let bad = || Error::bad_file(path, "the name is not UTF-8, the encoding of file names here; rename it");
    name.map(str::to_owned).ok_or_else(bad)
}

/// Volume files in a folder by their names without ending, those that are `wanted`.
fn volumes(folder: &Path, wanted: impl Fn(&str) -> bool) -> Result<BTreeMap<String, PathBuf>> {
    let mut found: BTreeMap<String, PathBuf> = BTreeMap::new();
    for path in list(folder)?.into_iter().filter(|p| p.is_file() && Format::of_name(p).is_some()) {
        let name = file_name(&path);
        let ends = [".nii.gz", ".nii", ".seg.nrrd", ".nrrd", ".nhdr"];
        let end = ends.iter().find(|e| name.to_ascii_lowercase().ends_with(**e)).map_or(0, |e| e.len());
        let stem = &name[..name.len() - end];
        if !wanted(stem) {
            continue;
        }
        named(&path)?;
        if let Some(other) = found.insert(stem.to_owned(), path.clone()) {
            let reason = format!("{} has the same name but for its ending; move one of them away", other.display());
            return Err(Error::bad_file(&path, reason));
        }
    }
    Ok(found)
}

/// Reads image and labels.
///
/// # Errors
/// As [`io::read_volume`], and [`Error::BadFile`] when the two do not lie on one grid.
pub fn read(case: &Case) -> Result<(Volume, Volume)> {
    let image = io::read_volume(&case.image)?;
    let label = io::read_labels_on(&case.label, &image)?;
    let differ = |what: &str, i: String, l: String| {
        Err(Error::bad_file(
            &case.label,
            format!("its {what} is {l}, but that of {} is {i}; resample the label to the image", case.image.display()),
        ))
    };
    if image.shape() != label.shape() {
        return differ("shape", format!("{:?}", image.shape()), format!("{:?}", label.shape()));
    }
    let (a, b) = (image.geometry(), label.geometry());
    let near = |x: &[f64], y: &[f64], by: f64| x.iter().zip(y).all(|(x, y)| (x - y).abs() <= by);
    let step = a.spacing_mm.iter().copied().fold(f64::INFINITY, f64::min);
    if !near(&a.spacing_mm, &b.spacing_mm, 0.01 * step) {
        return differ("spacing", format!("{:?} mm", a.spacing_mm), format!("{:?} mm", b.spacing_mm));
    }
    // Half a voxel: some writers round positions.
    if !near(&a.origin_mm, &b.origin_mm, 0.5 * step) {
        return differ("origin", format!("{:?} mm", a.origin_mm), format!("{:?} mm", b.origin_mm));
    }
    if !near(a.direction.as_flattened(), b.direction.as_flattened(), 0.01) {
        return differ("direction", format!("{:?}", a.direction), format!("{:?}", b.direction));
    }
    Ok((image, label))
}

/// Where a label volume has `label`: 0 or 1.
pub fn label_mask(labels: &Volume, label: u32) -> Vec<u8> {
    with_voxels!(labels.data(), v => v.iter().map(|x| u8::from(x.to_f64().round() == f64::from(label))).collect())
}

/// Labels of a label volume that are large enough, ascending.
pub fn targets(labels: &Volume, wanted: &Wanted, protocol: &Protocol) -> Vec<u32> {
    let axis = protocol.axis_of(labels.geometry().spacing_mm);
    let along = axis.strides(labels.shape()).0;
    let count = labels.slice_count(axis);
    // Voxels of each label in each slice.
    let mut areas: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
    with_voxels!(labels.data(), v => v.iter().enumerate().for_each(|(i, x)| {
        let label = x.to_f64().round();
        if label >= 1.0 && label <= f64::from(u32::MAX) {
            areas.entry(label as u32).or_insert_with(|| vec![0; count])[i / along % count] += 1;
        }
    }));
    let is_wanted = |label: &u32| wanted.labels.is_empty() || wanted.labels.contains(label);
    let is_large = |areas: &[usize]| {
        areas.iter().sum::<usize>() >= wanted.min_voxels
            && areas.iter().filter(|&&a| a > 0).count() >= wanted.min_slices
    };
    areas.into_iter().filter(|(label, areas)| is_wanted(label) && is_large(areas)).map(|(label, _)| label).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::volume::{Geometry, VoxelData};

    fn touch(folder: &Path, files: &[&str]) {
        for file in files {
            let path = folder.join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
    }

    fn found(files: &[&str]) -> std::result::Result<Vec<String>, String> {
        let folder = tempfile::tempdir().unwrap();
        touch(folder.path(), files);
        find(folder.path()).map(|c| c.into_iter().map(|c| c.name).collect()).map_err(|e| e.to_string())
    }

    #[test]
    fn every_layout_is_found() {
        let case_folders = ["b/image.nii.gz", "b/label.nii.gz", "b/SOURCE.md", "a/image.nrrd", "a/label.nii.gz"];
        assert_eq!(found(&case_folders).unwrap(), ["a", "b"]);
        assert_eq!(found(&["case_1/imaging.nii.gz", "case_1/segmentation.nii.gz"]).unwrap(), ["case_1"]);
        let msd =
            ["imagesTr/x.nii.gz", "imagesTr/._x.nii.gz", "labelsTr/x.nii.gz", "imagesTs/y.nii.gz", "dataset.json"];
        assert_eq!(found(&msd).unwrap(), ["x"]);
        assert_eq!(found(&["imagesTr/x_0000.nii.gz", "labelsTr/x.nii.gz"]).unwrap(), ["x"]);
        assert_eq!(found(&["images/x.nii", "labels/x.seg.nrrd"]).unwrap(), ["x"]);
        assert_eq!(found(&["x_image.nrrd", "x_label.nrrd", "notes.txt"]).unwrap(), ["x"]);
    }

    #[test]
    fn a_wrong_folder_is_reported() {
        assert!(found(&["x.nii.gz"]).unwrap_err().contains("no image with labels"));
        assert!(found(&["a/image.nii.gz"]).unwrap_err().contains("label"));
        assert!(found(&["images/x.nii.gz", "labels/y.nii.gz"]).unwrap_err().contains("no label \"x\""));
        assert!(found(&["x_image.nrrd", "x_label.nrrd", "y_label.nrrd"]).unwrap_err().contains("no image"));
        assert!(matches!(find(Path::new("no/such/folder")), Err(Error::Io { .. })));
    }

    #[test]
    fn names_are_told_apart() {
        for (files, expected) in [
            (&["images/x.nrrd", "labels/x.nrrd", "imagesTr/x.nrrd", "labelsTr/x.nrrd"][..], "\"x\" is also that of"),
            (&["x/image.nrrd", "x/label.nrrd", "x_image.nrrd", "x_label.nrrd"][..], "\"x\" is also that of"),
            (&["images/x.nrrd", "images/x.nii.gz", "labels/x.nrrd"][..], "has the same name but for its ending"),
            (&["x/image.nrrd", "x/label.nrrd", "x/label.seg.nrrd"][..], "has the same name but for its ending"),
        ] {
            let text = found(files).unwrap_err();
            assert!(text.contains(expected), "{text}");
        }
        // Files that are no part of a case may have any name.
        let beside = ["x/image.nrrd", "x/label.nrrd", "x/old.nrrd", "x/old.nii.gz", "notes/a.nrrd", "notes/a.nii"];
        assert_eq!(found(&beside).unwrap(), ["x"]);
        #[cfg(target_os = "linux")]
        {
            use std::os::unix::ffi::OsStrExt;
            let folder = tempfile::tempdir().unwrap();
            let case = folder.path().join(std::ffi::OsStr::from_bytes(b"a\xe9"));
            touch(&case, &["image.nrrd", "label.nrrd"]);
            assert!(find(folder.path()).unwrap_err().to_string().contains("not UTF-8"));
        }
    }

    #[test]
    fn small_targets_are_left_out() {
        // Label 1 fills slices 0 to 3, label 2 one slice, label 3 two voxels.
        let mut data = vec![0u8; 5 * 16];
        data[..64].fill(1);
        data[64..74].fill(2);
        data[78..].fill(3);
        let labels = Volume::new([5, 4, 4], VoxelData::U8(data), Geometry::default()).unwrap();
        let of = |labels_wanted: &[u32], min_voxels, min_slices| -> Vec<u32> {
            let wanted = Wanted { labels: labels_wanted.to_vec(), min_voxels, min_slices };
            targets(&labels, &wanted, &Protocol::default())
        };
        assert_eq!(of(&[], 0, 0), [1, 2, 3]);
        assert_eq!(of(&[], 10, 0), [1, 2]);
        assert_eq!(of(&[], 10, 2), [1]);
        assert_eq!(of(&[2, 7], 0, 0), [2]);
    }

    #[test]
    fn image_and_label_on_different_grids_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let case = Case {
            name: "x".into(),
            image: folder.path().join("x_image.nrrd"),
            label: folder.path().join("x_label.nrrd"),
        };
        let write = |path: &Path, shape: [usize; 3], spacing: f64| {
            let geometry = Geometry { spacing_mm: [spacing, 1.0, 1.0], ..Geometry::default() };
            let n = shape.iter().product::<usize>();
            io::write_volume(path, &Volume::new(shape, VoxelData::U8(vec![1; n]), geometry).unwrap()).unwrap();
        };
        write(&case.image, [2, 3, 4], 2.0);
        write(&case.label, [2, 3, 4], 2.0);
        assert!(read(&case).is_ok());
        write(&case.label, [2, 3, 4], 2.5);
        assert!(read(&case).unwrap_err().to_string().contains("spacing"));
        write(&case.label, [2, 4, 3], 2.0);
        assert!(read(&case).unwrap_err().to_string().contains("shape"));
    }

    #[test]
    fn a_segmentation_of_slicer_lies_on_its_image() {
        let folder = tempfile::tempdir().unwrap();
        let [image, label] = ["x_image.nrrd", "x_label.seg.nrrd"].map(|name| folder.path().join(name));
        let volume = Volume::new([2, 3, 4], VoxelData::U8(vec![1; 24]), Geometry::default()).unwrap();
        io::write_volume(&image, &volume).unwrap();
        // Cut to the two last columns of the last row of slice 1: voxels 22 and 23.
        let cut = Geometry { origin_mm: [2.0, 2.0, 1.0], ..Geometry::default() };
        let segment = |number, mask: [u8; 2]| io::seg_nrrd::Segment {
            number,
            name: format!("s{number}"),
            color: [1.0, 0.0, 0.0],
            mask: mask.to_vec(),
        };
        let case = Case { name: "x".into(), image, label };
        io::seg_nrrd::write(&case.label, [1, 1, 2], &cut, &[segment(5, [0, 1])]).unwrap();
        let (_, labels) = read(&case).unwrap();
        assert_eq!((labels.shape(), label_mask(&labels, 5)[23]), ([2, 3, 4], 1));
        assert_eq!(label_mask(&labels, 5).iter().map(|v| u32::from(*v)).sum::<u32>(), 1);
        io::seg_nrrd::write(&case.label, [1, 1, 2], &cut, &[segment(5, [1, 1]), segment(6, [0, 1])]).unwrap();
        let text = read(&case).unwrap_err().to_string();
        assert!(text.contains("x_label.seg.nrrd") && text.contains("overlap in 1 voxels"), "{text}");
    }
}
