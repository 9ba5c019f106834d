//! A stored session stays readable: `tests/golden/session_v3.m3s`, saved by the first program with format 3.
//!
//! It holds the calls of `draw` on the stand-in network of `tests/common`, so its contents are known. With
//! MEM3D_UPDATE_SESSION set, the tests write the file first: for a new version of the format, under a new name.

mod common;

use common::*;
use mem3d::engine::{PropagateOptions, Session, SessionOptions};
use mem3d::io::session_file;
use mem3d::nn::InteractionKind;
use mem3d::volume::{Geometry, SliceAxis, Volume};
use std::path::{Path, PathBuf};

/// Pixels of the second box on a slice: rows 32..38, columns 4..12, on slices 4..=17.
const SECOND_BOX_PIXELS: usize = 6 * 8;

fn path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/session_v3.m3s")
}

/// Not the defaults, so that each shows whether it was read.
fn options() -> SessionOptions {
    SessionOptions {
        window: Some((0.0, 255.0)),
        memorize_every: 7,
        least_presence: 0.25,
        roi_scale: 1.5,
        undo_depth: 9,
        ..SessionOptions::default()
    }
}

/// Two segments: a click that is propagated, and a scribble; a step that can be redone.
fn draw() -> Session {
    let (mut session, _) = session_with(options());
    session.interact(click(1, 10)).unwrap();
    session.accept(1, SliceAxis::Depth, 10).unwrap();
    session.propagate(&PropagateOptions::default(), &mut |_| true).unwrap();
    let line = [[6.0, 35.0, 6.0], [6.0, 35.0, 10.0]];
    session.interact(at(2, InteractionKind::Scribble, true, &line)).unwrap();
    session.interact(click(1, 12)).unwrap();
    assert!(session.undo());
    session
}

/// A session restored from the stored file.
fn restored() -> Session {
    if std::env::var_os("MEM3D_UPDATE_SESSION").is_some() {
        session_file::write(&path(), &draw().save()).unwrap();
    }
    let mut session = session();
    session.restore(session_file::read(&path()).unwrap()).unwrap();
    session
}

#[test]
fn a_stored_session_is_read() {
    let mut session = restored();
    assert_eq!(session.options(), &options());
    assert_eq!(session.window(), (0.0, 255.0));
    assert_eq!(session.segments(), [1, 2]);
    // The first segment is propagated from slice 10 to the whole box.
    assert_eq!(session.annotated(1, SliceAxis::Depth), [10]);
    let mask = read(&session, 1);
    assert_eq!(mask.iter().filter(|&&v| v != 0).count(), TARGET_VOXELS);
    assert_eq!(session.read_slice_mask(1, SliceAxis::Depth, 17).unwrap(), slice_mask(12..28, 10..34));
    let quality = session.quality(1, SliceAxis::Depth).unwrap();
    assert!(quality.len() == 24 && quality[10] == 1.0 && quality[9] > 0.0 && quality[9] < 1.0, "{quality:?}");
    // The second one is drawn on slice 6 and not accepted.
    assert!(session.annotated(2, SliceAxis::Depth).is_empty());
    assert_eq!(session.read_slice_mask(2, SliceAxis::Depth, 6).unwrap(), slice_mask(32..38, 4..12));
    assert_eq!(read(&session, 2).iter().filter(|&&v| v != 0).count(), SECOND_BOX_PIXELS);
    // One step forward, five back.
    assert!(session.redo() && !session.redo());
    assert!(session.undo() && session.undo());
    assert_eq!(session.segments(), [1]);
    assert!(session.undo());
    assert_eq!(read(&session, 1).iter().filter(|&&v| v != 0).count(), 16 * 24);
    assert!(session.undo() && session.undo() && !session.undo());
    assert!(session.segments().is_empty());
}

/// The stored file ends before the spacing, which is the last field.
#[test]
fn another_spacing_is_refused_where_the_file_has_one() {
    let folder = tempfile::tempdir().unwrap();
    let new = folder.path().join("new.m3s");
    session_file::write(&new, &draw().save()).unwrap();
    let restore = |path: &Path| {
        let geometry = Geometry { spacing_mm: [2.0, 1.0, 1.0], ..Geometry::default() };
        let volume = Volume::new([24, 44, 44], volume().data().clone(), geometry).unwrap();
        let mut session = Session::new(volume, Box::new(StandIn::new()), SessionOptions::default()).unwrap();
        session.restore(session_file::read(path).unwrap())
    };
    restore(&path()).unwrap();
    let text = restore(&new).unwrap_err().to_string();
    assert!(text.contains("[1.0, 1.0, 1.0] mm") && text.contains("[2.0, 1.0, 1.0] mm"), "{text}");
    let mut same = session();
    same.restore(session_file::read(&new).unwrap()).unwrap();
    assert_eq!(same.segments(), [1, 2]);
}

#[test]
fn a_restored_session_goes_on() {
    let mut session = restored();
    session.accept(2, SliceAxis::Depth, 6).unwrap();
    let replaced =
        session.propagate(&PropagateOptions { segment: Some(2), ..PropagateOptions::default() }, &mut |_| true);
    assert_eq!(replaced.unwrap(), 23);
    assert_eq!(read(&session, 2).iter().filter(|&&v| v != 0).count(), 14 * SECOND_BOX_PIXELS);
}
