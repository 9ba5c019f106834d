//! What interaction and propagation compute with: the volume, its window, the networks, and features already computed.

use super::crop::Crop;
use super::feature_cache::FeatureCache;
use crate::engine::session::options::SessionOptions;
use crate::error::{Error, Result};
use crate::nn::{ImageFeatures, Memory, Networks};
use crate::slice::grid::{SliceGrid, slice_grid};
use crate::slice::window::WindowedSlices;
use crate::torch;
use crate::volume::{SliceAxis, Volume};
use tch::Tensor;

/// Borrowed parts of a session. Its functions call networks: use them inside [`crate::torch::run`].
pub(crate) struct Context<'a> {
    pub volume: &'a Volume,
    /// The session's window; a segment may have another one ([`super::target_window`]).
    pub window: (f64, f64),
    pub networks: &'a mut dyn Networks,
    /// Further owners of the same weights, one a thread; made when they are needed.
    pub thread_networks: &'a mut Vec<Box<dyn Networks>>,
    pub cache: &'a mut FeatureCache,
    pub options: &'a SessionOptions,
    /// Most slices that are computed together, on all threads; halved when memory runs out.
    pub max_batch: usize,
}

/// The error for network output that contains NaN.
pub(crate) fn not_a_number() -> Error {
    Error::BadModel(
        "the output of the model's networks contains NaN; the model is damaged, or its values are too large for the \
         precision: load it in float32 (f32), or load another model"
            .into(),
    )
}

impl<'a> Context<'a> {
    /// Side of the networks' input.
    pub fn size(&self) -> i64 {
        let info = self.networks.info();
        if self.options.whole_slice { info.slice_size } else { info.network_size }
    }

    /// Rows, columns and spacing of the slices along `axis`.
    pub fn grid(&self, axis: SliceAxis) -> SliceGrid {
        slice_grid(self.volume, axis)
    }

    /// The slices along `axis`, with intensities mapped to 0..1 by `window`.
    pub fn slices(&self, axis: SliceAxis, window: (f64, f64)) -> WindowedSlices<'a> {
        WindowedSlices { volume: self.volume, window, axis }
    }

    /// One slice as the networks receive it, on their device.
    ///
    /// # Shapes
    /// result: `[1, CI, S, S]`, 0..1.
    pub fn input(&self, axis: SliceAxis, crop: Crop) -> Tensor {
        let context_slices = self.networks.info().context_slices;
        let source = self.slices(axis, crop.window());
        source.input(crop.slice, crop.roi, self.size(), context_slices).to_device(self.networks.device())
    }

    /// Keys and values of slices with masks.
    ///
    /// # Shapes
    /// `masks`: `[N, 1, S, S]`, 0..1, for the slices of `features` / N memories.
    ///
    /// # Errors
    /// As [`crate::torch::run`].
    pub fn memorize(&self, features: &ImageFeatures, masks: &Tensor) -> Result<Vec<Memory>> {
        torch::run(|| self.networks.memorize(features, masks))
    }
}
