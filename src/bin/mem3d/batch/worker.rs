//! A process of `mem3d batch --jobs`: does the cases that the batch names on standard input, one a line, and answers
//! each with a line on standard output. It stops when standard input ends, so that it never outlives the batch.

use super::args::Args;
use super::list::Entry;
use super::results::Results;
use super::work::Work;
use crate::common::console;
use mem3d::{Error, Result};
use serde::{Deserialize, Serialize};
use std::io::{BufRead, Write};
use std::path::Path;
use std::sync::mpsc;

/// What the batch asks for.
#[derive(Debug, Serialize, Deserialize)]
pub struct Request {
    /// Name of the case, for log lines.
    pub what: String,
    /// The case.
    pub entry: Entry,
    /// Whether to wait while another batch works on it.
    pub wait: bool,
}

/// Runs the process.
///
/// # Errors
/// As reading the model and [`Work::one`], but [`Error::Cancelled`]; [`Error::Internal`] for what is no [`Request`].
pub fn run(args: &Args, threads: usize) -> Result<()> {
    console::stop_cleanly();
    let all = args.table();
    let results = Results::open(&args.own_table(&all), &all)?;
    let mut work = Work::new(args, results, Some(threads), args.model_sha256_if_any()?);
    for line in requests() {
        let request: Request =
            serde_json::from_str(&line).map_err(|e| Error::Internal(format!("a job got no case: {e}")))?;
        let outcome = match work.one(&request.entry, &request.what, request.wait) {
            // The batch knows that it stops.
            Err(Error::Cancelled) => return Ok(()),
            outcome => outcome?,
        };
        let answer = serde_json::to_string(&outcome).map_err(|e| Error::Internal(e.to_string()))?;
        let mut out = std::io::stdout();
        let written = writeln!(out, "{answer}").and_then(|()| out.flush());
        written.map_err(|e| Error::io(Path::new("standard output"), e))?;
    }
    Ok(())
}

/// The lines of standard input. Its end stops the work.
fn requests() -> mpsc::Receiver<String> {
    let (send, requests) = mpsc::channel();
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(std::result::Result::ok) {
            if send.send(line).is_err() {
                return;
            }
        }
        console::stop();
    });
    requests
}
