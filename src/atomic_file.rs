//! Atomic writes: a file is written under another name in the same folder, then renamed.
//!
//! Only regular files are replaced, never a device, a pipe or a folder; a link is followed, and a replaced file keeps
//! its permissions. The unfinished file of a process that was killed is removed by the next write into the folder: its
//! writer holds a lock on it, which ends with the process.

use crate::error::{Error, Result};
use std::collections::BTreeMap;
use std::fs::{OpenOptions, Permissions};
use std::io::{Error as IoError, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};
use tempfile::{Builder, NamedTempFile};

/// Start of the names of unfinished files; six random characters and a suffix follow.
const PREFIX: &str = ".mem3d-";

/// The unfinished files of this process, each with the file that it becomes.
static UNFINISHED: Mutex<Vec<(PathBuf, PathBuf)>> = Mutex::new(Vec::new());

/// Number of files that this process finished.
static FINISHED: AtomicUsize = AtomicUsize::new(0);

fn unfinished() -> MutexGuard<'static, Vec<(PathBuf, PathBuf)>> {
    UNFINISHED.lock().unwrap_or_else(|e| e.into_inner())
}

/// A file that is being written; removed when dropped before [`persist`].
#[derive(Debug)]
pub(crate) struct Unfinished {
    file: NamedTempFile,
    /// What it becomes, behind links.
    target: PathBuf,
    /// Those of the file that it replaces.
    permissions: Option<Permissions>,
}

impl Unfinished {
    /// Its present name.
    pub(crate) fn path(&self) -> &Path {
        self.file.path()
    }
}

impl Write for Unfinished {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.file.as_file_mut().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.file.as_file_mut().flush()
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        let mut unfinished = unfinished();
        let _ = std::fs::remove_file(self.file.path());
        unfinished.retain(|(path, _)| path != self.file.path());
    }
}

/// The file that a write to `path` makes or replaces: `path` itself, or what a link leads to.
fn target(path: &Path) -> std::io::Result<PathBuf> {
    let refuse = |what: &str| {
        Err(IoError::new(ErrorKind::InvalidInput, format!("this is {what}; only files are written, name a file")))
    };
    let own = match path.symlink_metadata() {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(path.to_path_buf()),
        own => own?,
    };
    if own.is_symlink() && (path.starts_with("/dev") || path.starts_with("/proc")) {
        return refuse("an open file of a process (standard output is written by the name -)");
    }
    let real = match own.is_symlink() {
        false => path.to_path_buf(),
        true => match path.canonicalize() {
            Err(e) if e.kind() == ErrorKind::NotFound => return refuse("a link to nothing"),
            real => real?,
        },
    };
    match real.metadata()?.file_type() {
        kind if kind.is_file() => Ok(real),
        kind if kind.is_dir() => refuse("a folder"),
        _ => refuse("a device, pipe or socket"),
    }
}

/// The folder that `path` lies in.
fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// A new file in the folder of `path`, with a name that ends in `suffix` and the permissions of the file that it
/// replaces, else of any new file.
///
/// # Errors
/// When it cannot be created, or `path` is no regular file.
pub(crate) fn beside(path: &Path, suffix: &str) -> std::io::Result<Unfinished> {
    let target = target(path)?;
    let permissions = target.metadata().ok().map(|m| m.permissions());
    let folder = folder_of(&target);
    remove_abandoned(folder);
    let mut options = OpenOptions::new();
    options.read(true).write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
        // The process's umask is subtracted; this process must be able to write.
        options.mode(permissions.as_ref().map_or(0o666, |p| p.mode() & 0o777 | 0o600));
    }
    let mut unfinished = unfinished();
    loop {
        // tempfile's own way to open and to write adds the unfinished name, which the user does not know, to errors.
        let file = Builder::new().prefix(PREFIX).suffix(suffix).make_in(folder, |path| options.open(path))?;
        // A file system without locks leaves the file to be removed by hand after a kill.
        let _ = file.as_file().try_lock();
        // Another process may have found it before it was locked.
        if file.path().exists() {
            unfinished.push((file.path().to_path_buf(), target.clone()));
            return Ok(Unfinished { file, target, permissions });
        }
    }
}

/// Removes the unfinished files in `folder` whose processes ended; in each folder once a second at most.
fn remove_abandoned(folder: &Path) {
    /// Process (a forked one inherits this list) and time of the last removal.
    static DONE: Mutex<BTreeMap<PathBuf, (u32, Instant)>> = Mutex::new(BTreeMap::new());
    let now = (std::process::id(), Instant::now());
    let before = DONE.lock().unwrap_or_else(|e| e.into_inner()).insert(folder.to_path_buf(), now);
    if before.is_some_and(|(process, time)| process == now.0 && now.1.duration_since(time) < Duration::from_secs(1)) {
        return;
    }
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let ours = name.strip_prefix(PREFIX).and_then(|rest| {
            let (random, suffix) = rest.split_at_checked(6)?;
            let suffix = ["", ".part", ".nii", ".nii.gz"].contains(&suffix);
            Some(suffix && random.bytes().all(|b| b.is_ascii_alphanumeric()))
        });
        if ours != Some(true) || !entry.file_type().is_ok_and(|t| t.is_file()) {
            continue;
        }
        let Ok(file) = std::fs::File::open(entry.path()) else { continue };
        if file.try_lock().is_ok() && std::fs::remove_file(entry.path()).is_ok() {
            log::debug!("{}: removed; its writer was ended", entry.path().display());
        }
    }
}

/// Renames a complete file to the one that it was made for.
///
/// # Errors
/// When it cannot be renamed; an earlier file is unchanged.
pub(crate) fn persist(file: Unfinished) -> std::io::Result<()> {
    file.file.as_file().sync_all()?;
    if let Some(permissions) = &file.permissions {
        std::fs::set_permissions(file.path(), permissions.clone())?;
    }
    // A stop signal takes effect before or after the rename, and the message states which.
    let unfinished = unfinished();
    std::fs::rename(file.path(), &file.target)?;
    FINISHED.fetch_add(1, Ordering::SeqCst);
    drop(unfinished);
    Ok(())
}

/// Writes `path` completely or not at all.
///
/// # Errors
/// Those of `write`, and when the file cannot be created or renamed.
pub fn try_write(path: &Path, write: impl FnOnce(&mut dyn Write) -> std::io::Result<()>) -> std::io::Result<()> {
    let mut buffered = std::io::BufWriter::with_capacity(1 << 20, beside(path, ".part")?);
    write(&mut buffered)?;
    persist(buffered.into_inner().map_err(std::io::IntoInnerError::into_error)?)
}

/// As [`try_write`].
///
/// # Errors
/// [`Error::Io`] naming `path`.
pub fn write(path: &Path, write: impl FnOnce(&mut dyn Write) -> std::io::Result<()>) -> Result<()> {
    try_write(path, write).map_err(|e| Error::io(path, e))
}

/// Whether `path` can be written: whether it is a regular file or nothing, in a folder that takes a new file.
///
/// # Errors
/// As [`try_write`].
pub fn check(path: &Path) -> std::io::Result<()> {
    beside(path, "").map(drop)
}

/// Number of files that this process has finished.
pub fn finished() -> usize {
    FINISHED.load(Ordering::SeqCst)
}

/// For a process that is about to end: removes all unfinished files and lets no write finish any more. Returns the
/// files that are not written.
pub fn abandon() -> Vec<PathBuf> {
    let unfinished = unfinished();
    let targets = unfinished.iter().map(|(path, target)| {
        let _ = std::fs::remove_file(path);
        target.clone()
    });
    let targets = targets.collect();
    std::mem::forget(unfinished);
    targets
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> =
            std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_failed_write_leaves_the_old_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.bin");
        std::fs::write(&path, "old").unwrap();
        let failed = write(&path, |w| w.write_all(b"new").and(Err(std::io::Error::other("disk full"))));
        assert!(failed.unwrap_err().to_string().contains("disk full"));
        assert_eq!(std::fs::read(&path).unwrap(), b"old");
        assert_eq!(names(folder.path()), ["a.bin"]);
    }

    #[test]
    fn an_error_names_the_users_file_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("no/a.bin");
        let text = write(&path, |w| w.write_all(b"new")).unwrap_err().to_string();
        assert_eq!(text, format!("{}: there is no such file or folder; check the name", path.display()));
    }

    #[cfg(unix)]
    #[test]
    fn permissions_are_those_of_new_files_or_of_the_file_before() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let [plain, whole, private] = ["plain", "whole", "private"].map(|n| folder.path().join(n));
        std::fs::write(&plain, "x").unwrap();
        write(&whole, |w| w.write_all(b"x")).unwrap();
        let mode = |p: &Path| std::fs::metadata(p).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&plain), mode(&whole));
        for kept in [0o600, 0o640, 0o444] {
            write(&private, |w| w.write_all(b"x")).unwrap();
            std::fs::set_permissions(&private, Permissions::from_mode(kept)).unwrap();
            write(&private, |w| w.write_all(b"new")).unwrap();
            assert_eq!((mode(&private), &std::fs::read(&private).unwrap()[..]), (kept, &b"new"[..]));
        }
    }

    #[cfg(unix)]
    #[test]
    fn only_regular_files_are_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::write(at("file"), "old").unwrap();
        std::os::unix::fs::symlink("file", at("link")).unwrap();
        std::os::unix::fs::symlink("nothing", at("dangling")).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(at("socket")).unwrap();
        let text = |path: &Path| write(path, |w| w.write_all(b"new")).unwrap_err().to_string();
        assert!(text(&at("socket")).contains("a device, pipe or socket"), "{}", text(&at("socket")));
        assert!(text(&at("dangling")).contains("a link to nothing"));
        assert!(text(folder.path()).contains("a folder"));
        #[cfg(target_os = "linux")]
        {
            assert!(text(Path::new("/dev/full")).contains("a device, pipe or socket"));
            assert!(text(Path::new("/dev/stdout")).contains("by the name -"));
            assert!(!Path::new("/dev/full").metadata().unwrap().is_file());
        }
        // A link stays a link; the file behind it is replaced.
        write(&at("link"), |w| w.write_all(b"new")).unwrap();
        assert!(at("link").is_symlink());
        assert_eq!(std::fs::read(at("file")).unwrap(), b"new");
        assert_eq!(names(folder.path()), ["dangling", "file", "link", "socket"]);
    }

    #[test]
    fn what_a_killed_process_left_is_removed_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for name in [".mem3d-a1B2c3.part", ".mem3d-a1B2c3.nii.gz", ".mem3d-notes.part", ".mem3d-abcdef.txt", "x.part"] {
            std::fs::write(at(name), "half").unwrap();
        }
        // One that is being written by another process is locked.
        std::fs::write(at(".mem3d-busy00.part"), "half").unwrap();
        let busy = std::fs::File::open(at(".mem3d-busy00.part")).unwrap();
        busy.try_lock().unwrap();
        write(&at("new"), |w| w.write_all(b"x")).unwrap();
        let left = [".mem3d-abcdef.txt", ".mem3d-busy00.part", ".mem3d-notes.part", "new", "x.part"];
        assert_eq!(names(folder.path()), left);
    }
}
