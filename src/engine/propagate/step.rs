//! The parts of a step: the networks run on the next slices of some chains, and what follows for each chain.

use super::chain::{Chain, Step};
use super::round::Round;
use super::target_end::content;
use crate::engine::compute::{Context, not_a_number};
use crate::error::Result;
use crate::nn::{ImageFeatures, Memory, Segmented};
use crate::slice::region::Roi;
use crate::slice::resample::paste_all;
use crate::torch;
use tch::Tensor;

/// Output of the networks for the next slices of some chains.
pub(super) struct Prediction {
    features: ImageFeatures,
    segmented: Segmented,
    /// Estimated IoU of each mask, 0..1.
    iou: Vec<f32>,
    /// Estimated probability that each slice holds the target, 0..1.
    presence: Vec<f32>,
}

impl Round<'_> {
    /// Chooses the region of interest of each chain's next slice.
    pub(super) fn choose_rois(&mut self, chains: &mut [&mut Chain]) {
        for chain in chains {
            let segment = chain.origin.segment;
            chain.roi = self.rois.choose(segment, chain.next, chain.previous.extent, Some(chain.roi));
        }
    }

    /// Predict: reads the memory, decodes the masks and estimates their quality (paper §2.2, eq. 4-7, and §2.3, eq. 8).
    ///
    /// # Errors
    /// As [`torch::run`], and [`crate::Error::BadModel`] when the networks' output contains NaN.
    pub(super) fn predict(
        &self,
        context: &Context,
        chains: &mut [&mut Chain],
        features: ImageFeatures,
    ) -> Result<Prediction> {
        let prediction = torch::run(|| {
            let memory: Vec<Memory> = chains.iter().map(|c| c.bank.view()).collect();
            let slice_context = self.slice_context(context, chains, &features);
            let segmented = context.networks.segment(&features, &memory, &slice_context);
            let judgement = context.networks.quality(&features, &segmented, &slice_context);
            let both = Tensor::cat(&[judgement.quality, judgement.presence], 0).clamp(0.0, 1.0);
            let mut iou = Vec::<f32>::try_from(both).expect("two numbers a slice");
            let presence = iou.split_off(chains.len());
            Prediction { features, segmented, iou, presence }
        })?;
        if prediction.iou.iter().chain(&prediction.presence).any(|number| number.is_nan()) {
            return Err(not_a_number());
        }
        Ok(prediction)
    }

    /// Update: resamples the probabilities to the slices and tests for the end of the target.
    pub(super) fn update(&self, chains: &[&mut Chain], prediction: &Prediction) -> Vec<Step> {
        let rois: Vec<Roi> = chains.iter().map(|c| c.roi).collect();
        let planes = paste_all(&prediction.segmented.probability, &rois, self.grid.rows, self.grid.cols);
        let step = |((chain, plane), (&iou, &presence)): ((&&mut Chain, _), (&f32, &f32))| {
            let content = content(&plane, presence, chain.previous.area, chain.leads_to_target(), self.options);
            let remaining = chain.remaining_after(content, self.options);
            Step { content, plane, iou, presence, remaining }
        };
        chains.iter().zip(planes).zip(prediction.iou.iter().zip(&prediction.presence)).map(step).collect()
    }

    /// Memorize: encodes the slices with their masks, empty ones where the target has ended. Nothing is encoded if no
    /// chain continues, or none of the slices is to be memorized.
    ///
    /// # Errors
    /// As [`torch::run`].
    pub(super) fn memorize(
        &self,
        context: &Context,
        prediction: &Prediction,
        steps: &[Step],
    ) -> Result<Option<Vec<Memory>>> {
        if steps.iter().all(|s| s.remaining == 0) || !steps.iter().any(|s| s.content.is_memorized()) {
            return Ok(None);
        }
        let mask = |(n, step): (usize, &Step)| {
            let probability = prediction.segmented.probability.narrow(0, n as i64, 1);
            if step.content.is_target() { probability } else { probability.zeros_like() }
        };
        let masks: Vec<Tensor> = steps.iter().enumerate().map(mask).collect();
        context.memorize(&prediction.features, &Tensor::cat(&masks, 0)).map(Some)
    }

    /// Advance: keeps the estimates and memories of the slices, and goes on to the next ones.
    pub(super) fn advance(&self, chains: &mut [&mut Chain], steps: Vec<Step>, memories: Option<Vec<Memory>>) {
        for (n, (chain, step)) in chains.iter_mut().zip(steps).enumerate() {
            chain.advance(step, memories.as_ref().map(|m| &m[n]), self.options);
        }
    }
}
