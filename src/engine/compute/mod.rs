//! What both interaction and propagation need: the volume, its window, the networks, and features already computed.

pub(crate) mod feature_cache;
pub(crate) mod roi_choice;

use super::session::options::SessionOptions;
use crate::error::{Error, Result};
use crate::nn::{ImageFeatures, Memory, Networks};
use crate::slice::grid::{SliceGrid, slice_grid};
use crate::slice::region::Roi;
use crate::slice::window::slice_input;
use crate::torch::threads;
use crate::volume::{SliceAxis, Volume};
use feature_cache::FeatureCache;
use tch::{Device, Tensor};

/// Slices encoded, segmented or memorized in one go, on each thread.
pub(crate) const MAX_BATCH: usize = 8;

/// Borrowed parts of a session. Its functions call networks: use them inside [`crate::torch::run`].
pub(crate) struct Context<'a> {
    pub volume: &'a Volume,
    pub window: (f64, f64),
    pub networks: &'a mut dyn Networks,
    /// Further owners of the same weights, for threads that compute side by side; made when they are needed.
    pub team: &'a mut Vec<Box<dyn Networks>>,
    pub cache: &'a mut FeatureCache,
    pub options: &'a SessionOptions,
    /// Slices that are computed at the same time, on all threads together; falls when memory runs out.
    pub max_batch: usize,
}

/// What to say of networks that answer with no number (NaN).
pub(super) fn no_number() -> Error {
    Error::BadModel(
        "the model's networks do not answer with numbers; it is damaged, or its values are too large for the precision: load it in float32 \
         (f32), or load another model"
            .into(),
    )
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
            crate::torch::torch_ext::empty_cuda_cache();
        }
        Ok(())
    }

    /// What `run` makes of each job, in order; side by side inside of [`threads::side_by_side`], each with networks of its own and
    /// nothing kept of what it computes.
    pub fn each<J: Send, O: Send>(&mut self, jobs: Vec<J>, run: impl Fn(&mut Context, J) -> O + Sync) -> Vec<O> {
        let at_once = threads::at_once().min(jobs.len());
        if at_once < 2 {
            return jobs.into_iter().map(|job| run(self, job)).collect();
        }
        while self.team.len() < at_once {
            self.team.push(self.networks.share());
        }
        let (volume, window, options, max_batch) = (self.volume, self.window, self.options, self.max_batch);
        let mut kept: Vec<_> = (0..at_once).map(|_| (FeatureCache::new(0), Vec::new())).collect();
        let mut workers = Vec::with_capacity(at_once);
        for (networks, (cache, team)) in self.team.iter_mut().zip(&mut kept) {
            workers.push(Context { volume, window, networks: &mut **networks, team, cache, options, max_batch });
        }
        threads::each(&mut workers, jobs, run)
    }

    /// Keys and values of slices with masks, in as many parts as memory wants.
    ///
    /// # Errors
    /// As [`crate::torch::run`], when not even one slice fits.
    pub fn memorize(&mut self, features: &ImageFeatures, masks: &Tensor) -> Result<Vec<Memory>> {
        let n = masks.size()[0];
        match crate::torch::run(|| self.networks.memorize(features, masks)) {
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

    /// Features of each of the slices, packed; those not yet known are computed together and kept. What is new is packed as well before
    /// it is used, so that a result does not depend on what was kept.
    ///
    /// # Errors
    /// As [`crate::torch::run`], when not even one slice fits into memory.
    pub fn features(&mut self, axis: SliceAxis, wanted: &[(usize, Roi)]) -> Result<Vec<ImageFeatures>> {
        let mut known: Vec<Option<ImageFeatures>> =
            wanted.iter().map(|&(s, r)| self.cache.get(&(axis, s, r))).collect();
        let mut missing: Vec<(usize, Roi)> = Vec::new();
        for (w, _) in wanted.iter().zip(&known).filter(|(_, k)| k.is_none()) {
            if !missing.contains(w) {
                missing.push(*w);
            }
        }
        let mut done = 0;
        while done < missing.len() {
            let together = self.max_batch.min(MAX_BATCH * threads::at_once());
            let part = &missing[done..missing.len().min(done + together)];
            let jobs = part.chunks(part.len().div_ceil(threads::at_once())).collect();
            let encoded: Result<Vec<_>> =
                self.each(jobs, |context, slices| context.encode(axis, slices)).into_iter().collect();
            let encoded = match encoded {
                Ok(encoded) => encoded,
                Err(error) => {
                    self.make_room(part.len(), error)?;
                    continue;
                }
            };
            for (&(slice, roi), one) in part.iter().zip(encoded.into_iter().flatten()) {
                for (known, _) in known.iter_mut().zip(wanted).filter(|(_, w)| **w == (slice, roi)) {
                    *known = Some(one.get(0));
                }
                self.cache.put((axis, slice, roi), one);
            }
            done += part.len();
        }
        Ok(known.into_iter().map(|f| f.expect("computed just now")).collect())
    }

    /// Features of slices that nothing is known of, each packed.
    fn encode(&mut self, axis: SliceAxis, slices: &[(usize, Roi)]) -> Result<Vec<ImageFeatures>> {
        let (volume, window, size, neighbours) =
            (self.volume, self.window, self.size(), self.networks.info().context_slices);
        let (plain, device) = (self.options.plain, self.networks.device());
        crate::torch::run(|| {
            // Work of the processor, wherever the networks are.
            let inputs = threads::side_by_side(slices.len(), Device::Cpu, || {
                let input = |(slice, roi)| slice_input(volume, window, axis, slice, roi, size, neighbours);
                threads::map(slices.to_vec(), input)
            });
            let features = self.networks.encode_image(&Tensor::cat(&inputs, 0).to_device(device));
            let features = if plain { features } else { features.packed() };
            (0..slices.len()).map(|n| features.get(n as i64)).collect()
        })
    }
}

/// Features of several slices as networks take them, joined along N.
pub(super) fn join(features: &[ImageFeatures]) -> ImageFeatures {
    ImageFeatures::cat(&features.iter().collect::<Vec<_>>()).unpacked()
}
