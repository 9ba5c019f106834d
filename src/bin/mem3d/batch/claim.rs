//! Claims of cases: of several batches on one folder, each case is done by one.

use crate::common::output;
use mem3d::{Error, Result};
use same_file::Handle;
use sha2::{Digest, Sha256};
use std::ffi::OsString;
use std::fs::{File, TryLockError};
use std::io::Write;
use std::path::{Path, PathBuf};

/// The right of this process to write one file, until dropped. A locked file beside it, `.mem3d-claim-NAME`; the lock
/// ends with the process.
#[derive(Debug)]
pub struct Claim {
    path: PathBuf,
    _locked: File,
}

impl Claim {
    /// The claim of `file`; none while another process has it.
    ///
    /// # Errors
    /// [`Error::Io`] when the file for it cannot be made.
    pub fn take(file: &Path) -> Result<Option<Claim>> {
        Claim::lock(file, File::try_lock)
    }

    /// The claim of `file`, as soon as no other process has it.
    ///
    /// # Errors
    /// [`Error::Io`] when the file for it cannot be made.
    pub fn wait(file: &Path) -> Result<Claim> {
        loop {
            if let Some(claim) = Claim::lock(file, |locked| locked.lock().map_err(TryLockError::Error))? {
                return Ok(claim);
            }
        }
    }

    /// Whether a process works on `file`, or ended while it did.
    pub fn is_open(file: &Path) -> bool {
        path_of(file).exists()
    }

    fn lock(file: &Path, lock: impl Fn(&File) -> std::result::Result<(), TryLockError>) -> Result<Option<Claim>> {
        let path = path_of(file);
        let io = |e| Error::io(&path, e);
        let mut locked = File::options().read(true).append(true).create(true).open(&path).map_err(io)?;
        match lock(&locked) {
            Err(TryLockError::WouldBlock) => return Ok(None),
            // Without locks on this file system, cases are not shared out.
            Err(TryLockError::Error(e)) => log::debug!("{}: no lock ({e})", path.display()),
            Ok(()) => (),
        }
        // Its last owner may have removed it in between.
        if !is_same(&locked, &path) {
            return Ok(None);
        }
        writeln!(locked, "process {}", std::process::id()).map_err(io)?;
        output::remove_at_end(&path);
        Ok(Some(Claim { path, _locked: locked }))
    }
}

/// Longest name, in bytes, that is part of the name of its claim. Chosen: most file systems allow 255 bytes.
const LONGEST: usize = 200;

/// The file that is locked for `file`.
fn path_of(file: &Path) -> PathBuf {
    let name = file.file_name().unwrap_or_default();
    let mut own = OsString::from(".mem3d-claim-");
    match name.len() {
        0..=LONGEST => own.push(name),
        _ => own.push(Sha256::digest(name.as_encoded_bytes()).iter().map(|b| format!("{b:02x}")).collect::<String>()),
    }
    file.with_file_name(own)
}

fn is_same(file: &File, path: &Path) -> bool {
    let open = file.try_clone().and_then(Handle::from_file);
    open.is_ok_and(|open| Handle::from_path(path).is_ok_and(|named| open == named))
}

impl Drop for Claim {
    fn drop(&mut self) {
        // Before the lock ends, so that nobody takes a file that is about to go.
        let _ = std::fs::remove_file(&self.path);
        output::removed(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_case_is_claimed_once_and_a_dead_claim_is_taken_over() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.nrrd");
        let first = Claim::take(&file).unwrap().unwrap();
        assert!(Claim::take(&file).unwrap().is_none());
        drop(first);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        // A process that was killed leaves the file without its lock.
        std::fs::write(folder.path().join(".mem3d-claim-a.nrrd"), "process 1\n").unwrap();
        assert!(Claim::is_open(&file));
        assert!(Claim::take(&file).unwrap().is_some());
        assert!(!Claim::is_open(&file));
        drop(Claim::wait(&file).unwrap());
        // The longest name that a file may have.
        assert!(Claim::take(&folder.path().join("x".repeat(255))).unwrap().is_some());
    }
}
