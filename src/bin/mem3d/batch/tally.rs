//! What a batch has done so far, and its log.

use super::list::Entry;
use super::results::Status;
use super::work::Outcome;
use crate::common::console;
use crate::common::output::say;
use mem3d::{Error, Result};
use std::time::Instant;

/// Counts of a batch.
pub struct Tally {
    /// Number of cases.
    count: usize,
    /// Cases that are finished, failed ones included.
    finished: usize,
    /// Cases that were segmented.
    made: usize,
    pub failed: usize,
    peak_mb: Option<f64>,
    start: Instant,
    progress: Option<console::Progress>,
}

impl Tally {
    /// Of `count` cases. `bar`: shows a bar of them.
    pub fn new(count: usize, bar: bool) -> Tally {
        let progress = (bar && count > 0).then(|| console::Progress::new("cases", count));
        Tally { count, finished: 0, made: 0, failed: 0, peak_mb: None, start: Instant::now(), progress }
    }

    /// Name of a case, from 0.
    pub fn what(&self, i: usize) -> String {
        format!("case {} of {}", i + 1, self.count)
    }

    /// Prints what became of a case and counts it.
    pub fn add(&mut self, i: usize, entry: &Entry, outcome: &Outcome) {
        let (what, output) = (self.what(i), entry.output.display());
        match outcome {
            Outcome::Elsewhere => return say!("{what}: another batch works on {output}"),
            Outcome::Kept(_) => say!("{what}: {output} exists already"),
            Outcome::Made(row) => {
                say!("{what}: {output} {}", row.status.word());
                let count = if row.status == Status::Failed { &mut self.failed } else { &mut self.made };
                *count += 1;
                self.peak_mb = self.peak_mb.into_iter().chain(row.peak_memory_mb).reduce(f64::max);
            }
        }
        self.finished += 1;
        if let Some(progress) = &mut self.progress {
            progress.set(self.finished, self.count);
        }
    }

    /// Logs how fast it was, and the memory of a process.
    pub fn log(&self) {
        if self.made == 0 {
            return;
        }
        let seconds = self.start.elapsed().as_secs_f64();
        let memory = self.peak_mb.map_or(String::new(), |mb| format!("; peak memory of a process {mb:.0} MB"));
        let each_hour = self.made as f64 * 3600.0 / seconds.max(1e-3);
        let made = console::counted(self.made, "case");
        log::info!("{made} segmented in {seconds:.1} s, {each_hour:.0} an hour{memory}");
    }

    /// The end of a batch that was stopped.
    ///
    /// # Errors
    /// [`Error::Cancelled`], with a warning, when cases are left.
    pub fn stopped(&self) -> Result<()> {
        let Tally { finished, count, .. } = self;
        if finished == count {
            return Ok(());
        }
        log::warn!("stopped after {finished} of {count} cases; started again, the same command does the others");
        Err(Error::Cancelled)
    }
}
