//! The results of a batch: a CSV that is whole after every case, and kept when the batch is started again. The tables
//! of shards lie beside it.

use super::claim::Claim;
use super::list::Entry;
use super::origin::Origin;
use super::shard;
use crate::common::output;
use mem3d::{Error, Result};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
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
    /// Largest memory of the process meanwhile, MB; none where the system does not give it.
    #[serde(default)]
    pub peak_memory_mb: Option<f64>,
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
            peak_memory_mb: None,
        }
    }

    /// The row of a case that failed; an output that an earlier run made stays known as a batch's.
    pub fn failed(entry: &Entry, error: String, before: &[Row]) -> Row {
        let output_sha256 = before.iter().map(|row| row.output_sha256.clone()).find(|sum| !sum.is_empty());
        Row { error, output_sha256: output_sha256.unwrap_or_default(), ..Row::new(entry, Status::Failed) }
    }

    /// What is not as it was for this result.
    pub fn changed(&self, origin: &Origin) -> Option<&'static str> {
        if origin.volume.as_ref().is_some_and(|volume| *volume != self.volume_sha256) {
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
            volume_sha256: volume.unwrap_or_default(),
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
    /// The table of all cases.
    all: PathBuf,
    /// For standard output, which gets them at the end.
    rows: Vec<Row>,
    /// Rows in tables beside it, by case: of shards, or of the batch whose shard this is.
    beside: HashMap<String, Vec<Row>>,
}

impl Results {
    /// The results in `path`; those of earlier runs are kept. `all`: the table of all cases, `path` itself without
    /// shards.
    ///
    /// # Errors
    /// [`Error::BadFile`] when one of these files is no table of results, [`Error::Io`] when it cannot be read.
    pub fn open(path: &Path, all: &Path) -> Result<Results> {
        let (path, all) = (path.to_path_buf(), all.to_path_buf());
        let mut results = Results { path, all, rows: Vec::new(), beside: HashMap::new() };
        results.rows()?;
        results.read_beside()?;
        Ok(results)
    }

    /// Whether they go to standard output.
    pub fn is_stdout(&self) -> bool {
        output::is_stdout(&self.path)
    }

    /// Reads the tables beside as they are now.
    ///
    /// # Errors
    /// As [`Results::open`].
    pub fn read_beside(&mut self) -> Result<()> {
        self.beside.clear();
        if output::is_stdout(&self.path) {
            return Ok(());
        }
        let tables = shard::tables(&self.all).into_iter().map(|(_, table)| table);
        for table in std::iter::once(self.all.clone()).chain(tables).filter(|table| *table != self.path) {
            for row in read(&table)? {
                self.beside.entry(row.output.clone()).or_default().push(row);
            }
        }
        Ok(())
    }

    /// The rows of a case: its own first, then those of the tables beside.
    ///
    /// # Errors
    /// As [`Results::open`].
    pub fn of(&self, entry: &Entry) -> Result<Vec<Row>> {
        Ok(self.own(entry)?.into_iter().chain(self.beside.get(&entry.key).into_iter().flatten().cloned()).collect())
    }

    /// The row of a case, without those of the tables beside.
    ///
    /// # Errors
    /// As [`Results::open`].
    pub fn own(&self, entry: &Entry) -> Result<Option<Row>> {
        Ok(self.rows()?.into_iter().find(|row| row.output == entry.key))
    }

    /// All rows, without those of tables beside.
    ///
    /// # Errors
    /// As [`Results::open`].
    pub fn rows(&self) -> Result<Vec<Row>> {
        if output::is_stdout(&self.path) { Ok(self.rows.clone()) } else { read(&self.path) }
    }

    /// Replaces the row of the case, or adds it, and writes the file, whole or not at all. Rows that other processes
    /// wrote meanwhile stay.
    ///
    /// # Errors
    /// [`Error::Io`] when it cannot be written, else as [`Results::open`].
    pub fn put(&mut self, row: Row) -> Result<()> {
        let to_file = !output::is_stdout(&self.path);
        let _alone = to_file.then(|| Claim::wait(&self.path)).transpose()?;
        let mut rows = self.rows()?;
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

    /// Writes what goes to standard output, and a table without rows where there is none.
    ///
    /// # Errors
    /// [`Error::Io`] when it cannot be written.
    pub fn finish(&self) -> Result<()> {
        match output::is_stdout(&self.path) || !self.path.exists() {
            true => write(&self.path, &self.rows),
            false => Ok(()),
        }
    }

    /// Writes `rows`, and those of other cases that are there already.
    ///
    /// # Errors
    /// [`Error::Io`] when it cannot be written, else as [`Results::open`].
    pub fn replace(&self, mut rows: Vec<Row>) -> Result<()> {
        let _alone = Claim::wait(&self.path)?;
        let keys: std::collections::HashSet<String> = rows.iter().map(|row| row.output.clone()).collect();
        rows.extend(self.rows()?.into_iter().filter(|row| !keys.contains(&row.output)));
        write(&self.path, &rows)
    }
}

/// The rows in a file; none without one.
fn read(path: &Path) -> Result<Vec<Row>> {
    let bad = |e: csv::Error| {
        Error::bad_file(path, format!("this is no table of results ({e}); name another file with --results"))
    };
    let file = match std::fs::File::open(path) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        file => file.map_err(|e| Error::io(path, e))?,
    };
    let mut reader = csv::Reader::from_reader(file);
    // A file of one line has no rows, whatever it is.
    let columns = reader.headers().map_err(bad)?;
    if !columns.is_empty() && columns.iter().take(3).ne(["volume", "output", "status"]) {
        return Err(Error::bad_file(path, "this is no table of results; name another file with --results"));
    }
    reader.deserialize().collect::<std::result::Result<_, _>>().map_err(bad)
}

/// The table with these rows.
fn table(rows: &[Row]) -> std::result::Result<Vec<u8>, csv::Error> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    rows.iter().try_for_each(|row| writer.serialize(row))?;
    writer.into_inner().map_err(|e| e.into_error().into())
}

fn write(path: &Path, rows: &[Row]) -> Result<()> {
    let internal = |e: csv::Error| Error::Internal(format!("results of the batch: {e}"));
    if rows.is_empty() {
        // The names of the columns alone, which are written with the first row.
        let mut bytes = table(&[Row::new(&Entry::default(), Status::Done)]).map_err(internal)?;
        bytes.truncate(bytes.iter().position(|b| *b == b'\n').map_or(0, |end| end + 1));
        return output::write_bytes(path, &bytes);
    }
    output::write_bytes(path, &table(rows).map_err(internal)?)
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
        let open = || Results::open(&path, &path).unwrap();
        let (mut first, mut second) = (open(), open());
        let a = Row { seconds: Some(1.5), rounds: Some(2), ..Row::new(&entry("a"), Status::Done) };
        let b = Row { error: "no, \"really\"".into(), ..Row::new(&entry("b"), Status::Failed) };
        first.put(a.clone()).unwrap();
        second.put(b.clone()).unwrap();
        assert_eq!(first.rows().unwrap(), [a.clone(), b]);
        let again = Row::new(&entry("b"), Status::Skipped);
        first.put(again.clone()).unwrap();
        assert_eq!(second.rows().unwrap(), [a.clone(), again]);
        assert_eq!((second.of(&entry("a")).unwrap(), second.of(&entry("c")).unwrap()), (vec![a], vec![]));
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("volume,output,status,seconds,rounds,volume_ml,mean_quality,error,output_sha256,"));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        // A file without the newer columns.
        std::fs::write(&path, "volume,output,status,seconds,rounds,volume_ml,mean_quality,error\na,b,done,1,1,1,1,\n")
            .unwrap();
        assert_eq!(second.rows().unwrap()[0].output_sha256, "");
        // No file of another kind is taken for one.
        std::fs::write(&path, "name,age\na,1\n").unwrap();
        let text = Results::open(&path, &path).unwrap_err().to_string();
        assert!(text.contains("no table of results"), "{text}");
        std::fs::write(&path, "{\"interactions\": []}").unwrap();
        let text = Results::open(&path, &path).unwrap_err().to_string();
        assert!(text.contains("no table of results"), "{text}");
    }

    #[test]
    fn tables_of_shards_are_read_beside() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let entry = |key: &str| Entry { key: key.into(), ..Entry::default() };
        let (all, own) = (at("r.csv"), at("r.shard-1-of-2.csv"));
        let mut shard = Results::open(&own, &all).unwrap();
        shard.finish().unwrap();
        assert!(std::fs::read_to_string(&own).unwrap().starts_with("volume,output,"));
        assert_eq!(shard.rows().unwrap(), []);
        let row = Row::new(&entry("a"), Status::Done);
        shard.put(row.clone()).unwrap();
        // The batch without shards knows it, as another shard does; neither writes it.
        let mut whole = Results::open(&all, &all).unwrap();
        assert_eq!((whole.of(&entry("a")).unwrap(), whole.rows().unwrap()), (vec![row.clone()], vec![]));
        assert_eq!(
            Results::open(&at("r.shard-2-of-5.csv"), &all).unwrap().of(&entry("a")).unwrap(),
            std::slice::from_ref(&row)
        );
        // A table of all keeps the rows of other cases.
        let other = Row::new(&entry("b"), Status::Skipped);
        whole.put(other.clone()).unwrap();
        whole.replace(vec![row.clone()]).unwrap();
        assert_eq!(whole.rows().unwrap(), [row, other]);
    }
}
