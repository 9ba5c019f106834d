//! Values of the pixels of a DICOM series: stored bits, rescaled by each image's header.

use crate::error::{Error, Result};
use crate::volume::VoxelData;
use dicom_dictionary_std::tags;
use dicom_encoding::transfer_syntax::{Codec, TransferSyntaxIndex};
use dicom_object::{DefaultDicomObject, OpenFileOptions, Tag};
use dicom_transfer_syntax_registry::TransferSyntaxRegistry;
use std::path::Path;

/// Stored values of one image and how they are rescaled.
struct Image {
    stored: Vec<i64>,
    slope: f64,
    intercept: f64,
}

/// The rescaled values of all images one after the other: 16 or 32 bit integers where they are integers, else f32.
///
/// # Errors
/// [`Error::BadFile`] naming the file that cannot be decoded.
pub(super) fn read(files: &[&Path], pixels: usize) -> Result<VoxelData> {
    let images: Vec<Image> = files.iter().map(|file| image(file, pixels)).collect::<Result<_>>()?;
    let whole = images.iter().all(|i| i.slope == 1.0 && i.intercept.fract() == 0.0);
    if !whole {
        let rescaled = |i: &Image| {
            let (slope, intercept) = (i.slope, i.intercept);
            i.stored.iter().map(move |&v| (v as f64 * slope + intercept) as f32).collect::<Vec<_>>()
        };
        return Ok(VoxelData::F32(images.iter().flat_map(rescaled).collect()));
    }
    let values = || images.iter().flat_map(|i| i.stored.iter().map(|&v| v + i.intercept as i64));
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

fn image(file: &Path, pixels: usize) -> Result<Image> {
    let bad = |text: String| Error::bad_file(file, text);
    let object = OpenFileOptions::new()
        .open_file(file)
        .map_err(|e| bad(format!("this DICOM file cannot be read ({})", causes(&e))))?;
    let count = |tag: Tag, default: usize| object.get(tag).and_then(|e| e.to_int::<usize>().ok()).unwrap_or(default);
    let number = |tag: Tag, default: f64| object.get(tag).and_then(|e| e.to_float64().ok()).unwrap_or(default);
    let allocated = count(tags::BITS_ALLOCATED, 16);
    let stored = count(tags::BITS_STORED, allocated);
    if ![8, 16, 32].contains(&allocated) || !(1..=allocated).contains(&stored) {
        return Err(bad(format!("its pixels have {stored} of {allocated} bits; 8, 16 and 32 are read")));
    }
    let signed = count(tags::PIXEL_REPRESENTATION, 0) == 1;
    let bytes = bytes(&object).map_err(bad)?;
    if bytes.len() < pixels * allocated / 8 {
        return Err(bad(format!(
            "it is cut off: {} bytes of pixels where its header announces {}; copy it once more",
            bytes.len(),
            pixels * allocated / 8
        )));
    }
    let raw = |i: usize| -> u32 {
        let at = |k: usize| u32::from(bytes[i * allocated / 8 + k]);
        match allocated {
            8 => at(0),
            16 => at(0) | at(1) << 8,
            _ => at(0) | at(1) << 8 | at(2) << 16 | at(3) << 24,
        }
    };
    // Bits above the stored ones may hold anything.
    let unused = 32 - stored as u32;
    let value = |v: u32| match signed {
        true => i64::from(((v << unused) as i32) >> unused),
        false => i64::from((v << unused) >> unused),
    };
    Ok(Image {
        stored: (0..pixels).map(|i| value(raw(i))).collect(),
        slope: number(tags::RESCALE_SLOPE, 1.0),
        intercept: number(tags::RESCALE_INTERCEPT, 0.0),
    })
}

/// The pixels' bytes, little-endian; else the reason why they cannot be read.
fn bytes(object: &DefaultDicomObject) -> std::result::Result<Vec<u8>, String> {
    let name = object.meta().transfer_syntax();
    let syntax = TransferSyntaxRegistry.get(name).ok_or_else(|| format!("its transfer syntax {name} is not known"))?;
    match syntax.codec() {
        Codec::None | Codec::Dataset(_) => {
            let element = object.get(tags::PIXEL_DATA).ok_or("it holds no pixels")?;
            Ok(element.to_bytes().map_err(|e| causes(&e))?.into_owned())
        }
        Codec::EncapsulatedPixelData(Some(reader), _) => {
            let mut bytes = Vec::new();
            reader.decode(object, &mut bytes).map_err(|e| format!("its pixels cannot be decoded ({})", causes(&e)))?;
            Ok(bytes)
        }
        Codec::EncapsulatedPixelData(None, _) => Err(format!(
            "its pixels are compressed as {}, which is not supported; decompress the series first (gdcmconv --raw, \
             dcmdjpls) or convert it (dcm2niix)",
            syntax.name()
        )),
    }
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
