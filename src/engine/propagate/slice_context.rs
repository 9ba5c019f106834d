//! Builds the [`SliceContext`] of each chain's next slice: what decoder and quality head receive besides its image and
//! the memory.

use super::chain::Chain;
use super::round::Round;
use crate::engine::compute::batching::map_on_cpu;
use crate::engine::compute::{Context, Crop};
use crate::nn::{ImageFeatures, SliceContext};
use crate::slice::region::Roi;
use tch::Tensor;

impl Round<'_> {
    /// The context of the chains' next slices, whose features are given in the same order, on the networks' device.
    pub(super) fn slice_context(
        &self,
        context: &Context,
        chains: &mut [&mut Chain],
        features: &ImageFeatures,
    ) -> SliceContext {
        let size = context.size();
        let jobs = chains.iter_mut().collect();
        let (masks, shapes): (Vec<Tensor>, Vec<Tensor>) =
            map_on_cpu(jobs, |chain: &mut &mut Chain| chain.previous_mask_and_shape(size)).into_iter().unzip();
        let rows = chains.iter().enumerate().map(|(n, chain)| (features.slices.narrow(0, n as i64, 1), chain));
        let previous: Vec<Tensor> = rows.map(|(slices, chain)| self.previous_slice(context, chain, &slices)).collect();
        let numbers: Vec<[f32; 5]> = chains.iter().map(|chain| self.numbers(context, chain)).collect();

        let device = context.networks.device();
        let join = |parts: &[Tensor]| Tensor::cat(parts, 0).to_device(device);
        let of_origin = |part: fn(&Chain) -> &Tensor| {
            join(&chains.iter().map(|chain| part(chain).shallow_clone()).collect::<Vec<_>>())
        };
        let numbers = Tensor::from_slice(&numbers.concat()).view([chains.len() as i64, -1]).to_device(device);
        let number = |i: i64| numbers.narrow(1, i, 1);
        SliceContext {
            expected_shape: join(&shapes),
            previous_mask: join(&masks),
            previous_slice: join(&previous),
            largest_area: number(0),
            annotated_area: number(1),
            annotated_mask: of_origin(|chain| &chain.origin.mask),
            annotated_slice: of_origin(|chain| &chain.origin.image),
            steps: number(2),
            distance: number(3),
            distance_from_largest: number(4),
            same_image: self.image_groups(chains),
        }
    }

    /// The last slice with the target, in the region of interest of the next slice. Where it is a context slice of the
    /// next one it is taken from there: the first one for a chain upwards, the last one downwards.
    ///
    /// # Shapes
    /// `slices`: `[1, CI, S, S]`, the next slice / `[1, 1, S, S]`.
    fn previous_slice(&self, context: &Context, chain: &Chain, slices: &Tensor) -> Tensor {
        let last = slices.size()[1] - 1;
        match chain.next.abs_diff(chain.previous.slice) {
            1 if last > 0 => slices.narrow(1, if chain.origin.start.upwards { 0 } else { last }, 1),
            _ => {
                let crop = Crop::new(chain.previous.slice, chain.roi, self.window(chain.origin.segment));
                context.input(self.axis, crop).narrow(1, last / 2, 1)
            }
        }
    }

    /// Largest and annotated area over the area of the region of interest; slices from the annotated one; distance from
    /// it and from the largest one over the side of the region.
    fn numbers(&self, context: &Context, chain: &Chain) -> [f32; 5] {
        let (grid, origin) = (&self.grid, &chain.origin);
        let thickness = context.volume.geometry().spacing_mm[self.axis.index()];
        let pixels = f64::from(chain.roi.rows) * f64::from(chain.roi.cols);
        let side_mm = (pixels * grid.row_mm * grid.col_mm).sqrt();
        let steps = chain.steps() as f64;
        let from_largest = steps.max(chain.next.abs_diff(origin.largest_slice) as f64);
        let [largest_area, annotated_area] = [origin.largest_area, origin.area].map(|area| area as f64 / pixels);
        let [distance, distance_from_largest] = [steps, from_largest].map(|slices| slices * thickness / side_mm);
        [largest_area, annotated_area, steps, distance, distance_from_largest].map(|number| number as f32)
    }

    /// For each chain the first one whose next slice has the same image, region of interest, window, previous slice and
    /// keys in memory, of which as many are annotated: chains of other segments through the same slices.
    fn image_groups(&self, chains: &[&mut Chain]) -> Vec<usize> {
        let inputs: Vec<_> = chains
            .iter()
            .map(|c| {
                let crop = Crop::new(c.next, c.roi, self.window(c.origin.segment));
                let memorized: Vec<(usize, Roi)> = c.bank.order().map(|slice| (slice, c.memorized[&slice])).collect();
                (crop, c.previous.slice, c.bank.annotated(), memorized)
            })
            .collect();
        inputs.iter().map(|one| inputs.iter().position(|other| other == one).expect("itself at the latest")).collect()
    }
}
