//! Saved sessions on disk. A file is written completely or not at all; reading distinguishes damaged files, files of
//! other versions and foreign files.
//!
//! | bytes | contents |
//! |---|---|
//! | 16 | magic |
//! | 4 | format version, little endian |
//! | 8 | length of the body, little endian |
//! | 32 | SHA-256 of the body |
//! | rest | body: the state in postcard's encoding, compressed by gzip |
//!
//! postcard encodes fields by position. A new last field of the state needs a reader that accepts the end of the file
//! before it; any other change of a field is a new version. `tests/stored_session.rs` reads a stored file of the
//! present one.

use super::source;
use crate::atomic_file;
use crate::error::{Error, Result, ensure_memory};
use crate::input_file;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};
use std::io::{BufWriter, Read, Write};
use std::path::Path;

const MAGIC: &[u8; 16] = b"mem3d session\r\n\x1a";
/// Version of the encoding.
const VERSION: u32 = 3;
/// Plain bytes that a byte of a large session's body stands for, at most. Chosen: several times the usual.
const USUAL_RATIO: u64 = 64;
/// Length of everything before the body.
const HEAD: usize = 16 + 4 + 8 + 32;
/// Plain bytes that are compressed together. Chosen.
const PART: usize = 1 << 16;
/// Memory that writing takes beside the body, bytes, about.
const TO_WRITE: usize = 4 << 20;

/// Writes `state` to `path`. A file that exists is replaced when the new one is complete.
///
/// # Errors
/// [`Error::Io`] when the file cannot be written, [`Error::OutOfMemory`]; a file that exists is then unchanged.
pub fn write<T: Serialize>(path: &Path, state: &T) -> Result<()> {
    ensure_memory(TO_WRITE, "the saved session")?;
    let packed = GzEncoder::new(Body::default(), Compression::fast());
    // The body is kept in memory: its checksum stands before it.
    let packed = postcard::to_io(state, BufWriter::with_capacity(PART, packed)).map_err(|e| match e {
        // The writer's only error.
        postcard::Error::SerializeBufferFull => no_memory(path),
        other => Error::Internal(format!("the session cannot be encoded: {other}")),
    })?;
    let Body(body) = packed.into_inner().ok().and_then(|packed| packed.finish().ok()).ok_or_else(|| no_memory(path))?;
    atomic_file::write(path, |file| {
        file.write_all(MAGIC)?;
        file.write_all(&VERSION.to_le_bytes())?;
        file.write_all(&(body.len() as u64).to_le_bytes())?;
        file.write_all(&Sha256::digest(&body))?;
        file.write_all(&body)
    })
}

/// Bytes in memory; more of them than there is room for are an error.
#[derive(Default)]
struct Body(Vec<u8>);

impl Write for Body {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.try_reserve(bytes.len())?;
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn no_memory(path: &Path) -> Error {
    Error::OutOfMemory(format!("{}: not enough memory for this session; close other programs", path.display()))
}

/// Reads a file of [`write()`].
///
/// # Errors
/// [`Error::Io`] when the file cannot be read, [`Error::BadFile`] when it is no regular file, not a saved session, of
/// another version, truncated or damaged; [`Error::OutOfMemory`].
pub fn read<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let all = input_file::all(path, u64::MAX)?;
    let bad = |reason: String| Error::bad_file(path, reason);
    if !all.starts_with(MAGIC) {
        return Err(bad("this is not a saved session of mem3d; choose a file that mem3d saved".into()));
    }
    let damaged = |what: &str| bad(format!("the saved session is {what}; use an earlier copy of it"));
    if all.len() < HEAD {
        return Err(damaged("truncated"));
    }
    let version = u32::from_le_bytes(all[16..20].try_into().expect("four bytes"));
    if version != VERSION {
        let remedy = match version > VERSION {
            true => "update mem3d",
            false => {
                "open it with the mem3d that saved it, save its segmentation there, and start a new session from \
                 those masks"
            }
        };
        return Err(bad(format!("the session was saved in format {version}, this mem3d reads {VERSION}; {remedy}")));
    }
    let length = u64::from_le_bytes(all[20..28].try_into().expect("eight bytes"));
    let body = &all[HEAD..];
    if (body.len() as u64) < length {
        return Err(damaged("truncated"));
    }
    if body.len() as u64 != length || Sha256::digest(body)[..] != all[28..HEAD] {
        return Err(damaged("damaged"));
    }
    let (announced, most) = plain_length(body).ok_or_else(|| damaged("damaged"))?;
    let mut plain = source::reserve(announced).map_err(|_| no_memory(path))?;
    let read = GzDecoder::new(body).take(most + 1).read_to_end(&mut plain);
    match read {
        Ok(n) if n as u64 <= most => postcard::from_bytes(&plain).map_err(|_| damaged("damaged")),
        Err(e) if e.kind() == std::io::ErrorKind::OutOfMemory => Err(no_memory(path)),
        _ => Err(damaged("damaged")),
    }
}

/// Length of the plain body that the gzip data announce at their end, and the most it can be: they give 32 bits, which
/// only a body that is large itself exceeds.
fn plain_length(body: &[u8]) -> Option<(usize, u64)> {
    let announced = u32::from_le_bytes(*body.last_chunk()?);
    let more = (body.len() as u64).saturating_mul(USUAL_RATIO) >> 32;
    Some((announced as usize, u64::from(announced) + (more << 32)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> tempfile::TempDir {
        tempfile::tempdir().unwrap()
    }

    #[test]
    fn a_written_state_is_read_and_replaced() {
        let folder = folder();
        let path = folder.path().join("a.m3s");
        write(&path, &vec![1u32, 2, 3]).unwrap();
        write(&path, &vec![4u32]).unwrap();
        assert_eq!(read::<Vec<u32>>(&path).unwrap(), [4]);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "no temporary file is left");
    }

    #[test]
    fn each_kind_of_damage_is_reported() {
        let folder = folder();
        let path = folder.path().join("a.m3s");
        write(&path, &"state of a session".to_string()).unwrap();
        let good = std::fs::read(&path).unwrap();
        let text = |bytes: &[u8]| {
            std::fs::write(&path, bytes).unwrap();
            read::<String>(&path).unwrap_err().to_string()
        };
        assert!(text(b"PK\x03\x04 something else").contains("not a saved session"));
        assert!(text(&good[..20]).contains("truncated"));
        assert!(text(&good[..good.len() - 1]).contains("truncated"));
        for at in [30, HEAD, good.len() - 1] {
            let mut flipped = good.clone();
            flipped[at] ^= 1;
            assert!(text(&flipped).contains("damaged"), "byte {at}");
        }
        assert!(text(&[&good[..], b"more"].concat()).contains("damaged"));
        for (version, remedy) in [(9, "update mem3d"), (2, "open it with the mem3d that saved it")] {
            let mut other = good.clone();
            other[16] = version;
            let text = text(&other);
            assert!(text.contains(&format!("format {version}")) && text.contains(remedy), "{text}");
        }
        std::fs::remove_file(&path).unwrap();
        assert!(matches!(read::<String>(&path), Err(Error::Io { .. })));
    }

    #[test]
    fn a_body_that_unpacks_to_more_than_it_announces_is_damaged() {
        let folder = folder();
        let path = folder.path().join("a.m3s");
        let mut zipped = GzEncoder::new(Vec::new(), Compression::best());
        zipped.write_all(&vec![0; 1 << 22]).unwrap();
        let mut body = zipped.finish().unwrap();
        let at = body.len() - 4;
        body[at..].copy_from_slice(&100u32.to_le_bytes());
        let mut file = [&MAGIC[..], &VERSION.to_le_bytes(), &(body.len() as u64).to_le_bytes()].concat();
        file.extend_from_slice(&Sha256::digest(&body));
        file.extend_from_slice(&body);
        std::fs::write(&path, file).unwrap();
        assert!(read::<String>(&path).unwrap_err().to_string().contains("damaged"));
        assert_eq!(plain_length(&body), Some((100, 100)));
        assert_eq!(plain_length(b"abc"), None);
        #[cfg(unix)]
        assert!(read::<String>(Path::new("/dev/full")).unwrap_err().to_string().contains("device"));
    }

    #[test]
    fn a_failed_write_leaves_no_file() {
        let folder = folder();
        assert!(matches!(write(&folder.path().join("no/such/folder/a"), &1u8), Err(Error::Io { .. })));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
