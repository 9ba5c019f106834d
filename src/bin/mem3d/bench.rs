//! `mem3d bench`: times on a synthetic volume, compared with the speed of the machine.

mod agreement;
mod parts;
mod plots;
mod round;

use crate::common::output::{Kind, say};
use crate::common::{console, memory, output};
use mem3d::nn::Preset;
use mem3d::nn::model::{Model, Precision};
use mem3d::torch;
use mem3d::{Error, Result};
use parts::Line;
use round::{Case, Round};
use serde::Serialize;
use std::path::PathBuf;
use tch::Device;

/// Times the networks and whole rounds on a synthetic volume.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Model file of the compact preset; by default random weights without pretrained features, a little faster.
    #[arg(long)]
    model: Option<PathBuf>,
    /// Presets to time.
    #[arg(long, value_delimiter = ',', default_value = "compact,paper")]
    presets: Vec<String>,
    /// Numbers of slices; a round is timed for each, so that cost per slice can be compared.
    #[arg(long, value_delimiter = ',', default_value = "100")]
    slices: Vec<usize>,
    /// Numbers of segments; a round is timed for each.
    #[arg(long, value_delimiter = ',', default_value = "1")]
    segments: Vec<u32>,
    /// Rows and columns of a slice.
    #[arg(long, default_value_t = 512)]
    size: usize,
    /// Slices of a round of the paper preset that are timed; a whole round is their time per slice times its slices.
    #[arg(long, default_value_t = 6)]
    paper_slices: usize,
    /// `auto`, `cpu` or `cuda:N`.
    #[arg(long, default_value = "auto")]
    device: String,
    /// Threads of libtorch; all cores by default.
    #[arg(long)]
    threads: Option<u32>,
    /// Draws the scaling of a round of the compact preset into this folder, instead of the tables: scaling_volume.png,
    /// scaling_segments.png and, on a CPU, scaling_threads.png.
    #[arg(long, value_name = "FOLDER")]
    plots: Option<PathBuf>,
    /// Prints the agreement of masks with those of the plain float32 computation on the cases of this folder (as for
    /// `mem3d evaluate`), instead of the tables.
    #[arg(long, value_name = "DATA")]
    agreement: Option<PathBuf>,
    /// Least DSC of an agreement; below it the command fails.
    #[arg(long, default_value_t = 0.995)]
    least: f64,
    /// Also writes everything as JSON.
    #[arg(long)]
    json: Option<PathBuf>,
}

#[derive(Debug, Serialize)]
struct Report {
    libtorch: String,
    device: String,
    threads: i32,
    /// Multiply-accumulates a second of a large convolution: speed of the machine.
    peak_gmac_per_s: f64,
    presets: Vec<PresetReport>,
}

#[derive(Debug, Serialize)]
struct PresetReport {
    preset: String,
    model: String,
    network_size: i64,
    parts: Vec<Line>,
    rounds: Vec<Round>,
}

/// Runs the benchmark and prints its table.
///
/// # Errors
/// As the model and the session.
pub fn run(args: &Args) -> Result<()> {
    if !(32..=4096).contains(&args.size) || args.slices.iter().any(|n| !(3..=4096).contains(n)) {
        return Err(Error::argument("use --size 32 to 4096 and --slices 3 to 4096"));
    }
    if args.segments.iter().any(|n| !(1..=64).contains(n)) {
        return Err(Error::argument("use --segments 1 to 64"));
    }
    if let Some(path) = &args.json {
        let model: Vec<_> = args.model.iter().map(PathBuf::as_path).collect();
        output::check_as(Kind::Json, path, true, &model)?;
    }
    if let Some(n) = args.threads {
        torch::processors::set_threads(n as usize)?;
    }
    if let Some(data) = &args.agreement {
        let agreements = agreement::run(data, args.model.as_deref(), &args.device, args.least)?;
        return args.json.as_ref().map_or(Ok(()), |path| output::write_json(path, &agreements));
    }
    if let Some(folder) = &args.plots {
        return plots::run(folder, args.model.as_deref(), &args.device);
    }
    let device = torch::device::parse(&args.device)?;
    let peak = torch::run(|| parts::peak_gmac_per_s(device))?;
    let mut report = Report {
        libtorch: torch::torch_ext::libtorch_version(),
        device: format!("{device:?}"),
        threads: tch::get_num_threads(),
        peak_gmac_per_s: peak,
        presets: Vec::new(),
    };
    say!("libtorch {}, {}, {} threads", report.libtorch, report.device, report.threads);
    say!("a large convolution runs at {peak:.0} GMAC/s here (100 %)\n");
    for preset in &args.presets {
        let preset_report = match preset.as_str() {
            "compact" => bench_preset(args, Preset::Compact, device, peak)?,
            "paper" => bench_preset(args, Preset::Paper, device, peak)?,
            other => {
                return Err(Error::InvalidArgument(format!("there is no preset \"{other}\"; use compact or paper")));
            }
        };
        report.presets.push(preset_report);
    }
    print_ratio(&report);
    if let Some(path) = &args.json {
        output::write_json(path, &report)?;
    }
    Ok(())
}

fn bench_preset(args: &Args, preset: Preset, device: Device, peak: f64) -> Result<PresetReport> {
    let model = match (&args.model, preset) {
        (Some(path), Preset::Compact) => Model::load(path, &args.device, Precision::Auto)?,
        _ => Model::random(preset, 1, &args.device, Precision::Auto)?,
    };
    let whole = preset == Preset::Paper;
    let info = model.info();
    let size = if whole { info.slice_size } else { info.network_size };
    let name = format!("{preset:?}").to_lowercase();
    say!("{name}: {} ({} x {size} pixels{})", info.name, size, if whole { ", whole slice" } else { "" });
    say!("  {:34} {:>9} {:>8} {:>8}", "one slice", "seconds", "GMAC", "of peak");
    let parts = torch::run(|| parts::time_parts(&model, size, device, if whole { 2 } else { 8 }))?;
    for p in &parts {
        let share = if p.gmac > 0.0 { format!("{:.0} %", 100.0 * p.gmac / p.seconds / peak) } else { String::new() };
        say!("  {:34} {:9.4} {:8.2} {share:>8}", p.what, p.seconds, p.gmac);
    }
    say!(
        "  {:>16} {:>8} {:>9} {:>9} {:>12} {:>12} {:>10} {:>8} {:>8} {:>12}",
        "volume",
        "segments",
        "session",
        "interact",
        "first round",
        "s a slice",
        "refine",
        "of peak",
        "MB",
        "cpu s"
    );
    let mut rounds = Vec::new();
    let before_mb = memory::status_mb("VmRSS:");
    // The compact preset shares work between segments; the paper's networks segment one.
    let segments: &[u32] = if whole { &[1] } else { &args.segments };
    for (&depth, &segments) in args.slices.iter().flat_map(|d| segments.iter().map(move |s| (d, s))) {
        let case = Case { depth, size: args.size, segments, only: whole.then_some(args.paper_slices) };
        let r = console::busy(format!("timing {depth} slices"), || round::time(&model, case, before_mb))?;
        say!(
            "  {:>16} {:8} {:9.3} {:9.3} {:12.2} {:12.4} {:10.2} {:>7.0}% {:8.0} {:>12}{}",
            format!("{}x{}x{depth}", args.size, args.size),
            r.segments,
            r.session_s,
            r.interact_s,
            r.first_round_s,
            r.first_round_s / r.first_round_slices as f64,
            r.refinement_s,
            100.0 * r.gmac_first_round / r.first_round_s / peak,
            r.peak_beside_volume_mb,
            format!("{:.1} + {:.1}", r.first_round_cpu_s, r.refinement_cpu_s),
            if r.scaled { "  (scaled from a part)" } else { "" }
        );
        rounds.push(r);
    }
    say!("");
    Ok(PresetReport { preset: name, model: info.name.clone(), network_size: size, parts, rounds })
}

fn print_ratio(report: &Report) {
    let find = |name: &str| report.presets.iter().find(|p| p.preset == name);
    if let (Some(compact), Some(paper)) = (find("compact"), find("paper")) {
        for (c, p) in compact.rounds.iter().filter(|r| r.segments == 1).zip(&paper.rounds) {
            let per_slice = |r: &Round| r.first_round_s / r.first_round_slices as f64;
            say!(
                "{} slices: a slice of compact takes {:.3} of one of paper ({:.1} times as fast)",
                c.shape[0],
                per_slice(c) / per_slice(p),
                per_slice(p) / per_slice(c)
            );
        }
    }
}
