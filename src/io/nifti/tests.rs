//! Tests of reading and writing NIfTI.

use super::*;
use crate::io::tests::{assert_same, volumes};

fn parse_bytes(bytes: &[u8]) -> std::result::Result<(Volume, Vec<String>), String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.nii");
    std::fs::write(&path, bytes).unwrap();
    load(&path).map_err(|e| e.to_string())
}

#[test]
fn every_type_comes_back_by_sform_and_by_qform() {
    let folder = tempfile::tempdir().unwrap();
    for (i, volume) in volumes().iter().enumerate() {
        for name in ["a.nii", "a.nii.gz"] {
            let path = folder.path().join(format!("{i}{name}"));
            write(&path, volume).unwrap();
            assert_same(&read(&path).unwrap(), volume);
        }
        let path = folder.path().join(format!("{i}a.nii"));
        let mut bytes = std::fs::read(&path).unwrap();
        // sform_code 0: the qform counts.
        bytes[254..256].copy_from_slice(&[0, 0]);
        assert_same(&parse_bytes(&bytes).unwrap().0, volume);
    }
}

/// The header fields' offsets are those of the standard.
fn big_endian() -> Vec<u8> {
    let mut b = vec![0u8; 352];
    b[0..4].copy_from_slice(&348i32.to_be_bytes());
    for (i, v) in [3i16, 2, 1, 2].iter().enumerate() {
        b[40 + 2 * i..42 + 2 * i].copy_from_slice(&v.to_be_bytes());
    }
    b[70..72].copy_from_slice(&4i16.to_be_bytes());
    b[72..74].copy_from_slice(&16i16.to_be_bytes());
    for (i, v) in [1.0f32, 0.5, 0.5, 4.0].iter().enumerate() {
        b[76 + 4 * i..80 + 4 * i].copy_from_slice(&v.to_be_bytes());
    }
    b[108..112].copy_from_slice(&352f32.to_be_bytes());
    b[344..348].copy_from_slice(b"n+1\0");
    for v in [1i16, -2, 3, 1000] {
        b.extend(v.to_be_bytes());
    }
    b
}

#[test]
fn big_endian_scaling_and_plain_spacing_by_hand() {
    let v = parse_bytes(&big_endian()).unwrap().0;
    assert_eq!(v.shape(), [2, 1, 2]);
    assert_eq!(*v.data(), VoxelData::I16(vec![1, -2, 3, 1000]));
    assert_eq!(v.geometry().spacing_mm, [4.0, 0.5, 0.5]);
    let mut scaled = big_endian();
    scaled[112..116].copy_from_slice(&2f32.to_be_bytes());
    scaled[116..120].copy_from_slice(&(-1f32).to_be_bytes());
    assert_eq!(*parse_bytes(&scaled).unwrap().0.data(), VoxelData::F32(vec![1.0, -5.0, 5.0, 1999.0]));
    // 1000 times this slope is beyond 32-bit floats.
    scaled[112..116].copy_from_slice(&1e36f32.to_be_bytes());
    let large = f64::from(1e36f32);
    let expected = [1.0, -2.0, 3.0, 1000.0].map(|v| v * large - 1.0).to_vec();
    assert_eq!(*parse_bytes(&scaled).unwrap().0.data(), VoxelData::F64(expected));
}

#[test]
fn what_cannot_be_used_is_explained() {
    let with = |at: usize, bytes: &[u8]| {
        let mut b = big_endian();
        b[at..at + bytes.len()].copy_from_slice(bytes);
        parse_bytes(&b).unwrap_err()
    };
    let mut four = big_endian();
    four[40..42].copy_from_slice(&4i16.to_be_bytes());
    four[48..50].copy_from_slice(&3i16.to_be_bytes());
    assert!(parse_bytes(&four).unwrap_err().contains("3 volumes"));
    assert!(with(70, &128i16.to_be_bytes()).contains("are colours"));
    assert!(with(344, b"ni1\0").contains("two-file"));
    assert!(with(42, &0i16.to_be_bytes()).contains("every side"));
    let mut short = big_endian();
    short.pop();
    assert!(parse_bytes(&short).unwrap_err().contains("ends early"));
    assert!(parse_bytes(&[0; 400]).is_err() && parse_bytes(&[]).is_err());
    assert!(with(0, &540i32.to_be_bytes()).contains("NIfTI-2"));
    assert!(with(108, &f32::NAN.to_be_bytes()).contains("vox_offset"));
    assert!(with(108, &1e30f32.to_be_bytes()).contains("it ends before"));
    assert!(with(42, &(-7i16).to_be_bytes()).contains("-7 for dimension 1"));
    assert!(with(70, &32i16.to_be_bytes()).contains("magnitude"));
    let vector = [(40, 5), (48, 1), (50, 3), (68, 1007)].into_iter().fold(big_endian(), |mut b, (at, v)| {
        b[at..at + 2].copy_from_slice(&i16::to_be_bytes(v));
        b
    });
    assert!(parse_bytes(&vector).unwrap_err().contains("intent 1007"));
    // The cause, whatever check fails first.
    for (bytes, word) in
        [(&b"PK\x03\x04"[..], "ZIP"), (b"version https://git-lfs", "lfs pull"), (b"<html>", "web page")]
    {
        let refused = [bytes, &[b'x'; 400]].map(|b| parse_bytes(&[bytes, b].concat()).unwrap_err());
        assert!(refused.iter().all(|text| text.contains(word)), "{refused:?}");
    }
    assert!(parse_bytes(b"").unwrap_err().contains("is empty"));
    // 32767 x 1 x 32767 voxels of a file of 360 bytes: refused before memory is allocated.
    let mut huge = big_endian();
    huge[42..44].copy_from_slice(&32767i16.to_be_bytes());
    huge[46..48].copy_from_slice(&32767i16.to_be_bytes());
    assert!(parse_bytes(&huge).unwrap_err().contains("ends early"));
}

/// Big-endian fields at their offsets.
struct Header(Vec<u8>);

impl Header {
    /// Distances 0.5 x 0.5 x 4 mm, no form.
    fn new() -> Self {
        Header(big_endian())
    }

    fn code(mut self, at: usize, code: i16) -> Self {
        self.0[at..at + 2].copy_from_slice(&code.to_be_bytes());
        self
    }

    fn floats(mut self, at: usize, values: &[f32]) -> Self {
        for (i, v) in values.iter().enumerate() {
            self.0[at + 4 * i..at + 4 * i + 4].copy_from_slice(&v.to_be_bytes());
        }
        self
    }

    /// The matrix' diagonal and offset, RAS.
    fn sform(self, code: i16, [x, y, z]: [f32; 3], [a, b, c]: [f32; 3]) -> Self {
        self.code(254, code).floats(280, &[x, 0.0, 0.0, a, 0.0, y, 0.0, b, 0.0, 0.0, z, c])
    }

    /// Turned by 180 degrees about z, so that width grows to the left and height to the back.
    fn qform(self, code: i16, offset: [f32; 3]) -> Self {
        self.code(252, code).floats(256, &[0.0, 0.0, 1.0]).floats(268, &offset)
    }

    fn read(&self) -> (Geometry, String) {
        let (volume, doubts) = parse_bytes(&self.0).unwrap();
        (volume.geometry().clone(), doubts.join("\n"))
    }
}

#[test]
fn units_of_length_become_millimetres() {
    for (unit, mm) in [(0u8, 1.0), (1, 1000.0), (2, 1.0), (3, 0.001)] {
        let mut header = Header::new().sform(1, [-0.5, -0.5, 4.0], [10.0, 20.0, 30.0]);
        header.0[123] = unit | 8;
        let (g, doubts) = header.read();
        let near = |a: f64, b: f64| (a - b * mm).abs() < 1e-9 * mm;
        assert!(near(g.spacing_mm[0], 4.0) && near(g.spacing_mm[2], 0.5), "{unit}: {g:?}");
        assert!(near(g.origin_mm[0], -10.0) && near(g.origin_mm[2], 30.0), "{unit}: {g:?}");
        assert_eq!(doubts, "", "{unit}");
    }
    let mut header = Header::new().sform(1, [-0.5, -0.5, 4.0], [0.0; 3]);
    header.0[123] = 5;
    assert!(header.read().1.contains("xyzt_units"));
}

#[test]
fn of_two_forms_the_one_of_itk_is_taken() {
    let both = |sform_code, qform_code, z: f32| {
        Header::new().sform(sform_code, [-0.5, -0.5, z], [10.0, 20.0, 30.0]).qform(qform_code, [10.0, 20.0, 31.0])
    };
    // Equal but for 1 mm of the offset: SimpleITK 2.5 gives the sform for code 1, else the qform.
    for (sform_code, qform_code, top) in [(1, 1, 30.0), (2, 1, 31.0), (2, 2, 31.0), (1, 4, 30.0), (4, 1, 31.0)] {
        let (g, doubts) = both(sform_code, qform_code, 4.0).read();
        assert_eq!(g.origin_mm[2], top, "{sform_code} {qform_code}");
        assert!(doubts.contains("1.00 mm"), "{doubts}");
    }
    // The distances are those of pixdim: 4 mm, not 5; the second slice lies 1 mm off.
    let (g, doubts) = Header::new().sform(1, [-0.5, -0.5, 5.0], [0.0; 3]).read();
    assert_eq!(g.spacing_mm, [4.0, 0.5, 0.5]);
    assert!(doubts.contains("sform") && doubts.contains("1.00 mm"), "{doubts}");
    // Without a distance in pixdim, that of the sform.
    let (g, doubts) = Header::new().sform(1, [-0.5, -0.5, 5.0], [0.0; 3]).floats(88, &[0.0]).read();
    assert_eq!(g.spacing_mm, [5.0, 0.5, 0.5]);
    assert!(doubts.contains("pixdim"), "{doubts}");
}

#[test]
fn negative_distances_turn_an_axis_as_in_itk() {
    // SimpleITK 2.5 turns the axis of every form, and without a form.
    let turned = |header: Header| header.floats(80, &[-0.5]).read();
    for header in [
        Header::new().sform(1, [-0.5, -0.5, 4.0], [10.0, 20.0, 30.0]),
        Header::new().qform(1, [10.0, 20.0, 30.0]),
        Header::new(),
    ] {
        let (g, doubts) = turned(header);
        assert_eq!((g.direction[2], g.direction[1], g.spacing_mm[2]), ([-1.0, 0.0, 0.0], [0.0, 1.0, 0.0], 0.5));
        assert!(doubts.contains("negative distance"), "{doubts}");
    }
}

#[test]
fn a_broken_form_is_reported_and_replaced_by_what_is_good() {
    let nan = f32::NAN;
    let sforms = [([nan, -0.5, 4.0], [0.0; 3]), ([-0.5, -0.5, 4.0], [nan; 3]), ([0.0; 3], [0.0; 3])];
    for (diagonal, offset) in sforms {
        let broken = Header::new().sform(2, diagonal, offset).qform(1, [10.0, 20.0, 30.0]);
        let (g, doubts) = broken.read();
        assert_eq!((g.spacing_mm, g.origin_mm), ([4.0, 0.5, 0.5], [-10.0, -20.0, 30.0]));
        assert!(doubts.contains("sform") && doubts.contains("qform is taken"), "{doubts}");
        let (g, doubts) = Header::new().sform(2, diagonal, offset).read();
        assert_eq!((g.spacing_mm, g.origin_mm), ([4.0, 0.5, 0.5], [0.0; 3]));
        assert!(doubts.contains("sform") && doubts.contains("no orientation"), "{doubts}");
    }
    let (g, doubts) = Header::new().qform(1, [nan, 0.0, 0.0]).sform(2, [-0.5, -0.5, 4.0], [7.0, 0.0, 0.0]).read();
    assert_eq!(g.origin_mm[0], -7.0);
    assert!(doubts.contains("qform holds NaN"), "{doubts}");
    // Nothing gives the distance of slices.
    let refused = parse_bytes(&Header::new().qform(1, [0.0; 3]).floats(88, &[0.0]).0).unwrap_err();
    assert!(refused.contains("pixdim"), "{refused}");
}

#[test]
fn a_file_without_orientation_lies_as_itk_lays_it() {
    let (g, doubts) = Header::new().read();
    assert_eq!(g, Geometry { spacing_mm: [4.0, 0.5, 0.5], ..Geometry::default() });
    assert!(doubts.contains("no orientation"), "{doubts}");
    // Mirrored: width grows to the right, height to the back.
    let (g, doubts) = Header::new().sform(1, [0.5, -0.5, 4.0], [0.0; 3]).read();
    assert_eq!(g.direction[2], [-1.0, 0.0, 0.0]);
    assert!(doubts.contains("left-handed"), "{doubts}");
}

#[test]
fn fields_that_contradict_each_other_are_reported() {
    let plain = || Header::new().sform(1, [-0.5, -0.5, 4.0], [0.0; 3]);
    assert!(plain().code(72, 32).read().1.contains("bitpix"));
    assert!(plain().floats(112, &[f32::INFINITY, 0.0]).read().1.contains("scl_slope"));
    assert!(plain().floats(112, &[0.0, 5.0]).read().1.contains("scl_inter"));
    assert!(plain().floats(112, &[f32::NAN, 5.0]).read().1.contains("scl_inter"));
    let (volume, doubts) = parse_bytes(&plain().floats(112, &[2.0, f32::NAN]).0).unwrap();
    assert_eq!(*volume.data(), VoxelData::F32(vec![2.0, -4.0, 6.0, 2000.0]));
    assert!(doubts.join("").contains("0 is taken"), "{doubts:?}");
    // nibabel's value for no scaling.
    assert_eq!(plain().floats(112, &[f32::NAN, f32::NAN]).read().1, "");
}
