//! A volume of the host, copied once.

use super::handle::null;
use super::versioned::Versioned;
use crate::error::{Error, Result};
use crate::volume::{Geometry, SliceAxis, Volume, VoxelData, check_shape};
use std::ffi::c_void;

/// Types of a voxel, for #mem3d_volume_view::scalar_type.
#[repr(i32)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum mem3d_scalar_type {
    /// uint8_t.
    U8 = 1,
    /// int8_t.
    I8 = 2,
    /// uint16_t.
    U16 = 3,
    /// int16_t.
    I16 = 4,
    /// uint32_t.
    U32 = 5,
    /// int32_t.
    I32 = 6,
    /// float.
    F32 = 7,
    /// double.
    F64 = 8,
}

/// Axes along which slices are cut, for every parameter and field called `axis`. Rows and columns of a slice are the
/// two other axes, in order. Arrays with one value per axis are indexed by `axis - 1`.
#[repr(i32)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum mem3d_axis {
    /// The axis last drawn on. Only for #mem3d_propagate_options::axis.
    LastDrawn = 0,
    /// Slices of height x width (axial in a volume in standard orientation).
    Depth = 1,
    /// Slices of depth x width.
    Height = 2,
    /// Slices of depth x height.
    Width = 3,
}

impl mem3d_axis {
    /// The engine's axis of a number that came in as `name`.
    pub(super) fn to_engine(number: i32, name: &str) -> Result<SliceAxis> {
        match number {
            1 => Ok(SliceAxis::Depth),
            2 => Ok(SliceAxis::Height),
            3 => Ok(SliceAxis::Width),
            _ => Err(Error::argument(format!("{name} is {number}; use 1 (depth), 2 (height) or 3 (width)"))),
        }
    }

    /// The number of an axis in C.
    pub(super) fn number(axis: SliceAxis) -> i32 {
        match axis {
            SliceAxis::Depth => mem3d_axis::Depth as i32,
            SliceAxis::Height => mem3d_axis::Height as i32,
            SliceAxis::Width => mem3d_axis::Width as i32,
        }
    }
}

/// A volume in the host's memory, `[depth, height, width]`. Grows; zero it, then set `struct_size`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct mem3d_volume_view {
    /// `sizeof(mem3d_volume_view)`, set by the caller.
    pub struct_size: u32,
    /// A #mem3d_scalar_type.
    pub scalar_type: i32,
    /// Voxel [0, 0, 0]; need not be aligned.
    pub data: *const c_void,
    /// Number of voxels along each axis, `[depth, height, width]`; 1..32767.
    pub shape: [i64; 3],
    /// Bytes from a voxel to the next along each axis; may be negative. All 0 for C order without gaps.
    pub byte_strides: [i64; 3],
    /// Distance of neighbouring voxel centres along each axis, mm: 1e-6..1e6, the largest at most 1000 times the
    /// smallest. All 0 for 1 mm.
    pub spacing_mm: [f64; 3],
    /// Position of voxel [0, 0, 0] in LPS, mm.
    pub origin_mm: [f64; 3],
    /// For each axis, the unit vector in LPS in which its index grows: depth, then height, then width. All 0 for
    /// width to the left, height to the back, depth upwards.
    pub direction: [f64; 9],
}

// SAFETY: repr(C), struct_size first, 4 + 4 + 8 + 6 * 8 + 15 * 8 bytes without padding; zero is valid for every field.
unsafe impl Versioned for mem3d_volume_view {
    const NAME: &'static str = "mem3d_volume_view";
    const FIRST_SIZE: usize = 184;
}

impl mem3d_volume_view {
    /// A copy of the volume.
    ///
    /// # Safety
    /// `data` is NULL or readable wherever shape, strides and type reach.
    pub(super) unsafe fn to_volume(self) -> Result<Volume> {
        if self.data.is_null() {
            return Err(null("volume.data"));
        }
        let shape = self.shape();
        check_shape(shape)?;
        // SAFETY: by this function's contract.
        let data = unsafe {
            match self.scalar_type {
                1 => VoxelData::U8(self.copy(shape)?),
                2 => VoxelData::I8(self.copy(shape)?),
                3 => VoxelData::U16(self.copy(shape)?),
                4 => VoxelData::I16(self.copy(shape)?),
                5 => VoxelData::U32(self.copy(shape)?),
                6 => VoxelData::I32(self.copy(shape)?),
                7 => VoxelData::F32(self.copy(shape)?),
                8 => VoxelData::F64(self.copy(shape)?),
                other => {
                    return Err(Error::argument(format!(
                        "volume.scalar_type is {other}; set it to one of mem3d_scalar_type, 1 (u8) to 8 (f64)"
                    )));
                }
            }
        };
        let volume = Volume::new(shape, data, self.geometry())?;
        volume.geometry().doubts().iter().for_each(|doubt| log::warn!("the volume: {doubt}"));
        Ok(volume)
    }

    /// Negative sides become 0, which no volume has.
    fn shape(&self) -> [usize; 3] {
        self.shape.map(|side| usize::try_from(side).unwrap_or(0))
    }

    fn geometry(&self) -> Geometry {
        let default = Geometry::default();
        let d = self.direction;
        Geometry {
            spacing_mm: if self.spacing_mm == [0.0; 3] { default.spacing_mm } else { self.spacing_mm },
            origin_mm: self.origin_mm,
            direction: if d == [0.0; 9] {
                default.direction
            } else {
                [[d[0], d[1], d[2]], [d[3], d[4], d[5]], [d[6], d[7], d[8]]]
            },
        }
    }

    /// # Safety
    /// As for [`Self::to_volume`], for voxels of type `T`, for which any bytes are valid.
    unsafe fn copy<T: Copy>(&self, shape: [usize; 3]) -> Result<Vec<T>> {
        let strides = byte_strides(shape.as_slice(), &self.byte_strides, size_of::<T>(), "volume.byte_strides")?;
        // SAFETY: by this function's contract.
        unsafe { copy_strided(self.data.cast::<u8>(), shape, [strides[0], strides[1], strides[2]]) }
    }
}

/// The byte strides a caller means: all zero for C order. Every offset they reach fits an `isize`.
pub(super) fn byte_strides(shape: &[usize], given: &[i64], element: usize, name: &str) -> Result<Vec<isize>> {
    if given.iter().all(|&s| s == 0) {
        let mut strides = vec![element as isize; shape.len()];
        for axis in (1..shape.len()).rev() {
            strides[axis - 1] = strides[axis] * shape[axis] as isize;
        }
        return Ok(strides);
    }
    let mut reach = element as i64;
    for (axis, (&side, &stride)) in shape.iter().zip(given).enumerate() {
        if side < 2 {
            continue;
        }
        if stride == 0 {
            return Err(Error::argument(format!(
                "{name}[{axis}] is 0; set every stride, or all of them to 0 for C order without gaps"
            )));
        }
        reach = stride
            .checked_abs()
            .and_then(|s| s.checked_mul(side as i64 - 1))
            .and_then(|s| s.checked_add(reach))
            .ok_or_else(|| Error::argument(format!("{name} is {given:?}, which reaches beyond any memory")))?;
    }
    Ok(given.iter().map(|&s| s as isize).collect())
}

/// Copies an array into C order.
///
/// # Safety
/// `data` is readable at every offset that `shape` and `strides` reach; any bytes are a valid `T`.
pub(super) unsafe fn copy_strided<T: Copy>(data: *const u8, shape: [usize; 3], strides: [isize; 3]) -> Result<Vec<T>> {
    let n: usize = shape.iter().product();
    let mut out = Vec::<T>::new();
    out.try_reserve_exact(n).map_err(|_| {
        Error::OutOfMemory(format!(
            "not enough memory for a copy of {} MB; close other programs or crop the volume",
            n * size_of::<T>() / 1_000_000
        ))
    })?;
    let [depth, height, width] = shape;
    let whole_rows = strides[2] == size_of::<T>() as isize || width == 1;
    for d in 0..depth as isize {
        for h in 0..height as isize {
            let row = data.wrapping_offset(d * strides[0] + h * strides[1]);
            // SAFETY: `row` and what follows it are readable by this function's contract, and `out` has room for all.
            unsafe {
                let to = out.as_mut_ptr().add(out.len());
                if whole_rows {
                    std::ptr::copy_nonoverlapping(row, to.cast::<u8>(), width * size_of::<T>());
                } else {
                    for w in 0..width {
                        let from = row.wrapping_offset(w as isize * strides[2]).cast::<T>();
                        to.add(w).write(from.read_unaligned());
                    }
                }
                out.set_len(out.len() + width);
            }
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view<T>(data: &[T], scalar_type: mem3d_scalar_type, shape: [i64; 3]) -> mem3d_volume_view {
        mem3d_volume_view {
            struct_size: size_of::<mem3d_volume_view>() as u32,
            scalar_type: scalar_type as i32,
            data: data.as_ptr().cast(),
            shape,
            byte_strides: [0; 3],
            spacing_mm: [0.0; 3],
            origin_mm: [0.0; 3],
            direction: [0.0; 9],
        }
    }

    #[test]
    fn c_order_keeps_the_type_and_the_defaults() {
        let voxels: Vec<i16> = (0..12).collect();
        // SAFETY: twelve voxels.
        let volume = unsafe { view(&voxels, mem3d_scalar_type::I16, [2, 2, 3]).to_volume() }.unwrap();
        assert_eq!(volume.data(), &VoxelData::I16(voxels));
        assert_eq!(volume.geometry(), &Geometry::default());
        assert_eq!(size_of::<mem3d_volume_view>(), mem3d_volume_view::FIRST_SIZE);
    }

    #[test]
    fn axes_are_counted_from_one() {
        for (number, axis) in [(1, SliceAxis::Depth), (2, SliceAxis::Height), (3, SliceAxis::Width)] {
            assert_eq!(mem3d_axis::to_engine(number, "axis").unwrap(), axis);
            assert_eq!(mem3d_axis::number(axis), number);
        }
        for number in [mem3d_axis::LastDrawn as i32, 4, -1, i32::MIN] {
            let text = mem3d_axis::to_engine(number, "options.axis").unwrap_err().to_string();
            assert!(text.starts_with(&format!("options.axis is {number}; use 1 (depth)")), "{text}");
        }
    }

    #[test]
    fn strides_transpose_flip_and_skip() {
        // Fortran order of [1, 2, 3]: rows 0 1 2 / 3 4 5 are stored by column.
        let voxels = [0u8, 3, 1, 4, 2, 5];
        let mut v = view(&voxels, mem3d_scalar_type::U8, [1, 2, 3]);
        v.byte_strides = [6, 1, 2];
        // SAFETY: the strides stay inside the six voxels.
        let straight = unsafe { v.to_volume() }.unwrap();
        assert_eq!(straight.data(), &VoxelData::U8(vec![0, 1, 2, 3, 4, 5]));
        v.data = voxels[4..].as_ptr().cast();
        v.byte_strides = [6, 1, -2];
        // SAFETY: as above, from the last column backwards.
        let flipped = unsafe { v.to_volume() }.unwrap();
        assert_eq!(flipped.data(), &VoxelData::U8(vec![2, 1, 0, 5, 4, 3]));
    }

    #[test]
    fn unaligned_voxels_are_read() {
        let mut bytes = [0u8; 9];
        bytes[1..5].copy_from_slice(&1.5f32.to_ne_bytes());
        bytes[5..9].copy_from_slice(&2.5f32.to_ne_bytes());
        let v = view(&bytes[1..], mem3d_scalar_type::F32, [1, 1, 2]);
        // SAFETY: eight bytes from an odd address.
        assert_eq!(unsafe { v.to_volume() }.unwrap().data(), &VoxelData::F32(vec![1.5, 2.5]));
    }

    #[test]
    fn bad_views_are_refused_before_they_are_read() {
        let voxels = [0u8; 8];
        let good = view(&voxels, mem3d_scalar_type::U8, [2, 2, 2]);
        // SAFETY: each is refused by its numbers alone.
        let text = |v: mem3d_volume_view| unsafe { v.to_volume() }.unwrap_err().to_string();
        assert_eq!(text(mem3d_volume_view { data: std::ptr::null(), ..good }), "volume.data is NULL");
        assert!(text(mem3d_volume_view { scalar_type: 0, ..good }).contains("scalar_type is 0"));
        assert!(text(mem3d_volume_view { shape: [2, -1, 2], ..good }).contains("every side"));
        assert!(text(mem3d_volume_view { byte_strides: [4, 0, 1], ..good }).contains("byte_strides[1] is 0"));
        assert!(text(mem3d_volume_view { byte_strides: [i64::MIN, 2, 1], ..good }).contains("beyond any memory"));
        assert!(text(mem3d_volume_view { spacing_mm: [1.0, -1.0, 1.0], ..good }).contains("spacing is -1"));
        for bad in [f64::NAN, f64::INFINITY] {
            assert!(text(mem3d_volume_view { spacing_mm: [1.0, 1.0, bad], ..good }).contains("spacing"), "{bad}");
            assert!(text(mem3d_volume_view { origin_mm: [bad, 0.0, 0.0], ..good }).contains("origin"), "{bad}");
            assert!(text(mem3d_volume_view { direction: [bad; 9], ..good }).contains("direction"), "{bad}");
        }
        let twice = [0.0, 0.0, 2.0, 0.0, 2.0, 0.0, 2.0, 0.0, 0.0];
        assert!(text(mem3d_volume_view { direction: twice, ..good }).contains("length is 2"));
    }
}
