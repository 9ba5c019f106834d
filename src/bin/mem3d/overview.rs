//! `mem3d overview`: a picture of a segmentation.

pub mod canvas;
mod picture;
mod plane;

use crate::common::{output, values};
use mem3d::io::segmentation::Choice;
use mem3d::volume::{SliceAxis, Volume};
use mem3d::{Error, Result};
use std::path::{Path, PathBuf};

/// Draws slices with contours and the quality of every slice into a PNG.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Volume that was segmented (NIfTI or NRRD).
    volume: PathBuf,
    /// Its segmentation, on the same grid or a part of it.
    mask: PathBuf,
    /// Segmentation to compare with, on the same grid or a part of it.
    #[arg(long, value_name = "FILE")]
    reference: Option<PathBuf>,
    /// JSON with `quality` (one number a slice), `annotated` and `suggested` (slice numbers), `axis` (0, 1 or 2).
    #[arg(long, value_name = "FILE")]
    quality: Option<PathBuf>,
    /// Picture to write.
    #[arg(long, value_name = "PNG")]
    out: PathBuf,
    /// The segment in MASK: its label, or its name in a .seg.nrrd.
    #[arg(long, default_value_t = Choice::Number(1))]
    segment: Choice,
    /// The segment in the reference: its label, or its name in a .seg.nrrd.
    #[arg(long, default_value_t = Choice::Number(1))]
    reference_segment: Choice,
    /// Axis the shown slices are cut along: 0 depth, 1 height, 2 width [default: that of the quality file, or 0].
    #[arg(long, value_parser = values::parse_axis, allow_negative_numbers = true)]
    axis: Option<i64>,
    /// Intensities shown black and white, e.g. -160,240 [default: percentiles 1 and 99 of the volume].
    #[arg(long, value_name = "LOW,HIGH", value_parser = values::parse_window, allow_hyphen_values = true)]
    window: Option<(f64, f64)>,
    /// Most slices to show.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=100))]
    slices: u64,
    /// Heading of the picture [default: name of the volume].
    #[arg(long)]
    title: Option<String>,
}

/// Qualities and slices of a session.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(default)]
struct Qualities {
    axis: Option<i64>,
    quality: Vec<f32>,
    annotated: Vec<usize>,
    suggested: Vec<usize>,
    /// The same for each segment; the shown one is used.
    segments: Vec<OfSegment>,
}

#[derive(Debug, serde::Deserialize)]
struct OfSegment {
    number: u32,
    #[serde(flatten)]
    qualities: Qualities,
}

/// Runs the subcommand; prints the picture's path.
pub fn run(args: &Args) -> Result<()> {
    let inputs: Vec<&Path> = [&args.volume, &args.mask]
        .into_iter()
        .chain(&args.reference)
        .chain(&args.quality)
        .map(PathBuf::as_path)
        .collect();
    output::check_as(output::Kind::Picture, &args.out, true, &inputs)?;
    let volume = mem3d::io::read_volume(&args.volume)?;
    let (number, mask) = read_segment(&args.mask, &args.segment, &volume)?;
    let read_reference = |path: &PathBuf| read_segment(path, &args.reference_segment, &volume).map(|(_, mask)| mask);
    let reference = args.reference.as_ref().map(read_reference).transpose()?;
    let qualities = args.quality.as_ref().map(|path| read_qualities(path, number)).transpose()?.unwrap_or_default();
    if let (Some(wanted), Some(known), Some(path)) = (args.axis, qualities.axis, &args.quality)
        && wanted != known
    {
        return Err(Error::bad_file(path, format!("its qualities are along axis {known}; remove --axis {wanted}")));
    }
    let axis = SliceAxis::from_index(args.axis.or(qualities.axis).unwrap_or(0))?;
    check(&qualities, volume.slice_count(axis), axis)?;
    let title = args.title.clone().unwrap_or_else(|| {
        args.volume.file_name().map_or_else(|| "volume".into(), |name| name.to_string_lossy().into_owned())
    });
    let content = picture::Content {
        title,
        view: plane::View::new(volume.shape(), volume.geometry(), axis),
        volume: &volume,
        mask: &mask,
        reference: reference.as_deref(),
        quality: &qualities.quality,
        annotated: &qualities.annotated,
        suggested: &qualities.suggested,
        window: args.window.unwrap_or_else(|| percentiles(&volume)),
        tiles: args.slices as usize,
    };
    picture::draw(&content)?.write(&args.out)?;
    output::written([&args.out]);
    Ok(())
}

/// Number and voxels of the chosen segment of the segmentation at `path`.
fn read_segment(path: &Path, choice: &Choice, volume: &Volume) -> Result<(Option<u32>, Vec<bool>)> {
    let segmentation = mem3d::io::read_segmentation_on(path, volume)?;
    if segmentation.segments().is_empty() {
        log::warn!("{}: nothing is segmented in it", path.display());
        return Ok((None, vec![false; volume.data().len()]));
    }
    let at = segmentation
        .find(choice)
        .map_err(|e| Error::bad_file(path, format!("{e}; name one with --segment or --reference-segment")))?;
    let mask = (0..volume.data().len()).map(|v| segmentation.has(at, v)).collect();
    Ok((Some(segmentation.segments()[at].number), mask))
}

fn read_qualities(path: &Path, segment: Option<u32>) -> Result<Qualities> {
    let text = mem3d::io::read_text(path)?;
    let mut all: Qualities = serde_json::from_str(&text).map_err(|e| {
        Error::bad_file(path, format!("{e}; expected an object with the lists quality, annotated and suggested"))
    })?;
    match all.segments.iter().position(|s| Some(s.number) == segment) {
        Some(at) => Ok(all.segments.swap_remove(at).qualities),
        None if segment.is_none() || all.segments.is_empty() => Ok(all),
        None => {
            let known: Vec<String> = all.segments.iter().map(|s| s.number.to_string()).collect();
            Err(Error::bad_file(
                path,
                format!(
                    "it has no qualities of this segment, only of number {}; choose one of these",
                    known.join(", ")
                ),
            ))
        }
    }
}

fn check(qualities: &Qualities, n: usize, axis: SliceAxis) -> Result<()> {
    if !qualities.quality.is_empty() && qualities.quality.len() != n {
        return Err(Error::argument(format!(
            "the quality file has {} slices, the volume {n} along axis {}; give the file of this volume, or --axis",
            qualities.quality.len(),
            axis.index()
        )));
    }
    match qualities.annotated.iter().chain(&qualities.suggested).find(|k| **k >= n) {
        Some(k) => Err(Error::argument(format!("the quality file names slice {k}, the volume has 0 to {}", n - 1))),
        None => Ok(()),
    }
}

/// The 1st and 99th percentile of the finite voxels (of a sample, in a large volume).
fn percentiles(volume: &Volume) -> (f64, f64) {
    let data = volume.data();
    let step = (data.len() / 1_000_000).max(1);
    let mut values: Vec<f64> = (0..data.len()).step_by(step).map(|i| data.get(i)).filter(|v| v.is_finite()).collect();
    if values.is_empty() {
        return (0.0, 1.0);
    }
    values.sort_by(f64::total_cmp);
    let at = |p: usize| values[(values.len() - 1) * p / 100];
    if at(99) > at(1) { (at(1), at(99)) } else { (at(1), at(1) + 1.0) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mem3d::volume::{Geometry, VoxelData};

    #[test]
    fn qualities_of_another_volume_are_refused() {
        let q = |text: &str| serde_json::from_str::<Qualities>(text).unwrap();
        let axis = SliceAxis::Depth;
        assert!(check(&q(r#"{"quality": [0.5, 1.0], "rounds": []}"#), 2, axis).is_ok());
        assert!(check(&q(r#"{"quality": [0.5, 1.0]}"#), 3, axis).is_err());
        assert!(check(&q(r#"{"annotated": [2]}"#), 2, axis).is_err());
        assert!(check(&q("{}"), 2, axis).is_ok());
    }

    #[test]
    fn qualities_are_of_the_chosen_segment() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("q.json");
        let file = r#"{"quality": [0.5], "segments": [{"number": 3, "quality": [0.5]}]}"#;
        std::fs::write(&path, file).unwrap();
        assert_eq!(read_qualities(&path, Some(3)).unwrap().quality, [0.5]);
        assert_eq!(read_qualities(&path, None).unwrap().quality, [0.5]);
        let refused = read_qualities(&path, Some(2)).unwrap_err().to_string();
        assert!(refused.contains("only of number 3"), "{refused}");
        std::fs::write(&path, r#"{"quality": [0.25]}"#).unwrap();
        assert_eq!(read_qualities(&path, Some(2)).unwrap().quality, [0.25]);
    }

    #[test]
    fn a_constant_volume_can_be_shown() {
        let v = Volume::new([1, 2, 2], VoxelData::I16(vec![7; 4]), Geometry::default()).unwrap();
        assert_eq!(percentiles(&v), (7.0, 8.0));
        let v = Volume::new([1, 1, 101], VoxelData::U8((0..101).collect()), Geometry::default()).unwrap();
        assert_eq!(percentiles(&v), (1.0, 99.0));
    }
}
