//! `mem3d train`: trains the networks of a preset, in pieces if necessary, and exports them as a model.

mod cases;
mod plot;
mod sheet;

use crate::common::output::say;
use crate::common::{console, output};
use clap::ValueEnum;
use indicatif::ProgressStyle;
use mem3d::nn::params::TensorMap;
use mem3d::nn::{Preset, weights};
use mem3d::torch::{device, processors};
use mem3d::train::networks::Design;
use mem3d::train::run::{CHECKPOINT, ExportOptions, export};
use mem3d::train::{Ended, Length, Recipe, RunOptions, Stage, Status, TrainOptions, Training};
use mem3d::{Error, Result};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tch::{Device, Kind};

/// Time between drawings of `log.png`. Chosen.
const DRAW_EVERY: Duration = Duration::from_secs(60);

/// Trains networks on synthetic volumes and on your volumes, and exports them as a model.
///
/// A run is a folder with a checkpoint and a log. A training may be cut into pieces: --time-limit or Ctrl-C ends a
/// piece, --resume continues it exactly. docs/training.md describes the options.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Folder of the run: checkpoint, log, plot.
    #[arg(long, value_name = "FOLDER")]
    out: PathBuf,
    /// Continues from the run's checkpoint with its options; new lengths may be given.
    #[arg(long, conflicts_with_all = ["init", "preset", "recipe", "seed", "config", "stages", "learning_rate"])]
    #[arg(conflicts_with_all = ["clips", "show", "export_synthetic"])]
    resume: bool,
    /// Networks.
    #[arg(long, value_enum, default_value_t = PresetArg::Compact)]
    preset: PresetArg,
    /// Settings of optimiser, losses and memory.
    #[arg(long, value_enum, default_value_t = RecipeArg::Mem3d)]
    recipe: RecipeArg,
    /// JSON file with hyper-parameters of the preset that differ from its defaults.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Model file whose weights to start from, or with :STAGE[+STAGE] those of its networks that these stages train.
    /// Several may be given; the other networks start at random.
    #[arg(long, value_name = "MODEL")]
    init: Vec<String>,
    /// Stages to train, in this order: memory, interaction, quality, or all.
    #[arg(long, value_enum, value_delimiter = ',', default_value = "all")]
    stages: Vec<StageArg>,
    /// Steps of every stage, or of each: memory=20000,interaction=6000,quality=2000. Learning rate and curriculum
    /// follow the steps [default: see --plan].
    #[arg(long, value_name = "N", conflicts_with = "plan")]
    steps: Option<String>,
    /// Time that all stages take together, over all pieces (90s, 50m, 3h); learning rate and curriculum follow the
    /// clock [default: the time limit].
    #[arg(long, value_name = "TIME", value_parser = duration)]
    plan: Option<Duration>,
    /// Ends this piece cleanly after this time.
    #[arg(long, value_name = "TIME", value_parser = duration)]
    time_limit: Option<Duration>,
    #[command(flatten)]
    clips: Clips,
    /// Learning rate instead of the recipe's.
    #[arg(long)]
    learning_rate: Option<f64>,
    /// Seed of all random numbers.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// auto (CUDA if there is one), cpu or cuda:N.
    #[arg(long, default_value = "auto")]
    device: String,
    /// Threads of the networks on the CPU [default: all cores].
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    threads: Option<u32>,
    /// Threads that make clips [default: 1 on the CPU, all cores but one with a GPU].
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=1024))]
    workers: Option<u16>,
    /// Time between checkpoints.
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "5m")]
    checkpoint_every: Duration,
    /// Time between lines of the log.
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "30s")]
    log_every: Duration,
    /// Time between scores on held-out clips.
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "5m")]
    score_every: Duration,
    /// Held-out clips of each kind to score.
    #[arg(long, default_value_t = 32)]
    held_out: usize,
    /// Draws this many clips into FOLDER/clips.png, then ends.
    #[arg(long, value_name = "N")]
    show: Option<usize>,
    /// Writes this many synthetic volumes with labels into FOLDER, for other programs, then ends.
    #[arg(long, value_name = "N", conflicts_with = "show")]
    export_synthetic: Option<usize>,
    /// Writes the run's averaged weights as a model file, then ends.
    #[arg(long, value_name = "MODEL", conflicts_with_all = ["show", "export_synthetic"])]
    export: Option<PathBuf>,
    /// Replace files that --export and --export-synthetic write, where they exist.
    #[arg(long, short)]
    force: bool,
    #[command(flatten)]
    model: ModelText,
}

/// Sources of clips.
#[derive(Debug, clap::Args)]
#[group(id = "clips")]
struct Clips {
    /// Folder of images with labels; may be given several times.
    #[arg(long, value_name = "FOLDER")]
    data: Vec<PathBuf>,
    /// Folder of images without labels: their targets are supervoxels.
    #[arg(long, value_name = "FOLDER")]
    unlabelled: Vec<PathBuf>,
    /// Folder of label maps without images: their images are synthetic.
    #[arg(long, value_name = "FOLDER")]
    labels_only: Vec<PathBuf>,
    /// JSON file with labels that are never targets, by case: {"case": [1, 2]}.
    #[arg(long, value_name = "FILE")]
    exclude: Option<PathBuf>,
    /// Share of clips from volumes on disk.
    #[arg(long, default_value_t = 0.25)]
    real_share: f64,
    /// Of these, the share whose targets are supervoxels instead of labels.
    #[arg(long, default_value_t = 0.3)]
    supervoxel_share: f64,
    /// One of this many cases with labels is held out and scored in the log, never the only one of its data set; 0:
    /// none.
    #[arg(long, default_value_t = 10)]
    hold_out_every: usize,
    /// Side of the networks' input, pixels.
    #[arg(long, default_value_t = 128)]
    size: usize,
    /// Clips of a batch [default: 4; paper recipe: 8].
    #[arg(long)]
    batch: Option<usize>,
    /// Slices of a clip [default: 4; paper recipe: 5].
    #[arg(long)]
    clip: Option<usize>,
    /// Voxels a side of a synthetic scene.
    #[arg(long, default_value_t = 96)]
    scene_side: usize,
    /// Synthetic scenes in use at a time.
    #[arg(long, default_value_t = 24)]
    scenes: u64,
    /// Clips after which one of them is replaced.
    #[arg(long, default_value_t = 64)]
    renew: u64,
}

/// Header of an exported model.
#[derive(Debug, clap::Args)]
struct ModelText {
    /// Name of the exported model [default: that of the file].
    #[arg(long)]
    name: Option<String>,
    /// Origin of the exported weights.
    #[arg(long, default_value = "trained with mem3d train")]
    provenance: String,
    /// Licence of the exported weights.
    #[arg(long, default_value = "not stated")]
    licence: String,
    /// Side of the exported model's input, pixels [default: the configuration's].
    #[arg(long)]
    network_size: Option<i64>,
    /// Number format of the exported file.
    #[arg(long, value_enum, default_value_t = FormatArg::F16)]
    format: FormatArg,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum PresetArg {
    /// small networks, the default
    Compact,
    /// the paper's networks
    Paper,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum RecipeArg {
    /// AdamW 3e-4, cosine, moving average, cross-entropy and Dice
    Mem3d,
    /// the paper's: Adam 1e-5, batch 8, 5 slices, cross-entropy
    Paper,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum StageArg {
    /// encoders, memory read, decoder
    Memory,
    /// from drawings to masks
    Interaction,
    /// estimated quality
    Quality,
    /// the three in order
    All,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum FormatArg {
    /// float32
    F32,
    /// float16, half the size
    F16,
    /// bfloat16, half the size
    Bf16,
}

/// `90s`, `50m`, `3h`, or seconds.
fn duration(text: &str) -> std::result::Result<Duration, String> {
    let wrong = || format!("\"{text}\" is no time; use for instance 90s, 50m or 3h");
    let (number, unit) = match text.char_indices().last() {
        Some((at, c)) if c.is_alphabetic() => (&text[..at], c),
        _ => (text, 's'),
    };
    let seconds = match unit {
        's' => 1.0,
        'm' => 60.0,
        'h' => 3600.0,
        _ => return Err(wrong()),
    };
    let number: f64 = number.parse().map_err(|_| wrong())?;
    if number > 0.0 && number < 1e7 { Ok(Duration::from_secs_f64(number * seconds)) } else { Err(wrong()) }
}

/// Runs the subcommand.
///
/// # Errors
/// As the training itself, and for options that exclude each other.
pub fn run(args: &Args) -> Result<()> {
    if let Some(model) = &args.export {
        return run_export(args, model);
    }
    if let Some(n) = args.threads {
        processors::set_threads(n as usize)?;
    }
    if args.resume {
        let training = Training::resume(run_options(args)?, |options| {
            if let Some(lengths) = lengths(args, &options.stages.keys().copied().collect::<Vec<_>>())? {
                options.stages = lengths;
            }
            Ok(())
        })?;
        return train(args, training);
    }
    let options = options(args)?;
    options.check()?;
    if let Some(count) = args.show {
        output::folder(&args.out)?;
        return sheet::write(&args.out.join("clips.png"), &options, count);
    }
    if let Some(count) = args.export_synthetic {
        return cases::write(&args.out, &options, count, args.force);
    }
    let checkpoint = args.out.join(CHECKPOINT);
    if checkpoint.exists() {
        return Err(Error::argument(format!(
            "{} holds a training already; go on with it by --resume, or name another folder",
            args.out.display()
        )));
    }
    let init = initial_weights(&args.init, &options.design)?;
    train(args, Training::new(options, run_options(args)?, init)?)
}

/// The tensors of all `--init`; none without any.
fn initial_weights(init: &[String], design: &Design) -> Result<Option<TensorMap>> {
    let mut all = TensorMap::new();
    for text in init {
        let (path, stages) = model_and_stages(text);
        let belongs = |name: &str| stages.iter().any(|&s| design.belongs(name, s));
        all.extend(weights::read(path)?.tensors.into_iter().filter(|(name, _)| belongs(name)));
    }
    Ok((!init.is_empty()).then_some(all))
}

/// `MODEL`, which gives all stages, or `MODEL:STAGE+STAGE`. A colon without a stage after it belongs to the path.
fn model_and_stages(text: &str) -> (&Path, Vec<Stage>) {
    let stage = |name: &str| Stage::ALL.into_iter().find(|s| s.name() == name);
    if let Some((path, names)) = text.rsplit_once(':')
        && let Some(stages) = names.split('+').map(stage).collect::<Option<Vec<_>>>()
    {
        return (Path::new(path), stages);
    }
    (Path::new(text), Stage::ALL.to_vec())
}

fn options(args: &Args) -> Result<TrainOptions> {
    let read = |path: &Path| std::fs::read_to_string(path).map_err(|e| Error::io(path, e));
    let stages = stages(args);
    let mut quality_calibration = None;
    let design = match args.init.first() {
        Some(text) => {
            let (path, given) = model_and_stages(text);
            let header = weights::read(path)?.header;
            // Of one model whose masks and quality head stay as they are.
            if args.init.len() == 1 && given.len() == Stage::ALL.len() && stages == [Stage::Interaction] {
                quality_calibration = header.info.quality_calibration;
            }
            Design::of_model(&header)?
        }
        None => {
            let preset = match args.preset {
                PresetArg::Compact => Preset::Compact,
                PresetArg::Paper => Preset::Paper,
            };
            let config = args.config.as_deref().map(read).transpose()?;
            Design::new(preset, config.as_deref())?
        }
    };
    let clips = &args.clips;
    let exclude = match &clips.exclude {
        Some(path) => serde_json::from_str(&read(path)?)
            .map_err(|e| Error::bad_file(path, format!("this is not a list of labels by case ({e})")))?,
        None => BTreeMap::new(),
    };
    let paper = args.recipe == RecipeArg::Paper;
    let lengths = match lengths(args, &stages)? {
        Some(lengths) => lengths,
        None if args.show.is_some() || args.export_synthetic.is_some() => {
            stages.iter().map(|&s| (s, Length::Steps(1))).collect()
        }
        None => return Err(Error::argument("give the length of the training: --steps, --plan or --time-limit")),
    };
    Ok(TrainOptions {
        design,
        recipe: if paper { Recipe::Paper } else { Recipe::Mem3d },
        seed: args.seed,
        size: clips.size,
        batch: clips.batch.unwrap_or(if paper { 8 } else { 4 }),
        length: clips.clip.unwrap_or(if paper { 5 } else { 4 }),
        stages: lengths,
        side: clips.scene_side,
        scenes: clips.scenes,
        renew: clips.renew,
        real_share: clips.real_share,
        supervoxel_share: clips.supervoxel_share,
        data: clips.data.clone(),
        unlabelled: clips.unlabelled.clone(),
        labels_only: clips.labels_only.clone(),
        exclude,
        hold_out_every: clips.hold_out_every,
        learning_rate: args.learning_rate,
        quality_calibration,
    })
}

fn stages(args: &Args) -> Vec<Stage> {
    let stage = |arg: &StageArg| match arg {
        StageArg::Memory => vec![Stage::Memory],
        StageArg::Interaction => vec![Stage::Interaction],
        StageArg::Quality => vec![Stage::Quality],
        StageArg::All => Stage::ALL.to_vec(),
    };
    args.stages.iter().flat_map(stage).collect()
}

/// Length of each stage; none without such options.
fn lengths(args: &Args, stages: &[Stage]) -> Result<Option<BTreeMap<Stage, Length>>> {
    let wrong = |text: &str| {
        Error::argument(format!("--steps {text}: give a number, or for instance memory=20000,quality=2000"))
    };
    if let Some(text) = &args.steps {
        if let Ok(n) = text.parse() {
            return Ok(Some(stages.iter().map(|&s| (s, Length::Steps(n))).collect()));
        }
        let mut lengths = BTreeMap::new();
        for part in text.split(',') {
            let (name, n) = part.split_once('=').ok_or_else(|| wrong(text))?;
            let stage = Stage::ALL.into_iter().find(|s| s.name() == name).ok_or_else(|| wrong(text))?;
            lengths.insert(stage, Length::Steps(n.parse().map_err(|_| wrong(text))?));
        }
        if let Some(stage) = stages.iter().find(|s| !lengths.contains_key(s)) {
            return Err(Error::argument(format!("--steps {text} has no length for the stage {}", stage.name())));
        }
        if let Some(stage) = lengths.keys().find(|s| !stages.contains(s)) {
            return Err(Error::argument(format!(
                "--steps {text} has a length for the stage {}, which this training does not have",
                stage.name()
            )));
        }
        return Ok(Some(lengths));
    }
    let all: f64 = stages.iter().map(|s| s.share()).sum();
    let plan = if args.resume { args.plan } else { args.plan.or(args.time_limit.map(|t| t.mul_f64(0.95))) };
    Ok(plan.map(|plan| stages.iter().map(|&s| (s, Length::Seconds(plan.as_secs_f64() * s.share() / all))).collect()))
}

fn run_options(args: &Args) -> Result<RunOptions> {
    let device = device::parse(&args.device)?;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let default = if device == Device::Cpu { 1 } else { cores.saturating_sub(1).max(1) };
    Ok(RunOptions {
        folder: args.out.clone(),
        device,
        kind: if device == Device::Cpu { Kind::Float } else { Kind::BFloat16 },
        workers: args.workers.map_or(default, usize::from),
        // The start takes time from the limit, so lengths by the clock may not be reached.
        time_limit: args.time_limit,
        checkpoint_every: args.checkpoint_every,
        log_every: args.log_every,
        score_every: args.score_every,
        held_out: args.held_out,
    })
}

fn train(args: &Args, mut training: Training) -> Result<()> {
    let design = match &training.options().design {
        Design::Compact(_) => "compact",
        Design::Paper(_) => "paper",
    };
    let parameters: usize = training.trainee().weights().tensors().values().map(tch::Tensor::numel).sum();
    log::info!("{design}: {:.2} million parameters; {}", parameters as f64 / 1e6, args.out.display());
    console::stop_cleanly();
    let stop = AtomicBool::new(false);
    let mut bar: Option<(Stage, indicatif::ProgressBar)> = None;
    let (mut reported, mut drawn) = (Instant::now(), Instant::now());
    let ended = training.train(&stop, &mut |status| {
        if console::interrupted() {
            stop.store(true, Ordering::Relaxed);
        }
        if bar.as_ref().is_none_or(|(stage, _)| *stage != status.stage) {
            bar = Some((status.stage, console::bar(10_000, style())));
        }
        if let Some((_, bar)) = &bar {
            bar.set_position((status.progress * 10_000.0) as u64);
            bar.set_message(describe(status));
            if bar.is_hidden() && reported.elapsed() >= Duration::from_secs(30) {
                reported = Instant::now();
                log::info!("{} ({:.1} %)", describe(status), 100.0 * status.progress);
            }
        }
        if drawn.elapsed() >= DRAW_EVERY {
            drawn = Instant::now();
            // A picture that cannot be written does not end a training.
            if let Err(e) = plot::write(&args.out) {
                log::warn!("{}", console::chain(&e));
            }
        }
    });
    drop(bar);
    let ended = ended?;
    plot::write(&args.out)?;
    for (stage, state) in training.stages() {
        let end = if state.done { "finished" } else { "not finished" };
        log::info!("{}: {end}, {} steps in {:.0} s", stage.name(), state.steps, state.seconds);
    }
    if ended == Ended::Stopped {
        log::info!("go on with: mem3d train --out {} --resume", args.out.display());
    }
    Ok(())
}

fn style() -> ProgressStyle {
    ProgressStyle::with_template("{msg} [{bar:30}] {percent_precise} % {elapsed}, {eta} left")
        .expect("a valid template")
        .progress_chars("=> ")
}

fn describe(status: &Status) -> String {
    let dice = status.dice.map_or(String::new(), |d| format!(", held-out Dice {d:.3}"));
    format!(
        "{} step {}, loss {:.4}, {:.2} steps/s{dice}",
        status.stage.name(),
        status.step,
        status.loss,
        status.steps_per_second
    )
}

fn run_export(args: &Args, model: &Path) -> Result<()> {
    let text = &args.model;
    let stem = || model.file_stem().map_or_else(String::new, |n| n.to_string_lossy().into_owned());
    let format = match text.format {
        FormatArg::F32 => weights::DiskFormat::F32,
        FormatArg::F16 => weights::DiskFormat::F16,
        FormatArg::Bf16 => weights::DiskFormat::Bf16,
    };
    let options = ExportOptions {
        name: text.name.clone().unwrap_or_else(stem),
        provenance: text.provenance.clone(),
        licence: text.licence.clone(),
        network_size: text.network_size,
        format,
    };
    let checkpoint = args.out.join(CHECKPOINT);
    output::check_as(output::Kind::Model, model, args.force, &[&checkpoint])?;
    let hash = output::deliver(model, ".safetensors", |model| export(&checkpoint, model, &options))?;
    say!("{} {hash}", model.display());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units() {
        assert_eq!(duration("90s").unwrap(), Duration::from_secs(90));
        assert_eq!(duration("1.5h").unwrap(), Duration::from_secs(5400));
        assert_eq!(duration("50m").unwrap(), Duration::from_secs(3000));
        assert_eq!(duration("7").unwrap(), Duration::from_secs(7));
        for wrong in ["", "m", "-3s", "3d", "h3"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }
}
