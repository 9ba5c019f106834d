//! Sessions over a stand-in network with slices of several axes, and with masks from the host: what was drawn or given
//! stays.

mod common;

use common::*;
use mem3d::engine::{Interaction, PropagateOptions, Session};
use mem3d::nn::InteractionKind;
use mem3d::volume::{SliceAxis, SliceMask};

fn go(session: &mut Session, options: PropagateOptions) -> usize {
    session.propagate(&options, &mut |_| true).unwrap()
}

fn both() -> PropagateOptions {
    PropagateOptions::default()
}

/// An interaction on coronal slice 20.
fn coronal(kind: InteractionKind, points: &[[f64; 3]]) -> Interaction {
    Interaction { axis: SliceAxis::Height, slice: 20, ..at(1, kind, true, points) }
}

#[test]
fn annotated_slices_of_other_axes_are_honoured_too() {
    let mut s = session();
    let column = SliceAxis::Width;
    let mut sagittal = SliceMask::zeros(24, 44);
    sagittal.data[10 * 44 + 5] = 1;
    s.set_slice_mask(1, column, 20, &sagittal).unwrap();
    s.interact(click(1, 10)).unwrap();
    go(&mut s, PropagateOptions { axis: Some(SliceAxis::Depth), ..both() });
    assert_eq!(s.read_slice_mask(1, column, 20).unwrap(), sagittal);
    // The rest of the target is there.
    assert_eq!(s.read_slice_mask(1, column, 21).unwrap().area(), 14 * 16);
}

#[test]
fn an_empty_slice_of_another_axis_ends_nothing() {
    let mut s = session();
    s.interact(click(1, 10)).unwrap();
    go(&mut s, both());
    let mut expected = read(&s, 1);
    // A coronal slice without target cuts it out there and nowhere else.
    let coronal = SliceMask::zeros(24, 44);
    s.set_slice_mask(1, SliceAxis::Height, 14, &coronal).unwrap();
    go(&mut s, both());
    expected.chunks_exact_mut(44 * 44).for_each(|slice| slice[14 * 44..15 * 44].fill(0));
    assert_eq!(read(&s, 1), expected);
}

#[test]
fn every_axis_can_be_drawn_on() {
    for (axis, slice, point) in [(SliceAxis::Height, 20, [8.0, 20.0, 20.0]), (SliceAxis::Width, 20, [8.0, 20.0, 20.0])]
    {
        let mut s = session();
        let mut i = at(1, InteractionKind::Click, true, &[point]);
        (i.axis, i.slice) = (axis, slice);
        s.interact(i).unwrap();
        go(&mut s, both());
        let found = read(&s, 1).iter().filter(|&&v| v != 0).count();
        assert_eq!(found, TARGET_VOXELS, "{axis:?}");
        assert_eq!(s.annotated(1, axis), [20]);
    }
}

#[test]
fn a_drawing_leaves_what_was_drawn_across_but_under_its_strokes() {
    let mut s = session();
    let mut axial = s.interact(click(1, 10)).unwrap();
    // On the coronal slice what is dark: of the axial one, all but the target.
    s.interact(coronal(InteractionKind::Click, &[[2.0, 20.0, 20.0]])).unwrap();
    assert!(s.read_slice_mask(1, SliceAxis::Depth, 10).unwrap() == axial);
    assert!(s.read_slice_mask(1, SliceAxis::Depth, 2).unwrap().area() > 0);
    s.interact(coronal(InteractionKind::Scribble, &[[8.0, 20.0, 3.0], [12.0, 20.0, 3.0]])).unwrap();
    // A stroke is three pixels wide.
    axial.data[20 * 44 + 2..=20 * 44 + 4].fill(1);
    assert!(s.read_slice_mask(1, SliceAxis::Depth, 10).unwrap() == axial);
    // Accepted, it stays under strokes, too.
    s.accept(1, SliceAxis::Depth, 10).unwrap();
    s.interact(coronal(InteractionKind::Scribble, &[[8.0, 20.0, 5.0], [12.0, 20.0, 5.0]])).unwrap();
    assert!(s.read_slice_mask(1, SliceAxis::Depth, 10).unwrap() == axial);
}

#[test]
fn a_propagation_along_another_axis_ends_the_estimates_of_masks_that_it_replaces() {
    let mut s = session();
    s.interact(click(1, 10)).unwrap();
    go(&mut s, both());
    assert!(s.quality(1, SliceAxis::Depth).unwrap().iter().all(|&q| q > 0.0));
    s.interact(coronal(InteractionKind::Click, &[[8.0, 20.0, 20.0]])).unwrap();
    go(&mut s, both());
    let depth = s.quality(1, SliceAxis::Depth).unwrap();
    assert_eq!(
        depth.iter().map(|&q| q as usize).collect::<Vec<_>>(),
        (0..24).map(|k| usize::from(k == 10)).collect::<Vec<_>>()
    );
    assert!(s.quality(1, SliceAxis::Height).unwrap().iter().all(|&q| q > 0.0));
    assert_eq!(s.suggest_slice(None).unwrap().unwrap().axis, SliceAxis::Height);
    s.undo();
    s.undo();
    assert!(s.quality(1, SliceAxis::Depth).unwrap().iter().all(|&q| q > 0.0));
}

#[test]
fn a_given_mask_is_kept_where_no_correction_reaches() {
    let mut s = session();
    let mut given = vec![0u8; 24 * 44 * 44];
    given[..44 * 44].fill(1);
    given[44 * 44 + 3] = 1;
    s.set_mask(1, &given).unwrap();
    assert_eq!(read(&s, 1), given);
    s.interact(click(1, 16)).unwrap();
    go(&mut s, both());
    let now = read(&s, 1);
    assert_eq!(now[..2 * 44 * 44], given[..2 * 44 * 44]);
    assert_eq!(s.read_slice_mask(1, SliceAxis::Depth, 15).unwrap().area(), 384);
}

#[test]
fn corrections_fade_into_a_given_mask_once() {
    let mut s = session();
    // The target, too narrow.
    let mut given = vec![0u8; 24 * 44 * 44];
    (4..18).for_each(|d| (12..28).for_each(|h| given[(d * 44 + h) * 44 + 10..][..10].fill(1)));
    s.set_mask(1, &given).unwrap();
    s.interact(click(1, 10)).unwrap();
    let slices = |from, to| PropagateOptions { range: Some((from, to)), ..both() };
    // Too few slices for all of the fading; then all of it, upwards only.
    assert_eq!(go(&mut s, slices(9, 11)), 2);
    assert_eq!(go(&mut s, slices(9, 20)), 11);
    assert_eq!(go(&mut s, slices(0, 23)), 10);
    let mut probability = [vec![0.0; given.len()], vec![0.0; given.len()]];
    s.read_probability(1, &mut probability[0]).unwrap();
    assert_eq!(go(&mut s, both()), 0);
    s.read_probability(1, &mut probability[1]).unwrap();
    assert!(probability[0] == probability[1]);
    // A new slice changes its sides alone.
    s.set_slice_mask(1, SliceAxis::Depth, 14, &slice_mask(12..28, 10..34)).unwrap();
    assert_eq!(go(&mut s, both()), 3 + 9);
    s.read_probability(1, &mut probability[1]).unwrap();
    assert!(probability[0][..11 * 44 * 44] == probability[1][..11 * 44 * 44]);
}

#[test]
fn an_accepted_slice_of_a_given_mask_says_along_which_axis_to_propagate() {
    let mut s = session();
    let mut given = vec![0u8; 24 * 44 * 44];
    (4..18).for_each(|d| (12..28).for_each(|h| given[(d * 44 + h) * 44 + 10..][..24].fill(1)));
    s.set_mask(1, &given).unwrap();
    s.accept(1, SliceAxis::Height, 20).unwrap();
    assert!(go(&mut s, both()) > 0);
    assert!(!s.quality(1, SliceAxis::Height).unwrap().is_empty());
}
