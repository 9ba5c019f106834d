//! Log lines, progress and errors on standard error, and Ctrl-C. SIGTERM and SIGHUP count as Ctrl-C.

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use mem3d::{Error, Result, atomic_file};
use std::error::Error as _;
use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Options of every subcommand.
#[derive(Debug, clap::Args)]
#[group(skip)]
pub struct Args {
    /// Only warnings and errors; no progress.
    #[arg(long, short, global = true, conflicts_with = "verbose")]
    quiet: bool,
    /// More log lines; twice for all.
    #[arg(long, short, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
}

/// Progress bars; log lines are printed above them.
static BARS: OnceLock<MultiProgress> = OnceLock::new();

/// Number of times that Ctrl-C was pressed.
static INTERRUPTS: AtomicUsize = AtomicUsize::new(0);

/// When Ctrl-C was pressed first.
static FIRST: OnceLock<Instant> = OnceLock::new();

/// Signals that come together are one: schedulers send theirs to a job's shell and to its processes. Chosen.
const TOGETHER: Duration = Duration::from_millis(500);

/// Whether [`stop`] was called.
static STOPPED: AtomicBool = AtomicBool::new(false);

/// Whether the running work checks [`interrupted`].
static STOPS_CLEANLY: AtomicBool = AtomicBool::new(false);

/// Time between two log lines in place of a progress bar. Chosen.
const LOG_EVERY: Duration = Duration::from_secs(10);

/// Sets up logging, progress, Ctrl-C, and what happens to a panic.
pub fn start(args: &Args) {
    let bars = !args.quiet && std::io::stderr().is_terminal();
    let target = if bars { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
    BARS.set(MultiProgress::with_draw_target(target)).expect("set once");
    let level = match (args.quiet, args.verbose) {
        (true, _) => "warn",
        (_, 0) => "warn,mem3d=info",
        (_, 1) => "warn,mem3d=debug",
        _ => "trace",
    };
    env_logger::Builder::from_env(env_logger::Env::default().filter_or("MEM3D_LOG", level))
        .format(|out, record| {
            let level = record.level().to_string().to_lowercase();
            let style = out.default_level_style(record.level());
            suspended(|| writeln!(out, "[{}] {style}{level}{style:#}: {}", out.timestamp_seconds(), record.args()))
        })
        .init();
    // A panic is a bug or a failure of libtorch; both are reported as errors. The default text is for developers.
    std::panic::set_hook(Box::new(|info| log::debug!("{info}")));
    super::system::report_large_files();
    if let Err(e) = super::system::keeping_ignored(|| ctrlc::set_handler(interrupt)) {
        log::debug!("Ctrl-C ends the program at once: {e}");
    }
}

fn interrupt() {
    let since = FIRST.get_or_init(Instant::now).elapsed();
    let first = INTERRUPTS.fetch_add(1, Ordering::SeqCst) == 0;
    if !first && since < TOGETHER {
        return;
    }
    // Work that is written already ends by itself in a moment, with the status that it has.
    if first && (STOPS_CLEANLY.load(Ordering::SeqCst) || atomic_file::finished() > 0) {
        return complain(format_args!("stopping; press Ctrl-C again to end at once"));
    }
    let unfinished = atomic_file::abandon();
    super::output::remove_scratch();
    let names: Vec<String> = unfinished.iter().map(|path| format!("; {} is not written", path.display())).collect();
    complain(format_args!("error: stopped{}", names.concat()));
    super::system::end(1)
}

/// From now on the first Ctrl-C only sets [`interrupted`]; the caller checks it and stops cleanly.
pub fn stop_cleanly() {
    STOPS_CLEANLY.store(true, Ordering::SeqCst);
}

/// Stops the running work as the first Ctrl-C does.
pub fn stop() {
    STOPPED.store(true, Ordering::SeqCst);
}

/// Whether the user pressed Ctrl-C, or [`stop`] was called.
pub fn interrupted() -> bool {
    INTERRUPTS.load(Ordering::SeqCst) > 0 || STOPPED.load(Ordering::SeqCst)
}

/// [`Error::Cancelled`] when [`interrupted`].
pub fn check_interrupt() -> Result<()> {
    if interrupted() { Err(Error::Cancelled) } else { Ok(()) }
}

/// Runs `print` with the bars hidden.
fn suspended<T>(print: impl FnOnce() -> T) -> T {
    match BARS.get() {
        Some(bars) => bars.suspend(print),
        None => print(),
    }
}

/// Prints a line on standard error, if it takes one.
pub fn complain(text: std::fmt::Arguments<'_>) {
    let _ = suspended(|| writeln!(std::io::stderr(), "{text}"));
}

/// Prints a line of another process on standard error.
pub fn forward(line: &str) {
    complain(format_args!("{line}"));
}

/// Runs a subcommand; prints its error on standard error and returns the exit status.
pub fn report(body: impl FnOnce() -> Result<()>) -> ExitCode {
    match std::panic::catch_unwind(std::panic::AssertUnwindSafe(body)) {
        Ok(Ok(())) => match super::output::unsaid() {
            None => ExitCode::SUCCESS,
            Some(e) => {
                complain(format_args!("error: {}", chain(&e)));
                ExitCode::FAILURE
            }
        },
        Ok(Err(e)) => {
            complain(format_args!("error: {}", chain(&e)));
            ExitCode::FAILURE
        }
        Err(payload) => {
            let text = payload.downcast_ref::<String>().map(String::as_str);
            let text = text.or(payload.downcast_ref::<&str>().copied()).unwrap_or("unknown failure");
            complain(format_args!("error: {}", Error::Internal(text.into())));
            ExitCode::FAILURE
        }
    }
}

/// `1 slice`, `2 slices`.
pub fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// The text of an error and of its causes, each once.
pub fn chain(error: &Error) -> String {
    let mut text = error.to_string();
    match error {
        // The call changed nothing, but the command may have written results before.
        Error::Cancelled => return "stopped".into(),
        // Its words are those of the cause.
        Error::Io { .. } => return text,
        _ => (),
    }
    let mut cause = error.source();
    while let Some(e) = cause {
        let more = e.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = e.source();
    }
    text
}

/// A bar of `length` with a message; hidden without a terminal.
pub fn bar(length: u64, style: ProgressStyle) -> ProgressBar {
    let bars = BARS.get().cloned().unwrap_or_else(|| MultiProgress::with_draw_target(ProgressDrawTarget::hidden()));
    bars.add(ProgressBar::new(length).with_style(style))
}

/// A progress bar on a terminal, else log lines at intervals.
pub struct Progress {
    bar: ProgressBar,
    what: String,
    logged: Instant,
}

impl Progress {
    /// A bar over `total` steps of `what`. With 0 steps the bar shows activity only.
    pub fn new(what: impl Into<String>, total: usize) -> Progress {
        let what = what.into();
        let bars = BARS.get().cloned().unwrap_or_else(|| MultiProgress::with_draw_target(ProgressDrawTarget::hidden()));
        let template = match total {
            0 => "{spinner} {msg} {elapsed}",
            _ => "{msg} [{bar:30}] {pos}/{len} {elapsed}, {eta} left",
        };
        let bar = bars.add(ProgressBar::new(total as u64));
        bar.set_style(ProgressStyle::with_template(template).expect("a valid template").progress_chars("=> "));
        bar.set_message(what.clone());
        bar.enable_steady_tick(Duration::from_millis(200));
        Progress { bar, what, logged: Instant::now() }
    }

    /// `done` of `total` steps are done.
    pub fn set(&mut self, done: usize, total: usize) {
        self.bar.set_length(total as u64);
        self.bar.set_position(done as u64);
        if self.bar.is_hidden() && self.logged.elapsed() >= LOG_EVERY {
            log::info!("{}: {done} of {total}", self.what);
            self.logged = Instant::now();
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// Shows `what` while `body` runs.
pub fn busy<T>(what: impl Into<String>, body: impl FnOnce() -> T) -> T {
    let what = what.into();
    log::debug!("{what}");
    let _progress = Progress::new(what, 0);
    body()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_are_reported_once() {
        let path = std::path::Path::new("a.nii");
        let text = chain(&Error::io(path, std::io::Error::other("the disk is full")));
        assert_eq!(text, "a.nii: the disk is full");
        let text = chain(&Error::io(path, std::io::ErrorKind::NotFound.into()));
        assert_eq!(text, "a.nii: there is no such file or folder; check the name");
        assert_eq!(chain(&Error::Cancelled), "stopped");
    }

    #[test]
    fn one_thing_is_no_things() {
        assert_eq!([0, 1, 2].map(|n| counted(n, "round")), ["0 rounds", "1 round", "2 rounds"]);
    }
}
