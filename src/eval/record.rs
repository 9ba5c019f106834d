//! Rounds as files for other tools, and the masks that these tools return.
//!
//! One folder a target and drawing, `<case>__<label>/<drawing>/`:
//!
//! | file | holds |
//! |---|---|
//! | `run.json` | a [`RunRecord`]: places, spacing, and for every round the annotated slices and all interactions |
//! | `image.npy` | the image in the region, f32 `[depth, height, width]` |
//! | `round_N.npy` | masks of the slices annotated up to round N, u8 `[slices, rows, columns]`, in the region |
//! | `TOOL.round_N.npy` | mask of a tool after round N, u8 `[depth, height, width]`, in the region, by the tool |
//! | `TOOL.json` | seconds of the tool, one number a round; written by the tool |

use super::metrics::{box_of, slice_areas};
use super::protocol::Protocol;
use super::results::{Round, Run, TargetResult, check_case, target_name};
use super::rounds::{FinishedRound, measure};
use super::target::Target;
use crate::engine::Interaction;
use crate::error::{Error, Result, zeros};
use crate::input_file;
use crate::slice::region::PixelBox;
use crate::volume::{Geometry, SliceAxis, Volume, VoxelData};
use crate::{atomic_file, with_voxels};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// Margin of the region on every side, as a share of the target's box. Chosen: classical tools need such a box.
const MARGIN: f64 = 0.25;

/// What a tool receives of one run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunRecord {
    /// Name of the case.
    pub case: String,
    /// Label of the target.
    pub label: u32,
    /// The label file; tools must not read it.
    pub label_file: PathBuf,
    /// Name of the drawing.
    pub drawing: String,
    /// Array index of the axis of the slices.
    pub axis: usize,
    /// Shape of the whole volume.
    pub shape: [usize; 3],
    /// Spacing, mm, `[depth, height, width]`.
    pub spacing_mm: [f64; 3],
    /// Position and orientation of the whole volume; labels of a `.seg.nrrd` may lie in a part of it.
    #[serde(default)]
    pub geometry: Geometry,
    /// First voxel of the region.
    pub low: [usize; 3],
    /// One past its last.
    pub high: [usize; 3],
    /// One a round.
    pub rounds: Vec<RoundRecord>,
}

/// One round of a [`RunRecord`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RoundRecord {
    /// From 1.
    pub round: usize,
    /// Annotated slices, counted from the region's first.
    pub slices: Vec<usize>,
    /// All interactions so far, in voxel indices of the whole volume; without masks made by hand.
    pub drawn: Vec<Interaction>,
}

impl RunRecord {
    /// Reads the labels onto the grid of the whole volume.
    fn read_labels(&self) -> Result<Volume> {
        let voxels = VoxelData::U8(zeros(self.shape.iter().product(), "the labels")?);
        crate::io::read_labels_on(&self.label_file, &Volume::new(self.shape, voxels, self.geometry.clone())?)
    }

    /// Checks that the region lies in the volume.
    fn check_region(&self, shape: [usize; 3], path: &Path) -> Result<()> {
        let inside = |k: usize| self.low[k] < self.high[k] && self.high[k] <= shape[k];
        if self.axis < 3 && self.shape == shape && (0..3).all(inside) {
            return Ok(());
        }
        Err(Error::bad_file(path, "its region does not lie in the label file's volume; record the run again"))
    }
}

/// Removes the files of a record and of the tools' answers.
fn clear(folder: &Path) -> Result<()> {
    for entry in std::fs::read_dir(folder).map_err(|e| Error::io(folder, e))? {
        let path = entry.map_err(|e| Error::io(folder, e))?.path();
        if path.extension().is_some_and(|kind| kind == "json" || kind == "npy" || kind == "memory") {
            std::fs::remove_file(&path).map_err(|e| Error::io(&path, e))?;
        }
    }
    Ok(())
}

/// Writes the rounds of one target.
pub struct Recorder {
    folder: PathBuf,
    record: RunRecord,
}

impl Recorder {
    /// A recorder for one drawing on `target`, into a folder under `root`. An earlier record there is removed, with the
    /// tools' answers to it.
    ///
    /// # Errors
    /// [`Error::Io`], or [`Error::InvalidArgument`] for an empty reference.
    pub fn new(root: &Path, target: &Target, label_file: &Path, axis: SliceAxis, drawing: &str) -> Result<Recorder> {
        let shape = target.volume.shape();
        let (low, high) = box_of(shape, |i| target.reference[i] != 0)
            .ok_or_else(|| Error::argument(format!("label {} is nowhere in {}", target.label, target.case)))?;
        let margin = [0, 1, 2].map(|k| ((high[k] - low[k]) as f64 * MARGIN).ceil() as usize);
        let low = [0, 1, 2].map(|k| low[k].saturating_sub(margin[k]));
        let high = [0, 1, 2].map(|k| (high[k] + margin[k]).min(shape[k]));
        let folder = root.join(target_name(&target.case, target.label)).join(drawing);
        std::fs::create_dir_all(&folder).map_err(|e| Error::io(&folder, e))?;
        clear(&folder)?;
        let record = RunRecord {
            case: target.case.clone(),
            label: target.label,
            label_file: label_file.to_path_buf(),
            drawing: drawing.into(),
            axis: axis.index(),
            shape,
            spacing_mm: target.volume.geometry().spacing_mm,
            geometry: target.volume.geometry().clone(),
            low,
            high,
            rounds: Vec::new(),
        };
        let image: Vec<f32> = with_voxels!(target.volume.data(), v => {
            crop(v, shape, low, high).into_iter().map(crate::volume::Voxel::to_f32).collect()
        });
        write_npy(&folder.join("image.npy"), "<f4", size(low, high), image.iter().flat_map(|v| v.to_le_bytes()))?;
        Ok(Recorder { folder, record })
    }

    /// Adds a round.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn add(&mut self, finished: &FinishedRound) -> Result<()> {
        let axis = finished.axis;
        let (low, high) = (self.record.low, self.record.high);
        let (row_axis, col_axis) = axis.in_plane();
        let inside = |k: usize| (low[axis.index()]..high[axis.index()]).contains(&k);
        let shown = || finished.annotated.iter().filter(|(k, _)| inside(*k));
        let mut bytes = Vec::new();
        let region =
            PixelBox { top: low[row_axis], left: low[col_axis], bottom: high[row_axis], right: high[col_axis] };
        for (_, mask) in shown() {
            bytes.extend(region.crop(&mask.data, mask.cols));
        }
        let shape = [shown().count(), high[row_axis] - low[row_axis], high[col_axis] - low[col_axis]];
        let round = finished.round.round;
        write_npy(&self.folder.join(format!("round_{round}.npy")), "|u1", shape, bytes)?;
        let slices = shown().map(|(k, _)| k - low[axis.index()]).collect();
        self.record.rounds.push(RoundRecord { round, slices, drawn: finished.drawn.to_vec() });
        Ok(())
    }

    /// Writes `run.json`; without it a folder is unfinished and is not read.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn finish(self) -> Result<()> {
        atomic_file::write(&self.folder.join("run.json"), |w| Ok(serde_json::to_writer(w, &self.record)?))
    }
}

/// Measures the masks of tools for the recorded rounds under `root`: one result a target, its runs named after the
/// tools.
///
/// # Errors
/// [`Error::Io`] or [`Error::BadFile`]; [`Error::InvalidState`] when there is nothing to measure.
pub fn score(root: &Path, protocol: &Protocol) -> Result<Vec<TargetResult>> {
    let mut results: Vec<TargetResult> = Vec::new();
    for target in folders(root)? {
        let mut runs = Vec::new();
        let mut known: Option<TargetResult> = None;
        for folder in folders(&target)? {
            let path = folder.join("run.json");
            if !path.exists() {
                continue;
            }
            let text = std::fs::read_to_string(&path).map_err(|e| Error::io(&path, e))?;
            let record: RunRecord = serde_json::from_str(&text).map_err(|e| Error::bad_file(&path, e.to_string()))?;
            check_case(&record.case, &path)?;
            let volume = record.read_labels()?;
            record.check_region(volume.shape(), &path)?;
            let target = Target {
                case: record.case.clone(),
                label: record.label,
                reference: super::cases::label_mask(&volume, record.label),
                volume: &volume,
            };
            let axis = SliceAxis::from_index(record.axis as i64)?;
            let areas = slice_areas(&target.reference, volume.shape(), axis);
            let recorded = Recorded { folder: &folder, record: &record, target: &target, axis, areas: &areas };
            for tool in tools(&folder)? {
                runs.push(recorded.score_tool(&tool, protocol)?);
            }
            known.get_or_insert_with(|| TargetResult {
                case: record.case.clone(),
                label: record.label,
                shape: volume.shape(),
                spacing_mm: record.spacing_mm,
                axis: record.axis,
                voxels: areas.iter().sum(),
                slices: areas.iter().filter(|&&a| a > 0).count(),
                runs: Vec::new(),
                peak_memory_mb: 0.0,
                data_checksum: String::new(),
            });
        }
        results.extend(known.filter(|_| !runs.is_empty()).map(|r| TargetResult { runs, ..r }));
    }
    if results.is_empty() {
        return Err(Error::InvalidState(format!(
            "no tool has left masks under {}; run tools/peers/run.py on it first",
            root.display()
        )));
    }
    Ok(results)
}

/// A recorded drawing on a target, with the masks of tools in its folder.
struct Recorded<'a> {
    folder: &'a Path,
    record: &'a RunRecord,
    target: &'a Target<'a>,
    axis: SliceAxis,
    /// Voxels of the target in each slice.
    areas: &'a [usize],
}

impl Recorded<'_> {
    fn score_tool(&self, tool: &str, protocol: &Protocol) -> Result<Run> {
        let Recorded { folder, record, target, axis, areas } = *self;
        let seconds_file = folder.join(format!("{tool}.json"));
        let seconds: Vec<f64> = std::fs::read_to_string(&seconds_file)
            .map_err(|e| Error::io(&seconds_file, e))
            .and_then(|t| serde_json::from_str(&t).map_err(|e| Error::bad_file(&seconds_file, e.to_string())))?;
        let mut rounds = Vec::new();
        for (n, round) in record.rounds.iter().enumerate() {
            let path = folder.join(format!("{tool}.round_{}.npy", round.round));
            let mask = read_npy_u8(&path, size(record.low, record.high))?;
            let whole = uncrop(&mask, target.volume, record.low, record.high);
            let measured = measure(&whole, target, axis, areas, protocol, |_| None);
            rounds.push(Round {
                round: round.round,
                slice: round.slices.last().map(|k| k + record.low[record.axis]),
                propagate_s: seconds.get(n).copied().unwrap_or(0.0),
                ..measured
            });
        }
        Ok(Run { drawing: record.drawing.clone(), method: tool.into(), number: 0, rounds })
    }
}

/// Names of the tools that have finished in a folder.
fn tools(folder: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(|e| Error::io(folder, e))? {
        let name = entry.map_err(|e| Error::io(folder, e))?.file_name().to_string_lossy().into_owned();
        names.extend(name.strip_suffix(".json").filter(|n| *n != "run").map(str::to_owned));
    }
    names.sort();
    Ok(names)
}

/// Folders in `root`, by name.
fn folders(root: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(root).map_err(|e| Error::io(root, e))? {
        let path = entry.map_err(|e| Error::io(root, e))?.path();
        if path.is_dir() {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

fn size(low: [usize; 3], high: [usize; 3]) -> [usize; 3] {
    [0, 1, 2].map(|k| high[k] - low[k])
}

fn crop<T: Copy>(values: &[T], shape: [usize; 3], low: [usize; 3], high: [usize; 3]) -> Vec<T> {
    let [_, rows, cols] = shape;
    let region = PixelBox { top: low[1], left: low[2], bottom: high[1], right: high[2] };
    let planes = values.chunks_exact(rows * cols).take(high[0]).skip(low[0]);
    planes.flat_map(|plane| region.crop(plane, cols)).collect()
}

/// A mask of a region as one of the whole volume, empty outside.
fn uncrop(mask: &[u8], volume: &Volume, low: [usize; 3], high: [usize; 3]) -> Vec<u8> {
    let shape = volume.shape();
    let mut whole = vec![0; shape.iter().product()];
    let [_, rows, width] = size(low, high);
    for (n, line) in mask.chunks_exact(width).enumerate() {
        let at = ((low[0] + n / rows) * shape[1] + low[1] + n % rows) * shape[2] + low[2];
        whole[at..at + width].iter_mut().zip(line).for_each(|(w, &m)| *w = u8::from(m != 0));
    }
    whole
}

/// Writes an array in numpy's format 1.0.
fn write_npy(path: &Path, kind: &str, shape: [usize; 3], bytes: impl IntoIterator<Item = u8>) -> Result<()> {
    let [a, b, c] = shape;
    let mut head = format!("{{'descr': '{kind}', 'fortran_order': False, 'shape': ({a}, {b}, {c}), }}");
    // Magic, version and length take ten bytes; the header ends with a line break at a multiple of 64 bytes.
    while !(head.len() + 11).is_multiple_of(64) {
        head.push(' ');
    }
    head.push('\n');
    let mut all = b"\x93NUMPY\x01\x00".to_vec();
    all.extend_from_slice(&(head.len() as u16).to_le_bytes());
    all.extend_from_slice(head.as_bytes());
    all.extend(bytes);
    atomic_file::write(path, |w| w.write_all(&all))
}

/// Reads an array of bytes or booleans of the given shape.
fn read_npy_u8(path: &Path, shape: [usize; 3]) -> Result<Vec<u8>> {
    // A header has less than 64 kB.
    let all = input_file::all(path, shape.iter().product::<usize>() as u64 + (1 << 17))?;
    let [a, b, c] = shape;
    let wanted = format!("uint8 array of shape ({a}, {b}, {c}) in C order, as numpy.save writes it");
    let bad = || Error::bad_file(path, format!("a {wanted} was expected"));
    if !all.starts_with(b"\x93NUMPY\x01") || all.len() < 10 {
        return Err(bad());
    }
    let end = 10 + usize::from(u16::from_le_bytes([all[8], all[9]]));
    let head = all.get(10..end).map(String::from_utf8_lossy).ok_or_else(bad)?;
    let bytes = ["'|u1'", "'|b1'"].iter().any(|kind| head.contains(kind));
    let right = bytes && head.contains("'fortran_order': False") && head.contains(&format!("({a}, {b}, {c})"));
    if !right || all.len() - end != a * b * c {
        return Err(bad());
    }
    Ok(all[end..].to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::seg_nrrd;

    #[test]
    fn a_region_is_cut_out_and_put_back() {
        let volume = Volume::new([3, 4, 5], VoxelData::U8((0..60).collect()), Geometry::default()).unwrap();
        let (low, high) = ([1, 1, 2], [3, 3, 5]);
        let values: Vec<u8> = (0..60).collect();
        let part = crop(&values, [3, 4, 5], low, high);
        assert_eq!(part, [27, 28, 29, 32, 33, 34, 47, 48, 49, 52, 53, 54]);
        let whole = uncrop(&part, &volume, low, high);
        assert_eq!(whole.iter().map(|&v| usize::from(v)).sum::<usize>(), 12);
        assert!(part.iter().all(|&i| whole[usize::from(i)] == 1));
    }

    #[test]
    fn labels_that_lie_in_a_part_of_the_volume_are_read_onto_all_of_it() {
        let folder = tempfile::tempdir().unwrap();
        let label_file = folder.path().join("part.seg.nrrd");
        // Two voxels, from the voxel (1, 1, 2) on.
        let whole = Geometry { spacing_mm: [3.0, 1.0, 1.0], ..Geometry::default() };
        let part = Geometry { origin_mm: whole.position_lps([1.0, 1.0, 2.0]), ..whole.clone() };
        let segment = seg_nrrd::Segment { number: 2, name: "a".into(), color: [1.0, 0.0, 0.0], mask: vec![1, 1] };
        seg_nrrd::write(&label_file, [1, 1, 2], &part, &[segment]).unwrap();
        let record = RunRecord {
            case: "c".into(),
            label: 2,
            label_file,
            drawing: "box".into(),
            axis: 0,
            shape: [2, 2, 4],
            spacing_mm: whole.spacing_mm,
            geometry: whole,
            low: [1, 1, 2],
            high: [2, 2, 4],
            rounds: vec![],
        };
        let labels = record.read_labels().unwrap();
        assert_eq!(labels.shape(), [2, 2, 4]);
        let marked: Vec<usize> = (0..16).filter(|&i| labels.data().get(i) == 2.0).collect();
        assert_eq!(marked, [14, 15]);
    }

    #[test]
    fn answers_to_an_earlier_record_are_removed_and_other_files_stay() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["run.json", "round_1.npy", "tool.json", "tool.round_1.npy", "tool.memory", "notes.txt"] {
            std::fs::write(folder.path().join(name), name).unwrap();
        }
        clear(folder.path()).unwrap();
        let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["notes.txt"]);
    }

    #[test]
    fn arrays_are_read_back_and_others_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.npy");
        write_npy(&path, "|u1", [1, 2, 3], [1, 2, 3, 4, 5, 6]).unwrap();
        let all = std::fs::read(&path).unwrap();
        assert_eq!((all.len() - 6) % 64, 0);
        assert_eq!(read_npy_u8(&path, [1, 2, 3]).unwrap(), [1, 2, 3, 4, 5, 6]);
        assert!(read_npy_u8(&path, [1, 3, 2]).unwrap_err().to_string().contains("(1, 3, 2)"));
        write_npy(&path, "<f4", [1, 2, 3], [0; 24]).unwrap();
        assert!(read_npy_u8(&path, [1, 2, 3]).is_err());
        std::fs::write(&path, "hello").unwrap();
        assert!(read_npy_u8(&path, [1, 2, 3]).is_err());
    }
}
