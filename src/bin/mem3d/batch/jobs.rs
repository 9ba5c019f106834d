//! `mem3d batch --jobs`: shares the cases out to processes of this program. One that is killed, crashes or runs out of
//! memory fails the case that it worked on and no other.

use super::list::Entry;
use super::results::{Results, Row};
use super::tally::Tally;
use super::work::Outcome;
use super::worker::Request;
use crate::common::console;
use mem3d::{Error, Result};
use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// A case to do.
#[derive(Debug, Clone, Copy)]
struct Task {
    /// Its place in the list.
    i: usize,
    /// Whether to wait while another batch works on it.
    wait: bool,
}

/// A process.
struct Worker {
    child: Child,
    /// Closed when there is nothing left to do: the process ends then.
    requests: Option<ChildStdin>,
    /// What it works on.
    task: Option<Task>,
    /// Its last line on standard error.
    last_words: Arc<Mutex<String>>,
    log: JoinHandle<()>,
}

/// A line of a process, or its end; with the number of the process.
type Event = (usize, Option<String>);

/// The processes and what they have to do.
struct Jobs<'a> {
    entries: &'a [Entry],
    results: &'a mut Results,
    tally: &'a mut Tally,
    threads: usize,
    left: VecDeque<Task>,
    workers: Vec<Option<Worker>>,
    send: Sender<Event>,
}

/// Does the cases in `count` processes of `threads` threads.
///
/// # Errors
/// [`Error::Cancelled`] when stopped; [`Error::Io`] when no process can be started or the results cannot be written.
pub fn run(entries: &[Entry], results: &mut Results, tally: &mut Tally, count: usize, threads: usize) -> Result<()> {
    let (send, events) = channel();
    let left = (0..entries.len()).map(|i| Task { i, wait: false }).collect();
    let workers = (0..count.min(entries.len())).map(|_| None).collect();
    let mut jobs = Jobs { entries, results, tally, threads, left, workers, send };
    let ended = jobs.all(&events);
    // After a failure of the batch itself; the processes stop when their input ends.
    for worker in jobs.workers.iter_mut().flatten() {
        worker.requests = None;
        let _ = worker.child.wait();
    }
    ended
}

impl Jobs<'_> {
    fn all(&mut self, events: &Receiver<Event>) -> Result<()> {
        loop {
            let stopping = console::interrupted();
            for number in 0..self.workers.len() {
                match stopping {
                    true => self.workers[number].iter_mut().for_each(|worker| worker.requests = None),
                    false => self.give(number)?,
                }
            }
            if self.workers.iter().all(Option::is_none) {
                return if stopping { self.tally.stopped() } else { Ok(()) };
            }
            match events.recv_timeout(Duration::from_millis(200)) {
                Ok((number, Some(line))) => self.answer(number, &line)?,
                Ok((number, None)) => self.ended(number)?,
                Err(RecvTimeoutError::Timeout) => (),
                Err(RecvTimeoutError::Disconnected) => unreachable!("this end holds a sender"),
            }
        }
    }

    /// Gives process `number` a case when it has none, and starts it when it is not there.
    fn give(&mut self, number: usize) -> Result<()> {
        if self.workers[number].as_ref().is_some_and(|worker| worker.task.is_some() || worker.requests.is_none()) {
            return Ok(());
        }
        let Some(task) = self.left.pop_front() else {
            self.workers[number].iter_mut().for_each(|worker| worker.requests = None);
            return Ok(());
        };
        let entry = &self.entries[task.i];
        let request = Request { what: self.tally.what(task.i), entry: entry.clone(), wait: task.wait };
        let line = match serde_json::to_string(&request) {
            Ok(line) => line,
            Err(e) => return self.failed(task, format!("the case cannot be given to a job: {e}")),
        };
        if self.workers[number].is_none() {
            self.workers[number] = Some(start(number, self.threads, &self.send)?);
        }
        let worker = self.workers[number].as_mut().expect("just started");
        let requests = worker.requests.as_mut().expect("checked above");
        match writeln!(requests, "{line}").and_then(|()| requests.flush()) {
            Ok(()) => worker.task = Some(task),
            // It has ended; the event for that follows, and another process does the case.
            Err(_) => {
                self.left.push_front(task);
                worker.requests = None;
            }
        }
        Ok(())
    }

    /// A line of a process: what became of its case.
    fn answer(&mut self, number: usize, line: &str) -> Result<()> {
        let worker = self.workers[number].as_mut().expect("the event is of a process that was started");
        // Anything else is what a library prints.
        let (Ok(outcome), Some(task)) = (serde_json::from_str::<Outcome>(line), worker.task) else {
            console::forward(line);
            return Ok(());
        };
        worker.task = None;
        self.tally.add(task.i, &self.entries[task.i], &outcome);
        match outcome {
            Outcome::Elsewhere => self.left.push_back(Task { wait: true, ..task }),
            // In a file, the process has recorded it.
            Outcome::Made(row) | Outcome::Kept(Some(row)) if self.results.is_stdout() => self.results.put(row)?,
            _ => (),
        }
        Ok(())
    }

    /// A process has ended: by itself, or in the middle of a case.
    fn ended(&mut self, number: usize) -> Result<()> {
        let mut worker = self.workers[number].take().expect("the event is of a process that was started");
        worker.requests = None;
        let status = worker.child.wait().map_err(|e| Error::Internal(format!("a job: {e}")))?;
        let _ = worker.log.join();
        match worker.task {
            Some(task) if !console::interrupted() => {
                let last_words = worker.last_words.lock().unwrap_or_else(|e| e.into_inner()).clone();
                self.failed(task, why(status, &last_words))
            }
            _ => Ok(()),
        }
    }

    /// Records that a case failed with its process.
    fn failed(&mut self, task: Task, error: String) -> Result<()> {
        let entry = &self.entries[task.i];
        log::error!("{}, {}: {error}", self.tally.what(task.i), entry.volume.display());
        let row = Row::failed(entry, error, &self.results.of(entry)?);
        self.tally.add(task.i, entry, &Outcome::Made(row.clone()));
        self.results.put(row)
    }
}

/// Why a process ended in the middle of a case.
fn why(status: ExitStatus, last_words: &str) -> String {
    #[cfg(unix)]
    if let Some(signal) = std::os::unix::process::ExitStatusExt::signal(&status) {
        return match signal {
            9 => "its process was killed (signal 9), as systems do when memory runs out: use fewer --jobs".into(),
            _ => format!("its process was ended by signal {signal}; its last line: {last_words}"),
        };
    }
    let code = status.code().unwrap_or_default();
    format!("its process ended with status {code}; its last line: {last_words}")
}

/// Starts process `number`: this command once more, as a worker.
fn start(number: usize, threads: usize, send: &Sender<Event>) -> Result<Worker> {
    let io = |e| Error::io(std::path::Path::new("mem3d"), e);
    let mut command = Command::new(std::env::current_exe().map_err(io)?);
    let mut given = std::env::args_os().skip(1);
    command.args(given.by_ref().take_while(|word| word != "batch"));
    command.arg("batch").arg(format!("--worker={threads}")).args(given);
    #[cfg(unix)]
    // Ctrl-C in a terminal reaches the batch alone, which then stops its processes.
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(io)?;
    let (out, errors) = (child.stdout.take().expect("piped"), child.stderr.take().expect("piped"));
    let last_words = Arc::new(Mutex::new(String::new()));
    let heard = last_words.clone();
    let log = std::thread::spawn(move || {
        for line in BufReader::new(errors).split(b'\n').map_while(std::result::Result::ok) {
            let line = String::from_utf8_lossy(&line).into_owned();
            console::forward(&line);
            *heard.lock().unwrap_or_else(|e| e.into_inner()) = line;
        }
    });
    let send = send.clone();
    std::thread::spawn(move || {
        for line in BufReader::new(out).split(b'\n').map_while(std::result::Result::ok) {
            let _ = send.send((number, Some(String::from_utf8_lossy(&line).into_owned())));
        }
        let _ = send.send((number, None));
    });
    Ok(Worker { requests: child.stdin.take(), child, task: None, last_words, log })
}
