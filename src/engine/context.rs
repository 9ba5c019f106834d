//! What both interaction and propagation need: the volume, its window, the networks, and features already computed.

use super::feature_cache::FeatureCache;
use super::options::SessionOptions;
use super::preprocess::{slice_grid, slice_input};
use super::roi::{Roi, SliceGrid};
use crate::error::{Error, Result};
use crate::nn::{ImageFeatures, Memory, Networks};
use crate::volume::{SliceAxis, Volume};
use tch::{Device, Tensor};

/// Slices encoded, segmented or memorized in one go.
pub(crate) const MAX_BATCH: usize = 8;

/// Borrowed parts of a session. Its functions call networks: use them inside [`crate::nn::run`].
pub(crate) struct Context<'a> {
    pub volume: &'a Volume,
    pub window: (f64, f64),
    pub networks: &'a dyn Networks,
    pub cache: &'a mut FeatureCache,
    pub options: &'a SessionOptions,
    /// Slices that networks are given together; falls when memory runs out.
    pub max_batch: usize,
}

impl Context<'_> {
    /// Side of the networks' input.
    pub fn size(&self) -> i64 {
        let info = self.networks.info();
        if self.options.whole_slice { info.slice_size } else { info.network_size }
    }

    /// Makes room after `n` slices together were too much for the memory: gives up features that can be computed again, and has
    /// networks given half as many slices from now on.
    ///
    /// # Errors
    /// `error` itself, when it is another one or there is nothing left to give up.
    pub fn make_room(&mut self, n: usize, error: Error) -> Result<()> {
        if !matches!(error, Error::OutOfMemory(_)) {
            return Err(error);
        }
        let budget = self.cache.budget();
        if n <= 1 && budget == 0 {
            return Err(error);
        }
        log::warn!("memory ran out with {n} slices together; going on with fewer, and keeping fewer features");
        self.cache.set_budget(0);
        self.cache.set_budget(if n <= 1 { 0 } else { budget / 2 });
        self.max_batch = (n / 2).max(1);
        if let Device::Cuda(_) = self.networks.device() {
            crate::nn::torch_ext::empty_cuda_cache();
        }
        Ok(())
    }

    /// Keys and values of slices with masks, in as many parts as memory wants.
    ///
    /// # Errors
    /// As [`crate::nn::run`], when not even one slice fits.
    pub fn memorize(&mut self, features: &ImageFeatures, masks: &Tensor) -> Result<Vec<Memory>> {
        let n = masks.size()[0];
        match crate::nn::run(|| self.networks.memorize(features, masks)) {
            Ok(memories) => Ok(memories),
            Err(error) => {
                self.make_room(n as usize, error)?;
                if n == 1 {
                    return self.memorize(features, masks);
                }
                let mut memories = Vec::new();
                for (from, len) in [(0, n / 2), (n / 2, n - n / 2)] {
                    memories.extend(self.memorize(&features.narrow(from, len), &masks.narrow(0, from, len))?);
                }
                Ok(memories)
            }
        }
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

    /// Features of the slices, joined along N; those not yet known are computed together and kept. What is kept is packed, and
    /// what is new is packed as well before it is used, so that a result does not depend on what was kept.
    ///
    /// # Errors
    /// As [`crate::nn::run`], when not even one slice fits into memory.
    pub fn features(&mut self, axis: SliceAxis, wanted: &[(usize, Roi)]) -> Result<ImageFeatures> {
        let mut known: Vec<Option<ImageFeatures>> =
            wanted.iter().map(|&(s, r)| self.cache.get(&(axis, s, r))).collect();
        let mut missing: Vec<(usize, Roi)> = Vec::new();
        for (w, _) in wanted.iter().zip(&known).filter(|(_, k)| k.is_none()) {
            if !missing.contains(w) {
                missing.push(*w);
            }
        }
        let plain = self.options.plain;
        let mut done = 0;
        while done < missing.len() {
            let part = &missing[done..missing.len().min(done + self.max_batch)];
            let inputs: Vec<Tensor> = part.iter().map(|&(slice, roi)| self.input(axis, slice, roi)).collect();
            let encoded = crate::nn::run(|| self.networks.encode_image(&Tensor::cat(&inputs, 0)));
            let features = match encoded {
                Ok(features) if plain => features,
                Ok(features) => features.packed(),
                Err(error) => {
                    self.make_room(part.len(), error)?;
                    continue;
                }
            };
            for (n, &(slice, roi)) in part.iter().enumerate() {
                let one = features.get(n as i64);
                for (known, _) in known.iter_mut().zip(wanted).filter(|(_, w)| **w == (slice, roi)) {
                    *known = Some(one.get(0));
                }
                self.cache.put((axis, slice, roi), one);
            }
            done += part.len();
        }
        let known: Vec<ImageFeatures> = known.into_iter().map(|f| f.expect("computed just now")).collect();
        Ok(ImageFeatures::cat(&known.iter().collect::<Vec<_>>()).unpacked())
    }
}
