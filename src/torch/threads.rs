//! Threads that compute one slice each, side by side.
//!
//! libtorch spreads every operation over its threads. Small networks do not scale with that: twice the threads make a
//! slice about 1.5 times as fast, and everything between the operations waits. Independent slices run on a thread each
//! instead, with libtorch on one thread, or on its share of the threads if there are more threads than slices.

use super::macs;
use rayon::prelude::{IntoParallelIterator, ParallelIterator};
use rayon::{ThreadPool, ThreadPoolBuilder};
use std::cell::Cell;
use std::sync::{Arc, Mutex};
use tch::Device;

thread_local! {
    /// Number of threads of the pool that this thread belongs to.
    static AT_ONCE: Cell<usize> = const { Cell::new(1) };
}

/// Number of jobs that [`each`] runs at a time on this thread: 1 outside of [`side_by_side`], more on its threads.
pub(crate) fn at_once() -> usize {
    AT_ONCE.get()
}

/// Distribution of libtorch's threads among jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Shares {
    /// Jobs at a time.
    at_once: usize,
    /// Threads of libtorch for each job.
    threads: usize,
}

impl Shares {
    fn of(jobs: usize, device: Device) -> Shares {
        let threads = usize::try_from(tch::get_num_threads()).unwrap_or(1).max(1);
        let at_once = if device == Device::Cpu { jobs.clamp(1, threads) } else { 1 };
        Shares { at_once, threads: threads / at_once }
    }
}

/// Number of jobs of `jobs` that [`side_by_side`] runs at a time; 1 if it only calls its body.
pub(crate) fn for_jobs(jobs: usize, device: Device) -> usize {
    Shares::of(jobs, device).at_once
}

/// Calls `body`, which passes `jobs` jobs to [`each`], in a pool of threads if there are several jobs and several
/// threads on the CPU; otherwise on the calling thread.
pub(crate) fn side_by_side<T: Send>(jobs: usize, device: Device, body: impl FnOnce() -> T + Send) -> T {
    let shares = Some(Shares::of(jobs, device)).filter(|shares| shares.at_once > 1);
    let Some(pool) = shares.and_then(pool) else { return body() };
    let (result, macs) = pool.install(|| macs::count(body));
    macs::add_counted(macs);
    result
}

/// Runs all jobs and returns their results in order. Each of the workers takes the next job when it has finished one.
/// Gradients are not recorded.
///
/// # Panics
/// When `run` does, after all other jobs.
pub(crate) fn each<W: Send, J: Send, O: Send>(
    workers: &mut [W],
    jobs: Vec<J>,
    run: impl Fn(&mut W, J) -> O + Sync,
) -> Vec<O> {
    let queue = Mutex::new(jobs.into_iter().enumerate());
    let next = || queue.lock().unwrap_or_else(|e| e.into_inner()).next();
    let done = Mutex::new(Vec::new());
    rayon::in_place_scope(|scope| {
        for worker in workers {
            scope.spawn(|_| {
                let (own, macs) = macs::count(|| {
                    let mut own = Vec::new();
                    while let Some((n, job)) = next() {
                        own.push((n, tch::no_grad(|| run(worker, job))));
                    }
                    own
                });
                done.lock().unwrap_or_else(|e| e.into_inner()).push((own, macs));
            });
        }
    });
    let done = done.into_inner().unwrap_or_else(|e| e.into_inner());
    macs::add_counted(done.iter().map(|(_, macs)| macs).sum());
    let mut results: Vec<(usize, O)> = done.into_iter().flat_map(|(own, _)| own).collect();
    results.sort_by_key(|(n, _)| *n);
    results.into_iter().map(|(_, result)| result).collect()
}

/// Runs all jobs and returns their results in order: one after the other, or on all threads inside of
/// [`side_by_side`]. Gradients are not recorded.
///
/// # Panics
/// When `run` does.
pub(crate) fn map<J: Send, O: Send>(jobs: Vec<J>, run: impl Fn(J) -> O + Sync + Send) -> Vec<O> {
    let one = |job| tch::no_grad(|| run(job));
    if at_once() < 2 { jobs.into_iter().map(one).collect() } else { jobs.into_par_iter().map(one).collect() }
}

/// Largest number of pools that are kept. Chosen: a propagation uses two, for chains and for slices; one is spare.
const KEPT: usize = 3;

/// A pool of as many threads as jobs run at a time, each with its share of libtorch's threads. A forked process, which
/// inherits no threads, starts new ones. None when threads cannot be started.
fn pool(shares: Shares) -> Option<Arc<ThreadPool>> {
    static POOLS: Mutex<Vec<(u32, Shares, Arc<ThreadPool>)>> = Mutex::new(Vec::new());
    let mut pools = POOLS.lock().unwrap_or_else(|e| e.into_inner());
    let process = std::process::id();
    pools.retain(|(of, ..)| *of == process);
    if let Some(known) = pools.iter().position(|(_, known, _)| *known == shares) {
        // The most recently used pool is the last.
        pools[known..].rotate_left(1);
        return pools.last().map(|(.., pool)| pool.clone());
    }
    let threads = tch::get_num_threads();
    let Shares { at_once, threads: own } = shares;
    let new = ThreadPoolBuilder::new().num_threads(at_once).thread_name(|i| format!("mem3d-{i}")).build();
    let new = Arc::new(new.inspect_err(|e| log::warn!("{at_once} threads cannot be started: {e}")).ok()?);
    new.broadcast(|_| {
        // libtorch has a number of threads for each thread, and one for threads that have not read theirs. Reading it
        // here fixes this thread's own; the other one is restored below.
        let _ = tch::get_num_threads();
        tch::set_num_threads(own as i32);
        AT_ONCE.set(at_once);
    });
    tch::set_num_threads(threads);
    if pools.len() == KEPT {
        pools.remove(0);
    }
    pools.push((process, shares, new.clone()));
    Some(new)
}

/// Runs `body` of a test with this number of libtorch's threads. It belongs to the process, so that such tests run one
/// after the other.
#[cfg(test)]
pub(crate) fn with_threads<T>(threads: i32, body: impl FnOnce() -> T) -> T {
    static ALONE: Mutex<()> = Mutex::new(());
    let _alone = ALONE.lock().unwrap_or_else(|e| e.into_inner());
    let before = tch::get_num_threads();
    tch::set_num_threads(threads);
    let result = body();
    tch::set_num_threads(before);
    result
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::sync::Barrier;

    #[test]
    fn jobs_run_at_the_same_time_with_one_thread_each() {
        let meet = Barrier::new(2);
        let run = |worker: &mut Vec<i32>, job: i32| {
            // Two jobs wait for each other.
            if job < 2 {
                meet.wait();
            }
            worker.push(job);
            (job * 10, tch::get_num_threads(), std::thread::current().id())
        };
        let mut workers = [vec![], vec![]];
        let (at_once_there, done) =
            with_threads(2, || side_by_side(5, Device::Cpu, || (at_once(), each(&mut workers, (0..5).collect(), run))));
        assert_eq!(at_once_there, 2);
        assert_eq!(done.iter().map(|d| d.0).collect::<Vec<_>>(), [0, 10, 20, 30, 40]);
        assert!(done.iter().all(|d| d.1 == 1), "libtorch has one thread for each job");
        assert_eq!(done.iter().map(|d| format!("{:?}", d.2)).collect::<BTreeSet<_>>().len(), 2);
        assert_eq!(workers.iter().map(Vec::len).sum::<usize>(), 5);
    }

    #[test]
    fn libtorchs_threads_are_distributed_among_the_jobs() {
        let here = std::thread::current().id();
        let seen = || (at_once(), tch::get_num_threads(), std::thread::current().id());
        with_threads(4, || {
            for (jobs, expected) in [(2, (2, 2)), (3, (3, 1)), (9, (4, 1)), (2, (2, 2))] {
                let (at_once, own, there) = side_by_side(jobs, Device::Cpu, seen);
                assert!((at_once, own) == expected && there != here, "{jobs} jobs: {at_once} at once, {own} threads");
                assert_eq!(for_jobs(jobs, Device::Cpu), at_once);
            }
            assert_eq!(side_by_side(1, Device::Cpu, seen), (1, 4, here));
            assert_eq!(side_by_side(9, Device::Cuda(0), seen), (1, 4, here));
            // A new thread has the number that was set.
            assert_eq!(std::thread::spawn(tch::get_num_threads).join().unwrap(), 4);
        });
        with_threads(1, || assert_eq!(side_by_side(9, Device::Cpu, seen), (1, 1, here)));
        with_threads(2, || assert_eq!(side_by_side(1, Device::Cpu, seen), (1, 2, here)));
    }

    #[test]
    fn pools_are_replaced_while_others_are_in_use() {
        with_threads(8, || {
            let inner = || (2..=6).map(|jobs| side_by_side(jobs, Device::Cpu, at_once)).collect::<Vec<_>>();
            assert_eq!(inner(), [2, 3, 4, 5, 6]);
            assert_eq!(inner(), [2, 3, 4, 5, 6]);
            assert_eq!(tch::get_num_threads(), 8);
        });
    }

    #[test]
    fn map_runs_in_order_on_all_threads_and_inside_of_other_jobs() {
        let meet = Barrier::new(2);
        let run = |job: i32| {
            if job < 2 {
                meet.wait();
            }
            (job * 10, tch::get_num_threads())
        };
        let tens = [(0, 1), (10, 1), (20, 1), (30, 1), (40, 1)];
        with_threads(2, || {
            assert_eq!(side_by_side(5, Device::Cpu, || map((0..5).collect(), run)), tens);
            let inside = || each(&mut [()], vec![()], |(), ()| map((0..5).collect(), run));
            assert_eq!(side_by_side(5, Device::Cpu, inside), [tens]);
            // Outside of a pool it runs on the calling thread.
            let here = std::thread::current().id();
            assert_eq!(map(vec![1, 2], |_| std::thread::current().id()), [here; 2]);
        });
    }

    #[test]
    fn a_panic_reaches_the_caller_and_the_pool_stays_usable() {
        let failing = || {
            side_by_side(4, Device::Cpu, || {
                each(&mut [(), ()], vec![1, 2, 3, 4], |_, n| if n == 3 { panic!("three") } else { n })
            })
        };
        with_threads(2, || {
            let payload = std::panic::catch_unwind(failing).unwrap_err();
            assert_eq!(payload.downcast_ref::<&str>(), Some(&"three"));
            assert_eq!(side_by_side(2, Device::Cpu, || each(&mut [(), ()], vec![1, 2], |_, n| n + 1)), [2, 3]);
        });
    }

    #[test]
    fn operations_on_other_threads_are_counted() {
        use crate::nn::layers::{Conv, ConvOptions};
        use crate::nn::params::{Params, Target};
        let conv = || Conv::new(&Params::init(1, Target::default()), ConvOptions::new(4, 6, 3));
        let x = || tch::Tensor::zeros([1, 4, 8, 8], (tch::Kind::Float, Device::Cpu));
        let run = |conv: &mut Conv, _: i32| conv.forward(&x()).numel();
        let (_, macs) = with_threads(2, || {
            let mut workers = [conv(), conv()];
            macs::count(|| side_by_side(3, Device::Cpu, || each(&mut workers, vec![0, 1, 2], run)))
        });
        assert_eq!(macs, 3 * 6 * 64 * 36);
    }
}
