//! Files to be written, checked before the long work: a run of minutes must not end with "permission denied".

use mem3d::io::nrrd;
use mem3d::{Error, Result, atomic_file};
use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

/// What an output is. Of files that exist, only those of the same kind are replaced: a slip of the hand must not turn a
/// volume or a model into a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A JSON file.
    Json,
    /// A PNG.
    Picture,
    /// A model file.
    Model,
    /// A saved session.
    Session,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Kind::Json => "JSON file",
            Kind::Picture => "PNG",
            Kind::Model => "model file",
            Kind::Session => "saved session",
        }
    }

    /// Whether a file may begin so; an empty file is of every kind.
    fn begins(self, start: &[u8]) -> bool {
        let first = start.iter().find(|b| !b.is_ascii_whitespace());
        match self {
            _ if start.is_empty() => true,
            Kind::Json => first.is_none_or(|b| b"{[".contains(b)),
            Kind::Picture => start.starts_with(b"\x89PNG"),
            Kind::Model => start.get(8) == Some(&b'{'),
            Kind::Session => start.starts_with(b"mem3d session"),
        }
    }
}

/// As [`check`], and that an existing file is of the same kind, even if it may be replaced.
///
/// # Errors
/// [`Error::InvalidArgument`] for a file of another kind, else as [`check`].
pub fn check_as(kind: Kind, path: &Path, replace: bool, inputs: &[&Path]) -> Result<()> {
    check(path, replace, inputs)?;
    let mut start = Vec::new();
    let read = |file: std::fs::File| file.take(64).read_to_end(&mut start);
    if is_stdout(path) || !path.is_file() || std::fs::File::open(path).and_then(read).is_err() || kind.begins(&start) {
        return Ok(());
    }
    Err(Error::argument(format!("{} exists and is no {}; name another file", path.display(), kind.name())))
}

/// Checks that the outputs of a command are different files, whatever their names look like.
///
/// # Errors
/// [`Error::InvalidArgument`] when two are one.
pub fn distinct<'a>(paths: impl IntoIterator<Item = &'a PathBuf>) -> Result<()> {
    let mut known: BTreeMap<PathBuf, &Path> = BTreeMap::new();
    for path in paths.into_iter().filter(|path| !is_stdout(path)) {
        if let Some(other) = known.insert(real(path), path) {
            return Err(Error::argument(match other == path {
                true => format!("{} is to be written twice; name two files", path.display()),
                false => format!("{} and {} are one file; name two", other.display(), path.display()),
            }));
        }
    }
    Ok(())
}

/// The file that `path` names, without links, `.` and `..`, also when only its folder exists.
pub fn real(path: &Path) -> PathBuf {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    path.canonicalize().unwrap_or_else(|_| match (folder.canonicalize(), path.file_name()) {
        (Ok(folder), Some(name)) => folder.join(name),
        _ => path.to_path_buf(),
    })
}

/// Makes a folder for outputs, where it is missing.
///
/// # Errors
/// [`Error::BadFile`] when its name is that of a file, [`Error::Io`] when it cannot be made.
pub fn folder(path: &Path) -> Result<()> {
    let Err(e) = std::fs::create_dir_all(path) else { return Ok(()) };
    match path.symlink_metadata() {
        Ok(_) if path.exists() => Err(Error::bad_file(path, "this is no folder; name one, or a new one")),
        Ok(_) => Err(Error::bad_file(path, "this is a link to nothing; name a folder, or a new one")),
        Err(_) => Err(Error::io(path, e)),
    }
}

/// Checks that `path` can be written: that it is none of `inputs` and none of the files with their voxels, that it is
/// no device or pipe and does not exist unless `replace`, and that its folder takes a new file. `-` is standard output,
/// for one output of the command.
///
/// # Errors
/// [`Error::InvalidArgument`] for an input, an existing file or a second output to standard output, [`Error::Io`] when
/// its folder cannot be written.
pub fn check(path: &Path, replace: bool, inputs: &[&Path]) -> Result<()> {
    if is_stdout(path) {
        return match CLAIMED.swap(true, Ordering::SeqCst) {
            true => Err(Error::argument("two outputs are to go to standard output (-); name a file for one of them")),
            false => Ok(()),
        };
    }
    if path.is_dir() {
        return Err(Error::bad_file(path, "this is a folder; give the name of a file to write"));
    }
    if path.exists() {
        let real = |p: &Path| p.canonicalize().ok();
        if let Some(input) = inputs.iter().find(|input| real(input).is_some() && real(input) == real(path)) {
            return Err(Error::argument(format!(
                "{} is an input; it is never overwritten, name another file",
                input.display()
            )));
        }
        let holds_voxels = |input: &&&Path| nrrd::data_files(input).iter().any(|file| real(file) == real(path));
        if let Some(input) = inputs.iter().find(holds_voxels) {
            return Err(Error::argument(format!(
                "{} is an input, it has the voxels of {}; it is never overwritten, name another file",
                path.display(),
                input.display()
            )));
        }
        if !replace {
            return Err(Error::argument(format!(
                "{} exists; name another file, or use --force to replace it",
                path.display()
            )));
        }
    }
    atomic_file::check(path).map_err(|e| {
        if e.kind() == ErrorKind::InvalidInput {
            return Error::io(path, e);
        }
        let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let reason = match e.kind() {
            ErrorKind::NotFound => "it does not exist; make it first".to_string(),
            _ => e.to_string(),
        };
        let text = format!("cannot write into the folder {}: {reason}", folder.display());
        Error::io(path, std::io::Error::new(e.kind(), text))
    })
}

/// Whether `path` names standard output: `-`, or the system's own name for it.
pub fn is_stdout(path: &Path) -> bool {
    path == Path::new("-") || path == Path::new("/dev/stdout")
}

/// Whether an output goes to standard output, which then has nothing else.
static CLAIMED: AtomicBool = AtomicBool::new(false);

/// Why standard output takes no more.
static UNSAID: Mutex<Option<std::io::Error>> = Mutex::new(None);

/// Prints a line for the user: on standard output, or on standard error where an output goes to standard output. Work
/// goes on when it cannot be printed; [`unsaid`] has the reason.
pub fn line(text: std::fmt::Arguments<'_>) {
    if CLAIMED.load(Ordering::SeqCst) {
        // Where this fails, nobody reads it.
        let _ = writeln!(std::io::stderr(), "{text}");
        return;
    }
    if let Err(e) = writeln!(std::io::stdout(), "{text}") {
        UNSAID.lock().unwrap_or_else(|e| e.into_inner()).get_or_insert(e);
    }
}

/// Why a line was not printed; none when its reader has closed the pipe, as in `mem3d info | head -1`.
pub fn unsaid() -> Option<Error> {
    let e = UNSAID.lock().unwrap_or_else(|e| e.into_inner()).take()?;
    (e.kind() != ErrorKind::BrokenPipe).then(|| Error::io(Path::new("standard output"), e))
}

/// As `println!`, by [`line()`].
macro_rules! say {
    ($($text:tt)*) => { $crate::common::output::line(format_args!($($text)*)) };
}
pub(crate) use say;

/// Prints the names of the written files.
pub fn written<'a>(paths: impl IntoIterator<Item = &'a PathBuf>) {
    paths.into_iter().filter(|path| !is_stdout(path)).for_each(|path| say!("{}", path.display()));
}

/// Files and folders that do not outlive the process.
static SCRATCH: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

/// Notes a file or folder that [`remove_scratch`] removes.
pub fn remove_at_end(path: &Path) {
    SCRATCH.lock().unwrap_or_else(|e| e.into_inner()).push(path.to_path_buf());
}

/// Takes back [`remove_at_end`].
pub fn removed(path: &Path) {
    SCRATCH.lock().unwrap_or_else(|e| e.into_inner()).retain(|p| p != path);
}

/// Removes what is only needed while the process runs.
pub fn remove_scratch() {
    for path in SCRATCH.lock().unwrap_or_else(|e| e.into_inner()).drain(..) {
        let _ = if path.is_dir() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) };
    }
}

/// Writes a file by `write`. What goes to standard output is written to a file first, whose name has the `ending`.
///
/// # Errors
/// Those of `write`; [`Error::Io`] when standard output takes no more.
pub fn deliver<T>(path: &Path, ending: &str, write: impl FnOnce(&Path) -> Result<T>) -> Result<T> {
    if !is_stdout(path) {
        return write(path);
    }
    let io = |e| Error::io(Path::new("standard output"), e);
    let folder = tempfile::Builder::new().prefix("mem3d-").tempdir().map_err(|e| {
        let reason = std::io::Error::from(e.kind());
        let text = format!("no temporary file can be made here ({reason}); set TMPDIR to another folder");
        Error::bad_file(&std::env::temp_dir(), text)
    })?;
    let file = folder.path().join(format!("output{ending}"));
    remove_at_end(folder.path());
    let result = write(&file).and_then(|made| {
        let copied = std::fs::File::open(&file).and_then(|mut file| std::io::copy(&mut file, &mut std::io::stdout()));
        copied.and_then(|_| std::io::stdout().flush()).map_err(io).map(|()| made)
    });
    removed(folder.path());
    result
}

/// Writes a result as indented JSON, whole or not at all.
///
/// # Errors
/// [`Error::Io`] when it cannot be written.
pub fn write_json(path: &Path, value: &impl serde::Serialize) -> Result<()> {
    let mut text = serde_json::to_string_pretty(value).map_err(|e| Error::Internal(e.to_string()))?;
    text.push('\n');
    write_text(path, &text)
}

/// Writes a text file, whole or not at all.
///
/// # Errors
/// [`Error::Io`] when it cannot be written.
pub fn write_text(path: &Path, text: &str) -> Result<()> {
    write_bytes(path, text.as_bytes())
}

/// Writes a file, whole or not at all.
///
/// # Errors
/// [`Error::Io`] when it cannot be written.
pub fn write_bytes(path: &Path, bytes: &[u8]) -> Result<()> {
    if is_stdout(path) {
        let mut out = std::io::stdout();
        let written = out.write_all(bytes).and_then(|()| out.flush());
        return written.map_err(|e| Error::io(Path::new("standard output"), e));
    }
    atomic_file::write(path, |file| file.write_all(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inputs_folders_and_existing_files_are_safe() {
        let folder = tempfile::tempdir().unwrap();
        let (a, b) = (folder.path().join("a"), folder.path().join("b"));
        std::fs::write(&a, "a").unwrap();
        let text = |r: Result<()>| r.unwrap_err().to_string();
        assert!(text(check(&a, true, &[&folder.path().join("./a")])).contains("is an input"));
        assert!(text(check(&a, false, &[])).contains("--force"));
        assert!(text(check(folder.path(), true, &[])).contains("folder"));
        assert!(text(check(&folder.path().join("no/b"), true, &[])).contains("cannot write into"));
        check(&a, true, &[&b]).unwrap();
        check(&b, false, &[&a]).unwrap();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        write_text(&b, "text").unwrap();
        assert_eq!(std::fs::read(&b).unwrap(), b"text");
        assert!(text(folder_of_outputs(&b)).contains("no folder"));
    }

    fn folder_of_outputs(path: &Path) -> Result<()> {
        super::folder(path)
    }

    #[test]
    fn files_of_another_kind_are_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let starts: [(&[u8], Option<Kind>); 6] = [
            (b"\n {\"a\": 1}", Some(Kind::Json)),
            (b"\x89PNG\r\n", Some(Kind::Picture)),
            (b"\x10\0\0\0\0\0\0\0{\"__metadata__\"", Some(Kind::Model)),
            (b"mem3d session\n", Some(Kind::Session)),
            (b"NRRD0004\ntype: short\n", None),
            (b"volume,prompts\n", None),
        ];
        for (start, kind) in starts {
            std::fs::write(&path, start).unwrap();
            for other in [Kind::Json, Kind::Picture, Kind::Model, Kind::Session] {
                assert_eq!(check_as(other, &path, true, &[]).is_ok(), Some(other) == kind, "{start:?}, {other:?}");
            }
        }
        std::fs::write(&path, "").unwrap();
        check_as(Kind::Picture, &path, true, &[]).unwrap();
    }

    #[cfg(unix)]
    #[test]
    fn outputs_are_different_files() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::create_dir(at("d")).unwrap();
        std::os::unix::fs::symlink("d", at("link")).unwrap();
        distinct(&[at("a"), at("b"), at("d/a"), "-".into(), "-".into()]).unwrap();
        for (a, b) in [("a", "a"), ("a", "./a"), ("d/a", "link/a"), ("a", "d/../a")] {
            let text = distinct(&[at(a), at(b)]).unwrap_err().to_string();
            assert!(text.contains("name two"), "{text}");
        }
    }
}
