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

/// The elements of a file, without pixels.
fn object(name: &str, file: &File) -> InMemDicomObject {
    let mut object = InMemDicomObject::new_empty();
    let mut put = |tag, vr, value: PrimitiveValue| {
        object.put(DataElement::new(tag, vr, value));
    };
    let decimals = |v: &[f64]| PrimitiveValue::from(v.iter().map(|x| x.to_string()).collect::<Vec<_>>().join("\\"));
    put(tags::SOP_CLASS_UID, VR::UI, "1.2.840.10008.5.1.4.1.1.2".into());
    put(tags::SOP_INSTANCE_UID, VR::UI, format!("1.2.3.4.{}", name.bytes().map(u32::from).sum::<u32>()).into());
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
    object
}

fn write(folder: &Path, name: &str, file: &File) {
    let pixels = PrimitiveValue::U16(file.pixels.clone().into());
    write_object(folder, name, object(name, file), DataElement::new(tags::PIXEL_DATA, VR::OW, pixels), NATIVE);
}

const NATIVE: &str = "1.2.840.10008.1.2.1";
const RLE: &str = "1.2.840.10008.1.2.5";
const JPEG_LOSSLESS: &str = "1.2.840.10008.1.2.4.70";

fn write_object(
    folder: &Path,
    name: &str,
    mut object: InMemDicomObject,
    pixels: DataElement<InMemDicomObject>,
    syntax: &str,
) {
    object.put(pixels);
    let meta = FileMetaTableBuilder::new().transfer_syntax(syntax);
    object.with_meta(meta).unwrap().write_to_file(folder.join(name)).unwrap();
}

/// What a user is warned about.
fn doubts(folder: &Path) -> String {
    load(folder).unwrap().1.join("\n")
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

#[test]
fn files_that_deviate_from_the_standard_are_read_as_by_itk() {
    let stored: Vec<i16> = (0..6).map(|i| i - 1024).collect();
    let read_bytes = |bytes: &[u8]| {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a"), bytes).unwrap();
        let as_file = crate::io::read_volume(&folder.path().join("a")).map(|v| v.data().clone());
        assert_eq!(as_file.unwrap(), read(folder.path()).unwrap().data().clone());
        read(folder.path()).unwrap().data().clone()
    };
    let good = std::fs::read(folder(&[("a", file(0))]).path().join("a")).unwrap();
    // The length of the meta group: 12 bytes behind the prefix.
    assert_eq!(&good[132..136], &[2, 0, 0, 0]);
    assert_eq!(read_bytes(&[&good[..132], &good[144..]].concat()), VoxelData::I16(stored.clone()));
    // An empty version: element (0002,0001) of 2 bytes, behind 12 bytes of its header.
    assert_eq!(&good[144..148], &[2, 0, 1, 0]);
    let mut empty = good.clone();
    empty[152..156].copy_from_slice(&[0; 4]);
    empty.drain(156..158);
    assert_eq!(read_bytes(&empty), VoxelData::I16(stored.clone()));
    // No prefix: implicit elements alone, and the meta group without its 132 bytes.
    let mut bare = Vec::new();
    let implicit = dicom_transfer_syntax_registry::entries::IMPLICIT_VR_LITTLE_ENDIAN.erased();
    let mut elements = object("a", &file(0));
    let pixels = PrimitiveValue::U16(file(0).pixels.into());
    elements.put(DataElement::new(tags::PIXEL_DATA, VR::OW, pixels));
    elements.write_dataset_with_ts(&mut bare, &implicit).unwrap();
    assert_eq!(read_bytes(&bare), VoxelData::I16(stored.clone()));
    assert_eq!(read_bytes(&good[132..]), VoxelData::I16(stored));
}

#[test]
fn a_bad_file_beside_a_series_is_left_out_by_name() {
    let series = || folder(&[("a", file(0)), ("b", file(1)), ("c", file(2))]);
    let (broken, other, inside) = (series(), series(), series());
    std::fs::write(broken.path().join("report.dcm"), [&[0; 128][..], b"DICM", &[0xff; 60]].concat()).unwrap();
    assert!(doubts(broken.path()).contains("report.dcm"), "{}", doubts(broken.path()));
    // Several frames: in a series of its own, and in the same one.
    for (place, uid) in [(&other, "7.7"), (&inside, "1.2.3")] {
        let mut frames = object("frames", &File { series: uid, ..file(0) });
        frames.put(DataElement::new(tags::NUMBER_OF_FRAMES, VR::IS, PrimitiveValue::from("3")));
        let pixels = DataElement::new(tags::PIXEL_DATA, VR::OW, PrimitiveValue::U16(vec![0; 18].into()));
        write_object(place.path(), "frames", frames, pixels, NATIVE);
        assert_eq!(read(place.path()).unwrap().shape(), [3, 2, 3], "{uid}");
    }
    assert!(doubts(inside.path()).contains("frames: it holds several frames"));
    // A file that is cut off belongs to the series.
    let bytes = std::fs::read(inside.path().join("b")).unwrap();
    std::fs::write(inside.path().join("b"), &bytes[..bytes.len() - 5]).unwrap();
    let text = read(inside.path()).unwrap_err().to_string();
    assert!(text.contains("cut off") && text.contains("copy it once more"), "{text}");
}

#[test]
fn elements_that_change_the_meaning_of_values_are_used_or_reported() {
    let with = |change: &dyn Fn(&mut InMemDicomObject)| {
        let folder = tempfile::tempdir().unwrap();
        let mut elements = object("a", &File { intercept: "0", ..file(0) });
        change(&mut elements);
        let pixels = PrimitiveValue::U16(vec![0x10, 0x20, 0x30, 0x40, 0x50, 0x60].into());
        write_object(folder.path(), "a", elements, DataElement::new(tags::PIXEL_DATA, VR::OW, pixels), NATIVE);
        let (volume, doubts) = load(folder.path()).unwrap();
        (volume.data().clone(), doubts.join("\n"))
    };
    let put = |o: &mut InMemDicomObject, tag, vr, value: PrimitiveValue| drop(o.put(DataElement::new(tag, vr, value)));
    let as_stored = VoxelData::I16(vec![0x10, 0x20, 0x30, 0x40, 0x50, 0x60]);
    let (values, warned) = with(&|o| put(o, tags::RESCALE_SLOPE, VR::DS, "0".into()));
    assert_eq!(values, as_stored);
    assert!(warned.contains("RescaleSlope"), "{warned}");
    let (values, warned) = with(&|o| put(o, tags::PHOTOMETRIC_INTERPRETATION, VR::CS, "MONOCHROME1".into()));
    assert_eq!(values, as_stored);
    assert!(warned.contains("MONOCHROME1"), "{warned}");
    // 8 bits stored from bit 11 down to bit 4.
    let (values, _) = with(&|o| {
        put(o, tags::BITS_STORED, VR::US, 8u16.into());
        put(o, tags::HIGH_BIT, VR::US, 11u16.into());
    });
    assert_eq!(values, VoxelData::I16(vec![1, 2, 3, 4, 5, 6]));
    let (_, warned) = with(&|o| put(o, tags::SPACING_BETWEEN_SLICES, VR::DS, "2.5".into()));
    assert!(!warned.contains("1 mm"), "{warned}");
    assert!(with(&|_| {}).1.contains("1 mm is taken"));
}

#[test]
fn lengths_that_a_file_only_claims_ask_for_no_memory() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "a", &file(0));
    let bytes = std::fs::read(folder.path().join("a")).unwrap();
    // The series' description (0008,103e), now of nearly 4 GB.
    let at = bytes.windows(4).position(|w| w == [8, 0, 0x3e, 0x10]).unwrap();
    let element = [&[8, 0, 0x3e, 0x10][..], b"UT\0\0", &0xffff_0000u32.to_le_bytes(), b"x"].concat();
    std::fs::write(folder.path().join("a"), [&bytes[..at], &element, &bytes[at..]].concat()).unwrap();
    let text = read(&folder.path().join("a")).unwrap_err().to_string();
    assert!(text.contains("more than the rest of the file"), "{text}");
}

#[test]
fn damaged_compressed_pixels_are_an_error() {
    let refused = |syntax: &str, fragment: Vec<u8>| {
        let folder = tempfile::tempdir().unwrap();
        let pixels = dicom_core::value::PixelFragmentSequence::new_fragments(vec![fragment]);
        let pixels = DataElement::new(tags::PIXEL_DATA, VR::OB, pixels);
        let mut elements = object("a", &file(0));
        elements.put(DataElement::new(tags::SAMPLES_PER_PIXEL, VR::US, PrimitiveValue::from(1u16)));
        write_object(folder.path(), "a", elements, pixels, syntax);
        read(folder.path()).unwrap_err().to_string()
    };
    // Segments that begin behind the data, or too many of them; a packed run without its end.
    for head in [[255u8, 255, 255, 127], [2, 0, 0, 0]] {
        for offset in [64u32, 1 << 31, u32::MAX] {
            let mut rle = vec![0; 66];
            rle[..4].copy_from_slice(&head);
            (1..16).for_each(|i| rle[4 * i..4 * i + 4].copy_from_slice(&offset.to_le_bytes()));
            rle.extend([127, 1]);
            assert!(refused(RLE, rle).contains("a: "), "{offset}");
        }
    }
    // A JPEG whose frame of 60000 x 60000 is not what the header announces: nothing is decoded.
    let jpeg =
        [&[0xff, 0xd8, 0xff, 0xc3, 0, 11, 8][..], &60000u16.to_be_bytes(), &60000u16.to_be_bytes(), &[1, 1, 17, 0]];
    let text = refused(JPEG_LOSSLESS, jpeg.concat());
    assert!(text.contains("60000 x 60000"), "{text}");
    assert!(!refused(JPEG_LOSSLESS, vec![0xff; 40]).is_empty());
}

/// Writes a file whose elements are changed.
fn write_changed(folder: &Path, name: &str, file: &File, change: impl Fn(&mut InMemDicomObject)) {
    let mut changed = object(name, file);
    change(&mut changed);
    let pixels = PrimitiveValue::U16(file.pixels.clone().into());
    write_object(folder, name, changed, DataElement::new(tags::PIXEL_DATA, VR::OW, pixels), NATIVE);
}

fn put(object: &mut InMemDicomObject, tag: Tag, vr: VR, text: &str) {
    object.put(DataElement::new(tag, vr, PrimitiveValue::from(text)));
}

#[test]
fn localisers_are_named_and_copies_left_out() {
    let scout = File { orientation: [1.0, 0.0, 0.0, 0.0, 0.0, -1.0], ..file(5) };
    let four = folder(&[("a", file(0)), ("b", file(1)), ("c", file(2)), ("d", scout)]);
    let refused = read(four.path()).unwrap_err().to_string();
    assert!(refused.contains("d differs in size or orientation from the other 3 images"), "{refused}");
    std::fs::remove_file(four.path().join("d")).unwrap();
    // A copy has the UID of its original; what only lies at its place may be an echo.
    std::fs::copy(four.path().join("a"), four.path().join("a copy")).unwrap();
    assert_eq!(read(four.path()).unwrap().shape(), [3, 2, 3]);
    assert!(doubts(four.path()).contains("left out: a copy: it is the same image as a"));
    // Cut off within the header, so that only the class of the object is left.
    let whole = std::fs::read(four.path().join("b")).unwrap();
    let end = whole.windows(4).position(|w| w == [0x20, 0, 0x0e, 0]).unwrap();
    std::fs::write(four.path().join("e"), &whole[..end]).unwrap();
    assert!(doubts(four.path()).contains("left out: e: it holds no image, as if cut off"));
}

#[test]
fn the_first_check_that_fails_names_the_cause() {
    let changed = |change: &dyn Fn(&mut InMemDicomObject)| {
        let folder = tempfile::tempdir().unwrap();
        write_changed(folder.path(), "a", &file(0), change);
        read(folder.path()).unwrap_err().to_string()
    };
    let text = changed(&|o| put(o, tags::PIXEL_SPACING, VR::DS, "0,5\\0,75"));
    assert!(text.contains("its PixelSpacing is \"0,5\\0,75\", must be 2 numbers"), "{text}");
    let text = changed(&|o| put(o, tags::IMAGE_ORIENTATION_PATIENT, VR::DS, "1\\0\\0\\0.6\\0.8\\0"));
    assert!(text.contains("not at right angles"), "{text}");
    let text = changed(&|o| put(o, tags::SOP_CLASS_UID, VR::UI, "1.2.840.10008.5.1.4.1.1.66.4"));
    assert!(text.contains("DICOM SEG"), "{text}");
    let text = changed(&|o| put(o, tags::IMAGE_POSITION_PATIENT, VR::DS, ""));
    assert!(text.contains("does not give where the image lies (ImagePositionPatient)"), "{text}");
    // A structure set has no rows.
    let folder = tempfile::tempdir().unwrap();
    write_changed(folder.path(), "a", &file(0), |o| {
        put(o, tags::SOP_CLASS_UID, VR::UI, "1.2.840.10008.5.1.4.1.1.481.3");
        o.remove_element(tags::ROWS);
    });
    assert!(read(&folder.path().join("a")).unwrap_err().to_string().contains("RTSTRUCT"));
    let gap = refusal(&[("a", file(0)), ("b", file(1)), ("c", file(3))]);
    assert!(gap.contains("between b and c: slices are missing"), "{gap}");
}

#[test]
fn a_folder_without_images_says_where_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let refusal = || read(folder.path()).unwrap_err().to_string();
    std::fs::write(folder.path().join("ct.nii.gz"), "x").unwrap();
    assert!(refusal().contains("give the file in it (ct.nii.gz)"));
    let inside = folder.path().join("study").join("series 2");
    std::fs::create_dir_all(&inside).unwrap();
    write(&inside, "a", &file(0));
    let named = Path::new("study").join("series 2");
    assert!(refusal().contains(&format!("folders inside it do: give one ({})", named.display())));
}

fn put_number(object: &mut InMemDicomObject, tag: Tag, number: u16) {
    object.put(DataElement::new(tag, VR::US, PrimitiveValue::from(number)));
}

/// What is read from one file of compressed pixels with `stored` of `allocated` bits.
fn compressed(syntax: &str, fragments: Vec<Vec<u8>>, allocated: u16, stored: u16) -> Result<VoxelData> {
    let folder = tempfile::tempdir().unwrap();
    let mut elements = object("a", &File { intercept: "0", bits: stored, ..file(0) });
    put_number(&mut elements, tags::BITS_ALLOCATED, allocated);
    put_number(&mut elements, tags::SAMPLES_PER_PIXEL, 1);
    let pixels = dicom_core::value::PixelFragmentSequence::new_fragments(fragments);
    write_object(folder.path(), "a", elements, DataElement::new(tags::PIXEL_DATA, VR::OB, pixels), syntax);
    read(folder.path()).map(|volume| volume.data().clone())
}

/// RLE data of these segments.
fn rle(segments: &[&[u8]]) -> Vec<u8> {
    let mut header = vec![segments.len() as u32];
    let mut at = 64;
    for segment in segments {
        header.push(at);
        at += segment.len() as u32;
    }
    header.resize(16, 0);
    let mut data: Vec<u8> = header.iter().flat_map(|number| number.to_le_bytes()).collect();
    segments.iter().for_each(|segment| data.extend(*segment));
    // Fragments have an even length.
    data.resize(data.len().next_multiple_of(2), 0);
    data
}

#[test]
fn rle_is_read_with_8_16_and_32_bits() {
    let read = |segments: &[&[u8]], bits| compressed(RLE, vec![rle(segments)], bits, bits);
    // Three bytes as they are, then one three times.
    let bytes = read(&[&[2, 1, 2, 3, 254, 9]], 8).unwrap();
    assert_eq!(bytes, VoxelData::I16(vec![1, 2, 3, 9, 9, 9]));
    // The most significant byte first: six times 1, then 0 to 5.
    let words = read(&[&[251, 1], &[5, 0, 1, 2, 3, 4, 5]], 16).unwrap();
    assert_eq!(words, VoxelData::I16((256..262).collect()));
    // 128 means nothing.
    let long = read(&[&[251, 0], &[251, 1], &[128, 251, 2], &[251, 3]], 32).unwrap();
    assert_eq!(long, VoxelData::I32(vec![0x0001_0203; 6]));
    // Too short by one pixel; too few segments; several fragments for one image.
    let short = read(&[&[251, 1], &[4, 0, 1, 2, 3, 4]], 16).unwrap_err().to_string();
    assert!(short.contains("RLE data are damaged"), "{short}");
    let few = read(&[&[251, 1]], 16).unwrap_err().to_string();
    assert!(few.contains("1 segments") && few.contains("2 bytes"), "{few}");
    let many = compressed(RLE, vec![rle(&[&[251, 1]]); 20_000], 8, 8).unwrap_err().to_string();
    assert!(many.contains("20000 fragments, must be one"), "{many}");
}

/// Lossless JPEG data: in the middle of the range, and there + 0, 1, 2; 0, 0, -1.
fn jpeg(precision: u8, samples: u8) -> Vec<u8> {
    let frame = [0xff, 0xc3, 0, 11, precision, 0, 2, 0, 3, samples, 1, 17, 0];
    // Codes 0 for no difference and 10 for one of a bit.
    let table: Vec<u8> = [&[0xff, 0xc4, 0, 21, 0, 1, 1][..], &[0; 14], &[0, 1]].concat();
    let scan = [0xff, 0xda, 0, 8, 1, 1, 0, 1, 0, 0, 0b0101_1010, 0b0100_1111];
    [&[0xff, 0xd8][..], &frame, &table, &scan, &[0xff, 0xd9]].concat()
}

#[test]
fn jpeg_samples_are_those_that_the_header_announces() {
    let read = |precision, samples, allocated, stored| {
        compressed(JPEG_LOSSLESS, vec![jpeg(precision, samples)], allocated, stored)
    };
    let around = |middle: i16| VoxelData::I16([0, 1, 2, 0, 0, -1].map(|difference| middle + difference).to_vec());
    assert_eq!(read(8, 1, 8, 8).unwrap(), around(128));
    assert_eq!(read(12, 1, 16, 12).unwrap(), around(2048));
    // A byte for a word of 16 bits.
    assert_eq!(read(8, 1, 16, 8).unwrap(), around(128));
    for (precision, samples, allocated, stored, reason) in [
        (8, 1, 16, 12, "have 8 bits a pixel, its header announces 12 of 16"),
        (12, 1, 8, 8, "have 12 bits a pixel, its header announces 8 of 8"),
        (8, 3, 8, 8, "have 3 values a pixel"),
    ] {
        let text = read(precision, samples, allocated, stored).unwrap_err().to_string();
        assert!(text.contains(reason) && text.contains("gdcmconv --raw"), "{text}");
    }
}

#[test]
fn a_slice_that_lies_aside_is_named() {
    let mut files: Vec<_> = ["a", "b", "c", "d", "e"].into_iter().zip((0..5).map(file)).collect();
    files[2].1.position[0] += 30.0;
    let text = refusal(&files);
    assert!(text.contains("c lies 30.0 mm aside"), "{text}");
}

#[test]
fn rescaling_is_the_same_kind_in_all_slices() {
    let comma = refusal(&[("a", file(0)), ("b", File { slope: "1,5", ..file(1) })]);
    assert!(comma.contains("b: its RescaleSlope is \"1,5\", must be a number"), "{comma}");
    let folder = folder(&[("a", file(0)), ("c", file(2))]);
    for (tag, name) in [(tags::RESCALE_SLOPE, "RescaleSlope"), (tags::RESCALE_INTERCEPT, "RescaleIntercept")] {
        write_changed(folder.path(), "b", &file(1), |o| {
            o.remove_element(tag);
        });
        let text = read(folder.path()).unwrap_err().to_string();
        assert!(text.contains(&format!("b: its header has no {name}")), "{text}");
    }
    // In no slice at all: the stored values.
    for (k, name) in ["a", "b", "c"].into_iter().enumerate() {
        write_changed(folder.path(), name, &file(k), |o| {
            o.remove_element(tags::RESCALE_SLOPE);
            o.remove_element(tags::RESCALE_INTERCEPT);
        });
    }
    let stored = (0..18).map(|i| 100 * (i / 6) + i % 6).collect();
    assert_eq!(read(folder.path()).unwrap().data(), &VoxelData::I16(stored));
}
