//! What both interaction and propagation need: the volume, its window, the networks, and features already computed.

use super::feature_cache::FeatureCache;
use super::options::SessionOptions;
use super::preprocess::{slice_grid, slice_input};
use super::roi::{Roi, SliceGrid};
use crate::nn::{ImageFeatures, Networks};
use crate::volume::{SliceAxis, Volume};
use tch::Tensor;

/// Slices encoded, segmented or memorized in one go.
pub(crate) const MAX_BATCH: usize = 8;

/// Borrowed parts of a session. Its functions call networks: use them inside [`crate::nn::run`].
pub(crate) struct Context<'a> {
    pub volume: &'a Volume,
    pub window: (f64, f64),
    pub networks: &'a dyn Networks,
    pub cache: &'a mut FeatureCache,
    pub options: &'a SessionOptions,
}

impl Context<'_> {
    /// Side of the networks' input.
    pub fn size(&self) -> i64 {
        let info = self.networks.info();
        if self.options.whole_slice { info.slice_size } else { info.network_size }
    }

    /// Rows, columns and spacing of the slices along `axis`.
    pub fn grid(&self, axis: SliceAxis) -> SliceGrid {
        slice_grid(self.volume, axis)
    }

    /// One slice as the networks take it, on their device.
    pub fn input(&self, axis: SliceAxis, slice: usize, roi: Roi) -> Tensor {
        let context = self.networks.info().context_slices;
        slice_input(self.volume, self.window, axis, slice, roi, self.size(), context).to_device(self.networks.device())
    }

    /// Features of each slice; those not yet known are computed together and kept.
    pub fn features(&mut self, axis: SliceAxis, wanted: &[(usize, Roi)]) -> Vec<ImageFeatures> {
        let mut known: Vec<Option<ImageFeatures>> =
            wanted.iter().map(|&(s, r)| self.cache.get(&(axis, s, r))).collect();
        let mut missing: Vec<(usize, Roi)> = Vec::new();
        for (w, _) in wanted.iter().zip(&known).filter(|(_, k)| k.is_none()) {
            if !missing.contains(w) {
                missing.push(*w);
            }
        }
        for part in missing.chunks(MAX_BATCH) {
            let inputs: Vec<Tensor> = part.iter().map(|&(slice, roi)| self.input(axis, slice, roi)).collect();
            let features = self.networks.encode_image(&Tensor::cat(&inputs, 0));
            for (n, &(slice, roi)) in part.iter().enumerate() {
                let one = features.get(n as i64);
                for (known, _) in known.iter_mut().zip(wanted).filter(|(_, w)| **w == (slice, roi)) {
                    *known = Some(one.get(0));
                }
                self.cache.put((axis, slice, roi), one);
            }
        }
        known.into_iter().map(|f| f.expect("computed just now")).collect()
    }
}
