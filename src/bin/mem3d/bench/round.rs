//! Whole rounds on a synthetic volume.

use crate::common::memory;
use mem3d::Result;
use mem3d::engine::{Interaction, PropagateOptions, Session, SessionOptions, Stroke};
use mem3d::nn::InteractionKind;
use mem3d::nn::model::Model;
use mem3d::torch::macs;
use mem3d::volume::{Geometry, SliceAxis, SliceMask, Volume, VoxelData};
use serde::Serialize;
use std::time::Instant;

/// What is timed.
#[derive(Debug, Clone, Copy)]
pub struct Case {
    /// Slices of the volume.
    pub depth: usize,
    /// Rows and columns of a slice.
    pub size: usize,
    /// Neighbouring segments.
    pub segments: u32,
    /// Number of whole slices to time; none: regions of interest on every slice.
    pub only: Option<usize>,
}

/// One volume.
#[derive(Debug, Serialize)]
pub struct Round {
    pub shape: [usize; 3],
    pub segments: u32,
    pub session_s: f64,
    pub interact_s: f64,
    pub first_round_s: f64,
    pub first_round_slices: usize,
    pub refinement_s: f64,
    /// Processor time of the first round on all threads; independent of other load on the machine.
    pub first_round_cpu_s: f64,
    /// Processor time of the refinement.
    pub refinement_cpu_s: f64,
    pub refinement_slices: usize,
    pub gmac_first_round: f64,
    /// Peak memory of the process, less what it held with the volume and the model loaded, MB; on the CPU.
    pub peak_beside_volume_mb: f64,
    /// Whether the round was timed on a part of the volume and scaled.
    pub scaled: bool,
}

/// A bright, slowly moving disc over four fifths of the slices, with a diameter of 120 of 512 pixels.
struct Target {
    depth: usize,
    size: usize,
}

impl Target {
    /// Radius, pixels.
    fn radius(&self) -> f64 {
        60.0 * self.size as f64 / 512.0
    }

    fn holds(&self, d: usize, r: usize, c: usize) -> bool {
        let t = d as f64 / self.depth as f64;
        let drift = 20.0 * (6.0 * t).sin();
        let centre = self.size as f64 / 2.0;
        let (y, x) = (r as f64 - centre - drift, c as f64 - centre + drift);
        (0.1..0.9).contains(&t) && y * y + x * x < self.radius() * self.radius()
    }

    /// The target on a textured ground.
    fn volume(&self) -> Volume {
        let (depth, size) = (self.depth, self.size);
        let mut data = vec![0i16; depth * size * size];
        for (d, plane) in data.chunks_exact_mut(size * size).enumerate() {
            for (i, v) in plane.iter_mut().enumerate() {
                let (r, c) = (i / size, i % size);
                let texture = ((r * 7 + c * 13 + d * 29) % 64) as i16;
                *v = if self.holds(d, r, c) { 180 + texture } else { texture };
            }
        }
        let volume = Volume::new([depth, size, size], VoxelData::I16(data), Geometry::default());
        volume.expect("a synthetic volume is well formed")
    }

    /// Mask of a segment on `slice`; further segments lie beside the first, half a radius away.
    fn mask(&self, slice: usize, segment: u32) -> SliceMask {
        let angle = f64::from(segment - 1) * 1.3;
        let away = if segment > 1 { 0.5 * self.radius() } else { 0.0 };
        let (down, right) = ((away * angle.sin()) as i64, (away * angle.cos()) as i64);
        let shifted = |at: usize, by: i64| (at as i64 - by).max(0) as usize;
        let mut mask = SliceMask::zeros(self.size, self.size);
        for (i, v) in mask.data.iter_mut().enumerate() {
            *v = u8::from(self.holds(slice, shifted(i / self.size, down), shifted(i % self.size, right)));
        }
        mask
    }

    /// A box around the target on `slice`.
    fn draw_box(&self, slice: usize) -> Interaction {
        let (centre, reach) = (self.size as f64 / 2.0, self.radius());
        let corner = |at: f64| [slice as f64, at, at];
        Interaction {
            segment: 1,
            axis: SliceAxis::Depth,
            slice,
            kind: InteractionKind::Box,
            positive: true,
            stroke: Stroke::Points { points: vec![corner(centre - reach), corner(centre + reach)], radius_mm: 0.0 },
        }
    }
}

/// Times a session, an interaction, a first round and a refinement; `before_mb`: memory of the process without the
/// volume.
pub fn time(model: &Model, case: Case, before_mb: f64) -> Result<Round> {
    let Case { depth, size, segments, only } = case;
    let target = Target { depth, size };
    let volume = target.volume();
    let copy = volume.clone();
    memory::reset_peak();
    let (mut session, session_s) = session(model, copy, only.is_some())?;
    let middle = depth / 2;
    let interact_s = interact(&mut session, target.draw_box(middle))?;
    session.reset(None)?;
    let range = only.map(|slices| {
        let half = (slices / 2).max(1);
        (middle.saturating_sub(half), (middle + half).min(depth - 1))
    });
    let first = round(&mut session, &target, segments, middle, range)?;
    // The next correction of a user lies in the middle of one side.
    let corrected = range.map_or(depth * 3 / 4, |r| r.1);
    let refined = round(&mut session, &target, segments, corrected, range)?;
    let all = (depth - 1) * segments as usize;
    let scale = all as f64 / first.slices as f64;
    let refined_slices = if only.is_some() { depth / 2 } else { refined.slices };
    let refined_scale = refined_slices as f64 / refined.slices.max(1) as f64;
    Ok(Round {
        shape: volume.shape(),
        segments,
        session_s,
        interact_s,
        first_round_s: first.seconds * scale,
        first_round_slices: all,
        refinement_s: refined.seconds * refined_scale,
        refinement_slices: refined_slices,
        first_round_cpu_s: first.cpu * scale,
        refinement_cpu_s: refined.cpu * refined_scale,
        gmac_first_round: first.macs as f64 / 1e9 * scale,
        peak_beside_volume_mb: memory::status_mb("VmHWM:") - before_mb - 2.0 * volume.data().bytes() as f64 / 1e6,
        scaled: first.slices != all,
    })
}

/// A session that segments every slice, and the seconds that opening it took.
fn session(model: &Model, volume: Volume, whole_slice: bool) -> Result<(Session, f64)> {
    // Random weights know no end of a target: chains go on, so that the work is the same.
    let options = SessionOptions { stop_after_empty: 0, whole_slice, ..SessionOptions::default() };
    let start = Instant::now();
    let session = Session::new(volume, model.networks(), options)?;
    Ok((session, start.elapsed().as_secs_f64()))
}

/// Seconds of an interaction, the second one of a session.
fn interact(session: &mut Session, interaction: Interaction) -> Result<f64> {
    session.interact(interaction.clone())?;
    let start = Instant::now();
    session.interact(interaction)?;
    Ok(start.elapsed().as_secs_f64())
}

/// Annotates `slice` of every segment and propagates, within `range` of the slices.
fn round(
    session: &mut Session,
    target: &Target,
    segments: u32,
    slice: usize,
    range: Option<(usize, usize)>,
) -> Result<Timed> {
    for segment in 1..=segments {
        session.set_slice_mask(segment, SliceAxis::Depth, slice, &target.mask(slice, segment))?;
    }
    let options =
        PropagateOptions { segment: None, axis: Some(SliceAxis::Depth), range, ..PropagateOptions::default() };
    let (start, cpu) = (Instant::now(), cpu_s());
    let (slices, macs) = macs::count(|| session.propagate(&options, &mut |_| true));
    Ok(Timed { seconds: start.elapsed().as_secs_f64(), cpu: cpu_s() - cpu, slices: slices?, macs })
}

struct Timed {
    seconds: f64,
    cpu: f64,
    slices: usize,
    macs: u64,
}

/// Processor time of this process so far, seconds; 0 without `/proc`.
fn cpu_s() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // After the name, which is in parentheses: user and system time are the 12th and 13th, in hundredths of a second.
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |i: usize| fields.get(i).and_then(|v| v.parse::<f64>().ok()).unwrap_or(0.0);
    (ticks(11) + ticks(12)) / 100.0
}
