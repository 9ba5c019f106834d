//! DICOM series, read only: the single-frame images of a CT, MR, PET or similar, sorted by their place.
//!
//! What is not one volume is refused with the reason: several series in one folder, slices that are missing or lie at
//! several distances, a tilted gantry, several images at one place, several frames in a file.
//! Native, RLE and JPEG pixel data (lossless, too) are read; JPEG-LS and JPEG 2000 are not.

mod pixels;

use crate::error::{Error, Result};
use crate::volume::{Geometry, Volume};
use dicom_dictionary_std::tags;
use dicom_object::{DefaultDicomObject, OpenFileOptions, Tag};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Largest difference of distances between neighbouring slices, as a share of the distance. Chosen: headers round.
const UNEVEN: f64 = 0.02;
/// Largest difference of direction cosines and in-plane distances (mm) between slices. Chosen: headers round.
const ALIKE: f64 = 1e-3;
/// Slices closer than this, mm, lie at one place. Chosen.
const SAME_PLACE: f64 = 1e-3;
/// Largest shift across the normal, mm for each mm along it. Chosen: a tenth of a degree.
const LEANING: f64 = 2e-3;

/// One image of a series, with its place.
#[derive(Debug, Clone)]
struct Slice {
    path: PathBuf,
    rows: usize,
    cols: usize,
    /// Distance of neighbouring rows and of neighbouring columns, mm.
    pitch: [f64; 2],
    /// Unit vectors (LPS) along which the column and the row number grow.
    along_row: [f64; 3],
    along_col: [f64; 3],
    /// Centre of the first pixel, mm, LPS.
    position: [f64; 3],
    /// Along the normal, mm.
    thickness: Option<f64>,
}

/// A series as its files describe it.
#[derive(Debug, Default)]
struct Series {
    description: String,
    slices: Vec<Slice>,
    /// The reason why a file of it cannot be used.
    refused: Option<String>,
}

/// Whether `path` is a file that is marked as DICOM (`DICM` after 128 bytes).
pub fn is_dicom(path: &Path) -> bool {
    use std::io::Read;
    let mut start = [0; 132];
    let read = std::fs::File::open(path).and_then(|mut f| f.read_exact(&mut start));
    read.is_ok() && &start[128..] == b"DICM"
}

/// Reads the series in the folder `path`, or the one that the file `path` belongs to, from the files beside it.
///
/// # Errors
/// [`Error::Io`] when a file cannot be read, [`Error::BadFile`] when there is no series, more than one, or one that is
/// not a regular stack of images.
pub fn read(path: &Path) -> Result<Volume> {
    let (folder, wanted) = match path.is_dir() {
        true => (path, None),
        false => (path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new(".")), Some(path)),
    };
    let mut all = list(folder)?;
    let chosen = match wanted {
        Some(file) => {
            let uid = header(file)?.1;
            all.remove(&uid).ok_or_else(|| Error::bad_file(file, "this DICOM file holds no image"))?
        }
        None if all.len() > 1 => return Err(Error::bad_file(folder, several(&all))),
        None => match all.pop_first() {
            Some((_, series)) => series,
            None => {
                return Err(Error::bad_file(
                    folder,
                    "this folder holds no DICOM images; give a folder that does, or a file",
                ));
            }
        },
    };
    match chosen.refused {
        Some(why) => Err(Error::bad_file(path, why)),
        None => assemble(path, chosen.slices),
    }
}

fn several(all: &BTreeMap<String, Series>) -> String {
    let names: Vec<String> = all
        .values()
        .map(|s| {
            let example = s.slices.first().and_then(|s| s.path.file_name()).unwrap_or_default().to_string_lossy();
            format!("\"{}\" ({} images, for instance {example})", s.description, s.slices.len())
        })
        .collect();
    format!("this folder holds {} series: {}; give one file of the series that you want", all.len(), names.join(", "))
}

/// The image series in a folder, by their UID. Other files are ignored.
fn list(folder: &Path) -> Result<BTreeMap<String, Series>> {
    let io = |e| Error::io(folder, e);
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .map_err(io)?
        .map(|entry| entry.map(|e| e.path()).map_err(io))
        .collect::<Result<_>>()?;
    files.sort();
    let mut all: BTreeMap<String, Series> = BTreeMap::new();
    for file in files.iter().filter(|f| f.is_file() && is_dicom(f)) {
        let (object, uid) = header(file)?;
        // Reports, plans and the like have no rows.
        if object.get(tags::ROWS).is_none() {
            continue;
        }
        let series = all.entry(uid).or_default();
        if series.description.is_empty() {
            series.description = text(&object, tags::SERIES_DESCRIPTION).unwrap_or_default();
        }
        match slice(file, &object) {
            Ok(slice) => series.slices.push(slice),
            Err(why) => series.refused = Some(format!("{}: {why}", file.display())),
        }
    }
    Ok(all)
}

/// Everything before the pixels, and the series' UID.
fn header(file: &Path) -> Result<(DefaultDicomObject, String)> {
    let object = OpenFileOptions::new()
        .read_until(tags::PIXEL_DATA)
        .open_file(file)
        .map_err(|e| Error::bad_file(file, format!("this DICOM file cannot be read ({})", pixels::causes(&e))))?;
    let uid = text(&object, tags::SERIES_INSTANCE_UID).unwrap_or_default();
    Ok((object, uid))
}

fn text(object: &DefaultDicomObject, tag: Tag) -> Option<String> {
    let text = object.get(tag)?.to_str().ok()?;
    Some(text.trim_matches(|c: char| c.is_whitespace() || c == '\0').to_owned())
}

fn numbers<const N: usize>(object: &DefaultDicomObject, tag: Tag) -> Option<[f64; N]> {
    object.get(tag)?.to_multi_float64().ok()?.try_into().ok()
}

/// Place of the image of a file; else the reason why it cannot be used.
fn slice(file: &Path, object: &DefaultDicomObject) -> std::result::Result<Slice, String> {
    let count = |tag: Tag| object.get(tag).and_then(|e| e.to_int::<usize>().ok());
    let missing = |what: &str| format!("its header does not give {what}; convert the series with a DICOM converter");
    if count(tags::NUMBER_OF_FRAMES).unwrap_or(1) > 1 {
        return Err(
            "it holds several frames; convert it to NIfTI or NRRD first (dcm2niix does, and so does 3D Slicer)".into(),
        );
    }
    if count(tags::SAMPLES_PER_PIXEL).unwrap_or(1) != 1 {
        return Err("it is a colour image; only images with one value a pixel can be segmented".into());
    }
    let orientation: [f64; 6] = numbers(object, tags::IMAGE_ORIENTATION_PATIENT)
        .ok_or_else(|| missing("how the image is oriented (ImageOrientationPatient)"))?;
    let [a, b, c, d, e, f] = orientation;
    Ok(Slice {
        path: file.to_owned(),
        rows: count(tags::ROWS).ok_or_else(|| missing("how many rows it has"))?,
        cols: count(tags::COLUMNS).ok_or_else(|| missing("how many columns it has"))?,
        pitch: numbers(object, tags::PIXEL_SPACING).ok_or_else(|| missing("how large a pixel is (PixelSpacing)"))?,
        along_row: unit([a, b, c]),
        along_col: unit([d, e, f]),
        position: numbers(object, tags::IMAGE_POSITION_PATIENT)
            .ok_or_else(|| missing("where the image lies (ImagePositionPatient)"))?,
        thickness: numbers(object, tags::SPACING_BETWEEN_SLICES)
            .or_else(|| numbers(object, tags::SLICE_THICKNESS))
            .map(|[mm]: [f64; 1]| mm.abs())
            .filter(|mm| *mm > 0.0),
    })
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
fn assemble(path: &Path, mut slices: Vec<Slice>) -> Result<Volume> {
    let bad = |text: String| Error::bad_file(path, text);
    let first = slices[0].clone();
    let normal = cross(first.along_row, first.along_col);
    check_alike(&first, &slices).map_err(bad)?;
    let along = |s: &Slice| dot(s.position, normal);
    slices.sort_by(|a, b| along(a).total_cmp(&along(b)));
    let (low, high) = (&slices[0], &slices[slices.len() - 1]);
    let spacing = match slices.len() {
        1 => first.thickness.unwrap_or(1.0),
        n => (along(high) - along(low)) / (n - 1) as f64,
    };
    check_gaps(&slices, normal, spacing).map_err(bad)?;
    check_upright(low, high, normal).map_err(bad)?;
    let geometry = Geometry {
        spacing_mm: [spacing, first.pitch[0], first.pitch[1]],
        origin_mm: low.position,
        direction: [normal, first.along_col, first.along_row],
    };
    let shape = [slices.len(), first.rows, first.cols];
    let files: Vec<&Path> = slices.iter().map(|s| s.path.as_path()).collect();
    Volume::new(shape, pixels::read(&files, first.rows * first.cols)?, geometry)
}

/// Refuses slices of another size or orientation than the first.
fn check_alike(first: &Slice, slices: &[Slice]) -> std::result::Result<(), String> {
    let same = |a: &[f64], b: &[f64]| a.iter().zip(b).all(|(x, y)| (x - y).abs() < ALIKE);
    let alike = |s: &Slice| {
        (s.rows, s.cols) == (first.rows, first.cols)
            && same(&s.pitch, &first.pitch)
            && same(&s.along_row, &first.along_row)
            && same(&s.along_col, &first.along_col)
    };
    match slices.iter().find(|s| !alike(s)) {
        Some(other) => Err(format!(
            "the series' images differ in size or orientation ({} and {}): this is a localiser or several \
             acquisitions; give another series",
            first.path.display(),
            other.path.display()
        )),
        None => Ok(()),
    }
}

/// Refuses sorted slices that share a place or whose distances differ; `spacing`: mean distance, mm.
fn check_gaps(slices: &[Slice], normal: [f64; 3], spacing: f64) -> std::result::Result<(), String> {
    let (mut least, mut largest) = (spacing, spacing);
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
        (least, largest) = (least.min(gap), largest.max(gap));
    }
    if largest - least > UNEVEN * spacing {
        return Err(format!(
            "the distances between the slices differ, from {least:.3} to {largest:.3} mm: slices are missing, or the \
             series is uneven; complete it, or resample it with a converter"
        ));
    }
    Ok(())
}

/// Refuses a stack whose slices are shifted against each other.
fn check_upright(low: &Slice, high: &Slice, normal: [f64; 3]) -> std::result::Result<(), String> {
    let offset: [f64; 3] = std::array::from_fn(|i| high.position[i] - low.position[i]);
    let height = dot(offset, normal);
    let aside = (dot(offset, offset) - height * height).max(0.0).sqrt();
    if aside > LEANING * height.max(1.0) {
        return Err(format!(
            "the slices are shifted against each other by {aside:.1} mm over the series: the gantry was tilted; \
             resample it with a converter (3D Slicer's DICOM module regularises it)"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
