//! Kinds of DICOM objects, and where images lie when a folder holds none.

use super::file::{self, Opened, text};
use dicom_dictionary_std::tags;
use dicom_object::InMemDicomObject;
use std::path::{Path, PathBuf};

/// Start of the UIDs of stored objects.
const STORED: &str = "1.2.840.10008.5.1.4.1.1.";

/// Objects that are no images of a volume: the end of their UID (or its beginning, with a last dot), and what to do.
const OTHERS: [(&str, &str); 9] = [
    ("66.4", "this is a segmentation (DICOM SEG), no image; load it in 3D Slicer and save it as .seg.nrrd"),
    ("66.", "this is an object beside images (registration, surface or raw data), no image; give the images"),
    ("481.3", "this is a structure set (RTSTRUCT), no image; load it in 3D Slicer and save it as .seg.nrrd"),
    ("481.2", "this is a dose (RTDOSE); convert it to .nrrd in 3D Slicer first"),
    ("481.", "this is an object of radiotherapy, no image; give the images"),
    ("88.", "this is a report, no image; give the images that it is about"),
    ("104.", "this is a document, no image; give the images"),
    ("11.", "this is a presentation of images, not the images; give those"),
    ("9.", "this is a recording (waveform), no image; give the images"),
];

/// Images of which a volume may consist: CT, MR, PET, nuclear medicine, secondary capture, and their newer forms.
const IMAGES: [&str; 12] = ["1", "1.1", "2", "2.1", "2.2", "4", "4.1", "6.1", "7", "20", "128", "130"];

/// Deepest folder that is looked into for a hint, and most entries.
const DEEPEST: usize = 3;
const MOST_ENTRIES: usize = 2000;

fn class(object: &InMemDicomObject) -> String {
    text(object, tags::SOP_CLASS_UID).unwrap_or_default()
}

fn other(object: &InMemDicomObject) -> Option<&'static str> {
    let class = class(object);
    let end = class.strip_prefix(STORED)?;
    let is_it = |(known, _): &&(&str, &str)| end == *known || (known.ends_with('.') && end.starts_with(known));
    OTHERS.iter().find(is_it).map(|(_, what)| *what)
}

/// Whether an object with rows may be an image of a volume.
pub(super) fn is_volume(object: &InMemDicomObject) -> bool {
    other(object).is_none()
}

/// Whether an object is an image, by its class.
pub(super) fn is_image(object: &InMemDicomObject) -> bool {
    class(object).strip_prefix(STORED).is_some_and(|end| IMAGES.contains(&end))
}

/// Why a file that is no image of a volume cannot be used.
pub(super) fn refusal(object: &InMemDicomObject) -> String {
    if class(object) == "1.2.840.10008.1.3.10" || object.get(tags::SOP_CLASS_UID).is_none() {
        return "this DICOM file holds no image, as DICOMDIR, a list of files; give a folder or file with images"
            .into();
    }
    other(object).unwrap_or("this DICOM file holds no image; give one that does").into()
}

/// What to give instead of a folder without images: folders inside it that hold some, or a file of another format.
pub(super) fn elsewhere(folder: &Path) -> String {
    let mut left = MOST_ENTRIES;
    let mut found = Vec::new();
    look_into(folder, 1, &mut left, &mut found);
    let inside = |path: &PathBuf| path.strip_prefix(folder).unwrap_or(path).display().to_string();
    let names: Vec<String> = found.iter().take(5).map(inside).collect();
    if !names.is_empty() {
        let more = if found.len() > names.len() { ", ..." } else { "" };
        let names = names.join(", ");
        return format!("this folder holds no DICOM images itself, but folders inside it do: give one ({names}{more})");
    }
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut files: Vec<PathBuf> = entries.map(|e| e.path()).filter(|path| path.is_file()).collect();
    files.sort();
    let is_readable = |path: &&PathBuf| {
        let name = path.to_string_lossy().to_lowercase();
        [".nii", ".nii.gz", ".nrrd", ".nhdr"].iter().any(|end| name.ends_with(end))
    };
    let file = files.iter().find(is_readable);
    let is_zip = |path: &PathBuf| path.extension().is_some_and(|end| end.eq_ignore_ascii_case("zip"));
    match file {
        Some(file) => format!("this folder holds no DICOM images; give the file in it ({})", inside(file)),
        None if files.iter().any(is_zip) => {
            "this folder holds no DICOM images but a ZIP archive; unpack it and give the folder".into()
        }
        None => "this folder holds no DICOM images; give a folder that does, or a file".into(),
    }
}

/// Collects the folders in `folder` whose first files hold an image.
fn look_into(folder: &Path, depth: usize, left: &mut usize, found: &mut Vec<PathBuf>) {
    let mut folders: Vec<PathBuf> = Vec::new();
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    for path in entries.map(|e| e.path()) {
        // Links may lead round.
        if path.is_dir() && !path.is_symlink() {
            folders.push(path);
        }
    }
    folders.sort();
    for inner in folders {
        let entries = std::fs::read_dir(&inner).into_iter().flatten().flatten();
        let mut files: Vec<PathBuf> = entries.map(|e| e.path()).filter(|path| path.is_file()).collect();
        files.sort();
        let holds_image = |path: &PathBuf| match file::open(path) {
            Ok(Opened::Dicom(opened)) => opened.object.get(tags::ROWS).is_some(),
            _ => false,
        };
        if files.iter().take(3).any(holds_image) {
            found.push(inner.clone());
        }
        if *left == 0 {
            return;
        }
        *left -= 1;
        if depth < DEEPEST {
            look_into(&inner, depth + 1, left, found);
        }
    }
}
