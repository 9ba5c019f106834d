//! What made a result: checksums of everything that goes into a case.

use super::list::Entry;
use crate::common::case::named_files;
use mem3d::{Error, Result, io};
use sha2::{Digest, Sha256};
use std::io::Read;
use std::path::{Path, PathBuf};

/// The inputs of a case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// SHA-256 of the volume; none when it was not read.
    pub volume: Option<String>,
    /// SHA-256 of the prompts, with the masks that they name.
    pub prompts: String,
    /// SHA-256 of the model's file, or `random:SEED`; none when there is no model.
    pub model: Option<String>,
    /// Options that change masks.
    pub options: String,
}

impl Origin {
    /// The inputs of `entry` as they are now.
    ///
    /// # Errors
    /// As reading them.
    pub fn of(entry: &Entry, model: Option<&str>, options: &str) -> Result<Origin> {
        let volume = Some(volume(&entry.volume)?);
        Ok(Origin { volume, ..Origin::without_volume(entry, model, options)? })
    }

    /// As [`Origin::of`], but the volume, by far the largest, is not read.
    ///
    /// # Errors
    /// As reading the prompts.
    pub fn without_volume(entry: &Entry, model: Option<&str>, options: &str) -> Result<Origin> {
        let mut prompts = Sha256::new();
        for path in &entry.interactions {
            prompts.update(file(path)?);
            named_files(path).iter().try_for_each(|path| file(path).map(|sum| prompts.update(sum)))?;
        }
        Ok(Origin {
            volume: None,
            prompts: hex(prompts),
            model: model.map(str::to_string),
            options: options.to_string(),
        })
    }
}

/// SHA-256 of a file's bytes.
///
/// # Errors
/// [`Error::Io`] when it cannot be read.
pub fn file(path: &Path) -> Result<String> {
    let io = |e| Error::io(path, e);
    let mut from = std::fs::File::open(path).map_err(io)?;
    let (mut sum, mut block) = (Sha256::new(), vec![0; 1 << 20]);
    loop {
        match from.read(&mut block).map_err(io)? {
            0 => return Ok(hex(sum)),
            n => sum.update(&block[..n]),
        }
    }
}

fn hex(sum: Sha256) -> String {
    sum.finalize().iter().map(|b| format!("{b:02x}")).collect()
}

/// Of a file that is the whole volume, its bytes; of others, what is read.
fn volume(path: &Path) -> Result<String> {
    if path.is_dir() {
        let mut sum = Sha256::new();
        for path in files_below(path)? {
            sum.update(file(&path)?);
        }
        return Ok(hex(sum));
    }
    if path.is_file() && io::Format::of_name(path).is_some() && !names_others(path) {
        return file(path);
    }
    Ok(io::read_volume(path)?.checksum())
}

/// Whether the header of an NRRD file names files with the voxels.
fn names_others(path: &Path) -> bool {
    let mut start = Vec::new();
    let read = std::fs::File::open(path).and_then(|file| file.take(1 << 16).read_to_end(&mut start));
    let head = String::from_utf8_lossy(&start).to_lowercase();
    let head = head.split("\n\n").next().unwrap_or_default();
    read.is_ok() && head.starts_with("nrrd") && (head.contains("data file:") || head.contains("datafile:"))
}

/// All files in a folder and those below, in order.
fn files_below(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(|e| Error::io(folder, e))? {
        let entry = entry.map_err(|e| Error::io(folder, e))?;
        match entry.file_type().map_err(|e| Error::io(folder, e))? {
            kind if kind.is_dir() => files.extend(files_below(&entry.path())?),
            kind if kind.is_file() => files.push(entry.path()),
            _ => (),
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::results::{Row, Status};

    #[test]
    fn every_input_counts() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let head = "NRRD0004\ntype: uchar\ndimension: 3\nsizes: 1 1 1\nencoding: raw\n";
        std::fs::write(at("v.nrrd"), format!("{head}\nx")).unwrap();
        std::fs::write(at("p.json"), r#"{"slice_masks": [{"file": "m.nrrd"}]}"#).unwrap();
        std::fs::write(at("m.nrrd"), "mask").unwrap();
        let entry = Entry {
            key: "o".into(),
            volume_name: "v".into(),
            volume: at("v.nrrd"),
            interactions: vec![at("p.json")],
            output: at("o.nrrd"),
        };
        let of = || Origin::of(&entry, Some("m"), "a=1").unwrap();
        let made = of();
        let row = Row { model_sha256: "m".into(), ..Row::made(&entry, Status::Done, &made) };
        assert_eq!(row.changed(&of()), None);
        assert_eq!(row.changed(&Origin { model: None, ..of() }), None);
        assert_eq!(row.changed(&Origin { model: Some("n".into()), ..of() }), Some("model"));
        assert_eq!(row.changed(&Origin { options: "a=2".into(), ..of() }), Some("options"));
        std::fs::write(at("m.nrrd"), "mast").unwrap();
        assert_eq!(row.changed(&of()), Some("prompts"));
        std::fs::write(at("v.nrrd"), format!("{head}\ny")).unwrap();
        assert_eq!(row.changed(&of()), Some("volume"));
        assert_eq!(row.changed(&Origin::without_volume(&entry, None, "a=1").unwrap()), Some("prompts"));
        std::fs::write(at("m.nrrd"), "mask").unwrap();
        assert!(!names_others(&at("v.nrrd")) && file(&at("m.nrrd")).unwrap().len() == 64);
        std::fs::write(at("v.nhdr"), format!("{head}data file: v.raw\n")).unwrap();
        assert!(names_others(&at("v.nhdr")));
    }
}
