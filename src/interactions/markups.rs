//! Interactions drawn with the Markups module of 3D Slicer (`.mrk.json`).
//!
//! | markup | becomes |
//! |---|---|
//! | point list | clicks, or extreme points |
//! | line, open curve | scribble through the control points |
//! | closed curve | scribble through the control points and back to the first |
//! | ROI | box on the middle slice |
//!
//! Slicer stores no names in these files: the file's name is that of the markup, as when Slicer loads it. It names the
//! segment; [`Named`] documents its two endings.

use super::place::{self, Placed};
use super::recorded::{MarkupOptions, PointsAs, RecordedInteractions, Step};
use crate::engine::{Interaction, Stroke};
use crate::error::{Error, Result};
use crate::nn::InteractionKind;
use crate::volume::Volume;
use serde::Deserialize;
use std::path::Path;

#[derive(Debug, Deserialize)]
struct File {
    markups: Vec<Markup>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Markup {
    #[serde(rename = "type")]
    kind: String,
    name: Option<String>,
    /// A name, or its number as text: 0 is RAS, 1 is LPS. LPS by default, as in Slicer.
    #[serde(default)]
    coordinate_system: serde_json::Value,
    /// A name, or a coded entry: code, scheme and meaning.
    #[serde(default)]
    coordinate_units: serde_json::Value,
    #[serde(default)]
    control_points: Vec<ControlPoint>,
    /// Slicer writes it for other programs and reads the control point.
    center: Option<[f64; 3]>,
    size: Option<[f64; 3]>,
    /// Row-major; the columns are the directions of the region's edges.
    orientation: Option<[f64; 9]>,
    roi_type: Option<String>,
    /// Whether what lies outside the region is meant.
    #[serde(default)]
    inside_out: bool,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ControlPoint {
    #[serde(default, deserialize_with = "text")]
    label: String,
    #[serde(default, deserialize_with = "text")]
    description: String,
    /// Three numbers; where the point is not placed, Slicer writes other things, as an empty text.
    #[serde(default)]
    position: serde_json::Value,
    position_status: Option<String>,
}

/// A text; anything else is none, as in Slicer.
fn text<'de, D: serde::Deserializer<'de>>(from: D) -> std::result::Result<String, D::Error> {
    let value = serde_json::Value::deserialize(from)?;
    Ok(value.as_str().unwrap_or_default().to_owned())
}

impl ControlPoint {
    /// Whether the user placed it; without a status, where it has a position, as in Slicer.
    fn is_placed(&self) -> bool {
        self.position_status.as_deref().map_or(self.position.is_array(), |status| status == "defined")
    }

    fn position(&self) -> Parsed<[f64; 3]> {
        serde_json::from_value(self.position.clone()).map_err(|_| {
            format!(
                "the control point \"{}\" has the position {}, must have three numbers; place it in 3D Slicer and save \
                 again",
                self.label, self.position
            )
        })
    }
}

/// The parts of a markup's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// Name of the segment.
    pub segment: String,
    /// False when the name ends with `-` or the word `negative`, as in `liver-` and `liver_negative`.
    pub positive: bool,
    /// Whether the name ends with the word `extreme` or the words `extreme points`, as in `liver extreme`.
    pub extreme: bool,
}

/// Whether a character parts the words of a name.
fn is_separator(c: char) -> bool {
    c.is_whitespace() || "_-.".contains(c)
}

impl Named {
    /// Removes the endings, in any order, and `_1`, `_2` and so on, by which Slicer keeps the names of files apart.
    /// `Mem3DLib/Interactions.py` of the Slicer module does the same (tests/golden/markup_names.csv).
    pub fn parse(name: &str) -> Named {
        let named = Named::without_endings(name);
        if named.segment.is_empty() { Named { segment: "Segment".into(), ..named } } else { named }
    }

    /// As [`Named::parse`]; the segment has no name where nothing is left.
    fn without_endings(name: &str) -> Named {
        const EXTREME: [&str; 5] = ["extreme points", "extreme_points", "extreme-points", "extremepoints", "extreme"];
        // What is left of a name that ends with a word of its own.
        let without = |name: &str, word: &str| {
            let rest = name.len().checked_sub(word.len())?;
            let (before, end) = name.split_at_checked(rest)?;
            let is_word = end.eq_ignore_ascii_case(word) && (before.is_empty() || before.ends_with(is_separator));
            is_word.then_some(rest)
        };
        // Looked for last, since it may take the whole name.
        let number = |name: &str| {
            let (rest, digits) = name.rsplit_once('_')?;
            (!digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit())).then_some(rest.len())
        };
        let (mut name, mut positive, mut extreme) = (name.trim(), true, false);
        loop {
            let rest = if let Some(rest) = name.strip_suffix('-') {
                positive = false;
                rest.len()
            } else if let Some(rest) = without(name, "negative") {
                positive = false;
                rest
            } else if let Some(rest) = EXTREME.iter().find_map(|word| without(name, word)) {
                extreme = true;
                rest
            } else if let Some(rest) = number(name) {
                rest
            } else {
                break;
            };
            name = name[..rest].trim_end_matches(is_separator);
        }
        Named { segment: name.into(), positive, extreme }
    }

    /// The name of a markups file of the volume called `case`, or what it is called without that volume.
    fn of_file(stem: &str, case: Option<&str>) -> Named {
        case.and_then(|case| Named::of_case(stem, case)).unwrap_or_else(|| Named::parse(stem))
    }

    /// The name of a markups file, without `.mrk.json`, that begins with that of its volume: `case_liver` is *liver*,
    /// `case` and `case_negative` are *case*. None for a file that does not belong to this volume by its name.
    pub fn of_case(stem: &str, case: &str) -> Option<Named> {
        let rest = stem.strip_prefix(case)?;
        let named = Named::without_endings(rest);
        if named.segment.trim_matches(is_separator).is_empty() && !rest.starts_with(char::is_alphanumeric) {
            return Some(Named { segment: case.into(), ..named });
        }
        rest.strip_prefix('_').map(Named::parse)
    }
}

/// Adds the interactions of the markups file at `path`, whose content is `value`.
pub(crate) fn add(
    recorded: &mut RecordedInteractions,
    path: &Path,
    value: serde_json::Value,
    volume: &Volume,
    options: &MarkupOptions,
) -> Result<()> {
    let bad = |reason: String| Error::bad_file(path, reason);
    let file: File = serde_json::from_value(value)
        .map_err(|e| bad(format!("{e}; give a markups file that 3D Slicer saved (.mrk.json)")))?;
    let file_name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let stem = [".mrk.json", ".json"].iter().find_map(|end| file_name.strip_suffix(end)).unwrap_or(&file_name);
    for (i, markup) in file.markups.iter().enumerate() {
        let named = match markup.name.as_deref() {
            Some(name) => Named::parse(name),
            None => Named::of_file(stem, options.case.as_deref()),
        };
        let at = |reason: String| bad(format!("markups[{i}] ({}): {reason}", markup.kind));
        let segment = recorded.number_of(&named.segment);
        let steps = interactions(markup, &named, volume, options).map_err(at)?;
        let steps = steps.into_iter().map(|i| Step::Draw(Interaction { segment, ..i }));
        recorded.round_mut(0).steps.extend(steps);
    }
    Ok(())
}

type Parsed<T> = std::result::Result<T, String>;

/// The interactions that a markup stands for.
fn interactions(markup: &Markup, named: &Named, volume: &Volume, options: &MarkupOptions) -> Parsed<Vec<Interaction>> {
    if !["ROI", "Fiducial", "Line", "Curve", "ClosedCurve"].contains(&markup.kind.as_str()) {
        let kind = &markup.kind;
        return Err(format!("a markup of the type {kind} cannot be used; draw points, a line, a curve or an ROI"));
    }
    if !markup.control_points.is_empty() && !markup.control_points.iter().any(ControlPoint::is_placed) {
        return Err("none of its control points is placed; place them in 3D Slicer and save it again".into());
    }
    let signs = signs(markup)?;
    let index = |p: [f64; 3]| -> Parsed<[f64; 3]> {
        let lps = [0, 1, 2].map(|k| p[k] * signs[k]);
        volume.geometry().index_of_lps(lps).map_err(|e| e.to_string())
    };
    let make = |placed: Placed, kind, positive| Interaction {
        segment: 0,
        axis: placed.axis,
        slice: placed.slice,
        kind,
        positive,
        stroke: Stroke::Points { points: placed.points, radius_mm: options.radius_mm },
    };
    if markup.kind == "ROI" {
        if !named.positive {
            return Err("a box always marks the target; remove the - at the end of its name".into());
        }
        return Ok(vec![make(roi(markup, index, volume, options)?, InteractionKind::Box, true)]);
    }
    let points = control_points(markup, named, index)?;
    let all: Vec<[f64; 3]> = points.iter().map(|(p, _)| *p).collect();
    match markup.kind.as_str() {
        "Fiducial" if options.are_extreme(named) => {
            if !named.positive {
                return Err("extreme points always mark the target; remove \"negative\" or - from its name".into());
            }
            let placed = Placed::find(all, options.axis, None, volume)?;
            Ok(vec![make(placed, InteractionKind::ExtremePoints, true)])
        }
        "Fiducial" => {
            let placed = clicks(&points, &all, volume, options)?.into_iter();
            Ok(placed.map(|(p, positive)| make(p, InteractionKind::Click, positive)).collect())
        }
        _ => {
            let mut line = all;
            if markup.kind == "ClosedCurve" && line.len() > 2 {
                line.push(line[0]);
            }
            let placed = Placed::find(line, options.axis, None, volume)?;
            Ok(vec![make(placed, InteractionKind::Scribble, named.positive)])
        }
    }
}

/// Signs that bring the coordinates of a markup to LPS.
fn signs(markup: &Markup) -> Parsed<[f64; 3]> {
    let units = &markup.coordinate_units;
    let name = match units.as_array() {
        Some(entry) => entry.first().unwrap_or(&serde_json::Value::Null),
        None => units,
    };
    if !name.is_null() && !["", "mm"].contains(&name.as_str().unwrap_or("?")) {
        let name = name.as_str().map_or_else(|| name.to_string(), str::to_owned);
        return Err(format!("its coordinates are in {name}; save it in mm"));
    }
    match (&markup.coordinate_system, markup.coordinate_system.as_str()) {
        (serde_json::Value::Null, _) | (_, Some("LPS" | "1" | "")) => Ok([1.0, 1.0, 1.0]),
        (_, Some("RAS" | "0")) => Ok([-1.0, -1.0, 1.0]),
        (other, _) => Err(format!("the coordinate system {other} is unknown; save it as \"LPS\" or \"RAS\"")),
    }
}

/// Voxel indices and signs of the control points that were placed.
fn control_points(
    markup: &Markup,
    named: &Named,
    index: impl Fn([f64; 3]) -> Parsed<[f64; 3]>,
) -> Parsed<Vec<([f64; 3], bool)>> {
    let of_point = |p: &ControlPoint| Ok((index(p.position()?)?, is_positive(p, named)));
    markup.control_points.iter().filter(|p| p.is_placed()).map(of_point).collect()
}

impl MarkupOptions {
    /// Whether the points of a list with this name are extreme points.
    fn are_extreme(&self, named: &Named) -> bool {
        match self.points {
            PointsAs::ByName => named.extreme,
            PointsAs::Clicks => false,
            PointsAs::ExtremePoints => true,
        }
    }
}

/// A point's own label or description counts before the name of its list: a description that starts with the word
/// `negative` or `positive`, a label that ends with `-` or the word `negative`.
fn is_positive(point: &ControlPoint, named: &Named) -> bool {
    let description = point.description.trim().to_ascii_lowercase();
    match description.split(|c: char| !c.is_alphanumeric()).next() {
        Some("negative") => false,
        Some("positive") => true,
        _ => named.positive && Named::parse(&point.label).positive,
    }
}

/// Clicks, joined where they are on one slice and of one sign. With a given axis, they may be on several slices.
fn clicks(
    points: &[([f64; 3], bool)],
    all: &[[f64; 3]],
    volume: &Volume,
    options: &MarkupOptions,
) -> Parsed<Vec<(Placed, bool)>> {
    let axis = match options.axis {
        Some(axis) => axis,
        // Checks that they share a slice.
        None => {
            let with_axis = |reason: String| match reason.contains("no common slice") {
                true => format!("{reason}; or name the axis, if each point is a click on a slice of its own"),
                false => reason,
            };
            Placed::find(all.to_vec(), None, None, volume).map_err(with_axis)?.axis
        }
    };
    place::check_inside(all, volume)?;
    let mut placed: Vec<(Placed, bool)> = Vec::new();
    for (point, positive) in points {
        let one = Placed::find(vec![*point], Some(axis), None, volume)?;
        match placed.iter_mut().find(|(p, sign)| p.slice == one.slice && sign == positive) {
            Some((other, _)) => other.points.extend(one.points),
            None => placed.push((one, *positive)),
        }
    }
    Ok(placed)
}

/// Largest difference of the orientation of an ROI from a rotation. Chosen: cosines with three decimals pass.
const ROTATION: f64 = 1e-2;

/// Directions of the edges of an ROI, as columns.
fn orientation(markup: &Markup) -> Parsed<[f64; 9]> {
    let o = markup.orientation.unwrap_or([1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]);
    let dot = |a: usize, b: usize| (0..3).map(|row| o[3 * row + a] * o[3 * row + b]).sum::<f64>();
    let off = |a: usize, b: usize| (dot(a, b) - f64::from(u8::from(a == b))).abs();
    // No range contains NaN.
    match (0..9).all(|i| (0.0..=ROTATION).contains(&off(i / 3, i % 3))) {
        true => Ok(o),
        false => Err(format!("the orientation of the ROI is {o:?}, which is no rotation; draw it and save it again")),
    }
}

/// The middle of an ROI. That of a box is its control point, as in Slicer, which does not read `center` then.
fn roi_center(markup: &Markup) -> Parsed<Option<[f64; 3]>> {
    let mut placed = markup.control_points.iter().filter(|p| p.is_placed());
    let (Some(point), None) = (placed.next(), placed.next()) else { return Ok(markup.center) };
    let point = point.position()?;
    if let Some(center) = markup.center {
        let apart = (0..3).map(|k| (point[k] - center[k]).powi(2)).sum::<f64>().sqrt();
        if apart > 0.01 {
            log::warn!(
                "the center of an ROI lies {apart:.2} mm from its control point, which is taken, as by 3D Slicer"
            );
        }
    }
    Ok(Some(point))
}

/// The rectangle of a region of interest on its middle slice: two opposite corners.
fn roi(
    markup: &Markup,
    index: impl Fn([f64; 3]) -> Parsed<[f64; 3]>,
    volume: &Volume,
    options: &MarkupOptions,
) -> Parsed<Placed> {
    if let Some(kind) = markup.roi_type.as_deref().filter(|k| !k.ends_with("Box")) {
        return Err(format!("an ROI of the type {kind} cannot be used; make it a box"));
    }
    if markup.inside_out {
        return Err("the ROI is inside out; a box marks what lies inside: turn that off in 3D Slicer".into());
    }
    let o = orientation(markup)?;
    let (Some(center), Some(size)) = (roi_center(markup)?, markup.size) else {
        return Err("the ROI has no center or size; place it and save it again".into());
    };
    if size.iter().any(|mm| !mm.is_finite() || *mm < 0.0) || size.iter().filter(|mm| **mm > 0.0).count() < 2 {
        return Err(format!("the size of the ROI is {size:?} mm; draw it and save it again"));
    }
    let mut low = [f64::INFINITY; 3];
    let mut high = [f64::NEG_INFINITY; 3];
    for corner in 0..8 {
        let half = [0, 1, 2].map(|k| if corner >> k & 1 == 1 { 0.5 * size[k] } else { -0.5 * size[k] });
        let offset = |row: usize| (0..3).map(|k| o[3 * row + k] * half[k]).sum::<f64>();
        let at = index([0, 1, 2].map(|row| center[row] + offset(row)))?;
        for k in 0..3 {
            low[k] = low[k].min(at[k]);
            high[k] = high[k].max(at[k]);
        }
    }
    // A flat region lies on a slice; of a thick one, the thinnest direction in voxels is taken as through the slices.
    let axis = options.axis.unwrap_or_else(|| place::best_axis(&[low, high]));
    let along = axis.index();
    let middle = index(center)?[along];
    let shape = volume.shape();
    let mut corners = [low, high];
    for k in 0..3 {
        let last = shape[k] as f64 - 0.5;
        if k == along {
            corners.iter_mut().for_each(|c| c[k] = middle);
        } else if low[k] > last || high[k] < -0.5 {
            return Err("the ROI lies outside the volume; is it drawn on this volume?".into());
        } else {
            corners.iter_mut().for_each(|c| c[k] = c[k].clamp(-0.5, last));
        }
    }
    Placed::find(corners.to_vec(), Some(axis), None, volume)
        .map_err(|_| "the middle of the ROI lies outside the volume; is it drawn on this volume?".into())
}

#[cfg(test)]
mod tests;
