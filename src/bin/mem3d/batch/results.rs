//! The results of a batch: a CSV that is whole after every case, and kept when the batch is started again.

use super::claim::Claim;
use super::list::Entry;
use super::origin::Origin;
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

/// One case. Columns are only added at the end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// Its volume, as the list names it.
    pub volume: String,
    /// Its output, as the list names it: the key of the row.
    pub output: String,
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
    /// SHA-256 of the output.
    #[serde(default)]
    pub output_sha256: String,
    /// What made the output, as the fields of [`Origin`].
    #[serde(default)]
    pub volume_sha256: String,
    /// See above.
    #[serde(default)]
    pub prompts_sha256: String,
    /// See above.
    #[serde(default)]
    pub model_sha256: String,
    /// See above.
    #[serde(default)]
    pub options: String,
}

impl Row {
    /// A row with no figures.
    pub fn new(entry: &Entry, status: Status) -> Row {
        Row {
            volume: entry.volume_name.clone(),
            output: entry.key.clone(),
            status,
            seconds: None,
            rounds: None,
            volume_ml: None,
            mean_quality: None,
            error: String::new(),
            output_sha256: String::new(),
            volume_sha256: String::new(),
            prompts_sha256: String::new(),
            model_sha256: String::new(),
            options: String::new(),
        }
    }

    /// What is not as it was for this result.
    pub fn changed(&self, origin: &Origin) -> Option<&'static str> {
        if origin.volume != self.volume_sha256 {
            Some("volume")
        } else if origin.prompts != self.prompts_sha256 {
            Some("prompts")
        } else if origin.model.as_ref().is_some_and(|model| *model != self.model_sha256) {
            Some("model")
        } else {
            (origin.options != self.options).then_some("options")
        }
    }

    /// A row without figures for what `origin` makes.
    pub fn made(entry: &Entry, status: Status, origin: &Origin) -> Row {
        let Origin { volume, prompts, model, options } = origin.clone();
        Row {
            volume_sha256: volume,
            prompts_sha256: prompts,
            model_sha256: model.unwrap_or_default(),
            options,
            ..Row::new(entry, status)
        }
    }
}

/// The rows of all batches with one results file; other processes add theirs meanwhile.
#[derive(Debug)]
pub struct Results {
    path: PathBuf,
    /// For standard output, which gets them at the end.
    rows: Vec<Row>,
}

impl Results {
    /// The results in `path`; those of earlier runs are kept.
    pub fn new(path: &Path) -> Results {
        Results { path: path.to_path_buf(), rows: Vec::new() }
    }

    /// The row of a case, if there is one.
    pub fn row(&self, entry: &Entry) -> Option<Row> {
        self.read().into_iter().find(|row| row.output == entry.key)
    }

    fn read(&self) -> Vec<Row> {
        if output::is_stdout(&self.path) {
            return self.rows.clone();
        }
        let rows = csv::Reader::from_path(&self.path).map(|mut r| r.deserialize().filter_map(|row| row.ok()).collect());
        rows.unwrap_or_default()
    }

    /// Replaces the row of the case, or adds it, and writes the file, whole or not at all. Rows that other processes
    /// wrote meanwhile stay.
    ///
    /// # Errors
    /// [`Error::Io`] when it cannot be written.
    pub fn put(&mut self, row: Row) -> Result<()> {
        let to_file = !output::is_stdout(&self.path);
        let _alone = to_file.then(|| Claim::wait(&self.path)).transpose()?;
        let mut rows = self.read();
        match rows.iter_mut().find(|r| r.output == row.output) {
            Some(earlier) => *earlier = row,
            None => rows.push(row),
        }
        if to_file {
            return write(&self.path, &rows);
        }
        self.rows = rows;
        Ok(())
    }

    /// Writes what goes to standard output.
    ///
    /// # Errors
    /// [`Error::Io`] when it takes no more.
    pub fn finish(&self) -> Result<()> {
        if output::is_stdout(&self.path) { write(&self.path, &self.rows) } else { Ok(()) }
    }
}

fn write(path: &Path, rows: &[Row]) -> Result<()> {
    let internal = |e: String| Error::Internal(format!("results of the batch: {e}"));
    let mut writer = csv::Writer::from_writer(Vec::new());
    for row in rows {
        writer.serialize(row).map_err(|e| internal(e.to_string()))?;
    }
    let bytes = writer.into_inner().map_err(|e| internal(e.to_string()))?;
    output::write_bytes(path, &bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_earlier_runs_and_of_other_processes_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("r.csv");
        let entry = |name: &str| Entry {
            key: name.into(),
            volume_name: format!("{name}.nii"),
            volume: format!("/x/{name}.nii").into(),
            interactions: vec![],
            output: name.into(),
        };
        let (mut first, mut second) = (Results::new(&path), Results::new(&path));
        let a = Row { seconds: Some(1.5), rounds: Some(2), ..Row::new(&entry("a"), Status::Done) };
        let b = Row { error: "no, \"really\"".into(), ..Row::new(&entry("b"), Status::Failed) };
        first.put(a.clone()).unwrap();
        second.put(b.clone()).unwrap();
        assert_eq!(first.read(), [a.clone(), b]);
        let again = Row::new(&entry("b"), Status::Skipped);
        first.put(again.clone()).unwrap();
        assert_eq!(second.read(), [a.clone(), again]);
        assert_eq!((second.row(&entry("a")), second.row(&entry("c"))), (Some(a), None));
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("volume,output,status,seconds,rounds,volume_ml,mean_quality,error,output_sha256,"));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        // A file without the newer columns.
        std::fs::write(&path, "volume,output,status,seconds,rounds,volume_ml,mean_quality,error\na,b,done,1,1,1,1,\n")
            .unwrap();
        assert_eq!(second.read()[0].output_sha256, "");
    }
}
