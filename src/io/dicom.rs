//! DICOM series, read only: the single-frame images of a CT, MR, PET or similar, sorted by their place.
//!
//! What is not one volume is refused with the reason: several series in one folder, slices that are missing or lie at
//! several distances, a tilted gantry, several images at one place, several frames in a file.
//! Native, RLE and JPEG pixel data (lossless, too) are read; JPEG-LS and JPEG 2000 are not. A file that cannot be used
//! is left out with a warning, where the series is whole without it.
//!
//! `docs/files.md` lists the elements that are used, harmless, or warned about.

mod file;
mod objects;
mod pixels;

use super::source;
use crate::error::{Error, Result};
use crate::volume::{Geometry, Volume, check_shape};
use dicom_dictionary_std::tags;
use dicom_object::{InMemDicomObject, Tag};
use file::{DicomFile, Opened, numbers, text};
use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

/// Largest difference of distances between neighbouring slices, as a share of the distance. Chosen: headers round.
const UNEVEN: f64 = 0.02;
/// Largest difference of direction cosines and in-plane distances (mm) between slices. Chosen: headers round.
const ALIKE: f64 = 1e-3;
/// Slices closer than this, mm, lie at one place. Chosen.
const SAME_PLACE: f64 = 1e-3;
/// Largest shift across the normal, mm for each mm along it. Chosen: a tenth of a degree.
const LEANING: f64 = 2e-3;

/// Most images that are named because they do not belong to the others. Chosen: a localiser has one to three.
const MOST_STRAY: usize = 3;

/// One image of a series, with its place.
#[derive(Debug, Clone)]
struct Slice {
    path: PathBuf,
    /// SOPInstanceUID.
    uid: String,
    rows: usize,
    cols: usize,
    /// Distance of neighbouring rows and of neighbouring columns, mm.
    pitch: [f64; 2],
    /// Unit vectors (LPS) along which the column and the row number grow.
    along_row: [f64; 3],
    along_col: [f64; 3],
    /// Centre of the first pixel, mm, LPS.
    position: [f64; 3],
    /// Distance of slices and their thickness along the normal, mm, as the header gives them.
    distance: Option<f64>,
    thickness: Option<f64>,
}

/// A series as its files describe it.
#[derive(Debug, Default)]
struct Series {
    description: String,
    slices: Vec<Slice>,
    /// The reasons why files of it cannot be used.
    refused: Vec<String>,
}

impl Slice {
    /// Name of its file.
    fn name(&self) -> String {
        self.path.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    /// Whether it has the size and orientation of another.
    fn is_like(&self, other: &Slice) -> bool {
        let same = |a: &[f64], b: &[f64]| a.iter().zip(b).all(|(x, y)| (x - y).abs() < ALIKE);
        (self.rows, self.cols) == (other.rows, other.cols)
            && same(&self.pitch, &other.pitch)
            && same(&self.along_row, &other.along_row)
            && same(&self.along_col, &other.along_col)
    }
}

/// Whether `path` is a DICOM file, with or without prefix (`DICM` after 128 bytes).
pub fn is_dicom(path: &Path) -> bool {
    matches!(file::open(path), Ok(Opened::Dicom(_) | Opened::Broken(_)))
}

/// Whether `path` is an image of which a volume may consist: DICOM with rows that is no segmentation, dose or the like.
pub fn is_volume_image(path: &Path) -> bool {
    let Ok(Opened::Dicom(opened)) = file::open(path) else { return false };
    opened.object.get(tags::ROWS).is_some() && objects::is_volume(&opened.object)
}

/// Reads the series in the folder `path`, or the one that the file `path` belongs to, from the files beside it.
///
/// # Errors
/// [`Error::Io`] when a file cannot be read, [`Error::BadFile`] when there is no series, more than one, or one that is
/// not a regular stack of images; [`Error::OutOfMemory`].
pub fn read(path: &Path) -> Result<Volume> {
    let (volume, doubts) = load(path)?;
    source::warn(path, &doubts);
    Ok(volume)
}

/// The volume, and what a user should know about it.
pub(super) fn load(path: &Path) -> Result<(Volume, Vec<String>)> {
    let mut doubts = Vec::new();
    match load_series(path, &mut doubts) {
        Ok(volume) => Ok((volume, doubts)),
        Err(e) => {
            // What was left out may be the reason.
            source::warn(path, &doubts);
            Err(e)
        }
    }
}

fn load_series(path: &Path, doubts: &mut Vec<String>) -> Result<Volume> {
    let (folder, wanted) = match path.is_dir() {
        true => (path, None),
        false => (path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new(".")), Some(path)),
    };
    let mut all = list(folder, doubts)?;
    let chosen = match wanted {
        Some(file) => {
            let (uid, what) = match file::open(file)? {
                Opened::Dicom(opened) => (uid(&opened.object), objects::refusal(&opened.object)),
                Opened::Broken(why) => return Err(Error::bad_file(file, why)),
                Opened::Other => return Err(Error::bad_file(file, "this is no DICOM file; give one, or its folder")),
            };
            all.remove(&uid).ok_or_else(|| Error::bad_file(file, what))?
        }
        None => only(folder, all)?,
    };
    if chosen.slices.is_empty() {
        let why = chosen.refused.into_iter().next().unwrap_or_else(|| "it holds no image".into());
        return Err(Error::bad_file(path, why));
    }
    doubts.extend(chosen.refused.into_iter().map(|why| format!("left out: {why}")));
    assemble(path, without_copies(chosen.slices, doubts), doubts)
}

/// The one series of images in a folder. Reports, segmentations and the like are none.
fn only(folder: &Path, all: BTreeMap<String, Series>) -> Result<Series> {
    let (mut usable, mut others): (Vec<_>, Vec<_>) = all.into_values().partition(|s| !s.slices.is_empty());
    match (usable.len(), others.is_empty()) {
        (1, _) => Ok(usable.remove(0)),
        (0, false) => Ok(others.remove(0)),
        (0, true) => Err(Error::bad_file(folder, objects::elsewhere(folder))),
        _ => Err(Error::bad_file(folder, several(&usable))),
    }
}

fn several(all: &[Series]) -> String {
    let names: Vec<String> = all
        .iter()
        .map(|s| {
            let example = s.slices.first().and_then(|s| s.path.file_name()).unwrap_or_default().to_string_lossy();
            format!("\"{}\" ({} images, for instance {example})", s.description, s.slices.len())
        })
        .collect();
    format!("this folder holds {} series: {}; give one file of the series that you want", all.len(), names.join(", "))
}

/// The image series in a folder, by their UID. Other files are ignored; DICOM files that cannot be read are named.
fn list(folder: &Path, doubts: &mut Vec<String>) -> Result<BTreeMap<String, Series>> {
    let io = |e| Error::io(folder, e);
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .map_err(io)?
        .map(|entry| entry.map(|e| e.path()).map_err(io))
        .collect::<Result<_>>()?;
    files.sort();
    let mut all: BTreeMap<String, Series> = BTreeMap::new();
    for path in files.iter().filter(|f| f.is_file()) {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let opened = match file::open(path) {
            Ok(Opened::Dicom(opened)) => opened,
            Ok(Opened::Other) => continue,
            Ok(Opened::Broken(why)) => {
                doubts.push(format!("left out: {name}: {why}"));
                continue;
            }
            Err(e) => {
                doubts.push(format!("left out: {e}"));
                continue;
            }
        };
        // Reports, plans and the like have no rows.
        if opened.object.get(tags::ROWS).is_none() {
            if objects::is_image(&opened.object) {
                doubts.push(format!("left out: {name}: it holds no image, as if cut off; copy it once more"));
            }
            continue;
        }
        let series = all.entry(uid(&opened.object)).or_default();
        if series.description.is_empty() {
            series.description = text(&opened.object, tags::SERIES_DESCRIPTION).unwrap_or_default();
        }
        match slice(path, &opened) {
            Ok(slice) => series.slices.push(slice),
            Err(why) => series.refused.push(format!("{name}: {why}")),
        }
    }
    Ok(all)
}

/// UID of the series.
fn uid(object: &InMemDicomObject) -> String {
    text(object, tags::SERIES_INSTANCE_UID).unwrap_or_default()
}

/// Place of the image of a file; else the reason why it cannot be used.
fn slice(path: &Path, file: &DicomFile) -> std::result::Result<Slice, String> {
    let object = &file.object;
    let count = |tag: Tag| object.get(tag).and_then(|e| e.to_int::<usize>().ok());
    let missing = |what: &str| format!("its header does not give {what}; convert the series with a DICOM converter");
    if !objects::is_volume(object) {
        return Err(objects::refusal(object));
    }
    if count(tags::NUMBER_OF_FRAMES).unwrap_or(1) > 1 {
        return Err(
            "it holds several frames; convert it to NIfTI or NRRD first (dcm2niix does, and so does 3D Slicer)".into(),
        );
    }
    let is_palette = text(object, tags::PHOTOMETRIC_INTERPRETATION).is_some_and(|p| p.starts_with("PALETTE"));
    if count(tags::SAMPLES_PER_PIXEL).unwrap_or(1) != 1 || is_palette {
        return Err("it is a colour image; only images with one value a pixel can be segmented".into());
    }
    let orientation: [f64; 6] =
        given(object, tags::IMAGE_ORIENTATION_PATIENT, "ImageOrientationPatient", "how the image is oriented")?;
    let [a, b, c, d, e, f] = orientation;
    let is_unit = |v: [f64; 3]| (dot(v, v) - 1.0).abs() < 0.02;
    if !is_unit([a, b, c]) || !is_unit([d, e, f]) {
        return Err(format!("its ImageOrientationPatient {orientation:?} holds no unit vectors; correct its header"));
    }
    if dot([a, b, c], [d, e, f]).abs() > 0.02 {
        return Err(format!(
            "its ImageOrientationPatient {orientation:?} holds directions that are not at right angles; correct its \
             header"
        ));
    }
    let pitch: [f64; 2] = given(object, tags::PIXEL_SPACING, "PixelSpacing", "how large a pixel is")?;
    if pitch.iter().any(|mm| *mm <= 0.0) {
        return Err(format!("its PixelSpacing is {pitch:?} mm; correct its header"));
    }
    let along_normal = |tag| finite(object, tag).map(|[mm]: [f64; 1]| mm.abs()).filter(|mm| *mm > 0.0);
    Ok(Slice {
        path: path.to_owned(),
        uid: text(object, tags::SOP_INSTANCE_UID).unwrap_or_default(),
        rows: count(tags::ROWS).ok_or_else(|| missing("how many rows it has"))?,
        cols: count(tags::COLUMNS).ok_or_else(|| missing("how many columns it has"))?,
        pitch,
        along_row: unit([a, b, c]),
        along_col: unit([d, e, f]),
        position: given(object, tags::IMAGE_POSITION_PATIENT, "ImagePositionPatient", "where the image lies")?,
        distance: along_normal(tags::SPACING_BETWEEN_SLICES),
        thickness: along_normal(tags::SLICE_THICKNESS),
    })
}

/// Numbers of an element that are all finite.
fn finite<const N: usize>(object: &InMemDicomObject, tag: Tag) -> Option<[f64; N]> {
    numbers(object, tag).filter(|n: &[f64; N]| n.iter().all(|v| v.is_finite()))
}

/// Numbers of an element that cannot be done without; else whether it is missing or holds something else.
fn given<const N: usize>(
    object: &InMemDicomObject,
    tag: Tag,
    name: &str,
    what: &str,
) -> std::result::Result<[f64; N], String> {
    finite(object, tag).ok_or_else(|| match text(object, tag).filter(|text| !text.is_empty()) {
        Some(text) => format!("its {name} is \"{text}\", must be {N} numbers; correct its header"),
        None => format!("its header does not give {what} ({name}); convert the series with a DICOM converter"),
    })
}

/// The slices without those that are there twice: one image, by its UID, at one place.
fn without_copies(slices: Vec<Slice>, doubts: &mut Vec<String>) -> Vec<Slice> {
    let mut known: HashMap<(String, [u64; 3]), String> = HashMap::new();
    let is_first = |s: &Slice| {
        let first = match known.entry((s.uid.clone(), s.position.map(f64::to_bits))) {
            Entry::Occupied(first) if !s.uid.is_empty() => first.get().clone(),
            entry => {
                entry.or_insert_with(|| s.name());
                return true;
            }
        };
        doubts.push(format!("left out: {}: it is the same image as {first}", s.name()));
        false
    };
    slices.into_iter().filter(is_first).collect()
}

fn dot(a: [f64; 3], b: [f64; 3]) -> f64 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

fn unit(v: [f64; 3]) -> [f64; 3] {
    let length = dot(v, v).sqrt().max(1e-12);
    v.map(|x| x / length)
}

fn cross(a: [f64; 3], b: [f64; 3]) -> [f64; 3] {
    [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]
}

/// Sorts the slices along their normal and joins them to a volume.
fn assemble(path: &Path, mut slices: Vec<Slice>, doubts: &mut Vec<String>) -> Result<Volume> {
    let bad = |text: String| Error::bad_file(path, text);
    let first = slices[0].clone();
    let normal = cross(first.along_row, first.along_col);
    check_alike(&slices).map_err(bad)?;
    let along = |s: &Slice| dot(s.position, normal);
    slices.sort_by(|a, b| along(a).total_cmp(&along(b)));
    let (low, high) = (&slices[0], &slices[slices.len() - 1]);
    let spacing = match slices.len() {
        1 => first.distance.or(first.thickness).unwrap_or_else(|| {
            doubts.push("the thickness of its one slice is not known (SliceThickness); 1 mm is taken".into());
            1.0
        }),
        n => (along(high) - along(low)) / (n - 1) as f64,
    };
    check_gaps(&slices, normal, spacing).map_err(bad)?;
    check_upright(&slices, normal).map_err(bad)?;
    if let Some(mm) = first.distance.filter(|mm| (mm - spacing).abs() > UNEVEN * spacing) {
        doubts.push(format!(
            "SpacingBetweenSlices is {mm:.3} mm, but the positions of the images are {spacing:.3} mm apart; the latter \
             is taken, as by ITK"
        ));
    }
    let geometry = Geometry {
        spacing_mm: [spacing, first.pitch[0], first.pitch[1]],
        origin_mm: low.position,
        direction: [normal, first.along_col, first.along_row],
    };
    let shape = [slices.len(), first.rows, first.cols];
    check_shape(shape).and_then(|()| geometry.check()).map_err(|e| bad(e.to_string()))?;
    doubts.extend(geometry.doubts());
    let files: Vec<&Path> = slices.iter().map(|s| s.path.as_path()).collect();
    Volume::new(shape, pixels::read(&files, [first.rows, first.cols], doubts)?, geometry)
}

/// Refuses slices of several sizes or orientations; a few that differ from the clear majority are named.
fn check_alike(slices: &[Slice]) -> std::result::Result<(), String> {
    // The first of each kind, and how many there are.
    let mut kinds: Vec<(&Slice, usize)> = Vec::new();
    for slice in slices {
        match kinds.iter().position(|(first, _)| first.is_like(slice)) {
            Some(at) => kinds[at].1 += 1,
            None if kinds.len() > MOST_STRAY => break,
            None => kinds.push((slice, 1)),
        }
    }
    let (Some((most, count)), Some((other, _))) = (kinds.iter().max_by_key(|k| k.1), kinds.get(1)) else {
        return Ok(());
    };
    let strays: Vec<String> = slices.iter().filter(|s| !most.is_like(s)).map(Slice::name).collect();
    Err(match strays.len() <= MOST_STRAY && *count >= 3 * strays.len() {
        true => format!(
            "{} differs in size or orientation from the other {count} images of the series, as a localiser does: move \
             it out of the folder",
            strays.join(", ")
        ),
        false => format!(
            "the series' images differ in size or orientation ({} and {}): this is a localiser or several \
             acquisitions; give another series",
            slices[0].path.display(),
            other.path.display()
        ),
    })
}

/// Refuses sorted slices that share a place or whose distances differ; `spacing`: mean distance, mm.
fn check_gaps(slices: &[Slice], normal: [f64; 3], spacing: f64) -> std::result::Result<(), String> {
    let (mut least, mut largest) = (spacing, spacing);
    let mut widest = String::new();
    for pair in slices.windows(2) {
        let gap = dot(pair[1].position, normal) - dot(pair[0].position, normal);
        if gap < SAME_PLACE {
            return Err(format!(
                "two images lie at one place ({} and {}): the series holds several times, echoes or contrasts; keep \
                 one of them in a folder of its own",
                pair[0].path.display(),
                pair[1].path.display()
            ));
        }
        if gap > largest {
            widest = format!(" between {} and {}", pair[0].name(), pair[1].name());
        }
        (least, largest) = (least.min(gap), largest.max(gap));
    }
    if largest - least > UNEVEN * spacing {
        return Err(format!(
            "the distances between the slices differ, from {least:.3} to {largest:.3} mm{widest}: slices are \
             missing, or the series is uneven; complete it, or resample it with a converter"
        ));
    }
    Ok(())
}

/// Refuses a stack whose slices are shifted against each other.
fn check_upright(slices: &[Slice], normal: [f64; 3]) -> std::result::Result<(), String> {
    let (low, high) = (&slices[0], &slices[slices.len() - 1]);
    let offset: [f64; 3] = std::array::from_fn(|i| high.position[i] - low.position[i]);
    // Length of the part of a vector in the slices' plane.
    let in_plane = |v: [f64; 3]| (dot(v, v) - dot(v, normal).powi(2)).max(0.0).sqrt();
    let height = dot(offset, normal);
    let aside = in_plane(offset);
    if aside > LEANING * height.max(1.0) {
        return Err(format!(
            "the slices are shifted against each other by {aside:.1} mm over the series: the gantry was tilted; \
             resample it with a converter (3D Slicer's DICOM module regularises it)"
        ));
    }
    let step = offset.map(|mm| mm / slices.len().saturating_sub(1).max(1) as f64);
    let shift = |(k, s): (usize, &Slice)| {
        in_plane(std::array::from_fn(|i| s.position[i] - low.position[i] - k as f64 * step[i]))
    };
    let shifts = slices.iter().enumerate().map(shift);
    let worst = shifts.zip(slices).max_by(|a, b| a.0.total_cmp(&b.0));
    match worst.filter(|(mm, _)| *mm > LEANING * height.max(1.0)) {
        Some((mm, slice)) => Err(format!(
            "{} lies {mm:.1} mm aside of the line through the first and the last slice: the series is no one stack; \
             give another series, or resample it with a converter",
            slice.name()
        )),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
