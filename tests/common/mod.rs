//! A stand-in network without weights, and a small volume to segment with it.
//!
//! The target has the brightness under the memorized mask: the memory holds a threshold, so that every mask is known
//! beforehand.

#![allow(dead_code, reason = "each test file uses a part")]

use mem3d::engine::{Interaction, Session, SessionOptions, Stroke};
use mem3d::nn::{
    ImageFeatures, InteractionInput, InteractionKind, Judgement, Memory, ModelInfo, Networks, Preset, Segmented,
    SliceContext,
};
use mem3d::volume::{Geometry, SliceAxis, SliceMask, Volume, VoxelData};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use tch::{Device, Kind, Tensor};

/// How often each network ran, in slices.
#[derive(Debug, Default)]
pub struct Calls {
    pub encoded: AtomicUsize,
    pub segmented: AtomicUsize,
    pub memorized: AtomicUsize,
    /// The n-th call of `segment` fails, from 1 on; 0 never.
    pub fail_at: AtomicUsize,
    pub segment_calls: AtomicUsize,
    /// Most slices segmented in one call.
    pub most_at_once: AtomicUsize,
    /// Names of the threads that segmented.
    pub threads: Mutex<BTreeSet<String>>,
    /// Memory runs out above this number of slices in one call; 0 for no limit.
    pub most_together: AtomicUsize,
    /// Not even one slice fits into memory.
    pub nothing_fits: AtomicBool,
    /// `segment` returns NaN.
    pub no_numbers: AtomicBool,
    /// `segment` returns the expected shape, whatever the image.
    pub follow: AtomicBool,
    /// Slices in the memory of each slice segmented.
    pub read: Mutex<Vec<i64>>,
    /// Segmented slices with the image of another one of the same call.
    pub shared: AtomicUsize,
    /// Brightest pixel of the previous slice of each segmented slice.
    pub before: Mutex<Vec<f64>>,
    /// For each call of the interaction network: bright share of the region, largest previous probability.
    pub predictions: Mutex<Vec<[f64; 2]>>,
    /// Factors of the probabilities of the next calls; 1 after the last.
    pub sure: Mutex<Vec<f64>>,
}

pub struct StandIn {
    pub info: ModelInfo,
    pub calls: Arc<Calls>,
}

impl StandIn {
    pub fn new() -> StandIn {
        StandIn::with_kinds(vec![
            InteractionKind::Scribble,
            InteractionKind::Box,
            InteractionKind::ExtremePoints,
            InteractionKind::Click,
        ])
    }

    pub fn with_kinds(interactions: Vec<InteractionKind>) -> StandIn {
        let info = ModelInfo {
            preset: Preset::Compact,
            name: "stand-in".into(),
            // The side of the test volume: without resampling masks are exact.
            network_size: 44,
            slice_size: 64,
            context_slices: 1,
            key_channels: 1,
            value_channels: 1,
            key_stride: 16,
            interactions,
            provenance: String::new(),
            licence: String::new(),
            quality_calibration: None,
            checksum: "stand-in".into(),
        };
        StandIn { info, calls: Arc::default() }
    }
}

impl Calls {
    /// Panics like tch when memory runs out.
    fn take_memory(&self, slices: i64) {
        let most = self.most_together.load(Ordering::Relaxed);
        if self.nothing_fits.load(Ordering::Relaxed) || (most > 0 && slices as usize > most) {
            panic!("{:?}", tch::TchError::Torch("CUDA out of memory. Tried to allocate 2.00 GiB".into()));
        }
    }
}

/// 1 where `a` and `b` differ by less than 0.1, falling off steeply around it.
fn alike(a: &Tensor, b: &Tensor) -> Tensor {
    let distance: Tensor = (a - b).abs();
    (distance * -200.0 + 20.0).sigmoid()
}

impl Networks for StandIn {
    fn info(&self) -> &ModelInfo {
        &self.info
    }

    fn device(&self) -> Device {
        Device::Cpu
    }

    fn share(&self) -> Box<dyn Networks> {
        Box::new(StandIn { info: self.info.clone(), calls: self.calls.clone() })
    }

    /// The pixels as bright as those under the positive map (or, for a box, as its middle).
    fn interact(&self, _: InteractionKind, input: &InteractionInput) -> Tensor {
        let drawn = &input.positive;
        let middle = &input.boxes;
        let weight = if drawn.sum(Kind::Float).double_value(&[]) > 0.0 { drawn.ge(0.99) } else { middle.ge(0.5) };
        let weight = weight.to_kind(Kind::Float);
        let bright = (&input.slices * &weight).max();
        let share = input.slices.ge(0.5).to_kind(Kind::Float).mean(Kind::Float);
        self.calls.predictions.lock().unwrap().push([&share, &input.previous.max()].map(|t| t.double_value(&[])));
        let mut sure = self.calls.sure.lock().unwrap();
        let sure = if sure.is_empty() { 1.0 } else { sure.remove(0) };
        alike(&input.slices, &bright) * sure
    }

    fn encode_image(&self, slices: &Tensor) -> ImageFeatures {
        let n = slices.size()[0];
        self.calls.take_memory(n);
        self.calls.encoded.fetch_add(n as usize, Ordering::Relaxed);
        ImageFeatures {
            slices: slices.shallow_clone(),
            key: slices.adaptive_avg_pool2d([1, 1]),
            value: None,
            skips: vec![],
        }
    }

    /// One position. Key: the mean brightness of the region. Value: that under the mask, negative if the mask is empty.
    fn memorize(&self, features: &ImageFeatures, masks: &Tensor) -> Vec<Memory> {
        let n = masks.size()[0];
        self.calls.take_memory(n);
        self.calls.memorized.fetch_add(n as usize, Ordering::Relaxed);
        (0..n)
            .map(|i| {
                let mask = masks.get(i).ge(0.5).to_kind(Kind::Float);
                let count = mask.sum(Kind::Float).double_value(&[]);
                let mean = (features.slices.get(i) * &mask).sum(Kind::Float).double_value(&[]) / count.max(1.0);
                let value = if count > 0.0 { mean } else { -1.0 };
                let values = Tensor::full([1, 1], value, (Kind::Float, Device::Cpu));
                Memory::new(features.key.get(i).view([1, 1]), values)
            })
            .collect()
    }

    /// The pixels as bright as the brightest value in memory.
    fn segment(&self, features: &ImageFeatures, memory: &[Memory], context: &SliceContext) -> Segmented {
        let call = self.calls.segment_calls.fetch_add(1, Ordering::Relaxed) + 1;
        assert!(call != self.calls.fail_at.load(Ordering::Relaxed), "set to fail");
        self.calls.take_memory(memory.len() as i64);
        self.calls.segmented.fetch_add(memory.len(), Ordering::Relaxed);
        self.calls.most_at_once.fetch_max(memory.len(), Ordering::Relaxed);
        self.calls.threads.lock().unwrap().extend(std::thread::current().name().map(String::from));
        self.calls.read.lock().unwrap().extend(memory.iter().map(|m| m.keys.size()[0]));
        for (n, &first) in context.same_image.iter().enumerate() {
            let row = |t: &Tensor, n: usize| t.get(n as i64);
            let slices = [&features.slices, &context.previous_slice];
            assert!(slices.iter().all(|t| row(t, n).equal(&row(t, first))), "{n} and {first} have other slices");
            assert!(memory[n].keys.equal(&memory[first].keys), "{n} and {first} have other keys");
            let shared = usize::from(n != first);
            self.calls.shared.fetch_add(shared, Ordering::Relaxed);
        }
        let brightest = (0..memory.len()).map(|n| context.previous_slice.get(n as i64).max().double_value(&[]));
        self.calls.before.lock().unwrap().extend(brightest);
        if self.calls.follow.load(Ordering::Relaxed) {
            let probability = (&context.expected_shape * 50.0).sigmoid();
            return Segmented { readout: probability.shallow_clone(), probability, guide: None };
        }
        let parts: Vec<Tensor> = memory
            .iter()
            .enumerate()
            .map(|(i, m)| alike(&features.slices.narrow(0, i as i64, 1), &m.values.max()))
            .collect();
        let mut probability = Tensor::cat(&parts, 0);
        if self.calls.no_numbers.load(Ordering::Relaxed) {
            probability *= f64::NAN;
        }
        Segmented { readout: probability.shallow_clone(), probability, guide: None }
    }

    /// Falls with the mask's share of the region.
    fn quality(&self, _: &ImageFeatures, segmented: &Segmented, _: &SliceContext) -> Judgement {
        let iou = 1.0 - segmented.probability.mean_dim([1i64, 2, 3].as_slice(), false, Kind::Float);
        Judgement::from_iou(iou, &segmented.probability)
    }
}

/// `[depth 24, height 44, width 44]`: background 20; a box of brightness 200 in slices 4..=17, rows 12..28 and columns
/// 10..34; in slices 4..=17 another of brightness 120 in rows 32..38 and columns 4..12.
pub fn volume() -> Volume {
    let shape = [24, 44, 44];
    let mut data = vec![20u8; shape.iter().product()];
    for d in 4..18 {
        for h in 0..44 {
            for w in 0..44 {
                let v = &mut data[(d * 44 + h) * 44 + w];
                if (12..28).contains(&h) && (10..34).contains(&w) {
                    *v = 200;
                } else if (32..38).contains(&h) && (4..12).contains(&w) {
                    *v = 120;
                }
            }
        }
    }
    Volume::new(shape, VoxelData::U8(data), Geometry::default()).unwrap()
}

/// Number of voxels of the bright box.
pub const TARGET_VOXELS: usize = 14 * 16 * 24;

pub fn session_with(options: SessionOptions) -> (Session, Arc<Calls>) {
    let networks = StandIn::new();
    let calls = networks.calls.clone();
    (Session::new(volume(), Box::new(networks), options).unwrap(), calls)
}

pub fn session() -> Session {
    session_with(SessionOptions { window: Some((0.0, 255.0)), ..SessionOptions::default() }).0
}

/// A click on the bright box in slice `slice` along depth.
pub fn click(segment: u32, slice: usize) -> Interaction {
    at(segment, InteractionKind::Click, true, &[[slice as f64, 20.0, 20.0]])
}

/// An interaction along depth, on the slice of its first point.
pub fn at(segment: u32, kind: InteractionKind, positive: bool, points: &[[f64; 3]]) -> Interaction {
    Interaction {
        segment,
        axis: SliceAxis::Depth,
        slice: points[0][0] as usize,
        kind,
        positive,
        stroke: Stroke::Points { points: points.to_vec(), radius_mm: 0.0 },
    }
}

/// A mask of one slice along depth, 1 in the given rows and columns.
pub fn slice_mask(rows: std::ops::Range<usize>, cols: std::ops::Range<usize>) -> SliceMask {
    let mut mask = SliceMask::zeros(44, 44);
    for r in rows {
        mask.data[r * 44..(r + 1) * 44][cols.clone()].fill(1);
    }
    mask
}

pub fn read(session: &Session, segment: u32) -> Vec<u8> {
    let mut mask = vec![9; session.volume().data().len()];
    session.read_mask(segment, &mut mask).unwrap();
    mask
}

/// Everything that a session shows its callers, to compare two sessions.
pub fn visible(session: &Session) -> String {
    let mut text = format!("{:?} {:?}", session.segments(), session.window());
    for segment in session.segments() {
        let mut probability = vec![0.0; session.volume().data().len()];
        session.read_probability(segment, &mut probability).unwrap();
        text += &format!("{segment}: {probability:?}");
        for axis in SliceAxis::ALL {
            text += &format!("{:?} {:?}", session.annotated(segment, axis), session.quality(segment, axis).unwrap());
        }
    }
    text
}
