//! What interaction and propagation compute with: the volume, its window, the networks, and features already computed.

use super::batching::{map_on_cpu, parts};
use super::feature_cache::FeatureCache;
use crate::engine::session::options::SessionOptions;
use crate::error::{Error, Result};
use crate::nn::{ImageFeatures, Memory, Networks};
use crate::slice::grid::{SliceGrid, slice_grid};
use crate::slice::region::Roi;
use crate::slice::window::WindowedSlices;
use crate::torch;
use crate::volume::{SliceAxis, Volume};
use tch::Tensor;

/// Borrowed parts of a session. Its functions call networks: use them inside [`crate::torch::run`].
pub(crate) struct Context<'a> {
    pub volume: &'a Volume,
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

/// A slice whose features are not in the cache.
struct Missing {
    slice: usize,
    roi: Roi,
    features: Option<ImageFeatures>,
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

    /// The slices along `axis`, with intensities mapped to 0..1.
    pub fn slices(&self, axis: SliceAxis) -> WindowedSlices<'a> {
        WindowedSlices { volume: self.volume, window: self.window, axis }
    }

    /// One slice as the networks receive it, on their device.
    ///
    /// # Shapes
    /// result: `[1, CI, S, S]`, 0..1.
    pub fn input(&self, axis: SliceAxis, slice: usize, roi: Roi) -> Tensor {
        let context_slices = self.networks.info().context_slices;
        self.slices(axis).input(slice, roi, self.size(), context_slices).to_device(self.networks.device())
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

    /// Features of each of the slices, packed. Those that are not in the cache are computed together and put there;
    /// they are packed before they are used, too, so that results do not depend on the cache.
    ///
    /// # Errors
    /// As [`crate::torch::run`], when not even one slice fits into memory.
    pub fn features(&mut self, axis: SliceAxis, wanted: &[(usize, Roi)]) -> Result<Vec<ImageFeatures>> {
        let mut known: Vec<Option<ImageFeatures>> =
            wanted.iter().map(|&(slice, roi)| self.cache.get(&(axis, slice, roi))).collect();
        let mut missing: Vec<Missing> = Vec::new();
        for (&(slice, roi), _) in wanted.iter().zip(&known).filter(|(_, known)| known.is_none()) {
            if !missing.iter().any(|m| (m.slice, m.roi) == (slice, roi)) {
                missing.push(Missing { slice, roi, features: None });
            }
        }
        let mut done = 0;
        while done < missing.len() {
            let end = missing.len().min(done + self.batch_size());
            let batch = &mut missing[done..end];
            self.in_halves(batch, &|context, half| {
                let jobs = parts(half).collect();
                context
                    .on_threads(jobs, |context, part: &mut [Missing]| context.encode(axis, part))
                    .into_iter()
                    .collect()
            })?;
            for new in batch {
                let features = new.features.take().expect("computed just now");
                let same = |(_, wanted): &(&mut Option<ImageFeatures>, &(usize, Roi))| **wanted == (new.slice, new.roi);
                known.iter_mut().zip(wanted).filter(same).for_each(|(known, _)| *known = Some(features.get(0)));
                self.cache.put((axis, new.slice, new.roi), features);
            }
            done = end;
        }
        Ok(known.into_iter().map(|features| features.expect("known or computed")).collect())
    }

    /// Computes the features of some slices, each packed.
    fn encode(&mut self, axis: SliceAxis, slices: &mut [Missing]) -> Result<()> {
        let (source, size, context_slices) = (self.slices(axis), self.size(), self.networks.info().context_slices);
        let wanted: Vec<(usize, Roi)> = slices.iter().map(|m| (m.slice, m.roi)).collect();
        torch::run(|| {
            let inputs = map_on_cpu(wanted, |(slice, roi)| source.input(slice, roi, size, context_slices));
            let features = self.networks.encode_image(&Tensor::cat(&inputs, 0).to_device(self.networks.device()));
            let features = if self.options.plain { features } else { features.packed() };
            slices.iter_mut().enumerate().for_each(|(n, slice)| slice.features = Some(features.get(n as i64)));
        })
    }
}

/// Features of several slices as networks receive them, joined along N.
pub(crate) fn join(features: &[ImageFeatures]) -> ImageFeatures {
    ImageFeatures::cat(&features.iter().collect::<Vec<_>>()).unpacked()
}
