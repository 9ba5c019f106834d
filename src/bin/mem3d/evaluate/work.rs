//! Runs the targets of all cases, several at a time, each result into a file of its own.

use super::settings::Settings;
use crate::common::console;
use mem3d::engine::Progress;
use mem3d::eval::cases::{self, Case, Wanted};
use mem3d::eval::protocol::{Protocol, Selection};
use mem3d::eval::record::Recorder;
use mem3d::eval::results::{TargetResult, target_name};
use mem3d::eval::rounds;
use mem3d::eval::rounds::{FinishedRound, Watcher};
use mem3d::eval::target::Target;
use mem3d::nn::model::Model;
use mem3d::volume::Volume;
use mem3d::{Error, Result};
use sha2::Digest;
use std::path::Path;
use std::sync::Mutex;
use std::time::Instant;

pub struct Work<'a> {
    pub model: &'a Model,
    pub settings: &'a Settings,
    pub wanted: &'a Wanted,
    /// Folder of the results.
    pub results: &'a Path,
    /// Folder for recorded rounds, the input of other tools.
    pub record: Option<&'a Path>,
    pub jobs: usize,
}

/// Checks that the model supports everything that the protocol draws.
pub fn check_kinds(model: &Model, protocol: &Protocol) -> Result<()> {
    let missing: Vec<_> = protocol.kinds().into_iter().filter(|k| !model.info().interactions.contains(k)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(Error::Unsupported(format!(
        "the model \"{}\" has no network for {missing:?}; leave it out of --interactions (corrections of boxes, \
         extreme points and clicks are clicks, those of scribbles are scribbles), use --perfect-corrections, or \
         another model",
        model.info().name
    )))
}

/// SHA-256 over the image, its spacing and the mask of a target, hexadecimal.
fn data_checksum(image: &Volume, image_checksum: &str, reference: &[u8]) -> String {
    let mut hash = sha2::Sha256::new();
    hash.update(format!("{image_checksum} {:?} ", image.geometry().spacing_mm));
    hash.update(reference);
    hash.finalize().iter().map(|b| format!("{b:02x}")).collect()
}

impl Work<'_> {
    /// Runs all cases. Returns the failures; [`Error::Cancelled`] when the user stops it.
    pub fn all(&self, cases: &[Case]) -> Result<Vec<String>> {
        if self.jobs > 1 {
            // Sessions in several threads share the cores.
            tch::set_num_threads((self.settings.setup.threads / self.jobs as i32).max(1));
        }
        let mut failed = Vec::new();
        let mut progress = console::Progress::new("cases", cases.len());
        for (done, case) in cases.iter().enumerate() {
            console::check_interrupt()?;
            match self.case(case) {
                Ok(more) => failed.extend(more),
                Err(Error::Cancelled) => return Err(Error::Cancelled),
                Err(e) => {
                    log::error!("{}: {e}", case.name);
                    failed.push(format!("{}: {e}", case.name));
                }
            }
            progress.set(done + 1, cases.len());
        }
        Ok(failed)
    }

    /// Runs the targets of a case. Returns those that failed.
    fn case(&self, case: &Case) -> Result<Vec<String>> {
        let (image, labels) = cases::read(case)?;
        let image_checksum = image.checksum();
        let mut left = Vec::new();
        for label in cases::targets(&labels, self.wanted, &self.settings.setup.protocol) {
            let reference = cases::label_mask(&labels, label);
            let checksum = data_checksum(&image, &image_checksum, &reference);
            if !self.is_done(case, label, &checksum)? {
                left.push((label, checksum));
            }
        }
        if left.is_empty() {
            log::info!("{}: no target left to do", case.name);
        }
        let next = Mutex::new(left.into_iter());
        let failed = Mutex::new(Vec::new());
        let worker = || -> Result<()> {
            loop {
                // Released before the work on the target.
                let target = next.lock().unwrap_or_else(|e| e.into_inner()).next();
                let Some((label, checksum)) = target else { return Ok(()) };
                match self.target(case, &image, label, cases::label_mask(&labels, label), checksum) {
                    Err(Error::Cancelled) => return Err(Error::Cancelled),
                    Err(e) => {
                        let text = format!("{}, label {label}: {e}", case.name);
                        log::error!("{text}");
                        failed.lock().unwrap_or_else(|e| e.into_inner()).push(text);
                    }
                    Ok(()) => {}
                }
            }
        };
        if self.jobs == 1 {
            worker()?;
        } else {
            std::thread::scope(|scope| {
                let workers: Vec<_> = (0..self.jobs).map(|_| scope.spawn(worker)).collect();
                let join = |w: std::thread::ScopedJoinHandle<Result<()>>| {
                    w.join().unwrap_or_else(|_| Err(Error::Internal("a worker panicked".into())))
                };
                workers.into_iter().map(join).collect::<Result<Vec<()>>>()
            })?;
        }
        Ok(failed.into_inner().unwrap_or_else(|e| e.into_inner()))
    }

    fn file(&self, case: &Case, label: u32) -> std::path::PathBuf {
        self.results.join(format!("{}.json", target_name(&case.name, label)))
    }

    /// Whether an earlier piece measured a target of the same data.
    fn is_done(&self, case: &Case, label: u32, data_checksum: &str) -> Result<bool> {
        let file = self.file(case, label);
        if !file.exists() {
            return Ok(false);
        }
        let before = TargetResult::read(&file)?.data_checksum;
        let same = before.is_empty() || before == data_checksum;
        if !same {
            log::warn!("{}, label {label}: measured again, since its image or its label changed", case.name);
        }
        Ok(same)
    }

    fn target(&self, case: &Case, image: &Volume, label: u32, reference: Vec<u8>, data_checksum: String) -> Result<()> {
        let protocol = &self.settings.setup.protocol;
        let target = Target { case: case.name.clone(), label, volume: image, reference };
        let name = target_name(&case.name, label);
        let runs = |s: &Selection| if *s == Selection::Random { protocol.random_runs } else { 1 };
        let total = protocol.drawings.len() * protocol.rounds * protocol.selections.iter().map(runs).sum::<usize>();
        let mut watch = Watch {
            first: protocol.selections[0],
            record: self.record.map(|root| (root, &target, case.label.as_path())),
            recorder: None,
            progress: console::Progress::new(name.as_str(), total),
            done: 0,
            total,
        };
        let start = Instant::now();
        let networks = self.model.networks();
        let result = rounds::run(&target, &*networks, &self.settings.options, protocol, &mut watch)?;
        let result = TargetResult { data_checksum, ..result };
        watch.finish_record()?;
        result.write(&self.file(case, label))?;
        let first = result.runs[0].rounds.first().map_or(0.0, |r| r.dice);
        let last = result.runs[0].rounds.last().map_or(0.0, |r| r.dice);
        log::info!("{name}: DSC {first:.3} to {last:.3}, {:.0} s", start.elapsed().as_secs_f64());
        Ok(())
    }
}

struct Watch<'a> {
    /// The selection whose rounds are recorded.
    first: Selection,
    record: Option<(&'a Path, &'a Target<'a>, &'a Path)>,
    recorder: Option<(&'static str, Recorder)>,
    progress: console::Progress,
    done: usize,
    total: usize,
}

impl Watch<'_> {
    fn finish_record(&mut self) -> Result<()> {
        self.recorder.take().map_or(Ok(()), |(_, recorder)| recorder.finish())
    }
}

impl Watcher for Watch<'_> {
    fn slice(&mut self, _: Progress) -> bool {
        !console::interrupted()
    }

    fn round(&mut self, finished: &FinishedRound) -> Result<()> {
        self.done += 1;
        self.progress.set(self.done.min(self.total), self.total);
        let Some((root, target, label_file)) = self.record else { return Ok(()) };
        if finished.selection != self.first || finished.number != 0 {
            return Ok(());
        }
        let drawing = finished.drawing.name();
        if self.recorder.as_ref().is_none_or(|(d, _)| *d != drawing) {
            self.finish_record()?;
            self.recorder = Some((drawing, Recorder::new(root, target, label_file, finished.axis, drawing)?));
        }
        self.recorder.as_mut().expect("just made").1.add(finished)
    }
}
