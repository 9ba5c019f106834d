//! Plots of an evaluation: Dice against rounds (the paper's Fig. 3), and estimated quality against true IoU.

use crate::common::chart::{self, COLORS, Chart, Series};
use mem3d::Result;
use mem3d::eval::protocol::Drawing;
use mem3d::eval::report::Report;
use mem3d::eval::results::TargetResult;
use std::path::Path;

/// Largest number of dots in a cloud. Chosen.
const DOTS: usize = 4000;

/// Writes the plots into `out`; returns their names.
///
/// # Errors
/// [`mem3d::Error::Io`].
pub fn write(out: &Path, report: &Report, results: &[TargetResult]) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for (name, charts) in
        [("dsc_over_rounds.png", over_rounds(report)), ("quality_against_iou.png", quality(report, results))]
    {
        if !charts.is_empty() {
            chart::write(&out.join(name), &charts)?;
            names.push(name.to_owned());
        }
    }
    Ok(names)
}

fn drawings(report: &Report) -> Vec<&'static str> {
    let has = |d: &Drawing| report.summary.methods.iter().any(|m| m.drawing == d.name());
    Drawing::ALL.iter().filter(|d| has(d)).map(|d| d.name()).collect()
}

fn over_rounds(report: &Report) -> Vec<Chart> {
    let methods = &report.summary.methods;
    let values = methods.iter().flat_map(|m| m.rounds.iter().map(|r| r.dice.mean));
    // Some space below, on tenths, so that the charts of two reports have the same axes.
    let low = (values.fold(1.0, f64::min) * 10.0 - 0.2).floor().max(0.0) / 10.0;
    let chart = |drawing: &str| {
        let shown = methods.iter().filter(|m| m.drawing == drawing);
        let series = shown.enumerate().map(|(n, m)| Series {
            name: report.label(m),
            points: m.rounds.iter().map(|r| (r.round as f64, r.dice.mean)).collect(),
            color: COLORS[n % COLORS.len()],
            line: true,
        });
        Chart {
            title: drawing.replace('_', " "),
            x_label: "round".into(),
            y_label: "mean DSC".into(),
            x_range: None,
            x_counts: true,
            y_range: Some((low, 1.0)),
            series: series.collect(),
        }
    };
    drawings(report).into_iter().map(chart).collect()
}

fn quality(report: &Report, results: &[TargetResult]) -> Vec<Chart> {
    let Some(first) = report.setup.protocol.selections.first().map(|s| s.name()) else { return Vec::new() };
    let chart = |drawing: &str| {
        let runs = results.iter().flat_map(|t| &t.runs).filter(|r| r.drawing == drawing && r.method == first);
        let rounds = runs.flat_map(|r| r.rounds.iter().filter(|r| r.slice.is_some()));
        let all: Vec<(f64, f64)> =
            rounds.flat_map(|r| r.slices.iter().map(|s| (f64::from(s.quality), f64::from(s.iou)))).collect();
        let points: Vec<(f64, f64)> = all.iter().copied().step_by(all.len().div_ceil(DOTS).max(1)).collect();
        let [r, g, b, _] = COLORS[0];
        (!points.is_empty()).then(|| Chart {
            title: drawing.replace('_', " "),
            x_label: "estimated quality".into(),
            y_label: "true IoU".into(),
            x_range: Some((0.0, 1.0)),
            x_counts: false,
            y_range: Some((0.0, 1.0)),
            series: vec![
                Series { name: String::new(), points: vec![(0.0, 0.0), (1.0, 1.0)], color: [150; 4], line: true },
                Series { name: String::new(), points, color: [r, g, b, 110], line: false },
            ],
        })
    };
    drawings(report).into_iter().filter_map(chart).collect()
}
