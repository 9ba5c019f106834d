//! A training: stages in order, each a loop of batch, loss and step, with checkpoints and log.

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
use super::running::{Means, Running, Status};
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

/// Options that do not change the numbers of a training.
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
    /// Held-out clips of each kind.
    pub held_out: usize,
}

/// A training in progress.
pub struct Training {
    options: TrainOptions,
    run: RunOptions,
    trainee: Box<dyn Trainee>,
    stages: BTreeMap<Stage, StageState>,
    /// Weights in f32, where they are known more exactly than the networks hold them: those given at the start, and the
    /// averages of finished stages.
    exact: TensorMap,
    /// States of the optimisers of interrupted stages, until these go on.
    interrupted: TensorMap,
    cases: Cases,
    started: Instant,
}

/// Why a training ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// Every stage is finished.
    Finished,
    /// The time limit is reached or a stop is requested; the training can be resumed.
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
        let exact = match (&init, run.kind) {
            (Some(init), kind) if kind != Kind::Float => init.iter().map(|(n, t)| (n.clone(), t.copy())).collect(),
            _ => TensorMap::new(),
        };
        let trainee = options.design.build(options.seed as i64, init, target)?;
        let cases = Cases::open(&options)?;
        let stages = options.stages.keys().map(|&s| (s, StageState::default())).collect();
        Ok(Training {
            options,
            run,
            trainee,
            stages,
            exact,
            interrupted: TensorMap::new(),
            cases,
            started: Instant::now(),
        })
    }

    /// Continues from the checkpoint in the run's folder; `change` may lengthen stages.
    ///
    /// # Errors
    /// As [`Checkpoint::read`], `change` and [`Training::new`].
    pub fn resume(run: RunOptions, change: impl FnOnce(&mut TrainOptions) -> Result<()>) -> Result<Training> {
        let path = run.folder.join(CHECKPOINT);
        let checkpoint = Checkpoint::read(&path)?;
        let mut options: TrainOptions = serde_json::from_value(checkpoint.description.options.clone())
            .map_err(|e| Error::bad_file(&path, format!("its options cannot be used: {e}")))?;
        change(&mut options)?;
        let mut training = Training::new(options, run, Some(checkpoint.part("weight")))?;
        for (stage, state) in &checkpoint.description.stages {
            training.stages.insert(*stage, *state);
        }
        for (stage, length) in &training.options.stages {
            let state = training.stages.entry(*stage).or_default();
            state.done = length.progress(state.steps, state.seconds) >= 1.0;
        }
        let is_of_optimiser = |name: &str| {
            let parameter = name.split_once('/').map_or(name, |(_, parameter)| parameter);
            checkpoint.tensors.contains_key(&format!("adam_first/{parameter}"))
        };
        let states = checkpoint.tensors.iter().filter(|(name, _)| is_of_optimiser(name));
        training.interrupted = states.map(|(name, t)| (name.clone(), t.shallow_clone())).collect();
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

    /// Progress of each stage.
    pub fn stages(&self) -> &BTreeMap<Stage, StageState> {
        &self.stages
    }

    /// Trains until every stage is finished, the time limit comes or `stop` is set.
    ///
    /// # Errors
    /// [`Error::Io`] when checkpoint or log cannot be written, [`Error::OutOfMemory`] or [`Error::Torch`] when libtorch
    /// fails.
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

    /// Trains one stage to its end, the time limit or `stop`.
    fn stage(
        &mut self,
        stage: Stage,
        length: Length,
        log: &Log,
        stop: &AtomicBool,
        on_step: &mut dyn FnMut(&Status),
    ) -> Result<Ended> {
        let mut running = self.begin(stage, length)?;
        let feed = self.feed(stage, length, running.seed);
        let mut feed = Feed::start(feed, self.run.workers, running.state.steps);
        let ended = loop {
            let progress = running.progress();
            if progress >= 1.0 {
                break Ended::Finished;
            }
            if stop.load(Ordering::Relaxed) || self.out_of_time() {
                break Ended::Stopped;
            }
            let rate = self.step(&mut running, &mut feed, progress)?;
            self.stages.insert(stage, running.state);
            on_step(&running.status());
            self.log_and_save(&mut running, rate, log)?;
        };
        self.finish(running, ended, log)?;
        Ok(ended)
    }

    /// Sets up the optimiser, with its state where the stage was interrupted.
    fn begin(&mut self, stage: Stage, length: Length) -> Result<Running> {
        let rates = self.options.optimiser(stage);
        let mut optimiser = Optimiser::new(&*self.trainee, stage, rates);
        let state = self.stages[&stage];
        if optimiser.is_in(&self.interrupted) {
            optimiser.restore(&self.interrupted, state.optimiser_steps)?;
            let trainee = &*self.trainee;
            self.interrupted
                .retain(|name, _| !name.split_once('/').is_some_and(|(_, name)| trainee.belongs(name, stage)));
        }
        let seed = self.options.seed.wrapping_mul(1_000_003).wrapping_add(stage as u64);
        Ok(Running::new(stage, length, seed, state, optimiser, rates))
    }

    /// One batch, its loss and a step of the optimiser; returns the learning rate.
    fn step(&self, running: &mut Running, feed: &mut Feed, progress: f64) -> Result<f64> {
        feed.set_difficulty(difficulty(progress));
        let waited = Instant::now();
        let clips = feed.next_batch();
        running.means.waiting += waited.elapsed().as_secs_f64();
        let rate = running.rate(progress);
        let r = random(running.seed, Purpose::Step, running.state.steps);
        let (stage, optimiser) = (running.stage, &mut running.optimiser);
        let counted = crate::torch::run_with_gradients(|| {
            optimiser.zero_gradients();
            let batch = self.batch(&clips);
            let (loss, score) = self.loss(stage, &batch, &clips, &r);
            loss.backward();
            let norm = optimiser.step(rate);
            (loss.double_value(&[]), norm, score)
        })?;
        running.count_step(counted);
        Ok(rate)
    }

    /// Writes log, score and checkpoint that are due.
    fn log_and_save(&self, running: &mut Running, rate: f64, log: &Log) -> Result<()> {
        if running.log_is_due(self.run.log_every) {
            let mut line = running.line(rate);
            if running.score_is_due(self.run.score_every) {
                running.dice = self.score(&mut line, running)?;
                running.mark_scored();
            }
            log.append(&line)?;
            running.means = Means::default();
        }
        if running.checkpoint_is_due(self.run.checkpoint_every) {
            self.checkpoint(Some(&running.optimiser))?;
            running.mark_saved();
        }
        Ok(())
    }

    /// Writes the last line and the checkpoint of a stage.
    fn finish(&mut self, mut running: Running, ended: Ended, log: &Log) -> Result<()> {
        if running.means.steps > 0.0 {
            let mut line = running.line(running.rate(running.progress()));
            if ended == Ended::Finished {
                self.score(&mut line, &mut running)?;
            }
            log.append(&line)?;
        }
        if ended == Ended::Stopped {
            return self.checkpoint(Some(&running.optimiser));
        }
        // Later stages build on the averaged weights.
        running.optimiser.keep_averages();
        if self.run.kind != Kind::Float {
            self.exact.extend(running.optimiser.averages().map(|(name, t)| (name.to_string(), t.copy())));
        }
        self.stages.get_mut(&running.stage).expect("listed").done = true;
        self.checkpoint(None)
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
            curriculum: curriculum(length),
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
    fn score(&self, line: &mut Line, running: &mut Running) -> Result<Option<f64>> {
        let trainee = &*self.trainee;
        let held_out = running.held_out.get_or_init(|| self.held_out(running.stage));
        let scores: [Option<ClipScore>; 2] = crate::torch::run_with_gradients(|| {
            running.optimiser.with_averages(|| {
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

    /// Writes the checkpoint, with the state of the `optimiser` of a stage that is not finished.
    ///
    /// # Errors
    /// As [`Checkpoint::write`].
    fn checkpoint(&self, optimiser: Option<&Optimiser>) -> Result<()> {
        let held = self.trainee.weights().tensors().iter();
        let weights = held.map(|(name, t)| (name, self.exact.get(name).unwrap_or(t)));
        let mut tensors: TensorMap = weights.map(|(name, t)| (format!("weight/{name}"), t.shallow_clone())).collect();
        tensors.extend(self.interrupted.iter().map(|(name, t)| (name.clone(), t.shallow_clone())));
        if let Some(optimiser) = optimiser {
            tensors.extend(optimiser.state());
        }
        let options = serde_json::to_value(&self.options).map_err(|e| Error::Internal(format!("options: {e}")))?;
        let description = Description { design: self.options.design.clone(), stages: self.stages.clone(), options };
        Checkpoint { description, tensors }.write(&self.run.folder.join(CHECKPOINT))
    }
}

/// What the header of an exported model file has, and its number format.
#[derive(Debug, Clone, PartialEq)]
pub struct ExportOptions {
    /// Name of the model.
    pub name: String,
    /// What it was trained on.
    pub provenance: String,
    /// Licence of the weights.
    pub licence: String,
    /// Side of the networks' input, pixels; the training's own by default.
    pub network_size: Option<i64>,
    /// Number format of the weights.
    pub format: DiskFormat,
}

/// Writes the averaged weights of a checkpoint as a model file; returns its SHA-256.
///
/// # Errors
/// As [`Checkpoint::read`] and [`weights::write`].
pub fn export(checkpoint: &Path, model: &Path, options: &ExportOptions) -> Result<String> {
    let ExportOptions { name, provenance, licence, network_size, format } = options;
    let checkpoint = Checkpoint::read(checkpoint)?;
    let mut tensors = checkpoint.part("weight");
    tensors.extend(checkpoint.part("average"));
    let mut design = checkpoint.description.design;
    if let (Some(size), Design::Compact(config)) = (*network_size, &mut design) {
        config.network_size = size;
        config.check()?;
    }
    let mut header = design.header(name, provenance, licence)?;
    if let (Some(size), Design::Paper(_)) = (*network_size, &design) {
        header.info.network_size = size;
    }
    if network_size.is_none() {
        let calibration = &checkpoint.description.options["quality_calibration"];
        header.info.quality_calibration = serde_json::from_value(calibration.clone()).unwrap_or_default();
    }
    // Building the networks from the tensors finds those that do not fit.
    design.build(
        0,
        Some(tensors.iter().map(|(n, t)| (n.clone(), t.shallow_clone())).collect()),
        Target { inference: false, ..Target::default() },
    )?;
    weights::write(model, &header, &tensors, *format)
}

/// Thick slices and large steps come in the first half of a stage.
fn difficulty(progress: f64) -> f32 {
    (2.0 * progress).min(1.0) as f32
}

/// Steps over which the clips of a stage become as hard as [`difficulty`] makes them by the clock; none for the clock.
fn curriculum(length: Length) -> Option<u64> {
    match length {
        Length::Steps(steps) => Some(steps.div_ceil(2)),
        Length::Seconds(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clips_become_hard_alike_by_steps_and_by_the_clock() {
        let steps = curriculum(Length::Steps(10)).unwrap() as f32;
        let by_clock = [0, 1, 3, 5, 9].map(|step| difficulty(Length::Seconds(10.0).progress(0, f64::from(step))));
        assert_eq!([0.0, 1.0, 3.0, 5.0, 9.0].map(|step| (step / steps).min(1.0)), by_clock);
        assert_eq!(curriculum(Length::Seconds(10.0)), None);
    }
}
