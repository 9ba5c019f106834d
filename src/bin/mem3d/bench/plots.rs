//! How a round grows with slices, segments, pixels of a slice and threads.

use super::round::{self, Case, Round};
use crate::chart::{self, COLORS, Chart, Series};
use crate::console;
use mem3d::nn::Preset;
use mem3d::nn::model::{Model, Precision};
use mem3d::{Error, Result};
use std::path::Path;

/// What every sweep starts from.
const BASE: Case = Case { depth: 60, size: 512, segments: 1, only: None };

/// Times the sweeps and draws `scaling.png` into `folder`.
///
/// # Errors
/// As the model and the session, and [`Error::Io`].
pub fn run(folder: &Path, model: Option<&Path>, device: &str) -> Result<()> {
    std::fs::create_dir_all(folder).map_err(|e| Error::io(folder, e))?;
    let model = match model {
        Some(path) => Model::load(path, device, Precision::Auto)?,
        None => Model::random(Preset::Compact, 1, device, Precision::Auto)?,
    };
    let threads = tch::get_num_threads();
    let all = (1..=threads).filter(|n| n & (n - 1) == 0 || *n == threads);
    let sweeps: [(&str, &str, Vec<(f64, Case, i32)>); 4] = [
        (
            "Slices",
            "slices of 512 x 512",
            vec![30, 60, 120, 240, 400].into_iter().map(|n| (n as f64, Case { depth: n, ..BASE }, threads)).collect(),
        ),
        (
            "Segments",
            "segments on 60 slices",
            (1..=5).map(|n| (f64::from(n), Case { segments: n, ..BASE }, threads)).collect(),
        ),
        (
            "Pixels",
            "rows and columns, 60 slices",
            [128, 256, 512, 768, 1024].into_iter().map(|n| (n as f64, Case { size: n, ..BASE }, threads)).collect(),
        ),
        ("Threads", "threads, 60 slices", all.map(|n| (f64::from(n), BASE, n)).collect()),
    ];
    let mut charts = Vec::new();
    // Warm: the first round of a process is slower.
    round::time(&model, Case { depth: 10, ..BASE }, 0.0)?;
    for (title, x_label, cases) in sweeps {
        let mut rounds = Vec::new();
        for (x, case, threads) in cases {
            tch::set_num_threads(threads);
            let r = console::busy(format!("{title}: {x}"), || round::time(&model, case, 0.0))?;
            println!("{title:10} {x:6} first round {:7.2} s, refinement {:7.2} s", r.first_round_s, r.refinement_s);
            rounds.push((x, r));
        }
        charts.push(chart(title, x_label, &rounds));
    }
    tch::set_num_threads(threads);
    chart::write(&folder.join("scaling.png"), &charts)
}

fn chart(title: &str, x_label: &str, rounds: &[(f64, Round)]) -> Chart {
    let series = |n: usize, name: &str, value: fn(&Round) -> f64| Series {
        name: name.into(),
        points: rounds.iter().map(|(x, r)| (*x, value(r))).collect(),
        color: COLORS[n],
        line: true,
    };
    let series = vec![series(0, "first round", |r| r.first_round_s), series(1, "refinement", |r| r.refinement_s)];
    let most = series.iter().flat_map(|s| &s.points).fold(0.0, |most, p| p.1.max(most));
    Chart {
        title: title.into(),
        x_label: x_label.into(),
        y_label: "seconds".into(),
        x_range: Some((0.0, rounds.last().map_or(1.0, |r| r.0))),
        x_counts: true,
        y_range: Some((0.0, most * 1.05)),
        series,
    }
}
