//! What made a result: checksums of everything that goes into a case.

use super::list::Entry;
use crate::common::case::named_files;
use mem3d::volume::Geometry;
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
        let volume = Some(volume(entry)?);
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
            for named in named_files(path) {
                add(&mut prompts, &named)?;
            }
        }
        Ok(Origin {
            volume: None,
            prompts: hex(prompts),
            model: model.map(str::to_string),
            options: options.to_string(),
        })
    }
}

/// Adds a file, and those with its voxels.
fn add(sum: &mut Sha256, path: &Path) -> Result<()> {
    sum.update(file(path)?);
    io::nrrd::data_files(path).iter().try_for_each(|path| file(path).map(|of_it| sum.update(of_it)))
}

/// SHA-256 of a file's bytes.
///
/// # Errors
/// [`Error::Io`] when it cannot be read; [`Error::BadFile`] for a device or a pipe, which may never end.
pub fn file(path: &Path) -> Result<String> {
    let io = |e| Error::io(path, e);
    if !std::fs::metadata(path).map_err(io)?.is_file() {
        return Err(Error::bad_file(path, "this is a folder, a device or a pipe; give a regular file"));
    }
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

/// Of files that are the whole volume, their bytes; of others, what is read.
fn volume(entry: &Entry) -> Result<String> {
    let path = &entry.volume;
    let mut sum = Sha256::new();
    if path.is_dir() {
        for path in series(path)? {
            sum.update(file(&path)?);
        }
        return Ok(hex(sum));
    }
    if path.is_file() && io::Format::of_name(path).is_some() {
        if io::nrrd::data_files(path).is_empty() {
            return file(path);
        }
        add(&mut sum, path)?;
        return Ok(hex(sum));
    }
    let volume = io::read_volume(path)?;
    sum.update(volume.checksum());
    let Geometry { spacing_mm, origin_mm, direction } = volume.geometry();
    let numbers = spacing_mm.iter().chain(origin_mm).chain(direction.as_flattened());
    numbers.for_each(|number| sum.update(number.to_le_bytes()));
    Ok(hex(sum))
}

/// The DICOM images in a folder, in order, as the reader takes them: also by links, none of folders below. A DICOM SEG,
/// as the Python package writes it beside the outputs of all cases, is none.
fn series(folder: &Path) -> Result<Vec<PathBuf>> {
    let io = |e| Error::io(folder, e);
    let mut files = Vec::new();
    for item in std::fs::read_dir(folder).map_err(io)? {
        let path = item.map_err(io)?.path();
        if path.is_file() && io::dicom::is_volume_image(&path) {
            files.push(path);
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
        assert_eq!(file(&at("m.nrrd")).unwrap().len(), 64);
        assert!(file(folder.path()).unwrap_err().to_string().contains("give a regular file"));
        // Interactions of an editor on Windows, and a mask whose voxels lie beside its header.
        std::fs::write(at("p.json"), "\u{feff}{\"slice_masks\": [{\"file\": \"m.nhdr\"}]}").unwrap();
        std::fs::write(at("m.nhdr"), format!("{head}data file: m.raw\n")).unwrap();
        std::fs::write(at("m.raw"), "x").unwrap();
        let prompts = of().prompts;
        std::fs::write(at("m.raw"), "y").unwrap();
        assert_ne!(of().prompts, prompts);
    }

    #[test]
    fn all_that_the_reader_takes_of_a_volume_counts() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let of = |name: &str| volume(&Entry { volume: at(name), output: at("ct/o.seg.nrrd"), ..Entry::default() });
        // Voxels beside the header, and the geometry in it.
        let head = |mm: &str| {
            format!(
                "NRRD0004\ntype: uchar\ndimension: 3\nsizes: 1 1 1\nencoding: raw\nspacings: 1 1 {mm}\n\
                 data file: v.raw\n"
            )
        };
        std::fs::write(at("v.nhdr"), head("1")).unwrap();
        std::fs::write(at("v.raw"), "x").unwrap();
        let first = of("v.nhdr").unwrap();
        std::fs::write(at("v.nhdr"), head("2")).unwrap();
        let second = of("v.nhdr").unwrap();
        std::fs::write(at("v.raw"), "y").unwrap();
        assert!(first != second && second != of("v.nhdr").unwrap());
        // A series, also of links; nothing else in its folder, such as segmentations of other cases (DICOM SEG).
        let element = |tag: [u8; 4], value: &[u8]| -> Vec<u8> {
            [&tag[..], &(value.len() as u32).to_le_bytes()[..], value].concat()
        };
        let dicom = |class: &str, name: &str| -> Vec<u8> {
            let (class, name) = (element([8, 0, 0x16, 0], class.as_bytes()), element([16, 0, 16, 0], name.as_bytes()));
            [&[0u8; 128][..], &b"DICM"[..], &class[..], &name[..], &element([0x28, 0, 16, 0], &[2, 0])[..]].concat()
        };
        let image = |name: &str| dicom("1.2.840.10008.5.1.4.1.1.2\0", name);
        std::fs::create_dir_all(at("ct/below")).unwrap();
        std::fs::write(at("ct/1.dcm"), image("A^B ")).unwrap();
        let one = of("ct").unwrap();
        let segmentation = dicom("1.2.840.10008.5.1.4.1.1.66.4", "A^B ");
        for (name, bytes) in [
            ("ct/.mem3d-claim-o.seg.nrrd", b"x".to_vec()),
            ("ct/o.seg.nrrd", b"x".to_vec()),
            ("ct/r.csv", b"x".to_vec()),
            ("ct/below/2.dcm", image("B^C ")),
            ("ct/o.dcm", segmentation.clone()),
            ("ct/other.dcm", segmentation.clone()),
        ] {
            std::fs::write(at(name), bytes).unwrap();
            assert_eq!(of("ct").unwrap(), one, "{name}");
        }
        #[cfg(unix)]
        {
            std::fs::write(at("annex"), image("C^D ")).unwrap();
            std::os::unix::fs::symlink("../annex", at("ct/2.dcm")).unwrap();
            let two = of("ct").unwrap();
            std::fs::write(at("annex"), image("D^E ")).unwrap();
            assert!(one != two && two != of("ct").unwrap());
        }
    }
}
