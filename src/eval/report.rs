//! Tables of an evaluation, as Markdown that also reads well in a terminal, and as CSV.

use super::protocol::{Protocol, Selection};
use super::results::TargetResult;
use super::statistics::Mean;
use super::summary::{GOALS, MethodSummary, Summary};
use crate::atomic_file;
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::fmt::Write;
use std::path::Path;

/// What an evaluation measures: program, model, cases and rules.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Setup {
    /// Version of mem3d.
    pub version: String,
    /// Name of the model.
    pub model: String,
    /// SHA-256 of its file.
    pub model_checksum: String,
    /// Device.
    pub device: String,
    /// Threads of libtorch.
    pub threads: i32,
    /// Folder of the cases.
    pub folder: String,
    /// Rules of the experiment.
    pub protocol: Protocol,
    /// Least number of voxels of a target.
    pub min_voxels: usize,
    /// Least number of slices of a target.
    pub min_slices: usize,
}

/// Setup and results of an evaluation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// What is measured.
    #[serde(flatten)]
    pub setup: Setup,
    /// Cases that failed, with the reasons.
    pub failed: Vec<String>,
    /// Largest peak memory of the process over the targets, MB.
    pub peak_memory_mb: f64,
    /// Figures over all targets.
    pub summary: Summary,
}

/// A table with aligned columns.
struct Table(Vec<Vec<String>>);

impl Table {
    fn new(head: &[&str]) -> Table {
        Table(vec![head.iter().map(|h| (*h).to_owned()).collect()])
    }

    fn row(&mut self, cells: Vec<String>) {
        self.0.push(cells);
    }

    fn write(&self, out: &mut String) {
        let width = |c: usize| self.0.iter().map(|r| r[c].chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..self.0[0].len()).map(width).collect();
        for (n, row) in self.0.iter().enumerate() {
            let cells: Vec<String> = row.iter().zip(&widths).map(|(c, w)| format!("{c:w$}")).collect();
            let _ = writeln!(out, "| {} |", cells.join(" | "));
            if n == 0 {
                let rule: Vec<String> = widths.iter().map(|w| "-".repeat(*w)).collect();
                let _ = writeln!(out, "| {} |", rule.join(" | "));
            }
        }
        out.push('\n');
    }
}

fn with_interval(m: Mean) -> String {
    format!("{:.3} [{:.3}, {:.3}]", m.mean, m.low, m.high)
}

fn percent(v: Option<f64>) -> String {
    v.map_or("-".into(), |v| format!("{:.0} %", 100.0 * v))
}

fn figure(v: Option<f64>) -> String {
    v.map_or("-".into(), |v| format!("{v:.3}"))
}

impl Report {
    /// The whole report as Markdown; `pictures` are file names of plots to show.
    pub fn markdown(&self, results: &[TargetResult], pictures: &[String]) -> String {
        let mut out = String::new();
        self.head(&mut out);
        if self.summary.targets == 0 {
            out.push_str("No target was evaluated.\n");
            return out;
        }
        self.methods(&mut out);
        self.tools(&mut out);
        self.selections(&mut out);
        self.course(&mut out);
        self.calibration(&mut out);
        self.runtime(&mut out);
        self.targets(results, &mut out);
        for picture in pictures {
            let _ = writeln!(out, "![{0}]({0})\n", picture);
        }
        out
    }

    fn head(&self, out: &mut String) {
        let p = &self.setup.protocol;
        let _ = writeln!(out, "# Evaluation of {}\n", self.setup.model);
        let _ = writeln!(
            out,
            "{} targets of {} (labels with at least {} voxels in at least {} slices), {} rounds, seed {}, {} hand, {}; \
             mem3d {}, {}, {} threads. Definitions: docs/evaluation.md. Intervals: 95 %, bootstrap over targets.\n",
            self.summary.targets,
            self.setup.folder,
            self.setup.min_voxels,
            self.setup.min_slices,
            p.rounds,
            p.seed,
            if p.jitter { "unsteady" } else { "steady" },
            if p.perfect_corrections {
                "corrections by hand".into()
            } else {
                format!("up to {} corrections a slice until IoU {}", p.corrections, p.accept_iou)
            },
            self.setup.version,
            self.setup.device,
            self.setup.threads,
        );
        for failed in &self.failed {
            let _ = writeln!(out, "Failed: {failed}\n");
        }
    }

    /// Rounds that tables show: 1, 3, 6 and the last, as far as there are so many.
    fn shown_rounds(&self) -> Vec<usize> {
        let n = self.summary.methods.iter().map(|m| m.rounds.len()).min().unwrap_or(0);
        let mut rounds: Vec<usize> = [1, 3, 6, n].into_iter().filter(|&r| r >= 1 && r <= n).collect();
        rounds.dedup();
        rounds
    }

    /// The paper's Table 1: method by interaction type. The first of mem3d's selections represents the method.
    fn methods(&self, out: &mut String) {
        let rounds = self.shown_rounds();
        let mut head = vec!["interaction".to_owned(), "method".into()];
        for r in &rounds {
            head.extend([format!("DSC, round {r}"), format!("NSD, round {r}")]);
        }
        let mut table = Table(vec![head]);
        for m in self.summary.methods.iter().filter(|m| m.is_tool || Some(m.method.as_str()) == self.first()) {
            let mut row = vec![m.drawing.clone(), self.label(m)];
            for &r in &rounds {
                row.extend([with_interval(m.rounds[r - 1].dice), format!("{:.3}", m.rounds[r - 1].nsd.mean)]);
            }
            table.row(row);
        }
        let _ = writeln!(out, "## Methods\n\nNSD at {} mm.\n", self.setup.protocol.tolerance_mm);
        table.write(out);
    }

    fn tools(&self, out: &mut String) {
        if self.summary.against_tools.is_empty() {
            return;
        }
        let mut table =
            Table::new(&["interaction", "targets", "round", "DSC", "best tool's DSC", "ahead of every tool on"]);
        for a in &self.summary.against_tools {
            for r in self.shown_rounds().into_iter().filter(|&r| r <= a.rounds.len()) {
                let (own, tool, ahead) = a.rounds[r - 1];
                table.row(vec![
                    a.drawing.clone(),
                    a.targets.to_string(),
                    r.to_string(),
                    format!("{own:.3}"),
                    format!("{tool:.3}"),
                    percent(Some(ahead)),
                ]);
            }
        }
        let _ = writeln!(out, "## Against the classical tools\n");
        table.write(out);
    }

    fn first(&self) -> Option<&str> {
        self.setup.protocol.selections.first().map(|s| s.name())
    }

    /// Name of a method in tables and plots.
    pub fn label(&self, m: &MethodSummary) -> String {
        if m.is_tool { m.method.replace('_', " ") } else { format!("mem3d ({})", m.method.replace('_', " ")) }
    }

    /// The paper's Table 2.
    fn selections(&self, out: &mut String) {
        if self.summary.selections.is_empty() {
            return;
        }
        let mut table = Table::new(&[
            "interaction",
            "slice chosen by",
            "DSC, last round",
            "area under DSC",
            "of gap to oracle",
            "of gap to oracle gain",
            "the same by area",
        ]);
        for m in self.summary.methods.iter().filter(|m| !m.is_tool) {
            let s = self.summary.selections.iter().find(|s| s.drawing == m.drawing && s.method == m.method);
            let last = m.rounds.last().map_or(0.0, |r| r.dice.mean);
            table.row(vec![
                m.drawing.clone(),
                m.method.replace('_', " "),
                format!("{last:.4}"),
                format!("{:.4}", m.area_under_dice),
                percent(s.and_then(|s| s.of_oracle)),
                percent(s.and_then(|s| s.of_oracle_gain)),
                percent(s.and_then(|s| s.of_oracle_gain_area)),
            ]);
        }
        let _ = writeln!(out, "## Slice selection\n\nRandom is 0 %, the oracle 100 %.\n");
        table.write(out);
    }

    /// The paper's Fig. 3 as numbers.
    fn course(&self, out: &mut String) {
        let goals = GOALS.map(|g| format!("reach {g:.2} (in rounds)"));
        let mut head = vec!["interaction".to_owned(), "method".into()];
        let n = self.summary.methods.iter().map(|m| m.rounds.len()).min().unwrap_or(0);
        head.extend((1..=n).map(|r| format!("DSC {r}")));
        head.extend(goals);
        let more = ["HD95 mm", "false slices", "missed slices", "interactions", "largest fall"];
        head.extend(more.map(str::to_owned));
        let mut table = Table(vec![head]);
        for m in &self.summary.methods {
            let mut row = vec![m.drawing.clone(), self.label(m)];
            row.extend(m.rounds[..n].iter().map(|r| format!("{:.3}", r.dice.mean)));
            row.extend(m.goals.iter().map(|(share, rounds)| {
                let rounds = rounds.map_or(String::new(), |r| format!(" ({r:.1})"));
                percent(Some(*share)) + &rounds
            }));
            let last = &m.rounds[n - 1];
            row.extend([
                format!("{:.1}", last.hd95_mm.mean),
                format!("{:.1}", last.false_slices),
                format!("{:.1}", last.missed_slices),
                if m.is_tool { "-".into() } else { format!("{:.1}", last.interactions) },
                if m.is_tool { "-".into() } else { format!("{:.3}", m.largest_fall) },
            ]);
            table.row(row);
        }
        let _ = writeln!(out, "## Over the rounds\n\nThe last five columns are after the last round.\n");
        table.write(out);
    }

    fn calibration(&self, out: &mut String) {
        if self.summary.calibrations.is_empty() {
            return;
        }
        let mut table = Table::new(&[
            "interaction",
            "rounds",
            "slices",
            "mean absolute error",
            "rank correlation in a volume",
            "over all slices",
            "IoU < 0.5 in worst fifth",
        ]);
        for c in &self.summary.calibrations {
            table.row(vec![
                c.drawing.clone(),
                c.rounds.clone(),
                c.slices.to_string(),
                format!("{:.3}", c.mean_absolute_error),
                figure(c.rank_correlation),
                figure(c.pooled_rank_correlation),
                percent(c.bad_in_worst_fifth),
            ]);
        }
        let _ = writeln!(out, "## Quality against true IoU\n");
        table.write(out);
    }

    fn runtime(&self, out: &mut String) {
        let mut table = Table::new(&[
            "interaction",
            "method",
            "first round: interaction s",
            "propagation s",
            "later round: interaction s",
            "propagation s",
            "s a slice",
        ]);
        for m in self.summary.methods.iter().filter(|m| m.is_tool || Some(m.method.as_str()) == self.first()) {
            let s = |v: f64| format!("{v:.2}");
            let (first, later) = (m.first_round_s, m.later_round_s);
            let slice = if m.is_tool { "-".into() } else { format!("{:.3}", m.slice_s) };
            table.row(vec![m.drawing.clone(), self.label(m), s(first.0), s(first.1), s(later.0), s(later.1), slice]);
        }
        let _ = writeln!(out, "## Runtime\n\nMedians. Peak memory of the process: {:.0} MB.\n", self.peak_memory_mb);
        table.write(out);
    }

    fn targets(&self, results: &[TargetResult], out: &mut String) {
        let rounds = self.shown_rounds();
        let mut head = vec!["case".to_owned(), "label".into(), "slices".into(), "interaction".into(), "method".into()];
        head.extend(rounds.iter().map(|r| format!("DSC {r}")));
        head.extend(rounds.iter().map(|r| format!("NSD {r}")));
        let mut table = Table(vec![head]);
        for t in results {
            for run in t.runs.iter().filter(|r| r.number == 0) {
                let tool = !Selection::ALL.iter().any(|s| s.name() == run.method);
                if !tool && Some(run.method.as_str()) != self.first() {
                    continue;
                }
                let mut row = vec![
                    t.case.clone(),
                    t.label.to_string(),
                    t.slices.to_string(),
                    run.drawing.clone(),
                    run.method.replace('_', " "),
                ];
                row.extend(rounds.iter().map(|&r| figure(run.rounds.get(r - 1).map(|r| r.dice))));
                row.extend(rounds.iter().map(|&r| figure(run.rounds.get(r - 1).map(|r| r.nsd))));
                table.row(row);
            }
        }
        let _ = writeln!(out, "## Every target\n");
        table.write(out);
    }
}

/// One line of the CSV file.
#[derive(Debug, Serialize)]
struct Line<'a> {
    case: &'a str,
    label: u32,
    voxels: usize,
    target_slices: usize,
    axis: usize,
    interaction: &'a str,
    method: &'a str,
    run: usize,
    round: usize,
    slice: Option<usize>,
    slice_iou: f64,
    interactions: usize,
    dsc: f64,
    nsd: f64,
    hd95_mm: f64,
    false_before: usize,
    false_after: usize,
    missed: usize,
    interact_s: f64,
    propagate_s: f64,
    replaced_slices: usize,
}

/// Writes every round of every run of every target as a line of CSV.
///
/// # Errors
/// [`Error::Io`].
pub fn write_csv(path: &Path, results: &[TargetResult]) -> Result<()> {
    let mut csv = csv::Writer::from_writer(Vec::new());
    let internal = |e: csv::Error| Error::Internal(format!("CSV: {e}"));
    for t in results {
        for (run, r) in t.runs.iter().flat_map(|run| run.rounds.iter().map(move |r| (run, r))) {
            csv.serialize(Line {
                case: &t.case,
                label: t.label,
                voxels: t.voxels,
                target_slices: t.slices,
                axis: t.axis,
                interaction: &run.drawing,
                method: &run.method,
                run: run.number,
                round: r.round,
                slice: r.slice,
                slice_iou: r.slice_iou,
                interactions: r.interactions,
                dsc: r.dice,
                nsd: r.nsd,
                hd95_mm: r.hd95_mm,
                false_before: r.ends.false_before,
                false_after: r.ends.false_after,
                missed: r.ends.missed,
                interact_s: r.interact_s,
                propagate_s: r.propagate_s,
                replaced_slices: r.replaced,
            })
            .map_err(internal)?;
        }
    }
    let bytes = csv.into_inner().map_err(|e| Error::Internal(format!("CSV: {e}")))?;
    atomic_file::write(path, |w| w.write_all(&bytes))
}
