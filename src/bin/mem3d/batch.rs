//! `mem3d batch`: many volumes with one model. Started again, it does only what is not done.

mod list;
mod results;

use crate::common::case::{self, Case};
use crate::common::{console, model};
use list::Entry;
use mem3d::io::{self, Format};
use mem3d::nn::model::Model;
use mem3d::{Error, Result};
use results::{Results, Row, Status};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Segments many volumes. Continues after a case that fails; started again, does only what is not done.
///
/// Exit status 1 when a case failed or the batch was stopped.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// CSV with the columns volume, prompts (several with ; between them) and output, paths relative to it; or a folder
    /// with X.nii.gz (.nii, .nrrd) beside X.prompts.json or X.mrk.json.
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
    /// Do cases again whose output is complete.
    #[arg(long, short)]
    force: bool,
    #[command(flatten)]
    case: case::Args,
    #[command(flatten)]
    model: model::Args,
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
    let mut results = Results::read(&results_path);
    console::stop_cleanly();
    let failed = run_cases(args, &entries, &mut results, &results_path)?;
    println!("{}", results_path.display());
    match failed {
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

/// Segments the cases that are not done and writes the results after each; returns how many failed.
fn run_cases(args: &Args, entries: &[Entry], results: &mut Results, results_path: &Path) -> Result<usize> {
    // Loaded for the first case that needs it: a batch that is done stays quick.
    let mut loaded: Option<Model> = None;
    let mut failed = 0;
    let count = entries.len();
    for (i, entry) in entries.iter().enumerate() {
        console::check_interrupt().map_err(|_| stopped(i, count))?;
        let what = format!("case {} of {count}", i + 1);
        if !args.force && is_complete(&entry.output) {
            println!("{what}: {} exists already", entry.output.display());
            results.keep_or_skip(entry);
            results.write(results_path)?;
            continue;
        }
        let model = match &loaded {
            Some(model) => model,
            None => loaded.insert(args.model.load()?),
        };
        let start = Instant::now();
        let row = match segment(entry, model, args, &what) {
            Ok(row) => Row { seconds: Some(start.elapsed().as_secs_f64()), ..row },
            Err(Error::Cancelled) => return Err(stopped(i, count)),
            Err(e) => {
                failed += 1;
                let error = console::chain(&e);
                log::error!("{what}, {}: {error}", entry.volume.display());
                Row { error, seconds: Some(start.elapsed().as_secs_f64()), ..Row::new(entry, Status::Failed) }
            }
        };
        println!("{what}: {} {}", entry.output.display(), row.status.word());
        results.set(row);
        results.write(results_path)?;
    }
    Ok(failed)
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
