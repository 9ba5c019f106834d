//! Failure, cancellation, undo, redo, save and restore: a session is exactly as it was, or as it should be.

mod common;

use common::*;
use mem3d::Error;
use mem3d::engine::{Interaction, PropagateOptions, Session, SessionOptions};
use mem3d::nn::InteractionKind;
use mem3d::volume::{Geometry, SliceAxis, SliceMask, Volume, VoxelData};
use std::sync::atomic::Ordering;

fn two_rounds() -> Session {
    let mut s = session();
    s.interact(click(1, 10)).unwrap();
    s.propagate(&PropagateOptions::default(), &mut |_| true).unwrap();
    s.set_slice_mask(2, SliceAxis::Depth, 6, &slice_mask(32..38, 4..12)).unwrap();
    s.interact(click(1, 14)).unwrap();
    s
}

#[test]
fn cancelling_at_any_slice_changes_nothing() {
    let mut s = two_rounds();
    let before = visible(&s);
    let mut stop_at = 1;
    loop {
        let mut n = 0;
        let result = s.propagate(&PropagateOptions::default(), &mut |_| {
            n += 1;
            n < stop_at
        });
        match result {
            Err(Error::Cancelled) => assert_eq!(visible(&s), before),
            Ok(_) => break,
            Err(e) => panic!("{e}"),
        }
        stop_at += 1;
    }
    assert!(stop_at > 10);
    assert_ne!(visible(&s), before);
}

#[test]
fn a_token_cancels_and_is_forgotten_by_the_next_call() {
    let mut s = two_rounds();
    let before = visible(&s);
    let token = s.cancel_token();
    let result = s.propagate(&PropagateOptions::default(), &mut |_| {
        token.cancel();
        true
    });
    assert!(matches!(result, Err(Error::Cancelled)));
    assert_eq!(visible(&s), before);
    s.propagate(&PropagateOptions::default(), &mut |_| true).unwrap();
}

#[test]
fn a_closed_token_cancels_every_later_call() {
    let mut s = two_rounds();
    let before = visible(&s);
    s.cancel_token().close();
    for _ in 0..2 {
        assert!(matches!(s.propagate(&PropagateOptions::default(), &mut |_| true), Err(Error::Cancelled)));
        assert_eq!(visible(&s), before);
    }
}

#[test]
fn a_token_cancels_after_the_last_slice_while_masks_are_refined() {
    for threads in [1, 2] {
        tch::set_num_threads(threads);
        let mut slices = 0;
        two_rounds()
            .propagate(&PropagateOptions::default(), &mut |_| {
                slices += 1;
                true
            })
            .unwrap();
        let mut s = two_rounds();
        let before = visible(&s);
        let (token, mut reported) = (s.cancel_token(), 0);
        let result = s.propagate(&PropagateOptions::default(), &mut |_| {
            reported += 1;
            if reported == slices {
                token.cancel();
            }
            true
        });
        assert!(matches!(result, Err(Error::Cancelled)), "{threads} threads");
        assert_eq!((reported, visible(&s)), (slices, before));
    }
}

#[test]
fn a_network_that_fails_changes_nothing() {
    let (mut s, calls) = session_with(SessionOptions::default());
    s.interact(click(1, 10)).unwrap();
    let before = visible(&s);
    // On two threads one of the two chains fails, the other goes on.
    for (threads, n) in [(1, 1), (1, 3), (2, 1), (2, 4)] {
        tch::set_num_threads(threads);
        calls.segment_calls.store(0, Ordering::Relaxed);
        calls.fail_at.store(n, Ordering::Relaxed);
        assert!(matches!(s.propagate(&PropagateOptions::default(), &mut |_| true), Err(Error::Internal(_))));
        assert_eq!(visible(&s), before);
    }
    calls.fail_at.store(0, Ordering::Relaxed);
    s.propagate(&PropagateOptions::default(), &mut |_| true).unwrap();
}

#[test]
fn networks_whose_output_contains_nan_are_reported_and_change_nothing() {
    let (mut s, calls) = session_with(SessionOptions::default());
    s.interact(click(1, 10)).unwrap();
    let before = visible(&s);
    let reports_nan = |result: Result<(), Error>| {
        assert!(matches!(&result, Err(Error::BadModel(text)) if text.contains("float32")), "{result:?}");
    };
    calls.sure.lock().unwrap().push(f64::NAN);
    reports_nan(s.interact(click(1, 12)).map(drop));
    calls.no_numbers.store(true, Ordering::Relaxed);
    reports_nan(s.propagate(&PropagateOptions::default(), &mut |_| true).map(drop));
    assert_eq!(visible(&s), before);
    calls.no_numbers.store(false, Ordering::Relaxed);
    s.propagate(&PropagateOptions::default(), &mut |_| true).unwrap();
}

#[test]
fn refused_calls_change_nothing() {
    let mut s = two_rounds();
    let before = visible(&s);
    let depth = SliceAxis::Depth;
    let wrong = SliceMask::zeros(3, 3);
    let refusals: Vec<mem3d::Result<()>> = vec![
        s.interact(Interaction { slice: 99, ..click(1, 10) }).map(drop),
        s.interact(click(0, 10)).map(drop),
        s.interact(at(1, InteractionKind::ExtremePoints, true, &[[3.0, 1.0, 1.0]; 3])).map(drop),
        s.set_slice_mask(1, depth, 3, &wrong),
        s.set_slice_mask(0, depth, 3, &slice_mask(0..1, 0..1)),
        s.set_slice_mask(1, depth, 24, &slice_mask(0..1, 0..1)),
        s.set_mask(1, &[0; 7]),
        s.accept(9, depth, 3),
        s.accept(1, depth, 24),
        s.reset(Some(7)),
        s.propagate(&PropagateOptions { segment: Some(5), ..Default::default() }, &mut |_| true).map(drop),
        s.propagate(&PropagateOptions { range: Some((5, 3)), ..Default::default() }, &mut |_| true).map(drop),
        s.propagate(&PropagateOptions { range: Some((0, 24)), ..Default::default() }, &mut |_| true).map(drop),
    ];
    for (i, refusal) in refusals.into_iter().enumerate() {
        assert!(matches!(refusal, Err(Error::InvalidArgument(_))), "call {i}: {refusal:?}");
    }
    let no_slice = PropagateOptions { axis: Some(SliceAxis::Width), ..Default::default() };
    assert!(matches!(s.propagate(&no_slice, &mut |_| true), Err(Error::InvalidState(_))));
    assert!(s.read_mask(1, &mut [0; 3]).is_err() && s.read_mask(8, &mut [0; 24 * 44 * 44]).is_err());
    assert_eq!(visible(&s), before);
}

#[test]
fn nothing_can_be_propagated_before_something_was_drawn() {
    let mut s = session();
    assert!(matches!(s.propagate(&PropagateOptions::default(), &mut |_| true), Err(Error::InvalidState(_))));
}

#[test]
fn a_kind_that_the_model_does_not_answer_is_refused() {
    let networks = StandIn::with_kinds(vec![InteractionKind::Box]);
    let mut s = Session::new(volume(), Box::new(networks), SessionOptions::default()).unwrap();
    assert!(matches!(s.interact(click(1, 10)), Err(Error::Unsupported(_))));
}

#[test]
fn undo_and_redo_walk_through_every_step() {
    let mut s = session();
    let mut steps = vec![visible(&s)];
    s.interact(click(1, 10)).unwrap();
    steps.push(visible(&s));
    s.propagate(&PropagateOptions::default(), &mut |_| true).unwrap();
    steps.push(visible(&s));
    s.set_slice_mask(1, SliceAxis::Depth, 5, &slice_mask(0..9, 0..9)).unwrap();
    steps.push(visible(&s));
    s.reset(None).unwrap();
    steps.push(visible(&s));
    for expected in steps.iter().rev().skip(1) {
        assert!(s.undo());
        assert_eq!(visible(&s), *expected);
    }
    assert!(!s.undo());
    for expected in &steps[1..] {
        assert!(s.redo());
        assert_eq!(visible(&s), *expected);
    }
    assert!(!s.redo());
}

#[test]
fn the_same_calls_give_the_same_bytes() {
    let run = || {
        let mut s = two_rounds();
        s.propagate(&PropagateOptions::default(), &mut |_| true).unwrap();
        visible(&s)
    };
    assert_eq!(run(), run());
}

#[test]
fn a_saved_session_goes_on_where_it_was() {
    let mut s = two_rounds();
    let saved = s.save();
    let mut other = session();
    other.restore(saved.clone()).unwrap();
    assert_eq!(visible(&other), visible(&s));
    for s in [&mut s, &mut other] {
        s.propagate(&PropagateOptions::default(), &mut |_| true).unwrap();
    }
    assert_eq!(visible(&other), visible(&s));
    assert!(other.undo() && other.undo() && s.undo() && s.undo());
    assert_eq!(visible(&other), visible(&s));

    let elsewhere =
        Volume::new([24, 44, 44], VoxelData::U8((0..24 * 44 * 44).map(|i| i as u8).collect()), Geometry::default());
    let mut elsewhere = Session::new(elsewhere.unwrap(), Box::new(StandIn::new()), SessionOptions::default()).unwrap();
    assert!(elsewhere.restore(saved).unwrap_err().to_string().contains("another volume"));
    assert!(elsewhere.segments().is_empty());
}

#[test]
fn a_saved_session_is_refused_with_another_spacing() {
    let saved = two_rounds().save();
    let open = |depth_mm: f64| {
        let geometry = Geometry { spacing_mm: [depth_mm, 1.0, 1.0], ..Geometry::default() };
        let volume = Volume::new([24, 44, 44], volume().data().clone(), geometry).unwrap();
        Session::new(volume, Box::new(StandIn::new()), SessionOptions::default()).unwrap()
    };
    let mut other = open(5.0);
    let text = other.restore(saved.clone()).unwrap_err().to_string();
    assert!(text.contains("[1.0, 1.0, 1.0] mm") && text.contains("[5.0, 1.0, 1.0] mm"), "{text}");
    assert!(other.segments().is_empty());
    // A difference below a thousandth comes from rounding.
    let mut rounded = open(1.0009);
    rounded.restore(saved).unwrap();
    assert_eq!(rounded.segments(), [1, 2]);
}

#[test]
fn slices_that_are_too_elongated_are_refused_along_their_axis_alone() {
    // Slices along height are 1500 m by 2 mm: a square around one has 1500 rows and 1500000 columns.
    let data = VoxelData::I16((0..6000).map(|i| i % 50).collect());
    let geometry = Geometry { spacing_mm: [1000.0, 1.0, 1.0], ..Geometry::default() };
    let volume = Volume::new([1500, 2, 2], data, geometry).unwrap();
    let options = SessionOptions { whole_slice: true, ..SessionOptions::default() };
    let mut s = Session::new(volume, Box::new(StandIn::new()), options).unwrap();
    let mask = SliceMask { rows: 1500, cols: 2, data: vec![1; 3000] };
    s.set_slice_mask(1, SliceAxis::Height, 1, &mask).unwrap();
    let before = visible(&s);
    let click = at(1, InteractionKind::Click, true, &[[0.0; 3]]);
    let refusals = [
        s.interact(Interaction { axis: SliceAxis::Height, ..click.clone() }).map(drop),
        s.propagate(&PropagateOptions::default(), &mut |_| true).map(drop),
    ];
    for refusal in refusals {
        assert!(matches!(&refusal, Err(Error::InvalidArgument(_))), "{refusal:?}");
        let text = refusal.unwrap_err().to_string();
        assert!(text.contains("1500000.0 by 2.0 mm has 2250000000 pixels"), "{text}");
    }
    assert_eq!(visible(&s), before);
    assert!(s.interact(click).unwrap().area() >= 1);
}

#[test]
fn volumes_of_any_size_can_be_segmented() {
    for shape in [[1, 17, 19], [3, 1, 5], [2, 3, 1], [7, 13, 11], [1, 1, 2]] {
        let n: usize = shape.iter().product();
        let data = VoxelData::I16((0..n).map(|i| (i as i16 * 7) % 50).collect());
        let volume = Volume::new(shape, data, Geometry { spacing_mm: [7.5, 0.3, 0.9], ..Geometry::default() }).unwrap();
        for axis in SliceAxis::ALL {
            let mut s = Session::new(volume.clone(), Box::new(StandIn::new()), SessionOptions::default()).unwrap();
            let mut i = at(1, InteractionKind::Click, true, &[[0.0, 0.0, 0.0]]);
            i.axis = axis;
            assert!(s.interact(i).unwrap().area() >= 1);
            s.propagate(&PropagateOptions::default(), &mut |_| true).unwrap();
            assert!(s.memory_usage().volume == 2 * n);
        }
    }
}
