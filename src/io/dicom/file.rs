//! The parts of one DICOM file: its elements without sequences, and where its pixels lie.
//!
//! The elements' lengths are checked here, before the DICOM crate asks for memory; it decodes the values. Files without
//! prefix, without the length of their meta group or with an empty version are read, as ITK reads them.

use super::super::source::{self, Parsed, Trouble, guarded};
use crate::input_file;
use dicom_dictionary_std::{tags, uids};
use dicom_encoding::transfer_syntax::TransferSyntaxIndex;
use dicom_object::{InMemDicomObject, Tag};
use dicom_transfer_syntax_registry::TransferSyntaxRegistry;
use std::io::{BufReader, Cursor, Read, Seek, SeekFrom};
use std::path::Path;

/// Elements that are used; they are short.
const USED: [Tag; 27] = [
    tags::SPECIFIC_CHARACTER_SET,
    tags::IMAGE_TYPE,
    tags::SOP_CLASS_UID,
    tags::SOP_INSTANCE_UID,
    tags::SERIES_INSTANCE_UID,
    tags::SERIES_DESCRIPTION,
    tags::SLICE_THICKNESS,
    tags::SPACING_BETWEEN_SLICES,
    tags::IMAGE_POSITION_PATIENT,
    tags::IMAGE_ORIENTATION_PATIENT,
    tags::SAMPLES_PER_PIXEL,
    tags::PHOTOMETRIC_INTERPRETATION,
    tags::PLANAR_CONFIGURATION,
    tags::NUMBER_OF_FRAMES,
    tags::ROWS,
    tags::COLUMNS,
    tags::PIXEL_SPACING,
    tags::BITS_ALLOCATED,
    tags::BITS_STORED,
    tags::HIGH_BIT,
    tags::PIXEL_REPRESENTATION,
    tags::RESCALE_INTERCEPT,
    tags::RESCALE_SLOPE,
    // Sequences: only that they are there.
    tags::MODALITY_LUT_SEQUENCE,
    tags::PIXEL_DATA,
    tags::FLOAT_PIXEL_DATA,
    tags::DOUBLE_FLOAT_PIXEL_DATA,
];

/// UID of the explicit big-endian syntax, which is retired but still found.
const BIG_ENDIAN: &str = "1.2.840.10008.1.2.2";
/// Longest value of such an element, bytes. Chosen.
const LONGEST: u32 = 1 << 16;
/// Most bytes of a deflated file, unpacked. Chosen: more than any single image has.
const MOST_INFLATED: usize = 1 << 30;
/// Depth of nested sequences that are passed over. Chosen.
const DEEPEST: usize = 32;
/// Length of what ends with a delimiter.
const UNDEFINED: u32 = u32::MAX;

const ITEM: (u16, u16) = (0xfffe, 0xe000);
const END_OF_ITEM: (u16, u16) = (0xfffe, 0xe00d);
const END_OF_SEQUENCE: (u16, u16) = (0xfffe, 0xe0dd);

trait Stream: Read + Seek {}
impl<T: Read + Seek> Stream for T {}

/// How elements are encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Encoding {
    explicit: bool,
    big_endian: bool,
}

const META: Encoding = Encoding { explicit: true, big_endian: false };

/// Beginning of an element.
#[derive(Debug, Clone, Copy)]
struct Element {
    tag: (u16, u16),
    length: u32,
    /// Offset of its header and of its value.
    start: u64,
    value: u64,
    /// Encoding of what it contains: implicit in what had no known type (UN).
    inner: Encoding,
}

/// Where pixels are stored.
#[derive(Debug, Clone, Copy)]
struct Pixels {
    offset: u64,
    length: u32,
}

/// A file whose elements are read.
pub(super) struct DicomFile {
    stream: Box<dyn Stream>,
    end: u64,
    encoding: Encoding,
    /// UID of the transfer syntax.
    pub syntax: String,
    /// The elements that are used.
    pub object: InMemDicomObject,
    /// Whether the stored values mean something by a table.
    pub has_table: bool,
    pixels: Option<Pixels>,
    /// Whether its pixels are floating point numbers.
    has_floats: bool,
}

/// What a file is.
pub(super) enum Opened {
    Dicom(Box<DicomFile>),
    /// A DICOM file that cannot be read: the reason.
    Broken(String),
    Other,
}

/// Opens a file.
///
/// # Errors
/// [`crate::Error::Io`], or [`crate::Error::BadFile`] for what is no regular file.
pub(super) fn open(path: &Path) -> crate::Result<Opened> {
    let (file, length) = input_file::open(path)?;
    let mut stream = BufReader::new(file);
    let mut start = [0; 140];
    let n = read_most(&mut stream, &mut start).map_err(|e| crate::Error::io(path, e))?;
    let has_prefix = n >= 132 && &start[128..132] == b"DICM";
    if !has_prefix && !begins_bare(&start[..n]) {
        return Ok(Opened::Other);
    }
    let from = if has_prefix { 132 } else { 0 };
    Ok(match guarded(|| DicomFile::read(Box::new(stream), length, from)) {
        Ok(file) => Opened::Dicom(Box::new(file)),
        // Without prefix, it is no DICOM file just because it begins like one.
        Err(_) if !has_prefix => Opened::Other,
        Err(Trouble::Io(e)) => return Err(crate::Error::io(path, e)),
        Err(Trouble::Memory(text)) => return Err(crate::Error::OutOfMemory(text)),
        Err(Trouble::Bad(reason) | Trouble::Damaged(reason)) => Opened::Broken(reason),
    })
}

fn read_most(stream: &mut impl Read, into: &mut [u8]) -> std::io::Result<usize> {
    let mut n = 0;
    while n < into.len() {
        match stream.read(&mut into[n..])? {
            0 => break,
            read => n += read,
        }
    }
    Ok(n)
}

/// Whether this may be a data set without prefix: its first element is of the meta group or the first of all.
fn begins_bare(start: &[u8]) -> bool {
    let [a, b, c, d, e, f, ..] = *start else { return false };
    let group = u16::from_le_bytes([a, b]);
    let element = u16::from_le_bytes([c, d]);
    let explicit = e.is_ascii_uppercase() && f.is_ascii_uppercase();
    let short = start.len() >= 8 && u32::from_le_bytes([e, f, start[6], start[7]]) <= 256;
    matches!(group, 0x0002 | 0x0008) && element <= 0x0020 && (explicit || short)
}

impl DicomFile {
    fn read(mut stream: Box<dyn Stream>, length: u64, from: u64) -> Parsed<DicomFile> {
        let (syntax, mut at) = meta_group(&mut stream, from, length)?;
        let mut end = length;
        let syntax = match syntax {
            Some(uid) => uid,
            None => guess_syntax(&mut stream, at)?,
        };
        if syntax == uids::DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN {
            let inflated = inflate(&mut stream, at)?;
            (end, at) = (inflated.len() as u64, 0);
            stream = Box::new(Cursor::new(inflated));
        }
        let encoding =
            Encoding { explicit: syntax != uids::IMPLICIT_VR_LITTLE_ENDIAN, big_endian: syntax == BIG_ENDIAN };
        let mut file = DicomFile {
            stream,
            end,
            encoding,
            syntax,
            object: InMemDicomObject::new_empty(),
            has_table: false,
            pixels: None,
            has_floats: false,
        };
        file.read_elements(at)?;
        Ok(file)
    }

    /// Collects the elements that are used, up to the pixels.
    fn read_elements(&mut self, mut at: u64) -> Parsed<()> {
        let mut kept = Vec::new();
        while at < self.end {
            // Padding behind the last element.
            if self.end - at < 8 {
                break;
            }
            let e = element(&mut self.stream, at, self.end, self.encoding)?;
            let tag = Tag(e.tag.0, e.tag.1);
            if tag == tags::PIXEL_DATA {
                self.pixels = Some(Pixels { offset: e.value, length: e.length });
                break;
            }
            self.has_floats |= [tags::FLOAT_PIXEL_DATA, tags::DOUBLE_FLOAT_PIXEL_DATA].contains(&tag);
            self.has_table |= tag == tags::MODALITY_LUT_SEQUENCE;
            at = skip(&mut self.stream, &e, self.end, 0)?;
            if USED.contains(&tag) && e.length <= LONGEST && tag != tags::MODALITY_LUT_SEQUENCE {
                self.stream.seek(SeekFrom::Start(e.start)).map_err(Trouble::Io)?;
                (&mut self.stream).take(at - e.start).read_to_end(&mut kept).map_err(Trouble::Io)?;
            }
        }
        let plain = match (self.encoding.explicit, self.encoding.big_endian) {
            (false, _) => uids::IMPLICIT_VR_LITTLE_ENDIAN,
            (true, false) => uids::EXPLICIT_VR_LITTLE_ENDIAN,
            (true, true) => BIG_ENDIAN,
        };
        let syntax = TransferSyntaxRegistry.get(plain).ok_or("its transfer syntax is not known")?;
        self.object = InMemDicomObject::read_dataset_with_ts(kept.as_slice(), syntax)
            .map_err(|e| format!("its elements cannot be read ({})", causes(&e)))?;
        Ok(())
    }

    fn pixels(&self) -> Parsed<Pixels> {
        match self.pixels {
            Some(pixels) => Ok(pixels),
            None if self.has_floats => {
                Err("its pixels are floating point numbers, which are not read; convert it (dcm2niix, 3D Slicer)"
                    .into())
            }
            None => Err("it holds no pixels; it may be cut off: copy it once more".into()),
        }
    }

    /// The stored bytes of `wanted` native pixels, little-endian words of `word` bytes.
    pub fn native(&mut self, wanted: usize, word: usize) -> Parsed<Vec<u8>> {
        let pixels = self.pixels()?;
        let there = self.end - pixels.offset.min(self.end);
        let there = if pixels.length == UNDEFINED { there } else { there.min(pixels.length.into()) };
        if there < wanted as u64 {
            return Err(cut_off(there, wanted));
        }
        let mut bytes = source::reserve(wanted)?;
        self.stream.seek(SeekFrom::Start(pixels.offset)).map_err(Trouble::Io)?;
        (&mut self.stream).take(wanted as u64).read_to_end(&mut bytes).map_err(Trouble::Io)?;
        if bytes.len() < wanted {
            return Err(cut_off(bytes.len() as u64, wanted));
        }
        if self.encoding.big_endian && word > 1 {
            bytes.chunks_exact_mut(word).for_each(<[u8]>::reverse);
        }
        Ok(bytes)
    }

    /// The fragments of compressed pixels, without the table of their offsets.
    pub fn fragments(&mut self) -> Parsed<Vec<Vec<u8>>> {
        let pixels = self.pixels()?;
        let mut at = pixels.offset;
        let mut fragments = Vec::new();
        loop {
            if self.end < at + 8 {
                return Err("it is cut off: its compressed pixels have no end; copy it once more".into());
            }
            let item = element(&mut self.stream, at, self.end, Encoding { explicit: false, ..self.encoding })?;
            if item.tag == END_OF_SEQUENCE {
                break;
            }
            if item.tag != ITEM || item.length == UNDEFINED {
                return Err("its compressed pixels are damaged; copy it once more".into());
            }
            let mut bytes = source::reserve(item.length as usize)?;
            self.stream.seek(SeekFrom::Start(item.value)).map_err(Trouble::Io)?;
            (&mut self.stream).take(item.length.into()).read_to_end(&mut bytes).map_err(Trouble::Io)?;
            fragments.push(bytes);
            at = item.value + u64::from(item.length);
        }
        if !fragments.is_empty() {
            fragments.remove(0);
        }
        Ok(fragments)
    }
}

pub(super) fn cut_off(there: u64, wanted: usize) -> Trouble {
    format!(
        "it is cut off: {there} bytes of pixels where its header announces {wanted}; copy it once more from where it \
         came from"
    )
    .into()
}

/// Transfer syntax of the meta group, and where the data set begins. Its length and version are not relied on.
fn meta_group(stream: &mut Box<dyn Stream>, from: u64, end: u64) -> Parsed<(Option<String>, u64)> {
    let (mut at, mut syntax) = (from, None);
    while end - at >= 8 {
        stream.seek(SeekFrom::Start(at)).map_err(Trouble::Io)?;
        let mut group = [0; 6];
        stream.read_exact(&mut group).map_err(Trouble::Io)?;
        if group[..2] != [2, 0] {
            break;
        }
        let explicit = group[4].is_ascii_uppercase() && group[5].is_ascii_uppercase();
        let e = element(stream, at, end, Encoding { explicit, ..META })?;
        let next = skip(stream, &e, end, 0)?;
        if e.tag == (2, 0x10) && e.length <= 128 {
            stream.seek(SeekFrom::Start(e.value)).map_err(Trouble::Io)?;
            let mut uid = vec![0; e.length as usize];
            stream.read_exact(&mut uid).map_err(Trouble::Io)?;
            syntax = Some(String::from_utf8_lossy(&uid).trim_matches(['\0', ' ']).to_string());
        }
        at = next;
    }
    Ok((syntax.filter(|s| !s.is_empty()), at))
}

/// Whether elements without a transfer syntax name their types.
fn guess_syntax(stream: &mut Box<dyn Stream>, at: u64) -> Parsed<String> {
    stream.seek(SeekFrom::Start(at)).map_err(Trouble::Io)?;
    let mut start = [0; 6];
    read_most(stream, &mut start).map_err(Trouble::Io)?;
    let explicit = start[4].is_ascii_uppercase() && start[5].is_ascii_uppercase();
    Ok(if explicit { uids::EXPLICIT_VR_LITTLE_ENDIAN } else { uids::IMPLICIT_VR_LITTLE_ENDIAN }.into())
}

fn inflate(stream: &mut Box<dyn Stream>, at: u64) -> Parsed<Vec<u8>> {
    stream.seek(SeekFrom::Start(at)).map_err(Trouble::Io)?;
    let mut unpacked = Vec::new();
    let mut decoder = flate2::read::DeflateDecoder::new(stream).take(MOST_INFLATED as u64 + 1);
    decoder.read_to_end(&mut unpacked).map_err(|e| match e.kind() {
        std::io::ErrorKind::OutOfMemory => Trouble::Memory("not enough memory to unpack it".into()),
        _ => format!("its deflated data are damaged ({e}); copy it once more").into(),
    })?;
    if unpacked.len() > MOST_INFLATED {
        return Err(format!("it unpacks to more than {MOST_INFLATED} bytes, which no image has").into());
    }
    Ok(unpacked)
}

/// The beginning of the element at `at`; its value lies in the file.
fn element(stream: &mut Box<dyn Stream>, at: u64, end: u64, encoding: Encoding) -> Parsed<Element> {
    let early = || Trouble::from("it is cut off within its header; copy it once more");
    stream.seek(SeekFrom::Start(at)).map_err(Trouble::Io)?;
    let mut b = [0; 12];
    let n = read_most(stream, &mut b).map_err(Trouble::Io)?.min((end - at) as usize);
    if n < 8 {
        return Err(early());
    }
    let word = |i: usize| match encoding.big_endian {
        true => u16::from_be_bytes([b[i], b[i + 1]]),
        false => u16::from_le_bytes([b[i], b[i + 1]]),
    };
    let long = |i: usize| match encoding.big_endian {
        true => u32::from_be_bytes([b[i], b[i + 1], b[i + 2], b[i + 3]]),
        false => u32::from_le_bytes([b[i], b[i + 1], b[i + 2], b[i + 3]]),
    };
    let tag = (word(0), word(2));
    let (length, header) = match (encoding.explicit && tag.0 != 0xfffe, &b[4..6]) {
        (false, _) => (long(4), 8),
        (
            true,
            b"OB" | b"OD" | b"OF" | b"OL" | b"OV" | b"OW" | b"SQ" | b"SV" | b"UC" | b"UN" | b"UR" | b"UT" | b"UV",
        ) => {
            if n < 12 {
                return Err(early());
            }
            (long(8), 12)
        }
        (true, vr) if vr.iter().all(u8::is_ascii_uppercase) => (word(6).into(), 8),
        (true, _) => {
            return Err(format!("element ({:04x},{:04x}) is damaged; copy the file once more", tag.0, tag.1).into());
        }
    };
    let value = at + header;
    let is_pixels = tag == (tags::PIXEL_DATA.0, tags::PIXEL_DATA.1);
    // Pixels that are cut off are reported as such where they are read.
    if length != UNDEFINED && !is_pixels && u64::from(length) > end - value {
        return Err(format!(
            "element ({:04x},{:04x}) has {length} bytes, more than the rest of the file: it is cut off or damaged; \
             copy it once more",
            tag.0, tag.1
        )
        .into());
    }
    let is_unknown = header == 12 && &b[4..6] == b"UN";
    let inner = if is_unknown { Encoding { explicit: false, ..encoding } } else { encoding };
    Ok(Element { tag, length, start: at, value, inner })
}

/// Where the element after `e` begins.
fn skip(stream: &mut Box<dyn Stream>, e: &Element, end: u64, depth: usize) -> Parsed<u64> {
    if e.length != UNDEFINED {
        return Ok(e.value + u64::from(e.length));
    }
    if depth > DEEPEST {
        return Err("its sequences are nested too deep; convert it with a DICOM converter".into());
    }
    // The items of a sequence, or the elements of an item.
    let closing = if e.tag == ITEM { END_OF_ITEM } else { END_OF_SEQUENCE };
    let mut at = e.value;
    loop {
        let inner = element(stream, at, end, e.inner)?;
        if inner.tag == closing {
            return Ok(inner.value);
        }
        // What has no end of its own ends with what it lies in.
        if inner.tag.0 == 0xfffe && inner.tag != ITEM {
            return Err("its sequences are damaged; copy it once more".into());
        }
        at = skip(stream, &inner, end, depth + 1)?;
    }
}

/// The text of an element.
pub(super) fn text(object: &InMemDicomObject, tag: Tag) -> Option<String> {
    let text = object.get(tag)?.to_str().ok()?;
    Some(text.trim_matches(|c: char| c.is_whitespace() || c == '\0').to_owned())
}

/// The numbers of an element; none where it is missing or holds another number of them.
pub(super) fn numbers<const N: usize>(object: &InMemDicomObject, tag: Tag) -> Option<[f64; N]> {
    object.get(tag)?.to_multi_float64().ok()?.try_into().ok()
}

/// An error with its causes.
pub(super) fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(e) = source {
        text = format!("{text}: {e}");
        source = e.source();
    }
    text
}
