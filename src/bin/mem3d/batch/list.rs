//! The cases of a batch: from a CSV or a folder.

use crate::common::case::case_name;
use mem3d::{Error, Result};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// One case.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its output from the folder of the list, so that it does not depend on the working directory.
    pub key: String,
    /// Its volume, in the same way.
    pub volume_name: String,
    /// Volume to segment.
    pub volume: PathBuf,
    /// Its interactions.
    pub interactions: Vec<PathBuf>,
    /// Segmentation to write.
    pub output: PathBuf,
}

/// The cases in a CSV with the columns volume, prompts and output; others are ignored.
///
/// # Errors
/// [`Error::Io`] when it cannot be read; [`Error::BadFile`] when a column or value is missing, two cases have one
/// output, or there is no case.
pub fn of_csv(path: &Path) -> Result<Vec<Entry>> {
    let bad = |reason: String| Error::bad_file(path, reason);
    let file = std::fs::File::open(path).map_err(|e| Error::io(path, e))?;
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).comment(Some(b'#')).from_reader(file);
    let headers = reader.headers().map_err(|e| bad(e.to_string()))?.clone();
    let column = |name: &str| {
        // A spreadsheet may put a byte order mark before the first name.
        headers.iter().position(|h| h.trim_start_matches('\u{feff}').eq_ignore_ascii_case(name)).ok_or_else(|| {
            bad(format!("there is no column \"{name}\"; the first line must name volume, prompts and output"))
        })
    };
    let (volume, interactions, output) = (column("volume")?, column("prompts")?, column("output")?);
    let folder = path.parent().unwrap_or(Path::new(""));
    let mut entries = Vec::new();
    for record in reader.records() {
        let record = record.map_err(|e| bad(e.to_string()))?;
        let line = record.position().map_or(0, csv::Position::line);
        let value = |at: usize, name: &str| match record.get(at) {
            Some(text) if !text.is_empty() => Ok(text),
            _ => Err(bad(format!("line {line} has no {name}"))),
        };
        let several = value(interactions, "prompts")?.split(';').map(str::trim).filter(|p| !p.is_empty());
        let (volume, output) = (value(volume, "volume")?, value(output, "output")?);
        entries.push(Entry {
            key: name_from(folder, &folder.join(output)),
            volume_name: name_from(folder, &folder.join(volume)),
            volume: folder.join(volume),
            interactions: several.map(|p| folder.join(p)).collect(),
            output: folder.join(output),
        });
    }
    check(entries, path)
}

/// The volumes of a folder with interactions beside them, by name.
///
/// # Errors
/// [`Error::Io`] when it cannot be read; [`Error::BadFile`] when there is none, or two volumes have one name.
pub fn of_folder(folder: &Path, out: &Path, ending: &str) -> Result<Vec<Entry>> {
    let io = |e| Error::io(folder, e);
    let mut names = BTreeSet::new();
    for item in std::fs::read_dir(folder).map_err(io)? {
        let item = item.map_err(io)?;
        if item.path().is_file() {
            names.insert(item.file_name().to_string_lossy().into_owned());
        }
    }
    let stem = |name: &str| case_name(Path::new(name));
    let cases: BTreeSet<String> = names.iter().filter_map(|name| stem(name)).collect();
    // Of the volumes `ct` and `ct_2`, the longer name has `ct_2_liver.mrk.json`.
    let owner = |markups: &str| {
        let belongs = |case: &&String| markups.strip_prefix(*case).is_some_and(|r| r.is_empty() || r.starts_with('_'));
        cases.iter().filter(belongs).max_by_key(|case| case.len())
    };
    let mut entries = BTreeMap::new();
    for name in &names {
        let Some(case) = stem(name) else { continue };
        let prompts = names.iter().filter(|n| n.strip_suffix(".prompts.json") == Some(&case));
        let markups = names.iter().filter(|n| n.strip_suffix(".mrk.json").and_then(owner) == Some(&case));
        let interactions: Vec<PathBuf> = prompts.chain(markups).map(|name| folder.join(name)).collect();
        if interactions.is_empty() {
            log::warn!(
                "{}: no {case}.prompts.json, {case}.mrk.json or {case}_SEGMENT.mrk.json beside it; left out",
                folder.join(name).display()
            );
            continue;
        }
        let (volume, output) = (folder.join(name), out.join(format!("{case}{ending}")));
        let entry = Entry {
            key: name_from(folder, &output),
            volume_name: name_from(folder, &volume),
            volume,
            interactions,
            output,
        };
        if let Some(other) = entries.insert(case.clone(), entry) {
            return Err(Error::bad_file(
                folder,
                format!("{name} and {} are one case by their names; name them apart", other.volume.display()),
            ));
        }
    }
    check(entries.into_values().collect(), folder)
}

/// A path as seen from `folder`, or whole when it lies elsewhere; `.` and `..` are resolved by name.
fn name_from(folder: &Path, path: &Path) -> String {
    let plain = |path: &Path| {
        let mut plain = PathBuf::new();
        for part in std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf()).components() {
            match part {
                std::path::Component::ParentDir => drop(plain.pop()),
                part => plain.push(part),
            }
        }
        plain
    };
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let path = plain(path);
    path.strip_prefix(plain(folder)).unwrap_or(&path).display().to_string()
}

fn check(entries: Vec<Entry>, path: &Path) -> Result<Vec<Entry>> {
    if entries.is_empty() {
        return Err(Error::bad_file(path, "there is no case in it: no volume with interactions"));
    }
    let mut outputs = BTreeSet::new();
    match entries.iter().find(|e| !outputs.insert(&e.key)) {
        Some(twice) => Err(Error::bad_file(
            path,
            format!("two cases have the output {}; give each its own", twice.output.display()),
        )),
        None => Ok(entries),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn csv(text: &str) -> Result<Vec<Entry>> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cases.csv");
        std::fs::write(&path, text).unwrap();
        let entries = of_csv(&path)?;
        let inside = |p: &PathBuf| p.strip_prefix(folder.path()).unwrap_or(p).to_path_buf();
        Ok(entries
            .iter()
            .map(|e| Entry {
                key: e.key.clone(),
                volume_name: e.volume_name.clone(),
                volume: inside(&e.volume),
                interactions: e.interactions.iter().map(inside).collect(),
                output: inside(&e.output),
            })
            .collect())
    }

    #[test]
    fn paths_are_relative_to_the_list() {
        let text = "\u{feff}Output, note, volume,prompts\n\n# a comment\nout/a.nrrd, x, a.nii.gz, a.json; b.mrk.json\n\
                    /abs/b.nrrd,,b.nii,b.json\n";
        let entry = |volume: &str, interactions: &[&str], output: &str| Entry {
            key: output.into(),
            volume_name: volume.into(),
            volume: volume.into(),
            interactions: interactions.iter().map(Into::into).collect(),
            output: output.into(),
        };
        let expected =
            [entry("a.nii.gz", &["a.json", "b.mrk.json"], "out/a.nrrd"), entry("b.nii", &["b.json"], "/abs/b.nrrd")];
        assert_eq!(csv(text).unwrap(), expected);
    }

    #[test]
    fn names_do_not_depend_on_the_working_directory() {
        let here = std::env::current_dir().unwrap();
        assert_eq!(name_from(Path::new(""), Path::new("out/a.nrrd")), "out/a.nrrd");
        assert_eq!(name_from(&here, Path::new("./x/../out/a.nrrd")), "out/a.nrrd");
        assert_eq!(name_from(Path::new("d"), &here.join("d/a.nrrd")), "a.nrrd");
        assert_eq!(name_from(Path::new("d"), Path::new("/e/a.nrrd")), "/e/a.nrrd");
    }

    #[test]
    fn lists_that_cannot_be_used() {
        let message = |text: &str| csv(text).unwrap_err().to_string();
        assert!(message("volume,output\na,b\n").contains("no column \"prompts\""));
        assert!(message("volume,prompts,output\na,,c\n").contains("line 2 has no prompts"));
        assert!(message("volume,prompts,output\na,b\n").contains("record"));
        assert!(message("volume,prompts,output\n").contains("no case"));
        assert!(message("volume,prompts,output\na,b,c\nd,e,c\n").contains("two cases"));
    }

    #[test]
    fn pairs_of_a_folder() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        for name in [
            "b.nii.gz",
            "b.prompts.json",
            "a.1.nrrd",
            "a.1.mrk.json",
            "c.nii",
            "a.1.seg.nrrd",
            "readme.txt",
            "d.mrk.json",
            "b_liver-.mrk.json",
            "a.1_2.nrrd",
            "a.1_2_liver.mrk.json",
        ] {
            std::fs::write(path.join(name), "").unwrap();
        }
        let entries = of_folder(path, &path.join("out"), ".nii.gz").unwrap();
        let names: Vec<_> = entries.iter().map(|e| e.output.file_name().unwrap().to_str().unwrap()).collect();
        assert_eq!(names, ["a.1.nii.gz", "a.1_2.nii.gz", "b.nii.gz"]);
        assert_eq!(entries[0].interactions, [path.join("a.1.mrk.json")]);
        assert_eq!(entries[1].interactions, [path.join("a.1_2_liver.mrk.json")]);
        assert_eq!(entries[2].interactions, [path.join("b.prompts.json"), path.join("b_liver-.mrk.json")]);
        std::fs::write(path.join("b.nrrd"), "").unwrap();
        assert!(of_folder(path, path, ".nrrd").unwrap_err().to_string().contains("one case"));
    }
}
