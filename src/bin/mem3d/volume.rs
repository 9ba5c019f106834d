//! `mem3d volume`: a volume or segmentation in another file format.

use crate::common::{console, output};
use mem3d::io::{self, Format, segmentation::Segmentation};
use mem3d::{Error, Result};
use std::path::{Path, PathBuf};

/// Converts a volume or label volume between NIfTI, NRRD and Slicer's segmentation, by the names of the files.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// File to read: .nii, .nii.gz, .nrrd, .nhdr, .seg.nrrd, or the folder of a DICOM series.
    input: PathBuf,
    /// File to write: .nii, .nii.gz, .nrrd or .seg.nrrd (with the segments of a .seg.nrrd, else one a label); - for a
    /// .nrrd on standard output. An existing one is replaced.
    output: PathBuf,
}

/// Runs the subcommand; prints the path of the written file.
pub fn run(args: &Args) -> Result<()> {
    output::check(&args.output, true, &[&args.input])?;
    let what = format!("reading {}", args.input.display());
    let writing = format!("writing {}", args.output.display());
    if Format::of_name(&args.input) == Some(Format::SegNrrd) || io::nrrd::names_segments(&args.input) {
        let segmentation = console::busy(what, || io::read_segmentation(&args.input))?;
        console::busy(writing, || {
            output::deliver(&args.output, ".nrrd", |path| write_segmentation(args, path, &segmentation))
        })?;
    } else {
        let volume = console::busy(what, || io::read_volume(&args.input))?;
        let [depth, height, width] = volume.shape();
        log::info!(
            "{}: {width} x {height} x {depth} voxels of type {}, {} mm (depth, height, width)",
            args.input.display(),
            volume.data().type_name(),
            volume.geometry().spacing_mm.map(|s| format!("{s:.4}")).join(" x ")
        );
        console::busy(writing, || output::deliver(&args.output, ".nrrd", |path| io::write_volume(path, &volume)))?;
    }
    output::written([&args.output]);
    Ok(())
}

/// Writes a segmentation with all that the format holds, and warns of what it does not.
fn write_segmentation(args: &Args, path: &Path, segmentation: &Segmentation) -> Result<()> {
    if Format::of_name(path) == Some(Format::SegNrrd) {
        return io::seg_nrrd::write_segmentation(path, segmentation);
    }
    let labels = segmentation.labels().map_err(|e| Error::bad_file(&args.input, e.to_string()))?;
    io::write_volume(path, &labels)?;
    let names: Vec<String> = segmentation.segments().iter().map(|s| format!("{} \"{}\"", s.number, s.name)).collect();
    log::warn!(
        "{}: names and colours do not fit into this format; its labels are {}",
        args.output.display(),
        names.join(", ")
    );
    Ok(())
}
