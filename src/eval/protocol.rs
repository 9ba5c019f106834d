//! The rules of an experiment: what is drawn, which slice is corrected next, and when a slice is good enough.

use crate::error::{Error, Result};
use crate::nn::InteractionKind;
use crate::volume::SliceAxis;
use serde::{Deserialize, Serialize};

/// What the user draws on a slice that holds no mask yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Drawing {
    /// A scribble; corrections are scribbles, too.
    Scribble,
    /// A box; corrections are clicks.
    Box,
    /// Four extreme points; corrections are clicks.
    ExtremePoints,
    /// One click; corrections are clicks.
    Click,
    /// The whole slice by hand, exactly: measures propagation alone.
    Mask,
}

impl Drawing {
    /// All, in the order of tables.
    pub const ALL: [Drawing; 5] =
        [Drawing::Scribble, Drawing::Box, Drawing::ExtremePoints, Drawing::Click, Drawing::Mask];

    /// The interaction; `None` for a mask by hand.
    pub fn kind(self) -> Option<InteractionKind> {
        match self {
            Drawing::Scribble => Some(InteractionKind::Scribble),
            Drawing::Box => Some(InteractionKind::Box),
            Drawing::ExtremePoints => Some(InteractionKind::ExtremePoints),
            Drawing::Click => Some(InteractionKind::Click),
            Drawing::Mask => None,
        }
    }

    /// The interaction that corrects a mask; `None` for a mask by hand.
    pub fn correction(self) -> Option<InteractionKind> {
        self.kind().map(|kind| match kind {
            InteractionKind::Scribble => kind,
            _ => InteractionKind::Click,
        })
    }

    /// Name on the command line and in files.
    pub fn name(self) -> &'static str {
        match self {
            Drawing::Scribble => "scribble",
            Drawing::Box => "box",
            Drawing::ExtremePoints => "extreme_points",
            Drawing::Click => "click",
            Drawing::Mask => "mask",
        }
    }
}

/// How the slice to correct next is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Selection {
    /// The suggested one: expected gain by estimated quality.
    Quality,
    /// The one with the lowest estimated quality, whatever its size.
    LowestQuality,
    /// A random one, in several runs.
    Random,
    /// The one with the lowest true IoU.
    Oracle,
    /// The one with the largest expected gain, by true errors.
    OracleGain,
    /// The one with the largest mean binary entropy of the probabilities.
    Uncertainty,
}

impl Selection {
    /// All, in the order of tables.
    pub const ALL: [Selection; 6] = [
        Selection::Quality,
        Selection::LowestQuality,
        Selection::Random,
        Selection::Oracle,
        Selection::OracleGain,
        Selection::Uncertainty,
    ];

    /// Name on the command line and in files.
    pub fn name(self) -> &'static str {
        match self {
            Selection::Quality => "quality",
            Selection::LowestQuality => "lowest_quality",
            Selection::Random => "random",
            Selection::Oracle => "oracle",
            Selection::OracleGain => "oracle_gain",
            Selection::Uncertainty => "uncertainty",
        }
    }
}

/// Reads a list of names separated by commas; `-` and `_` are equivalent.
///
/// # Errors
/// [`Error::InvalidArgument`] for an unknown name, one named twice, or none.
fn parse_list<T: Copy + PartialEq>(what: &str, text: &str, all: &[T], name: fn(T) -> &'static str) -> Result<Vec<T>> {
    let mut list = Vec::new();
    for word in text.split(',').map(|w| w.trim().replace('-', "_")).filter(|w| !w.is_empty()) {
        let found = all.iter().copied().find(|&t| name(t) == word).ok_or_else(|| {
            let names: Vec<&str> = all.iter().map(|&t| name(t)).collect();
            Error::argument(format!("there is no {what} \"{word}\"; use {}", names.join(", ")))
        })?;
        if list.contains(&found) {
            return Err(Error::argument(format!("{what} {word} is named twice")));
        }
        list.push(found);
    }
    if list.is_empty() {
        return Err(Error::argument(format!("name at least one {what}")));
    }
    Ok(list)
}

/// Reads drawings, e.g. `scribble,box`.
///
/// # Errors
/// [`Error::InvalidArgument`] for an unknown or repeated name, or none.
pub fn parse_drawings(text: &str) -> Result<Vec<Drawing>> {
    parse_list("interaction", text, &Drawing::ALL, Drawing::name)
}

/// Reads selections, e.g. `quality,random,oracle`.
///
/// # Errors
/// [`Error::InvalidArgument`] for an unknown or repeated name, or none.
pub fn parse_selections(text: &str) -> Result<Vec<Selection>> {
    parse_list("selection", text, &Selection::ALL, Selection::name)
}

/// The rules of an experiment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Protocol {
    /// Rounds, the first included. Default 6.
    pub rounds: usize,
    /// What is drawn; one experiment each. Default scribble, box and extreme points.
    pub drawings: Vec<Drawing>,
    /// How slices are chosen; the runs of one drawing share the first round. Default quality, random and oracle.
    pub selections: Vec<Selection>,
    /// Runs with random selection. Default 5.
    pub random_runs: usize,
    /// Seed of all random numbers. Default 1.
    pub seed: u64,
    /// Whether drawings are unsteady. Default true.
    pub jitter: bool,
    /// Corrections are the whole true mask of the slice, made by hand. Default false.
    pub perfect_corrections: bool,
    /// A slice with at least this IoU is accepted as it is. Default 0.9.
    pub accept_iou: f64,
    /// Most corrections of the first slice, after the first drawing. Default 1.
    pub first_corrections: usize,
    /// Most interactions on a later slice. Default 3.
    pub corrections: usize,
    /// The first slice has at least this share of the area of the target's largest. Default 0.5.
    pub first_share: f64,
    /// Tolerance of the normalised surface dice, mm. Default 2.
    pub tolerance_mm: f64,
    /// Axis of the slices; `None`: the one with the largest spacing, the first of equals.
    pub axis: Option<SliceAxis>,
}

impl Default for Protocol {
    fn default() -> Self {
        Protocol {
            rounds: 6,
            drawings: vec![Drawing::Scribble, Drawing::Box, Drawing::ExtremePoints],
            selections: vec![Selection::Quality, Selection::Random, Selection::Oracle],
            random_runs: 5,
            seed: 1,
            jitter: true,
            perfect_corrections: false,
            accept_iou: 0.9,
            first_corrections: 1,
            corrections: 3,
            first_share: 0.5,
            tolerance_mm: 2.0,
            axis: None,
        }
    }
}

impl Protocol {
    /// Checks every rule against its range.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`], naming the rule and its range.
    pub fn check(&self) -> Result<()> {
        let range = |name: &str, v: f64, from: f64, to: f64| match (from..=to).contains(&v) {
            true => Ok(()),
            false => Err(Error::argument(format!("{name} is {v}; use {from} to {to}"))),
        };
        range("the number of rounds", self.rounds as f64, 1.0, 100.0)?;
        range("the number of random runs", self.random_runs as f64, 1.0, 100.0)?;
        range("the accepted IoU", self.accept_iou, 0.0, 1.0)?;
        range("the first slice's share", self.first_share, 0.0, 1.0)?;
        range("the tolerance (mm)", self.tolerance_mm, 0.0, 1000.0)?;
        range("the number of corrections", self.corrections as f64, 1.0, 100.0)?;
        range("the number of corrections of the first slice", self.first_corrections as f64, 0.0, 100.0)
    }

    /// The kinds of interaction that a model must support.
    pub fn kinds(&self) -> Vec<InteractionKind> {
        let corrections = self.drawings.iter().filter(|_| !self.perfect_corrections).filter_map(|d| d.correction());
        let mut kinds: Vec<_> = self.drawings.iter().filter_map(|d| d.kind()).chain(corrections).collect();
        kinds.sort_unstable();
        kinds.dedup();
        kinds
    }

    /// The axis of the slices of a volume with this spacing.
    pub fn axis_of(&self, spacing_mm: [f64; 3]) -> SliceAxis {
        let largest = spacing_mm.iter().copied().fold(0.0, f64::max);
        // Spacings in files differ in their last digits.
        let first = SliceAxis::ALL.into_iter().find(|a| spacing_mm[a.index()] >= largest * 0.999);
        self.axis.or(first).expect("one spacing is the largest")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        assert_eq!(parse_drawings("box, extreme-points").unwrap(), [Drawing::Box, Drawing::ExtremePoints]);
        let all: Vec<&str> = Selection::ALL.iter().map(|s| s.name()).collect();
        assert_eq!(parse_selections(&all.join(",")).unwrap(), Selection::ALL);
        assert!(parse_selections("qualty").unwrap_err().to_string().contains("oracle_gain"));
        assert!(parse_drawings("box,box").unwrap_err().to_string().contains("twice"));
        assert!(parse_drawings(" ,").unwrap_err().to_string().contains("at least one"));
    }

    #[test]
    fn the_axis_is_that_of_the_thickest_slices() {
        let p = Protocol::default();
        assert_eq!(p.axis_of([1.0, 3.0, 1.0]), SliceAxis::Height);
        assert_eq!(p.axis_of([0.9999, 1.0, 1.0]), SliceAxis::Depth);
        let fixed = Protocol { axis: Some(SliceAxis::Width), ..p };
        assert_eq!(fixed.axis_of([5.0, 1.0, 1.0]), SliceAxis::Width);
    }

    #[test]
    fn the_model_must_answer_what_is_drawn_and_what_corrects() {
        let mut p = Protocol { drawings: vec![Drawing::Box, Drawing::Mask], ..Protocol::default() };
        assert_eq!(p.kinds(), [InteractionKind::Box, InteractionKind::Click]);
        p.perfect_corrections = true;
        assert_eq!(p.kinds(), [InteractionKind::Box]);
        p.accept_iou = 1.5;
        assert!(p.check().unwrap_err().to_string().contains("0 to 1"));
    }
}
