//! The interactions file of mem3d, described in `docs/interactions.md`.

use super::place::Placed;
use super::recorded::{RecordedInteractions, SegmentLabel, Step};
use crate::engine::interact::interaction::check_segment;
use crate::engine::{Interaction, Stroke};
use crate::error::{Error, Result};
use crate::io;
use crate::io::segmentation::{Choice, Segmentation, default_color};
use crate::nn::InteractionKind;
use crate::volume::{SliceAxis, SliceMask, Volume};
use serde::Deserialize;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default, rename = "description")]
    _description: Option<String>,
    #[serde(default)]
    space: Space,
    window: Option<(f64, f64)>,
    #[serde(default)]
    segments: Vec<Segment>,
    #[serde(default)]
    interactions: Vec<Drawn>,
    #[serde(default)]
    slice_masks: Vec<Given>,
    #[serde(default)]
    rounds: Vec<RoundEntry>,
}

/// Meaning of the numbers of a point.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
enum Space {
    /// Voxel index, `[depth, height, width]`.
    #[default]
    #[serde(rename = "index")]
    Index,
    /// Millimetres to the left, back and top of the patient.
    #[serde(rename = "LPS")]
    Lps,
    /// Millimetres to the right, front and top of the patient.
    #[serde(rename = "RAS")]
    Ras,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Segment {
    number: u32,
    name: Option<String>,
    color: Option<Color>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Color {
    Hex(String),
    Rgb([f64; 3]),
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RoundEntry {
    #[serde(default)]
    interactions: Vec<Drawn>,
    #[serde(default)]
    slice_masks: Vec<Given>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Drawn {
    #[serde(default = "one")]
    segment: u32,
    axis: Option<i64>,
    slice: Option<usize>,
    kind: InteractionKind,
    #[serde(default = "yes")]
    positive: bool,
    #[serde(default)]
    points: Vec<[f64; 3]>,
    #[serde(default)]
    radius_mm: f64,
    file: Option<PathBuf>,
    label: Option<Choice>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Given {
    #[serde(default = "one")]
    segment: u32,
    #[serde(default)]
    axis: i64,
    slice: Option<usize>,
    file: PathBuf,
    label: Option<Choice>,
    /// The target may be nowhere on the slice.
    #[serde(default)]
    empty: bool,
}

fn one() -> u32 {
    1
}

fn yes() -> bool {
    true
}

/// Segmentations that are read, on the volume's grid, by path.
type Labels = HashMap<PathBuf, Segmentation>;

/// Adds the interactions of the file at `path`, whose content is `text`.
pub(crate) fn add(recorded: &mut RecordedInteractions, path: &Path, text: &str, volume: &Volume) -> Result<()> {
    let bad = |reason: String| Error::bad_file(path, reason);
    let file: File = serde_json::from_str(text)
        .map_err(|e| bad(format!("{e}; docs/interactions.md describes what an interactions file holds")))?;
    if let Some((low, high)) = file.window {
        if !(low < high && low.is_finite() && high.is_finite()) {
            return Err(bad(format!("window: [{low}, {high}] has no range; give the lower intensity first")));
        }
        recorded.window = Some((low, high));
    }
    for segment in file.segments {
        let number = segment.number;
        let label = label_of(segment).map_err(|reason| bad(format!("segments: {reason}")))?;
        match recorded.segments.iter_mut().find(|s| s.number == number) {
            Some(other) if other.name != label.name => {
                return Err(bad(format!(
                    "segments: number {number} is \"{}\" here and \"{}\" before; give each segment one name",
                    label.name, other.name
                )));
            }
            Some(other) => *other = label,
            None => recorded.segments.push(label),
        }
    }
    let first = RoundEntry { interactions: file.interactions, slice_masks: file.slice_masks };
    let has_first = !(first.interactions.is_empty() && first.slice_masks.is_empty());
    let mut rounds = Vec::new();
    if has_first {
        rounds.push((String::new(), first));
    }
    rounds.extend(file.rounds.into_iter().enumerate().map(|(i, r)| (format!("rounds[{i}]."), r)));
    let mut labels = Labels::new();
    for (number, (place, round)) in rounds.into_iter().enumerate() {
        for (i, drawn) in round.interactions.into_iter().enumerate() {
            let at = |reason| bad(format!("{place}interactions[{i}]: {reason}"));
            recorded.need(drawn.segment);
            let step = interaction(drawn, file.space, path, volume, &mut labels).map_err(at)?;
            recorded.round_mut(number).steps.push(Step::Draw(step));
        }
        for (i, given) in round.slice_masks.into_iter().enumerate() {
            let at = |reason| bad(format!("{place}slice_masks[{i}]: {reason}"));
            recorded.need(given.segment);
            let steps = masks(given, path, volume, &mut labels).map_err(at)?;
            recorded.round_mut(number).steps.extend(steps);
        }
    }
    Ok(())
}

fn label_of(segment: Segment) -> std::result::Result<SegmentLabel, String> {
    let number = segment.number;
    check_segment(number).map_err(|e| e.to_string())?;
    let color = match segment.color {
        None => default_color(number),
        Some(Color::Rgb(rgb)) if rgb.iter().all(|c| (0.0..=1.0).contains(c)) => rgb,
        Some(Color::Rgb(rgb)) => return Err(format!("the colour {rgb:?} must have three numbers from 0 to 1")),
        Some(Color::Hex(text)) => {
            let hex = text.strip_prefix('#').filter(|h| h.len() == 6 && h.chars().all(|c| c.is_ascii_hexdigit()));
            let value = hex.and_then(|h| u32::from_str_radix(h, 16).ok());
            let value =
                value.ok_or_else(|| format!("\"{text}\" is no colour; write it as \"#e69f00\" or [0.9, 0.6, 0]"))?;
            [16, 8, 0].map(|shift| f64::from(value >> shift & 0xff) / 255.0)
        }
    };
    Ok(SegmentLabel { number, name: segment.name.unwrap_or_else(|| format!("Segment {number}")), color })
}

fn interaction(
    drawn: Drawn,
    space: Space,
    path: &Path,
    volume: &Volume,
    labels: &mut Labels,
) -> std::result::Result<Interaction, String> {
    check_segment(drawn.segment).map_err(|e| e.to_string())?;
    let axis = drawn.axis.map(SliceAxis::from_index).transpose().map_err(|e| e.to_string())?;
    let (axis, slice, stroke) = match drawn.file {
        Some(_) if !drawn.points.is_empty() => return Err("give points or a file, not both".into()),
        Some(file) => {
            let axis = axis.unwrap_or(SliceAxis::Depth);
            let slice = drawn.slice.ok_or("a scribble from a file needs its slice")?;
            let labels = read_labels(&file, path, volume, labels)?;
            let label = drawn.label.unwrap_or(Choice::Number(drawn.segment));
            slice_of_nothing(labels, axis, slice)?;
            let at = find(labels, &label, &file)?;
            let mask = slice_of(labels, at, axis, slice)?;
            if mask.area() == 0 {
                return Err(format!("label {label} of {} is not on slice {slice}; name another slice", file.display()));
            }
            (axis, slice, Stroke::Raster(mask))
        }
        None => {
            let points = drawn.points.into_iter().map(|p| index_of(p, space, volume));
            let points = points.collect::<Result<Vec<_>>>().map_err(|e| e.to_string())?;
            let placed = Placed::find(points, axis, drawn.slice, volume)?;
            (placed.axis, placed.slice, Stroke::Points { points: placed.points, radius_mm: drawn.radius_mm })
        }
    };
    Ok(Interaction { segment: drawn.segment, axis, slice, kind: drawn.kind, positive: drawn.positive, stroke })
}

fn index_of(point: [f64; 3], space: Space, volume: &Volume) -> Result<[f64; 3]> {
    match space {
        Space::Index => Ok(point),
        Space::Lps => volume.geometry().index_of_lps(point),
        Space::Ras => volume.geometry().index_of_lps([-point[0], -point[1], point[2]]),
    }
}

/// One step for the slice, or for each slice with the label.
fn masks(given: Given, path: &Path, volume: &Volume, labels: &mut Labels) -> std::result::Result<Vec<Step>, String> {
    check_segment(given.segment).map_err(|e| e.to_string())?;
    let axis = SliceAxis::from_index(given.axis).map_err(|e| e.to_string())?;
    let labels = read_labels(&given.file, path, volume, labels)?;
    let label = given.label.unwrap_or(Choice::Number(given.segment));
    let step = |slice: usize, mask: SliceMask| Step::Mask { segment: given.segment, axis, slice, mask };
    if let (Some(slice), true) = (given.slice, given.empty) {
        // The label may be nowhere at all.
        let mask = match labels.find(&label) {
            Ok(at) => slice_of(labels, at, axis, slice)?,
            Err(_) => slice_of_nothing(labels, axis, slice)?,
        };
        return Ok(vec![step(slice, mask)]);
    }
    if let Some(slice) = given.slice {
        slice_of_nothing(labels, axis, slice)?;
    }
    let at = find(labels, &label, &given.file)?;
    if let Some(slice) = given.slice {
        let mask = slice_of(labels, at, axis, slice)?;
        if mask.area() == 0 {
            return Err(format!(
                "label {label} of {} is not on slice {slice} along axis {}; name another slice, or write \"empty\": \
                 true where the target is not to be there",
                given.file.display(),
                axis.index()
            ));
        }
        return Ok(vec![step(slice, mask)]);
    }
    let mut steps = Vec::new();
    for slice in 0..labels.shape()[axis.index()] {
        let mask = slice_of(labels, at, axis, slice)?;
        if mask.area() > 0 {
            steps.push(step(slice, mask));
        }
    }
    if steps.is_empty() {
        return Err(format!("label {label} is nowhere in {}; name another label", given.file.display()));
    }
    Ok(steps)
}

/// The segmentation in `file`, a path relative to that of the interactions, on the volume's grid.
fn read_labels<'a>(
    file: &Path,
    recorded: &Path,
    volume: &Volume,
    labels: &'a mut Labels,
) -> std::result::Result<&'a Segmentation, String> {
    let path = recorded.parent().unwrap_or(Path::new("")).join(file);
    if !labels.contains_key(&path) {
        let read = io::read_segmentation_on(&path, volume).map_err(|e| e.to_string())?;
        labels.insert(path.clone(), read);
    }
    Ok(&labels[&path])
}

/// The index of the chosen segment.
fn find(labels: &Segmentation, label: &Choice, file: &Path) -> std::result::Result<usize, String> {
    labels.find(label).map_err(|e| format!("label {label} is nowhere in {}: {e}; name another label", file.display()))
}

fn slice_of(labels: &Segmentation, at: usize, axis: SliceAxis, slice: usize) -> std::result::Result<SliceMask, String> {
    let mut mask = slice_of_nothing(labels, axis, slice)?;
    let (along, per_row, per_col) = axis.strides(labels.shape());
    let cols = mask.cols;
    for (i, v) in mask.data.iter_mut().enumerate() {
        *v = u8::from(labels.has(at, slice * along + i / cols * per_row + i % cols * per_col));
    }
    Ok(mask)
}

fn slice_of_nothing(labels: &Segmentation, axis: SliceAxis, slice: usize) -> std::result::Result<SliceMask, String> {
    let last = labels.shape()[axis.index()] - 1;
    if slice > last {
        return Err(format!(
            "slice {slice} is out of range; the volume has slices 0 to {last} along axis {}",
            axis.index()
        ));
    }
    let (rows, cols) = axis.slice_shape(labels.shape());
    Ok(SliceMask::zeros(rows, cols))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interactions::recorded::MarkupOptions;
    use crate::volume::{Geometry, VoxelData};

    fn volume() -> Volume {
        let geometry = Geometry { spacing_mm: [2.0, 1.0, 1.0], origin_mm: [100.0, 0.0, -50.0], ..Geometry::default() };
        Volume::new([4, 5, 6], VoxelData::U8(vec![0; 120]), geometry).unwrap()
    }

    fn read(text: &str) -> Result<RecordedInteractions> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("p.json");
        std::fs::write(&path, text).unwrap();
        let v = volume();
        // Label 2 in one voxel of slice 1 and one of slice 3.
        let mut data = vec![0; 120];
        (data[30], data[119]) = (2, 2);
        let labels = Volume::new([4, 5, 6], VoxelData::U8(data), v.geometry().clone()).unwrap();
        io::write_volume(&folder.path().join("labels.nrrd"), &labels).unwrap();
        let moved = Geometry { origin_mm: [0.0; 3], ..v.geometry().clone() };
        let moved = Volume::new([4, 5, 6], VoxelData::U8(vec![2; 120]), moved).unwrap();
        io::write_volume(&folder.path().join("moved.nrrd"), &moved).unwrap();
        let halves = Volume::new([4, 5, 6], VoxelData::F32(vec![0.5; 120]), v.geometry().clone()).unwrap();
        io::write_volume(&folder.path().join("halves.nrrd"), &halves).unwrap();
        // The last two slices, rows and columns, with two segments that overlap in voxel (3, 4, 5) of the volume.
        let cut = Geometry { origin_mm: v.geometry().position_lps([2.0, 3.0, 4.0]), ..v.geometry().clone() };
        let segment = |number, name: &str, at: &[usize]| io::segmentation::Segment {
            number,
            name: name.into(),
            color: [0.5; 3],
            mask: (0..8).map(|i| u8::from(at.contains(&i))).collect(),
        };
        let two = [segment(1, "liver", &[7, 0]), segment(2, "vessel", &[7])];
        io::seg_nrrd::write(&folder.path().join("two.seg.nrrd"), [2, 2, 2], &cut, &two).unwrap();
        crate::interactions::read(&[&path], &v, &MarkupOptions::default())
    }

    #[test]
    fn segments_of_slicer_are_chosen_by_number_or_name_and_placed() {
        let of = |text: &str| -> Vec<(usize, Vec<usize>)> {
            let steps = read(text).unwrap().rounds.remove(0).steps;
            let mask = |step: Step| match step {
                Step::Mask { slice, mask, .. } => {
                    (slice, mask.data.iter().enumerate().filter(|(_, v)| **v == 1).map(|(i, _)| i).collect())
                }
                other => panic!("{other:?}"),
            };
            steps.into_iter().map(mask).collect()
        };
        // Voxels (2, 3, 4) and (3, 4, 5) of slices with 5 x 6 pixels.
        let liver = vec![(2, vec![22]), (3, vec![29])];
        assert_eq!(of(r#"{"slice_masks": [{"file": "two.seg.nrrd"}]}"#), liver);
        assert_eq!(of(r#"{"slice_masks": [{"file": "two.seg.nrrd", "label": "liver", "segment": 9}]}"#), liver);
        assert_eq!(of(r#"{"slice_masks": [{"file": "two.seg.nrrd", "label": "vessel"}]}"#), [(3, vec![29])]);
        // Nothing there, on purpose.
        let empty = r#"{"slice_masks": [{"file": "two.seg.nrrd", "label": "vessel", "slice": 2, "empty": true}]}"#;
        assert_eq!(of(empty), [(2, vec![])]);
    }

    fn refusal(text: &str) -> String {
        read(text).unwrap_err().to_string()
    }

    fn drawn(step: &Step) -> &Interaction {
        match step {
            Step::Draw(i) => i,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn one_round_may_be_written_without_a_list_of_rounds() {
        let p = read(r#"{"interactions": [{"kind": "click", "points": [[2, 1, 3]]}]}"#).unwrap();
        assert_eq!((p.rounds.len(), p.segments[0].number, p.segments[0].name.as_str()), (1, 1, "Segment 1"));
        let i = drawn(&p.rounds[0].steps[0]);
        assert_eq!((i.segment, i.axis, i.slice, i.positive), (1, SliceAxis::Depth, 2, true));
        assert_eq!(p.rounds[0].axes(), [SliceAxis::Depth]);
    }

    #[test]
    fn rounds_names_colours_and_masks() {
        let p = read(
            r##"{"description": "two rounds", "window": [-160, 240], "space": "RAS",
            "segments": [{"number": 7, "name": "liver", "color": "#ff8000"}, {"number": 2, "color": [0, 0.5, 1]}],
            "rounds": [
              {"interactions": [{"segment": 7, "kind": "scribble", "points": [[-101, -2, -46], [-104, -4, -46]],
                                 "radius_mm": 3}],
               "slice_masks": [{"segment": 2, "file": "labels.nrrd"}]},
              {"interactions": [{"segment": 2, "axis": 0, "slice": 1, "kind": "scribble", "file": "labels.nrrd",
                                 "positive": false}],
               "slice_masks": [{"segment": 7, "axis": 2, "slice": 0, "file": "labels.nrrd", "label": 2}]}]}"##,
        )
        .unwrap();
        assert_eq!(p.window, Some((-160.0, 240.0)));
        let names: Vec<_> = p.segments.iter().map(|s| (s.number, s.name.as_str())).collect();
        assert_eq!(names, [(2, "Segment 2"), (7, "liver")]);
        assert_eq!(p.segments[1].color, [1.0, 128.0 / 255.0, 0.0]);
        let first = &p.rounds[0].steps;
        // RAS (-101, -2, -46) is LPS (101, 2, -46): width 1, height 2, depth (-46 + 50) / 2 = 2.
        let i = drawn(&first[0]);
        let points = vec![[2.0, 2.0, 1.0], [2.0, 4.0, 4.0]];
        assert_eq!((i.slice, &i.stroke), (2, &Stroke::Points { points, radius_mm: 3.0 }));
        // Voxel 30 is (1, 0, 0), voxel 119 is (3, 4, 5).
        let of = |step: &Step| match step {
            Step::Mask { slice, mask, .. } => (*slice, mask.data.iter().position(|v| *v == 1), mask.area()),
            other => panic!("{other:?}"),
        };
        assert_eq!((of(&first[1]), of(&first[2])), ((1, Some(0), 1), (3, Some(29), 1)));
        let second = &p.rounds[1].steps;
        assert!(matches!(&drawn(&second[0]).stroke, Stroke::Raster(m) if m.area() == 1));
        // Along width, slice 0 has depths as rows and heights as columns: (1, 0) is pixel 5.
        assert_eq!(of(&second[1]), (0, Some(5), 1));
        assert_eq!(p.rounds[1].axes(), [SliceAxis::Depth, SliceAxis::Width]);
    }

    #[test]
    fn each_mistake_is_reported_with_its_place() {
        for (text, expected) in [
            ("{", "not JSON"),
            ("{}", "nothing is drawn"),
            (r#"{"interaction": []}"#, "unknown field `interaction`"),
            (r#"{"interactions": [{"kind": "lasso", "points": []}]}"#, "lasso"),
            (r#"{"interactions": [{"kind": "click", "points": []}]}"#, "interactions[0]: there is no point"),
            (r#"{"interactions": [{"kind": "click", "points": [[9, 0, 0]]}]}"#, "outside the volume"),
            (r#"{"interactions": [{"kind": "click", "axis": 3, "points": [[1, 0, 0]]}]}"#, "axis is 3"),
            (r#"{"interactions": [{"kind": "click", "segment": 0, "points": [[1, 0, 0]]}]}"#, "background"),
            (r#"{"interactions": [{"kind": "click", "slice": 2, "points": [[1, 0, 0]]}]}"#, "not on slice 2"),
            (r#"{"rounds": [{}, {"interactions": [{"kind": "click"}]}]}"#, "rounds[1].interactions[0]"),
            (r#"{"slice_masks": [{"file": "none.nrrd"}]}"#, "none.nrrd"),
            (r#"{"slice_masks": [{"file": "moved.nrrd", "label": 2}]}"#, "another place than the volume"),
            (r#"{"slice_masks": [{"file": "labels.nrrd", "label": 3}]}"#, "label 3 is nowhere"),
            (r#"{"slice_masks": [{"file": "labels.nrrd", "slice": 4}]}"#, "slice 4 is out of range"),
            (
                r#"{"slice_masks": [{"file": "labels.nrrd", "slice": 2, "label": 2}]}"#,
                "label 2 of labels.nrrd is not on",
            ),
            (r#"{"slice_masks": [{"file": "labels.nrrd", "slice": 1}]}"#, "there are 2 \"Segment 2\""),
            (
                r#"{"interactions": [{"kind": "scribble", "file": "labels.nrrd", "slice": 2, "label": 2}]}"#,
                "label 2 of labels.nrrd is not on slice 2",
            ),
            (r#"{"slice_masks": [{"file": "halves.nrrd"}]}"#, "the value 0.5 is no label"),
            (r#"{"segments": [{"number": 1, "color": "red"}]}"#, "is no colour"),
            (r#"{"window": [3, 3]}"#, "no range"),
            (r#"{"interactions": [{"kind": "scribble", "file": "labels.nrrd"}]}"#, "needs its slice"),
        ] {
            let message = refusal(text);
            assert!(message.contains(expected), "{expected:?} not in {message:?}");
        }
    }
}
