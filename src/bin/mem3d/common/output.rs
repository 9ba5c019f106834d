//! Files to be written, checked before the long work: a run of minutes must not end with "permission denied".

use mem3d::{Error, Result, atomic_file};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

/// Checks that `path` can be written: that it is none of `inputs`, no device or pipe, does not exist unless `replace`,
/// and that its folder takes a new file. `-` is standard output, for one output of the command.
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

/// Prints a line for the user: on standard output, or on standard error where an output goes to standard output.
pub fn line(text: std::fmt::Arguments<'_>) {
    match CLAIMED.load(Ordering::SeqCst) {
        true => eprintln!("{text}"),
        false => println!("{text}"),
    }
}

/// As `println!`, by [`line`].
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
    let folder = tempfile::Builder::new().prefix("mem3d-").tempdir().map_err(io)?;
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
    }
}
