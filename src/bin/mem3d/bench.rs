//! `mem3d bench`: where the time goes, on a synthetic volume, beside what the machine could do.

use super::{console, output};
use mem3d::engine::{Interaction, PropagateOptions, Session, SessionOptions, Stroke};
use mem3d::nn::model::{Model, Precision};
use mem3d::nn::{self, InteractionInput, InteractionKind, Preset, macs};
use mem3d::volume::{Geometry, SliceAxis, SliceMask, Volume, VoxelData};
use mem3d::{Error, Result};
use serde::Serialize;
use std::path::PathBuf;
use std::time::Instant;
use tch::{Device, Kind, Tensor};

/// Times the networks and whole rounds on a synthetic volume.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Model file of the compact preset; random weights without it, which are as fast.
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
    threads: Option<i32>,
    /// Writes everything as JSON, too.
    #[arg(long)]
    json: Option<PathBuf>,
}

#[derive(Debug, Serialize)]
struct Report {
    libtorch: String,
    device: String,
    threads: i32,
    /// Multiply-accumulates a second of a large convolution: what the machine can do.
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

/// One network part on one slice.
#[derive(Debug, Serialize)]
struct Line {
    what: String,
    seconds: f64,
    gmac: f64,
}

/// One volume.
#[derive(Debug, Serialize)]
struct Round {
    shape: [usize; 3],
    segments: u32,
    session_s: f64,
    interact_s: f64,
    first_round_s: f64,
    first_round_slices: usize,
    refinement_s: f64,
    refinement_slices: usize,
    gmac_first_round: f64,
    /// Peak memory of the process, less what it held with the volume and the model loaded, MB; on the CPU.
    peak_beside_volume_mb: f64,
    /// Whether the round was timed on a part of the volume and scaled.
    scaled: bool,
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
        output::check(path, true, &[])?;
    }
    if let Some(n) = args.threads {
        if n < 1 {
            return Err(Error::InvalidArgument(format!("--threads is {n}; use 1 or more")));
        }
        tch::set_num_threads(n);
    }
    let device = nn::device::parse(&args.device)?;
    let peak = nn::run(|| peak_gmac_per_s(device))?;
    let mut report = Report {
        libtorch: nn::torch_ext::libtorch_version(),
        device: format!("{device:?}"),
        threads: tch::get_num_threads(),
        peak_gmac_per_s: peak,
        presets: Vec::new(),
    };
    println!("libtorch {}, {}, {} threads", report.libtorch, report.device, report.threads);
    println!("a large convolution runs at {peak:.0} GMAC/s here (100 %)\n");
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
    println!("{name}: {} ({} x {size} pixels{})", info.name, size, if whole { ", whole slice" } else { "" });
    println!("  {:34} {:>9} {:>8} {:>8}", "one slice", "seconds", "GMAC", "of peak");
    let parts = nn::run(|| time_parts(&model, size, device, if whole { 2 } else { 8 }))?;
    for p in &parts {
        let share = if p.gmac > 0.0 { format!("{:.0} %", 100.0 * p.gmac / p.seconds / peak) } else { String::new() };
        println!("  {:34} {:9.4} {:8.2} {share:>8}", p.what, p.seconds, p.gmac);
    }
    println!(
        "  {:>16} {:>8} {:>9} {:>9} {:>12} {:>12} {:>10} {:>8} {:>8}",
        "volume", "segments", "session", "interact", "first round", "s a slice", "refine", "of peak", "MB"
    );
    let mut rounds = Vec::new();
    let before_mb = memory_mb("VmRSS:");
    // Segments are what compact shares its work between; the paper's networks see one.
    let segments: &[u32] = if whole { &[1] } else { &args.segments };
    for (&depth, &segments) in args.slices.iter().flat_map(|d| segments.iter().map(move |s| (d, s))) {
        let timed = || time_round(args, &model, depth, segments, whole, before_mb);
        let r = console::busy(format!("timing {depth} slices"), timed)?;
        println!(
            "  {:>16} {:8} {:9.3} {:9.3} {:12.2} {:12.4} {:10.2} {:>7.0}% {:8.0}{}",
            format!("{}x{}x{depth}", args.size, args.size),
            r.segments,
            r.session_s,
            r.interact_s,
            r.first_round_s,
            r.first_round_s / r.first_round_slices as f64,
            r.refinement_s,
            100.0 * r.gmac_first_round / r.first_round_s / peak,
            r.peak_beside_volume_mb,
            if r.scaled { "  (scaled from a part)" } else { "" }
        );
        rounds.push(r);
    }
    println!();
    Ok(PresetReport { preset: name, model: info.name.clone(), network_size: size, parts, rounds })
}

fn print_ratio(report: &Report) {
    let find = |name: &str| report.presets.iter().find(|p| p.preset == name);
    if let (Some(compact), Some(paper)) = (find("compact"), find("paper")) {
        for (c, p) in compact.rounds.iter().filter(|r| r.segments == 1).zip(&paper.rounds) {
            let per_slice = |r: &Round| r.first_round_s / r.first_round_slices as f64;
            println!(
                "{} slices: a slice of compact takes {:.3} of one of paper ({:.1} times as fast)",
                c.shape[0],
                per_slice(c) / per_slice(p),
                per_slice(p) / per_slice(c)
            );
        }
    }
}

/// Seconds of the fastest of some runs, after one to warm up.
fn fastest(device: Device, runs: usize, mut body: impl FnMut()) -> f64 {
    let sync = || {
        if let Device::Cuda(index) = device {
            tch::Cuda::synchronize(index as i64);
        }
    };
    body();
    sync();
    (0..runs)
        .map(|_| {
            let start = Instant::now();
            body();
            sync();
            start.elapsed().as_secs_f64()
        })
        .fold(f64::INFINITY, f64::min)
}

fn peak_gmac_per_s(device: Device) -> f64 {
    let kind = if device.is_cuda() { Kind::BFloat16 } else { Kind::Float };
    let x = nn::params::channels_last(&Tensor::randn([1, 256, 128, 128], (kind, device)));
    let w = nn::params::channels_last(&Tensor::randn([256, 256, 3, 3], (kind, device)));
    let seconds = fastest(device, 3, || drop(x.conv2d(&w, None::<Tensor>, [1, 1], [1, 1], [1, 1], 1)));
    256.0 * 256.0 * 9.0 * 128.0 * 128.0 / seconds / 1e9
}

fn time_parts(model: &Model, size: i64, device: Device, memorized: usize) -> Vec<Line> {
    let networks = model.networks();
    let info = networks.info().clone();
    let image = |c: i64| Tensor::rand([1, c, size, size], (Kind::Float, device));
    let slices = image(info.context_slices);
    let mask = image(1).ge(0.5).to_kind(Kind::Float);
    let runs = if size > 256 { 2 } else { 7 };
    let mut lines = Vec::new();
    let mut line = |what: &str, body: &mut dyn FnMut()| {
        let ((), macs) = macs::count(&mut *body);
        lines.push(Line { what: what.into(), seconds: fastest(device, runs, body), gmac: macs as f64 / 1e9 });
    };
    line("encode the image", &mut || drop(networks.encode_image(&slices)));
    let features = networks.encode_image(&slices);
    line("memorize", &mut || drop(networks.memorize(&features, &mask)));
    let one = networks.memorize(&features, &mask).remove(0);
    let bank = mem3d::engine::memory_bank::MemoryBank::new((0..memorized).map(|k| (k, &one)), 0);
    let what = format!("segment (memory of {memorized} slices)");
    let expected = nn::Expected {
        shape: image(1) * 2.0 - 1.0,
        before_mask: mask.shallow_clone(),
        before_slice: image(1),
        annotated_area: Tensor::full([1, 1], 0.2, (Kind::Float, device)),
        annotated_mask: mask.shallow_clone(),
        annotated_slice: image(1),
        steps: Tensor::ones([1, 1], (Kind::Float, device)),
        distance: Tensor::ones([1, 1], (Kind::Float, device)),
    };
    line(&what, &mut || drop(networks.segment(&features, &[bank.view()], &expected)));
    let segmented = networks.segment(&features, &[bank.view()], &expected);
    line("quality", &mut || drop(networks.quality(&features, &segmented, &expected)));
    let zero = || image(1).zeros_like();
    let input = InteractionInput {
        slices: slices.shallow_clone(),
        previous: zero() + 0.5,
        positive: mask.shallow_clone(),
        negative: zero(),
        boxes: zero(),
    };
    line("interaction network", &mut || drop(networks.interact(InteractionKind::Scribble, &input)));
    let per_slice: f64 = lines[..4].iter().map(|l| l.seconds).sum();
    let gmac: f64 = lines[..4].iter().map(|l| l.gmac).sum();
    lines.push(Line { what: "a propagated slice, first round".into(), seconds: per_slice, gmac });
    lines
}

/// Radius of the target, pixels.
fn target_radius(size: usize) -> f64 {
    60.0 * size as f64 / 512.0
}

/// A bright, slowly moving disc of 120 of 512 pixels over four fifths of the slices, on a textured ground.
fn synthetic(depth: usize, size: usize) -> (Volume, impl Fn(usize, usize, usize) -> bool) {
    let inside = move |d: usize, r: usize, c: usize| {
        let t = d as f64 / depth as f64;
        let drift = 20.0 * (6.0 * t).sin();
        let centre = size as f64 / 2.0;
        let radius = target_radius(size);
        let (y, x) = (r as f64 - centre - drift, c as f64 - centre + drift);
        (0.1..0.9).contains(&t) && y * y + x * x < radius * radius
    };
    let mut data = vec![0i16; depth * size * size];
    for (d, plane) in data.chunks_exact_mut(size * size).enumerate() {
        for (i, v) in plane.iter_mut().enumerate() {
            let (r, c) = (i / size, i % size);
            let texture = ((r * 7 + c * 13 + d * 29) % 64) as i16;
            *v = if inside(d, r, c) { 180 + texture } else { texture };
        }
    }
    let volume = Volume::new([depth, size, size], VoxelData::I16(data), Geometry::default());
    (volume.expect("a synthetic volume is well formed"), inside)
}

/// `before_mb`: what the process held before there was a volume.
fn time_round(args: &Args, model: &Model, depth: usize, segments: u32, whole: bool, before_mb: f64) -> Result<Round> {
    let (volume, inside) = synthetic(depth, args.size);
    let copy = volume.clone();
    reset_peak();
    // Random weights know no end of a target: every slice is segmented, so that the work is the same.
    let options = SessionOptions { stop_after_empty: 0, whole_slice: whole, ..SessionOptions::default() };
    let start = Instant::now();
    let mut session = Session::new(copy, model.networks(), options)?;
    let session_s = start.elapsed().as_secs_f64();
    let middle = depth / 2;
    // Further segments lie beside the first, half a radius away.
    let disc = |slice: usize, segment: u32| {
        let angle = f64::from(segment - 1) * 1.3;
        let away = if segment > 1 { 0.5 * target_radius(args.size) } else { 0.0 };
        let (down, right) = ((away * angle.sin()) as i64, (away * angle.cos()) as i64);
        let shifted = |at: usize, by: i64| (at as i64 - by).max(0) as usize;
        let mut mask = SliceMask::zeros(args.size, args.size);
        for (i, v) in mask.data.iter_mut().enumerate() {
            *v = u8::from(inside(slice, shifted(i / args.size, down), shifted(i % args.size, right)));
        }
        mask
    };
    let centre = args.size as f64 / 2.0;
    let reach = target_radius(args.size);
    let interaction = Interaction {
        segment: 1,
        axis: SliceAxis::Depth,
        slice: middle,
        kind: InteractionKind::Box,
        positive: true,
        stroke: Stroke::Points {
            points: vec![
                [middle as f64, centre - reach, centre - reach],
                [middle as f64, centre + reach, centre + reach],
            ],
            radius_mm: 0.0,
        },
    };
    session.interact(interaction.clone())?;
    let start = Instant::now();
    session.interact(interaction)?;
    let interact_s = start.elapsed().as_secs_f64();
    session.reset(None)?;
    for segment in 1..=segments {
        session.set_slice_mask(segment, SliceAxis::Depth, middle, &disc(middle, segment))?;
    }
    let range = whole.then(|| {
        let half = (args.paper_slices / 2).max(1);
        (middle.saturating_sub(half), (middle + half).min(depth - 1))
    });
    let propagate = |session: &mut Session| -> Result<(f64, usize, u64)> {
        let options =
            PropagateOptions { segment: None, axis: Some(SliceAxis::Depth), range, ..PropagateOptions::default() };
        let start = Instant::now();
        let (slices, macs) = macs::count(|| session.propagate(&options, &mut |_| true));
        Ok((start.elapsed().as_secs_f64(), slices?, macs))
    };
    let (first, slices, macs) = propagate(&mut session)?;
    // The correction a user makes next lies in the middle of one side.
    let corrected = range.map_or(depth * 3 / 4, |r| r.1);
    for segment in 1..=segments {
        session.set_slice_mask(segment, SliceAxis::Depth, corrected, &disc(corrected, segment))?;
    }
    let (refinement, refined, _) = propagate(&mut session)?;
    let all = (depth - 1) * segments as usize;
    let scale = all as f64 / slices as f64;
    Ok(Round {
        shape: volume.shape(),
        segments,
        session_s,
        interact_s,
        first_round_s: first * scale,
        first_round_slices: all,
        refinement_s: if whole { refinement / refined.max(1) as f64 * (depth / 2) as f64 } else { refinement },
        refinement_slices: if whole { depth / 2 } else { refined },
        gmac_first_round: macs as f64 / 1e9 * scale,
        peak_beside_volume_mb: memory_mb("VmHWM:") - before_mb - 2.0 * volume.data().bytes() as f64 / 1e6,
        scaled: slices != all,
    })
}

/// A line of `/proc/self/status`, MB; 0 where there is none.
fn memory_mb(field: &str) -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|l| l.starts_with(field));
    line.and_then(|l| l.split_whitespace().nth(1)?.parse::<f64>().ok()).unwrap_or(0.0) * 1024.0 / 1e6
}

/// Makes the kernel count the peak from now on; without it the peak is that of the whole run, which is larger.
fn reset_peak() {
    let _ = std::fs::write("/proc/self/clear_refs", "5");
}
