//! Memory that runs out in the middle of a propagation: fewer slices together, then an error, and the session as it
//! was.

mod common;
#[path = "common/limited_memory.rs"]
#[cfg(target_os = "linux")]
mod limited_memory;

use common::*;
use mem3d::Error;
use mem3d::engine::{PropagateOptions, Session, SessionOptions};
use mem3d::io::session_file;
use mem3d::volume::{Geometry, SliceAxis, Volume, VoxelData};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Three segments, so that six chains run together.
fn open() -> (Session, Arc<Calls>) {
    let (mut session, calls) =
        session_with(SessionOptions { window: Some((0.0, 255.0)), whole_slice: true, ..SessionOptions::default() });
    for (segment, mask) in
        [(1, slice_mask(12..28, 10..34)), (2, slice_mask(32..38, 4..12)), (3, slice_mask(14..20, 12..20))]
    {
        session.set_slice_mask(segment, SliceAxis::Depth, 10, &mask).unwrap();
    }
    (session, calls)
}

fn go(session: &mut Session) -> mem3d::Result<usize> {
    session.propagate(&PropagateOptions::default(), &mut |_| true)
}

fn masks(session: &Session) -> Vec<Vec<u8>> {
    let read = |segment| {
        let mut mask = vec![0; session.volume().data().len()];
        session.read_mask(segment, &mut mask).unwrap();
        mask
    };
    (1..=3).map(read).collect()
}

#[test]
fn with_less_memory_fewer_slices_go_together_and_masks_are_the_same() {
    let (mut free, _) = open();
    let replaced = go(&mut free).unwrap();
    for threads in 1..=3 {
        tch::set_num_threads(threads);
        for most in 1..=4 {
            let (mut tight, calls) = open();
            calls.most_together.store(most, Ordering::Relaxed);
            assert_eq!(go(&mut tight).unwrap(), replaced);
            assert!(masks(&tight) == masks(&free), "{threads} threads, at most {most} slices together: other masks");
        }
    }
}

#[test]
fn chains_are_carried_by_as_many_threads_as_libtorch_has_and_give_the_same_masks() {
    let mut alone: Option<Vec<Vec<u8>>> = None;
    for threads in 1..=3 {
        tch::set_num_threads(threads);
        let (mut session, calls) = open();
        go(&mut session).unwrap();
        // Six chains: as many parts as threads, each a call of the network.
        assert_eq!(calls.most_at_once.load(Ordering::Relaxed), 6 / threads as usize, "{threads} threads");
        let others = calls.threads.lock().unwrap().iter().filter(|name| name.starts_with("mem3d-")).count();
        assert_eq!(others > 0, threads > 1, "{threads} threads");
        let masks = masks(&session);
        assert!(*alone.get_or_insert(masks.clone()) == masks, "{threads} threads gave other masks");
    }
}

#[test]
fn no_thread_waits_for_another_with_more_chains() {
    let mut alone: Option<Vec<u8>> = None;
    for threads in [1, 2] {
        tch::set_num_threads(threads);
        let options = SessionOptions { window: Some((0.0, 255.0)), whole_slice: true, ..SessionOptions::default() };
        let (mut session, calls) = session_with(options);
        for slice in [6, 14] {
            calls.most_at_once.store(0, Ordering::Relaxed);
            session.set_slice_mask(1, SliceAxis::Depth, slice, &slice_mask(12..28, 10..34)).unwrap();
            go(&mut session).unwrap();
        }
        // From the first slice upwards, from the second to both sides: three chains, two of which take the next step on
        // two threads.
        assert_eq!(calls.most_at_once.load(Ordering::Relaxed), if threads == 1 { 3 } else { 1 });
        let mut mask = vec![0; session.volume().data().len()];
        session.read_mask(1, &mut mask).unwrap();
        assert!(*alone.get_or_insert(mask.clone()) == mask, "{threads} threads gave another mask");
    }
}

#[test]
fn when_nothing_fits_the_error_says_so_and_the_session_is_as_it_was() {
    for threads in 1..=3 {
        tch::set_num_threads(threads);
        let (mut session, calls) = open();
        let before = masks(&session);
        calls.nothing_fits.store(true, Ordering::Relaxed);
        match go(&mut session).unwrap_err() {
            Error::OutOfMemory(text) => assert!(text.contains("not enough memory"), "{text}"),
            other => panic!("{other}"),
        }
        // What can be computed again was given up before giving in.
        assert_eq!(session.memory_usage().features, 0);
        assert!(masks(&session) == before && session.undo() && session.redo());
        calls.nothing_fits.store(false, Ordering::Relaxed);
        let (mut untroubled, _) = open();
        assert_eq!(go(&mut session).unwrap(), go(&mut untroubled).unwrap());
        assert!(masks(&session) == masks(&untroubled));
    }
}

/// Runs in a process of its own, whose memory is limited.
#[test]
#[ignore = "run by the other test, with limited memory"]
fn read_and_save_without_memory() {
    let n = 1 << 24;
    let data = VoxelData::U8((0..n).map(|i| (i % 7) as u8).collect());
    let volume = Volume::new([1, 4096, 4096], data, Geometry::default()).unwrap();
    let mut session = Session::new(volume, Box::new(StandIn::new()), SessionOptions::default()).unwrap();
    let mask: Vec<u8> = (0..n).map(|i| u8::from(i % 4096 < 4000)).collect();
    session.set_mask(1, &mask).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.m3s");
    let mut labels = vec![7u16; n];
    let mut taken: Vec<Vec<u8>> = Vec::with_capacity(1 << 16);
    // For the text of the error.
    let small: Vec<Vec<u8>> = (0..64).map(|_| vec![0; 4096]).collect();
    for bytes in [n, 1 << 20] {
        let mut block: Vec<u8> = Vec::new();
        while block.try_reserve_exact(bytes).is_ok() {
            taken.push(std::mem::take(&mut block));
        }
    }
    drop(small);
    let results =
        [session.read_labels(&mut labels), session.set_mask(2, &mask), session_file::write(&path, &session.save())];
    // The masks are not copied to be saved.
    drop(std::hint::black_box(taken.remove(0)));
    let saved = session_file::write(&path, &session.save());
    drop(std::hint::black_box(taken));
    for result in results {
        assert!(matches!(result, Err(Error::OutOfMemory(_))), "{result:?}");
    }
    assert!(labels.iter().all(|&label| label == 7) && session.segments() == [1]);
    saved.unwrap();
    session.reset(None).unwrap();
    session.restore(session_file::read(&path).unwrap()).unwrap();
    let mut restored = vec![9; n];
    session.read_mask(1, &mut restored).unwrap();
    assert!(restored == mask);
}

#[cfg(target_os = "linux")]
#[test]
fn without_memory_calls_fail_and_a_session_can_still_be_saved() {
    limited_memory::run_ignored("read_and_save_without_memory");
}
