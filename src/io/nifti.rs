//! NIfTI-1 volumes. A file's axes i, j, k are width, height and depth; its RAS world becomes LPS.
//!
//! `docs/files.md` lists every field of the header: used, harmless, or warned about.

use super::bytes::Scalar;
use super::placement::{self, Form, Placement};
use super::source::{self, Parsed, Source, Trouble};
use crate::error::{Error, Result};
use crate::volume::{Geometry, Volume, Voxel, VoxelData, check_shape};
use crate::{atomic_file, with_voxels};
use ndarray::ArrayView3;
use nifti::writer::WriterOptions;
use nifti::{Endianness, NiftiHeader};
use std::path::Path;

/// Size of the header of a single-file NIfTI-1, from the standard.
const HEADER: usize = 348;
/// Where data may begin: after the header and the flag of extensions.
const LEAST_OFFSET: f32 = 352.0;

/// Reads a `.nii` or `.nii.gz` file.
///
/// Values keep their type unless the header scales them (`scl_slope`, `scl_inter`), which gives f32. Where sform and
/// qform differ, the one that ITK (and so 3D Slicer) takes is taken, with a warning; the distances of voxels are those
/// of `pixdim`, as in ITK. Without either, the volume is laid as ITK lays it, with a warning.
///
/// # Errors
/// [`Error::Io`] when it cannot be read; [`Error::BadFile`] when it is no NIfTI-1, damaged, of a type that is no scalar
/// (RGB, complex), or has several time points; [`Error::OutOfMemory`].
pub fn read(path: &Path) -> Result<Volume> {
    let (volume, doubts) = load(path)?;
    source::warn(path, &doubts);
    Ok(volume)
}

/// The volume, and what a user should know about it.
pub(super) fn load(path: &Path) -> Result<(Volume, Vec<String>)> {
    let source = Source::unpacked(path)?;
    parse(source).map_err(|trouble| trouble.of(path))
}

fn parse(mut source: Source) -> Parsed<(Volume, Vec<String>)> {
    let header = parse_header(&source.up_to(HEADER)?)?;
    let shape = shape(&header)?;
    let scalar = scalar(&header)?;
    let mut doubts = Vec::new();
    let geometry = placement(&header, shape)?.geometry(&mut doubts)?;
    let offset = data_offset(&header, &mut doubts)? - HEADER as u64;
    if offset > source.left() {
        let at = header.vox_offset;
        let reason = format!("its voxels begin at byte {at} (\"vox_offset\"), and it ends before; copy it again");
        return Err(Trouble::Damaged(reason));
    }
    source.skip(offset)?;
    let count = shape.iter().product::<usize>();
    let bytes = source.announced(count * scalar.bytes())?;
    source.finish()?;
    if i16::try_from(8 * scalar.bytes()) != Ok(header.bitpix) {
        doubts.push(format!(
            "field \"bitpix\" is {}, but \"datatype\" {} has {} bits; the latter is taken",
            header.bitpix,
            header.datatype,
            8 * scalar.bytes()
        ));
    }
    let data = scalar.decode(&bytes, count, header.endianness == Endianness::Big)?;
    drop(bytes);
    Ok((Volume::new(shape, scale(data, &header, &mut doubts)?, geometry)?, doubts))
}

fn parse_header(start: &[u8]) -> Parsed<NiftiHeader> {
    if let Some(size) = start.first_chunk().map(|b| [i32::from_le_bytes(*b), i32::from_be_bytes(*b)])
        && size.contains(&540)
    {
        return Err("this is a NIfTI-2 file; convert it to NIfTI-1 or NRRD first".into());
    }
    // What lies in a file by its name, or in its packed contents.
    let known = super::kind::of(start, "").filter(|what| !what.contains("a NIfTI file"));
    if start.len() < HEADER {
        let whole = known.filter(|_| !start.is_empty());
        let short = || Trouble::damaged(known.unwrap_or("the file is too short to be NIfTI; copy it again"));
        return Err(whole.map_or_else(short, Trouble::from));
    }
    let header = source::guarded(|| {
        let not_nifti = |e| match known {
            Some(what) => what.to_owned(),
            None if start[344] == 0
                && [&348i32.to_le_bytes(), &348i32.to_be_bytes()].contains(&start.first_chunk().unwrap_or(&[0; 4])) =>
            {
                "this is ANALYZE 7.5, which does not tell left from right; save it as .nii.gz where that is known"
                    .into()
            }
            None => format!("its contents are not NIfTI-1, as its name says ({e}); write it again"),
        };
        NiftiHeader::from_reader(start).map_err(not_nifti).map_err(Into::into)
    })?;
    if &header.magic[..2] == b"ni" {
        return Err("this is the header of a two-file NIfTI; convert the pair to one .nii.gz first".into());
    }
    if &header.magic[..3] != b"n+1" {
        return Err(
            "this is not a NIfTI-1 file (field \"magic\" is not n+1); ANALYZE files have to be converted".into()
        );
    }
    Ok(header)
}

/// Offset of the first voxel.
fn data_offset(header: &NiftiHeader, doubts: &mut Vec<String>) -> Parsed<u64> {
    let offset = header.vox_offset;
    if !(offset.is_finite() && offset.fract() == 0.0) {
        return Err(format!("field \"vox_offset\" is {offset}, no number of bytes; write the file again").into());
    }
    if offset < LEAST_OFFSET {
        doubts.push(format!(
            "field \"vox_offset\" is {offset}, at least {LEAST_OFFSET} is right; the data are taken from byte \
             {HEADER} on, as ITK does"
        ));
    }
    Ok((offset.max(0.0) as u64).max(HEADER as u64))
}

/// Shape `[depth, height, width]` of the one volume in the file.
fn shape(header: &NiftiHeader) -> Parsed<[usize; 3]> {
    let n = usize::from(header.dim[0]);
    if !(1..=7).contains(&n) {
        return Err(format!(
            "field \"dim\" names {n} dimensions, must be 1 to 7; the header is damaged, copy it again"
        )
        .into());
    }
    let size = |i: usize| if i <= n { usize::from(header.dim[i]) } else { 1 };
    if let Some(i) = (1..=n).find(|&i| header.dim[i] > i16::MAX as u16) {
        return Err(format!(
            "field \"dim\" has {} for dimension {i}; the header is damaged, copy it again",
            header.dim[i] as i16
        )
        .into());
    }
    if n > 4 && size(4) <= 1 && size(5) > 1 {
        return Err(format!(
            "a voxel has {} values (intent {}, as vectors or tensors have), must have 1; extract one component first",
            size(5),
            header.intent_code
        )
        .into());
    }
    if let Some(i) = (4..=7).find(|&i| size(i) > 1) {
        return Err(format!(
            "the file holds {} volumes (dimension {i}); extract the one to segment into a file of its own",
            size(i)
        )
        .into());
    }
    let shape = [size(3), size(2), size(1)];
    check_shape(shape)?;
    Ok(shape)
}

/// The number type of the voxels.
fn scalar(header: &NiftiHeader) -> Parsed<Scalar> {
    let what = match header.datatype {
        2 => return Ok(Scalar::U8),
        256 => return Ok(Scalar::I8),
        512 => return Ok(Scalar::U16),
        4 => return Ok(Scalar::I16),
        768 => return Ok(Scalar::U32),
        8 => return Ok(Scalar::I32),
        16 => return Ok(Scalar::F32),
        64 => return Ok(Scalar::F64),
        1024 => return Ok(Scalar::I64),
        1280 => return Ok(Scalar::U64),
        32 | 1792 | 2048 => "complex numbers; write their magnitude or real part as a volume first",
        128 | 2304 => "colours; write one channel or the grey values as a volume first",
        1 => "single bits; write it with 8 bits a voxel first",
        1536 => "numbers of 128 bits; write it as 64-bit floating point first",
        _ => "of an unknown type; write it again with a scalar type",
    };
    Err(format!("its voxels (field \"datatype\" {}) are {what}", header.datatype).into())
}

/// Applies slope and intercept of the header, where they change anything.
fn scale(data: VoxelData, header: &NiftiHeader, doubts: &mut Vec<String>) -> Parsed<VoxelData> {
    let (slope, inter) = (header.scl_slope, header.scl_inter);
    // No scaling: nibabel writes NaN, others 0 and 0.
    let is_none = slope.is_nan() || slope == 0.0;
    if (slope, inter) == (1.0, 0.0) || (is_none && (inter == 0.0 || inter.is_nan())) {
        return Ok(data);
    }
    if slope.is_finite() && slope != 0.0 && !inter.is_finite() {
        doubts.push(format!("field \"scl_inter\" is {inter}; with the slope {slope}, 0 is taken, as by ITK"));
        return scale(data, &NiftiHeader { scl_inter: 0.0, ..header.clone() }, doubts);
    }
    if is_none || !slope.is_finite() {
        doubts.push(format!(
            "fields \"scl_slope\" {slope} and \"scl_inter\" {inter} are no scaling; the stored values are taken"
        ));
        return Ok(data);
    }
    let value = |v: f64| v * f64::from(slope) + f64::from(inter);
    // 32 bits, unless they turn a number into infinity.
    let is_too_large = |v: f64| v.is_finite() && value(v).abs() > f64::from(f32::MAX);
    if with_voxels!(&data, v => v.iter().any(|&x| is_too_large(x.to_f64()))) {
        let mut scaled = source::reserve(data.len())?;
        with_voxels!(&data, v => scaled.extend(v.iter().map(|&x| value(x.to_f64()))));
        return Ok(VoxelData::F64(scaled));
    }
    let mut scaled = source::reserve(data.len())?;
    with_voxels!(&data, v => scaled.extend(v.iter().map(|&x| value(x.to_f64()) as f32)));
    Ok(VoxelData::F32(scaled))
}

/// Millimetres of the header's unit of length.
fn unit(header: &NiftiHeader, doubts: &mut Vec<String>) -> f64 {
    match header.xyzt_units & 7 {
        0 | 2 => 1.0,
        1 => 1000.0,
        3 => 0.001,
        other => {
            doubts.push(format!("field \"xyzt_units\" has the unknown unit of length {other}; mm are taken"));
            1.0
        }
    }
}

/// The place of the voxels by the header.
fn placement(header: &NiftiHeader, shape: [usize; 3]) -> Parsed<Placement> {
    let mut doubts = Vec::new();
    let unit = unit(header, &mut doubts);
    let used = usize::from(header.dim[0]);
    let spacing = [3, 2, 1].map(|i| {
        let mm = f64::from(header.pixdim[i].abs()) * unit;
        // Of axes that the file does not have, no distance is needed.
        (i <= used && mm.is_finite() && mm > 0.0).then_some(mm)
    });
    let (sform, qform) = (sform(header, unit), qform(header, unit, spacing, &mut doubts));
    let turned = [3, 2, 1].map(|i| i <= used && header.pixdim[i] < 0.0);
    placement::of_forms(
        placement::Forms { sform, sform_code: header.sform_code, qform, spacing, turned, shape },
        doubts,
    )
}

/// A matrix in RAS, mm, as one in LPS with the axes depth, height, width.
fn lps(rows: [[f64; 4]; 3]) -> placement::Matrix {
    let column = |c: usize| [-rows[0][c], -rows[1][c], rows[2][c]];
    placement::Matrix { axes: [column(2), column(1), column(0)], origin: column(3) }
}

fn sform(header: &NiftiHeader, unit: f64) -> Form {
    if header.sform_code <= 0 {
        return Form::Absent;
    }
    Form::new("sform", lps([header.srow_x, header.srow_y, header.srow_z].map(|row| row.map(|v| f64::from(v) * unit))))
}

/// The qform; axes without distance have 1 mm in it.
fn qform(header: &NiftiHeader, unit: f64, spacing: [Option<f64>; 3], doubts: &mut Vec<String>) -> Form {
    if header.qform_code <= 0 {
        return Form::Absent;
    }
    let [mut b, mut c, mut d] = [header.quatern_b, header.quatern_c, header.quatern_d].map(f64::from);
    let sum = b * b + c * c + d * d;
    let mut a = (1.0 - sum).max(0.0).sqrt();
    if sum > 1.0 - 1e-7 {
        // As in the reference implementation: a turn by 180 degrees.
        [b, c, d] = [b, c, d].map(|v| v / sum.sqrt());
        a = 0.0;
        if sum > 1.01 {
            doubts.push("the quaternion of its qform is longer than 1; it is shortened, as ITK does".into());
        }
    }
    let qfac = if header.pixdim[0] < 0.0 { -1.0 } else { 1.0 };
    let r = [
        [a * a + b * b - c * c - d * d, 2.0 * (b * c - a * d), 2.0 * (b * d + a * c)],
        [2.0 * (b * c + a * d), a * a + c * c - b * b - d * d, 2.0 * (c * d - a * b)],
        [2.0 * (b * d - a * c), 2.0 * (c * d + a * b), a * a + d * d - b * b - c * c],
    ];
    let offset = [header.quatern_x, header.quatern_y, header.quatern_z].map(|v| f64::from(v) * unit);
    let [z, y, x] = spacing.map(|s| s.unwrap_or(1.0));
    Form::new("qform", lps([0, 1, 2].map(|i| [r[i][0] * x, r[i][1] * y, r[i][2] * z * qfac, offset[i]])))
}

/// Writes a `.nii` or `.nii.gz` file with sform and, where the directions are orthogonal, an equal qform.
///
/// # Errors
/// [`Error::Io`] when it cannot be written.
pub fn write(path: &Path, volume: &Volume) -> Result<()> {
    let header = header(volume);
    if header.qform_code == 0 {
        log::warn!(
            "{}: its axes are not at right angles, which ITK and 3D Slicer do not read from NIfTI; write .nrrd",
            path.display()
        );
    }
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
mod tests;
