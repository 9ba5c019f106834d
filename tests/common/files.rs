//! Every format of files that mem3d reads, each with its reader. Used by `tests/replay_files.rs` and by the targets in
//! `fuzz/fuzz_targets`; the corpora are `fuzz/corpus/NAME`.
#![allow(dead_code, reason = "the tests and each target use a part")]

use mem3d::engine::SavedSession;
use mem3d::interactions::{self, MarkupOptions};
use mem3d::io::{self, seg_nrrd, session_file};
use mem3d::nn::import::checkpoint;
use mem3d::nn::model::{Model, Precision};
use mem3d::nn::weights;
use mem3d::volume::{Geometry, Volume, VoxelData};
use sha2::Digest;
use std::io::Write;
use std::path::Path;
use std::sync::OnceLock;

/// A format of files.
pub struct Format {
    /// Of the target and its corpus.
    pub name: &'static str,
    /// Name of the file that is read.
    pub file: &'static str,
    /// The file of some bytes: what a change of the bytes must not spoil, as checksums, is added.
    pack: fn(&[u8]) -> Vec<u8>,
    read: fn(&Path, &Volume) -> mem3d::Result<()>,
}

/// All formats.
pub const FORMATS: [Format; 9] = [
    Format { name: "nifti", file: "a.nii.gz", pack: plain, read: as_volume },
    Format { name: "nrrd", file: "a.nrrd", pack: plain, read: as_volume },
    Format { name: "seg_nrrd", file: "a.seg.nrrd", pack: plain, read: as_segmentation },
    Format { name: "prompts", file: "a.json", pack: plain, read: as_interactions },
    Format { name: "markups", file: "a.mrk.json", pack: plain, read: as_interactions },
    Format { name: "dicom", file: "dicom/a.dcm", pack: plain, read: as_volume },
    Format { name: "sessions", file: "a.m3s", pack: as_session, read: as_saved },
    Format { name: "models", file: "a.safetensors", pack: plain, read: as_model },
    Format { name: "pth", file: "a.pth", pack: plain, read: |path, _| checkpoint::read(path).map(drop) },
];

fn plain(bytes: &[u8]) -> Vec<u8> {
    bytes.to_vec()
}

fn as_volume(path: &Path, _: &Volume) -> mem3d::Result<()> {
    io::read_volume(path).map(drop)
}

fn as_segmentation(path: &Path, volume: &Volume) -> mem3d::Result<()> {
    io::read_segmentation_on(path, volume).map(drop)
}

fn as_interactions(path: &Path, volume: &Volume) -> mem3d::Result<()> {
    interactions::read(&[path], volume, &MarkupOptions::default()).map(drop)
}

fn as_saved(path: &Path, _: &Volume) -> mem3d::Result<()> {
    session_file::read::<SavedSession>(path).map(drop)
}

/// The weights of a whole model are too large for a corpus: that they are missing is no fault of the file.
fn as_model(path: &Path, _: &Volume) -> mem3d::Result<()> {
    weights::read(path)?;
    match Model::load(path, "cpu", Precision::Auto) {
        Err(e @ mem3d::Error::Internal(_)) => Err(e),
        _ => Ok(()),
    }
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut zipped = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    zipped.write_all(bytes).unwrap();
    zipped.finish().unwrap()
}

/// A session's body, with the length and checksum that fit it.
pub fn as_session(body: &[u8]) -> Vec<u8> {
    let body = gzip(body);
    let mut file = b"mem3d session\r\n\x1a".to_vec();
    file.extend(3u32.to_le_bytes());
    file.extend((body.len() as u64).to_le_bytes());
    file.extend(sha2::Sha256::digest(&body));
    file.extend(body);
    file
}

/// The volume that segmentations and interactions are for.
pub fn volume() -> Volume {
    let geometry = Geometry { spacing_mm: [3.0, 1.0, 1.0], origin_mm: [10.0, -20.0, 30.0], ..Geometry::default() };
    let values = (0..6 * 20 * 18).map(|i| if (i / 18) % 20 > 9 { 300 } else { i as i16 % 7 }).collect();
    Volume::new([6, 20, 18], VoxelData::I16(values), geometry).unwrap()
}

/// A folder to read files from.
pub struct Reader {
    folder: tempfile::TempDir,
    volume: Volume,
}

impl Reader {
    /// The folder holds the files that others name.
    pub fn new() -> Reader {
        let (folder, volume) = (tempfile::tempdir().unwrap(), volume());
        std::fs::create_dir(folder.path().join("dicom")).unwrap();
        let segment = |number, name: &str, from: usize| seg_nrrd::Segment {
            number,
            name: name.into(),
            color: [0.5, 0.25, 1.0],
            mask: (0..2160).map(|i| u8::from(i % 18 > from)).collect(),
        };
        let two = [segment(1, "liver", 9), segment(2, "vessel", 12)];
        seg_nrrd::write(&folder.path().join("two.seg.nrrd"), volume.shape(), volume.geometry(), &two).unwrap();
        Reader { folder, volume }
    }

    /// Reads the file of `bytes`; why it is refused.
    ///
    /// # Panics
    /// Where the error is INTERNAL or does not name the file.
    pub fn read(&self, format: &Format, bytes: &[u8]) -> Result<(), String> {
        let path = self.folder.path().join(format.file);
        std::fs::write(&path, (format.pack)(bytes)).unwrap();
        let read = (format.read)(&path, &self.volume);
        std::fs::remove_file(&path).unwrap();
        read.map_err(|e| {
            let text = e.to_string();
            assert!(!matches!(e, mem3d::Error::Internal(_)), "{}: {text}", format.name);
            let name = path.file_name().unwrap().to_str().unwrap();
            // Of a DICOM series, the folder is named.
            assert!(text.contains(name) || text.contains("dicom"), "{}: {text}", format.name);
            text
        })
    }
}

/// Reads an input of the fuzzer as the format `name`.
pub fn fuzz(name: &str, bytes: &[u8]) {
    static READER: OnceLock<Reader> = OnceLock::new();
    let reader = READER.get_or_init(|| {
        // libFuzzer's hook ends the process at every panic; those of decoders are caught and are errors. One that
        // is not caught still ends the process.
        drop(std::panic::take_hook());
        Reader::new()
    });
    let format = FORMATS.iter().find(|format| format.name == name).expect("the target is called as a format");
    let _ = reader.read(format, bytes);
}
