//! Batches of slices, the threads that compute them, and memory that runs out.
//!
//! All other files compute as if memory were endless: they give their work to [`Context::run_batch`] or
//! [`Context::in_halves`].

use super::context::Context;
use super::feature_cache::FeatureCache;
use crate::engine::session::options::SessionOptions;
use crate::error::{Error, Result};
use crate::torch::{threads, torch_ext};
use std::slice::ChunksMut;
use tch::Device;

/// Most slices encoded, segmented or memorized together on each thread. Chosen.
const MAX_BATCH: usize = 8;

/// Most slices that are computed together on all threads, until memory runs out.
pub(crate) fn largest_batch(options: &SessionOptions, device: Device) -> usize {
    if options.plain { 1 } else { MAX_BATCH * threads::for_jobs(usize::MAX, device) }
}

/// The results of `run` for each job, in order. This is work of the CPU, whatever the networks' device is, and runs on
/// several threads where there are some.
pub(crate) fn map_on_cpu<J: Send, O: Send>(jobs: Vec<J>, run: impl Fn(J) -> O + Sync + Send) -> Vec<O> {
    threads::side_by_side(jobs.len(), Device::Cpu, || threads::map(jobs, run))
}

/// Splits `items` into one part for each thread that computes a batch.
pub(crate) fn parts<T>(items: &mut [T]) -> ChunksMut<'_, T> {
    items.chunks_mut(items.len().div_ceil(threads::at_once()).max(1))
}

impl Context<'_> {
    /// Threads on which so many slices are computed.
    pub fn threads(&self, slices: usize) -> usize {
        threads::for_jobs(slices, self.networks.device())
    }

    /// Most slices that are computed together here, on one thread or, inside of [`Context::run_batch`], on several.
    pub fn batch_size(&self) -> usize {
        self.max_batch.min(MAX_BATCH * threads::at_once())
    }

    /// Splits `items` into batches of nearly the same size for `threads` threads.
    pub fn batches<'t, T>(&self, items: &'t mut [T], threads: usize) -> ChunksMut<'t, T> {
        let batches = items.len().div_ceil(self.max_batch.min(MAX_BATCH * threads)).max(1);
        items.chunks_mut(items.len().div_ceil(batches).max(1))
    }

    /// Runs `run` on a batch; inside of it [`Context::on_threads`] uses several threads. Memory is handled as by
    /// [`Context::in_halves`].
    ///
    /// # Errors
    /// As [`Context::in_halves`].
    pub fn run_batch<T: Send>(
        &mut self,
        batch: &mut [T],
        run: &(impl Fn(&mut Context, &mut [T]) -> Result<()> + Sync),
    ) -> Result<()> {
        threads::side_by_side(batch.len(), self.networks.device(), || self.in_halves(batch, run))
    }

    /// Runs `run` on `items`. Where memory runs out, `run` is called again on one half after the other, with fewer
    /// features in the cache; so a `run` that fails must leave the items as they are, or do all of its work anew.
    ///
    /// # Errors
    /// That of `run`: [`Error::OutOfMemory`] when memory runs out for a single item and an empty cache.
    pub fn in_halves<T>(&mut self, items: &mut [T], run: &impl Fn(&mut Context, &mut [T]) -> Result<()>) -> Result<()> {
        let Err(error) = run(self, items) else { return Ok(()) };
        self.make_room(items.len(), error)?;
        let (first, second) = items.split_at_mut(items.len() / 2);
        [first, second].into_iter().filter(|half| !half.is_empty()).try_for_each(|half| self.in_halves(half, run))
    }

    /// Makes room after `n` slices together took too much memory: drops cached features, half of them for good, and
    /// halves the batches that follow.
    ///
    /// # Errors
    /// `error` itself, when it is another one or nothing is left to give up.
    fn make_room(&mut self, n: usize, error: Error) -> Result<()> {
        if !matches!(error, Error::OutOfMemory(_)) {
            return Err(error);
        }
        let budget = self.cache.budget();
        if n <= 1 && budget == 0 {
            return Err(error);
        }
        log::warn!("memory ran out with {n} slices together; continuing with fewer, and keeping fewer features");
        self.cache.set_budget(0);
        self.cache.set_budget(if n <= 1 { 0 } else { budget / 2 });
        self.max_batch = (n / 2).max(1);
        if let Device::Cuda(_) = self.networks.device() {
            torch_ext::empty_cuda_cache();
        }
        Ok(())
    }

    /// As [`Context::on_threads`], for work of the CPU on so many slices, whatever the networks' device is.
    pub fn on_cpu_threads<J: Send, O: Send>(
        &mut self,
        slices: usize,
        jobs: Vec<J>,
        run: impl Fn(&mut Context, J) -> O + Sync + Send,
    ) -> Vec<O> {
        threads::side_by_side(slices, Device::Cpu, || self.on_threads(jobs, run))
    }

    /// The results of `run` for each job, in order. Inside of [`Context::run_batch`] or [`threads::side_by_side`] the
    /// jobs run on several threads, each with an own owner of the networks and an empty cache.
    pub fn on_threads<J: Send, O: Send>(&mut self, jobs: Vec<J>, run: impl Fn(&mut Context, J) -> O + Sync) -> Vec<O> {
        let at_once = threads::at_once().min(jobs.len());
        if at_once < 2 {
            return jobs.into_iter().map(|job| run(self, job)).collect();
        }
        while self.thread_networks.len() < at_once {
            self.thread_networks.push(self.networks.share());
        }
        let (volume, window, options, max_batch) = (self.volume, self.window, self.options, self.max_batch);
        let mut own: Vec<_> = (0..at_once).map(|_| (FeatureCache::new(0), Vec::new())).collect();
        let mut workers = Vec::with_capacity(at_once);
        for (networks, (cache, thread_networks)) in self.thread_networks.iter_mut().zip(&mut own) {
            workers.push(Context {
                volume,
                window,
                networks: &mut **networks,
                thread_networks,
                cache,
                options,
                max_batch,
            });
        }
        threads::each(&mut workers, jobs, run)
    }
}
