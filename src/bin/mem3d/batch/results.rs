//! The results of a batch: a CSV that is whole after every case, and kept when the batch is started again.

use super::list::Entry;
use crate::common::output;
use mem3d::{Error, Result};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// State of a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Segmented and written.
    Done,
    /// Its output exists, without an earlier result.
    Skipped,
    /// Failed; the row has the error.
    Failed,
}

impl Status {
    /// Name in the CSV.
    pub fn word(self) -> &'static str {
        match self {
            Status::Done => "done",
            Status::Skipped => "skipped",
            Status::Failed => "failed",
        }
    }
}

/// One case.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// Its volume.
    pub volume: PathBuf,
    /// Its output.
    pub output: PathBuf,
    /// State.
    pub status: Status,
    /// Seconds it took, with reading and writing.
    pub seconds: Option<f64>,
    /// Rounds done.
    pub rounds: Option<usize>,
    /// Volume of all segments, ml.
    pub volume_ml: Option<f64>,
    /// Mean of the segments' mean qualities.
    pub mean_quality: Option<f64>,
    /// Why it failed.
    pub error: String,
}

impl Row {
    /// A row with no figures.
    pub fn new(entry: &Entry, status: Status) -> Row {
        Row {
            volume: entry.volume.clone(),
            output: entry.output.clone(),
            status,
            seconds: None,
            rounds: None,
            volume_ml: None,
            mean_quality: None,
            error: String::new(),
        }
    }
}

/// All rows.
#[derive(Debug, Default)]
pub struct Results(Vec<Row>);

impl Results {
    /// The results of an earlier run; empty when none can be read.
    pub fn read(path: &Path) -> Results {
        let rows = csv::Reader::from_path(path).map(|mut r| r.deserialize().filter_map(|row| row.ok()).collect());
        Results(rows.unwrap_or_default())
    }

    /// Replaces the earlier row of the case.
    pub fn set(&mut self, row: Row) {
        match self.0.iter_mut().find(|r| r.output == row.output) {
            Some(earlier) => *earlier = row,
            None => self.0.push(row),
        }
    }

    /// For an existing output: keeps the row of the run that made it.
    pub fn keep_or_skip(&mut self, entry: &Entry) {
        if !self.0.iter().any(|r| r.output == entry.output && r.status != Status::Failed) {
            self.set(Row::new(entry, Status::Skipped));
        }
    }

    /// Writes the CSV, whole or not at all.
    ///
    /// # Errors
    /// [`Error::Io`] when it cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        let internal = |e: String| Error::Internal(format!("results of the batch: {e}"));
        let mut writer = csv::Writer::from_writer(Vec::new());
        for row in &self.0 {
            writer.serialize(row).map_err(|e| internal(e.to_string()))?;
        }
        let bytes = writer.into_inner().map_err(|e| internal(e.to_string()))?;
        output::write_text(path, &String::from_utf8_lossy(&bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_kept_from_run_to_run() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("r.csv");
        let entry =
            |name: &str| Entry { volume: format!("{name}.nii").into(), interactions: vec![], output: name.into() };
        let mut first = Results::read(&path);
        first.set(Row { seconds: Some(1.5), rounds: Some(2), ..Row::new(&entry("a"), Status::Done) });
        first.set(Row { error: "no, \"really\"".into(), ..Row::new(&entry("b"), Status::Failed) });
        first.write(&path).unwrap();
        let mut second = Results::read(&path);
        assert_eq!(second.0, first.0);
        // a stays as it was made, b was made elsewhere, c is new.
        ["a", "b", "c"].iter().for_each(|name| second.keep_or_skip(&entry(name)));
        let seen: Vec<_> = second.0.iter().map(|r| (r.status, r.seconds)).collect();
        assert_eq!(seen, [(Status::Done, Some(1.5)), (Status::Skipped, None), (Status::Skipped, None)]);
        assert!(std::fs::read_to_string(&path).unwrap().starts_with("volume,output,status,seconds,rounds,"));
    }
}
