//! `mem3d volume`: a volume or segmentation in another file format.

use crate::common::{console, output};
use mem3d::{Result, io};
use std::path::PathBuf;

/// Converts a volume or label volume between NIfTI, NRRD and Slicer's segmentation, by the names of the files.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// File to read: .nii, .nii.gz, .nrrd, .nhdr, .seg.nrrd, or the folder of a DICOM series.
    input: PathBuf,
    /// File to write: .nii, .nii.gz, .nrrd or .seg.nrrd (one segment a label); - for a .nrrd on standard output. An
    /// existing one is replaced.
    output: PathBuf,
}

/// Runs the subcommand; prints the path of the written file.
pub fn run(args: &Args) -> Result<()> {
    output::check(&args.output, true, &[&args.input])?;
    let volume = console::busy(format!("reading {}", args.input.display()), || io::read_volume(&args.input))?;
    let [depth, height, width] = volume.shape();
    log::info!(
        "{}: {width} x {height} x {depth} voxels of type {}, {} mm (depth, height, width)",
        args.input.display(),
        volume.data().type_name(),
        volume.geometry().spacing_mm.map(|s| format!("{s:.4}")).join(" x ")
    );
    console::busy(format!("writing {}", args.output.display()), || {
        output::deliver(&args.output, ".nrrd", |path| io::write_volume(path, &volume))
    })?;
    output::written([&args.output]);
    Ok(())
}
