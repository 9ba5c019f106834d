//! Layouts of folders: pairs of image and label files.
//!
//! | layout | image | label |
//! |---|---|---|
//! | Medical Segmentation Decathlon | `imagesTr/X.nii.gz` | `labelsTr/X.nii.gz` |
//! | KiTS19 | `case_00000/imaging.nii.gz` | `case_00000/segmentation.nii.gz` |
//! | a folder a case | `X/image.nii.gz` | `X/label.nii.gz` |
//! | two folders | `images/X.nii.gz` | `labels/X.nii.gz` |
//! | side by side | `X.nii.gz` | `X_label.nii.gz`, `X_seg.nii.gz` |

use crate::error::{Error, Result};
use std::path::{Path, PathBuf};

/// Endings of volumes.
const ENDINGS: [&str; 3] = [".nii.gz", ".nii", ".nrrd"];

/// An image with its labels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    /// Name of the case.
    pub name: String,
    /// Image; none for a label map alone.
    pub image: Option<PathBuf>,
    /// Labels; none for an image alone.
    pub label: Option<PathBuf>,
}

/// Images with labels in `folder`.
///
/// # Errors
/// [`Error::Io`] when the folder cannot be read; [`Error::BadFile`] when it holds no pair of any layout, or a label
/// without its image.
pub fn pairs(folder: &Path) -> Result<Vec<Pair>> {
    let content = list(folder)?;
    let sub = |name: &str| content.iter().find(|p| p.is_dir() && file_name(p) == name).cloned();
    let mut pairs = vec![];
    for (images, labels) in [("imagesTr", "labelsTr"), ("images", "labels")] {
        if let (Some(images), Some(labels)) = (sub(images), sub(labels)) {
            for label in volumes(&labels)? {
                let name = stem(&label);
                let image = volumes(&images)?.into_iter().find(|i| {
                    let image = stem(i);
                    image == name || image.strip_suffix("_0000") == Some(&name)
                });
                pairs.push(with_image(name, image, label, &images)?);
            }
        }
    }
    for case in content.iter().filter(|p| p.is_dir()) {
        let files = volumes(case)?;
        let find = |names: [&str; 2]| files.iter().find(|f| names.contains(&stem(f).as_str())).cloned();
        if let Some(label) = find(["label", "segmentation"]) {
            pairs.push(with_image(file_name(case), find(["image", "imaging"]), label, case)?);
        }
    }
    let files: Vec<PathBuf> = content.into_iter().filter(|p| p.is_file() && is_volume(p)).collect();
    for label in &files {
        let name = stem(label);
        let Some(case) = ["_label", "_seg", "-label", "-seg"].iter().find_map(|s| name.strip_suffix(s)) else {
            continue;
        };
        let image = files.iter().find(|f| stem(f) == case).cloned();
        pairs.push(with_image(case.to_string(), image, label.clone(), folder)?);
    }
    if pairs.is_empty() {
        return Err(Error::bad_file(
            folder,
            "no image with labels was found here; use X/image.nii.gz + X/label.nii.gz, imagesTr + labelsTr (MSD), \
             case_*/imaging.nii.gz + segmentation.nii.gz (KiTS19), images + labels, or X.nii.gz + X_label.nii.gz",
        ));
    }
    pairs.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(pairs)
}

/// Volumes of `folder` and of the folders in it: images alone, or label maps alone.
///
/// # Errors
/// [`Error::Io`] when the folder cannot be read, [`Error::BadFile`] when it holds none.
pub fn singles(folder: &Path, labels: bool) -> Result<Vec<Pair>> {
    let mut files = vec![];
    for path in list(folder)? {
        if path.is_dir() {
            files.extend(volumes(&path)?.into_iter().map(|f| (file_name(&path), f)));
        } else if is_volume(&path) {
            files.push((stem(&path), path));
        }
    }
    // Labels beside images are left out, and images beside label maps.
    let is_label = |f: &Path| {
        let name = stem(f);
        ["label", "segmentation", "seg"].iter().any(|s| name.ends_with(s))
    };
    files.retain(|(_, f)| if labels { !stem(f).starts_with("ima") } else { !is_label(f) });
    if files.is_empty() {
        return Err(Error::bad_file(folder, "no volume was found here (.nii, .nii.gz or .nrrd)"));
    }
    let pair = |(name, file)| match labels {
        true => Pair { name, image: None, label: Some(file) },
        false => Pair { name, image: Some(file), label: None },
    };
    Ok(files.into_iter().map(pair).collect())
}

fn with_image(name: String, image: Option<PathBuf>, label: PathBuf, folder: &Path) -> Result<Pair> {
    match image {
        Some(image) => Ok(Pair { name, image: Some(image), label: Some(label) }),
        None => Err(Error::bad_file(
            &label,
            format!("this label has no image in {}; add the image or remove the label", folder.display()),
        )),
    }
}

fn list(folder: &Path) -> Result<Vec<PathBuf>> {
    if !folder.is_dir() {
        return Err(Error::bad_file(folder, "this is not a folder; name the folder that holds the cases"));
    }
    let entries = std::fs::read_dir(folder).map_err(|e| Error::io(folder, e))?;
    let mut paths: Vec<PathBuf> = entries.filter_map(|e| Some(e.ok()?.path())).collect();
    paths.retain(|p| !file_name(p).starts_with('.'));
    paths.sort();
    Ok(paths)
}

fn volumes(folder: &Path) -> Result<Vec<PathBuf>> {
    Ok(list(folder)?.into_iter().filter(|p| p.is_file() && is_volume(p)).collect())
}

fn file_name(path: &Path) -> String {
    path.file_name().map_or_else(String::new, |n| n.to_string_lossy().into_owned())
}

fn is_volume(path: &Path) -> bool {
    let name = file_name(path);
    ENDINGS.iter().any(|e| name.ends_with(e))
}

/// Name without the ending of a volume.
fn stem(path: &Path) -> String {
    let name = file_name(path);
    ENDINGS.iter().find_map(|e| name.strip_suffix(e)).map_or(name.clone(), str::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(files: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for file in files {
            let path = folder.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, b"").unwrap();
        }
        folder
    }

    fn names(files: &[&str]) -> Vec<String> {
        pairs(tree(files).path()).unwrap().into_iter().map(|p| p.name).collect()
    }

    #[test]
    fn every_layout_is_found() {
        assert_eq!(
            names(&["b/image.nii.gz", "b/label.nii.gz", "a/image.nii", "a/label.nii", "a/SOURCE.md"]),
            ["a", "b"]
        );
        assert_eq!(names(&["imagesTr/c_1.nii.gz", "labelsTr/c_1.nii.gz", "labelsTr/._c_1.nii.gz"]), ["c_1"]);
        assert_eq!(names(&["imagesTr/c_1_0000.nii.gz", "labelsTr/c_1.nii.gz"]), ["c_1"]);
        let kits = ["case_00000/imaging.nii.gz", "case_00000/segmentation.nii.gz", "case_00210/imaging.nii.gz"];
        assert_eq!(names(&kits), ["case_00000"]);
        assert_eq!(names(&["x.nii.gz", "x_label.nii.gz", "y.nrrd", "y_seg.nrrd"]), ["x", "y"]);
        let alone = tree(&["a/image.nii.gz", "a/label.nii.gz", "b.nii.gz"]);
        assert_eq!(singles(alone.path(), false).unwrap().len(), 2);
        assert_eq!(singles(alone.path(), true).unwrap().len(), 2);
    }

    #[test]
    fn what_is_wrong_is_said() {
        let text = pairs(tree(&["a/label.nii.gz"]).path()).unwrap_err().to_string();
        assert!(text.contains("no image") && text.contains("label.nii.gz"), "{text}");
        let text = pairs(tree(&["labelsTr/x.nii.gz", "imagesTr/y.nii.gz"]).path()).unwrap_err().to_string();
        assert!(text.contains("x.nii.gz") && text.contains("no image"), "{text}");
        assert!(pairs(tree(&["notes.txt"]).path()).unwrap_err().to_string().contains("imagesTr"));
        assert!(pairs(Path::new("/nowhere")).unwrap_err().to_string().contains("not a folder"));
    }
}
