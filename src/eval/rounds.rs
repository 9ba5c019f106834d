//! The paper's experiment on one target: a first slice, then rounds of correcting one slice and propagating.

use super::memory;
use super::metrics::{dice, ends, iou, slice_areas, slice_of, surfaces};
use super::protocol::{Drawing, Protocol, Selection};
use super::results::{Round, Run, SliceQuality, TargetResult};
use super::robot_user::{Place, RobotUser};
use super::select::{RoundState, choose};
use super::target::{SEGMENT, Target};
use crate::engine::{Interaction, Progress, PropagateOptions, Session, SessionOptions};
use crate::error::{Error, Result};
use crate::nn::Networks;
use crate::slice::grid::slice_grid;
use crate::volume::{SliceAxis, SliceMask};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use sha2::Digest;
use std::time::Instant;

/// Receives the progress and the rounds of an experiment.
pub trait Watcher {
    /// After every slice of a propagation; false stops the experiment.
    fn slice(&mut self, _progress: Progress) -> bool {
        true
    }

    /// After every round of every run. The first round of a drawing is passed once for each selection.
    ///
    /// # Errors
    /// Its own; the experiment stops with it.
    fn round(&mut self, _finished: &FinishedRound) -> Result<()> {
        Ok(())
    }
}

/// One round, as a [`Watcher`] receives it.
#[derive(Debug)]
pub struct FinishedRound<'a> {
    /// What is drawn.
    pub drawing: Drawing,
    /// How slices are chosen.
    pub selection: Selection,
    /// Number of the run, from 0.
    pub number: usize,
    /// Figures of the round.
    pub round: &'a Round,
    /// Axis of the slices.
    pub axis: SliceAxis,
    /// All annotated slices so far with their accepted masks.
    pub annotated: &'a [(usize, SliceMask)],
    /// All interactions so far; without masks made by hand.
    pub drawn: &'a [Interaction],
}

/// Runs every drawing and selection of `protocol` on one target.
///
/// # Errors
/// [`Error::InvalidArgument`] for a reference that does not fit the volume or is empty, [`Error::Cancelled`] when
/// `watcher` stops it, and errors of the session and the watcher.
pub fn run(
    target: &Target,
    networks: &dyn Networks,
    options: &SessionOptions,
    protocol: &Protocol,
    watcher: &mut dyn Watcher,
) -> Result<TargetResult> {
    protocol.check()?;
    let volume = target.volume;
    if target.reference.len() != volume.data().len() {
        return Err(Error::argument(format!(
            "the reference has {} voxels, but the volume has {}",
            target.reference.len(),
            volume.data().len()
        )));
    }
    let axis = protocol.axis_of(volume.geometry().spacing_mm);
    let areas = slice_areas(&target.reference, volume.shape(), axis);
    let first = first_slice(&areas, protocol, &mut target.rng(protocol, "first slice"))
        .ok_or_else(|| Error::argument(format!("label {} is nowhere in {}", target.label, target.case)))?;
    memory::reset_peak();
    let mut runs = Vec::new();
    for &drawing in &protocol.drawings {
        let case = Case { target, protocol, axis, areas: &areas };
        let mut experiment = Experiment::new(&case, networks, options, drawing)?;
        experiment.first_round(first, watcher)?;
        for &selection in &protocol.selections {
            let count = if selection == Selection::Random { protocol.random_runs } else { 1 };
            for number in 0..count {
                runs.push(experiment.later_rounds(selection, number, watcher)?);
            }
        }
    }
    Ok(TargetResult {
        case: target.case.clone(),
        label: target.label,
        shape: volume.shape(),
        spacing_mm: volume.geometry().spacing_mm,
        axis: axis.index(),
        voxels: areas.iter().sum(),
        slices: areas.iter().filter(|&&a| a > 0).count(),
        runs,
        peak_memory_mb: memory::peak_mb(),
        data_checksum: String::new(),
    })
}

/// The first slice: any with at least the protocol's share of the largest area, all equally likely.
fn first_slice(areas: &[usize], protocol: &Protocol, rng: &mut ChaCha8Rng) -> Option<usize> {
    let largest = *areas.iter().max()?;
    let least = (protocol.first_share * largest as f64).max(1.0);
    let large: Vec<usize> = (0..areas.len()).filter(|&k| areas[k] as f64 >= least).collect();
    (!large.is_empty()).then(|| large[rng.gen_range(0..large.len())])
}

impl Target<'_> {
    /// The random numbers of one purpose, independent of what else is run.
    fn rng(&self, protocol: &Protocol, purpose: &str) -> ChaCha8Rng {
        let hash = sha2::Sha256::digest(format!("{} {} {} {purpose}", protocol.seed, self.case, self.label));
        ChaCha8Rng::from_seed(hash.into())
    }
}

/// State of a run.
#[derive(Clone)]
struct Course {
    user: RobotUser,
    rounds: Vec<Round>,
    annotated: Vec<(usize, SliceMask)>,
    drawn: Vec<Interaction>,
}

/// What all drawings on a target share.
struct Case<'a> {
    target: &'a Target<'a>,
    protocol: &'a Protocol,
    axis: SliceAxis,
    /// Voxels of the target in each slice.
    areas: &'a [usize],
}

/// One drawing on one target.
struct Experiment<'a> {
    target: &'a Target<'a>,
    protocol: &'a Protocol,
    drawing: Drawing,
    axis: SliceAxis,
    /// Voxels of the target in each slice.
    areas: &'a [usize],
    session: Session,
    start: Course,
    /// Steps of the session's history up to the end of the first round.
    start_steps: usize,
}

impl<'a> Experiment<'a> {
    fn new(case: &Case<'a>, networks: &dyn Networks, options: &SessionOptions, drawing: Drawing) -> Result<Self> {
        let Case { target, protocol, axis, areas } = *case;
        // Every run goes back to the end of the first round.
        let options = SessionOptions { undo_depth: 10_000, ..options.clone() };
        let session = Session::new(target.volume.clone(), networks.share(), options)?;
        let seed = target.rng(protocol, drawing.name()).r#gen();
        let user = RobotUser::new(seed, protocol.jitter);
        let start = Course { user, rounds: Vec::new(), annotated: Vec::new(), drawn: Vec::new() };
        Ok(Experiment { target, protocol, drawing, axis, areas, session, start, start_steps: 0 })
    }

    fn first_round(&mut self, slice: usize, watcher: &mut dyn Watcher) -> Result<()> {
        let mut course = self.start.clone();
        self.round(&mut course, Some(slice), watcher)?;
        self.start = course;
        self.start_steps = std::iter::from_fn(|| self.session.undo().then_some(())).count();
        (0..self.start_steps).for_each(|_| _ = self.session.redo());
        Ok(())
    }

    fn later_rounds(&mut self, selection: Selection, number: usize, watcher: &mut dyn Watcher) -> Result<Run> {
        while self.session.undo() {}
        (0..self.start_steps).for_each(|_| _ = self.session.redo());
        let mut course = self.start.clone();
        let purpose = format!("{} {} {number}", self.drawing.name(), selection.name());
        let mut rng = self.target.rng(self.protocol, &purpose);
        self.report(&course, selection, number, watcher)?;
        for _ in 1..self.protocol.rounds {
            let mask = self.mask()?;
            let annotated = self.annotated();
            let state = RoundState {
                session: &self.session,
                target: self.target,
                axis: self.axis,
                mask: &mask,
                annotated: &annotated,
            };
            let slice = choose(selection, &state, &mut rng)?;
            self.round(&mut course, slice, watcher)?;
            self.report(&course, selection, number, watcher)?;
        }
        Ok(Run { drawing: self.drawing.name().into(), method: selection.name().into(), number, rounds: course.rounds })
    }

    /// Corrects `slice`, propagates and measures. Without a slice (all are annotated) nothing changes.
    fn round(&mut self, course: &mut Course, slice: Option<usize>, watcher: &mut dyn Watcher) -> Result<()> {
        let round = course.rounds.len() + 1;
        let Some(slice) = slice else {
            let last = course.rounds.last().expect("the first round has a slice").clone();
            let idle =
                Round { round, slice: None, interactions: 0, interact_s: 0.0, propagate_s: 0.0, replaced: 0, ..last };
            course.rounds.push(idle);
            return Ok(());
        };
        let start = Instant::now();
        let (interactions, slice_iou) = self.annotate(course, slice)?;
        let interact_s = start.elapsed().as_secs_f64();
        let start = Instant::now();
        let propagate = PropagateOptions { segment: Some(SEGMENT), axis: Some(self.axis), ..Default::default() };
        let replaced = self.session.propagate(&propagate, &mut |p| watcher.slice(p))?;
        let propagate_s = start.elapsed().as_secs_f64();
        course.annotated.push((slice, self.session.read_slice_mask(SEGMENT, self.axis, slice)?));
        let measured = self.measure()?;
        course.rounds.push(Round {
            round,
            slice: Some(slice),
            interactions,
            slice_iou,
            interact_s,
            propagate_s,
            replaced,
            ..measured
        });
        Ok(())
    }

    /// Draws on `slice` until its mask is good enough or no interaction is left, and accepts it. Returns the number of
    /// interactions and the slice's IoU.
    fn annotate(&mut self, course: &mut Course, slice: usize) -> Result<(usize, f64)> {
        let first = course.rounds.is_empty();
        let reference = slice_of(&self.target.reference, self.target.volume.shape(), self.axis, slice);
        let mut mask = SliceMask::zeros(reference.rows, reference.cols);
        if !first {
            mask = self.session.read_slice_mask(SEGMENT, self.axis, slice)?;
        }
        let grid = slice_grid(self.target.volume, self.axis);
        let place = Place { segment: SEGMENT, axis: self.axis, slice };
        let mut count = 0;
        let draw = |session: &mut Session, course: &mut Course, drawn: Option<Interaction>| -> Result<SliceMask> {
            let drawn = drawn.ok_or_else(|| Error::Internal("a slice with errors could not be corrected".into()))?;
            course.drawn.push(drawn.clone());
            session.interact(drawn)
        };
        // The true mask, as made by hand.
        let exact = |session: &mut Session| -> Result<SliceMask> {
            session.set_slice_mask(SEGMENT, self.axis, slice, &reference)?;
            Ok(reference.clone())
        };
        let Some(kind) = self.drawing.kind().filter(|_| first || !self.protocol.perfect_corrections) else {
            exact(&mut self.session)?;
            return self.accept(slice, 1, 1.0);
        };
        if first {
            let drawn = course.user.first(kind, &reference, &grid, place);
            mask = draw(&mut self.session, course, drawn)?;
            count += 1;
        }
        let most = if first { self.protocol.first_corrections } else { self.protocol.corrections };
        for _ in 0..most {
            if iou(&mask.data, &reference.data) >= self.protocol.accept_iou {
                break;
            }
            count += 1;
            if self.protocol.perfect_corrections || reference.area() == 0 {
                // A slice that should be empty is cleared.
                mask = exact(&mut self.session)?;
                break;
            }
            let drawn = if mask.area() == 0 {
                course.user.first(kind, &reference, &grid, place)
            } else {
                let kind = self.drawing.correction().expect("not a mask by hand");
                course.user.correct(kind, &mask, &reference, &grid, place)
            };
            mask = draw(&mut self.session, course, drawn)?;
        }
        self.accept(slice, count, iou(&mask.data, &reference.data))
    }

    fn accept(&mut self, slice: usize, count: usize, iou: f64) -> Result<(usize, f64)> {
        self.session.accept(SEGMENT, self.axis, slice)?;
        Ok((count, iou))
    }

    fn mask(&self) -> Result<Vec<u8>> {
        let mut mask = vec![0; self.target.reference.len()];
        self.session.read_mask(SEGMENT, &mut mask)?;
        Ok(mask)
    }

    fn annotated(&self) -> Vec<bool> {
        let mut annotated = vec![false; self.areas.len()];
        self.session.annotated(SEGMENT, self.axis).into_iter().for_each(|k| annotated[k] = true);
        annotated
    }

    /// Figures of the volume's present mask.
    fn measure(&self) -> Result<Round> {
        let mask = self.mask()?;
        let quality = self.session.quality(SEGMENT, self.axis)?;
        let annotated = self.annotated();
        Ok(measure(&mask, self.target, self.axis, self.areas, self.protocol, |k| (!annotated[k]).then(|| quality[k])))
    }

    fn report(&self, course: &Course, selection: Selection, number: usize, watcher: &mut dyn Watcher) -> Result<()> {
        watcher.round(&FinishedRound {
            drawing: self.drawing,
            selection,
            number,
            round: course.rounds.last().expect("a round was run"),
            axis: self.axis,
            annotated: &course.annotated,
            drawn: &course.drawn,
        })
    }
}

/// Figures of a mask of mem3d or of a tool; `quality` of the slices with an estimate.
pub(crate) fn measure(
    mask: &[u8],
    target: &Target,
    axis: SliceAxis,
    areas: &[usize],
    protocol: &Protocol,
    quality: impl Fn(usize) -> Option<f32>,
) -> Round {
    let shape = target.volume.shape();
    let surface = surfaces(mask, &target.reference, shape, target.volume.geometry().spacing_mm, protocol.tolerance_mm);
    let mask_areas = slice_areas(mask, shape, axis);
    let (shown, hidden): (Vec<usize>, Vec<usize>) = (0..areas.len()).partition(|&k| areas[k] + mask_areas[k] > 0);
    let slices = shown.into_iter().filter_map(|k| {
        let iou = |k| iou(&slice_of(mask, shape, axis, k).data, &slice_of(&target.reference, shape, axis, k).data);
        let empty = mask_areas[k] == 0;
        quality(k).map(|quality| SliceQuality { slice: k, quality, iou: iou(k) as f32, empty })
    });
    Round {
        round: 0,
        slice: None,
        interactions: 0,
        slice_iou: 1.0,
        dice: dice(mask, &target.reference),
        nsd: surface.nsd,
        hd95_mm: surface.hd95_mm,
        ends: ends(&mask_areas, areas),
        interact_s: 0.0,
        propagate_s: 0.0,
        replaced: 0,
        slices: slices.collect(),
        empty_slices: hidden.into_iter().filter_map(|k| quality(k).map(|quality| (k, quality))).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_slice_is_any_large_one() {
        let protocol = Protocol::default();
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..100 {
            seen.insert(first_slice(&[0, 10, 49, 50, 100, 60, 0], &protocol, &mut rng).unwrap());
        }
        // At least half of 100.
        assert_eq!(seen.into_iter().collect::<Vec<_>>(), [3, 4, 5]);
        assert_eq!(first_slice(&[0, 0], &protocol, &mut rng), None);
    }
}
