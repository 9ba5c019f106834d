//! Image features of slices: from the cache, or computed together on several threads.

use super::batching::{map_on_cpu, parts};
use super::context::Context;
use super::crop::Crop;
use crate::error::Result;
use crate::nn::ImageFeatures;
use crate::slice::window::WindowedSlices;
use crate::torch;
use crate::volume::SliceAxis;
use tch::Tensor;

/// A slice whose features are not in the cache.
struct Missing {
    crop: Crop,
    features: Option<ImageFeatures>,
}

impl Context<'_> {
    /// Features of each of the slices, packed. Those that are not in the cache are computed together and put there;
    /// they are packed before they are used, too, so that results do not depend on the cache.
    ///
    /// # Errors
    /// As [`crate::torch::run`], when not even one slice fits into memory.
    pub fn features(&mut self, axis: SliceAxis, wanted: &[Crop]) -> Result<Vec<ImageFeatures>> {
        let mut known: Vec<Option<ImageFeatures>> = wanted.iter().map(|&crop| self.cache.get(&(axis, crop))).collect();
        let mut missing: Vec<Missing> = Vec::new();
        for (&crop, _) in wanted.iter().zip(&known).filter(|(_, known)| known.is_none()) {
            if !missing.iter().any(|m| m.crop == crop) {
                missing.push(Missing { crop, features: None });
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
                let same = |(_, wanted): &(&mut Option<ImageFeatures>, &Crop)| **wanted == new.crop;
                known.iter_mut().zip(wanted).filter(same).for_each(|(known, _)| *known = Some(features.get(0)));
                self.cache.put((axis, new.crop), features);
            }
            done = end;
        }
        Ok(known.into_iter().map(|features| features.expect("known or computed")).collect())
    }

    /// Computes the features of some slices, each packed.
    fn encode(&mut self, axis: SliceAxis, slices: &mut [Missing]) -> Result<()> {
        let (volume, size, context_slices) = (self.volume, self.size(), self.networks.info().context_slices);
        let wanted: Vec<Crop> = slices.iter().map(|m| m.crop).collect();
        torch::run(|| {
            let input = |crop: Crop| {
                let source = WindowedSlices { volume, window: crop.window(), axis };
                source.input(crop.slice, crop.roi, size, context_slices)
            };
            let inputs = map_on_cpu(wanted, input);
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
