//! Propagation: carries masks from the annotated slices through the volume (paper §2.2).
//!
//! Two independent chains leave every annotated slice that holds the target, one to each side. Each ends at the next
//! annotated slice, at the border of the volume or where the target ends, so that the slice before the query slice is
//! always its neighbour. All chains take a step at a time, a slice each.
//!
//! | file | what it does |
//! |---|---|
//! | `interval` | the slices between annotated ones that change |
//! | `round` | what a propagation works on |
//! | `start`, `annotated` | memorizes the annotated slices and starts the chains |
//! | `chain`, `memory_bank` | the state of a chain and its memory |
//! | `step`, `slice_context` | predict, update, memorize and advance |
//! | `target_end` | every rule about the end of the target |
//! | `blend` | puts chains together and refines intervals |
//! | `outcome` | the result |

mod annotated;
mod blend;
mod chain;
mod interval;
pub mod memory_bank;
pub(crate) mod outcome;
mod round;
mod slice_context;
mod start;
mod step;
pub(crate) mod target_end;

use super::compute::batching::parts;
use super::compute::{Context, Crop, join};
use super::session::progress::{Preview, Progress};
use crate::error::{Error, Result};
use chain::Chain;
use outcome::Outcome;
pub(crate) use round::Round;
use std::collections::BTreeSet;

impl Round<'_> {
    /// Computes what the propagation changes; `on_slice` is called after each slice.
    ///
    /// # Errors
    /// [`Error::Cancelled`] when a stop is requested or `on_slice` returns false, else as [`crate::torch::run`].
    pub fn run(
        mut self,
        context: &mut Context,
        on_slice: &mut dyn FnMut(Progress, Preview<'_>) -> bool,
    ) -> Result<Vec<Outcome>> {
        let mut chains = self.start_chains(context)?;
        let (mut done, total) = (0, chains.iter().map(|c| c.remaining).sum());
        loop {
            let mut active: Vec<&mut Chain> = chains.iter_mut().filter(|c| c.remaining > 0).collect();
            if active.is_empty() {
                break;
            }
            let threads = context.threads(active.len());
            select_chains(&mut active, threads);
            for batch in context.batches(&mut active, threads) {
                self.check_cancelled()?;
                self.choose_rois(batch);
                let slices: Vec<(usize, u32)> = batch.iter().map(|c| (c.next, c.origin.segment)).collect();
                context.run_batch(batch, &|context, chains| self.step(context, chains))?;
                for ((slice, segment), chain) in slices.into_iter().zip(batch.iter()) {
                    done += 1;
                    let preview = Preview { plane: chain.plane(slice), rows: self.grid.rows, cols: self.grid.cols };
                    if !on_slice(Progress { done, total, slice, segment }, preview) {
                        return Err(Error::Cancelled);
                    }
                    self.check_cancelled()?;
                }
            }
        }
        self.blend(context, chains)
    }

    /// One step of some chains. When it fails, they are as they were.
    fn step(&self, context: &mut Context, chains: &mut [&mut Chain]) -> Result<()> {
        let crop = |c: &&mut Chain| Crop::new(c.next, c.roi, self.window(c.origin.segment));
        let wanted: Vec<Crop> = chains.iter().map(crop).collect();
        let mut features = context.features(self.axis, &wanted)?;
        let jobs = parts(chains).zip(parts(&mut features)).collect();
        let results: Result<Vec<_>> = context
            .on_threads(jobs, |context, (chains, features): (&mut [&mut Chain], &mut [_])| {
                let prediction = self.predict(context, chains, join(features))?;
                let steps = self.update(chains, &prediction);
                let memories = self.memorize(context, &prediction, &steps)?;
                Ok((steps, memories))
            })
            .into_iter()
            .collect();
        for (chains, (steps, memories)) in parts(chains).zip(results?) {
            self.advance(chains, steps, memories);
        }
        Ok(())
    }
}

/// Selects the chains of this step: a multiple of the thread count, the longest remaining ones first; all, if chains of
/// several segments go through one slice, whose features they share. Chains through one slice stand side by side.
fn select_chains(active: &mut Vec<&mut Chain>, threads: usize) {
    let place = |c: &&mut Chain| (c.origin.start.upwards, c.next);
    let places: BTreeSet<(bool, usize)> = active.iter().map(place).collect();
    if active.len() > threads && places.len() == active.len() {
        active.sort_by_key(|c| (std::cmp::Reverse(c.remaining), c.origin.interval, c.origin.start.upwards));
        active.truncate(active.len() - active.len() % threads);
    }
    active.sort_by_key(place);
}
