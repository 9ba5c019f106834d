//! Values of the pixels of a DICOM series: stored bits, rescaled by each image's header.

use super::super::source::{Parsed, guarded, reserve};
use super::file::{self, DicomFile, Opened, causes, cut_off, numbers, text};
use crate::error::{Error, Result};
use crate::volume::VoxelData;
use dicom_core::value::PixelFragmentSequence;
use dicom_core::{DataElement, PrimitiveValue, VR};
use dicom_dictionary_std::{tags, uids};
use dicom_encoding::adapters::PixelDataReader;
use dicom_encoding::transfer_syntax::{Codec, TransferSyntaxIndex};
use dicom_object::{FileMetaTableBuilder, InMemDicomObject, Tag};
use dicom_transfer_syntax_registry::TransferSyntaxRegistry;
use std::path::Path;

/// Most bytes of pixels that a byte of compressed data stands for. Chosen: no more than deflate has.
const MOST_PER_BYTE: usize = 1032;

/// What RLE data are refused with.
const RLE_DAMAGED: &str = "its RLE data are damaged; copy it once more or convert it (dcm2niix)";

/// How a pixel is stored.
#[derive(Debug, Clone, Copy)]
struct Bits {
    /// Bytes of a pixel.
    word: usize,
    stored: usize,
    /// Number of the highest stored bit.
    high: usize,
    signed: bool,
}

impl Bits {
    /// The value of a little-endian word. Bits above the stored ones may hold anything; those below are no part of it.
    fn value(self, word: &[u8]) -> i64 {
        let raw = word.iter().rev().fold(0u32, |bits, byte| (bits << 8) | u32::from(*byte));
        let (above, unused) = (31 - self.high as u32, 32 - self.stored as u32);
        match self.signed {
            true => i64::from(((raw << above) as i32) >> unused),
            false => i64::from((raw << above) >> unused),
        }
    }
}

/// Stored pixels of one image and how they are rescaled.
struct Image {
    bytes: Vec<u8>,
    bits: Bits,
    slope: f64,
    intercept: f64,
    /// Whether the header gives the slope and the intercept.
    given: [bool; 2],
}

impl Image {
    /// The stored values.
    fn stored(&self) -> impl Iterator<Item = i64> {
        let bits = self.bits;
        self.bytes.chunks_exact(bits.word).map(move |word| bits.value(word))
    }

    /// A stored value with a whole intercept and a slope of 1.
    fn shifted(&self, stored: i64) -> i64 {
        stored.saturating_add(self.intercept as i64)
    }
}

/// The rescaled values of all images of `shape` (rows, columns) one after the other: 16 or 32 bit integers where they
/// are integers, else f32.
///
/// # Errors
/// [`Error::BadFile`] naming the file that cannot be decoded or is rescaled unlike the others, [`Error::OutOfMemory`].
pub(super) fn read(files: &[&Path], shape: [usize; 2], doubts: &mut Vec<String>) -> Result<VoxelData> {
    let mut images = Vec::new();
    for path in files {
        let opened = match file::open(path)? {
            Opened::Dicom(opened) => *opened,
            Opened::Broken(why) => return Err(Error::bad_file(path, why)),
            Opened::Other => return Err(Error::bad_file(path, "it changed while it was read")),
        };
        images.push(image(opened, shape, doubts).map_err(|trouble| trouble.of(path))?);
    }
    for (k, name) in ["RescaleSlope", "RescaleIntercept"].into_iter().enumerate() {
        let missing = images.iter().position(|i| !i.given[k]);
        if let Some(at) = missing.filter(|_| images.iter().any(|i| i.given[k])) {
            return Err(Error::bad_file(
                files[at],
                format!(
                    "its header has no {name} that can be used, those of other images of the series do; correct its \
                     header, or convert the series with a DICOM converter"
                ),
            ));
        }
    }
    values(images).map_err(|trouble| trouble.of(files[0]))
}

/// The rescaled values in the smallest type that holds them.
fn values(images: Vec<Image>) -> Parsed<VoxelData> {
    if !images.iter().all(|i| i.slope == 1.0 && i.intercept.fract() == 0.0) {
        return Ok(VoxelData::F32(joined(images, |i, v| (v as f64 * i.slope + i.intercept) as f32)?));
    }
    let shifted = images.iter().flat_map(|i| i.stored().map(move |v| i.shifted(v)));
    let (low, high) = shifted.fold((i64::MAX, i64::MIN), |(a, b), v| (a.min(v), b.max(v)));
    Ok(if low >= i64::from(i16::MIN) && high <= i64::from(i16::MAX) {
        VoxelData::I16(joined(images, |i, v| i.shifted(v) as i16)?)
    } else if low >= 0 && high <= i64::from(u16::MAX) {
        VoxelData::U16(joined(images, |i, v| i.shifted(v) as u16)?)
    } else if low >= i64::from(i32::MIN) && high <= i64::from(i32::MAX) {
        VoxelData::I32(joined(images, |i, v| i.shifted(v) as i32)?)
    } else {
        VoxelData::F64(joined(images, |i, v| i.shifted(v) as f64)?)
    })
}

/// The converted values of all images; each image is freed when it is copied.
fn joined<T>(images: Vec<Image>, convert: impl Fn(&Image, i64) -> T) -> Parsed<Vec<T>> {
    let count = images.iter().map(|i| i.bytes.len() / i.bits.word).sum();
    let mut all = reserve(count)?;
    for image in images {
        all.extend(image.stored().map(|v| convert(&image, v)));
    }
    Ok(all)
}

/// Adds a doubt that holds for the series once.
fn doubt(doubts: &mut Vec<String>, text: &str) {
    if !doubts.iter().any(|d| d == text) {
        doubts.push(text.into());
    }
}

fn image(mut file: DicomFile, shape: [usize; 2], doubts: &mut Vec<String>) -> Parsed<Image> {
    let count = |tag: Tag| file.object.get(tag).and_then(|e| e.to_int::<usize>().ok());
    let allocated = count(tags::BITS_ALLOCATED).unwrap_or(16);
    let stored = count(tags::BITS_STORED).unwrap_or(allocated);
    let high = count(tags::HIGH_BIT).unwrap_or(stored.saturating_sub(1));
    if ![8, 16, 32].contains(&allocated) || !(1..=allocated).contains(&stored) {
        return Err(format!(
            "its pixels have {stored} of {allocated} bits; 8, 16 and 32 are read: convert it (dcm2niix)"
        )
        .into());
    }
    if !(stored - 1..allocated).contains(&high) {
        return Err(
            format!("its HighBit is {high}, but it stores {stored} of {allocated} bits; correct its header").into()
        );
    }
    let signed = count(tags::PIXEL_REPRESENTATION).unwrap_or(0) == 1;
    let bits = Bits { word: allocated / 8, stored, high, signed };
    let ([slope, intercept], given) = rescaling(&file, doubts)?;
    let bytes = bytes(&mut file, shape, bits)?;
    Ok(Image { bytes, bits, slope, intercept, given })
}

/// Slope and intercept, and whether each is given; warns of what changes the meaning of values and is not applied.
fn rescaling(file: &DicomFile, doubts: &mut Vec<String>) -> Parsed<([f64; 2], [bool; 2])> {
    let slope = number(file, tags::RESCALE_SLOPE, "RescaleSlope")?;
    let intercept = number(file, tags::RESCALE_INTERCEPT, "RescaleIntercept")?;
    let given = [slope.is_some(), intercept.is_some()];
    let (slope, intercept) = (slope.unwrap_or(1.0), intercept.unwrap_or(0.0));
    if text(&file.object, tags::PHOTOMETRIC_INTERPRETATION).as_deref() == Some("MONOCHROME1") {
        doubt(doubts, "its images are MONOCHROME1: low values are meant to be shown bright; they are kept as stored");
    }
    if file.has_table {
        doubt(doubts, "its values mean something by a table (ModalityLUTSequence), which is not applied");
    }
    if slope == 0.0 || !slope.is_finite() || !intercept.is_finite() {
        doubt(doubts, "its RescaleSlope and RescaleIntercept are no scaling; the stored values are taken");
        return Ok(([1.0, 0.0], [false; 2]));
    }
    Ok(([slope, intercept], given))
}

/// The number of an element; None where it is missing or empty.
fn number(file: &DicomFile, tag: Tag, name: &str) -> Parsed<Option<f64>> {
    if let Some([number]) = numbers::<1>(&file.object, tag) {
        return Ok(Some(number));
    }
    match text(&file.object, tag).filter(|text| !text.is_empty()) {
        Some(text) => Err(format!("its {name} is \"{text}\", must be a number; correct its header").into()),
        None => Ok(None),
    }
}

/// The pixels' bytes, little-endian; else the reason why they cannot be read.
fn bytes(file: &mut DicomFile, shape: [usize; 2], bits: Bits) -> Parsed<Vec<u8>> {
    let name = file.syntax.clone();
    if name == uids::RLE_LOSSLESS {
        return rle(&file.fragments()?, shape[0] * shape[1], bits.word);
    }
    let Some(syntax) = TransferSyntaxRegistry.get(&name) else {
        return Err(
            format!("its transfer syntax {name} is not known; decompress the series first (gdcmconv --raw)").into()
        );
    };
    match syntax.codec() {
        Codec::None | Codec::Dataset(_) => file.native(shape[0] * shape[1] * bits.word, bits.word),
        Codec::EncapsulatedPixelData(Some(reader), _) => decoded(file, reader.as_ref(), shape, bits),
        Codec::EncapsulatedPixelData(None, _) => Err(format!(
            "its pixels are compressed as {}, which is not supported; decompress the series first (gdcmconv --raw, \
             dcmdjpls) or convert it (dcm2niix)",
            syntax.name()
        )
        .into()),
    }
}

/// Decodes compressed pixels, after checks of what the decoder asks memory for.
fn decoded(file: &mut DicomFile, reader: &dyn PixelDataReader, shape: [usize; 2], bits: Bits) -> Parsed<Vec<u8>> {
    let fragments = file.fragments()?;
    let there: usize = fragments.iter().map(Vec::len).sum();
    let pixels = shape[0] * shape[1];
    if pixels * bits.word / MOST_PER_BYTE > there {
        return Err(cut_off(there as u64, pixels * bits.word));
    }
    let mut object = std::mem::replace(&mut file.object, InMemDicomObject::new_empty());
    let mut word = bits.word;
    if let Some(frame) = jpeg_frame(&fragments.concat()) {
        frame.check(shape, bits)?;
        // The decoder takes this for the size of its own samples.
        word = frame.word();
        object.put(DataElement::new(tags::BITS_ALLOCATED, VR::US, PrimitiveValue::from(8 * word as u16)));
    }
    let wanted = pixels * word;
    let meta = FileMetaTableBuilder::new()
        .transfer_syntax(&file.syntax)
        .media_storage_sop_class_uid("1.2.840.10008.5.1.4.1.1.7")
        .media_storage_sop_instance_uid("1.2.3")
        .build()
        .map_err(|e| causes(&e))?;
    object.put(DataElement::new(tags::PIXEL_DATA, VR::OB, PixelFragmentSequence::new_fragments(fragments)));
    let object = object.with_exact_meta(meta);
    let mut bytes = guarded(|| {
        let mut bytes = Vec::new();
        let decode = reader.decode(&object, &mut bytes);
        decode
            .map_err(|e| format!("its pixels cannot be decoded ({}); copy it once more or convert it", causes(&e)))?;
        Ok(bytes)
    })?;
    if bytes.len() < wanted {
        return Err(cut_off(bytes.len() as u64, wanted));
    }
    bytes.truncate(wanted);
    if word == bits.word {
        return Ok(bytes);
    }
    let mut wide = reserve(pixels * bits.word)?;
    wide.extend(bytes.iter().flat_map(|byte| [*byte, 0]));
    Ok(wide)
}

/// Decodes RLE Lossless into little-endian words: a header of 16 numbers (how many segments, where each begins), and a
/// segment for each byte of a pixel, the most significant first.
fn rle(fragments: &[Vec<u8>], pixels: usize, word: usize) -> Parsed<Vec<u8>> {
    let [data] = fragments else {
        return Err(format!(
            "its RLE data have {} fragments, must be one for its one image; copy it once more or convert it (dcm2niix)",
            fragments.len()
        )
        .into());
    };
    let header = data.get(..64).ok_or(RLE_DAMAGED)?;
    let header: Vec<usize> =
        header.chunks_exact(4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]) as usize).collect();
    if header[0] != word {
        return Err(format!(
            "its RLE data have {} segments, but its pixels have {word} bytes; copy it once more or convert it \
             (dcm2niix)",
            header[0]
        )
        .into());
    }
    if pixels * word / MOST_PER_BYTE > data.len() {
        return Err(cut_off(data.len() as u64, pixels * word));
    }
    let mut bytes = reserve(pixels * word)?;
    bytes.resize(pixels * word, 0);
    for k in 0..word {
        let end = if k + 1 < word { header[k + 2] } else { data.len() };
        let segment = data.get(header[k + 1]..end).filter(|_| header[k + 1] >= 64).ok_or(RLE_DAMAGED)?;
        unpack(segment, &mut bytes[word - 1 - k..], word)?;
    }
    Ok(bytes)
}

/// Unpacks a segment of RLE data (PackBits) into every `step`th byte of `into`; what goes beyond it is ignored.
fn unpack(mut segment: &[u8], into: &mut [u8], step: usize) -> Parsed<()> {
    let mut left = into.len().div_ceil(step);
    let mut places = into.iter_mut().step_by(step);
    while left > 0 {
        let (head, rest) = segment.split_first().ok_or(RLE_DAMAGED)?;
        let count = match *head {
            0..=127 => {
                let (run, after) = rest.split_at_checked(usize::from(*head) + 1).ok_or(RLE_DAMAGED)?;
                run.iter().zip(places.by_ref()).for_each(|(byte, place)| *place = *byte);
                segment = after;
                run.len()
            }
            // Means nothing.
            128 => {
                segment = rest;
                0
            }
            129..=255 => {
                let (byte, after) = rest.split_first().ok_or(RLE_DAMAGED)?;
                let count = 257 - usize::from(*head);
                places.by_ref().take(count).for_each(|place| *place = *byte);
                segment = after;
                count
            }
        };
        left = left.saturating_sub(count);
    }
    Ok(())
}

/// The frame header of JPEG data.
struct JpegFrame {
    /// Bits of a sample.
    precision: u8,
    /// Rows and columns.
    shape: [usize; 2],
    /// Samples of a pixel.
    samples: u8,
}

impl JpegFrame {
    /// Bytes of a sample that the decoder gives.
    fn word(&self) -> usize {
        if self.precision == 8 { 1 } else { 2 }
    }

    /// Refuses a frame that is not what the header of the file announces.
    fn check(&self, shape: [usize; 2], bits: Bits) -> Parsed<()> {
        if self.shape != shape {
            return Err(format!(
                "its header announces {} x {} pixels, its JPEG data hold {} x {}; convert the series (dcm2niix)",
                shape[1], shape[0], self.shape[1], self.shape[0]
            )
            .into());
        }
        if self.samples != 1 {
            return Err(format!(
                "its JPEG data have {} values a pixel, its header announces one; convert the series (gdcmconv --raw)",
                self.samples
            )
            .into());
        }
        // A byte becomes a word of 16 bits where it holds all stored bits.
        if self.word() == bits.word || ((self.word(), bits.word) == (1, 2) && bits.high < 8) {
            return Ok(());
        }
        Err(format!(
            "its JPEG data have {} bits a pixel, its header announces {} of {} (HighBit {}); convert the series \
             (gdcmconv --raw)",
            self.precision,
            bits.stored,
            8 * bits.word,
            bits.high
        )
        .into())
    }
}

/// The frame header of JPEG data, found as the decoder finds it.
fn jpeg_frame(data: &[u8]) -> Option<JpegFrame> {
    if !data.starts_with(&[0xff, 0xd8]) {
        return None;
    }
    let mut at = 2;
    loop {
        let &[marker, code] = data.get(at..at + 2)? else { return None };
        match (marker, code) {
            // Fill bytes, what lies between markers, and markers without length.
            (0xff, 0xff) | (0..=0xfe, _) => at += 1,
            (_, 0 | 0x01 | 0xd0..=0xd8) => at += 2,
            // Frames: all but the tables for Huffman and arithmetic coding, and a reserved one.
            (_, 0xc0..=0xcf) if ![0xc4, 0xc8, 0xcc].contains(&code) => {
                let &[precision, a, b, c, d, samples] = data.get(at + 4..at + 10)? else { return None };
                let shape = [[a, b], [c, d]].map(|b| u16::from_be_bytes(b).into());
                return Some(JpegFrame { precision, shape, samples });
            }
            _ => at += 2 + usize::from(u16::from_be_bytes([*data.get(at + 2)?, *data.get(at + 3)?])),
        }
    }
}
