//! Whole rounds on a synthetic volume.

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
    /// Whole slices, and only this many of them; none for regions of interest on every slice.
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
    /// Processor time of the first round on all threads: what a busy machine does not change.
    pub first_round_cpu_s: f64,
    /// The same of the refinement.
    pub refinement_cpu_s: f64,
    pub refinement_slices: usize,
    pub gmac_first_round: f64,
    /// Peak memory of the process, less what it held with the volume and the model loaded, MB; on the CPU.
    pub peak_beside_volume_mb: f64,
    /// Whether the round was timed on a part of the volume and scaled.
    pub scaled: bool,
}

/// Radius of the target, pixels.
fn target_radius(size: usize) -> f64 {
    60.0 * size as f64 / 512.0
}

/// A bright, slowly moving disc of 120 of 512 pixels over four fifths of the slices, on a textured ground.
fn synthetic(depth: usize, size: usize) -> (Volume, impl Fn(usize, usize, usize) -> bool) {
    let inside = move |d: usize, r: usize, c: usize| {
        let t = d as f64 / depth as f64;
        let drift = 20.0 * (6.0 * t).sin();
        let centre = size as f64 / 2.0;
        let radius = target_radius(size);
        let (y, x) = (r as f64 - centre - drift, c as f64 - centre + drift);
        (0.1..0.9).contains(&t) && y * y + x * x < radius * radius
    };
    let mut data = vec![0i16; depth * size * size];
    for (d, plane) in data.chunks_exact_mut(size * size).enumerate() {
        for (i, v) in plane.iter_mut().enumerate() {
            let (r, c) = (i / size, i % size);
            let texture = ((r * 7 + c * 13 + d * 29) % 64) as i16;
            *v = if inside(d, r, c) { 180 + texture } else { texture };
        }
    }
    let volume = Volume::new([depth, size, size], VoxelData::I16(data), Geometry::default());
    (volume.expect("a synthetic volume is well formed"), inside)
}

/// `before_mb`: what the process held before there was a volume.
pub fn time(model: &Model, case: Case, before_mb: f64) -> Result<Round> {
    let Case { depth, size, segments, only } = case;
    let whole = only.is_some();
    let (volume, inside) = synthetic(depth, size);
    let copy = volume.clone();
    reset_peak();
    // Random weights know no end of a target: every slice is segmented, so that the work is the same.
    let options = SessionOptions { stop_after_empty: 0, whole_slice: whole, ..SessionOptions::default() };
    let start = Instant::now();
    let mut session = Session::new(copy, model.networks(), options)?;
    let session_s = start.elapsed().as_secs_f64();
    let middle = depth / 2;
    // Further segments lie beside the first, half a radius away.
    let disc = |slice: usize, segment: u32| {
        let angle = f64::from(segment - 1) * 1.3;
        let away = if segment > 1 { 0.5 * target_radius(size) } else { 0.0 };
        let (down, right) = ((away * angle.sin()) as i64, (away * angle.cos()) as i64);
        let shifted = |at: usize, by: i64| (at as i64 - by).max(0) as usize;
        let mut mask = SliceMask::zeros(size, size);
        for (i, v) in mask.data.iter_mut().enumerate() {
            *v = u8::from(inside(slice, shifted(i / size, down), shifted(i % size, right)));
        }
        mask
    };
    let centre = size as f64 / 2.0;
    let reach = target_radius(size);
    let interaction = Interaction {
        segment: 1,
        axis: SliceAxis::Depth,
        slice: middle,
        kind: InteractionKind::Box,
        positive: true,
        stroke: Stroke::Points {
            points: vec![
                [middle as f64, centre - reach, centre - reach],
                [middle as f64, centre + reach, centre + reach],
            ],
            radius_mm: 0.0,
        },
    };
    session.interact(interaction.clone())?;
    let start = Instant::now();
    session.interact(interaction)?;
    let interact_s = start.elapsed().as_secs_f64();
    session.reset(None)?;
    for segment in 1..=segments {
        session.set_slice_mask(segment, SliceAxis::Depth, middle, &disc(middle, segment))?;
    }
    let range = only.map(|slices| {
        let half = (slices / 2).max(1);
        (middle.saturating_sub(half), (middle + half).min(depth - 1))
    });
    let propagate = |session: &mut Session| -> Result<Timed> {
        let options =
            PropagateOptions { segment: None, axis: Some(SliceAxis::Depth), range, ..PropagateOptions::default() };
        let (start, cpu) = (Instant::now(), cpu_s());
        let (slices, macs) = macs::count(|| session.propagate(&options, &mut |_| true));
        Ok(Timed { seconds: start.elapsed().as_secs_f64(), cpu: cpu_s() - cpu, slices: slices?, macs })
    };
    let first = propagate(&mut session)?;
    // The correction a user makes next lies in the middle of one side.
    let corrected = range.map_or(depth * 3 / 4, |r| r.1);
    for segment in 1..=segments {
        session.set_slice_mask(segment, SliceAxis::Depth, corrected, &disc(corrected, segment))?;
    }
    let refined = propagate(&mut session)?;
    let all = (depth - 1) * segments as usize;
    let scale = all as f64 / first.slices as f64;
    let refined_slices = if whole { depth / 2 } else { refined.slices };
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
        peak_beside_volume_mb: memory_mb("VmHWM:") - before_mb - 2.0 * volume.data().bytes() as f64 / 1e6,
        scaled: first.slices != all,
    })
}

struct Timed {
    seconds: f64,
    cpu: f64,
    slices: usize,
    macs: u64,
}

/// Processor time of this process so far, seconds; 0 where `/proc` does not tell.
fn cpu_s() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // After the name, which is in parentheses: user and system time are the 12th and 13th, in hundredths of a second.
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |i: usize| fields.get(i).and_then(|v| v.parse::<f64>().ok()).unwrap_or(0.0);
    (ticks(11) + ticks(12)) / 100.0
}

/// A line of `/proc/self/status`, MB; 0 where there is none.
pub fn memory_mb(field: &str) -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|l| l.starts_with(field));
    line.and_then(|l| l.split_whitespace().nth(1)?.parse::<f64>().ok()).unwrap_or(0.0) * 1024.0 / 1e6
}

/// Makes the kernel count the peak from now on; without it the peak is that of the whole run, which is larger.
fn reset_peak() {
    let _ = std::fs::write("/proc/self/clear_refs", "5");
}
