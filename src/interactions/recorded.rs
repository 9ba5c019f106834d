//! Interactions on one volume, round by round.

use crate::engine::Interaction;
use crate::io::seg_nrrd::default_color;
use crate::volume::{SliceAxis, SliceMask};

/// Name and colour of a segment.
#[derive(Debug, Clone, PartialEq)]
pub struct SegmentLabel {
    /// 1 to 65535.
    pub number: u32,
    /// Shown to the user.
    pub name: String,
    /// Red, green, blue, 0..1.
    pub color: [f64; 3],
}

/// One step of the user.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// An interaction on a slice.
    Draw(Interaction),
    /// The whole mask of a slice.
    Mask {
        /// Segment of the mask.
        segment: u32,
        /// Axis the slice is cut along.
        axis: SliceAxis,
        /// Slice number.
        slice: usize,
        /// The mask.
        mask: SliceMask,
    },
}

impl Step {
    /// Segment and axis that the step is for.
    pub fn target(&self) -> (u32, SliceAxis) {
        match self {
            Step::Draw(i) => (i.segment, i.axis),
            Step::Mask { segment, axis, .. } => (*segment, *axis),
        }
    }
}

/// Steps before one propagation.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Round {
    /// In order.
    pub steps: Vec<Step>,
}

impl Round {
    /// Axes drawn along, each once, in the order of the drawing.
    pub fn axes(&self) -> Vec<SliceAxis> {
        let mut axes = Vec::new();
        for (_, axis) in self.steps.iter().map(Step::target) {
            if !axes.contains(&axis) {
                axes.push(axis);
            }
        }
        axes
    }
}

/// All interactions on one volume.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct RecordedInteractions {
    /// Names and colours, ascending by number; one for every segment that is drawn.
    pub segments: Vec<SegmentLabel>,
    /// The rounds; each ends with a propagation.
    pub rounds: Vec<Round>,
    /// Intensities that become 0 and 1 for the networks.
    pub window: Option<(f64, f64)>,
    /// Numbers of the segments that markups name and no file numbers.
    pub(super) by_name: Vec<u32>,
}

/// Meaning of a list of points in a markups file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PointsAs {
    /// Extreme points when the list's name ends with "extreme", else clicks.
    #[default]
    ByName,
    /// Clicks.
    Clicks,
    /// Extreme points.
    ExtremePoints,
}

/// Options for markups.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct MarkupOptions {
    /// Axis of the slices drawn on. Default: the one along which the points agree best.
    pub axis: Option<SliceAxis>,
    /// Default: by name.
    pub points: PointsAs,
    /// Half the width of a curve or line, mm; 0 for the engine's default.
    pub radius_mm: f64,
    /// Name of the volume, without its ending: files of markups may be called `VOLUME_SEGMENT`.
    pub case: Option<String>,
}

impl RecordedInteractions {
    /// The number of the segment called `name`, new if there is none.
    pub(super) fn number_of(&mut self, name: &str) -> u32 {
        if let Some(known) = self.segments.iter().find(|s| s.name == name) {
            return known.number;
        }
        let number = self.segments.iter().map(|s| s.number).max().unwrap_or(0) + 1;
        self.segments.push(SegmentLabel { number, name: name.into(), color: default_color(number) });
        self.by_name.push(number);
        number
    }

    /// Makes these the further interactions of a session with the segments `known`, which have numbers only: a name in
    /// markups means the one segment that there is.
    ///
    /// # Errors
    /// The reason, when it is open which segment a name means.
    pub fn go_on(&mut self, known: &[u32]) -> std::result::Result<(), String> {
        match *known {
            _ if self.by_name.is_empty() => {}
            [] => {}
            [number] if self.segments.len() == 1 => {
                let label = &mut self.segments[0];
                (label.number, label.color) = (number, default_color(number));
                for step in self.rounds.iter_mut().flat_map(|round| &mut round.steps) {
                    let (Step::Draw(Interaction { segment, .. }) | Step::Mask { segment, .. }) = step;
                    *segment = number;
                }
                self.by_name.clear();
            }
            _ => {
                let of_markups = self.segments.iter().filter(|s| self.by_name.contains(&s.number));
                let names: Vec<String> = of_markups.map(|s| format!("\"{}\"", s.name)).collect();
                return Err(format!(
                    "its segments {known:?} have no names, so that it is open which of them the markups {} are for; \
                     give an interactions file (.json) with the segments' numbers",
                    names.join(", ")
                ));
            }
        }
        Ok(())
    }

    /// Makes sure that segment `number` has a label.
    pub(super) fn need(&mut self, number: u32) {
        if !self.segments.iter().any(|s| s.number == number) {
            let name = format!("Segment {number}");
            self.segments.push(SegmentLabel { number, name, color: default_color(number) });
        }
    }

    pub(super) fn round_mut(&mut self, at: usize) -> &mut Round {
        if self.rounds.len() <= at {
            self.rounds.resize(at + 1, Round::default());
        }
        &mut self.rounds[at]
    }
}
