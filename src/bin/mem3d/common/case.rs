//! One volume with its interactions: used by `segment` once and by `batch` many times.

use super::{console, output, values};
use mem3d::engine::{PropagateOptions, Session, SessionOptions};
use mem3d::interactions::{self, MarkupOptions, PointsAs, RecordedInteractions, Round, SegmentLabel, Step};
use mem3d::io::seg_nrrd::{self, Segment, default_color};
use mem3d::io::{self, Format};
use mem3d::nn::model::Model;
use mem3d::volume::{Geometry, SliceAxis, Volume};
use mem3d::{Error, Result};
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Options for interactions and segmentation.
#[derive(Debug, Clone, clap::Args)]
#[group(skip)]
pub struct Args {
    /// Intensities that are black and white for the networks, e.g. -160,240 [default: that of the interactions, or
    /// percentiles 0.5 and 99.5 of the volume, for CT limited to -250..450 HU, for lung from below its intensities].
    #[arg(long, value_name = "LOW,HIGH", value_parser = values::parse_window, allow_hyphen_values = true)]
    pub window: Option<(f64, f64)>,
    /// Axis of the slices that markups are drawn on: 0 depth, 1 height, 2 width [default: where the points agree best].
    #[arg(long, value_parser = values::parse_axis, allow_negative_numbers = true)]
    axis: Option<i64>,
    /// Meaning of a point list of 3D Slicer.
    #[arg(long, value_enum, default_value_t = PointsArg::ByName)]
    points: PointsArg,
    /// Half the width of a curve of 3D Slicer, mm [default: 1.5 pixels].
    #[arg(long, value_name = "MM", default_value_t = 0.0, hide_default_value = true, value_parser = parse_radius)]
    radius_mm: f64,
    /// Work on whole slices, as in the paper, instead of a region of interest.
    #[arg(long)]
    whole_slice: bool,
    /// Most rounds of the interactions to do [default: all].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    rounds: Option<u64>,
    /// Replace NaN and infinite voxels by the lower end of the window, instead of refusing the volume.
    #[arg(long)]
    replace_non_finite: bool,
    /// End a propagation after this many slices without target in a row; 0 never.
    #[arg(long, value_name = "N", default_value_t = SessionOptions::default().stop_after_empty)]
    stop_after_empty: usize,
    /// Interval of the slices that stay in memory; 0: none stays.
    #[arg(long, value_name = "N", default_value_t = SessionOptions::default().memorize_every)]
    memorize_every: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum PointsArg {
    /// extreme points when its name ends with "extreme", else clicks
    ByName,
    /// clicks
    Clicks,
    /// extreme points
    Extreme,
}

fn parse_radius(text: &str) -> std::result::Result<f64, String> {
    match text.parse::<f64>() {
        Ok(mm) if (0.0..=1e4).contains(&mm) => Ok(mm),
        _ => Err("give millimetres from 0 to 10000".into()),
    }
}

impl Args {
    /// The options that change masks, as a text.
    pub fn options(&self) -> String {
        let Args { window, axis, points, radius_mm, whole_slice, rounds, .. } = self;
        let Args { replace_non_finite, stop_after_empty, memorize_every, .. } = self;
        format!(
            "window={window:?} axis={axis:?} points={points:?} radius_mm={radius_mm} whole_slice={whole_slice} \
             rounds={rounds:?} replace_non_finite={replace_non_finite} stop_after_empty={stop_after_empty} \
             memorize_every={memorize_every}"
        )
    }

    fn markups(&self, volume: &Path) -> MarkupOptions {
        MarkupOptions {
            axis: self.axis.map(|a| SliceAxis::from_index(a).expect("0, 1 or 2")),
            points: match self.points {
                PointsArg::ByName => PointsAs::ByName,
                PointsArg::Clicks => PointsAs::Clicks,
                PointsArg::Extreme => PointsAs::ExtremePoints,
            },
            radius_mm: self.radius_mm,
            case: case_name(volume),
        }
    }

    fn session(&self, recorded: &RecordedInteractions) -> SessionOptions {
        SessionOptions {
            window: self.window.or(recorded.window),
            replace_non_finite: self.replace_non_finite,
            whole_slice: self.whole_slice,
            stop_after_empty: self.stop_after_empty,
            memorize_every: self.memorize_every,
            // No step is undone here.
            undo_depth: 0,
            ..SessionOptions::default()
        }
    }
}

/// A volume that was segmented.
pub struct Case {
    /// The session after the last round.
    pub session: Session,
    /// Names and colours of the segments drawn.
    labels: Vec<SegmentLabel>,
    /// Rounds done.
    pub rounds: usize,
    /// Seconds for the rounds, without reading and writing.
    pub seconds: f64,
}

/// Results for one segment.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Summary {
    /// Label value.
    pub number: u32,
    /// Shown to the user.
    pub name: String,
    /// Axis of the slices: 0, 1 or 2.
    pub axis: usize,
    /// Slices with a part of it.
    pub slices: usize,
    /// Its volume, ml.
    pub volume_ml: f64,
    /// Mean of the qualities of those slices; none when there are none.
    pub mean_quality: Option<f64>,
    /// Quality of every slice.
    pub quality: Vec<f32>,
    /// Slices that were drawn on.
    pub annotated: Vec<usize>,
    /// The slice to correct next, if any.
    pub suggested: Vec<usize>,
}

/// The file for `overview`; its top level is the first segment.
#[derive(Debug, Serialize)]
struct QualityFile<'a> {
    axis: usize,
    quality: &'a [f32],
    annotated: &'a [usize],
    suggested: &'a [usize],
    segments: &'a [Summary],
}

impl Case {
    /// Opens the volume, and the interactions for it, on a model; `saved` continues a saved session.
    ///
    /// # Errors
    /// As reading the files and [`Session::new`].
    pub fn open<P: AsRef<Path>>(
        volume: &Path,
        files: &[P],
        saved: Option<&Path>,
        model: &Model,
        args: &Args,
    ) -> Result<(Case, Vec<Round>)> {
        let what = format!("reading {}", volume.display());
        let read = console::busy(what, || io::read_volume(volume))?;
        let mut recorded = match files {
            [] => RecordedInteractions::default(),
            files => interactions::read(files, &read, &args.markups(volume))?,
        };
        console::check_interrupt()?;
        let options = args.session(&recorded);
        // The options of a saved session replace these.
        let replace_non_finite = options.replace_non_finite || saved.is_some();
        let mut session = Session::new(read, model.networks(), SessionOptions { replace_non_finite, ..options })?;
        if let Some(path) = saved {
            session.restore(io::session_file::read(path)?)?;
            if let Some((low, high)) = recorded.window.filter(|window| *window != session.window()) {
                let (old_low, old_high) = session.window();
                return Err(Error::argument(format!(
                    "the interactions have the window {low} to {high}, and the saved session was drawn with {old_low} \
                     to {old_high}, which stays; remove it from them, or start a new session"
                )));
            }
            recorded.go_on(&session.segments()).map_err(|reason| Error::bad_file(path, reason))?;
        }
        let (low, high) = session.window();
        log::debug!("{}: intensities {low} to {high}", volume.display());
        let case = Case { session, labels: recorded.segments, rounds: 0, seconds: 0.0 };
        let mut rounds = recorded.rounds;
        rounds.truncate(args.rounds.map_or(usize::MAX, |n| n as usize));
        Ok((case, rounds))
    }

    /// Does the rounds: draws, then propagates.
    ///
    /// # Errors
    /// As the session; [`Error::Cancelled`] on Ctrl-C.
    pub fn play(&mut self, what: &str, rounds: &[Round]) -> Result<()> {
        let start = Instant::now();
        for (i, round) in rounds.iter().enumerate() {
            for step in &round.steps {
                console::check_interrupt()?;
                match step {
                    Step::Draw(interaction) => drop(self.session.interact(interaction.clone())?),
                    Step::Mask { segment, axis, slice, mask } => {
                        self.session.set_slice_mask(*segment, *axis, *slice, mask)?;
                    }
                }
            }
            for axis in round.axes() {
                for segment in self.carried_together(round, axis) {
                    let options = PropagateOptions { segment, axis: Some(axis), ..PropagateOptions::default() };
                    let mut progress =
                        console::Progress::new(format!("{what}, round {} of {}", i + 1, rounds.len()), 1);
                    let updated = self.session.propagate(&options, &mut |p| {
                        progress.set(p.done, p.total);
                        !console::interrupted()
                    })?;
                    log::debug!("{what}, round {}: {updated} slices updated along axis {}", i + 1, axis.index());
                }
            }
            self.rounds += 1;
        }
        self.seconds = start.elapsed().as_secs_f64();
        Ok(())
    }

    /// Which segments to propagate along `axis`: all at once when all were drawn on in this round, else one by one,
    /// since a segment without a new annotation would be recomputed completely.
    fn carried_together(&self, round: &Round, axis: SliceAxis) -> Vec<Option<u32>> {
        let mut drawn: Vec<u32> = round.steps.iter().map(Step::target).filter(|t| t.1 == axis).map(|t| t.0).collect();
        drawn.sort_unstable();
        drawn.dedup();
        let others = self.session.segments().into_iter().filter(|s| !drawn.contains(s));
        if others.into_iter().all(|s| self.session.annotated(s, axis).is_empty()) {
            return vec![None];
        }
        drawn.into_iter().map(Some).collect()
    }

    /// Name and colour of a segment.
    fn label(&self, number: u32) -> SegmentLabel {
        self.labels.iter().find(|l| l.number == number).cloned().unwrap_or_else(|| SegmentLabel {
            number,
            name: format!("Segment {number}"),
            color: default_color(number),
        })
    }

    /// Results of each segment.
    ///
    /// # Errors
    /// As the session.
    pub fn summaries(&self) -> Result<Vec<Summary>> {
        let volume = self.session.volume();
        let voxel_ml = voxel_volume_mm3(volume.geometry()) / 1000.0;
        let mut mask = vec![0; volume.data().len()];
        let mut summaries = Vec::new();
        for number in self.session.segments() {
            self.session.read_mask(number, &mut mask)?;
            let next = self.session.suggest_slice(Some(number))?;
            let drawn_along = |a: &SliceAxis| !self.session.annotated(number, *a).is_empty();
            let axis = next.map(|n| n.axis).or_else(|| SliceAxis::ALL.into_iter().find(drawn_along));
            let axis = axis.unwrap_or(SliceAxis::Depth);
            let quality = self.session.quality(number, axis)?;
            let filled = filled_slices(&mask, volume, axis);
            let sum: f64 = filled.iter().map(|k| f64::from(quality[*k])).sum();
            summaries.push(Summary {
                number,
                name: self.label(number).name,
                axis: axis.index(),
                slices: filled.len(),
                volume_ml: mask.iter().filter(|v| **v != 0).count() as f64 * voxel_ml,
                mean_quality: (!filled.is_empty()).then(|| sum / filled.len() as f64),
                annotated: self.session.annotated(number, axis),
                suggested: next.map(|n| n.slice).into_iter().collect(),
                quality,
            });
        }
        Ok(summaries)
    }

    /// Writes the segmentation in the format of the file's name.
    ///
    /// # Errors
    /// As writing the file.
    pub fn write(&self, path: &Path) -> Result<()> {
        console::busy(format!("writing {}", path.display()), || {
            output::deliver(path, ".seg.nrrd", |path| self.write_file(path))
        })
    }

    fn write_file(&self, path: &Path) -> Result<()> {
        let volume = self.session.volume();
        match Format::of_name(path) {
            Some(Format::SegNrrd) => {
                let mut segments = Vec::new();
                for number in self.session.segments() {
                    let SegmentLabel { name, color, .. } = self.label(number);
                    let mut mask = vec![0; volume.data().len()];
                    self.session.read_mask(number, &mut mask)?;
                    segments.push(Segment { number, name, color, mask });
                }
                seg_nrrd::write(path, volume.shape(), volume.geometry(), &segments)
            }
            _ => {
                let mut labels = vec![0; volume.data().len()];
                self.session.read_labels(&mut labels)?;
                for (number, lost) in self.lost(&labels)? {
                    log::warn!(
                        "{}: segment {number} \"{}\" loses {lost} voxels to segments that overlap it; a .seg.nrrd \
                         keeps them",
                        path.display(),
                        self.label(number).name
                    );
                }
                let labels = io::label_volume(volume.shape(), volume.geometry(), labels)?;
                io::write_volume(path, &labels)
            }
        }
    }
}

/// The name of a volume without its ending; none for a segmentation and for other kinds of file.
pub fn case_name(volume: &Path) -> Option<String> {
    let name = volume.file_name()?.to_str()?;
    let lower = name.to_lowercase();
    let is_volume = !lower.ends_with(".seg.nrrd");
    let end = [".nii.gz", ".nii", ".nrrd", ".nhdr"].iter().find(|end| is_volume && lower.ends_with(*end))?;
    name.get(..name.len() - end.len()).map(str::to_string)
}

impl Case {
    /// Segments and how many of their voxels have another label in `labels`; only those with some.
    fn lost(&self, labels: &[u16]) -> Result<Vec<(u32, usize)>> {
        let mut mask = vec![0; labels.len()];
        let mut lost = Vec::new();
        for number in self.session.segments() {
            self.session.read_mask(number, &mut mask)?;
            let is_lost = |(label, inside): &(&u16, &u8)| **inside != 0 && u32::from(**label) != number;
            match labels.iter().zip(&mask).filter(is_lost).count() {
                0 => {}
                n => lost.push((number, n)),
            }
        }
        Ok(lost)
    }

    /// Changes volumes to those of files with one label a voxel, where no other kind is written.
    ///
    /// # Errors
    /// As the session.
    pub fn as_written<P: AsRef<Path>>(&self, summaries: &mut [Summary], outputs: &[P]) -> Result<()> {
        if outputs.is_empty() || outputs.iter().any(|p| is_seg_nrrd(p.as_ref())) {
            return Ok(());
        }
        let volume = self.session.volume();
        let mut labels = vec![0; volume.data().len()];
        self.session.read_labels(&mut labels)?;
        for (number, lost) in self.lost(&labels)? {
            let of_it = summaries.iter_mut().filter(|s| s.number == number);
            of_it.for_each(|s| s.volume_ml -= lost as f64 * voxel_volume_mm3(volume.geometry()) / 1000.0);
        }
        Ok(())
    }
}

/// Whether a segmentation is written with its segments one by one, as standard output is.
fn is_seg_nrrd(path: &Path) -> bool {
    output::is_stdout(path) || Format::of_name(path) == Some(Format::SegNrrd)
}

/// Writes the qualities of every slice for `overview`.
///
/// # Errors
/// [`Error::Io`] when it cannot be written.
pub fn write_quality(path: &Path, segments: &[Summary]) -> Result<()> {
    let first =
        segments.first().ok_or_else(|| Error::InvalidState("there is no segment to write qualities of".into()))?;
    let Summary { axis, quality, annotated, suggested, .. } = first;
    output::write_json(path, &QualityFile { axis: *axis, quality, annotated, suggested, segments })
}

/// Checks the name of a segmentation to be written, and that it can be.
///
/// # Errors
/// [`Error::InvalidArgument`] for a name of no format that is written, else as [`output::check`].
pub fn check_segmentation(path: &Path, replace: bool, inputs: &[&Path]) -> Result<()> {
    let header_only = path.extension().is_some_and(|e| e.eq_ignore_ascii_case("nhdr"));
    if !output::is_stdout(path) && (Format::of_name(path).is_none() || header_only) {
        return Err(Error::argument(format!(
            "{}: no segmentation is written under such a name; end it with .seg.nrrd, .nrrd, .nii.gz or .nii",
            path.display()
        )));
    }
    output::check(path, replace, inputs)
}

/// The files that a JSON file names: every text in it that is one, as seen from its folder.
pub fn named_files(path: &Path) -> Vec<PathBuf> {
    fn texts(value: &serde_json::Value, found: &mut Vec<String>) {
        match value {
            serde_json::Value::String(text) => found.push(text.clone()),
            serde_json::Value::Array(values) => values.iter().for_each(|v| texts(v, found)),
            serde_json::Value::Object(values) => values.values().for_each(|v| texts(v, found)),
            _ => (),
        }
    }
    let mut found = Vec::new();
    let read = io::read_text(path).ok().and_then(|text| serde_json::from_str(&text).ok());
    texts(&read.unwrap_or_default(), &mut found);
    let folder = path.parent().unwrap_or(Path::new(""));
    let usable = found.into_iter().filter(|text| !text.is_empty() && text.len() < 4096 && !text.contains('\0'));
    usable.map(|text| folder.join(text)).filter(|path| path.is_file()).collect()
}

/// Volume of a voxel; its edges need not be at right angles.
fn voxel_volume_mm3(geometry: &Geometry) -> f64 {
    let [a, b, c] = geometry.direction;
    let det =
        a[0] * (b[1] * c[2] - b[2] * c[1]) - a[1] * (b[0] * c[2] - b[2] * c[0]) + a[2] * (b[0] * c[1] - b[1] * c[0]);
    geometry.spacing_mm.iter().product::<f64>() * det.abs()
}

/// Numbers of the slices that have a part of the mask.
fn filled_slices(mask: &[u8], volume: &Volume, axis: SliceAxis) -> Vec<usize> {
    let mut filled = vec![false; volume.slice_count(axis)];
    let (along, _, _) = axis.strides(volume.shape());
    let count = filled.len();
    mask.iter().enumerate().filter(|(_, v)| **v != 0).for_each(|(i, _)| filled[i / along % count] = true);
    (0..count).filter(|k| filled[*k]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use mem3d::volume::VoxelData;

    #[test]
    fn slices_and_millilitres() {
        let geometry = Geometry { spacing_mm: [2.0, 0.5, 3.0], ..Geometry::default() };
        assert!((voxel_volume_mm3(&geometry) - 3.0).abs() < 1e-12);
        let skewed = Geometry { direction: [[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [0.8, 0.6, 0.0]], ..geometry.clone() };
        assert!((voxel_volume_mm3(&skewed) - 2.4).abs() < 1e-12);
        let volume = Volume::new([2, 3, 4], VoxelData::U8(vec![0; 24]), geometry).unwrap();
        let mut mask = vec![0; 24];
        (mask[1], mask[15]) = (1, 1); // (0, 0, 1) and (1, 0, 3)
        let filled = |axis| filled_slices(&mask, &volume, axis);
        assert_eq!(filled(SliceAxis::Depth), [0, 1]);
        assert_eq!(filled(SliceAxis::Height), [0]);
        assert_eq!(filled(SliceAxis::Width), [1, 3]);
    }

    #[test]
    fn files_that_a_text_names_are_found() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("p.json");
        std::fs::write(folder.path().join("m.nrrd"), "").unwrap();
        let text = r#"{"slice_masks": [{"file": "m.nrrd"}, {"file": "none.nrrd"}]}"#;
        for mark in ["", "\u{feff}"] {
            std::fs::write(&path, format!("{mark}{text}")).unwrap();
            assert_eq!(named_files(&path), [folder.path().join("m.nrrd")]);
        }
        assert!(named_files(folder.path()).is_empty() && named_files(Path::new("/dev/zero")).is_empty());
    }

    #[test]
    fn names_of_outputs_have_a_known_ending() {
        let folder = tempfile::tempdir().unwrap();
        let check = |name: &str| check_segmentation(&folder.path().join(name), false, &[]);
        for name in ["a.seg.nrrd", "a.nrrd", "a.nii", "a.NII.GZ"] {
            check(name).unwrap();
        }
        for name in ["a.png", "a", "a.nhdr"] {
            assert!(check(name).unwrap_err().to_string().contains("such a name"), "{name}");
        }
    }
}
