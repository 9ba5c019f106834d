//! Recorded interactions, round by round, from files.
//!
//! | file | module | holds |
//! |---|---|---|
//! | `.json` | [`json`] | everything: interactions, slice masks, rounds, names and colours |
//! | `.mrk.json` | [`markups`] | what was drawn in 3D Slicer: points, curves, lines and regions of interest |
//!
//! `docs/interactions.md` is the description for users.

pub mod json;
pub mod markups;
mod place;
mod recorded;

pub use place::Placed;
pub use recorded::{MarkupOptions, PointsAs, RecordedInteractions, Round, SegmentLabel, Step};

use crate::error::{Error, Result};
use crate::io;
use crate::volume::Volume;
use std::path::Path;

/// Reads interactions for `volume` from files. Of several files, the first rounds are joined to one first round, and so
/// on; markups belong to the first round.
///
/// # Errors
/// [`Error::Io`] when a file cannot be read; [`Error::BadFile`] when it cannot be used, with the place and the reason;
/// [`Error::InvalidArgument`] when nothing is drawn in any.
pub fn read<P: AsRef<Path>>(files: &[P], volume: &Volume, options: &MarkupOptions) -> Result<RecordedInteractions> {
    let mut recorded = RecordedInteractions::default();
    let mut markup_files = Vec::new();
    // Markups have names only; files with numbers come first.
    for path in files.iter().map(AsRef::as_ref) {
        if path.is_file() && io::Format::of_name(path).is_some() {
            return Err(Error::bad_file(
                path,
                "this is a volume or segmentation, not what was drawn; name it under \"slice_masks\" in an \
                 interactions file",
            ));
        }
        let text = io::read_text(path)?;
        let value: serde_json::Value = serde_json::from_str(&text).map_err(|e| no_json(path, &text, &e))?;
        if value.get("markups").is_some() {
            markup_files.push((path, value));
        } else {
            json::add(&mut recorded, path, &text, volume)?;
        }
    }
    for (path, value) in markup_files {
        markups::add(&mut recorded, path, value, volume, options)?;
    }
    if recorded.rounds.iter().all(|r| r.steps.is_empty()) {
        let names: Vec<_> = files.iter().map(|p| p.as_ref().display().to_string()).collect();
        return Err(Error::argument(format!(
            "nothing is drawn in {}; give at least one interaction or slice mask",
            names.join(", ")
        )));
    }
    recorded.rounds.retain(|r| !r.steps.is_empty());
    recorded.segments.sort_by_key(|s| s.number);
    Ok(recorded)
}

/// Why a text is no JSON: another kind of file, one that is cut off, or NaN, which Python writes and JSON has not.
fn no_json(path: &Path, text: &str, error: &serde_json::Error) -> Error {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let start = &text.as_bytes()[..text.len().min(512)];
    let known = io::kind::of(start, &name).filter(|_| !text.trim_start().starts_with(['{', '[']));
    let reason = match known {
        Some(what) => what.to_owned(),
        None if error.is_eof() => format!("this is not JSON: the text ends early ({error}); copy or save it again"),
        None if text.contains("NaN") || text.contains("Infinity") => {
            format!("NaN and Infinity are no numbers in JSON ({error}); give the places where something was drawn")
        }
        None => format!("this is not JSON: {error}; give an interactions file, or markups of 3D Slicer (.mrk.json)"),
    };
    Error::bad_file(path, reason)
}
