//! Numbers of threads: what the process may use, and what other programs leave free.

use crate::error::{Error, Result};
use std::sync::OnceLock;
use std::time::Duration;

/// Largest number of threads that can be set on small machines. Chosen: tests of many threads need some.
const MOST_ON_SMALL: usize = 64;

/// Readings of the run queue, and the time between two. Chosen: 12 ms, in which a program that computes is seen each
/// time, and one that only wakes up is not.
const READINGS: usize = 5;
const BETWEEN: Duration = Duration::from_millis(3);

/// Default number of threads: libtorch's, but at most the processors of the process: affinity (taskset)
/// and limits of a container (cgroup) count. `OMP_NUM_THREADS` and `MKL_NUM_THREADS` are the user's choice and stay.
pub fn allowed() -> usize {
    static DEFAULT: OnceLock<usize> = OnceLock::new();
    *DEFAULT.get_or_init(|| {
        let of_libtorch = usize::try_from(tch::get_num_threads()).unwrap_or(1).max(1);
        if chosen_by_environment() { of_libtorch } else { of_libtorch.min(processors()) }
    })
}

/// As [`allowed`], less the processors that other programs keep busy now; at least 1. Threads that wait for a
/// processor hold up all others, since libtorch's threads wait for each other after every operation.
pub fn free() -> usize {
    let allowed = allowed();
    if allowed == 1 || chosen_by_environment() {
        return allowed;
    }
    let busy = (0..READINGS).map_while(|reading| {
        if reading > 0 {
            std::thread::sleep(BETWEEN);
        }
        let stat = std::fs::read_to_string("/proc/stat").ok()?;
        Some((run_queue(&stat)?, own_running()?))
    });
    let busy: Vec<((usize, usize), usize)> = busy.collect();
    let others = busy.iter().map(|((_, running), own)| running.saturating_sub(*own)).min().unwrap_or(0);
    // The processors of the whole machine, as the run queue is.
    let all = busy.first().map_or(allowed, |((all, _), _)| *all);
    all.saturating_sub(others).clamp(1, allowed)
}

/// Sets libtorch's number of threads on this thread and for new ones.
///
/// # Errors
/// [`Error::InvalidArgument`] when `count` is 0 or more than four times the processors and 64, or when so many threads
/// cannot be started: libtorch would end the process then.
pub fn set_threads(count: usize) -> Result<()> {
    check(count)?;
    tch::set_num_threads(count as i32);
    Ok(())
}

/// The checks of [`set_threads`].
///
/// # Errors
/// Those of [`set_threads`].
pub fn check(count: usize) -> Result<()> {
    let most = (4 * processors()).max(MOST_ON_SMALL);
    if count == 0 || count > most {
        return Err(Error::argument(format!("{count} threads: use 1 to {most} on this machine")));
    }
    let started = can_start(count);
    if started < count {
        return Err(Error::argument(format!(
            "{count} threads: the system starts only {started} at a time (a limit of processes or of memory); use fewer"
        )));
    }
    Ok(())
}

fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

fn chosen_by_environment() -> bool {
    ["OMP_NUM_THREADS", "MKL_NUM_THREADS"].iter().any(|name| std::env::var_os(name).is_some_and(|v| !v.is_empty()))
}

/// How many of `count` threads run at the same time, when all are started; they end at once.
fn can_start(count: usize) -> usize {
    if count <= processors() {
        return count;
    }
    let (end, wait) = std::sync::mpsc::channel::<()>();
    let wait = std::sync::Arc::new(std::sync::Mutex::new(wait));
    let started: Vec<_> = (0..count)
        .map_while(|_| {
            let wait = wait.clone();
            // The stack of libtorch's threads.
            let builder = std::thread::Builder::new().stack_size(8 << 20);
            builder.spawn(move || drop(wait.lock().map(|end| end.recv()))).ok()
        })
        .collect();
    drop(end);
    let count = started.len();
    started.into_iter().for_each(|thread| drop(thread.join()));
    count
}

/// Processors of the machine and threads that run or could, of `/proc/stat`.
fn run_queue(stat: &str) -> Option<(usize, usize)> {
    let is_processor =
        |line: &&str| line.strip_prefix("cpu").is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    let running = stat.lines().find_map(|line| line.strip_prefix("procs_running ")?.trim().parse().ok())?;
    Some((stat.lines().filter(is_processor).count().max(1), running))
}

/// Threads of this process that run or could.
fn own_running() -> Option<usize> {
    let tasks = std::fs::read_dir("/proc/self/task").ok()?;
    let runs = |stat: String| stat.rsplit_once(')').is_some_and(|(_, rest)| rest.trim_start().starts_with('R'));
    Some(
        tasks
            .flatten()
            .filter_map(|t| std::fs::read_to_string(t.path().join("stat")).ok())
            .filter(|s| runs(s.clone()))
            .count(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_run_queue_is_read() {
        let stat = "cpu  1 2 3\ncpu0 1 2\ncpu1 3 4\nintr 5\nprocs_running 3\nprocs_blocked 0\n";
        assert_eq!(run_queue(stat), Some((2, 3)));
        assert_eq!(run_queue("cpu  1 2 3\n"), None);
    }

    #[test]
    fn free_processors_are_some_of_the_allowed() {
        assert!((1..=allowed()).contains(&free()));
        assert!(allowed() <= usize::try_from(tch::get_num_threads()).unwrap().max(allowed()));
    }

    #[test]
    fn numbers_of_threads_are_bounded() {
        let text = |count| check(count).unwrap_err().to_string();
        assert!(text(0).contains("use 1 to"));
        assert!(text(100_000).contains("100000 threads: use 1 to"));
        check(1).unwrap();
        check(64).unwrap();
        assert_eq!(can_start(20), 20);
    }
}
