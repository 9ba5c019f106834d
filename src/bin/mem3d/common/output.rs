//! Files to be written, checked before the long work: a run of minutes must not end with "permission denied".

use mem3d::{Error, Result};
use std::path::{Path, PathBuf};

/// Checks that `path` can be written: that it is none of `inputs`, does not exist unless `replace`, and that its folder
/// takes a new file.
///
/// # Errors
/// [`Error::InvalidArgument`] for an input or an existing file, [`Error::Io`] when its folder cannot be written.
pub fn check(path: &Path, replace: bool, inputs: &[&Path]) -> Result<()> {
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
    let folder = folder_of(path);
    tempfile::Builder::new().prefix(".mem3d-").tempfile_in(&folder).map_err(|e| {
        let e = e.kind();
        Error::io(path, std::io::Error::new(e, format!("cannot write into the folder {}: {e}", folder.display())))
    })?;
    Ok(())
}

/// The folder that `path` lies in.
fn folder_of(path: &Path) -> PathBuf {
    path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_path_buf()
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
    use std::io::Write;
    let io = |e| Error::io(path, e);
    let mut file = tempfile::Builder::new().prefix(".mem3d-").tempfile_in(folder_of(path)).map_err(io)?;
    file.write_all(text.as_bytes()).map_err(io)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(file.path(), std::fs::Permissions::from_mode(0o644)).map_err(io)?;
    }
    file.persist(path).map_err(|e| io(e.error))?;
    Ok(())
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
