//! Files that appear whole or not at all: written beside their place, then moved to it.

use crate::error::{Error, Result};
use std::io::Write;
use std::path::Path;
use tempfile::NamedTempFile;

/// A new file in the folder of `path`, with the permissions that files get there, and a name that ends in `suffix`.
///
/// # Errors
/// When it cannot be made.
pub(crate) fn beside(path: &Path, suffix: &str) -> std::io::Result<NamedTempFile> {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut builder = tempfile::Builder::new();
    builder.prefix(".mem3d-").suffix(suffix);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        // Less the process's umask, as for any new file.
        builder.permissions(std::fs::Permissions::from_mode(0o666));
    }
    builder.tempfile_in(folder)
}

/// Lets a finished file take the place of `path`.
///
/// # Errors
/// When it cannot; the file at `path` is as it was.
pub(crate) fn persist(path: &Path, file: NamedTempFile) -> std::io::Result<()> {
    file.as_file().sync_all()?;
    file.persist(path).map_err(|e| e.error)?;
    Ok(())
}

/// Writes `path` whole or not at all.
///
/// # Errors
/// As `write`, and when the file cannot be made or moved.
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
    fn others_may_read_it_where_they_may_read_new_files() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let [plain, whole] = ["plain", "whole"].map(|n| folder.path().join(n));
        std::fs::write(&plain, "x").unwrap();
        write(&whole, |w| w.write_all(b"x")).unwrap();
        let mode = |p: &Path| std::fs::metadata(p).unwrap().permissions().mode();
        assert_eq!(mode(&plain), mode(&whole));
    }
}
