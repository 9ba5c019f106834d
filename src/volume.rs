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
        let det = self.determinant();
        // No range contains NaN.
        if !(LEAST_DETERMINANT..).contains(&det.abs()) {
            return Err(Error::argument("the volume's directions do not span space; correct its direction matrix"));
        }
        let rel = [0, 1, 2].map(|k| position[k] - self.origin_mm[k]);
        // Rows of the inverse by Cramer's rule: directions need not be orthogonal.
        let inverse = [cross(d[1], d[2]), cross(d[2], d[0]), cross(d[0], d[1])];
        Ok([0, 1, 2].map(|axis| dot(rel, inverse[axis]) / det / self.spacing_mm[axis]))
    }

    /// Determinant of the direction rows: -1 for the right-handed axes (width, height, depth) of ITK.
    fn determinant(&self) -> f64 {
        let d = &self.direction;
        dot(d[0], cross(d[1], d[2]))
    }

    /// Checks that every voxel has a place.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`], naming the field, for spacing that is not positive and finite, an origin or
    /// direction that is not finite, directions that are no unit vectors, and directions that do not span space.
    pub fn check(&self) -> Result<()> {
        if let Some(s) = self.spacing_mm.iter().find(|s| !(s.is_finite() && **s > 0.0)) {
            return Err(Error::argument(format!("spacing is {s} mm; it must be positive and finite along every axis")));
        }
        if let Some(v) = self.origin_mm.iter().find(|v| !v.is_finite()) {
            return Err(Error::argument(format!(
                "origin is {:?} mm, of which {v} is no position; give the place of voxel [0, 0, 0]",
                self.origin_mm
            )));
        }
        for (vector, axis) in self.direction.iter().zip(["depth", "height", "width"]) {
            let length = dot(*vector, *vector).sqrt();
            if !(1.0 - UNIT..=1.0 + UNIT).contains(&length) {
                return Err(Error::argument(format!(
                    "direction of the {axis} axis is {vector:?}, whose length is {length}; give unit vectors and put \
                     distances into the spacing"
                )));
            }
        }
        self.index_of_lps(self.origin_mm).map(drop)
    }

    /// What a user should know about a geometry that [`Self::check`] accepts: axes that are not at right angles, or
    /// left-handed.
    pub fn doubts(&self) -> Vec<String> {
        let d = &self.direction;
        let mut doubts = Vec::new();
        let pairs = [(0, 1), (0, 2), (1, 2)].map(|(a, b)| dot(d[a], d[b]).abs());
        let most = pairs.into_iter().fold(0.0, f64::max);
        if most > UNIT {
            doubts.push(format!(
                "its axes are not at right angles (two of them meet at {:.1} degrees): positions are right, but \
                 distances are measured as if they were; resample it to a regular grid",
                most.min(1.0).acos().to_degrees()
            ));
        }
        if self.determinant() > 0.0 {
            doubts.push(
                "its axes width, height, depth are left-handed, that is mirrored; positions are kept as they are, \
                 check that left and right are where you expect them"
                    .into(),
            );
        }
        doubts
    }

    /// Largest distance (mm) between the corners of two grids of one shape.
    pub fn apart(&self, other: &Geometry, shape: [usize; 3]) -> f64 {
        let at = |corner: usize| {
            let index = [0, 1, 2].map(|k| if corner >> k & 1 == 1 { shape[k] as f64 - 1.0 } else { 0.0 });
            let (p, q) = (self.position_lps(index), other.position_lps(index));
            let offset = [0, 1, 2].map(|k| p[k] - q[k]);
            dot(offset, offset).sqrt()
        };
        // f64::max passes over NaN.
        (0..8).map(at).fold(0.0, |most: f64, d| if d.is_nan() { f64::INFINITY } else { most.max(d) })
    }

    /// The smallest of the distances between neighbouring voxels, mm.
    pub fn finest_mm(&self) -> f64 {
        self.spacing_mm.iter().copied().fold(f64::INFINITY, f64::min)
    }
}

/// Largest difference of a direction's length from 1, and of the cosine of an angle from 0. Chosen: cosines with three
/// decimals pass.
const UNIT: f64 = 1e-3;

/// Directions with a smaller determinant do not span space. Chosen: rounding of float32 is a tenth of it.
const LEAST_DETERMINANT: f64 = 1e-6;

fn dot(a: [f64; 3], b: [f64; 3]) -> f64 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

fn cross(a: [f64; 3], b: [f64; 3]) -> [f64; 3] {
    [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]
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
    /// or a geometry that [`Geometry::check`] refuses.
    pub fn new(shape: [usize; 3], data: VoxelData, geometry: Geometry) -> Result<Self> {
        check_shape(shape)?;
        let expected: usize = shape.iter().product();
        if data.len() != expected {
            return Err(Error::argument(format!(
                "a volume of shape {shape:?} has {expected} voxels, but {} values were given",
                data.len()
            )));
        }
        geometry.check()?;
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
        let refusal = |g: Geometry| g.check().unwrap_err().to_string();
        for bad in [f64::NAN, f64::INFINITY, 0.0, -1.0] {
            assert!(refusal(Geometry { spacing_mm: [1.0, bad, 1.0], ..g.clone() }).contains("spacing"), "{bad}");
        }
        for bad in [f64::NAN, f64::NEG_INFINITY] {
            assert!(refusal(Geometry { origin_mm: [0.0, 0.0, bad], ..g.clone() }).contains("origin"), "{bad}");
        }
        // NaN, zero and twice the unit vector along height.
        for bad in [f64::NAN, f64::INFINITY, 0.0, 2.0] {
            let mut direction = g.direction;
            direction[1][1] = bad;
            assert!(refusal(Geometry { direction, ..g.clone() }).contains("direction of the height axis"), "{bad}");
        }
        assert!(g.check().is_ok() && g.doubts().is_empty());
    }

    #[test]
    fn doubts_name_skewed_and_mirrored_axes() {
        let g = Geometry::default();
        // Width leans 60 degrees from height: the cosine is 0.5.
        let skewed =
            Geometry { direction: [[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [0.75f64.sqrt(), 0.5, 0.0]], ..g.clone() };
        assert!(skewed.check().is_ok());
        assert!(matches!(&skewed.doubts()[..], [text] if text.contains("60.0 degrees")), "{:?}", skewed.doubts());
        let mirrored = Geometry { direction: [[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [-1.0, 0.0, 0.0]], ..g.clone() };
        assert!(mirrored.check().is_ok());
        assert!(matches!(&mirrored.doubts()[..], [text] if text.contains("left-handed")), "{:?}", mirrored.doubts());
        // Slices 0.2 mm further apart: the last of five lies 0.8 mm away.
        let stretched = Geometry { spacing_mm: [1.2, 1.0, 1.0], ..g.clone() };
        assert!((stretched.apart(&g, [5, 2, 2]) - 0.8).abs() < 1e-12);
        let nowhere = Geometry { origin_mm: [f64::NAN; 3], ..g.clone() };
        assert_eq!(nowhere.apart(&g, [5, 2, 2]), f64::INFINITY);
    }
}
