//! The cases of a batch: from a CSV or a folder.

use crate::common::case::{case_name, named_files};
use crate::common::output;
use mem3d::interactions::markups::Named;
use mem3d::io::nrrd;
use mem3d::{Error, Result};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// One case.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its output from the folder of the list, so that it does not depend on the working directory.
    pub key: String,
    /// Its volume, in the same way.
    pub volume_name: String,
    /// Volume to segment.
    #[serde(with = "any_name")]
    pub volume: PathBuf,
    /// Its interactions.
    #[serde(with = "any_names")]
    pub interactions: Vec<PathBuf>,
    /// Segmentation to write.
    #[serde(with = "any_name")]
    pub output: PathBuf,
}

/// Paths for a process of `--jobs`, also those that are no UTF-8.
mod any_name {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};
    use std::ffi::OsString;
    use std::path::{Path, PathBuf};

    pub fn serialize<S: Serializer>(path: &Path, to: S) -> Result<S::Ok, S::Error> {
        path.as_os_str().serialize(to)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<PathBuf, D::Error> {
        OsString::deserialize(from).map(PathBuf::from)
    }
}

/// As [`any_name`], of several.
mod any_names {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};
    use std::ffi::OsString;
    use std::path::PathBuf;

    pub fn serialize<S: Serializer>(paths: &[PathBuf], to: S) -> Result<S::Ok, S::Error> {
        paths.iter().map(|path| path.as_os_str()).collect::<Vec<_>>().serialize(to)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<PathBuf>, D::Error> {
        Ok(Vec::<OsString>::deserialize(from)?.into_iter().map(PathBuf::from).collect())
    }
}

/// The cases in a CSV with the columns volume, prompts and output; others are ignored. Every line is a case, whatever
/// it begins with, as names of files do.
///
/// # Errors
/// [`Error::Io`] when it cannot be read; [`Error::BadFile`] when a column or value is missing, two cases have one
/// output, or there is no case.
pub fn of_csv(path: &Path) -> Result<Vec<Entry>> {
    let bad = |reason: String| Error::bad_file(path, reason);
    let unread = |e: csv::Error| match e.kind() {
        csv::ErrorKind::Utf8 { .. } => bad(format!("{e}; save the list as UTF-8")),
        _ => bad(e.to_string()),
    };
    let file = std::fs::File::open(path).map_err(|e| Error::io(path, e))?;
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(file);
    let headers = reader.headers().map_err(unread)?.clone();
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
        let record = record.map_err(unread)?;
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
/// [`Error::Io`] when it cannot be read; [`Error::BadFile`] when there is none, two volumes have one name, or a name is
/// not UTF-8; [`Error::InvalidArgument`] when the segmentations would lie among the volumes as such.
pub fn of_folder(folder: &Path, out: &Path, ending: &str) -> Result<Vec<Entry>> {
    let io = |e| Error::io(folder, e);
    let mut names = BTreeSet::new();
    for item in std::fs::read_dir(folder).map_err(io)? {
        let item = item.map_err(io)?;
        let name = item.file_name().to_string_lossy().into_owned();
        // Hidden files are those of systems (`._ct.nii.gz` of macOS) and unfinished ones.
        if name.starts_with('.') || !item.path().is_file() {
            continue;
        }
        let of_a_case =
            name.ends_with(".prompts.json") || name.ends_with(".mrk.json") || case_name(Path::new(&name)).is_some();
        if of_a_case && item.file_name().to_str().is_none() {
            // In a table two such names could be one.
            return Err(Error::bad_file(
                &folder.join(item.file_name()),
                "the name is not UTF-8, the encoding of file names here; rename it",
            ));
        }
        names.insert(name);
    }
    if ending != ".seg.nrrd" && output::real(folder) == output::real(out) {
        return Err(Error::argument(format!(
            "{}: the {ending} files of segmentations would be taken for volumes when the batch is started again; name \
             another --out, or use --format seg-nrrd",
            out.display()
        )));
    }
    let stem = |name: &str| case_name(Path::new(name));
    let cases: BTreeSet<String> = names.iter().filter_map(|name| stem(name)).collect();
    // Of the volumes `ct` and `ct_2`, the longer name has `ct_2_liver.mrk.json`.
    let owner = |markups: &str| {
        cases.iter().filter(|case| Named::of_case(markups, case).is_some()).max_by_key(|case| case.len())
    };
    for name in &names {
        let prompts = name.strip_suffix(".prompts.json").map(|stem| cases.contains(stem));
        let markups = name.strip_suffix(".mrk.json").map(|stem| owner(stem).is_some());
        if prompts.or(markups) == Some(false) {
            log::warn!("{}: no volume of the folder has its name; left out", folder.join(name).display());
        }
    }
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

/// Checks, once the folders of the outputs are there, that every output is a file of its own: of no other case, none of
/// the inputs of any case, and none of `others`, each with what it is.
///
/// # Errors
/// [`Error::BadFile`] about `list` when it is not.
pub fn check_outputs(entries: &[Entry], list: &Path, others: &[(&Path, &str)]) -> Result<()> {
    let bad = |entry: &Entry, what: &str| {
        Err(Error::bad_file(list, format!("the output {} {what}; name another file", entry.output.display())))
    };
    let mut taken: BTreeMap<PathBuf, &str> = others.iter().map(|(path, what)| (output::real(path), *what)).collect();
    for entry in entries {
        let voxels = nrrd::data_files(&entry.volume);
        taken.extend(voxels.iter().map(|path| (output::real(path), "has voxels of a volume of the list")));
        taken.insert(output::real(&entry.volume), "is a volume of the list");
        for path in &entry.interactions {
            taken.insert(output::real(path), "is a file of interactions of the list");
            for named in named_files(path) {
                let voxels = nrrd::data_files(&named);
                let all = std::iter::once(&named).chain(&voxels);
                taken.extend(all.map(|path| (output::real(path), "is named by a file of interactions")));
            }
        }
    }
    let mut folders: BTreeMap<PathBuf, Vec<(OsString, &Entry)>> = BTreeMap::new();
    let mut outputs: BTreeMap<PathBuf, &Entry> = BTreeMap::new();
    for entry in entries {
        let real = output::real(&entry.output);
        if let Some(what) = taken.get(&real) {
            return bad(entry, what);
        }
        if let (Some(folder), Some(name)) = (real.parent(), real.file_name()) {
            folders.entry(folder.into()).or_default().push((name.into(), entry));
        }
        if let Some(other) = outputs.insert(real, entry) {
            return bad(entry, &format!("is the same file as {}", other.output.display()));
        }
    }
    for (folder, names) in folders {
        let like: Vec<&OsString> = names.iter().map(|(name, _)| name).collect();
        if !may_be_one(&like) {
            continue;
        }
        // Whether names are one is for the file system to say.
        let Ok(trial) = tempfile::Builder::new().prefix(".mem3d-").tempdir_in(&folder) else { continue };
        output::remove_at_end(trial.path());
        let twice = names.iter().find(|(name, _)| {
            let made = std::fs::File::create_new(trial.path().join(name));
            made.is_err_and(|e| e.kind() == std::io::ErrorKind::AlreadyExists)
        });
        output::removed(trial.path());
        if let Some((_, entry)) = twice {
            return bad(entry, "has a name that is one with that of another output on this file system");
        }
    }
    Ok(())
}

/// Whether file systems could take two of these names for one: without regard to case or to the form of accents.
fn may_be_one(names: &[&OsString]) -> bool {
    let mut lower = BTreeSet::new();
    let mut plain = BTreeSet::new();
    names.iter().any(|name| {
        let name = name.to_string_lossy().to_lowercase();
        let rest: String = name.chars().filter(|c| c.is_ascii() && !c.is_ascii_alphabetic()).collect();
        !plain.insert((rest, name.is_ascii())) && !name.is_ascii() || !lower.insert(name)
    })
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
        let text = "\u{feff}Output, note, volume,prompts\n\nout/a.nrrd, x, a.nii.gz, a.json; b.mrk.json\n\
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
        assert!(message("volume,prompts,output\n# no, comment\na,b,c\n").contains("line: 2"));
        assert!(message("volume,prompts,output\n").contains("no case"));
        assert!(message("volume,prompts,output\na,b,c\nd,e,c\n").contains("two cases"));
    }

    #[test]
    fn a_name_may_begin_with_any_character() {
        let entries = csv("volume,prompts,output\n#1.nii,p.json,#1.nrrd\n;2.nii,p.json,!2.nrrd\n").unwrap();
        let names: Vec<_> = entries.iter().map(|e| (e.volume_name.as_str(), e.key.as_str())).collect();
        assert_eq!(names, [("#1.nii", "#1.nrrd"), (";2.nii", "!2.nrrd")]);
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
        // Those beside would be volumes of the next start.
        assert!(of_folder(path, &path.join("../").join(path.file_name().unwrap()), ".nrrd").is_err());
        // A hidden file is no case, and no name is taken for another one.
        std::fs::write(path.join("._b.nii"), "").unwrap();
        std::fs::write(path.join("._b.prompts.json"), "").unwrap();
        assert_eq!(of_folder(path, path, ".seg.nrrd").unwrap().len(), 3);
        #[cfg(target_os = "linux")]
        {
            use std::os::unix::ffi::OsStrExt;
            let name = std::ffi::OsStr::from_bytes(b"a\xff.prompts.json");
            std::fs::write(path.join(name), "").unwrap();
            let text = of_folder(path, path, ".seg.nrrd").unwrap_err().to_string();
            assert!(text.contains("not UTF-8"), "{text}");
            std::fs::rename(path.join(name), path.join(std::ffi::OsStr::from_bytes(b"a\xff.txt"))).unwrap();
            assert_eq!(of_folder(path, path, ".seg.nrrd").unwrap().len(), 3);
        }
        std::fs::write(path.join("b.nrrd"), "").unwrap();
        assert!(of_folder(path, path, ".seg.nrrd").unwrap_err().to_string().contains("one case"));
    }

    #[test]
    fn every_output_is_a_file_of_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::create_dir(at("out")).unwrap();
        std::fs::write(at("mask.nrrd"), "").unwrap();
        std::fs::write(at("p.json"), r#"{"slice_masks": [{"file": "mask.nrrd"}]}"#).unwrap();
        let entries = |outputs: &[&str]| -> Vec<Entry> {
            let entry = |(n, output): (usize, &&str)| Entry {
                volume: at(&format!("v{n}.nrrd")),
                interactions: vec![at("p.json")],
                output: at(output),
                ..Entry::default()
            };
            outputs.iter().enumerate().map(entry).collect()
        };
        let check = |outputs: &[&str]| {
            let table = at("r.csv");
            check_outputs(&entries(outputs), &at("l.csv"), &[(&table, "is the table")]).map_err(|e| e.to_string())
        };
        check(&["out/a.nrrd", "a.nrrd"]).unwrap();
        for (output, expected) in [
            ("out/../v0.nrrd", "is a volume of the list"),
            ("p.json", "is a file of interactions"),
            ("mask.nrrd", "is named by"),
            ("r.csv", "is the table"),
        ] {
            assert!(check(&["out/a.nrrd", output]).unwrap_err().contains(expected), "{output}");
        }
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink("out", at("link")).unwrap();
            assert!(check(&["out/a.nrrd", "link/a.nrrd"]).unwrap_err().contains("is the same file as"));
        }
        // Names that may be one are tried: here, on most systems, they are two.
        let twins = check(&["out/CASE.nrrd", "out/case.nrrd"]);
        std::fs::write(at("x"), "").unwrap();
        assert_eq!(twins.is_ok(), !at("X").exists());
        assert_eq!(std::fs::read_dir(at("out")).unwrap().count(), 0);
        let one = |names: &[&str]| {
            may_be_one(&names.iter().map(OsString::from).collect::<Vec<_>>().iter().collect::<Vec<_>>())
        };
        assert!(one(&["Case.nii", "case.nii"]) && one(&["caf\u{e9}1", "cafe\u{301}1"]));
        assert!(!one(&["liver", "spleen", "caf\u{e9}1", "caf\u{e9}2"]));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn any_name_reaches_a_process() {
        use std::os::unix::ffi::OsStrExt;
        let path = |bytes: &[u8]| PathBuf::from(std::ffi::OsStr::from_bytes(bytes));
        let entry = Entry {
            volume: path(b"\xff/a"),
            interactions: vec![path(b"\xfe")],
            output: path(b"b"),
            ..Entry::default()
        };
        let line = serde_json::to_string(&entry).unwrap();
        assert_eq!(serde_json::from_str::<Entry>(&line).unwrap(), entry);
    }
}
