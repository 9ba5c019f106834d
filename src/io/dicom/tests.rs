use super::*;
use crate::volume::VoxelData;
use dicom_core::{DataElement, PrimitiveValue, VR};
use dicom_object::FileMetaTableBuilder;

/// What one file of a series is to hold.
struct File {
    series: &'static str,
    position: [f64; 3],
    orientation: [f64; 6],
    pixels: Vec<u16>,
    intercept: &'static str,
    slope: &'static str,
    bits: u16,
    signed: bool,
}

/// Two rows and three columns, oblique, slices 2.5 mm apart.
fn file(k: usize) -> File {
    let normal = [0.0, -0.6, 0.8];
    File {
        series: "1.2.3",
        position: std::array::from_fn(|i| [-10.0, 20.0, 5.0][i] + 2.5 * k as f64 * normal[i]),
        orientation: [1.0, 0.0, 0.0, 0.0, 0.8, 0.6],
        pixels: (0..6).map(|i| (100 * k + i) as u16).collect(),
        intercept: "-1024",
        slope: "1",
        bits: 16,
        signed: false,
    }
}

fn write(folder: &Path, name: &str, file: &File) {
    let mut object = InMemDicomObject::new_empty();
    let mut put = |tag, vr, value: PrimitiveValue| {
        object.put(DataElement::new(tag, vr, value));
    };
    let decimals = |v: &[f64]| PrimitiveValue::from(v.iter().map(|x| x.to_string()).collect::<Vec<_>>().join("\\"));
    put(tags::SOP_CLASS_UID, VR::UI, "1.2.840.10008.5.1.4.1.1.2".into());
    put(tags::SOP_INSTANCE_UID, VR::UI, format!("1.2.3.4.{}", name.len()).into());
    put(tags::SERIES_INSTANCE_UID, VR::UI, file.series.into());
    put(tags::SERIES_DESCRIPTION, VR::LO, format!("series {}", file.series).into());
    put(tags::ROWS, VR::US, 2u16.into());
    put(tags::COLUMNS, VR::US, 3u16.into());
    put(tags::PIXEL_SPACING, VR::DS, decimals(&[0.5, 0.75]));
    put(tags::IMAGE_POSITION_PATIENT, VR::DS, decimals(&file.position));
    put(tags::IMAGE_ORIENTATION_PATIENT, VR::DS, decimals(&file.orientation));
    put(tags::BITS_ALLOCATED, VR::US, 16u16.into());
    put(tags::BITS_STORED, VR::US, file.bits.into());
    put(tags::PIXEL_REPRESENTATION, VR::US, u16::from(file.signed).into());
    put(tags::RESCALE_INTERCEPT, VR::DS, file.intercept.into());
    put(tags::RESCALE_SLOPE, VR::DS, file.slope.into());
    put(tags::PIXEL_DATA, VR::OW, PrimitiveValue::U16(file.pixels.clone().into()));
    let meta = FileMetaTableBuilder::new().transfer_syntax("1.2.840.10008.1.2.1");
    object.with_meta(meta).unwrap().write_to_file(folder.join(name)).unwrap();
}

fn folder(files: &[(&str, File)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    files.iter().for_each(|(name, file)| write(folder.path(), name, file));
    folder
}

fn refusal(files: &[(&str, File)]) -> String {
    read(folder(files).path()).unwrap_err().to_string()
}

#[test]
fn a_series_is_sorted_by_place_and_rescaled() {
    // Names in another order than places; something else beside them.
    let folder = folder(&[("a", file(2)), ("b.dcm", file(0)), ("c", file(1))]);
    std::fs::write(folder.path().join("notes.txt"), "not DICOM").unwrap();
    let volume = read(folder.path()).unwrap();
    assert_eq!(volume.shape(), [3, 2, 3]);
    let expected: Vec<i16> = (0..18).map(|i| 100 * (i / 6) + i % 6 - 1024).collect();
    assert_eq!(volume.data(), &VoxelData::I16(expected));
    let g = volume.geometry();
    assert_eq!((g.spacing_mm.map(|s| (s * 1e6).round() / 1e6), g.origin_mm), ([2.5, 0.5, 0.75], [-10.0, 20.0, 5.0]));
    for (d, wanted) in g.direction.iter().flatten().zip([0.0, -0.6, 0.8, 0.0, 0.8, 0.6, 1.0, 0.0, 0.0]) {
        assert!((d - wanted).abs() < 1e-9, "{:?}", g.direction);
    }
    // One of its files means the same.
    assert_eq!(crate::io::read_volume(&folder.path().join("c")).unwrap().data(), volume.data());
}

#[test]
fn stored_bits_signs_and_slopes_count() {
    // 12 bits, signed: 0xFFF is -1, whatever is above.
    let signed =
        File { pixels: vec![0xFFF, 0xF7FF, 0x800, 1, 2, 3], bits: 12, signed: true, intercept: "0", ..file(0) };
    assert_eq!(read(folder(&[("a", signed)]).path()).unwrap().data(), &VoxelData::I16(vec![-1, 2047, -2048, 1, 2, 3]));
    let pet = File { slope: "0.5", intercept: "0", ..file(0) };
    let volume = read(folder(&[("a", pet)]).path()).unwrap();
    assert_eq!(volume.data(), &VoxelData::F32(vec![0.0, 0.5, 1.0, 1.5, 2.0, 2.5]));
}

#[test]
fn what_is_no_volume_is_refused_with_the_reason() {
    assert!(refusal(&[]).contains("no DICOM images"));
    let two = refusal(&[("a", file(0)), ("b", File { series: "9.9", ..file(1) })]);
    assert!(two.contains("2 series") && two.contains("series 9.9") && two.contains("give one file"), "{two}");
    assert!(refusal(&[("a", file(0)), ("b", file(1)), ("c", file(3))]).contains("slices are missing"));
    assert!(refusal(&[("a", file(0)), ("b", file(0))]).contains("one place"));
    let turned = File { orientation: [0.0, 1.0, 0.0, 0.0, 0.0, 1.0], ..file(1) };
    assert!(refusal(&[("a", file(0)), ("b", turned)]).contains("localiser"));
    let mut tilted = file(1);
    tilted.position[0] += 1.0;
    assert!(refusal(&[("a", file(0)), ("b", tilted)]).contains("tilted"));
    let cut = File { pixels: vec![1, 2], ..file(0) };
    assert!(refusal(&[("a", cut)]).contains("cut off"));
}
