//! `mem3d batch`: many volumes with one model. Started again, it does only what is not done or what is made of other
//! inputs; several batches on one folder share the cases.

mod args;
mod claim;
mod jobs;
mod list;
mod merge;
mod origin;
mod results;
mod shard;
mod tally;
mod work;
mod worker;

use crate::common::{console, output};
pub use args::Args;
use list::Entry;
use mem3d::{Error, Result};
use results::Results;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use tally::Tally;
use work::{Outcome, Work};

/// Runs the subcommand; prints a line for each case.
///
/// # Errors
/// [`Error::BadFile`] for a list that cannot be used, as reading the model, [`Error::InvalidState`] when a case failed
/// or misses its result, [`Error::Cancelled`] when stopped.
pub fn run(args: &Args) -> Result<()> {
    if let Some(threads) = args.worker {
        return worker::run(args, threads);
    }
    let entries = entries(args)?;
    let all = args.table();
    if args.merge {
        return merge::run(args, &entries, &all);
    }
    // Before any case: without the model that is asked for, every case would fail.
    let model_sha256 = args.model_sha256_if_any()?;
    let folders: BTreeSet<&Path> = entries.iter().filter_map(|entry| entry.output.parent()).collect();
    for folder in folders.into_iter().filter(|folder| !folder.as_os_str().is_empty()) {
        output::folder(folder)?;
    }
    let table = args.own_table(&all);
    let model = args.model.file();
    let mut others = vec![(args.cases.as_path(), "is the list itself"), (&table, "is the table of results")];
    others.extend(model.iter().map(|path| (path.as_path(), "is the model")));
    list::check_outputs(&entries, &args.cases, &others)?;
    let entries = match args.shard {
        Some(shard) => shard.of(entries),
        None => entries,
    };
    check_table(&table, &entries, args)?;
    console::stop_cleanly();
    let results = Results::open(&table, &all)?;
    let mut tally = Tally::new(entries.len(), args.jobs.is_some());
    let (results, ended) = match args.jobs {
        Some(jobs) if !entries.is_empty() => apart(args, results, &entries, &mut tally, usize::from(jobs)),
        _ => here(Work::new(args, results, None, model_sha256), &entries, &mut tally),
    };
    tally.log();
    if ended.is_ok() || table.exists() {
        results.finish()?;
        output::written([&table]);
    }
    ended?;
    match tally.failed {
        0 => Ok(()),
        n => Err(Error::InvalidState(format!(
            "{n} of {} cases failed; {} has the reasons. Started again, the same command does only these",
            entries.len(),
            table.display()
        ))),
    }
}

/// Checks that the table of results replaces no input.
fn check_table(table: &Path, entries: &[Entry], args: &Args) -> Result<()> {
    let model = args.model.file();
    let mut inputs = vec![args.cases.as_path()];
    inputs.extend(model.iter().map(PathBuf::as_path));
    for entry in entries {
        inputs.extend(std::iter::once(&entry.volume).chain(&entry.interactions).map(PathBuf::as_path));
    }
    output::check(table, true, &inputs)
}

/// The cases of a CSV or of a folder.
fn entries(args: &Args) -> Result<Vec<Entry>> {
    if args.cases.is_dir() {
        return list::of_folder(&args.cases, &args.folder(), args.format.ending());
    }
    if args.out.is_some() {
        return Err(Error::argument("--out is for a folder of cases; a CSV names each output"));
    }
    list::of_csv(&args.cases)
}

/// Does the cases in this process; those that another batch works on come last.
fn here(mut work: Work<'_>, entries: &[Entry], tally: &mut Tally) -> (Results, Result<()>) {
    let mut all = || {
        let mut elsewhere = Vec::new();
        for (i, entry) in entries.iter().enumerate() {
            let outcome = work.one(entry, &tally.what(i), false)?;
            tally.add(i, entry, &outcome);
            if outcome == Outcome::Elsewhere {
                elsewhere.push((i, entry));
            }
        }
        for (i, entry) in elsewhere {
            let outcome = work.one(entry, &tally.what(i), true)?;
            tally.add(i, entry, &outcome);
        }
        Ok(())
    };
    let ended = match all() {
        Err(Error::Cancelled) => tally.stopped(),
        ended => ended,
    };
    (work.results, ended)
}

/// Does the cases in processes of their own.
fn apart(
    args: &Args,
    mut results: Results,
    entries: &[Entry],
    tally: &mut Tally,
    jobs: usize,
) -> (Results, Result<()>) {
    let jobs = jobs.min(entries.len());
    let threads = (args.model.threads() / jobs).max(1);
    log::info!("{} at a time with {} each", console::counted(jobs, "job"), console::counted(threads, "thread"));
    let ended = jobs::run(entries, &mut results, tally, jobs, threads);
    (results, ended)
}
