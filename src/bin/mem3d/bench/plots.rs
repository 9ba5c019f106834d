//! Time of a round against slices, segments, pixels of a slice and threads.

use super::round::{self, Case, Round};
use crate::common::chart::{self, COLORS, Chart, Series};
use crate::common::output::say;
use crate::common::{console, output};
use mem3d::Result;
use mem3d::nn::Preset;
use mem3d::nn::model::{Model, Precision};
use std::collections::BTreeMap;
use std::path::Path;

/// Start of every sweep. Chosen.
const BASE: Case = Case { depth: 60, size: 512, segments: 1, only: None };

/// One round at each of these.
struct Sweep {
    /// File name of the picture.
    file: &'static str,
    title: &'static str,
    x_label: &'static str,
    y_label: &'static str,
    /// x, what is timed, threads of libtorch.
    cases: Vec<(f64, Case, i32)>,
    /// Seconds of the first round and of the refinement.
    seconds: fn(&Round) -> [f64; 2],
}

/// Times the sweeps and draws `scaling_volume.png` (slices, pixels), `scaling_segments.png` and `scaling_threads.png`
/// into `folder`. On the CPU all but the sweep of threads show processor time on one thread, which hardly depends on
/// other programs.
///
/// # Errors
/// As the model and the session, and [`mem3d::Error::Io`].
pub fn run(folder: &Path, model: Option<&Path>, device: &str) -> Result<()> {
    output::folder(folder)?;
    let model = match model {
        Some(path) => Model::load(path, device, Precision::Auto)?,
        None => Model::random(Preset::Compact, 1, device, Precision::Auto)?,
    };
    // The first round of a process is slower.
    round::time(&model, Case { depth: 10, ..BASE }, 0.0)?;
    let threads = tch::get_num_threads();
    let mut charts: BTreeMap<&str, Vec<Chart>> = BTreeMap::new();
    for sweep in sweeps(model.device().is_cuda(), threads) {
        let mut rounds = Vec::new();
        for (x, case, threads) in sweep.cases {
            tch::set_num_threads(threads);
            let r = console::busy(format!("{}: {x}", sweep.title), || round::time(&model, case, 0.0))?;
            let [first, refinement] = (sweep.seconds)(&r);
            say!("{:10} {x:6} first round {first:7.2} s, refinement {refinement:7.2} s", sweep.title);
            rounds.push((x, [first, refinement]));
        }
        charts.entry(sweep.file).or_default().push(chart(sweep.title, sweep.x_label, sweep.y_label, &rounds));
        chart::write(&folder.join(sweep.file), &charts[sweep.file])?;
    }
    tch::set_num_threads(threads);
    Ok(())
}

fn sweeps(cuda: bool, threads: i32) -> Vec<Sweep> {
    let wall = |r: &Round| [r.first_round_s, r.refinement_s];
    let (y_label, seconds): (_, fn(&Round) -> [f64; 2]) =
        if cuda { ("seconds", wall) } else { ("processor seconds", |r| [r.first_round_cpu_s, r.refinement_cpu_s]) };
    let on = if cuda { threads } else { 1 };
    let of_slices = |n: usize| (n as f64, Case { depth: n, ..BASE }, on);
    let of_segments = |n: u32| (f64::from(n), Case { segments: n, ..BASE }, on);
    let of_pixels = |n: usize| (n as f64, Case { size: n, ..BASE }, on);
    const VOLUME: &str = "scaling_volume.png";
    let cases: [(_, _, _, Vec<_>); 3] = [
        (VOLUME, "Slices", "slices of 512 x 512", [30, 60, 120, 240, 400].map(of_slices).into()),
        (VOLUME, "Pixels", "rows and columns of 60 slices", [128, 256, 512, 768, 1024].map(of_pixels).into()),
        ("scaling_segments.png", "Segments", "segments on 60 slices", [1, 2, 3, 4, 5].map(of_segments).into()),
    ];
    let sweep = |(file, title, x_label, cases)| Sweep { file, title, x_label, y_label, cases, seconds };
    let mut sweeps: Vec<Sweep> = cases.into_iter().map(sweep).collect();
    if threads > 1 && !cuda {
        let counts = (1..=threads).filter(|n| n & (n - 1) == 0 || *n == threads);
        sweeps.push(Sweep {
            file: "scaling_threads.png",
            title: "Threads",
            x_label: "threads on 60 slices",
            y_label: "seconds",
            cases: counts.map(|n| (f64::from(n), BASE, n)).collect(),
            seconds: wall,
        });
    }
    sweeps
}

fn chart(title: &str, x_label: &str, y_label: &str, rounds: &[(f64, [f64; 2])]) -> Chart {
    let series = |n: usize, name: &str| Series {
        name: name.into(),
        points: rounds.iter().map(|(x, seconds)| (*x, seconds[n])).collect(),
        color: COLORS[n],
        line: true,
    };
    let most = rounds.iter().flat_map(|r| r.1).fold(0.0, f64::max);
    Chart {
        title: title.into(),
        x_label: x_label.into(),
        y_label: y_label.into(),
        x_range: Some((0.0, rounds.last().map_or(1.0, |r| r.0))),
        x_counts: true,
        y_range: Some((0.0, most * 1.05)),
        series: vec![series(0, "first round"), series(1, "refinement")],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_are_swept_up_to_all_of_them() {
        let titles = |cuda, threads| sweeps(cuda, threads).iter().map(|s| s.title).collect::<Vec<_>>();
        assert_eq!(titles(true, 6), ["Slices", "Pixels", "Segments"]);
        assert_eq!(titles(false, 1), ["Slices", "Pixels", "Segments"]);
        let counts: Vec<i32> = sweeps(false, 6)[3].cases.iter().map(|c| c.2).collect();
        assert_eq!(counts, [1, 2, 4, 6]);
    }
}
