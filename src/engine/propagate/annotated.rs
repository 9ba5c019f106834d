//! Annotated slices, memorized: what chains start from (paper §2.2).

use crate::engine::compute::{Context, Crop, join};
use crate::error::Result;
use crate::nn::Memory;
use crate::slice::plane::Plane;
use crate::slice::region::{PixelBox, Roi};
use crate::slice::resample::resample;
use crate::volume::SliceAxis;
use tch::Tensor;

/// A slice with a mask, not empty.
#[derive(Debug, Clone)]
pub(super) struct MaskedSlice {
    pub slice: usize,
    pub plane: Plane,
    /// The box around the mask.
    pub extent: PixelBox,
    /// Pixels of the mask.
    pub area: usize,
}

impl MaskedSlice {
    /// None if the mask is empty.
    pub fn new(slice: usize, plane: Plane) -> Option<MaskedSlice> {
        let extent = plane.mask_extent()?;
        Some(MaskedSlice { slice, extent, area: plane.area(), plane })
    }
}

/// An annotated slice that holds the target.
pub(super) struct AnnotatedSlice {
    pub mask: MaskedSlice,
    pub roi: Roi,
    encoded: Option<Encoded>,
}

/// An annotated slice as the networks receive it.
pub(super) struct Encoded {
    pub memory: Memory,
    /// The slice in its region of interest, `[1, 1, S, S]`, 0..1.
    pub image: Tensor,
    /// Its mask, `[1, 1, S, S]`, 0..1.
    pub mask: Tensor,
}

impl AnnotatedSlice {
    pub fn new(mask: MaskedSlice, roi: Roi) -> AnnotatedSlice {
        AnnotatedSlice { mask, roi, encoded: None }
    }

    pub fn slice(&self) -> usize {
        self.mask.slice
    }

    /// The encoded slice.
    ///
    /// # Panics
    /// Before [`memorize`].
    pub fn encoded(&self) -> &Encoded {
        self.encoded.as_ref().expect("memorized")
    }
}

/// Memorizes annotated slices of one segment, which has this window.
///
/// # Errors
/// As [`crate::torch::run`].
pub(super) fn memorize(
    context: &mut Context,
    axis: SliceAxis,
    window: (f64, f64),
    slices: &mut [AnnotatedSlice],
) -> Result<()> {
    let batch_size = context.batch_size();
    slices.chunks_mut(batch_size).try_for_each(|batch| {
        context.in_halves(batch, &|context, batch| {
            let wanted: Vec<Crop> = batch.iter().map(|a| Crop::new(a.slice(), a.roi, window)).collect();
            let features = join(&context.features(axis, &wanted)?);
            let side = context.size() as usize;
            let masks: Vec<Tensor> = batch.iter().map(|a| resample(&a.mask.plane, a.roi, [side; 2])).collect();
            let masks = Tensor::cat(&masks, 0).to_device(context.networks.device());
            let images = features.slices.narrow(1, features.slices.size()[1] / 2, 1);
            let memories = context.memorize(&features, &masks)?;
            for (n, (annotated, memory)) in batch.iter_mut().zip(memories).enumerate() {
                let [image, mask] = [&images, &masks].map(|t| t.narrow(0, n as i64, 1).copy());
                annotated.encoded = Some(Encoded { memory, image, mask });
            }
            Ok(())
        })
    })
}
