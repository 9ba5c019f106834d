//! A chain: slices computed one after the other, from an annotated slice in one direction.

use super::annotated::{AnnotatedSlice, MaskedSlice};
use super::memory_bank::MemoryBank;
use super::outcome::{Estimate, Side};
use super::target_end::{Content, EmptyRun, quality_beyond};
use crate::engine::session::options::SessionOptions;
use crate::nn::Memory;
use crate::slice::plane::Plane;
use crate::slice::region::Roi;
use crate::slice::resample::resample;
use crate::slice::shape::{self, Position, Shape};
use std::collections::BTreeMap;
use tch::Tensor;

/// Annotated slices in the memory of a chain, at most: the nearest ones. Chosen: with all, the memory of a propagation
/// grows with the square of their number, and further ones change figures within chance (docs/experiments.md,
/// "Ablations").
const MOST_ANNOTATED: usize = 8;

/// What is fixed for the life of a chain.
pub(super) struct Origin {
    /// Number of the interval that the chain leads through.
    pub interval: usize,
    pub segment: u32,
    /// The side of the annotated slice that it leaves.
    pub start: Side,
    /// That slice in its region of interest, `[1, 1, S, S]`, 0..1.
    pub image: Tensor,
    /// Its mask, `[1, 1, S, S]`, 0..1.
    pub mask: Tensor,
    /// Area of the mask, pixels.
    pub area: usize,
    /// Number of the annotated slice with the largest area: a chain may start where the target is small already.
    pub largest_slice: usize,
    /// That area, pixels.
    pub largest_area: usize,
    /// The annotated slice at the far end, number and mask, if there is one.
    pub ahead: Option<(usize, Plane)>,
}

/// One chain, and how far it has come.
pub(super) struct Chain {
    pub origin: Origin,
    /// Next slice to segment.
    pub next: usize,
    /// Slices left to segment; 0 when the chain has ended.
    pub remaining: usize,
    /// Region of interest of the next slice, or of the previous one before the next is chosen.
    pub roi: Roi,
    /// The last slice with the target; it precedes `next` unless empty slices lie between.
    pub previous: MaskedSlice,
    pub bank: MemoryBank,
    /// Regions of interest of the memorized slices.
    pub memorized: BTreeMap<usize, Roi>,
    empty: EmptyRun,
    estimates: BTreeMap<usize, Estimate>,
    /// The shape of the mask ahead in the region of interest in which it was last needed.
    shape_ahead: Option<(Roi, Shape)>,
}

/// What the networks give for a chain's next slice.
pub(super) struct Step {
    pub content: Content,
    /// The networks' probabilities.
    pub plane: Plane,
    /// Estimated IoU of their mask.
    pub iou: f32,
    /// Estimated probability that the slice holds the target.
    pub presence: f32,
    /// Slices left to segment after this one.
    pub remaining: usize,
}

impl Chain {
    /// A chain that reads the memory of the nearest of the `annotated` slices, among them its start. It has no slices
    /// to segment before [`Chain::towards`].
    ///
    /// # Panics
    /// When the start is not among them.
    pub fn new(
        interval: usize,
        segment: u32,
        start: Side,
        annotated: &[AnnotatedSlice],
        options: &SessionOptions,
    ) -> Chain {
        let own = annotated.iter().find(|a| a.slice() == start.slice).expect("the start is annotated");
        let by_area = |a: &&AnnotatedSlice| (a.mask.area, std::cmp::Reverse(a.slice().abs_diff(start.slice)));
        let largest = &annotated.iter().max_by_key(by_area).expect("the start is annotated").mask;
        let read = nearest(annotated, start.slice, if options.memorize_annotated { MOST_ANNOTATED } else { 1 });
        let encoded = own.encoded();
        Chain {
            origin: Origin {
                interval,
                segment,
                start,
                image: encoded.image.shallow_clone(),
                mask: encoded.mask.shallow_clone(),
                area: own.mask.area,
                largest_slice: largest.slice,
                largest_area: largest.area,
                ahead: None,
            },
            next: next_slice(start.slice, start.upwards),
            remaining: 0,
            roi: own.roi,
            previous: own.mask.clone(),
            bank: MemoryBank::new(read.map(|a| (a.slice(), &a.encoded().memory)), options.max_memory_slices),
            memorized: annotated.iter().map(|a| (a.slice(), a.roi)).collect(),
            empty: EmptyRun::default(),
            estimates: BTreeMap::new(),
            shape_ahead: None,
        }
    }

    /// The chain with `length` slices to segment, towards the annotated slice `ahead` if there is one.
    pub fn towards(mut self, length: usize, ahead: Option<(usize, Plane)>) -> Chain {
        self.remaining = length;
        self.origin.ahead = ahead;
        self
    }

    /// Whether an annotated slice with the target lies ahead.
    pub fn leads_to_target(&self) -> bool {
        self.origin.ahead.as_ref().is_some_and(|(_, mask)| !mask.is_empty())
    }

    /// Slices from the annotated one to the next.
    pub fn steps(&self) -> usize {
        self.next.abs_diff(self.origin.start.slice)
    }

    /// The previous mask and the shape that is expected on the next slice, in its region of interest, on the CPU.
    ///
    /// # Shapes
    /// Both `[1, 1, size, size]`, f32; 0..1 and -1..1.
    pub fn previous_mask_and_shape(&mut self, size: i64) -> (Tensor, Tensor) {
        let side = size as usize;
        let (roi, steps) = (self.roi, self.steps());
        let pixels = |mask: &Tensor| Vec::<f32>::try_from(mask.view([-1])).expect("a flat f32 tensor");
        if let Some((_, plane)) = &self.origin.ahead
            && self.shape_ahead.as_ref().is_none_or(|(known, _)| *known != roi)
        {
            self.shape_ahead = Some((roi, Shape::new(&pixels(&resample(plane, roi, [side; 2])), side)));
        }
        let ahead = self.origin.ahead.as_ref().zip(self.shape_ahead.as_ref());
        let ahead = ahead.map(|((k, _), (_, shape))| (shape, Position { walked: steps, left: k.abs_diff(self.next) }));
        let mask = resample(&self.previous.plane, roi, [side; 2]);
        let shape = shape::towards(&pixels(&mask), ahead, side);
        (mask, Tensor::from_slice(&shape).view([1, 1, size, size]))
    }

    /// Slices left to segment after one that holds `content`.
    pub fn remaining_after(&self, content: Content, options: &SessionOptions) -> usize {
        if self.empty.ends_with(content, options) { 0 } else { self.remaining - 1 }
    }

    /// Goes on to the next slice: keeps the estimate of this one and, if it is given, its memory.
    pub fn advance(&mut self, step: Step, memory: Option<&Memory>, options: &SessionOptions) {
        let slice = self.next;
        let Step { content, plane, iou, presence, remaining } = step;
        let quality = content.quality(iou, presence);
        let plane = match content {
            Content::Target => {
                self.previous = MaskedSlice::new(slice, plane.clone()).expect("a slice with the target has a mask");
                self.estimates.extend(self.empty.end().into_iter().map(|estimate| (estimate.slice, estimate)));
                plane
            }
            Content::BeyondEnd => {
                self.empty.add(Some(Estimate { slice, plane, quality: iou }));
                Plane::default()
            }
            Content::Empty => {
                self.empty.add(None);
                Plane::default()
            }
        };
        self.estimates.insert(slice, Estimate { slice, plane, quality });
        if let Some(memory) = memory.filter(|_| content.is_memorized()) {
            self.memorize(memory, options);
        }
        self.remaining = remaining;
        self.next = next_slice(slice, self.origin.start.upwards);
    }

    /// Puts the memory of the slice just segmented into the bank, where the options want it there.
    fn memorize(&mut self, memory: &Memory, options: &SessionOptions) {
        let every = options.memorize_every;
        let keep = every > 0 && self.steps().is_multiple_of(every) && self.empty.is_over();
        if keep || options.memorize_previous {
            self.bank.memorize(self.next, memory, keep);
            self.memorized.insert(self.next, self.roi);
        }
    }

    /// The networks' probabilities of a slice that was segmented.
    ///
    /// # Panics
    /// For another slice.
    pub fn plane(&self, slice: usize) -> &Plane {
        &self.estimates[&slice].plane
    }

    /// The chain's estimates.
    pub fn finish(self) -> ChainEstimates {
        ChainEstimates { interval: self.origin.interval, start: self.origin.start, estimates: self.estimates }
    }
}

/// The `count` annotated slices nearest to `start`, ascending.
fn nearest(annotated: &[AnnotatedSlice], start: usize, count: usize) -> impl Iterator<Item = &AnnotatedSlice> {
    let mut distances: Vec<(usize, usize)> = annotated.iter().map(|a| (a.slice().abs_diff(start), a.slice())).collect();
    distances.sort_unstable();
    let farthest = distances[count.min(distances.len()) - 1];
    annotated.iter().filter(move |a| (a.slice().abs_diff(start), a.slice()) <= farthest)
}

/// The slice after `slice` in the direction of a chain; a number without meaning below slice 0, where chains end.
fn next_slice(slice: usize, upwards: bool) -> usize {
    if upwards { slice + 1 } else { slice.wrapping_sub(1) }
}

/// Estimates of a chain that has ended.
pub(super) struct ChainEstimates {
    /// Number of the interval that the chain leads through.
    pub interval: usize,
    pub start: Side,
    /// By slice.
    pub estimates: BTreeMap<usize, Estimate>,
}

impl ChainEstimates {
    /// Probabilities of a slice; none beyond the last slice of the chain.
    pub fn plane(&self, slice: usize) -> Option<&Plane> {
        self.estimates.get(&slice).map(|estimate| &estimate.plane)
    }

    /// Estimated quality of a slice; none beyond the last slice of the chain.
    pub fn quality(&self, slice: usize) -> Option<f32> {
        self.estimates.get(&slice).map(|estimate| estimate.quality)
    }

    /// Quality of a slice that the chain does not reach; 0 for a chain without estimates.
    pub fn quality_beyond(&self, slice: usize) -> f32 {
        let (first, last) = (self.estimates.first_key_value(), self.estimates.last_key_value());
        let last = if self.start.upwards { last } else { first };
        last.map_or(0.0, |(&k, estimate)| quality_beyond(estimate.quality, k.abs_diff(slice)))
    }
}
