//! Measurements on one target, stored between runs of the command: one JSON file a target.

use super::metrics::Ends;
use crate::atomic_file;
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// Measurements on one label of one case.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TargetResult {
    /// Name of the case.
    pub case: String,
    /// Label of the target in the case's label file.
    pub label: u32,
    /// Shape of the volume.
    pub shape: [usize; 3],
    /// Spacing, mm.
    pub spacing_mm: [f64; 3],
    /// Array index of the axis of the slices.
    pub axis: usize,
    /// Voxels of the target.
    pub voxels: usize,
    /// Slices with target.
    pub slices: usize,
    /// One for each drawing, method and seed.
    pub runs: Vec<Run>,
    /// Peak memory of the process during the target, MB; 0 where it is unknown.
    pub peak_memory_mb: f64,
    /// SHA-256 of the image and the target, hexadecimal; empty where it is unknown.
    #[serde(default)]
    pub data_checksum: String,
}

/// One run: all its rounds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// Name of the drawing ([`crate::eval::protocol::Drawing::name`]).
    pub drawing: String,
    /// Name of the selection, or of the tool that received the same annotated slices.
    pub method: String,
    /// Number of the run, from 0, for random selection.
    pub number: usize,
    /// One a round.
    pub rounds: Vec<Round>,
}

/// Measurements after one round.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Round {
    /// From 1.
    pub round: usize,
    /// Slice drawn on; `None` when every slice was annotated before.
    pub slice: Option<usize>,
    /// Interactions on that slice.
    pub interactions: usize,
    /// IoU of that slice when it was accepted.
    pub slice_iou: f64,
    /// Dice of the volume.
    pub dice: f64,
    /// Normalised surface dice of the volume.
    pub nsd: f64,
    /// 95th percentile of the Hausdorff distance, mm.
    pub hd95_mm: f64,
    /// Slices beyond the ends of the target, and missed ones.
    pub ends: Ends,
    /// Seconds of all interactions on the slice.
    pub interact_s: f64,
    /// Seconds of the propagation.
    pub propagate_s: f64,
    /// Slices that were replaced.
    pub replaced: usize,
    /// Estimated quality and true IoU of every slice that is not annotated and holds the target or a mask.
    pub slices: Vec<SliceQuality>,
    /// Estimated quality of every slice that is not annotated and holds neither: number and quality. tools/calibrate.py
    /// fits with them; they count in no figure.
    #[serde(default)]
    pub empty_slices: Vec<(usize, f32)>,
}

/// Estimate and truth of one slice.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct SliceQuality {
    /// Slice number.
    pub slice: usize,
    /// Estimated quality.
    pub quality: f32,
    /// True IoU.
    pub iou: f32,
    /// Whether the mask is empty.
    #[serde(default)]
    pub empty: bool,
}

impl TargetResult {
    /// Name of the target, usable as a file name.
    pub fn name(&self) -> String {
        target_name(&self.case, self.label)
    }

    /// Writes the file, whole or not at all.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn write(&self, path: &Path) -> Result<()> {
        atomic_file::write(path, |w| Ok(serde_json::to_writer(w, self)?))
    }

    /// Reads a file of [`TargetResult::write`].
    ///
    /// # Errors
    /// [`Error::Io`], or [`Error::BadFile`] when it is something else.
    pub fn read(path: &Path) -> Result<TargetResult> {
        let text = std::fs::read_to_string(path).map_err(|e| Error::io(path, e))?;
        let result: TargetResult = serde_json::from_str(&text)
            .map_err(|e| Error::bad_file(path, format!("this is no result of mem3d evaluate ({e}); remove it")))?;
        check_case(&result.case, path)?;
        Ok(result)
    }
}

/// Name of a target, usable as a file name.
pub fn target_name(case: &str, label: u32) -> String {
    format!("{case}__{label}")
}

/// Checks a name of a case that comes from a file and becomes part of a path.
///
/// # Errors
/// [`Error::BadFile`] for a name that is not that of one file in a folder.
pub fn check_case(case: &str, path: &Path) -> Result<()> {
    let plain =
        !case.is_empty() && case.len() <= 200 && !case.contains(['/', '\\', '\0']) && ![".", ".."].contains(&case);
    match plain {
        true => Ok(()),
        false => Err(Error::bad_file(
            path,
            format!("the case is called {case:?}, which is no name of a file; files are not written elsewhere by it"),
        )),
    }
}

impl Round {
    /// Fall of the Dice although the slice was annotated correctly (at least `accept_iou`); 0 when it rose.
    pub fn fall_after_correct(&self, before: &Round, accept_iou: f64) -> Option<f64> {
        (self.slice.is_some() && self.slice_iou >= accept_iou).then(|| (before.dice - self.dice).max(0.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_lead_elsewhere_are_refused() {
        let path = Path::new("run.json");
        for name in ["ct 1", "a..b", ".hidden"] {
            check_case(name, path).unwrap();
        }
        for name in ["", ".", "..", "../../escaped", "/etc/x", "a/b", "a\\b", "a\0b"] {
            let text = check_case(name, path).unwrap_err().to_string();
            assert!(text.starts_with("run.json: the case is called"), "{text}");
        }
    }
}
