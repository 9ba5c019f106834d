//! Values of the pixels of a DICOM series: stored bits, rescaled by each image's header.

use super::super::source::{Parsed, guarded, reserve};
use super::file::{self, DicomFile, Opened, causes, cut_off, text};
use crate::error::{Error, Result};
use crate::volume::VoxelData;
use dicom_core::value::PixelFragmentSequence;
use dicom_core::{DataElement, VR};
use dicom_dictionary_std::{tags, uids};
use dicom_encoding::adapters::PixelDataReader;
use dicom_encoding::transfer_syntax::{Codec, TransferSyntaxIndex};
use dicom_object::{FileMetaTableBuilder, InMemDicomObject, Tag};
use dicom_transfer_syntax_registry::TransferSyntaxRegistry;
use std::path::Path;

/// Most bytes of pixels that a byte of compressed data stands for. Chosen: no more than deflate has.
const MOST_PER_BYTE: usize = 1032;

/// Stored values of one image and how they are rescaled.
struct Image {
    stored: Vec<i64>,
    slope: f64,
    intercept: f64,
}

/// The rescaled values of all images of `shape` (rows, columns) one after the other: 16 or 32 bit integers where they
/// are integers, else f32.
///
/// # Errors
/// [`Error::BadFile`] naming the file that cannot be decoded, [`Error::OutOfMemory`].
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
    let whole = images.iter().all(|i| i.slope == 1.0 && i.intercept.fract() == 0.0);
    if !whole {
        let rescaled = |i: &Image| {
            let (slope, intercept) = (i.slope, i.intercept);
            i.stored.iter().map(move |&v| (v as f64 * slope + intercept) as f32).collect::<Vec<_>>()
        };
        return Ok(VoxelData::F32(images.iter().flat_map(rescaled).collect()));
    }
    let values = || images.iter().flat_map(|i| i.stored.iter().map(|&v| v.saturating_add(i.intercept as i64)));
    let (low, high) = values().fold((i64::MAX, i64::MIN), |(a, b), v| (a.min(v), b.max(v)));
    Ok(if low >= i64::from(i16::MIN) && high <= i64::from(i16::MAX) {
        VoxelData::I16(values().map(|v| v as i16).collect())
    } else if low >= 0 && high <= i64::from(u16::MAX) {
        VoxelData::U16(values().map(|v| v as u16).collect())
    } else if low >= i64::from(i32::MIN) && high <= i64::from(i32::MAX) {
        VoxelData::I32(values().map(|v| v as i32).collect())
    } else {
        VoxelData::F64(values().map(|v| v as f64).collect())
    })
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
    let (slope, intercept) = rescaling(&file, doubts);
    let pixels = shape[0] * shape[1];
    let bytes = bytes(&mut file, shape, allocated / 8)?;
    let raw = |i: usize| -> u32 {
        let at = |k: usize| u32::from(bytes[i * allocated / 8 + k]);
        match allocated {
            8 => at(0),
            16 => at(0) | at(1) << 8,
            _ => at(0) | at(1) << 8 | at(2) << 16 | at(3) << 24,
        }
    };
    // Bits above the stored ones may hold anything; those below are no part of the value.
    let (above, unused) = (31 - high as u32, 32 - stored as u32);
    let value = |v: u32| match signed {
        true => i64::from(((v << above) as i32) >> unused),
        false => i64::from((v << above) >> unused),
    };
    let mut values = reserve(pixels)?;
    values.extend((0..pixels).map(|i| value(raw(i))));
    Ok(Image { stored: values, slope, intercept })
}

/// Slope and intercept; warns of what changes the meaning of values and is not applied.
fn rescaling(file: &DicomFile, doubts: &mut Vec<String>) -> (f64, f64) {
    let number = |tag: Tag, default: f64| file.object.get(tag).and_then(|e| e.to_float64().ok()).unwrap_or(default);
    let (slope, intercept) = (number(tags::RESCALE_SLOPE, 1.0), number(tags::RESCALE_INTERCEPT, 0.0));
    if text(&file.object, tags::PHOTOMETRIC_INTERPRETATION).as_deref() == Some("MONOCHROME1") {
        doubt(doubts, "its images are MONOCHROME1: low values are meant to be shown bright; they are kept as stored");
    }
    if file.has_table {
        doubt(doubts, "its values mean something by a table (ModalityLUTSequence), which is not applied");
    }
    if slope == 0.0 || !slope.is_finite() || !intercept.is_finite() {
        doubt(doubts, "its RescaleSlope and RescaleIntercept are no scaling; the stored values are taken");
        return (1.0, 0.0);
    }
    (slope, intercept)
}

/// The pixels' bytes, little-endian; else the reason why they cannot be read.
fn bytes(file: &mut DicomFile, shape: [usize; 2], word: usize) -> Parsed<Vec<u8>> {
    let wanted = shape[0] * shape[1] * word;
    let name = file.syntax.clone();
    let Some(syntax) = TransferSyntaxRegistry.get(&name) else {
        return Err(
            format!("its transfer syntax {name} is not known; decompress the series first (gdcmconv --raw)").into()
        );
    };
    match syntax.codec() {
        Codec::None | Codec::Dataset(_) => file.native(wanted, word),
        Codec::EncapsulatedPixelData(Some(reader), _) => decoded(file, reader.as_ref(), shape, wanted),
        Codec::EncapsulatedPixelData(None, _) => Err(format!(
            "its pixels are compressed as {}, which is not supported; decompress the series first (gdcmconv --raw, \
             dcmdjpls) or convert it (dcm2niix)",
            syntax.name()
        )
        .into()),
    }
}

/// Decodes compressed pixels, after checks of what the decoder asks memory for.
fn decoded(file: &mut DicomFile, reader: &dyn PixelDataReader, shape: [usize; 2], wanted: usize) -> Parsed<Vec<u8>> {
    let fragments = file.fragments()?;
    let there: usize = fragments.iter().map(Vec::len).sum();
    if wanted / MOST_PER_BYTE > there {
        return Err(cut_off(there as u64, wanted));
    }
    if let Some(other) = jpeg_size(&fragments.concat()).filter(|size| *size != shape) {
        return Err(format!(
            "its header announces {} x {} pixels, its JPEG data hold {} x {}; convert the series (dcm2niix)",
            shape[1], shape[0], other[1], other[0]
        )
        .into());
    }
    if file.syntax == uids::RLE_LOSSLESS && !fragments.iter().all(|f| is_rle(f)) {
        return Err("its RLE data are damaged; copy it once more or convert it (dcm2niix)".into());
    }
    let meta = FileMetaTableBuilder::new()
        .transfer_syntax(&file.syntax)
        .media_storage_sop_class_uid("1.2.840.10008.5.1.4.1.1.7")
        .media_storage_sop_instance_uid("1.2.3")
        .build()
        .map_err(|e| causes(&e))?;
    let mut object = std::mem::replace(&mut file.object, InMemDicomObject::new_empty());
    object.put(DataElement::new(tags::PIXEL_DATA, VR::OB, PixelFragmentSequence::new_fragments(fragments)));
    let object = object.with_exact_meta(meta);
    let bytes = guarded(|| {
        let mut bytes = Vec::new();
        let decode = reader.decode(&object, &mut bytes);
        decode
            .map_err(|e| format!("its pixels cannot be decoded ({}); copy it once more or convert it", causes(&e)))?;
        Ok(bytes)
    })?;
    if bytes.len() < wanted { Err(cut_off(bytes.len() as u64, wanted)) } else { Ok(bytes) }
}

/// Whether the header of RLE data names 1 to 15 segments that lie in them, one after the other.
fn is_rle(data: &[u8]) -> bool {
    let Some(header) = data.get(..64) else { return false };
    let mut fields = header.chunks_exact(4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]) as usize);
    let segments = fields.next().unwrap_or(0);
    let offsets: Vec<usize> = fields.take(segments).collect();
    (1..=15).contains(&segments)
        && offsets.is_sorted()
        && offsets.iter().all(|offset| (64..=data.len()).contains(offset))
}

/// Rows and columns in the frame header of JPEG data.
fn jpeg_size(data: &[u8]) -> Option<[usize; 2]> {
    if !data.starts_with(&[0xff, 0xd8]) {
        return None;
    }
    let mut at = 2;
    loop {
        let &[marker, code] = data.get(at..at + 2)? else { return None };
        if marker != 0xff {
            return None;
        }
        match code {
            // Fill bytes, and markers without length.
            0xff => at += 1,
            0x01 | 0xd0..=0xd8 => at += 2,
            // Frames: all but the tables for Huffman and arithmetic coding, and a reserved one.
            0xc0..=0xcf if ![0xc4, 0xc8, 0xcc].contains(&code) => {
                let size = data.get(at + 5..at + 9)?;
                return Some([[size[0], size[1]], [size[2], size[3]]].map(|b| u16::from_be_bytes(b).into()));
            }
            _ => at += 2 + usize::from(u16::from_be_bytes([*data.get(at + 2)?, *data.get(at + 3)?])),
        }
    }
}
