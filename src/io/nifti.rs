//! NIfTI-1 volumes. A file's axes i, j, k are width, height and depth; its RAS world becomes LPS.

use super::bytes::Scalar;
use crate::error::{Error, Result};
use crate::volume::{Geometry, Volume, VoxelData, check_shape};
use crate::{atomic_file, with_voxels};
use flate2::read::MultiGzDecoder;
use ndarray::ArrayView3;
use nifti::writer::WriterOptions;
use nifti::{Endianness, NiftiHeader};
use std::io::Read;
use std::path::Path;

/// Largest size of a file after unpacking; a damaged or hostile one could claim more. Chosen.
const MOST_BYTES: u64 = 64 << 30;
/// Size of the header of a single-file NIfTI-1, from the standard.
const HEADER: usize = 348;

/// Reads a `.nii` or `.nii.gz` file.
///
/// Values keep their type unless the header scales them (`scl_slope`, `scl_inter`), which gives f32. The sform has
/// priority over the qform, as in the standard; without either, only the spacing is known.
///
/// # Errors
/// [`Error::Io`] when it cannot be read; [`Error::BadFile`] when it is no NIfTI-1, damaged, of a type that is no scalar
/// (RGB, complex), or has several time points.
pub fn read(path: &Path) -> Result<Volume> {
    let mut bytes = std::fs::read(path).map_err(|e| Error::io(path, e))?;
    if bytes.starts_with(&[0x1f, 0x8b]) {
        let mut unpacked = Vec::new();
        MultiGzDecoder::new(bytes.as_slice())
            .take(MOST_BYTES)
            .read_to_end(&mut unpacked)
            .map_err(|e| Error::bad_file(path, format!("the gzip data are damaged ({e}); copy the file again")))?;
        bytes = unpacked;
    }
    parse(&bytes).map_err(|reason| Error::bad_file(path, reason))
}

type Parsed<T> = std::result::Result<T, String>;

fn parse(bytes: &[u8]) -> Parsed<Volume> {
    let header = parse_header(bytes)?;
    let shape = shape(&header)?;
    let start = (header.vox_offset.max(0.0) as usize).max(HEADER);
    let data = scalar(header.datatype)?.decode(
        bytes.get(start..).unwrap_or_default(),
        shape.iter().product(),
        header.endianness == Endianness::Big,
    )?;
    Volume::new(shape, scale(data, &header), geometry(&header)).map_err(|e| e.to_string())
}

fn parse_header(bytes: &[u8]) -> Parsed<NiftiHeader> {
    let start = bytes.get(..HEADER).ok_or("the file is too short to be NIfTI")?;
    let header = NiftiHeader::from_reader(start).map_err(|e| format!("this is not a NIfTI-1 file ({e})"))?;
    if &header.magic[..2] == b"ni" {
        return Err("this is the header of a two-file NIfTI; convert the pair to one .nii.gz first".into());
    }
    if &header.magic[..3] != b"n+1" {
        return Err("this is not a NIfTI-1 file".into());
    }
    Ok(header)
}

/// Shape `[depth, height, width]` of the one volume in the file.
fn shape(header: &NiftiHeader) -> Parsed<[usize; 3]> {
    let n = usize::from(header.dim[0]);
    if !(1..=7).contains(&n) {
        return Err(format!("the header names {n} dimensions"));
    }
    let size = |i: usize| if i <= n { usize::from(header.dim[i]) } else { 1 };
    if let Some(i) = (4..=7).find(|&i| size(i) > 1) {
        return Err(format!(
            "the file holds {} volumes (dimension {i}); extract the one to segment into a file of its own",
            size(i)
        ));
    }
    let shape = [size(3), size(2), size(1)];
    check_shape(shape).map_err(|e| e.to_string())?;
    Ok(shape)
}

/// The number type of a NIfTI-1 data type.
fn scalar(datatype: i16) -> Parsed<Scalar> {
    Ok(match datatype {
        2 => Scalar::U8,
        256 => Scalar::I8,
        512 => Scalar::U16,
        4 => Scalar::I16,
        768 => Scalar::U32,
        8 => Scalar::I32,
        16 => Scalar::F32,
        64 => Scalar::F64,
        1024 => Scalar::I64,
        1280 => Scalar::U64,
        other => {
            return Err(format!("voxels of NIfTI type {other} are not numbers; convert the file to a scalar type"));
        }
    })
}

/// Applies slope and intercept of the header, where they change anything.
fn scale(data: VoxelData, header: &NiftiHeader) -> VoxelData {
    let (slope, inter) = (header.scl_slope, header.scl_inter);
    let scaled = slope != 0.0 && slope.is_finite() && inter.is_finite() && (slope, inter) != (1.0, 0.0);
    if !scaled {
        return data;
    }
    let value = |v: f64| (v * f64::from(slope) + f64::from(inter)) as f32;
    VoxelData::F32(with_voxels!(&data, v => v.iter().map(|&x| value(crate::volume::Voxel::to_f64(x))).collect()))
}

/// Geometry of a header, in LPS.
fn geometry(header: &NiftiHeader) -> Geometry {
    let rows = if header.sform_code > 0 {
        [header.srow_x, header.srow_y, header.srow_z].map(|row| row.map(f64::from))
    } else {
        qform(header)
    };
    let mut geometry = Geometry::default();
    for axis in 0..3 {
        // Column i of the matrix belongs to width, j to height, k to depth.
        let column = [0, 1, 2].map(|r| rows[r][2 - axis]);
        let length = column.iter().map(|v| v * v).sum::<f64>().sqrt();
        geometry.spacing_mm[axis] = if length > 0.0 { length } else { 1.0 };
        if length > 0.0 {
            geometry.direction[axis] = [-column[0] / length, -column[1] / length, column[2] / length];
        }
    }
    geometry.origin_mm = [-rows[0][3], -rows[1][3], rows[2][3]];
    geometry
}

/// The matrix of the qform, or of the spacing alone when there is none.
fn qform(header: &NiftiHeader) -> [[f64; 4]; 3] {
    let size = |i: usize| {
        let v = f64::from(header.pixdim[i].abs());
        if v > 0.0 && v.is_finite() { v } else { 1.0 }
    };
    if header.qform_code <= 0 {
        return [[size(1), 0.0, 0.0, 0.0], [0.0, size(2), 0.0, 0.0], [0.0, 0.0, size(3), 0.0]];
    }
    let [b, c, d] = [header.quatern_b, header.quatern_c, header.quatern_d].map(f64::from);
    let a = (1.0 - b * b - c * c - d * d).max(0.0).sqrt();
    let qfac = if header.pixdim[0] < 0.0 { -1.0 } else { 1.0 };
    let r = [
        [a * a + b * b - c * c - d * d, 2.0 * (b * c - a * d), 2.0 * (b * d + a * c)],
        [2.0 * (b * c + a * d), a * a + c * c - b * b - d * d, 2.0 * (c * d - a * b)],
        [2.0 * (b * d - a * c), 2.0 * (c * d + a * b), a * a + d * d - b * b - c * c],
    ];
    let offset = [header.quatern_x, header.quatern_y, header.quatern_z].map(f64::from);
    [0, 1, 2].map(|i| [r[i][0] * size(1), r[i][1] * size(2), r[i][2] * size(3) * qfac, offset[i]])
}

/// Writes a `.nii` or `.nii.gz` file with sform and, where the directions are orthogonal, an equal qform.
///
/// # Errors
/// [`Error::Io`] when it cannot be written.
pub fn write(path: &Path, volume: &Volume) -> Result<()> {
    let header = header(volume);
    let zipped = path.to_string_lossy().to_lowercase().ends_with(".gz");
    // The writer chooses the format by the name.
    let file = atomic_file::beside(path, if zipped { ".nii.gz" } else { ".nii" }).map_err(|e| Error::io(path, e))?;
    let options = WriterOptions::new(file.path()).reference_header(&header).compress(zipped);
    let written = with_voxels!(volume.data(), v => {
        let voxels = ArrayView3::from_shape(volume.shape(), v).expect("a volume has its shape");
        options.write_nifti(&voxels.reversed_axes())
    });
    written.map_err(|e| match e {
        nifti::NiftiError::Io(e) => Error::io(path, e),
        other => Error::Internal(format!("{}: {other}", path.display())),
    })?;
    // The writer opens the file by its name; this handle provides only the name.
    atomic_file::persist(file).map_err(|e| Error::io(path, e))
}

fn header(volume: &Volume) -> NiftiHeader {
    let g = volume.geometry();
    // RAS columns of i, j, k.
    let column = |axis: usize| {
        let (d, s) = (g.direction[axis], g.spacing_mm[axis]);
        [-d[0] * s, -d[1] * s, d[2] * s]
    };
    let (i, j, k) = (column(2), column(1), column(0));
    let origin = [-g.origin_mm[0], -g.origin_mm[1], g.origin_mm[2]];
    let row = |r: usize| [i[r] as f32, j[r] as f32, k[r] as f32, origin[r] as f32];
    let mut header = NiftiHeader {
        sform_code: 1,
        srow_x: row(0),
        srow_y: row(1),
        srow_z: row(2),
        scl_slope: 1.0,
        // Millimetres.
        xyzt_units: 2,
        ..NiftiHeader::default()
    };
    let [depth, height, width] = g.spacing_mm.map(|s| s as f32);
    header.pixdim = [1.0, width, height, depth, 1.0, 1.0, 1.0, 1.0];
    if let Some((qfac, [b, c, d])) = quaternion(g) {
        header.qform_code = 1;
        header.pixdim[0] = qfac;
        [header.quatern_b, header.quatern_c, header.quatern_d] = [b, c, d];
        [header.quatern_x, header.quatern_y, header.quatern_z] = origin.map(|v| v as f32);
    }
    header
}

/// Handedness and quaternion of orthogonal directions (in RAS); none for others.
fn quaternion(g: &Geometry) -> Option<(f32, [f32; 3])> {
    let ras = |axis: usize| [-g.direction[axis][0], -g.direction[axis][1], g.direction[axis][2]];
    let (x, y, z) = (ras(2), ras(1), ras(0));
    let dot = |a: [f64; 3], b: [f64; 3]| a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
    let units = [x, y, z].iter().all(|v| (dot(*v, *v) - 1.0).abs() < 1e-4);
    if !units || dot(x, y).abs() > 1e-4 || dot(y, z).abs() > 1e-4 || dot(x, z).abs() > 1e-4 {
        return None;
    }
    let cross = [x[1] * y[2] - x[2] * y[1], x[2] * y[0] - x[0] * y[2], x[0] * y[1] - x[1] * y[0]];
    let qfac = if dot(cross, z) < 0.0 { -1.0 } else { 1.0 };
    let z = z.map(|v| v * qfac);
    let r = [[x[0], y[0], z[0]], [x[1], y[1], z[1]], [x[2], y[2], z[2]]];
    // The largest of the four components first, so that no division is by a small number.
    let t = [
        1.0 + r[0][0] + r[1][1] + r[2][2],
        1.0 + r[0][0] - r[1][1] - r[2][2],
        1.0 - r[0][0] + r[1][1] - r[2][2],
        1.0 - r[0][0] - r[1][1] + r[2][2],
    ];
    let best = (0..4).max_by(|&a, &b| t[a].total_cmp(&t[b])).expect("four components");
    let s = 2.0 * t[best].sqrt();
    let (zy, xz, yx) = (r[2][1] - r[1][2], r[0][2] - r[2][0], r[1][0] - r[0][1]);
    let (xy, zx, yz) = (r[0][1] + r[1][0], r[0][2] + r[2][0], r[1][2] + r[2][1]);
    let q = match best {
        0 => [0.25 * s, zy / s, xz / s, yx / s],
        1 => [zy / s, 0.25 * s, xy / s, zx / s],
        2 => [xz / s, xy / s, 0.25 * s, yz / s],
        _ => [yx / s, zx / s, yz / s, 0.25 * s],
    };
    let sign = if q[0] < 0.0 { -1.0 } else { 1.0 };
    Some((qfac as f32, [1, 2, 3].map(|i| (q[i] * sign) as f32)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::tests::{assert_same, volumes};

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
            assert_same(&parse(&bytes).unwrap(), volume);
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
        let v = parse(&big_endian()).unwrap();
        assert_eq!(v.shape(), [2, 1, 2]);
        assert_eq!(*v.data(), VoxelData::I16(vec![1, -2, 3, 1000]));
        assert_eq!(v.geometry().spacing_mm, [4.0, 0.5, 0.5]);
        let mut scaled = big_endian();
        scaled[112..116].copy_from_slice(&2f32.to_be_bytes());
        scaled[116..120].copy_from_slice(&(-1f32).to_be_bytes());
        assert_eq!(*parse(&scaled).unwrap().data(), VoxelData::F32(vec![1.0, -5.0, 5.0, 1999.0]));
    }

    #[test]
    fn what_cannot_be_used_is_explained() {
        let with = |at: usize, bytes: &[u8]| {
            let mut b = big_endian();
            b[at..at + bytes.len()].copy_from_slice(bytes);
            parse(&b).unwrap_err()
        };
        let mut four = big_endian();
        four[40..42].copy_from_slice(&4i16.to_be_bytes());
        four[48..50].copy_from_slice(&3i16.to_be_bytes());
        assert!(parse(&four).unwrap_err().contains("3 volumes"));
        assert!(with(70, &128i16.to_be_bytes()).contains("type 128"));
        assert!(with(344, b"ni1\0").contains("two-file"));
        assert!(with(42, &0i16.to_be_bytes()).contains("every side"));
        let mut short = big_endian();
        short.pop();
        assert!(parse(&short).unwrap_err().contains("ends early"));
        assert!(parse(&[0; 400]).is_err() && parse(&[]).is_err());
    }
}
