//! `mem3d batch --merge`: checks that every case has its result, and joins the tables of the shards.

use super::args::Args;
use super::claim::Claim;
use super::list::Entry;
use super::origin::Origin;
use super::results::{Results, Row, Status};
use super::shard::{self, shards};
use super::work::{Recorded, Unrecorded, recorded, unrecorded, was_made};
use crate::common::console;
use crate::common::output::{self, say};
use mem3d::{Error, Result};
use std::path::Path;

/// Checks all cases; writes the table `all` when none is missing, else prints those that are, each with the command
/// that makes it.
///
/// # Errors
/// [`Error::InvalidState`] when a result is missing; as reading the tables and the model's file.
pub fn run(args: &Args, entries: &[Entry], all: &Path) -> Result<()> {
    if output::is_stdout(all) {
        return Err(Error::argument("--merge joins tables in files; name one with --results"));
    }
    let model = args.model_sha256()?;
    let options = args.case_options();
    let results = Results::open(all, all)?;
    let mut rows = Vec::new();
    let mut missing = Vec::new();
    for (i, entry) in entries.iter().enumerate() {
        let checked = Origin::without_volume(entry, Some(&model), &options)
            .and_then(|origin| result_of(entry, &origin, &results.of(entry)?));
        match checked.unwrap_or_else(|e| Err(console::chain(&e))) {
            Ok(row) => rows.push(row),
            Err(why) => missing.push((i, why)),
        }
    }
    if missing.is_empty() {
        output::check(all, true, &[&args.cases])?;
        results.replace(rows)?;
        output::written([&all.to_path_buf()]);
        return Ok(());
    }
    let commands = commands(entries, all);
    for (i, why) in &missing {
        say!("missing: {}: {why}; {}", entries[*i].output.display(), commands[*i]);
    }
    Err(Error::InvalidState(format!(
        "{} of {} cases have no result of this model with these options and prompts; they are listed with the commands \
         that make them. {} is written when none is missing",
        missing.len(),
        entries.len(),
        all.display()
    )))
}

/// The row of a case whose result is there, or why it is not.
fn result_of(entry: &Entry, origin: &Origin, rows: &[Row]) -> Result<std::result::Result<Row, String>> {
    let failed = rows.iter().find(|row| row.status == Status::Failed).map(|row| row.error.clone());
    if !entry.output.exists() {
        return Ok(Err(failed.map_or("there is no result".into(), |error| format!("failed: {error}"))));
    }
    if Claim::is_open(&entry.output) {
        return Ok(Err("a batch works on it, or ended while it did".into()));
    }
    Ok(match recorded(entry, origin, rows)? {
        Recorded::Done(row) => Ok(*row),
        Recorded::Failed(error) => Err(format!("failed: {error}")),
        Recorded::Changed(what) => {
            let other = if what == "model" { "another" } else { "other" };
            Err(format!("its result was made with {other} {what}"))
        }
        Recorded::Unknown => match unrecorded(&entry.output) {
            Unrecorded::CutOff if was_made(rows) => Err("its file is not complete".into()),
            Unrecorded::CutOff | Unrecorded::Other => {
                Err("its file cannot be read, and no batch made it; move it away".into())
            }
            Unrecorded::Whole => {
                log::warn!(
                    "{} exists, and no batch recorded that it made it; it counts as it is, as \"skipped\"",
                    entry.output.display()
                );
                Ok(Row::new(entry, Status::Skipped))
            }
        },
    })
}

/// The command that makes each case: that of its shard, or of all cases when there is no one division into shards.
fn commands(entries: &[Entry], all: &Path) -> Vec<String> {
    let given: Vec<String> = std::env::args_os().skip(1).map(|w| w.to_string_lossy().into_owned()).collect();
    let given = given.into_iter().filter(|word| word != "--merge");
    let words = std::iter::once("mem3d".to_string()).chain(given).map(|word| quoted(&word));
    let command = words.collect::<Vec<_>>().join(" ");
    let mut counts: Vec<usize> = shard::tables(all).iter().map(|(shard, _)| shard.count()).collect();
    counts.sort_unstable();
    counts.dedup();
    match counts[..] {
        [count] => shards(entries, count).iter().map(|s| format!("{command} --shard {}", s.word())).collect(),
        _ => vec![command; entries.len()],
    }
}

/// A word as a shell takes it.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,+@%".contains(c);
    match !word.is_empty() && word.chars().all(plain) {
        true => word.to_string(),
        false => format!("'{}'", word.replace('\'', "'\\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn words_are_quoted_for_a_shell() {
        assert_eq!(quoted("--out=a/b.csv"), "--out=a/b.csv");
        assert_eq!(quoted("my cases"), "'my cases'");
        assert_eq!((quoted(""), quoted("it's")), ("''".into(), "'it'\\''s'".into()));
    }
}
