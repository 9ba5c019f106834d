//! Files that are read: regular ones, since a device or a pipe may never end.

use crate::error::{Error, Result};
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Opens a regular file; its length.
///
/// # Errors
/// [`Error::Io`], or [`Error::BadFile`] for a folder, a device or a pipe.
pub(crate) fn open(path: &Path) -> Result<(File, u64)> {
    let meta = std::fs::metadata(path).map_err(|e| Error::io(path, e))?;
    if !meta.is_file() {
        let what = if meta.is_dir() { "a folder" } else { "a device or a pipe" };
        return Err(Error::bad_file(path, format!("this is {what}, not a file; give a regular file")));
    }
    Ok((File::open(path).map_err(|e| Error::io(path, e))?, meta.len()))
}

/// All of a regular file of at most `most` bytes.
///
/// # Errors
/// As [`open`]; [`Error::BadFile`] for a longer one, [`Error::OutOfMemory`].
pub(crate) fn all(path: &Path, most: u64) -> Result<Vec<u8>> {
    let (file, length) = open(path)?;
    if length > most {
        let text = format!("it has {length} bytes, at most {most} are expected; is it the right file?");
        return Err(Error::bad_file(path, text));
    }
    let mut bytes = Vec::new();
    let reserved = usize::try_from(length).is_ok_and(|n| bytes.try_reserve_exact(n).is_ok());
    if !reserved {
        let text = format!("{}: not enough memory for its {length} bytes; close other programs", path.display());
        return Err(Error::OutOfMemory(text));
    }
    file.take(length).read_to_end(&mut bytes).map_err(|e| Error::io(path, e))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_read_up_to_a_limit() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        std::fs::write(&path, b"abc").unwrap();
        assert_eq!(all(&path, 3).unwrap(), b"abc");
        assert!(all(&path, 2).unwrap_err().to_string().contains("3 bytes"));
        assert!(all(&folder.path().join("b"), 3).unwrap_err().to_string().contains("no such file"));
    }

    #[cfg(unix)]
    #[test]
    fn devices_and_folders_are_not_read() {
        let text = |path: &str| open(Path::new(path)).unwrap_err().to_string();
        assert!(text("/dev/zero").contains("device") && text("/").contains("folder"));
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        assert!(text(pipe.to_str().unwrap()).contains("a device or a pipe"));
    }
}
