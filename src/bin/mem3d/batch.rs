//! `mem3d batch`: many volumes with one model. Started again, it does only what is not done or what is made of other
//! inputs; several batches on one folder share the cases.

mod claim;
mod list;
mod origin;
mod results;

use crate::common::case::{self, Case};
use crate::common::model::Choice;
use crate::common::output::say;
use crate::common::{console, model, output};
use claim::Claim;
use list::Entry;
use mem3d::io::{self, Format};
use mem3d::nn::model::Model;
use mem3d::torch::processors;
use mem3d::{Error, Result};
use origin::Origin;
use results::{Results, Row, Status};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Segments many volumes. Continues after a case that fails; started again, does only what is not done, and what was
/// made of another volume, other prompts, another model or other options. An output that no batch made is left as it
/// is. Several batches at a time share the cases.
///
/// Exit status 1 when a case failed or the batch was stopped.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// CSV with the columns volume, prompts (several with ; between them) and output, paths relative to it; or a folder
    /// with X.nii.gz (.nii, .nrrd) beside X.prompts.json, X.mrk.json or X_SEGMENT.mrk.json.
    cases: PathBuf,
    /// Folder for the segmentations of a folder of cases [default: segmentations, in that folder].
    #[arg(long, short, value_name = "FOLDER")]
    out: Option<PathBuf>,
    /// Format of the segmentations of a folder of cases.
    #[arg(long, value_enum, default_value_t = OutputFormat::SegNrrd)]
    format: OutputFormat,
    /// CSV to write with status, seconds and error of every case [default: NAME.results.csv beside the CSV, or
    /// results.csv in the folder of the segmentations].
    #[arg(long, value_name = "FILE")]
    results: Option<PathBuf>,
    /// Do all cases again, and replace every output.
    #[arg(long, short)]
    force: bool,
    #[command(flatten)]
    case: case::Args,
    #[command(flatten)]
    model: model::Args,
}

impl Args {
    /// The options that change masks.
    fn case_options(&self) -> String {
        format!("{} {}", self.case.options(), self.model.options())
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum OutputFormat {
    /// .seg.nrrd, with names and colours
    SegNrrd,
    /// .nii.gz
    NiiGz,
    /// .nrrd
    Nrrd,
}

impl OutputFormat {
    fn ending(self) -> &'static str {
        match self {
            OutputFormat::SegNrrd => ".seg.nrrd",
            OutputFormat::NiiGz => ".nii.gz",
            OutputFormat::Nrrd => ".nrrd",
        }
    }
}

/// Runs the subcommand; prints a line for each case.
///
/// # Errors
/// [`Error::BadFile`] for a list that cannot be used, as loading the model, [`Error::InvalidState`] when a case failed,
/// [`Error::Cancelled`] when stopped.
pub fn run(args: &Args) -> Result<()> {
    let entries = entries(args)?;
    for folder in entries.iter().filter_map(|e| e.output.parent()).filter(|f| !f.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder).map_err(|e| Error::io(folder, e))?;
    }
    let results_path = args.results.clone().unwrap_or_else(|| match args.cases.is_dir() {
        true => entries[0].output.with_file_name("results.csv"),
        false => args.cases.with_extension("results.csv"),
    });
    crate::common::output::check(&results_path, true, &[&args.cases])?;
    console::stop_cleanly();
    let mut batch = Batch::new(args, Results::new(&results_path));
    batch.all(&entries)?;
    batch.results.finish()?;
    output::written([&results_path]);
    match batch.failed {
        0 => Ok(()),
        n => Err(Error::InvalidState(format!(
            "{n} of {} cases failed; {} has the reasons. Started again, the same command does only these",
            entries.len(),
            results_path.display()
        ))),
    }
}

/// The cases of a CSV or of a folder.
fn entries(args: &Args) -> Result<Vec<Entry>> {
    if args.cases.is_dir() {
        let out = args.out.clone().unwrap_or_else(|| args.cases.join("segmentations"));
        return list::of_folder(&args.cases, &out, args.format.ending());
    }
    if args.out.is_some() {
        return Err(Error::argument("--out is for a folder of cases; a CSV names each output"));
    }
    list::of_csv(&args.cases)
}

/// A batch that runs.
struct Batch<'a> {
    args: &'a Args,
    results: Results,
    /// Loaded for the first case that needs it: a batch that is done stays quick.
    model: Option<Model>,
    /// SHA-256 of the model, or none when there is no model.
    model_sha256: Option<String>,
    failed: usize,
}

impl<'a> Batch<'a> {
    fn new(args: &'a Args, results: Results) -> Batch<'a> {
        let model_sha256 = args.model.choice().ok().and_then(|choice| match choice {
            Choice::File(path) => origin::file(&path).ok(),
            Choice::Random(seed) => Some(format!("random:{seed}")),
        });
        Batch { args, results, model: None, model_sha256, failed: 0 }
    }

    /// Does the cases that are not done; those that another batch works on come last.
    fn all(&mut self, entries: &[Entry]) -> Result<()> {
        let count = entries.len();
        let mut elsewhere = Vec::new();
        for (i, entry) in entries.iter().enumerate() {
            let what = format!("case {} of {count}", i + 1);
            match Claim::take(&entry.output)? {
                Some(claim) => self.one(entry, &what, &claim).map_err(|e| stopped_at(e, i, count))?,
                None => {
                    say!("{what}: another batch works on {}", entry.output.display());
                    elsewhere.push((i, entry));
                }
            }
        }
        for (i, entry) in elsewhere {
            let claim = loop {
                console::check_interrupt().map_err(|e| stopped_at(e, i, count))?;
                match Claim::take(&entry.output)? {
                    Some(claim) => break claim,
                    None => std::thread::sleep(Duration::from_millis(200)),
                }
            };
            self.one(entry, &format!("case {} of {count}", i + 1), &claim).map_err(|e| stopped_at(e, i, count))?;
        }
        Ok(())
    }

    /// Does a case, unless it is done, and records it.
    fn one(&mut self, entry: &Entry, what: &str, claim: &Claim) -> Result<()> {
        console::check_interrupt()?;
        let start = Instant::now();
        let before = self.results.row(entry);
        let result = Origin::of(entry, self.model_sha256.as_deref(), &self.args.case_options())
            .and_then(|origin| Ok((self.is_done(entry, &origin, before.as_ref(), claim.left)?, origin)));
        let row = match result {
            Ok((true, _)) => {
                say!("{what}: {} exists already", entry.output.display());
                let unknown = before.is_none_or(|row| row.status == Status::Failed);
                return if unknown { self.results.put(Row::new(entry, Status::Skipped)) } else { Ok(()) };
            }
            Ok((false, origin)) => self.segment(entry, &origin, what),
            Err(e) => Err(e),
        };
        let row = match row {
            Err(Error::Cancelled) => return Err(Error::Cancelled),
            Ok(row) => row,
            Err(e) => {
                self.failed += 1;
                let error = console::chain(&e);
                log::error!("{what}, {}: {error}", entry.volume.display());
                // An output that an earlier run made stays known as this batch's.
                let output_sha256 = before.map_or(String::new(), |row| row.output_sha256);
                Row { error, output_sha256, ..Row::new(entry, Status::Failed) }
            }
        };
        say!("{what}: {} {}", entry.output.display(), row.status.word());
        self.results.put(Row { seconds: Some(start.elapsed().as_secs_f64()), ..row })
    }

    /// Whether the output stays as it is: it has everything that it is made of now, or a batch did not make it.
    /// `left`: a batch ended while it worked on the case.
    fn is_done(&self, entry: &Entry, origin: &Origin, row: Option<&Row>, left: bool) -> Result<bool> {
        if self.args.force || !entry.output.exists() {
            return Ok(false);
        }
        let output = entry.output.display();
        if let Some(row) = row.filter(|row| !row.output_sha256.is_empty())
            && row.output_sha256 == origin::file(&entry.output)?
        {
            return Ok(match (row.status, row.changed(origin)) {
                (Status::Failed, _) => false,
                (_, None) => true,
                (_, Some(what)) => {
                    log::info!("{output}: made again, since the {what} changed");
                    false
                }
            });
        }
        if left || !is_complete(&entry.output) {
            return Ok(false);
        }
        log::warn!(
            "{output} exists, and no batch recorded that it made it; it is left as it is (--force makes it again)"
        );
        Ok(true)
    }

    /// Segments one case and writes its output. A failure of any kind concerns this case only.
    fn segment(&mut self, entry: &Entry, origin: &Origin, what: &str) -> Result<Row> {
        if self.model.is_none() {
            self.model = Some(self.args.model.load(processors::free())?);
        }
        let model = self.model.as_ref().expect("just loaded");
        let made = std::panic::AssertUnwindSafe(|| segment(entry, model, self.args, what));
        let row = std::panic::catch_unwind(made).unwrap_or_else(|payload| {
            let text = payload.downcast_ref::<String>().map(String::as_str);
            let text = text.or(payload.downcast_ref::<&str>().copied()).unwrap_or("unknown failure");
            Err(Error::Internal(text.into()))
        })?;
        let made = Row::made(entry, Status::Done, origin);
        let (rounds, volume_ml, mean_quality) = (row.rounds, row.volume_ml, row.mean_quality);
        Ok(Row { rounds, volume_ml, mean_quality, output_sha256: origin::file(&entry.output)?, ..made })
    }
}

fn stopped_at(e: Error, done: usize, count: usize) -> Error {
    if matches!(e, Error::Cancelled) { stopped(done, count) } else { e }
}

fn stopped(done: usize, count: usize) -> Error {
    log::warn!("stopped after {done} of {count} cases; started again, the same command does the others");
    Error::Cancelled
}

/// Segments one case and writes its output.
fn segment(entry: &Entry, model: &Model, args: &Args, what: &str) -> Result<Row> {
    let inputs: Vec<&Path> = std::iter::once(&entry.volume).chain(&entry.interactions).map(PathBuf::as_path).collect();
    case::check_segmentation(&entry.output, true, &inputs)?;
    let (mut case, rounds) = Case::open(&entry.volume, &entry.interactions, None, model, &args.case)?;
    case.play(what, &rounds)?;
    let mut summaries = case.summaries()?;
    case.as_written(&mut summaries, std::slice::from_ref(&entry.output))?;
    case.write(&entry.output)?;
    let qualities: Vec<f64> = summaries.iter().filter_map(|s| s.mean_quality).collect();
    Ok(Row {
        rounds: Some(case.rounds),
        volume_ml: Some(summaries.iter().map(|s| s.volume_ml).sum()),
        mean_quality: (!qualities.is_empty()).then(|| qualities.iter().sum::<f64>() / qualities.len() as f64),
        ..Row::new(entry, Status::Done)
    })
}

/// Whether an output exists and is complete. mem3d writes files whole or not at all; a copy of one may be cut off.
fn is_complete(path: &Path) -> bool {
    if !path.exists() {
        return false;
    }
    let read = match Format::of_name(path) {
        Some(Format::SegNrrd) => io::seg_nrrd::read(path).map(drop),
        _ => io::read_volume(path).map(drop),
    };
    if let Err(e) = &read {
        log::warn!("an earlier output is not complete and is made again: {}", console::chain(e));
    }
    read.is_ok()
}
