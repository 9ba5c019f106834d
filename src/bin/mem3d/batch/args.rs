//! Arguments of `mem3d batch`, and what follows from them.

use super::shard::Shard;
use crate::common::model::Choice;
use crate::common::{case, model};
use mem3d::Result;
use mem3d::nn::weights;
use std::path::{Path, PathBuf};

/// Segments many volumes. Continues after a case that fails; started again, does only what is not done, and what was
/// made of another volume, other prompts, another model or other options. An output that no batch made is left as it
/// is. Several batches at a time share the cases.
///
/// On a cluster each task does a shard, and --merge joins their results (docs/cluster.md).
///
/// Exit status 1 when a case failed or the batch was stopped, or when --merge misses a result.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// CSV with the columns volume, prompts (several with ; between them) and output, paths relative to it; or a folder
    /// with X.nii.gz (.nii, .nrrd) beside X.prompts.json, X.mrk.json or X_SEGMENT.mrk.json.
    pub cases: PathBuf,
    /// Folder for the segmentations of a folder of cases [default: segmentations, in that folder].
    #[arg(long, short, value_name = "FOLDER")]
    pub out: Option<PathBuf>,
    /// Format of the segmentations of a folder of cases.
    #[arg(long, value_enum, default_value_t = OutputFormat::SegNrrd)]
    pub format: OutputFormat,
    /// CSV to write with status, seconds and error of every case [default: NAME.results.csv beside the CSV, or
    /// results.csv in the folder of the segmentations].
    #[arg(long, value_name = "FILE")]
    pub results: Option<PathBuf>,
    /// Do all cases again, and replace every output.
    #[arg(long, short)]
    pub force: bool,
    /// Does the cases in N processes at a time, which share the threads. One that is killed or runs out of memory fails
    /// its case alone [default: all in this process].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub jobs: Option<u16>,
    /// Does part K of N of the cases, by their sorted outputs, for example 3/20; slurm/N for the part that
    /// SLURM_ARRAY_TASK_ID names. Results go to a table of the shard, results.shard-K-of-N.csv.
    #[arg(long, value_name = "K/N", value_parser = Shard::parse)]
    pub shard: Option<Shard>,
    /// Checks that every case has its result, made by this model with these options and prompts, and joins the tables
    /// of the shards into one. Lists what is missing, with the commands that make it; segments nothing.
    #[arg(long, conflicts_with_all = ["shard", "jobs", "force"])]
    pub merge: bool,
    /// This is a process of --jobs, with so many threads.
    #[arg(long, hide = true, value_name = "THREADS")]
    pub worker: Option<usize>,
    #[command(flatten)]
    pub case: case::Args,
    #[command(flatten)]
    pub model: model::Args,
}

impl Args {
    /// The options that change masks.
    pub fn case_options(&self) -> String {
        format!("{} {}", self.case.options(), self.model.options())
    }

    /// What names the model: the SHA-256 of its file, or `random:SEED`.
    ///
    /// # Errors
    /// As [`Choice::find`] and [`weights::read`]: the file must be a model.
    pub fn model_sha256(&self) -> Result<String> {
        match self.model.choice()? {
            Choice::File(path) => Ok(weights::read(&path)?.checksum),
            Choice::Random(seed) => Ok(format!("random:{seed}")),
        }
    }

    /// As [`Args::model_sha256`]; none where no model is named and none comes with mem3d: a batch that is done needs
    /// none.
    ///
    /// # Errors
    /// Those of [`Args::model_sha256`], about a model that is named or found.
    pub fn model_sha256_if_any(&self) -> Result<Option<String>> {
        match self.model.choice() {
            Err(_) if !self.model.is_named() => Ok(None),
            _ => self.model_sha256().map(Some),
        }
    }

    /// Where the segmentations of a folder of cases go.
    pub fn folder(&self) -> PathBuf {
        self.out.clone().unwrap_or_else(|| self.cases.join("segmentations"))
    }

    /// The table of all results.
    pub fn table(&self) -> PathBuf {
        self.results.clone().unwrap_or_else(|| match self.cases.is_dir() {
            true => self.folder().join("results.csv"),
            false => self.cases.with_extension("results.csv"),
        })
    }

    /// The table of this shard's results, or of all.
    pub fn own_table(&self, all: &Path) -> PathBuf {
        self.shard.map_or(all.to_path_buf(), |shard| shard.table(all))
    }
}

/// Format of segmentations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum OutputFormat {
    /// .seg.nrrd, with names and colours
    SegNrrd,
    /// .nii.gz
    NiiGz,
    /// .nrrd
    Nrrd,
}

impl OutputFormat {
    /// End of the names of its files.
    pub fn ending(self) -> &'static str {
        match self {
            OutputFormat::SegNrrd => ".seg.nrrd",
            OutputFormat::NiiGz => ".nii.gz",
            OutputFormat::Nrrd => ".nrrd",
        }
    }
}
