//! Threads that compute one slice each, side by side.
//!
//! libtorch spreads every single operation over its threads. The maps of small networks are so small that twice the threads make a slice
//! only about 1.5 times as fast, and all that lies between the operations waits. Slices that do not depend on each other are better given
//! to a thread each, on which libtorch computes alone, or with its share of the threads where there are more threads than slices.

use super::macs;
use rayon::prelude::{IntoParallelIterator, ParallelIterator};
use rayon::{ThreadPool, ThreadPoolBuilder};
use std::cell::Cell;
use std::sync::{Arc, Mutex};
use tch::Device;

thread_local! {
    /// On a thread of a pool, how many there are.
    static AT_ONCE: Cell<usize> = const { Cell::new(1) };
}

/// Jobs that [`each`] does at the same time when called here: 1 outside of [`side_by_side`].
pub(crate) fn at_once() -> usize {
    AT_ONCE.get()
}

/// How libtorch's threads are shared out among jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Shares {
    /// Jobs at the same time.
    at_once: usize,
    /// Threads of libtorch for each.
    threads: usize,
}

impl Shares {
    fn of(jobs: usize, device: Device) -> Shares {
        let threads = usize::try_from(tch::get_num_threads()).unwrap_or(1).max(1);
        let at_once = if device == Device::Cpu { jobs.clamp(1, threads) } else { 1 };
        Shares { at_once, threads: threads / at_once }
    }
}

/// Jobs that [`side_by_side`] would do at the same time of so many; 1 when it would only call.
pub(crate) fn for_jobs(jobs: usize, device: Device) -> usize {
    Shares::of(jobs, device).at_once
}

/// Runs `body`, which has `jobs` to do with [`each`], where they are done side by side, if there are several and libtorch is to use several
/// threads on the CPU. Otherwise it is just called.
pub(crate) fn side_by_side<T: Send>(jobs: usize, device: Device, body: impl FnOnce() -> T + Send) -> T {
    let shares = Some(Shares::of(jobs, device)).filter(|shares| shares.at_once > 1);
    let Some(pool) = shares.and_then(pool) else { return body() };
    let (result, macs) = pool.install(|| macs::count(body));
    macs::add_counted(macs);
    result
}

/// What `run` makes of each job, in order; the workers take the next one as soon as they are done with one. Gradients are not recorded.
///
/// # Panics
/// When `run` does, once all other jobs are done.
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

/// What `run` makes of each job, in order: one after the other, or inside of [`side_by_side`] on all threads. Gradients are not recorded.
///
/// # Panics
/// When `run` does.
pub(crate) fn map<J: Send, O: Send>(jobs: Vec<J>, run: impl Fn(J) -> O + Sync + Send) -> Vec<O> {
    let one = |job| tch::no_grad(|| run(job));
    if at_once() < 2 { jobs.into_iter().map(one).collect() } else { jobs.into_par_iter().map(one).collect() }
}

/// Pools that are kept: one for the chains of a propagation, one for what is done to all of their slices, and one more.
const KEPT: usize = 3;

/// As many threads as jobs are done at the same time, on each of which libtorch computes with its share; started anew in a process that was
/// forked off, where they are missing. None when they cannot be had.
fn pool(shares: Shares) -> Option<Arc<ThreadPool>> {
    static POOLS: Mutex<Vec<(u32, Shares, Arc<ThreadPool>)>> = Mutex::new(Vec::new());
    let mut pools = POOLS.lock().unwrap_or_else(|e| e.into_inner());
    let process = std::process::id();
    pools.retain(|(of, ..)| *of == process);
    if let Some(known) = pools.iter().position(|(_, known, _)| *known == shares) {
        // The one that was used last is at the end.
        pools[known..].rotate_left(1);
        return pools.last().map(|(.., pool)| pool.clone());
    }
    let threads = tch::get_num_threads();
    let Shares { at_once, threads: own } = shares;
    let new = ThreadPoolBuilder::new().num_threads(at_once).thread_name(|i| format!("mem3d-{i}")).build();
    let new = Arc::new(new.inspect_err(|e| log::warn!("{at_once} threads cannot be started: {e}")).ok()?);
    new.broadcast(|_| {
        // libtorch keeps one number for each thread, and one for threads that have not asked for theirs yet. A thread that asks now keeps
        // its own; the other number is put back below.
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::sync::Barrier;

    /// The number of threads is the process's: tests that set it come one after the other.
    static ALONE: Mutex<()> = Mutex::new(());

    fn with_threads<T>(threads: i32, body: impl FnOnce() -> T) -> T {
        let _alone = ALONE.lock().unwrap_or_else(|e| e.into_inner());
        let before = tch::get_num_threads();
        tch::set_num_threads(threads);
        let result = body();
        tch::set_num_threads(before);
        result
    }

    #[test]
    fn jobs_are_done_at_the_same_time_in_order_and_alone() {
        let meet = Barrier::new(2);
        let run = |worker: &mut Vec<i32>, job: i32| {
            // Nobody gets past here alone.
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
        assert!(done.iter().all(|d| d.1 == 1), "libtorch computes alone on each thread");
        assert_eq!(done.iter().map(|d| format!("{:?}", d.2)).collect::<BTreeSet<_>>().len(), 2);
        assert_eq!(workers.iter().map(Vec::len).sum::<usize>(), 5);
    }

    #[test]
    fn libtorchs_threads_are_shared_out_among_the_jobs() {
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
            // A thread that comes later finds the number that was set.
            assert_eq!(std::thread::spawn(tch::get_num_threads).join().unwrap(), 4);
        });
        with_threads(1, || assert_eq!(side_by_side(9, Device::Cpu, seen), (1, 1, here)));
        with_threads(2, || assert_eq!(side_by_side(1, Device::Cpu, seen), (1, 2, here)));
    }

    #[test]
    fn pools_come_and_go_without_a_change_to_those_in_use() {
        with_threads(8, || {
            let inner = || (2..=6).map(|jobs| side_by_side(jobs, Device::Cpu, at_once)).collect::<Vec<_>>();
            assert_eq!(inner(), [2, 3, 4, 5, 6]);
            assert_eq!(inner(), [2, 3, 4, 5, 6]);
            assert_eq!(tch::get_num_threads(), 8);
        });
    }

    #[test]
    fn what_is_mapped_is_in_order_and_on_all_threads_also_inside_of_other_jobs() {
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
            // Outside it is done here.
            let here = std::thread::current().id();
            assert_eq!(map(vec![1, 2], |_| std::thread::current().id()), [here; 2]);
        });
    }

    #[test]
    fn a_panic_reaches_the_caller_and_the_threads_go_on() {
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
    fn what_is_computed_there_is_counted() {
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
