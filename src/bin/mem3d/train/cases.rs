//! Synthetic volumes as cases, for other programs that train on files.

use crate::common::output::say;
use mem3d::io::{label_volume, write_volume};
use mem3d::train::TrainOptions;
use mem3d::train::data::synthetic_case::synthetic_case;
use mem3d::volume::{Geometry, Volume, VoxelData};
use mem3d::{Error, Result};
use std::path::Path;

/// Names of the files of a case.
const FILES: [&str; 2] = ["image.nii.gz", "label.nii.gz"];

/// Writes `count` synthetic volumes, each as `FOLDER/synthetic_SEED_NUMBER/image.nii.gz` (grey values 0 to 1000) with
/// `label.nii.gz`. `replace`: also where these exist.
///
/// # Errors
/// [`Error::InvalidArgument`] when one exists, before any is written; [`Error::Io`] when a file cannot be written.
pub fn write(folder: &Path, options: &TrainOptions, count: usize, replace: bool) -> Result<()> {
    let place = |index: u64| folder.join(format!("synthetic_{}_{index:04}", options.seed));
    let mut files = (0..count as u64).flat_map(|index| FILES.map(|name| place(index).join(name)));
    if let Some(file) = files.find(|file| !replace && file.exists()) {
        return Err(Error::argument(format!(
            "{} exists; name another folder, or use --force to replace it",
            file.display()
        )));
    }
    for index in 0..count as u64 {
        let case = synthetic_case(options.seed, index, options.side);
        let place = place(index);
        std::fs::create_dir_all(&place).map_err(|e| Error::io(&place, e))?;
        let geometry = Geometry::default();
        let grey = case.image.iter().map(|v| (v * 1000.0).round() as u16).collect();
        let image = Volume::new(case.shape, VoxelData::U16(grey), geometry.clone())?;
        write_volume(&place.join(FILES[0]), &image)?;
        write_volume(&place.join(FILES[1]), &label_volume(case.shape, &geometry, case.labels)?)?;
    }
    say!("{}", folder.display());
    Ok(())
}
