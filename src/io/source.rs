//! Bytes of input files: regular files only, and no more of them than their header announces.

use crate::error::{Error, Result};
use crate::input_file;
use flate2::bufread::GzDecoder;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

/// Reason why a file cannot be read, before its name is added.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// The operating system's.
    Io(std::io::Error),
    /// Contents that cannot be used: problem and remedy.
    Bad(String),
    /// Contents of which a part is missing or changed: problem and remedy.
    Damaged(String),
    /// More memory than there is.
    Memory(String),
}

impl Trouble {
    /// [`Trouble::Damaged`].
    pub fn damaged(reason: impl Into<String>) -> Self {
        Trouble::Damaged(reason.into())
    }

    /// The error of the file `path`.
    pub fn of(self, path: &Path) -> Error {
        match self {
            Trouble::Io(e) => Error::io(path, e),
            Trouble::Bad(reason) => Error::bad_file(path, reason),
            Trouble::Damaged(reason) => Error::damaged_file(path, reason),
            Trouble::Memory(text) => Error::OutOfMemory(format!("{}: {text}", path.display())),
        }
    }
}

impl From<String> for Trouble {
    fn from(reason: String) -> Self {
        Trouble::Bad(reason)
    }
}

impl From<&str> for Trouble {
    fn from(reason: &str) -> Self {
        Trouble::Bad(reason.into())
    }
}

/// An error of reading; of a geometry or shape, its text alone.
impl From<Error> for Trouble {
    fn from(e: Error) -> Self {
        match e {
            Error::OutOfMemory(text) => Trouble::Memory(text),
            Error::BadFile { damaged: true, .. } => Trouble::Damaged(e.to_string()),
            other => Trouble::Bad(other.to_string()),
        }
    }
}

/// What parsing gives.
pub(crate) type Parsed<T> = std::result::Result<T, Trouble>;

/// Most bytes that gzip makes of one, from the format of deflate.
const MOST_PER_BYTE: u64 = 1032;

/// Bytes after the announced ones that are unpacked to get to the stream's checksum. Chosen.
const MOST_TO_CHECKSUM: u64 = 16 << 20;

/// Space for `count` values.
pub(crate) fn reserve<T>(count: usize) -> Parsed<Vec<T>> {
    let mut values = Vec::new();
    values.try_reserve_exact(count).map_err(|_| {
        let megabytes = (count as u64).saturating_mul(size_of::<T>() as u64) / 1_000_000;
        Trouble::Memory(format!("not enough memory for {megabytes} MB; close other programs or crop the volume"))
    })?;
    Ok(values)
}

/// The text of a regular file of at most `most` bytes, without the mark that editors on Windows put before it.
///
/// # Errors
/// As [`input_file::all`]; [`Error::BadFile`] when it is no UTF-8.
pub(crate) fn text(path: &Path, most: u64) -> Result<String> {
    let mut text = String::from_utf8(input_file::all(path, most)?)
        .map_err(|_| Error::bad_file(path, "this is not a text file in UTF-8; save it in that encoding"))?;
    if text.starts_with('\u{feff}') {
        text.drain(..'\u{feff}'.len_utf8());
    }
    Ok(text)
}

/// A line of a header: UTF-8, else Latin-1, in which every byte is a character.
pub(crate) fn header_line(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|e| e.as_bytes().iter().map(|&byte| char::from(byte)).collect())
}

/// Members of a gzip file, one after the other. What follows the last one is ignored, as gzip and ITK do.
struct Members<R: BufRead> {
    current: Option<GzDecoder<R>>,
    /// Members that are complete.
    complete: usize,
    /// Bytes of the current member.
    given: u64,
}

impl<R: BufRead> Read for Members<R> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        while let Some(decoder) = &mut self.current {
            match decoder.read(into) {
                Ok(0) if !into.is_empty() => {}
                Ok(n) => {
                    self.given += n as u64;
                    return Ok(n);
                }
                // What begins as a further member is something else.
                Err(_) if self.complete > 0 && self.given == 0 => {
                    self.current = None;
                    return Ok(0);
                }
                Err(e) => return Err(e),
            }
            let mut rest = self.current.take().expect("tested above").into_inner();
            (self.complete, self.given) = (self.complete + 1, 0);
            if rest.fill_buf()?.first() == Some(&0x1f) {
                self.current = Some(GzDecoder::new(rest));
            }
        }
        Ok(0)
    }
}

/// A file that is read from its start to what its header announces.
pub(crate) struct Source {
    reader: Reader,
    /// Most bytes that can still come.
    left: u64,
}

enum Reader {
    Plain(BufReader<File>),
    Packed(Box<Members<BufReader<File>>>),
}

impl Source {
    /// Opens a file that is unpacked when it begins as gzip does.
    ///
    /// # Errors
    /// As [`input_file::open`].
    pub fn unpacked(path: &Path) -> Result<Source> {
        let source = Source::plain(path)?;
        let Reader::Plain(mut reader) = source.reader else { unreachable!("made above") };
        let is_packed = reader.fill_buf().map_err(|e| Error::io(path, e))?.starts_with(&[0x1f, 0x8b]);
        let source = Source { reader: Reader::Plain(reader), left: source.left };
        Ok(if is_packed { source.unpack() } else { source })
    }

    /// Opens a file as it is.
    ///
    /// # Errors
    /// As [`input_file::open`].
    pub fn plain(path: &Path) -> Result<Source> {
        let (file, length) = input_file::open(path)?;
        Ok(Source { reader: Reader::Plain(BufReader::new(file)), left: length })
    }

    /// Unpacks what follows.
    pub fn unpack(self) -> Source {
        match self.reader {
            Reader::Plain(reader) => {
                let members = Members { current: Some(GzDecoder::new(reader)), complete: 0, given: 0 };
                let left = self.left.saturating_mul(MOST_PER_BYTE);
                Source { reader: Reader::Packed(Box::new(members)), left }
            }
            packed => Source { reader: packed, left: self.left },
        }
    }

    /// Most bytes that can still come.
    pub fn left(&self) -> u64 {
        self.left
    }

    fn read(&mut self, into: &mut [u8]) -> Parsed<usize> {
        let read = match &mut self.reader {
            Reader::Plain(r) => r.read(into).map_err(Trouble::Io),
            Reader::Packed(r) => r.read(into).map_err(|e| match e.kind() {
                std::io::ErrorKind::OutOfMemory => Trouble::Memory("not enough memory to unpack it".into()),
                _ => Trouble::Damaged(format!("the gzip data are damaged ({e}); copy the file again")),
            }),
        }?;
        self.left = self.left.saturating_sub(read as u64);
        Ok(read)
    }

    /// The next `count` bytes, fewer where the file ends.
    pub fn up_to(&mut self, count: usize) -> Parsed<Vec<u8>> {
        let count = count.min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let mut bytes = reserve(count)?;
        while bytes.len() < count {
            let at = bytes.len();
            bytes.resize((at + (1 << 20)).min(count), 0);
            let read = self.read(&mut bytes[at..])?;
            bytes.truncate(at + read);
            if read == 0 {
                break;
            }
        }
        Ok(bytes)
    }

    /// The next `count` bytes, which the header announces.
    pub fn announced(&mut self, count: usize) -> Parsed<Vec<u8>> {
        let early = |has: u64| {
            Trouble::Damaged(format!(
                "the file ends early: it announces {count} bytes of voxels and has at most {has}; copy it again"
            ))
        };
        if count as u64 > self.left {
            return Err(early(self.left));
        }
        let bytes = self.up_to(count)?;
        if bytes.len() < count { Err(early(bytes.len() as u64)) } else { Ok(bytes) }
    }

    /// Passes over `count` bytes.
    pub fn skip(&mut self, count: u64) -> Parsed<()> {
        if count > self.left {
            return Err(format!("the data begin after {count} bytes by the header, and the file is shorter").into());
        }
        if let Reader::Plain(reader) = &mut self.reader {
            let offset = i64::try_from(count).map_err(|e| e.to_string())?;
            reader.seek_relative(offset).map_err(Trouble::Io)?;
            self.left -= count;
            return Ok(());
        }
        let mut part = [0; 4096];
        let mut to_go = count;
        while to_go > 0 {
            let most = part.len().min(to_go as usize);
            match self.read(&mut part[..most])? {
                0 => return Err(Trouble::damaged("the file ends before its data begin; copy it again")),
                n => to_go -= n as u64,
            }
        }
        Ok(())
    }

    /// Goes to the last `count` bytes of a file that is not packed.
    pub fn seek_last(&mut self, count: usize) -> Parsed<()> {
        match &mut self.reader {
            Reader::Plain(reader) => {
                let end = reader.seek(SeekFrom::End(0)).map_err(Trouble::Io)?;
                let short = || Trouble::damaged("the file is shorter than its data; copy it again");
                let start = end.checked_sub(count as u64).ok_or_else(short)?;
                reader.seek(SeekFrom::Start(start)).map_err(Trouble::Io)?;
                self.left = count as u64;
                Ok(())
            }
            Reader::Packed(_) => Err("packed data cannot be counted from their end; use a \"byte skip\" of 0".into()),
        }
    }

    /// The next line of at most `most` bytes, without its end; none at the end of the file.
    pub fn line(&mut self, most: u64) -> Parsed<Option<Vec<u8>>> {
        let Reader::Plain(reader) = &mut self.reader else { return Err("a header cannot be packed".into()) };
        let mut line = Vec::new();
        if most == 0 {
            return Err("its header is too long; is this the right file?".into());
        }
        let read = reader.by_ref().take(most).read_until(b'\n', &mut line).map_err(Trouble::Io)?;
        self.left = self.left.saturating_sub(read as u64);
        if read == 0 {
            return Ok(None);
        }
        if line.last() == Some(&b'\n') {
            line.pop();
        } else if read as u64 == most {
            return Err("its header is too long; is this the right file?".into());
        }
        Ok(Some(line))
    }

    /// Checks the stream behind the announced bytes where its end is near: damage shows in the checksum only.
    pub fn finish(mut self) -> Parsed<()> {
        let mut part = vec![0; 1 << 16];
        let mut rest = 0;
        while matches!(self.reader, Reader::Packed(_)) && rest < MOST_TO_CHECKSUM {
            match self.read(&mut part)? {
                0 => break,
                n => rest += n as u64,
            }
        }
        Ok(())
    }
}

/// Runs a decoder of a dependency: where it panics, the file is damaged.
pub(crate) fn guarded<T>(decode: impl FnOnce() -> Parsed<T>) -> Parsed<T> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(decode)).unwrap_or_else(|_| {
        Err(Trouble::damaged("its data are damaged, so that they cannot be decoded; copy the file again or convert it"))
    })
}

/// Logs what a user should know about a file.
pub(crate) fn warn(path: &Path, doubts: &[String]) {
    doubts.iter().for_each(|doubt| log::warn!("{}: {doubt}", path.display()));
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut zipped = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        zipped.write_all(bytes).unwrap();
        zipped.finish().unwrap()
    }

    fn read(bytes: &[u8], count: usize) -> Parsed<Vec<u8>> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        std::fs::write(&path, bytes).unwrap();
        let mut source = Source::unpacked(&path).unwrap();
        let bytes = source.announced(count)?;
        source.finish()?;
        Ok(bytes)
    }

    #[test]
    fn texts_may_have_a_mark_and_headers_may_be_latin_1() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.json");
        let read = |bytes: &[u8]| {
            std::fs::write(&path, bytes).unwrap();
            text(&path, 100)
        };
        assert_eq!(read("\u{feff}{}".as_bytes()).unwrap(), "{}");
        // UTF-16, as PowerShell writes it.
        assert!(read(b"\xff\xfe{\0}\0").unwrap_err().to_string().contains("save it in that encoding"));
        assert_eq!(header_line("Tum\u{f6}r".into()), "Tum\u{f6}r");
        assert_eq!(header_line(b"Tum\xf6r".to_vec()), "Tum\u{f6}r");
    }

    #[test]
    fn what_follows_a_gzip_stream_is_ignored_and_damage_is_not() {
        let text: Vec<u8> = (0..100_000u32).flat_map(|v| v.wrapping_mul(v).to_le_bytes()).collect();
        let good = gzip(&text);
        for tail in [&b""[..], &[0; 512], b"trailing garbage", b"\x1f", b"\x1f\x8b and no member", &gzip(b"more")] {
            assert_eq!(read(&[&good, tail].concat(), text.len()).unwrap(), text, "{tail:?}");
        }
        let (first, second) = text.split_at(1000);
        assert_eq!(read(&[gzip(first), gzip(b""), gzip(second)].concat(), text.len()).unwrap(), text);
        // A flipped bit of the checksum, and of the data.
        for at in [good.len() - 8, good.len() / 2] {
            let mut bad = good.clone();
            bad[at] ^= 1;
            assert!(
                matches!(read(&bad, text.len()), Err(Trouble::Damaged(reason)) if reason.contains("damaged")),
                "{at}"
            );
        }
        assert!(matches!(read(&good[..good.len() / 2], text.len()), Err(Trouble::Damaged(_))));
        // A size beyond what gzip can hold is refused before unpacking and before memory is allocated.
        assert!(matches!(read(&good, 1 << 50), Err(Trouble::Damaged(reason)) if reason.contains("ends early")));
    }
}
