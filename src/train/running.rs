//! A stage while it is trained: steps and time so far, means for the log, and when score and checkpoint are due.

use super::checkpoint::StageState;
use super::data::batch::Batch;
use super::log::Line;
use super::optimiser::{Optimiser, OptimiserOptions};
use super::options::Length;
use super::stage::Stage;
use std::cell::OnceCell;
use std::time::{Duration, Instant};

/// Weight of the newest loss in the running mean that [`Status`] has, after the first steps. Chosen: about 50 steps.
const NEWEST: f64 = 0.02;

/// State of a training after a step.
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

/// A stage on its way.
pub(super) struct Running {
    pub stage: Stage,
    /// Seed of clips and steps.
    pub seed: u64,
    pub state: StageState,
    pub optimiser: Optimiser,
    /// Since the last line of the log.
    pub means: Means,
    /// Last score on held-out synthetic clips.
    pub dice: Option<f64>,
    /// Batches for scores: synthetic, real. Made for the first score.
    pub held_out: OnceCell<[Vec<Batch>; 2]>,
    length: Length,
    rates: OptimiserOptions,
    /// Seconds of earlier pieces.
    seconds_before: f64,
    begun: Instant,
    scored: Instant,
    saved: Instant,
    smooth_loss: Option<f64>,
}

impl Running {
    pub fn new(
        stage: Stage,
        length: Length,
        seed: u64,
        state: StageState,
        optimiser: Optimiser,
        rates: OptimiserOptions,
    ) -> Running {
        let now = Instant::now();
        Running {
            stage,
            seed,
            state,
            optimiser,
            means: Means::default(),
            dice: None,
            held_out: OnceCell::new(),
            length,
            rates,
            seconds_before: state.seconds,
            begun: now,
            scored: now,
            saved: now,
            smooth_loss: None,
        }
    }

    /// 0..1 of the stage.
    pub fn progress(&self) -> f64 {
        self.length.progress(self.state.steps, self.state.seconds)
    }

    /// Learning rate at `progress`.
    pub fn rate(&self, progress: f64) -> f64 {
        self.rates.rate(progress)
    }

    /// Counts a step with its loss, norm of the gradient and score.
    pub fn count_step(&mut self, (loss, norm, score): (f64, f64, Option<f64>)) {
        self.state.steps += 1;
        self.state.optimiser_steps = self.optimiser.steps();
        self.state.seconds = self.seconds_before + self.begun.elapsed().as_secs_f64();
        self.means.add(loss, norm, score);
        let smooth = self.smooth_loss.get_or_insert(loss);
        *smooth += (loss - *smooth) * NEWEST.max(1.0 / (1.0 + self.means.steps));
    }

    /// What a caller is informed of after a step.
    pub fn status(&self) -> Status {
        Status {
            stage: self.stage,
            step: self.state.steps,
            progress: self.progress(),
            loss: self.smooth_loss.unwrap_or(0.0),
            steps_per_second: self.means.steps / self.means.since.elapsed().as_secs_f64().max(1e-6),
            dice: self.dice,
        }
    }

    /// A line of the log with the means so far.
    pub fn line(&self, rate: f64) -> Line {
        self.means.line(self.stage, &self.state, rate)
    }

    /// Whether a line of the log is due every `every`.
    pub fn log_is_due(&self, every: Duration) -> bool {
        self.means.since.elapsed() >= every
    }

    /// Whether a score is due every `every`.
    pub fn score_is_due(&self, every: Duration) -> bool {
        self.scored.elapsed() >= every
    }

    /// Whether a checkpoint is due every `every`.
    pub fn checkpoint_is_due(&self, every: Duration) -> bool {
        self.saved.elapsed() >= every
    }

    /// Starts the time to the next score.
    pub fn mark_scored(&mut self) {
        self.scored = Instant::now();
    }

    /// Starts the time to the next checkpoint.
    pub fn mark_saved(&mut self) {
        self.saved = Instant::now();
    }
}

/// Sums since the last line of the log.
pub(super) struct Means {
    since: Instant,
    pub steps: f64,
    loss: f64,
    gradient: f64,
    /// Seconds in which no batch was ready.
    pub waiting: f64,
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
