//! Types of all layers: volumes, slices, axes and geometry.
//!
//! Arrays are `[depth, height, width]` in C order everywhere, as in numpy and `slicer.util.arrayFromVolume`.

use crate::error::{Error, Result};

/// The array axis along which slices are cut: axis 0 is depth, 1 height, 2 width.
///
/// A slice cut along an axis has the two other axes, in order, as its rows and columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub enum SliceAxis {
    /// Slices `[height, width]` (axial in a volume in standard orientation).
    Depth,
    /// Slices `[depth, width]`.
    Height,
    /// Slices `[depth, height]`.
    Width,
}

impl SliceAxis {
    /// All three, in array order.
    pub const ALL: [SliceAxis; 3] = [SliceAxis::Depth, SliceAxis::Height, SliceAxis::Width];

    /// The axis with array index `index`.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] unless `index` is 0, 1 or 2.
    pub fn from_index(index: i64) -> Result<Self> {
        match index {
            0 => Ok(SliceAxis::Depth),
            1 => Ok(SliceAxis::Height),
            2 => Ok(SliceAxis::Width),
            _ => Err(Error::argument(format!("axis is {index}; use 0 (depth), 1 (height) or 2 (width)"))),
        }
    }

    /// Array index: 0, 1 or 2.
    pub fn index(self) -> usize {
        self as usize
    }

    /// Array indices of the rows and the columns of a slice cut along this axis.
    pub fn in_plane(self) -> (usize, usize) {
        match self {
            SliceAxis::Depth => (1, 2),
            SliceAxis::Height => (0, 2),
            SliceAxis::Width => (0, 1),
        }
    }

    /// Rows and columns of a slice cut along this axis from an array of `shape`.
    pub fn slice_shape(self, shape: [usize; 3]) -> (usize, usize) {
        let (r, c) = self.in_plane();
        (shape[r], shape[c])
    }

    /// Element strides (along the axis, per row, per column) in a C-ordered array of `shape`.
    pub fn strides(self, shape: [usize; 3]) -> (usize, usize, usize) {
        let s = [shape[1] * shape[2], shape[2], 1];
        let (r, c) = self.in_plane();
        (s[self.index()], s[r], s[c])
    }
}

/// Position and orientation of a volume in the patient, in ITK's convention.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Geometry {
    /// Distance of neighbouring voxels along each array axis, mm, `[depth, height, width]`.
    pub spacing_mm: [f64; 3],
    /// Position of voxel (0, 0, 0), mm, `[left, posterior, superior]` (LPS).
    pub origin_mm: [f64; 3],
    /// One row for each array axis: the unit vector, in LPS, along which its index grows.
    pub direction: [[f64; 3]; 3],
}

impl Default for Geometry {
    /// 1 mm voxels at the origin; width grows to the left, height to the back, depth upwards.
    fn default() -> Self {
        Geometry {
            spacing_mm: [1.0; 3],
            origin_mm: [0.0; 3],
            direction: [[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [1.0, 0.0, 0.0]],
        }
    }
}

impl Geometry {
    /// The LPS position (mm) of a continuous voxel index `[depth, height, width]`.
    pub fn position_lps(&self, index: [f64; 3]) -> [f64; 3] {
        let mut p = self.origin_mm;
        for (axis, index) in index.into_iter().enumerate() {
            for (k, p) in p.iter_mut().enumerate() {
                *p += index * self.spacing_mm[axis] * self.direction[axis][k];
            }
        }
        p
    }

    /// The continuous voxel index `[depth, height, width]` of an LPS position (mm).
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] when the directions do not span space.
    pub fn index_of_lps(&self, position: [f64; 3]) -> Result<[f64; 3]> {
        let d = &self.direction;
        let cross = |a: [f64; 3], b: [f64; 3]| {
            [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]
        };
        let dot = |a: [f64; 3], b: [f64; 3]| a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
        let det = dot(d[0], cross(d[1], d[2]));
        if det.abs() < 1e-9 {
            return Err(Error::argument("the volume's directions do not span space; correct its direction matrix"));
        }
        let rel = [0, 1, 2].map(|k| position[k] - self.origin_mm[k]);
        // Rows of the inverse by Cramer's rule: directions need not be orthogonal.
        let inverse = [cross(d[1], d[2]), cross(d[2], d[0]), cross(d[0], d[1])];
        Ok([0, 1, 2].map(|axis| dot(rel, inverse[axis]) / det / self.spacing_mm[axis]))
    }
}

/// Voxel values in the type of the input.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs, reason = "the variants are their types")]
pub enum VoxelData {
    U8(Vec<u8>),
    I8(Vec<i8>),
    U16(Vec<u16>),
    I16(Vec<i16>),
    U32(Vec<u32>),
    I32(Vec<i32>),
    F32(Vec<f32>),
    F64(Vec<f64>),
}

/// Runs `$body` with `$v` bound to the typed vector of a [`VoxelData`].
#[macro_export]
macro_rules! with_voxels {
    ($data:expr, $v:ident => $body:expr) => {
        match $data {
            $crate::volume::VoxelData::U8($v) => $body,
            $crate::volume::VoxelData::I8($v) => $body,
            $crate::volume::VoxelData::U16($v) => $body,
            $crate::volume::VoxelData::I16($v) => $body,
            $crate::volume::VoxelData::U32($v) => $body,
            $crate::volume::VoxelData::I32($v) => $body,
            $crate::volume::VoxelData::F32($v) => $body,
            $crate::volume::VoxelData::F64($v) => $body,
        }
    };
}

/// A scalar type that a volume can have.
pub trait Voxel: Copy + PartialOrd + Send + Sync + 'static {
    /// The value as a 64-bit float (exact for every type here).
    fn to_f64(self) -> f64;
    /// The value as a 32-bit float.
    fn to_f32(self) -> f32;
}

macro_rules! voxel {
    ($($t:ty),*) => {$(
        impl Voxel for $t {
            fn to_f64(self) -> f64 { self as f64 }
            fn to_f32(self) -> f32 { self as f32 }
        }
    )*};
}
voxel!(u8, i8, u16, i16, u32, i32, f32, f64);

impl VoxelData {
    /// Number of voxels.
    pub fn len(&self) -> usize {
        with_voxels!(self, v => v.len())
    }

    /// Whether there are no voxels.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Memory taken, bytes.
    pub fn bytes(&self) -> usize {
        with_voxels!(self, v => std::mem::size_of_val(v.as_slice()))
    }

    /// Name of the scalar type: `u8`, `i16`, `f32`, ...
    pub fn type_name(&self) -> &'static str {
        match self {
            VoxelData::U8(_) => "u8",
            VoxelData::I8(_) => "i8",
            VoxelData::U16(_) => "u16",
            VoxelData::I16(_) => "i16",
            VoxelData::U32(_) => "u32",
            VoxelData::I32(_) => "i32",
            VoxelData::F32(_) => "f32",
            VoxelData::F64(_) => "f64",
        }
    }

    /// The value of voxel `i` (flat, C order).
    pub fn get(&self, i: usize) -> f64 {
        with_voxels!(self, v => Voxel::to_f64(v[i]))
    }
}

/// A volume: voxel values `[depth, height, width]` and their geometry.
#[derive(Debug, Clone, PartialEq)]
pub struct Volume {
    shape: [usize; 3],
    data: VoxelData,
    geometry: Geometry,
}

/// Largest number of voxels along one axis: the limit of the file formats of masks.
pub const MAX_SIDE: usize = 32_767;

impl Volume {
    /// A volume of `shape` `[depth, height, width]` from values in C order.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for a shape that [`check_shape`] refuses, a number of values other than the shape's,
    /// spacing that is not positive and finite, or directions that do not span space.
    pub fn new(shape: [usize; 3], data: VoxelData, geometry: Geometry) -> Result<Self> {
        check_shape(shape)?;
        let expected: usize = shape.iter().product();
        if data.len() != expected {
            return Err(Error::argument(format!(
                "a volume of shape {shape:?} has {expected} voxels, but {} values were given",
                data.len()
            )));
        }
        if let Some(s) = geometry.spacing_mm.iter().find(|s| !(s.is_finite() && **s > 0.0)) {
            return Err(Error::argument(format!("spacing is {s} mm; it must be positive and finite along every axis")));
        }
        geometry.index_of_lps(geometry.origin_mm)?;
        Ok(Volume { shape, data, geometry })
    }

    /// `[depth, height, width]`, voxels.
    pub fn shape(&self) -> [usize; 3] {
        self.shape
    }

    /// The values, C order.
    pub fn data(&self) -> &VoxelData {
        &self.data
    }

    /// Position and orientation.
    pub fn geometry(&self) -> &Geometry {
        &self.geometry
    }

    /// SHA-256 over shape, voxel type and values, lower-case hexadecimal.
    pub fn checksum(&self) -> String {
        use sha2::Digest;
        let mut hash = sha2::Sha256::new();
        hash.update(format!("{:?} {}", self.shape, self.data.type_name()));
        with_voxels!(&self.data, v => {
            let mut bytes = Vec::with_capacity(1 << 19);
            for part in v.chunks(1 << 16) {
                bytes.clear();
                part.iter().for_each(|x| bytes.extend_from_slice(&x.to_le_bytes()));
                hash.update(&bytes);
            }
        });
        hash.finalize().iter().map(|b| format!("{b:02x}")).collect()
    }

    /// Number of slices along `axis`.
    pub fn slice_count(&self, axis: SliceAxis) -> usize {
        self.shape[axis.index()]
    }
}

/// Checks the shape of a volume.
///
/// # Errors
/// [`Error::InvalidArgument`] when a side is 0 or above [`MAX_SIDE`], or the product overflows.
pub fn check_shape(shape: [usize; 3]) -> Result<()> {
    if shape.iter().any(|&s| s == 0 || s > MAX_SIDE) {
        return Err(Error::argument(format!(
            "volume shape [depth, height, width] is {shape:?}; every side must be 1 to {MAX_SIDE}"
        )));
    }
    Ok(())
}

/// A binary mask of one slice, row-major: 1 inside, 0 outside.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct SliceMask {
    /// Rows.
    pub rows: usize,
    /// Columns.
    pub cols: usize,
    /// `rows * cols` values, 0 or 1.
    pub data: Vec<u8>,
}

impl SliceMask {
    /// An empty mask.
    pub fn zeros(rows: usize, cols: usize) -> Self {
        SliceMask { rows, cols, data: vec![0; rows * cols] }
    }

    /// Number of pixels inside.
    pub fn area(&self) -> usize {
        self.data.iter().filter(|&&v| v != 0).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_have_the_other_two_axes() {
        let shape = [2, 3, 5];
        assert_eq!(SliceAxis::Depth.slice_shape(shape), (3, 5));
        assert_eq!(SliceAxis::Height.slice_shape(shape), (2, 5));
        assert_eq!(SliceAxis::Width.slice_shape(shape), (2, 3));
        // strides: (along, row, column) of a C-ordered [2, 3, 5]
        assert_eq!(SliceAxis::Depth.strides(shape), (15, 5, 1));
        assert_eq!(SliceAxis::Height.strides(shape), (5, 15, 1));
        assert_eq!(SliceAxis::Width.strides(shape), (1, 15, 5));
    }

    #[test]
    fn positions_and_indices_are_inverse_for_an_oblique_volume() {
        let c = 0.8;
        let s = 0.6;
        let g = Geometry {
            spacing_mm: [3.0, 0.5, 0.5],
            origin_mm: [10.0, -20.0, 5.0],
            direction: [[0.0, 0.0, 1.0], [-s, c, 0.0], [c, s, 0.0]],
        };
        // index (1, 2, 4): 3 mm up, 1 mm along (-.6, .8), 2 mm along (.8, .6)
        let p = g.position_lps([1.0, 2.0, 4.0]);
        for (a, b) in p.iter().zip([10.0 - 0.6 + 1.6, -20.0 + 0.8 + 1.2, 8.0]) {
            assert!((a - b).abs() < 1e-12);
        }
        let i = g.index_of_lps(p).unwrap();
        for (a, b) in i.iter().zip([1.0, 2.0, 4.0]) {
            assert!((a - b).abs() < 1e-12);
        }
    }

    #[test]
    fn bad_volumes_are_refused() {
        let g = Geometry::default();
        assert!(Volume::new([0, 1, 1], VoxelData::U8(vec![]), g.clone()).is_err());
        assert!(Volume::new([1, 1, 2], VoxelData::U8(vec![0]), g.clone()).is_err());
        let flat = Geometry { direction: [[1.0, 0.0, 0.0]; 3], ..g.clone() };
        assert!(Volume::new([1, 1, 1], VoxelData::U8(vec![0]), flat).is_err());
        let nan = Geometry { spacing_mm: [1.0, f64::NAN, 1.0], ..g };
        assert!(Volume::new([1, 1, 1], VoxelData::U8(vec![0]), nan).is_err());
    }
}
