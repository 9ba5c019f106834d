//! What the user draws or corrects on a slice.

use super::mem3d_session;
use crate::engine::{Interaction, Stroke};
use crate::error::{Error, Result};
use crate::ffi::guard::guard;
use crate::ffi::handle::{self, null};
use crate::ffi::mem3d_status;
use crate::ffi::slices;
use crate::ffi::versioned::{self, Versioned};
use crate::ffi::volume_view::{byte_strides, copy_strided, mem3d_axis};
use crate::nn::InteractionKind;
use crate::volume::{Geometry, SliceAxis, SliceMask};

/// One interaction on one slice, given by points or by a raster. Grows; zero it, then set `struct_size`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct mem3d_interaction {
    /// `sizeof(mem3d_interaction)`, set by the caller.
    pub struct_size: u32,
    /// Segment that is drawn, 1 to 65535.
    pub segment: u32,
    /// A #mem3d_axis: the one the slice is cut along.
    pub axis: i32,
    /// Slice number along `axis`. Not read for points in mm, which lie on the slice nearest to their mean.
    pub slice: u32,
    /// A #mem3d_interaction_kind.
    pub kind: i32,
    /// 0: drawn inside the target (positive); 1: drawn outside (negative).
    pub negative: u32,
    /// `n_points` points of three doubles on the slice, in `coordinates`. NULL when a raster is given.
    pub points: *const f64,
    /// Number of points.
    pub n_points: usize,
    /// Half the width of a scribble given by points, mm; 0 for 1.5 pixels.
    pub radius_mm: f64,
    /// For a scribble, instead of points: one byte per pixel of the slice, not 0 where drawn.
    pub raster: *const u8,
    /// Bytes from a pixel of the raster to the next along rows and columns; both 0 for C order without gaps.
    pub raster_byte_strides: [i64; 2],
    /// A #mem3d_coordinates: the meaning of `points`. 0 for voxel indices.
    pub coordinates: i32,
    /// 0.
    pub reserved: u32,
}

// SAFETY: repr(C), struct_size first, 6 * 4 + 6 * 8 + 2 * 4 bytes without padding; zero is valid for numbers and raw
// pointers.
unsafe impl Versioned for mem3d_interaction {
    const NAME: &'static str = "mem3d_interaction";
    const FIRST_SIZE: usize = 72;
}

impl mem3d_interaction {
    /// The same for the engine, in memory of its own, on a volume of this shape and place.
    ///
    /// # Safety
    /// `points` and `raster` are NULL or readable as far as the fields say.
    pub(super) unsafe fn to_engine(self, shape: [usize; 3], geometry: &Geometry) -> Result<Interaction> {
        let axis = mem3d_axis::to_engine(self.axis, "interaction.axis")?;
        let kind = match self.kind {
            0 => InteractionKind::Scribble,
            1 => InteractionKind::Box,
            2 => InteractionKind::ExtremePoints,
            3 => InteractionKind::Click,
            other => {
                return Err(Error::argument(format!(
                    "interaction.kind is {other}; use 0 (scribble), 1 (box), 2 (extreme points) or 3 (click)"
                )));
            }
        };
        let positive = match self.negative {
            0 => true,
            1 => false,
            other => {
                return Err(Error::argument(format!(
                    "interaction.negative is {other}; use 0 (inside the target) or 1 (outside)"
                )));
            }
        };
        let mut slice = self.slice as usize;
        // SAFETY: by this function's contract.
        let stroke = unsafe {
            match (self.points.is_null(), self.raster.is_null()) {
                (false, true) => self.points(axis, &mut slice, shape[axis.index()], geometry)?,
                (true, false) => self.raster(axis.slice_shape(shape))?,
                (true, true) => return Err(null("interaction.points")),
                (false, false) => {
                    return Err(Error::argument("interaction has points and a raster; set one of them to NULL"));
                }
            }
        };
        Ok(Interaction { segment: self.segment, axis, slice, kind, positive, stroke })
    }

    /// The points as voxel indices; `slice`, one of `count`, becomes theirs when they are positions.
    ///
    /// # Safety
    /// `points` holds three doubles a point.
    unsafe fn points(&self, axis: SliceAxis, slice: &mut usize, count: usize, geometry: &Geometry) -> Result<Stroke> {
        let n = self.n_points.saturating_mul(3);
        // SAFETY: by this function's contract.
        let values = unsafe { slices::input(self.points, n, "interaction.points") }?;
        let mut points: Vec<[f64; 3]> = values.chunks_exact(3).map(|p| [p[0], p[1], p[2]]).collect();
        match self.coordinates {
            0 => (),
            1 => *slice = placed(&mut points, axis, count, geometry)?,
            other => {
                return Err(Error::argument(format!(
                    "interaction.coordinates is {other}; use 0 (voxel index) or 1 (LPS, mm)"
                )));
            }
        }
        Ok(Stroke::Points { points, radius_mm: self.radius_mm })
    }

    /// # Safety
    /// `raster` is readable wherever the strides reach in a slice.
    unsafe fn raster(&self, (rows, cols): (usize, usize)) -> Result<Stroke> {
        let s = byte_strides(&[rows, cols], &self.raster_byte_strides, 1, "interaction.raster_byte_strides")?;
        // SAFETY: by this function's contract.
        let bytes = unsafe { copy_strided::<u8>(self.raster, [1, rows, cols], [0, s[0], s[1]]) }?;
        let data = bytes.into_iter().map(|b| u8::from(b != 0)).collect();
        Ok(Stroke::Raster(SliceMask { rows, cols, data }))
    }
}

/// Positions become voxel indices. Returns that of the `count` slices along `axis` which is nearest to their mean;
/// points that lie less than a slice away are moved onto it, since a view need not be quite parallel to the slices.
///
/// # Errors
/// [`Error::InvalidArgument`] when the mean lies more than half a slice beyond the first or last one.
fn placed(points: &mut [[f64; 3]], axis: SliceAxis, count: usize, geometry: &Geometry) -> Result<usize> {
    for p in points.iter_mut() {
        *p = geometry.index_of_lps(*p)?;
    }
    let along = axis.index();
    let mean = points.iter().map(|p| p[along]).sum::<f64>() / points.len().max(1) as f64;
    let last = count as f64 - 1.0;
    // No range contains NaN.
    if !(-0.5..=last + 0.5).contains(&mean) {
        return Err(Error::argument(format!(
            "the points lie outside the volume: they are at slice {mean:.1} along axis {along}, and the volume has \
             slices 0 to {last}"
        )));
    }
    let slice = mean.round().clamp(0.0, last);
    points.iter_mut().filter(|p| (p[along] - slice).abs() < 1.0).for_each(|p| p[along] = slice);
    Ok(slice as usize)
}

/// Draws on a slice and returns its new mask. Interactions on one slice add up until it is accepted.
/// A scribble or click on a slice with a mask changes it around what is drawn; a box or extreme points replace it. On
/// slices of other axes that were drawn on, the mask changes under strokes and clicks alone; on accepted ones it stays.
///
/// @param session      From mem3d_session_new().
/// @param interaction  What is drawn.
/// @param[out] mask    Row-major, one byte per pixel: 1 inside, 0 outside. May be NULL.
/// @param mask_size    Bytes of `mask`: rows times columns of the slice. Ignored when `mask` is NULL.
/// @return #MEM3D_STATUS_UNSUPPORTED (a kind of interaction that the model does not accept), #MEM3D_STATUS_BAD_MODEL
///         (the network output contains NaN), #MEM3D_STATUS_OUT_OF_MEMORY or #MEM3D_STATUS_TORCH.
/// @pre Points and raster are readable as far as the fields of `interaction` reach.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mem3d_session_interact(
    session: *mut mem3d_session,
    interaction: *const mem3d_interaction,
    mask: *mut u8,
    mask_size: usize,
) -> mem3d_status {
    guard(|| {
        // SAFETY: by this function's contract.
        let (session, drawn) =
            unsafe { (handle::borrow(session, "session")?, versioned::read(interaction, "interaction")?) };
        let mut session = session.lock()?;
        let shape = session.volume().shape();
        // SAFETY: by this function's contract.
        let drawn = unsafe { drawn.to_engine(shape, session.volume().geometry()) }?;
        let (rows, cols) = drawn.axis.slice_shape(shape);
        // SAFETY: by this function's contract.
        let out = unsafe { slices::optional_output(mask, mask_size, rows * cols, "mask") }?;
        let made = session.interact(drawn)?;
        if let Some(out) = out {
            out.copy_from_slice(&made.data);
        }
        Ok(())
    })
}

/// Replaces a slice's mask by one that the user corrected by hand. The slice becomes annotated.
///
/// @param session    From mem3d_session_new().
/// @param segment    1 to 65535.
/// @param axis       A #mem3d_axis: the one the slice is cut along.
/// @param slice      Slice number along `axis`.
/// @param mask       Row-major, one byte per pixel: 0 outside, anything else inside.
/// @param mask_size  Bytes of `mask`: rows times columns of the slice.
/// @return #MEM3D_STATUS_OUT_OF_MEMORY.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mem3d_session_set_slice_mask(
    session: *mut mem3d_session,
    segment: u32,
    axis: i32,
    slice: u32,
    mask: *const u8,
    mask_size: usize,
) -> mem3d_status {
    guard(|| {
        // SAFETY: by this function's contract.
        let (session, pixels) =
            unsafe { (handle::borrow(session, "session")?, slices::input(mask, mask_size, "mask")?) };
        let axis = mem3d_axis::to_engine(axis, "axis")?;
        let mut session = session.lock()?;
        let (rows, cols) = axis.slice_shape(session.volume().shape());
        slices::check_count(mask_size, rows * cols, "mask")?;
        let data = pixels.iter().map(|&p| u8::from(p != 0)).collect();
        session.set_slice_mask(segment, axis, slice as usize, &SliceMask { rows, cols, data })
    })
}

/// Sets a segment's mask of the whole volume, for example an earlier segmentation. No slice becomes annotated; what is
/// corrected later fades into this mask over ten slices.
///
/// @param session    From mem3d_session_new().
/// @param segment    1 to 65535.
/// @param mask       `[depth, height, width]`, one byte per voxel: 0 outside, anything else inside.
/// @param mask_size  Bytes of `mask`: depth times height times width.
/// @return #MEM3D_STATUS_OUT_OF_MEMORY.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mem3d_session_set_mask(
    session: *mut mem3d_session,
    segment: u32,
    mask: *const u8,
    mask_size: usize,
) -> mem3d_status {
    guard(|| {
        // SAFETY: by this function's contract.
        let (session, voxels) =
            unsafe { (handle::borrow(session, "session")?, slices::input(mask, mask_size, "mask")?) };
        let mut session = session.lock()?;
        slices::check_count(mask_size, session.volume().shape().iter().product(), "mask")?;
        session.set_mask(segment, voxels)
    })
}

/// Accepts a slice's mask as it is. The slice becomes annotated.
///
/// @param session  From mem3d_session_new().
/// @param segment  1 to 65535, with a mask or an interaction; else #MEM3D_STATUS_INVALID_ARGUMENT.
/// @param axis     A #mem3d_axis: the one the slice is cut along.
/// @param slice    Slice number along `axis`.
/// @return #MEM3D_STATUS_OUT_OF_MEMORY.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mem3d_session_accept(
    session: *mut mem3d_session,
    segment: u32,
    axis: i32,
    slice: u32,
) -> mem3d_status {
    guard(|| {
        // SAFETY: by this function's contract.
        let session = unsafe { handle::borrow(session, "session") }?;
        session.lock()?.accept(segment, mem3d_axis::to_engine(axis, "axis")?, slice as usize)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn click(points: &[f64]) -> mem3d_interaction {
        mem3d_interaction {
            struct_size: size_of::<mem3d_interaction>() as u32,
            segment: 2,
            axis: 2,
            slice: 5,
            kind: 3,
            negative: 1,
            points: points.as_ptr(),
            n_points: points.len() / 3,
            radius_mm: 0.0,
            raster: std::ptr::null(),
            raster_byte_strides: [0; 2],
            coordinates: 0,
            reserved: 0,
        }
    }

    #[test]
    fn positions_become_indices_on_their_slice() {
        // Depth downwards 2 mm, height to the back 1 mm, width to the right 0.5 mm.
        let geometry = Geometry {
            spacing_mm: [2.0, 1.0, 0.5],
            origin_mm: [10.0, -5.0, 100.0],
            direction: [[0.0, 0.0, -1.0], [0.0, 1.0, 0.0], [-1.0, 0.0, 0.0]],
        };
        // Voxel [3, 4, 6] lies at [10 - 3, -5 + 4, 100 - 6]; the second is 0.4 mm, a fifth of a slice, off.
        let points = [7.0, -1.0, 94.0, 6.5, 0.0, 93.6];
        let mut drawn = mem3d_interaction { axis: 1, slice: 77, coordinates: 1, ..click(&points) };
        // SAFETY: two points.
        let got = unsafe { drawn.to_engine([8, 8, 8], &geometry) }.unwrap();
        assert_eq!(got.slice, 3);
        let Stroke::Points { points, .. } = got.stroke else { panic!("points") };
        let expected = [[3.0, 4.0, 6.0], [3.0, 5.0, 7.0]];
        points
            .iter()
            .zip(expected)
            .for_each(|(p, e)| (0..3).for_each(|k| assert!((p[k] - e[k]).abs() < 1e-9, "{p:?}")));
        drawn.coordinates = 2;
        // SAFETY: two points.
        let text = unsafe { drawn.to_engine([8, 8, 8], &geometry) }.unwrap_err().to_string();
        assert!(text.contains("interaction.coordinates is 2"));
    }

    #[test]
    fn positions_are_refused_beyond_half_a_slice_of_either_end() {
        // 1 mm voxels at the origin: slice k along height lies k mm to the back; there are 8.
        let slice = |back: f64| {
            let points = [1.0, back, 2.0];
            let drawn = mem3d_interaction { coordinates: 1, ..click(&points) };
            // SAFETY: one point.
            unsafe { drawn.to_engine([4, 8, 4], &Geometry::default()) }.map(|drawn| (drawn.slice, drawn.stroke))
        };
        let on = |slice: f64| Stroke::Points { points: vec![[2.0, slice, 1.0]], radius_mm: 0.0 };
        assert_eq!([-0.5, -0.4, 7.4, 7.5].map(|back| slice(back).unwrap().0), [0, 0, 7, 7]);
        assert_eq!([-0.4, 7.4].map(|back| slice(back).unwrap().1), [on(0.0), on(7.0)]);
        for outside in [-0.6, -0.9, 7.6, 8.0, f64::NAN, f64::INFINITY] {
            let text = slice(outside).unwrap_err().to_string();
            assert!(text.contains("outside the volume") && text.contains("slices 0 to 7"), "{outside}: {text}");
        }
    }

    #[test]
    fn points_are_copied() {
        let points = [0.0, 5.0, 1.5, 2.0, 5.0, 3.0];
        // SAFETY: two points.
        let got = unsafe { click(&points).to_engine([4, 8, 4], &Geometry::default()) }.unwrap();
        assert_eq!((got.segment, got.axis, got.slice, got.positive), (2, SliceAxis::Height, 5, false));
        let expected = Stroke::Points { points: vec![[0.0, 5.0, 1.5], [2.0, 5.0, 3.0]], radius_mm: 0.0 };
        assert_eq!(got.stroke, expected);
        assert_eq!(size_of::<mem3d_interaction>(), mem3d_interaction::FIRST_SIZE + 8);
    }

    #[test]
    fn a_raster_becomes_zeros_and_ones() {
        // Two rows of three pixels, with one byte of padding a row.
        let raster = [0u8, 7, 0, 99, 255, 0, 1, 99];
        let mut scribble = click(&[]);
        scribble.points = std::ptr::null();
        scribble.kind = 0;
        scribble.axis = 1;
        scribble.raster = raster.as_ptr();
        scribble.raster_byte_strides = [4, 1];
        // SAFETY: the strides stay inside the eight bytes.
        let got = unsafe { scribble.to_engine([9, 2, 3], &Geometry::default()) }.unwrap();
        assert_eq!(got.stroke, Stroke::Raster(SliceMask { rows: 2, cols: 3, data: vec![0, 1, 0, 1, 0, 1] }));
    }

    #[test]
    fn numbers_outside_their_enum_are_refused() {
        let points = [0.0; 3];
        let good = click(&points);
        // SAFETY: one point.
        let text =
            |i: mem3d_interaction| unsafe { i.to_engine([4, 8, 4], &Geometry::default()) }.unwrap_err().to_string();
        assert!(text(mem3d_interaction { axis: 0, ..good }).contains("interaction.axis is 0"));
        assert!(text(mem3d_interaction { kind: -1, ..good }).contains("interaction.kind is -1"));
        assert!(text(mem3d_interaction { negative: 2, ..good }).contains("interaction.negative is 2"));
        assert_eq!(text(mem3d_interaction { points: std::ptr::null(), ..good }), "interaction.points is NULL");
        assert!(text(mem3d_interaction { raster: [1].as_ptr(), ..good }).contains("points and a raster"));
        assert!(text(mem3d_interaction { n_points: usize::MAX, ..good }).contains("cannot hold"));
    }
}
