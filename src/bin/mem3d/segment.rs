//! `mem3d segment`: segments one volume by recorded interactions.

use crate::common::case::{self, Case, Summary};
use crate::common::output::{Kind, say};
use crate::common::{console, model, output};
use mem3d::{Error, Result, io};
use std::path::{Path, PathBuf};

/// Segments a volume from recorded interactions, over one round or several.
///
/// Prints, per segment, its slices, volume and mean quality, and which slice to correct next.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Volume: NIfTI, NRRD, or the folder of a DICOM series.
    volume: PathBuf,
    /// Interactions: files of mem3d (.json, see docs/interactions.md) and markups of 3D Slicer (.mrk.json).
    #[arg(required_unless_present = "resume")]
    interactions: Vec<PathBuf>,
    /// Segmentation to write: .seg.nrrd (with names and colours), .nii.gz, .nii or .nrrd; - for a .seg.nrrd on standard
    /// output. May be given several times.
    #[arg(long, short, value_name = "FILE", required = true)]
    out: Vec<PathBuf>,
    /// JSON to write with the quality of every slice, which `mem3d overview --quality` takes.
    #[arg(long, value_name = "FILE")]
    quality: Option<PathBuf>,
    /// File to save the session to, for --resume.
    #[arg(long, value_name = "FILE")]
    save_session: Option<PathBuf>,
    /// Continue a session saved with this volume and model; the interactions are further rounds.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["window", "whole_slice"])]
    #[arg(conflicts_with_all = ["replace_non_finite", "stop_after_empty", "memorize_every"])]
    resume: Option<PathBuf>,
    /// Replace files that exist. Inputs are never replaced.
    #[arg(long, short)]
    force: bool,
    #[command(flatten)]
    case: case::Args,
    #[command(flatten)]
    model: model::Args,
}

/// Runs the subcommand.
///
/// # Errors
/// As reading and writing the files, the model and the session; [`Error::Cancelled`] on Ctrl-C.
pub fn run(args: &Args) -> Result<()> {
    check_files(args)?;
    console::stop_cleanly();
    let model = args.model.load()?;
    console::check_interrupt()?;
    let (mut case, rounds) = Case::open(&args.volume, &args.interactions, args.resume.as_deref(), &model, &args.case)?;
    case.play("segmenting", &rounds)?;
    log::info!("{} in {:.1} s", console::counted(case.rounds, "round"), case.seconds);
    let mut summaries = case.summaries()?;
    case.as_written(&mut summaries, &args.out)?;
    for path in &args.out {
        case.write(path)?;
    }
    if let Some(path) = &args.quality {
        case::write_quality(path, &summaries)?;
    }
    if let Some(path) = &args.save_session {
        output::deliver(path, ".m3s", |path| io::session_file::write(path, &case.session.save()))?;
    }
    summaries.iter().for_each(|s| say!("{}", line(s)));
    output::written(args.out.iter().chain(&args.quality).chain(&args.save_session));
    Ok(())
}

/// Checks every file to be written before the long work.
fn check_files(args: &Args) -> Result<()> {
    let mut inputs: Vec<&Path> =
        std::iter::once(&args.volume).chain(&args.interactions).chain(&args.resume).map(PathBuf::as_path).collect();
    if let Some(missing) = inputs.iter().find(|p| !p.exists()) {
        return Err(Error::io(missing, std::io::ErrorKind::NotFound.into()));
    }
    // Files that are not named here, but read.
    let more: Vec<PathBuf> =
        args.interactions.iter().flat_map(|p| case::named_files(p)).chain(args.model.file()).collect();
    inputs.extend(more.iter().map(PathBuf::as_path));
    for path in &args.out {
        case::check_segmentation(path, args.force, &inputs)?;
    }
    // A session may replace the one that it continues.
    let others: Vec<&Path> = inputs.iter().copied().filter(|p| Some(*p) != args.resume.as_deref()).collect();
    if let Some(path) = &args.quality {
        output::check_as(Kind::Json, path, args.force, &inputs)?;
    }
    if let Some(path) = &args.save_session {
        let resumed = args.resume.as_ref() == Some(path);
        output::check_as(Kind::Session, path, args.force || resumed, &others)?;
    }
    output::distinct(args.out.iter().chain(&args.quality).chain(&args.save_session))
}

/// The printed line of a segment.
fn line(s: &Summary) -> String {
    let found = match s.mean_quality {
        None => "nothing was segmented".to_string(),
        Some(quality) => {
            let slices = console::counted(s.slices, "slice");
            format!("{slices} along axis {}, {:.2} ml, mean quality {quality:.3}", s.axis, s.volume_ml)
        }
    };
    let next = match s.suggested[..] {
        [slice] => format!("; correct slice {slice} next (quality {:.3})", s.quality[slice]),
        _ => "; no slice left to correct".to_string(),
    };
    format!("segment {} \"{}\": {found}{next}", s.number, s.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_describes_a_segment() {
        let mut s = Summary {
            number: 2,
            name: "liver".into(),
            axis: 0,
            slices: 3,
            volume_ml: 1.234,
            mean_quality: Some(0.5),
            quality: vec![0.25, 1.0],
            annotated: vec![1],
            suggested: vec![0],
        };
        let expected = "segment 2 \"liver\": 3 slices along axis 0, 1.23 ml, mean quality 0.500; \
                        correct slice 0 next (quality 0.250)";
        assert_eq!(line(&s), expected);
        s.slices = 1;
        assert!(line(&s).contains(": 1 slice along axis 0, "));
        (s.mean_quality, s.suggested) = (None, vec![]);
        assert_eq!(line(&s), "segment 2 \"liver\": nothing was segmented; no slice left to correct");
    }
}
