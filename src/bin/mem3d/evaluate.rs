//! `mem3d evaluate`: the paper's experiments on a folder of images with labels.

mod plots;
mod settings;
mod work;

use crate::common::output::{Kind, say};
use crate::common::{console, model, output};
use mem3d::engine::SessionOptions;
use mem3d::eval::cases::{self, Case, Wanted};
use mem3d::eval::protocol::{self, Protocol};
use mem3d::eval::report::{Report, Setup, write_csv};
use mem3d::eval::results::TargetResult;
use mem3d::eval::summary::summarise;
use mem3d::eval::{metrics, record};
use mem3d::io::segmentation::labels_of;
use mem3d::torch::processors;
use mem3d::volume::SliceAxis;
use mem3d::{Error, Result};
use serde::Serialize;
use settings::Settings;
use std::path::{Path, PathBuf};

/// Measures a model: a simulated user draws and corrects; masks are compared with the labels.
///
/// Definitions of every rule and figure: docs/evaluation.md.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Folder of images with labels: CASE/image + CASE/label, imagesTr + labelsTr, images + labels, or CASE_image +
    /// CASE_label (NIfTI or NRRD).
    #[arg(required_unless_present_any = ["score", "compare"])]
    folder: Option<PathBuf>,
    /// Folder for tables, plots and the results of each target.
    #[arg(long, value_name = "DIR", required_unless_present = "compare")]
    out: Option<PathBuf>,
    #[command(flatten)]
    model: model::Args,
    #[command(flatten)]
    rules: Rules,
    #[command(flatten)]
    engine: EngineArgs,
    /// Cases to use, by name [default: all].
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    cases: Vec<String>,
    /// Labels to use [default: all].
    #[arg(long, value_name = "NUMBERS", value_delimiter = ',')]
    labels: Vec<u32>,
    /// Targets have at least this many voxels.
    #[arg(long, value_name = "N", default_value_t = 2000)]
    min_voxels: usize,
    /// Targets reach over at least this many slices.
    #[arg(long, value_name = "N", default_value_t = 8)]
    min_slices: usize,
    /// Targets computed at the same time; they share the threads of the CPU.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    jobs: u16,
    /// Also writes the figures as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Continues an earlier run into the same folder; targets that are done are kept.
    #[arg(long)]
    resume: bool,
    /// Writes the rounds of the first selection as input of other tools (tools/peers).
    #[arg(long, value_name = "DIR")]
    record: Option<PathBuf>,
    /// Measures the masks of other tools in DIR and adds them to the report in --out; runs nothing else.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["record", "resume"])]
    score: Option<PathBuf>,
    /// Prints the agreement of two masks (0 outside, else inside) as JSON; runs nothing else.
    #[arg(long, num_args = 2, value_names = ["MASK", "REFERENCE"], conflicts_with_all = ["score", "record", "resume"])]
    compare: Option<Vec<PathBuf>>,
}

/// Rules of the experiment.
#[derive(Debug, Clone, clap::Args)]
struct Rules {
    /// Drawings: scribble, box, extreme_points, click, mask (by hand, exactly).
    #[arg(long, value_name = "LIST", default_value = "scribble,box,extreme_points")]
    interactions: String,
    /// Selections of the slice to correct: quality, lowest_quality, random, oracle, oracle_gain, uncertainty.
    #[arg(long, value_name = "LIST", default_value = "quality,random,oracle")]
    select: String,
    /// Rounds, the first included.
    #[arg(long, value_name = "N", default_value_t = 6)]
    rounds: usize,
    /// Runs with random selection.
    #[arg(long, value_name = "N", default_value_t = 5)]
    random_runs: usize,
    /// Seed of all random numbers.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Exact boxes and extreme points, scribbles along the middle.
    #[arg(long)]
    no_jitter: bool,
    /// Corrections are the whole true mask of the slice, made by hand.
    #[arg(long)]
    perfect_corrections: bool,
    /// A slice with this IoU is accepted as it is.
    #[arg(long, value_name = "IOU", default_value_t = 0.9)]
    accept_iou: f64,
    /// Most corrections of the first slice.
    #[arg(long, value_name = "N", default_value_t = 1)]
    first_corrections: usize,
    /// Most interactions on a later slice.
    #[arg(long, value_name = "N", default_value_t = 3)]
    corrections: usize,
    /// The first slice has at least this share of the target's largest area.
    #[arg(long, value_name = "SHARE", default_value_t = 0.5)]
    first_share: f64,
    /// Tolerance of the normalised surface dice, mm.
    #[arg(long, value_name = "MM", default_value_t = 2.0)]
    tolerance_mm: f64,
    /// Axis of the slices: 0 depth, 1 height, 2 width [default: the one with the largest spacing].
    #[arg(long, value_parser = crate::common::values::parse_axis, allow_negative_numbers = true)]
    axis: Option<i64>,
}

/// Options of the engine, for ablations.
#[derive(Debug, Clone, clap::Args)]
struct EngineArgs {
    /// Work on whole slices instead of a region of interest.
    #[arg(long)]
    whole_slice: bool,
    /// Interval of the slices that stay in memory; 0: none stays [default: 5].
    #[arg(long, value_name = "N")]
    memorize_every: Option<usize>,
    /// Most slices in memory besides the annotated and the previous one [default: 4].
    #[arg(long, value_name = "N")]
    max_memory_slices: Option<usize>,
    /// The previous slice is not in memory.
    #[arg(long)]
    no_previous_in_memory: bool,
    /// Only the annotated slice where a chain starts is in memory.
    #[arg(long)]
    one_annotated_in_memory: bool,
    /// Slices without target after which a propagation ends; 0: never [default: 3].
    #[arg(long, value_name = "N")]
    stop_after_empty: Option<usize>,
    /// A slice whose presence is lower is empty; 0: no such test [default: 0.8].
    #[arg(long, value_name = "PROBABILITY")]
    least_presence: Option<f64>,
    /// No 3D refinement: propagated masks stay as the networks predict them.
    #[arg(long, alias = "no-regularisation")]
    no_refinement: bool,
    /// Side of the region of interest as a multiple of the target's [default: 1.6].
    #[arg(long, value_name = "SCALE")]
    roi_scale: Option<f64>,
}

impl Rules {
    fn protocol(&self) -> Result<Protocol> {
        let protocol = Protocol {
            rounds: self.rounds,
            drawings: protocol::parse_drawings(&self.interactions)?,
            selections: protocol::parse_selections(&self.select)?,
            random_runs: self.random_runs,
            seed: self.seed,
            jitter: !self.no_jitter,
            perfect_corrections: self.perfect_corrections,
            accept_iou: self.accept_iou,
            first_corrections: self.first_corrections,
            corrections: self.corrections,
            first_share: self.first_share,
            tolerance_mm: self.tolerance_mm,
            axis: self.axis.map(SliceAxis::from_index).transpose()?,
        };
        protocol.check()?;
        Ok(protocol)
    }
}

impl EngineArgs {
    fn options(&self) -> Result<SessionOptions> {
        let d = SessionOptions::default();
        let options = SessionOptions {
            whole_slice: self.whole_slice,
            memorize_every: self.memorize_every.unwrap_or(d.memorize_every),
            max_memory_slices: self.max_memory_slices.unwrap_or(d.max_memory_slices),
            memorize_previous: !self.no_previous_in_memory,
            memorize_annotated: !self.one_annotated_in_memory,
            stop_after_empty: self.stop_after_empty.unwrap_or(d.stop_after_empty),
            least_presence: self.least_presence.unwrap_or(d.least_presence),
            refine: !self.no_refinement,
            roi_scale: self.roi_scale.unwrap_or(d.roi_scale),
            ..d
        };
        options.check()?;
        Ok(options)
    }
}

/// Runs the subcommand.
///
/// # Errors
/// [`Error::InvalidState`] when some cases failed (the others are reported), and those of reading the folder, loading
/// the model and writing the report.
pub fn run(args: &Args) -> Result<()> {
    if let Some(masks) = &args.compare {
        if let Some(path) = &args.json {
            output::check_as(Kind::Json, path, true, &[&masks[0], &masks[1]])?;
        }
        return compare(&masks[0], &masks[1], args.rules.tolerance_mm, args.json.as_deref());
    }
    let out = args.out.as_deref().ok_or_else(|| Error::argument("name a folder with --out"))?;
    if let Some(path) = &args.json {
        let model = args.model.file();
        output::check_as(Kind::Json, path, true, &model.iter().map(PathBuf::as_path).collect::<Vec<_>>())?;
    }
    if let Some(root) = &args.score {
        return score(root, out, args.json.as_deref());
    }
    let folder = args.folder.as_deref().ok_or_else(|| Error::argument("name a folder of images with labels"))?;
    let protocol = args.rules.protocol()?;
    let options = args.engine.options()?;
    let cases = select_cases(cases::find(folder)?, &args.cases)?;
    // Figures are the same whatever else runs.
    let model = args.model.load_with(args.model.threads_or(processors::allowed))?;
    work::check_kinds(&model, &protocol)?;
    let setup = Setup {
        version: env!("CARGO_PKG_VERSION").into(),
        model: model.info().name.clone(),
        model_checksum: model.checksum().into(),
        device: model::device_name(model.device()),
        threads: tch::get_num_threads(),
        folder: folder.display().to_string(),
        protocol,
        min_voxels: args.min_voxels,
        min_slices: args.min_slices,
    };
    let settings = Settings { setup, options, cases: args.cases.clone(), labels: args.labels.clone() };
    prepare(out, &settings, args.resume)?;
    let wanted = Wanted { labels: args.labels.clone(), min_voxels: args.min_voxels, min_slices: args.min_slices };
    let work = work::Work {
        model: &model,
        settings: &settings,
        wanted: &wanted,
        results: &out.join("targets"),
        record: args.record.as_deref(),
        jobs: usize::from(args.jobs),
    };
    console::stop_cleanly();
    let outcome = work.all(&cases);
    // Finished targets are reported even after a failure.
    let failed = outcome.as_ref().map_or_else(|_| Vec::new(), Clone::clone);
    write_report(out, &settings, failed, args.json.as_deref())?;
    match outcome {
        Ok(failed) if failed.is_empty() => Ok(()),
        Ok(failed) => Err(Error::InvalidState(format!(
            "{} failed; the others are in the report:\n{}",
            failed.len(),
            failed.join("\n")
        ))),
        Err(Error::Cancelled) => {
            log::warn!("stopped; --resume continues with the next target");
            Err(Error::Cancelled)
        }
        Err(e) => Err(e),
    }
}

fn select_cases(mut cases: Vec<Case>, names: &[String]) -> Result<Vec<Case>> {
    if let Some(unknown) = names.iter().find(|n| cases.iter().all(|c| c.name != **n)) {
        let known: Vec<&str> = cases.iter().map(|c| c.name.as_str()).collect();
        return Err(Error::argument(format!("there is no case \"{unknown}\"; there are {}", known.join(", "))));
    }
    cases.retain(|c| names.is_empty() || names.contains(&c.name));
    Ok(cases)
}

/// Makes the folder for results, or checks that an existing one belongs to the same evaluation.
fn prepare(out: &Path, settings: &Settings, resume: bool) -> Result<()> {
    let targets = out.join("targets");
    output::folder(&targets)?;
    let file = out.join("settings.json");
    if file.exists() {
        if !resume {
            return Err(Error::argument(format!(
                "{} holds an evaluation; name another folder, or go on with it by --resume",
                out.display()
            )));
        }
        let before = read_settings(out)?;
        let differences = settings.differences(&before)?;
        if !differences.is_empty() {
            return Err(Error::argument(format!(
                "{} holds an evaluation with other settings: {}; use the same, or name another folder",
                out.display(),
                differences.join("; ")
            )));
        }
        if before.setup.folder != settings.setup.folder {
            log::info!("the targets that are done are of {}", before.setup.folder);
        }
    }
    output::write_json(&file, settings)
}

fn read_settings(out: &Path) -> Result<Settings> {
    let file = out.join("settings.json");
    let text = std::fs::read_to_string(&file).map_err(|e| Error::io(&file, e))?;
    serde_json::from_str(&text).map_err(|e| Error::bad_file(&file, format!("this is no settings file ({e})")))
}

/// Results in a folder, by name.
fn read_results(folder: &Path) -> Result<Vec<TargetResult>> {
    let mut results = Vec::new();
    if !folder.is_dir() {
        return Ok(results);
    }
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(|e| Error::io(folder, e))? {
        paths.push(entry.map_err(|e| Error::io(folder, e))?.path());
    }
    paths.sort();
    for path in paths.iter().filter(|p| p.extension().is_some_and(|e| e == "json")) {
        results.push(TargetResult::read(path)?);
    }
    Ok(results)
}

/// Tables, CSV, JSON and plots of everything in `out`.
fn write_report(out: &Path, settings: &Settings, failed: Vec<String>, json: Option<&Path>) -> Result<()> {
    let mut results = read_results(&out.join("targets"))?;
    for peer in read_results(&out.join("peers"))? {
        if let Some(target) = results.iter_mut().find(|t| t.name() == peer.name()) {
            target.runs.extend(peer.runs);
        }
    }
    let report = Report {
        setup: settings.setup.clone(),
        failed,
        peak_memory_mb: results.iter().map(|t| t.peak_memory_mb).fold(0.0, f64::max),
        summary: summarise(&results, &settings.setup.protocol),
    };
    let pictures = plots::write(out, &report, &results)?;
    let text = report.markdown(&results, &pictures);
    output::write_text(&out.join("report.md"), &text)?;
    output::write_json(&out.join("report.json"), &report)?;
    write_csv(&out.join("rounds.csv"), &results)?;
    if let Some(path) = json {
        output::write_json(path, &report)?;
    }
    say!("{}", text.trim_end());
    Ok(())
}

/// Adds the results of other tools to a report.
fn score(root: &Path, out: &Path, json: Option<&Path>) -> Result<()> {
    let settings = read_settings(out)?;
    let peers = out.join("peers");
    output::folder(&peers)?;
    for result in console::busy("measuring the tools' answers", || record::score(root, &settings.setup.protocol))? {
        result.write(&peers.join(format!("{}.json", result.name())))?;
    }
    write_report(out, &settings, Vec::new(), json)
}

/// Agreement of two masks.
#[derive(Debug, Serialize)]
struct Comparison {
    dice: f64,
    iou: f64,
    nsd: f64,
    hd95_mm: f64,
    tolerance_mm: f64,
}

fn compare(mask: &Path, reference: &Path, tolerance_mm: f64, json: Option<&Path>) -> Result<()> {
    let case = Case { name: String::new(), image: reference.into(), label: mask.into() };
    let (reference, mask) = cases::read(&case)?;
    let inside = |v: &mem3d::volume::Volume, path: &Path| -> Result<Vec<u8>> {
        let labels = labels_of(v.data()).map_err(|e| Error::bad_file(path, e.to_string()))?;
        Ok(labels.into_iter().map(|label| u8::from(label != 0)).collect())
    };
    let (m, r) = (inside(&mask, &case.label)?, inside(&reference, &case.image)?);
    let surface = metrics::surfaces(&m, &r, mask.shape(), mask.geometry().spacing_mm, tolerance_mm);
    let comparison = Comparison {
        dice: metrics::dice(&m, &r),
        iou: metrics::iou(&m, &r),
        nsd: surface.nsd,
        hd95_mm: surface.hd95_mm,
        tolerance_mm,
    };
    say!("{}", serde_json::to_string_pretty(&comparison).map_err(|e| Error::Internal(e.to_string()))?);
    json.map_or(Ok(()), |path| output::write_json(path, &comparison))
}
