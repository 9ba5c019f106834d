//! Claims of cases: of several batches on one folder, each case is done by one.

use crate::common::output;
use mem3d::{Error, Result};
use same_file::Handle;
use sha2::{Digest, Sha256};
use std::ffi::OsString;
use std::fs::{File, TryLockError};
use std::io::{ErrorKind, Write};
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
        let opened = File::options().read(true).append(true).create(true).open(&path);
        Claim::of(path, opened, lock)
    }

    /// The claim whose file was `opened`. One that a killed batch of another user left can only be read, which suffices
    /// to lock it.
    fn of(
        path: PathBuf,
        opened: std::io::Result<File>,
        lock: impl Fn(&File) -> std::result::Result<(), TryLockError>,
    ) -> Result<Option<Claim>> {
        let io = |e| Error::io(&path, e);
        let (mut locked, denied) = match opened {
            Err(e) if e.kind() == ErrorKind::PermissionDenied => match File::open(&path) {
                Ok(readable) => (readable, Some(e)),
                Err(_) => return Err(io(e)),
            },
            opened => (opened.map_err(io)?, None),
        };
        let is_writable = denied.is_none();
        match (lock(&locked), denied) {
            (Err(TryLockError::WouldBlock), _) => return Ok(None),
            // NFS locks no file that is only read: whether its owner is at work is not known.
            (Err(TryLockError::Error(_)), Some(denied)) => return Err(io(denied)),
            // Without locks on this file system, cases are not shared out.
            (Err(TryLockError::Error(e)), None) => log::debug!("{}: no lock ({e})", path.display()),
            (Ok(()), _) => (),
        }
        // Its last owner may have removed it in between.
        if !is_same(&locked, &path) {
            return Ok(None);
        }
        if is_writable {
            writeln!(locked, "process {}", std::process::id()).map_err(io)?;
        }
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

    #[test]
    fn the_claim_of_another_user_is_taken_over_when_it_is_free() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.nrrd");
        let path = path_of(&file);
        // As the system answers, but to root.
        let denied = || -> std::io::Result<File> { Err(ErrorKind::PermissionDenied.into()) };
        let take = || Claim::of(path.clone(), denied(), File::try_lock);
        assert!(take().unwrap_err().to_string().contains("ask for permission"));
        std::fs::write(&path, "process 1\n").unwrap();
        let at_work = File::open(&path).unwrap();
        at_work.lock().unwrap();
        assert!(take().unwrap().is_none());
        drop(at_work);
        let taken = take().unwrap().unwrap();
        assert!(Claim::take(&file).unwrap().is_none());
        drop(taken);
        assert!(!Claim::is_open(&file));
    }

    #[cfg(unix)]
    #[test]
    fn a_dead_claim_that_cannot_be_written_is_taken_over() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.nrrd");
        std::fs::write(path_of(&file), "process 1\n").unwrap();
        std::fs::set_permissions(path_of(&file), std::fs::Permissions::from_mode(0o444)).unwrap();
        assert!(Claim::take(&file).unwrap().is_some());
    }
}
