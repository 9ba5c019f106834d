//! A training: stages in order, each a loop of batch, loss, step; checkpoints and log on the way.

use super::checkpoint::{Checkpoint, Description, StageState};
use super::data::batch::Batch;
use super::data::clips::Clip;
use super::data::feed::{Feed, FeedOptions, held_out};
use super::data::random::{Purpose, random};
use super::data::real::Cases;
use super::log::{Line, Log};
use super::memory_net::{self, ClipScore};
use super::networks::{Design, Trainee};
use super::optimiser::Optimiser;
use super::options::{Length, TrainOptions};
use super::stage::Stage;
use super::{interaction_net, quality_head};
use crate::error::{Error, Result};
use crate::nn::params::{Target, TensorMap};
use crate::nn::weights::{self, DiskFormat};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tch::{Device, Kind};

/// File names in the folder of a run.
pub const CHECKPOINT: &str = "checkpoint.safetensors";
/// See [`CHECKPOINT`].
pub const LOG: &str = "log.csv";

/// What decides the speed of a training, not its numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct RunOptions {
    /// Folder of checkpoint and log.
    pub folder: PathBuf,
    /// Where the networks compute.
    pub device: Device,
    /// Number format of the networks' arithmetic.
    pub kind: Kind,
    /// Threads that make clips.
    pub workers: usize,
    /// When this piece ends.
    pub time_limit: Option<Duration>,
    /// Time between checkpoints.
    pub checkpoint_every: Duration,
    /// Time between lines of the log.
    pub log_every: Duration,
    /// Time between scores on held-out clips.
    pub score_every: Duration,
    /// Held-out clips of each sort.
    pub held_out: usize,
}

/// Told after every step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Status {
    /// Stage.
    pub stage: Stage,
    /// Steps of the stage.
    pub step: u64,
    /// 0..1 of the stage.
    pub progress: f64,
    /// Running mean of the loss.
    pub loss: f64,
    /// Steps a second, lately.
    pub steps_per_second: f64,
    /// Last score on held-out synthetic clips.
    pub dice: Option<f64>,
}

/// A training in progress.
pub struct Training {
    options: TrainOptions,
    run: RunOptions,
    trainee: Box<dyn Trainee>,
    stages: BTreeMap<Stage, StageState>,
    /// State of the optimiser of a stage that was interrupted.
    interrupted: Option<(Stage, TensorMap)>,
    cases: Cases,
    started: Instant,
}

/// Why a training ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// Every stage is finished.
    Finished,
    /// The time limit came, or a stop was asked for; it can be resumed.
    Stopped,
}

impl Training {
    /// A new training; `init` gives weights to start from.
    ///
    /// # Errors
    /// As [`TrainOptions::check`], [`Cases::open`], and [`Error::BadModel`] when `init` does not fit.
    pub fn new(options: TrainOptions, run: RunOptions, init: Option<TensorMap>) -> Result<Training> {
        options.check()?;
        let target = Target { device: run.device, kind: run.kind, inference: false };
        let trainee = options.design.build(options.seed as i64, init, target)?;
        let cases = Cases::open(&options)?;
        let stages = options.stages.keys().map(|&s| (s, StageState::default())).collect();
        Ok(Training { options, run, trainee, stages, interrupted: None, cases, started: Instant::now() })
    }

    /// Goes on from the checkpoint in the run's folder; `change` may lengthen stages.
    ///
    /// # Errors
    /// As [`Checkpoint::read`] and [`Training::new`].
    pub fn resume(run: RunOptions, change: impl FnOnce(&mut TrainOptions)) -> Result<Training> {
        let path = run.folder.join(CHECKPOINT);
        let checkpoint = Checkpoint::read(&path)?;
        let mut options: TrainOptions = serde_json::from_value(checkpoint.description.options.clone())
            .map_err(|e| Error::bad_file(&path, format!("its options cannot be used: {e}")))?;
        change(&mut options);
        let mut training = Training::new(options, run, Some(checkpoint.part("weight")))?;
        for (stage, state) in &checkpoint.description.stages {
            training.stages.insert(*stage, *state);
        }
        for (stage, length) in &training.options.stages {
            let state = training.stages.entry(*stage).or_default();
            state.done = length.progress(state.steps, state.seconds) >= 1.0;
        }
        if let Some(stage) = checkpoint.description.stage {
            training.interrupted = Some((stage, checkpoint.tensors));
        }
        Ok(training)
    }

    /// The options.
    pub fn options(&self) -> &TrainOptions {
        &self.options
    }

    /// The networks.
    pub fn trainee(&self) -> &dyn Trainee {
        &*self.trainee
    }

    /// How far each stage has come.
    pub fn stages(&self) -> &BTreeMap<Stage, StageState> {
        &self.stages
    }

    /// Trains until every stage is finished, the time limit comes or `stop` is set.
    ///
    /// # Errors
    /// [`Error::Io`] when checkpoint or log cannot be written, [`Error::OutOfMemory`] or [`Error::Torch`] when libtorch fails.
    pub fn train(&mut self, stop: &AtomicBool, on_step: &mut dyn FnMut(&Status)) -> Result<Ended> {
        std::fs::create_dir_all(&self.run.folder).map_err(|e| Error::io(&self.run.folder, e))?;
        let states = self.stages.clone();
        let keep = move |l: &Line| states.get(&l.stage).is_some_and(|s| l.step <= s.steps);
        let log = Log::open(&self.run.folder.join(LOG), keep)?;
        for (stage, length) in self.options.stages.clone() {
            if self.stages[&stage].done {
                continue;
            }
            if self.stage(stage, length, &log, stop, on_step)? == Ended::Stopped {
                return Ok(Ended::Stopped);
            }
        }
        Ok(Ended::Finished)
    }

    fn out_of_time(&self) -> bool {
        self.run.time_limit.is_some_and(|limit| self.started.elapsed() >= limit)
    }

    fn stage(
        &mut self,
        stage: Stage,
        length: Length,
        log: &Log,
        stop: &AtomicBool,
        on_step: &mut dyn FnMut(&Status),
    ) -> Result<Ended> {
        let optimiser_options = self.options.optimiser(stage);
        let mut optimiser = Optimiser::new(&*self.trainee, stage, optimiser_options);
        let mut state = self.stages[&stage];
        if let Some((of, tensors)) = self.interrupted.take()
            && of == stage
        {
            optimiser.restore(&tensors, state.optimiser_steps)?;
        }
        let seed = self.options.seed.wrapping_mul(1_000_003).wrapping_add(stage as u64);
        let mut feed = Feed::start(self.feed(stage, length, seed), self.run.workers, state.steps);
        let held_out = self.held_out(stage);
        let before = state.seconds;
        let begun = Instant::now();
        let mut marks = Marks::new();
        let mut means = Means::default();
        let (mut last_dice, mut smooth) = (None, None);
        let ended = loop {
            let progress = length.progress(state.steps, state.seconds);
            if progress >= 1.0 {
                break Ended::Finished;
            }
            if stop.load(Ordering::Relaxed) || self.out_of_time() {
                break Ended::Stopped;
            }
            feed.set_difficulty(difficulty(progress));
            let waited = Instant::now();
            let clips = feed.next_batch();
            means.waiting += waited.elapsed().as_secs_f64();
            let rate = optimiser_options.rate(progress);
            let r = random(seed, Purpose::Step, state.steps);
            let body = || {
                optimiser.zero_gradients();
                let batch = self.batch(&clips);
                let (loss, score) = self.loss(stage, &batch, &clips, &r);
                loss.backward();
                let norm = optimiser.step(rate);
                (loss.double_value(&[]), norm, score)
            };
            let (loss, norm, score) = crate::torch::run_with_gradients(body)?;
            state.steps += 1;
            state.optimiser_steps = optimiser.steps();
            state.seconds = before + begun.elapsed().as_secs_f64();
            means.add(loss, norm, score);
            let s: &mut f64 = smooth.get_or_insert(loss);
            *s += (loss - *s) * 0.02f64.max(1.0 / (1.0 + means.steps));
            self.stages.insert(stage, state);
            on_step(&Status {
                stage,
                step: state.steps,
                progress: length.progress(state.steps, state.seconds),
                loss: *s,
                steps_per_second: means.steps / means.since.elapsed().as_secs_f64().max(1e-6),
                dice: last_dice,
            });
            if means.since.elapsed() >= self.run.log_every {
                let mut line = means.line(stage, &state, rate);
                if marks.scored.elapsed() >= self.run.score_every {
                    last_dice = self.score(&mut line, &held_out, &mut optimiser)?;
                    marks.scored = Instant::now();
                }
                log.append(&line)?;
                means = Means::default();
            }
            if marks.saved.elapsed() >= self.run.checkpoint_every {
                self.checkpoint(Some((stage, &optimiser)))?;
                marks.saved = Instant::now();
            }
        };
        if means.steps > 0.0 {
            let mut line =
                means.line(stage, &state, optimiser_options.rate(length.progress(state.steps, state.seconds)));
            if ended == Ended::Finished {
                self.score(&mut line, &held_out, &mut optimiser)?;
            }
            log.append(&line)?;
        }
        if ended == Ended::Finished {
            // Later stages build on the averaged weights.
            optimiser.keep_averages();
            self.stages.get_mut(&stage).expect("listed").done = true;
            self.checkpoint(None)?;
        } else {
            self.checkpoint(Some((stage, &optimiser)))?;
        }
        Ok(ended)
    }

    fn feed(&self, stage: Stage, length: Length, seed: u64) -> FeedOptions {
        FeedOptions {
            seed,
            batch: self.options.samples(stage),
            clip: self.options.clip(stage),
            side: self.options.side,
            scenes: self.options.scenes,
            renew: self.options.renew,
            real_share: self.options.real_share,
            real: self.cases.training.clone(),
            curriculum: match length {
                Length::Steps(steps) => Some(steps),
                Length::Seconds(_) => None,
            },
        }
    }

    fn batch(&self, clips: &[Clip]) -> Batch {
        Batch::new(clips, self.options.design.context_slices() as usize, self.options.size, self.run.device)
    }

    fn loss(
        &self,
        stage: Stage,
        batch: &Batch,
        clips: &[Clip],
        r: &super::data::random::Random,
    ) -> (tch::Tensor, Option<f64>) {
        let trainee = &*self.trainee;
        match stage {
            Stage::Memory => (memory_net::loss(trainee, batch, &self.options.recipe.memory(), r), None),
            Stage::Interaction => {
                let pixels: Vec<usize> = clips.iter().map(|c| c.pixels).collect();
                let (kinds, options) = (self.options.design.kinds(), self.options.recipe.interaction());
                let (loss, dice) = interaction_net::loss(trainee, batch, &pixels, &kinds, &options, r);
                (loss, dice.last().copied())
            }
            Stage::Quality => {
                let (loss, estimated, truth) = quality_head::loss(trainee, batch, r);
                (loss, Some((estimated - truth).abs().mean(Kind::Double).double_value(&[])))
            }
        }
    }

    /// Batches for scores: synthetic, real.
    fn held_out(&self, stage: Stage) -> [Vec<Batch>; 2] {
        if stage != Stage::Memory || self.run.held_out == 0 {
            return [vec![], vec![]];
        }
        let options = super::data::clips::ClipOptions { apart: 0.0, difficulty: 0.5, ..self.options.clip(stage) };
        let batches = |real: &[std::sync::Arc<super::data::scene::Scene>]| -> Vec<Batch> {
            // The same clips in every training: seed 0.
            let clips = held_out(0, self.run.held_out, &options, self.options.side, real);
            clips.chunks(8).map(|part| self.batch(part)).collect()
        };
        let real = if self.cases.held_out.is_empty() { vec![] } else { batches(&self.cases.held_out) };
        [batches(&[]), real]
    }

    /// Scores the averaged weights on held-out clips.
    fn score(&self, line: &mut Line, held_out: &[Vec<Batch>; 2], optimiser: &mut Optimiser) -> Result<Option<f64>> {
        let trainee = &*self.trainee;
        let scores: [Option<ClipScore>; 2] = crate::torch::run_with_gradients(|| {
            optimiser.with_averages(|| {
                tch::no_grad(|| {
                    [0, 1].map(|i| (!held_out[i].is_empty()).then(|| memory_net::score(trainee, &held_out[i])))
                })
            })
        })?;
        line.synthetic_dice = scores[0].map(|s| s.dice);
        line.synthetic_false = scores[0].map(|s| s.false_slices);
        line.real_dice = scores[1].map(|s| s.dice);
        line.real_false = scores[1].map(|s| s.false_slices);
        Ok(line.synthetic_dice)
    }

    /// Writes the checkpoint.
    ///
    /// # Errors
    /// As [`Checkpoint::write`].
    fn checkpoint(&self, at: Option<(Stage, &Optimiser)>) -> Result<()> {
        let weights = self.trainee.weights().tensors().iter();
        let mut tensors: TensorMap = weights.map(|(name, t)| (format!("weight/{name}"), t.shallow_clone())).collect();
        if let Some((_, optimiser)) = &at {
            tensors.extend(optimiser.state());
        }
        let options = serde_json::to_value(&self.options).map_err(|e| Error::Internal(format!("options: {e}")))?;
        let description = Description {
            design: self.options.design.clone(),
            stages: self.stages.clone(),
            stage: at.map(|a| a.0),
            options,
        };
        Checkpoint { description, tensors }.write(&self.run.folder.join(CHECKPOINT))
    }
}

/// Writes the averaged weights of a checkpoint as a model file; returns its SHA-256.
///
/// # Errors
/// As [`Checkpoint::read`] and [`weights::write`].
pub fn export(
    checkpoint: &Path,
    model: &Path,
    name: &str,
    provenance: &str,
    licence: &str,
    network_size: Option<i64>,
    format: DiskFormat,
) -> Result<String> {
    let checkpoint = Checkpoint::read(checkpoint)?;
    let mut tensors = checkpoint.part("weight");
    tensors.extend(checkpoint.part("average"));
    let mut design = checkpoint.description.design;
    if let (Some(size), Design::Compact(config)) = (network_size, &mut design) {
        config.network_size = size;
        config.check()?;
    }
    let mut header = design.header(name, provenance, licence)?;
    if let (Some(size), Design::Paper(_)) = (network_size, &design) {
        header.info.network_size = size;
    }
    // Loading it once more finds what does not fit before anybody else does.
    design.build(
        0,
        Some(tensors.iter().map(|(n, t)| (n.clone(), t.shallow_clone())).collect()),
        Target { inference: false, ..Target::default() },
    )?;
    weights::write(model, &header, &tensors, format)
}

/// Thick slices and large steps come in the first half of a stage.
fn difficulty(progress: f64) -> f32 {
    (2.0 * progress).min(1.0) as f32
}

struct Marks {
    saved: Instant,
    scored: Instant,
}

impl Marks {
    fn new() -> Marks {
        Marks { saved: Instant::now(), scored: Instant::now() }
    }
}

/// Sums since the last line of the log.
struct Means {
    since: Instant,
    steps: f64,
    loss: f64,
    gradient: f64,
    waiting: f64,
    score: f64,
    scores: f64,
}

impl Default for Means {
    fn default() -> Self {
        Means { since: Instant::now(), steps: 0.0, loss: 0.0, gradient: 0.0, waiting: 0.0, score: 0.0, scores: 0.0 }
    }
}

impl Means {
    fn add(&mut self, loss: f64, gradient: f64, score: Option<f64>) {
        self.steps += 1.0;
        self.loss += loss;
        self.gradient += gradient;
        if let Some(score) = score {
            self.score += score;
            self.scores += 1.0;
        }
    }

    fn line(&self, stage: Stage, state: &StageState, rate: f64) -> Line {
        let seconds = self.since.elapsed().as_secs_f64().max(1e-6);
        Line {
            stage,
            step: state.steps,
            seconds: state.seconds,
            loss: self.loss / self.steps,
            gradient: self.gradient / self.steps,
            rate,
            steps_per_second: self.steps / seconds,
            waiting: self.waiting / seconds,
            score: (self.scores > 0.0).then(|| self.score / self.scores),
            synthetic_dice: None,
            synthetic_false: None,
            real_dice: None,
            real_false: None,
        }
    }
}
