//! One case of a batch: whether it is done, segmenting it, recording it.

use super::args::Args;
use super::claim::Claim;
use super::list::Entry;
use super::origin::{self, Origin};
use super::results::{Results, Row, Status};
use crate::common::case::{self, Case};
use crate::common::{console, memory};
use mem3d::io;
use mem3d::nn::model::Model;
use mem3d::{Error, Result};
use serde::{Deserialize, Serialize};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// What became of a case.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Outcome {
    /// Segmented, or failed.
    Made(Row),
    /// Its output stays as it is; with its new row, if it needs one.
    Kept(Option<Row>),
    /// Another batch works on it.
    Elsewhere,
}

/// Does cases with one model.
pub struct Work<'a> {
    args: &'a Args,
    pub results: Results,
    /// Number of threads; none: that of the options.
    threads: Option<usize>,
    /// Loaded for the first case that needs it: a batch that is done stays quick.
    model: Option<Model>,
    /// SHA-256 of the model, or none when there is no model.
    model_sha256: Option<String>,
}

impl<'a> Work<'a> {
    pub fn new(args: &'a Args, results: Results, threads: Option<usize>, model_sha256: Option<String>) -> Work<'a> {
        Work { args, results, threads, model: None, model_sha256 }
    }

    /// Does a case, unless it is done, and records it. `wait`: until no other batch works on it.
    ///
    /// # Errors
    /// [`Error::Cancelled`] when stopped; [`Error::Io`] when the results cannot be written.
    pub fn one(&mut self, entry: &Entry, what: &str, wait: bool) -> Result<Outcome> {
        console::check_interrupt()?;
        let start = Instant::now();
        memory::reset_peak();
        let (claim, outcome) = match claim(entry, wait) {
            Ok(None) => return Ok(Outcome::Elsewhere),
            Ok(Some(claim)) => {
                let outcome = self.claimed(entry, what);
                (Some(claim), outcome)
            }
            Err(e) => (None, Err(e)),
        };
        let outcome = self.record(outcome, entry, what, start);
        drop(claim);
        outcome
    }

    /// A case that no other batch works on; its row is not yet recorded.
    fn claimed(&mut self, entry: &Entry, what: &str) -> Result<Outcome> {
        let origin = Origin::of(entry, self.model_sha256.as_deref(), &self.args.case_options())?;
        let mut before = self.results.of(entry)?;
        if entry.output.exists() && matches!(recorded(entry, &origin, &before)?, Recorded::Unknown) {
            // Another shard or batch may have made it meanwhile.
            self.results.read_beside()?;
            before = self.results.of(entry)?;
        }
        match self.kept(entry, &origin, &before)? {
            Some(row) => {
                // A table has a row of each of its cases, also of one that another shard did.
                let own = self.results.own(entry)?;
                Ok(Outcome::Kept((own.as_ref() != Some(&row)).then_some(row)))
            }
            None => self.segment(entry, &origin, what).map(Outcome::Made),
        }
    }

    /// Records what became of a case. A failure concerns this case only.
    fn record(&mut self, made: Result<Outcome>, entry: &Entry, what: &str, start: Instant) -> Result<Outcome> {
        let mut outcome = match made {
            Err(Error::Cancelled) => return Err(Error::Cancelled),
            Err(e) => {
                let error = console::chain(&e);
                log::error!("{what}, {}: {error}", entry.volume.display());
                Outcome::Made(Row::failed(entry, error, &self.results.of(entry)?))
            }
            Ok(outcome) => outcome,
        };
        if let Outcome::Made(row) = &mut outcome {
            row.seconds = Some(start.elapsed().as_secs_f64());
            row.peak_memory_mb = memory::peak_mb();
        }
        if let Outcome::Made(row) | Outcome::Kept(Some(row)) = &outcome
            && let Err(e) = self.results.put(row.clone())
        {
            if matches!(&outcome, Outcome::Made(row) if row.status == Status::Done) {
                discard(&entry.output);
            }
            return Err(e);
        }
        Ok(outcome)
    }

    /// The row of an output that stays as it is: it has everything that it is made of now, or a batch did not make it.
    /// None when it is to be made.
    fn kept(&self, entry: &Entry, origin: &Origin, rows: &[Row]) -> Result<Option<Row>> {
        if self.args.force || !entry.output.exists() {
            return Ok(None);
        }
        let output = entry.output.display();
        match recorded(entry, origin, rows)? {
            Recorded::Done(row) => return Ok(Some(*row)),
            Recorded::Failed(_) => return Ok(None),
            Recorded::Changed(what) => {
                log::info!("{output}: made again, since the {what} changed");
                return Ok(None);
            }
            Recorded::Unknown => (),
        }
        if was_made(rows) && unrecorded(&entry.output) == Unrecorded::CutOff {
            log::info!("{output}: made again, since the file that a batch made is no longer whole");
            return Ok(None);
        }
        log::warn!(
            "{output} exists, and no batch recorded that it made it; it is left as it is (--force makes it again)"
        );
        let known = rows.iter().find(|row| row.status != Status::Failed);
        Ok(Some(known.cloned().unwrap_or_else(|| Row::new(entry, Status::Skipped))))
    }

    /// Segments one case and writes its output. A failure of any kind concerns this case only.
    fn segment(&mut self, entry: &Entry, origin: &Origin, what: &str) -> Result<Row> {
        if self.model.is_none() {
            let threads = self.threads.unwrap_or_else(|| self.args.model.threads());
            self.model = Some(self.args.model.load_with(threads)?);
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
        let output_sha256 = origin::file(&entry.output).inspect_err(|_| discard(&entry.output))?;
        Ok(Row { rounds, volume_ml, mean_quality, output_sha256, ..made })
    }
}

/// Removes an output that was just made and cannot be recorded: without its row, later batches would take it for a
/// user's and leave it as it is.
fn discard(output: &Path) {
    match std::fs::remove_file(output) {
        Ok(()) => log::warn!(
            "{}: removed, since its result cannot be recorded; started again, the same command makes it",
            output.display()
        ),
        Err(e) => log::warn!("{}: its result is not recorded; remove it to have it made again ({e})", output.display()),
    }
}

/// The claim of a case; none while another batch works on it, unless this is to `wait`.
fn claim(entry: &Entry, wait: bool) -> Result<Option<Claim>> {
    loop {
        match Claim::take(&entry.output)? {
            None if wait => std::thread::sleep(Duration::from_millis(200)),
            claim => return Ok(claim),
        }
        console::check_interrupt()?;
    }
}

/// What the tables record of an output that exists.
pub enum Recorded {
    /// It is made of the present inputs; its row.
    Done(Box<Row>),
    /// Made by a batch, and a later attempt failed for this reason.
    Failed(String),
    /// It is made of another volume, other prompts, another model or other options.
    Changed(&'static str),
    /// It is none that a batch recorded.
    Unknown,
}

/// Looks for the present output of a case in its rows.
///
/// # Errors
/// [`Error::Io`] when the output cannot be read.
pub fn recorded(entry: &Entry, origin: &Origin, rows: &[Row]) -> Result<Recorded> {
    if !was_made(rows) {
        return Ok(Recorded::Unknown);
    }
    let sum = origin::file(&entry.output)?;
    let of_it: Vec<&Row> = rows.iter().filter(|row| row.output_sha256 == sum).collect();
    if let Some(row) = of_it.iter().find(|row| row.status != Status::Failed && row.changed(origin).is_none()) {
        return Ok(Recorded::Done(Box::new((*row).clone())));
    }
    Ok(match of_it.first() {
        None => Recorded::Unknown,
        Some(row) if row.status == Status::Failed => Recorded::Failed(row.error.clone()),
        Some(row) => Recorded::Changed(row.changed(origin).unwrap_or("origin")),
    })
}

/// Whether a batch made an output of this case. Outputs appear whole, so that one which no row describes is none of a
/// batch.
pub fn was_made(rows: &[Row]) -> bool {
    rows.iter().any(|row| !row.output_sha256.is_empty())
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

/// What a file is that no row describes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unrecorded {
    /// A segmentation or another volume.
    Whole,
    /// The start of one. mem3d writes files whole or not at all, but a copy of one may be cut off.
    CutOff,
    /// A file that mem3d does not read: perhaps somebody's work.
    Other,
}

/// Reads a file in the place of a result that no row describes.
pub fn unrecorded(path: &Path) -> Unrecorded {
    // 3D Slicer may have written segments that overlap, whatever the file is called.
    let read = io::read_segmentation(path).map(drop).or_else(|e| io::read_volume(path).map(drop).map_err(|_| e));
    let Err(e) = read else { return Unrecorded::Whole };
    log::warn!("an earlier output cannot be read: {}", console::chain(&e));
    match matches!(e, Error::BadFile { damaged: true, .. }) && begins_as_result(path) {
        true => Unrecorded::CutOff,
        false => Unrecorded::Other,
    }
}

/// Whether a file begins as a result of its name does; an empty one has lost its beginning.
fn begins_as_result(path: &Path) -> bool {
    let mut start = Vec::new();
    let read = std::fs::File::open(path).and_then(|file| file.take(5).read_to_end(&mut start));
    let name = path.to_string_lossy().to_lowercase();
    let expected: &[u8] = match io::Format::of_name(path) {
        Some(io::Format::Nifti) if name.ends_with(".gz") => b"\x1f\x8b",
        // The size of its header.
        Some(io::Format::Nifti) => &[92, 1, 0, 0],
        _ => b"NRRD0",
    };
    read.is_ok() && (start.is_empty() || start.starts_with(expected))
}
