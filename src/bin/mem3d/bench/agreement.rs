//! Agreement of masks with those of a plain computation: the targets of some cases are segmented in a session, and one
//! slice at a time in float32 without shared work, from the same annotated slices.

use crate::common::model::Choice;
use crate::common::output::say;
use mem3d::engine::{PropagateOptions, Session, SessionOptions};
use mem3d::eval::cases::{self, Wanted};
use mem3d::eval::metrics::{dice, slice_areas, slice_of};
use mem3d::eval::protocol::Protocol;
use mem3d::nn::Preset;
use mem3d::nn::model::{Model, Precision};
use mem3d::volume::{SliceAxis, Volume};
use mem3d::{Error, Result};
use serde::Serialize;
use std::path::{Path, PathBuf};

/// Least size of targets: smaller than for `mem3d evaluate`. Chosen.
const WANTED: Wanted = Wanted { labels: Vec::new(), min_voxels: 100, min_slices: 5 };
/// Number of rounds: the largest slice, then one at each quarter of the target. Chosen.
const ROUNDS: usize = 3;

/// One target.
#[derive(Debug, Serialize)]
pub struct Agreement {
    case: String,
    label: u32,
    /// Dice of the two masks after each round.
    dice: Vec<f64>,
}

/// Prints and returns the agreement of every target of the cases in `data`. Targets of one case are segments of one
/// session, so that they share work.
///
/// # Errors
/// As reading the cases and the model, and as sessions; [`Error::InvalidState`] when two masks agree to less than
/// `least`.
pub fn run(data: &Path, model: Option<&Path>, device: &str, least: f64) -> Result<Vec<Agreement>> {
    let choice = Choice::find(model.map(PathBuf::from).as_ref())?;
    let load = |precision| match &choice {
        Choice::File(path) => Model::load(path, device, precision),
        Choice::Random(seed) => Model::random(Preset::Compact, *seed, device, precision),
    };
    let (fast, plain) = (load(Precision::Auto)?, load(Precision::F32)?);
    let protocol = Protocol::default();
    let mut all: Vec<Agreement> = Vec::new();
    for case in cases::find(data)? {
        let (image, labels) = cases::read(&case)?;
        let axis = protocol.axis_of(image.geometry().spacing_mm);
        let targets = cases::targets(&labels, &WANTED, &protocol);
        let masks: Vec<Vec<u8>> = targets.iter().map(|&label| cases::label_mask(&labels, label)).collect();
        let fast = segment(&fast, false, &image, axis, &masks)?;
        let plain = segment(&plain, true, &image, axis, &masks)?;
        for (n, &label) in targets.iter().enumerate() {
            let dice: Vec<f64> = fast.iter().zip(&plain).map(|(fast, plain)| dice(&fast[n], &plain[n])).collect();
            let shown: Vec<String> = dice.iter().map(|d| format!("{d:.5}")).collect();
            say!("{:28} label {label:3}  {}", case.name, shown.join("  "));
            all.push(Agreement { case: case.name.clone(), label, dice });
        }
    }
    let lowest = all.iter().flat_map(|a| a.dice.iter().copied()).fold(1.0, f64::min);
    say!("{} targets, {ROUNDS} rounds, lowest DSC {lowest:.5}", all.len());
    if lowest < least {
        return Err(Error::InvalidState(format!(
            "masks agree with those of the plain computation to a DSC of {lowest:.5} only; the least allowed is {least}"
        )));
    }
    Ok(all)
}

/// Masks of every target after each round.
fn segment(
    model: &Model,
    plain: bool,
    image: &Volume,
    axis: SliceAxis,
    targets: &[Vec<u8>],
) -> Result<Vec<Vec<Vec<u8>>>> {
    let shape = image.shape();
    let options = SessionOptions { plain, ..SessionOptions::default() };
    let mut session = Session::new(image.clone(), model.networks(), options)?;
    let slices: Vec<[usize; ROUNDS]> = targets.iter().map(|mask| annotated(&slice_areas(mask, shape, axis))).collect();
    let mut rounds = Vec::new();
    for round in 0..ROUNDS {
        for (n, (mask, slices)) in targets.iter().zip(&slices).enumerate() {
            session.set_slice_mask(n as u32 + 1, axis, slices[round], &slice_of(mask, shape, axis, slices[round]))?;
        }
        if !targets.is_empty() {
            session.propagate(&PropagateOptions { axis: Some(axis), ..PropagateOptions::default() }, &mut |_| true)?;
        }
        let read = |n: usize| {
            let mut mask = vec![0; image.data().len()];
            session.read_mask(n as u32 + 1, &mut mask).map(|()| mask)
        };
        rounds.push((0..targets.len()).map(read).collect::<Result<Vec<_>>>()?);
    }
    Ok(rounds)
}

/// The slices that are annotated, one a round.
fn annotated(areas: &[usize]) -> [usize; ROUNDS] {
    let largest = (0..areas.len()).max_by_key(|&k| areas[k]).unwrap_or(0);
    let first = areas.iter().position(|&a| a > 0).unwrap_or(0);
    let last = areas.iter().rposition(|&a| a > 0).unwrap_or(0);
    [largest, first + (last - first) / 4, first + (last - first) * 3 / 4]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_slice_and_the_quarters_are_annotated() {
        assert_eq!(annotated(&[0, 0, 5, 6, 9, 6, 5, 4, 3, 2, 1]), [4, 4, 8]);
        assert_eq!(annotated(&[1]), [0, 0, 0]);
    }
}
