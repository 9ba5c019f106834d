//! Volumes, segmentations and saved sessions on disk. Files are written whole or not at all.
//!
//! | format | read | written |
//! |---|---|---|
//! | NIfTI-1 (`.nii`, `.nii.gz`) | [`nifti::read`] | [`nifti::write`] |
//! | NRRD (`.nrrd`, `.nhdr`) | [`nrrd::read`] | [`nrrd::write`] |
//! | DICOM series (a folder, or one of its files) | [`dicom::read`] | |
//! | Slicer segmentation (`.seg.nrrd`) | [`seg_nrrd::read`] | [`seg_nrrd::write`] |
//!
//! [`read_segmentation`] reads a segmentation from any of them; `docs/files.md` lists the fields of each.

mod bytes;
pub mod dicom;
pub(crate) mod kind;
pub mod nifti;
pub mod nrrd;
mod placement;
pub mod seg_nrrd;
pub mod segmentation;
pub mod session_file;
pub(crate) mod source;

use crate::error::{Error, Result};
use crate::input_file;
use crate::volume::{Geometry, Volume, VoxelData};
use segmentation::Segmentation;
use std::io::Read;
use std::path::Path;

/// Most bytes of a text file: interactions, markups. Chosen: a hundred thousand points have about 3 MB.
const MOST_TEXT: u64 = 256 << 20;

/// Reads a volume in the format of the file's first bytes, else of its name. A folder is read as a DICOM series. What
/// a user should know about it is logged as a warning.
///
/// # Errors
/// [`Error::Io`] when it cannot be read, [`Error::BadFile`] for another format or a damaged file,
/// [`Error::OutOfMemory`].
pub fn read_volume(path: &Path) -> Result<Volume> {
    let (volume, doubts) = load_volume(path)?;
    source::warn(path, &doubts);
    Ok(volume)
}

fn load_volume(path: &Path) -> Result<(Volume, Vec<String>)> {
    if path.is_dir() {
        return dicom::load(path);
    }
    match (nrrd::is_nrrd(path)?, Format::of_name(path)) {
        (true, _) => nrrd::load(path),
        (_, Some(Format::Nifti)) => nifti::load(path),
        (_, Some(Format::Nrrd | Format::SegNrrd)) => Err(Error::bad_file(
            path,
            what_it_is(path)?.unwrap_or("this is not an NRRD file (it does not begin with NRRD000); write it again"),
        )),
        (_, None) if dicom::is_dicom(path) => dicom::load(path),
        (_, None) => Err(Error::bad_file(
            path,
            what_it_is(path)?.unwrap_or("unknown kind of file; use .nii, .nii.gz, .nrrd, .nhdr or a DICOM series"),
        )),
    }
}

/// What a file that cannot be read is, with the remedy.
pub(crate) fn what_it_is(path: &Path) -> Result<Option<&'static str>> {
    let mut start = Vec::new();
    let (file, _) = input_file::open(path)?;
    file.take(512).read_to_end(&mut start).map_err(|e| Error::io(path, e))?;
    Ok(kind::of(&start, &path.file_name().unwrap_or_default().to_string_lossy()))
}

/// Reads a segmentation: a `.seg.nrrd` with its layers, names and colours, or a label volume of any format.
///
/// # Errors
/// As [`read_volume`]; [`Error::BadFile`] also for values that are no labels.
pub fn read_segmentation(path: &Path) -> Result<Segmentation> {
    if !path.is_dir() && nrrd::is_nrrd(path)? {
        return seg_nrrd::read(path);
    }
    Segmentation::of_labels(&read_volume(path)?).map_err(|e| of_file(path, e))
}

/// Reads a segmentation onto the grid of `volume`, of which its own may be a part.
///
/// # Errors
/// As [`read_segmentation`] and [`Segmentation::placed_on`].
pub fn read_segmentation_on(path: &Path, volume: &Volume) -> Result<Segmentation> {
    let read = read_segmentation(path)?;
    read.placed_on(volume.shape(), volume.geometry()).map_err(|e| of_file(path, e))
}

/// Reads labels, one a voxel and each a whole number.
///
/// # Errors
/// As [`read_segmentation`]; [`Error::BadFile`] also where segments overlap.
pub fn read_labels(path: &Path) -> Result<Volume> {
    if !path.is_dir() && nrrd::is_nrrd(path)? && Format::of_name(path) == Some(Format::SegNrrd) {
        return seg_nrrd::read(path)?.labels().map_err(|e| of_file(path, e));
    }
    let read = read_volume(path)?;
    let labels = segmentation::labels_of(read.data()).map_err(|e| of_file(path, e))?;
    label_volume(read.shape(), read.geometry(), labels)
}

/// Reads labels as [`read_labels`]; those of a `.seg.nrrd` onto the grid of `volume`, of which its own may be a part.
///
/// # Errors
/// As [`read_labels`] and [`Segmentation::placed_on`].
pub fn read_labels_on(path: &Path, volume: &Volume) -> Result<Volume> {
    if Format::of_name(path) != Some(Format::SegNrrd) {
        return read_labels(path);
    }
    read_segmentation_on(path, volume)?.labels().map_err(|e| of_file(path, e))
}

/// The text of a file of interactions or the like.
///
/// # Errors
/// [`Error::Io`]; [`Error::BadFile`] when it is no regular file, no text or very large.
pub fn read_text(path: &Path) -> Result<String> {
    source::text(path, MOST_TEXT).map_err(|e| match what_it_is(path) {
        // A volume, say, where the text is expected.
        Ok(Some(what)) if matches!(e, Error::BadFile { .. }) => Error::bad_file(path, what),
        _ => e,
    })
}

/// What is wrong with the contents of `path`.
fn of_file(path: &Path, error: Error) -> Error {
    match error {
        Error::InvalidArgument(reason) => Error::bad_file(path, reason),
        other => other,
    }
}

/// Kind of a file, by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `.nii`, `.nii.gz`
    Nifti,
    /// `.nrrd`, `.nhdr`
    Nrrd,
    /// `.seg.nrrd`
    SegNrrd,
}

impl Format {
    /// The format of the name of `path`.
    pub fn of_name(path: &Path) -> Option<Format> {
        let name = path.file_name()?.to_string_lossy().to_lowercase();
        let ends = |suffixes: &[&str]| suffixes.iter().any(|s| name.ends_with(s));
        if ends(&[".nii", ".nii.gz"]) {
            Some(Format::Nifti)
        } else if ends(&[".seg.nrrd"]) {
            Some(Format::SegNrrd)
        } else if ends(&[".nrrd", ".nhdr"]) {
            Some(Format::Nrrd)
        } else {
            None
        }
    }
}

/// Writes a volume in the format of the file's name (`.nii`, `.nii.gz` or `.nrrd`).
///
/// # Errors
/// [`Error::BadFile`] for another name, [`Error::Io`] when it cannot be written.
pub fn write_volume(path: &Path, volume: &Volume) -> Result<()> {
    match Format::of_name(path) {
        Some(Format::Nifti) => nifti::write(path, volume),
        Some(Format::Nrrd) => nrrd::write(path, volume),
        Some(Format::SegNrrd) => seg_nrrd::write_segmentation(path, &Segmentation::of_labels(volume)?),
        None => Err(Error::bad_file(path, "unknown kind of file; name it .nii, .nii.gz, .nrrd or .seg.nrrd")),
    }
}

/// Labels `[depth, height, width]` as a volume, in 8 bits where they fit.
///
/// # Errors
/// As [`Volume::new`].
pub fn label_volume(shape: [usize; 3], geometry: &Geometry, labels: Vec<u16>) -> Result<Volume> {
    let data = match labels.iter().max() {
        Some(&most) if most > 255 => VoxelData::U16(labels),
        _ => VoxelData::U8(labels.iter().map(|&l| l as u8).collect()),
    };
    Volume::new(shape, data, geometry.clone())
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use std::io::Write;

    /// An oblique volume of every voxel type, with a value for each place.
    pub(crate) fn volumes() -> Vec<Volume> {
        let geometry = Geometry {
            spacing_mm: [3.0, 0.5, 0.75],
            origin_mm: [-12.5, 40.25, 7.0],
            direction: [[0.0, 0.0, 1.0], [-0.6, 0.8, 0.0], [0.8, 0.6, 0.0]],
        };
        let n = 0..24u8;
        [
            VoxelData::U8(n.clone().collect()),
            VoxelData::I8(n.clone().map(|v| v as i8 - 12).collect()),
            VoxelData::U16(n.clone().map(|v| u16::from(v) * 2000).collect()),
            VoxelData::I16(n.clone().map(|v| i16::from(v) * 100 - 1000).collect()),
            VoxelData::U32(n.clone().map(|v| u32::from(v) * 100_000_000).collect()),
            VoxelData::I32(n.clone().map(|v| i32::from(v) * -70_000).collect()),
            VoxelData::F32(n.clone().map(|v| f32::from(v) * 0.37).collect()),
            VoxelData::F64(n.map(|v| f64::from(v) / 3.0).collect()),
        ]
        .into_iter()
        .map(|data| Volume::new([2, 3, 4], data, geometry.clone()).unwrap())
        .collect()
    }

    pub(crate) fn assert_same(a: &Volume, b: &Volume) {
        assert_eq!((a.shape(), a.data()), (b.shape(), b.data()));
        let flat = |v: &Volume| {
            let g = v.geometry();
            let direction = g.direction.iter().flatten().copied();
            g.spacing_mm.into_iter().chain(g.origin_mm).chain(direction).collect::<Vec<_>>()
        };
        for (x, y) in flat(a).iter().zip(flat(b)) {
            assert!((x - y).abs() < 1e-5, "{:?} {:?}", a.geometry(), b.geometry());
        }
    }

    #[test]
    fn formats_are_recognised_by_name() {
        let of = |name: &str| Format::of_name(Path::new(name));
        assert_eq!(of("a/b.NII.gz"), Some(Format::Nifti));
        assert_eq!(of("x.seg.nrrd"), Some(Format::SegNrrd));
        assert_eq!(of("x.nhdr"), Some(Format::Nrrd));
        assert_eq!(of("x.dcm"), None);
    }

    #[test]
    fn what_cannot_be_read_or_written_is_reported_with_its_path() {
        let folder = tempfile::tempdir().unwrap();
        let text = |r: Result<Volume>| r.unwrap_err().to_string();
        assert!(text(read_volume(&folder.path().join("no.nrrd"))).contains("no.nrrd"));
        assert!(text(read_volume(folder.path())).contains("DICOM"));
        let other = folder.path().join("x.nrrd");
        std::fs::write(&other, "hello").unwrap();
        assert!(text(read_volume(&other)).contains("not an NRRD"));
        let volume = &volumes()[0];
        assert!(matches!(write_volume(Path::new("/no/such/folder/a.nrrd"), volume), Err(Error::Io { .. })));
        assert!(matches!(write_volume(Path::new("a.png"), volume), Err(Error::BadFile { .. })));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_is_an_error() {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let mut writer = std::io::BufWriter::new(full);
        assert!(writer.write_all(&[0; 9000]).and_then(|()| writer.flush()).is_err());
    }
}
