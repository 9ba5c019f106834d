//! Figures over all targets: what the tables and plots show.

use super::protocol::{Drawing, Protocol, Selection};
use super::results::{Round, Run, TargetResult};
use super::statistics::{Mean, area_under, bad_among_worst_fifth, mean, mean_absolute_error, median, spearman};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Dice that a user may aim at. Chosen.
pub const GOALS: [f64; 3] = [0.85, 0.90, 0.95];
/// Least gap in Dice between oracle and random for which a share of it is given. Chosen.
const LEAST_GAP: f64 = 0.001;

/// Everything over all targets.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Number of targets.
    pub targets: usize,
    /// One for each drawing and method, drawings in the order of [`Drawing::ALL`], selections before tools.
    pub methods: Vec<MethodSummary>,
    /// One for each drawing and selection but random, where random was run.
    pub selections: Vec<SelectionSummary>,
    /// One for each drawing for which there are estimates.
    pub calibrations: Vec<Calibration>,
    /// One for each drawing with tools: comparison of the first selection with them.
    pub against_tools: Vec<AgainstTools>,
}

/// One drawing and method. Every target counts once: runs that differ by chance are averaged first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MethodSummary {
    /// Name of the drawing.
    pub drawing: String,
    /// Name of the selection or tool.
    pub method: String,
    /// Whether it is a tool that receives annotated slices.
    pub is_tool: bool,
    /// One a round.
    pub rounds: Vec<RoundSummary>,
    /// Area under the curve of Dice against rounds, divided by its width.
    pub area_under_dice: f64,
    /// For each of [`GOALS`]: share of the targets that reach it, and the mean number of rounds of those.
    pub goals: Vec<(f64, Option<f64>)>,
    /// Largest fall of the Dice after a correct annotation.
    pub largest_fall: f64,
    /// Median seconds of interaction and propagation in a first round.
    pub first_round_s: (f64, f64),
    /// Median seconds of interaction and propagation in a later round.
    pub later_round_s: (f64, f64),
    /// Median seconds of a propagated slice.
    pub slice_s: f64,
}

/// One round over all targets.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RoundSummary {
    /// From 1.
    pub round: usize,
    /// Dice.
    pub dice: Mean,
    /// Normalised surface dice.
    pub nsd: Mean,
    /// 95th percentile of the Hausdorff distance, mm.
    pub hd95_mm: Mean,
    /// Median number of false slices beyond an end of the target (both ends of every target).
    pub false_slices: f64,
    /// Mean number of slices with target and without mask.
    pub missed_slices: f64,
    /// Mean number of interactions up to this round.
    pub interactions: f64,
}

/// One selection of slices, compared with random choice and an oracle by mean Dice after the last round.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SelectionSummary {
    /// Name of the drawing.
    pub drawing: String,
    /// Name of the selection.
    pub method: String,
    /// Mean Dice after the last round.
    pub dice: f64,
    /// Mean area under the curve of Dice against rounds.
    pub area_under_dice: f64,
    /// Share of the gap from random to oracle that it recovers (last round); `None` without a gap or an oracle.
    pub of_oracle: Option<f64>,
    /// Share of the gap from random to the oracle of gain, by Dice after the last round.
    pub of_oracle_gain: Option<f64>,
    /// Share of the gap from random to the oracle of gain, by area under the curve.
    pub of_oracle_gain_area: Option<f64>,
}

/// Agreement of estimated quality and true IoU: slices that are not annotated and hold target or mask.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// Name of the drawing.
    pub drawing: String,
    /// `1`, or `all` for all rounds of the first selection.
    pub rounds: String,
    /// Mean absolute error, over all slices.
    pub mean_absolute_error: f64,
    /// Spearman's rank correlation within a volume, mean over volumes.
    pub rank_correlation: Option<f64>,
    /// Spearman's rank correlation over all slices.
    pub pooled_rank_correlation: Option<f64>,
    /// Share of slices with IoU below 0.5 in the worst-ranked fifth of their volume, mean over volumes that have any.
    pub bad_in_worst_fifth: Option<f64>,
    /// Number of slices.
    pub slices: usize,
}

/// Dice of the first selection against that of every tool.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AgainstTools {
    /// Name of the drawing.
    pub drawing: String,
    /// Targets with masks of all tools.
    pub targets: usize,
    /// For each round: mean Dice of the first selection and of the best tool on average, and the share of targets on
    /// which the selection has a larger Dice than every tool.
    pub rounds: Vec<(f64, f64, f64)>,
}

/// Whether a method is a selection of mem3d, not a tool.
fn is_selection(method: &str) -> bool {
    Selection::ALL.iter().any(|s| s.name() == method)
}

/// Runs of one drawing and method on one target.
fn runs<'a>(target: &'a TargetResult, drawing: &'a str, method: &'a str) -> impl Iterator<Item = &'a Run> {
    target.runs.iter().filter(move |r| r.drawing == drawing && r.method == method)
}

/// Mean of a figure over the runs of a target, for each round; `None` without runs.
fn curve(target: &TargetResult, drawing: &str, method: &str, figure: &dyn Fn(&Round) -> f64) -> Option<Vec<f64>> {
    let all: Vec<&Run> = runs(target, drawing, method).collect();
    let n = all.iter().map(|r| r.rounds.len()).min()?;
    Some((0..n).map(|k| all.iter().map(|r| figure(&r.rounds[k])).sum::<f64>() / all.len() as f64).collect())
}

/// Curves of all targets that have the method.
fn curves(results: &[TargetResult], drawing: &str, method: &str, figure: &dyn Fn(&Round) -> f64) -> Vec<Vec<f64>> {
    results.iter().filter_map(|t| curve(t, drawing, method, figure)).collect()
}

/// Summarises `results` (peers' runs among them).
pub fn summarise(results: &[TargetResult], protocol: &Protocol) -> Summary {
    let mut methods = Vec::new();
    let (mut selections, mut calibrations, mut against_tools) = (Vec::new(), Vec::new(), Vec::new());
    for drawing in Drawing::ALL.map(Drawing::name) {
        let all = results.iter().flat_map(|t| &t.runs).filter(|r| r.drawing == drawing);
        let names: BTreeSet<&str> = all.map(|r| r.method.as_str()).collect();
        let ours = Selection::ALL.iter().map(|s| s.name()).filter(|n| names.contains(n));
        let first = protocol.selections.iter().map(|s| s.name()).find(|n| names.contains(n));
        let tools: Vec<&str> = names.iter().copied().filter(|n| !is_selection(n)).collect();
        methods.extend(ours.clone().chain(tools.iter().copied()).filter_map(|m| method(results, drawing, m, protocol)));
        selections.extend(ours.filter(|m| *m != "random").filter_map(|m| selection(results, drawing, m)));
        if let Some(first) = first {
            calibrations.extend(calibration(results, drawing, first, Some(1)));
            calibrations.extend(calibration(results, drawing, first, None));
            against_tools.extend(against(results, drawing, first, &tools));
        }
    }
    Summary { targets: results.len(), methods, selections, calibrations, against_tools }
}

fn method(results: &[TargetResult], drawing: &str, name: &str, protocol: &Protocol) -> Option<MethodSummary> {
    let curves = Curves::of(results, drawing, name);
    let rounds = (0..curves.rounds()?).map(|k| curves.round(k)).collect::<Option<_>>()?;
    let runs: Vec<&Run> = results.iter().flat_map(|t| runs(t, drawing, name)).collect();
    let (first, later) = (worked(&runs, true), worked(&runs, false));
    let areas: Vec<f64> = curves.dice.iter().map(|c| area_under(c)).collect();
    Some(MethodSummary {
        drawing: drawing.into(),
        method: name.into(),
        is_tool: !is_selection(name),
        rounds,
        area_under_dice: mean(&areas)?,
        goals: GOALS.map(|goal| curves.reached(goal)).to_vec(),
        largest_fall: largest_fall(&runs, protocol.accept_iou),
        first_round_s: seconds(&first),
        later_round_s: seconds(&later),
        slice_s: seconds_of_a_slice(first.iter().chain(&later).copied()),
    })
}

/// The figures of a drawing and method by target and round.
struct Curves {
    dice: Vec<Vec<f64>>,
    nsd: Vec<Vec<f64>>,
    hd95_mm: Vec<Vec<f64>>,
    false_before: Vec<Vec<f64>>,
    false_after: Vec<Vec<f64>>,
    missed: Vec<Vec<f64>>,
    interactions: Vec<Vec<f64>>,
}

impl Curves {
    fn of(results: &[TargetResult], drawing: &str, name: &str) -> Curves {
        let of = |figure: &dyn Fn(&Round) -> f64| curves(results, drawing, name, figure);
        Curves {
            dice: of(&|r| r.dice),
            nsd: of(&|r| r.nsd),
            hd95_mm: of(&|r| r.hd95_mm),
            false_before: of(&|r| r.ends.false_before as f64),
            false_after: of(&|r| r.ends.false_after as f64),
            missed: of(&|r| r.ends.missed as f64),
            interactions: of(&|r| r.interactions as f64),
        }
    }

    /// Number of rounds that all targets have; none without targets.
    fn rounds(&self) -> Option<usize> {
        self.dice.iter().map(Vec::len).min()
    }

    /// Round number `k`, from 0, over all targets.
    fn round(&self, k: usize) -> Option<RoundSummary> {
        let interactions: Vec<f64> = self.interactions.iter().map(|c| c[..=k].iter().sum()).collect();
        let ends = [at(&self.false_before, k), at(&self.false_after, k)].concat();
        Some(RoundSummary {
            round: k + 1,
            dice: Mean::of(&at(&self.dice, k))?,
            nsd: Mean::of(&at(&self.nsd, k))?,
            hd95_mm: Mean::of(&at(&self.hd95_mm, k))?,
            false_slices: median(&ends)?,
            missed_slices: mean(&at(&self.missed, k))?,
            interactions: mean(&interactions)?,
        })
    }

    /// Share of the targets that reach a Dice of `goal`, and the mean number of rounds to it.
    fn reached(&self, goal: f64) -> (f64, Option<f64>) {
        let rounds_to_goal = |c: &Vec<f64>| c.iter().position(|&d| d >= goal).map(|k| k as f64 + 1.0);
        let rounds: Vec<f64> = self.dice.iter().filter_map(rounds_to_goal).collect();
        (rounds.len() as f64 / self.dice.len() as f64, mean(&rounds))
    }
}

/// Values of round `k` of every target.
fn at(curves: &[Vec<f64>], k: usize) -> Vec<f64> {
    curves.iter().map(|c| c[k]).collect()
}

/// Largest fall of the Dice after a correct annotation.
fn largest_fall(runs: &[&Run], accept_iou: f64) -> f64 {
    let pairs = runs.iter().flat_map(|r| r.rounds.windows(2));
    pairs.filter_map(|w| w[1].fall_after_correct(&w[0], accept_iou)).fold(0.0, f64::max)
}

/// First or later rounds in which a slice was annotated.
fn worked<'a>(runs: &[&'a Run], first: bool) -> Vec<&'a Round> {
    let rounds = runs.iter().flat_map(|r| &r.rounds);
    rounds.filter(|r| (r.round == 1) == first && r.slice.is_some()).collect()
}

/// Median seconds of interaction and of propagation.
fn seconds(rounds: &[&Round]) -> (f64, f64) {
    let of = |figure: fn(&Round) -> f64| {
        let values: Vec<f64> = rounds.iter().map(|r| figure(r)).collect();
        median(&values).unwrap_or(0.0)
    };
    (of(|r| r.interact_s), of(|r| r.propagate_s))
}

/// Median seconds of a propagated slice.
fn seconds_of_a_slice<'a>(rounds: impl Iterator<Item = &'a Round>) -> f64 {
    let values: Vec<f64> = rounds.filter(|r| r.replaced > 0).map(|r| r.propagate_s / r.replaced as f64).collect();
    median(&values).unwrap_or(0.0)
}

fn selection(results: &[TargetResult], drawing: &str, name: &str) -> Option<SelectionSummary> {
    let figures = |method: &str| {
        let dice = curves(results, drawing, method, &|r| r.dice);
        let last: Vec<f64> = dice.iter().filter_map(|c| c.last().copied()).collect();
        let area: Vec<f64> = dice.iter().map(|c| area_under(c)).collect();
        Some((mean(&last)?, mean(&area)?))
    };
    let (dice, area) = figures(name)?;
    let random = figures("random")?;
    let share = |own: f64, low: f64, high: f64| (high - low > LEAST_GAP).then(|| (own - low) / (high - low));
    let gain = figures("oracle_gain");
    Some(SelectionSummary {
        drawing: drawing.into(),
        method: name.into(),
        dice,
        area_under_dice: area,
        of_oracle: figures("oracle").and_then(|o| share(dice, random.0, o.0)),
        of_oracle_gain: gain.and_then(|o| share(dice, random.0, o.0)),
        of_oracle_gain_area: gain.and_then(|o| share(area, random.1, o.1)),
    })
}

fn calibration(results: &[TargetResult], drawing: &str, name: &str, round: Option<usize>) -> Option<Calibration> {
    let (mut quality, mut truth) = (Vec::new(), Vec::new());
    let (mut correlations, mut shares) = (Vec::new(), Vec::new());
    for run in results.iter().flat_map(|t| runs(t, drawing, name)) {
        for r in run.rounds.iter().filter(|r| round.is_none_or(|n| r.round == n) && r.slice.is_some()) {
            let q: Vec<f64> = r.slices.iter().map(|s| f64::from(s.quality)).collect();
            let t: Vec<f64> = r.slices.iter().map(|s| f64::from(s.iou)).collect();
            correlations.extend(spearman(&q, &t));
            shares.extend(bad_among_worst_fifth(&q, &t));
            quality.extend(q);
            truth.extend(t);
        }
    }
    Some(Calibration {
        drawing: drawing.into(),
        rounds: round.map_or("all".into(), |n| n.to_string()),
        mean_absolute_error: mean_absolute_error(&quality, &truth)?,
        rank_correlation: mean(&correlations),
        pooled_rank_correlation: spearman(&quality, &truth),
        bad_in_worst_fifth: mean(&shares),
        slices: quality.len(),
    })
}

fn against(results: &[TargetResult], drawing: &str, first: &str, tools: &[&str]) -> Option<AgainstTools> {
    let mut targets = Vec::new();
    for target in results {
        let own = curve(target, drawing, first, &|r| r.dice);
        let others: Vec<Vec<f64>> = tools.iter().filter_map(|t| curve(target, drawing, t, &|r| r.dice)).collect();
        if let Some(own) = own.filter(|_| !tools.is_empty() && others.len() == tools.len()) {
            targets.push((own, others));
        }
    }
    let n = targets.iter().flat_map(|(own, others)| others.iter().map(|o| o.len().min(own.len()))).min()?;
    let rounds = (0..n).map(|k| {
        let own: Vec<f64> = targets.iter().map(|t| t.0[k]).collect();
        let tool = |i: usize| mean(&targets.iter().map(|t| t.1[i][k]).collect::<Vec<_>>());
        let best = (0..tools.len()).filter_map(tool).fold(0.0, f64::max);
        let ahead = targets.iter().filter(|t| t.1.iter().all(|o| t.0[k] > o[k])).count();
        Some((mean(&own)?, best, ahead as f64 / targets.len() as f64))
    });
    Some(AgainstTools { drawing: drawing.into(), targets: targets.len(), rounds: rounds.collect::<Option<_>>()? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::metrics::Ends;
    use crate::eval::results::SliceQuality;

    fn run(method: &str, number: usize, dice: &[f64]) -> Run {
        let rounds = dice.iter().enumerate().map(|(k, &dice)| Round {
            round: k + 1,
            slice: Some(k),
            interactions: 2,
            slice_iou: 0.95,
            dice,
            nsd: dice,
            hd95_mm: 1.0,
            ends: Ends { false_before: 2, false_after: 0, missed: 1 },
            interact_s: 0.1,
            propagate_s: 2.0,
            replaced: 10,
            slices: vec![
                SliceQuality { slice: 7, quality: 0.9, iou: 0.8, empty: false },
                SliceQuality { slice: 8, quality: 0.5, iou: 0.4, empty: false },
                SliceQuality { slice: 9, quality: 0.7, iou: 0.6, empty: false },
            ],
            empty_slices: Vec::new(),
        });
        Run { drawing: "box".into(), method: method.into(), number, rounds: rounds.collect() }
    }

    fn target(label: u32, runs: Vec<Run>) -> TargetResult {
        TargetResult {
            case: "c".into(),
            label,
            shape: [1; 3],
            spacing_mm: [1.0; 3],
            axis: 0,
            voxels: 1,
            slices: 1,
            runs,
            peak_memory_mb: 0.0,
            data_checksum: String::new(),
        }
    }

    fn results() -> Vec<TargetResult> {
        let first = vec![
            run("quality", 0, &[0.7, 0.8, 0.88]),
            run("random", 0, &[0.7, 0.7, 0.8]),
            run("random", 1, &[0.7, 0.8, 0.84]),
            run("oracle", 0, &[0.7, 0.85, 0.9]),
            run("snake", 0, &[0.6, 0.9, 0.7]),
        ];
        let second = vec![
            run("quality", 0, &[0.9, 0.86, 0.96]),
            run("random", 0, &[0.9, 0.9, 0.9]),
            run("random", 1, &[0.9, 0.9, 0.9]),
            run("oracle", 0, &[0.9, 0.92, 0.98]),
            run("snake", 0, &[0.95, 0.5, 0.5]),
        ];
        vec![target(1, first), target(2, second)]
    }

    #[test]
    fn figures_of_two_targets_by_hand() {
        let s = summarise(&results(), &Protocol::default());
        let quality = &s.methods[0];
        assert_eq!((quality.drawing.as_str(), quality.method.as_str(), quality.is_tool), ("box", "quality", false));
        assert!((quality.rounds[2].dice.mean - 0.92).abs() < 1e-12);
        assert_eq!(quality.rounds[2].interactions, 6.0);
        // Ends 2, 2, 0, 0.
        assert_eq!(quality.rounds[0].false_slices, 1.0);
        // 0.85: both, in rounds 3 and 1. 0.90: the second in round 1. 0.95: the second in round 3.
        assert_eq!(quality.goals, [(1.0, Some(2.0)), (0.5, Some(1.0)), (0.5, Some(3.0))]);
        assert!((quality.largest_fall - 0.04).abs() < 1e-12);
        assert_eq!((quality.first_round_s, quality.slice_s), ((0.1, 2.0), 0.2));
        assert!(s.methods.iter().any(|m| m.method == "snake" && m.is_tool));
    }

    #[test]
    fn the_recovered_share_of_the_gap() {
        let s = summarise(&results(), &Protocol::default());
        let quality = s.selections.iter().find(|x| x.method == "quality").unwrap();
        // Random: (0.82 + 0.9) / 2 = 0.86; quality 0.92; oracle 0.94.
        assert!((quality.of_oracle.unwrap() - 0.75).abs() < 1e-9);
        assert_eq!(quality.of_oracle_gain, None);
        assert!(s.selections.iter().all(|x| x.method != "random"));
    }

    #[test]
    fn calibration_and_tools() {
        let s = summarise(&results(), &Protocol::default());
        let c = &s.calibrations[0];
        assert_eq!((c.rounds.as_str(), c.slices, c.rank_correlation), ("1", 6, Some(1.0)));
        assert!((c.mean_absolute_error - 0.1).abs() < 1e-6);
        // The slice with IoU 0.4 is the worst-ranked of three.
        assert_eq!(c.bad_in_worst_fifth, Some(1.0));
        let t = &s.against_tools[0];
        // Round 1: 0.7 > 0.6, but 0.9 < 0.95. Round 3: both.
        assert_eq!((t.targets, t.rounds[0].2, t.rounds[2].2), (2, 0.5, 1.0));
        assert!((t.rounds[1].1 - 0.7).abs() < 1e-12);
    }
}
