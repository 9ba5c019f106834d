//! `log.png` of a training: the loss of each stage, and the scores, over its time.

use crate::common::chart::{self, COLORS, Chart, Series};
use mem3d::Result;
use mem3d::train::Stage;
use mem3d::train::log::{Line, Log};
use mem3d::train::run::LOG;
use std::path::Path;

/// Draws the log of the run in `folder`; nothing while there is none.
///
/// # Errors
/// As reading the log, and [`mem3d::Error::Io`] when the picture cannot be written.
pub fn write(folder: &Path) -> Result<()> {
    let path = folder.join(LOG);
    if !path.exists() {
        return Ok(());
    }
    let lines = Log::read(&path)?;
    let charts = charts(&lines);
    if charts.is_empty() { Ok(()) } else { chart::write(&folder.join("log.png"), &charts) }
}

fn charts(lines: &[Line]) -> Vec<Chart> {
    let chart = |title: &str, y_label: &str, y_range, series: Vec<Series>| Chart {
        title: title.into(),
        x_label: "minutes of the stage".into(),
        y_label: y_label.into(),
        x_range: None,
        x_counts: false,
        y_range,
        series,
    };
    let series = |n: usize, name: &str, stage: Stage, value: &dyn Fn(&Line) -> Option<f64>| Series {
        name: name.into(),
        points: lines.iter().filter(|l| l.stage == stage).filter_map(|l| Some((l.seconds / 60.0, value(l)?))).collect(),
        color: COLORS[n],
        line: true,
    };
    let losses = Stage::ALL.iter().enumerate().map(|(n, &stage)| series(n, stage.name(), stage, &|l| Some(l.loss)));
    let scores = [
        series(0, "Dice, held-out synthetic clips", Stage::Memory, &|l| l.synthetic_dice),
        series(4, "Dice, held-out real clips", Stage::Memory, &|l| l.real_dice),
        series(1, "Dice of the last answer (interaction)", Stage::Interaction, &|l| l.score),
        series(2, "absolute error of the quality", Stage::Quality, &|l| l.score),
    ];
    let drawn = |all: Vec<Series>| all.into_iter().filter(|s| !s.points.is_empty()).collect::<Vec<_>>();
    let (losses, scores) = (drawn(losses.collect()), drawn(scores.into()));
    let mut charts = vec![];
    if !losses.is_empty() {
        charts.push(chart("Loss", "loss", None, losses));
    }
    if !scores.is_empty() {
        charts.push(chart("Scores", "score", Some((0.0, 1.0)), scores));
    }
    charts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(stage: Stage, seconds: f64, loss: f64, score: Option<f64>) -> Line {
        Line {
            stage,
            step: 1,
            seconds,
            loss,
            gradient: 1.0,
            rate: 1e-3,
            steps_per_second: 1.0,
            waiting: 0.0,
            score,
            synthetic_dice: None,
            synthetic_false: None,
            real_dice: None,
            real_false: None,
        }
    }

    #[test]
    fn losses_and_scores_are_drawn_over_minutes() {
        let lines = [
            line(Stage::Memory, 60.0, 0.8, None),
            line(Stage::Memory, 120.0, 0.5, None),
            line(Stage::Interaction, 30.0, 0.4, Some(0.7)),
        ];
        let charts = charts(&lines);
        assert_eq!(charts[0].series[0].points, [(1.0, 0.8), (2.0, 0.5)]);
        assert_eq!(charts[0].series.len(), 2);
        assert_eq!(charts[1].series[0].points, [(0.5, 0.7)]);

        let folder = tempfile::tempdir().unwrap();
        write(folder.path()).unwrap();
        assert!(!folder.path().join("log.png").exists());
        let log = Log::open(&folder.path().join(LOG), |_| true).unwrap();
        lines.iter().for_each(|l| log.append(l).unwrap());
        write(folder.path()).unwrap();
        assert!(tiny_skia::Pixmap::load_png(folder.path().join("log.png")).unwrap().width() > 500);
    }
}
