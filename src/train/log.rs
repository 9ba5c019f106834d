//! The log of a training: one CSV line at intervals, appended, so that a resumed training continues it.

use super::stage::Stage;
use crate::atomic_file;
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// One line: means since the line before.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// Stage.
    pub stage: Stage,
    /// Steps of the stage.
    pub step: u64,
    /// Seconds of the stage.
    pub seconds: f64,
    /// Loss.
    pub loss: f64,
    /// Norm of the gradient before clipping.
    pub gradient: f64,
    /// Learning rate.
    pub rate: f64,
    /// Steps a second.
    pub steps_per_second: f64,
    /// Share of the time spent waiting for clips.
    pub waiting: f64,
    /// Score in training: Dice of the last prediction (interaction), mean absolute error (quality).
    pub score: Option<f64>,
    /// Dice on held-out synthetic clips.
    pub synthetic_dice: Option<f64>,
    /// Share of held-out synthetic slices without target that have a mask.
    pub synthetic_false: Option<f64>,
    /// Dice on held-out real clips.
    pub real_dice: Option<f64>,
    /// Share of held-out real slices without target that have a mask.
    pub real_false: Option<f64>,
}

/// The file.
#[derive(Debug)]
pub struct Log {
    path: PathBuf,
}

impl Log {
    /// The log at `path`; lines of `stage` beyond `step` are dropped: they are newer than the checkpoint.
    ///
    /// # Errors
    /// [`Error::Io`] or [`Error::BadFile`] when the file cannot be read or written.
    pub fn open(path: &Path, keep: impl Fn(&Line) -> bool) -> Result<Log> {
        let log = Log { path: path.to_path_buf() };
        if path.exists() {
            let lines = Log::read(path)?;
            let mut kept = Vec::new();
            log.write(&mut kept, lines.iter().filter(|l| keep(l)), true)?;
            atomic_file::write(path, |file| file.write_all(&kept))?;
        }
        Ok(log)
    }

    /// Every line.
    ///
    /// # Errors
    /// [`Error::Io`] or [`Error::BadFile`] when the file cannot be read.
    pub fn read(path: &Path) -> Result<Vec<Line>> {
        let file = std::fs::File::open(path).map_err(|e| Error::io(path, e))?;
        let mut reader = csv::Reader::from_reader(file);
        // A last line that is cut off is left out.
        Ok(reader.deserialize().filter_map(std::result::Result::ok).collect())
    }

    /// Appends a line.
    ///
    /// # Errors
    /// [`Error::Io`] when the file cannot be written.
    pub fn append(&self, line: &Line) -> Result<()> {
        let is_new = !self.path.exists();
        let file = std::fs::OpenOptions::new().create(true).append(true).open(&self.path);
        self.write(file.map_err(|e| Error::io(&self.path, e))?, std::iter::once(line), is_new)
    }

    fn write<'a>(&self, file: impl std::io::Write, lines: impl Iterator<Item = &'a Line>, header: bool) -> Result<()> {
        let mut writer = csv::WriterBuilder::new().has_headers(header).from_writer(file);
        for line in lines {
            writer.serialize(line).map_err(|e| Error::bad_file(&self.path, e.to_string()))?;
        }
        writer.flush().map_err(|e| Error::io(&self.path, e))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(step: u64) -> Line {
        Line {
            stage: Stage::Memory,
            step,
            seconds: 1.5,
            loss: 0.25,
            gradient: 1.0,
            rate: 1e-4,
            steps_per_second: 2.0,
            waiting: 0.0,
            score: None,
            synthetic_dice: Some(0.5),
            synthetic_false: None,
            real_dice: None,
            real_false: None,
        }
    }

    #[test]
    fn lines_are_appended_and_those_after_the_checkpoint_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.csv");
        let log = Log::open(&path, |_| true).unwrap();
        (1..=3).for_each(|step| log.append(&line(step)).unwrap());
        assert_eq!(Log::read(&path).unwrap(), [line(1), line(2), line(3)]);
        let log = Log::open(&path, |l| l.step <= 2).unwrap();
        log.append(&line(9)).unwrap();
        assert_eq!(Log::read(&path).unwrap(), [line(1), line(2), line(9)]);
    }
}
