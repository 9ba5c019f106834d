//! Atomic writes: a file is written under another name in the same folder, then renamed.

use crate::error::{Error, Result};
use std::io::Write;
use std::path::Path;
use tempfile::NamedTempFile;

/// A new file in the folder of `path`, with the permissions of any new file, and a name that ends in `suffix`.
///
/// # Errors
/// When it cannot be created.
pub(crate) fn beside(path: &Path, suffix: &str) -> std::io::Result<NamedTempFile> {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut builder = tempfile::Builder::new();
    builder.prefix(".mem3d-").suffix(suffix);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        // The process's umask is subtracted.
        builder.permissions(std::fs::Permissions::from_mode(0o666));
    }
    builder.tempfile_in(folder)
}

/// Renames a complete file to `path`.
///
/// # Errors
/// When it cannot be renamed; the file at `path` is unchanged.
pub(crate) fn persist(path: &Path, file: NamedTempFile) -> std::io::Result<()> {
    file.as_file().sync_all()?;
    file.persist(path).map_err(|e| e.error)?;
    Ok(())
}

/// Writes `path` completely or not at all.
///
/// # Errors
/// Those of `write`, and when the file cannot be created or renamed.
pub(crate) fn try_write(path: &Path, write: impl FnOnce(&mut dyn Write) -> std::io::Result<()>) -> std::io::Result<()> {
    let mut buffered = std::io::BufWriter::with_capacity(1 << 20, beside(path, ".part")?);
    write(&mut buffered)?;
    persist(path, buffered.into_inner().map_err(std::io::IntoInnerError::into_error)?)
}

/// As [`try_write`].
///
/// # Errors
/// [`Error::Io`] naming `path`.
pub(crate) fn write(path: &Path, write: impl FnOnce(&mut dyn Write) -> std::io::Result<()>) -> Result<()> {
    try_write(path, write).map_err(|e| Error::io(path, e))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_write_leaves_the_old_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.bin");
        std::fs::write(&path, "old").unwrap();
        let failed = write(&path, |w| w.write_all(b"new").and(Err(std::io::Error::other("disk full"))));
        assert!(failed.unwrap_err().to_string().contains("disk full"));
        assert_eq!(std::fs::read(&path).unwrap(), b"old");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[cfg(unix)]
    #[test]
    fn permissions_are_those_of_new_files() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let [plain, whole] = ["plain", "whole"].map(|n| folder.path().join(n));
        std::fs::write(&plain, "x").unwrap();
        write(&whole, |w| w.write_all(b"x")).unwrap();
        let mode = |p: &Path| std::fs::metadata(p).unwrap().permissions().mode();
        assert_eq!(mode(&plain), mode(&whole));
    }
}
