//! Options that determine the numbers of a training; stored in its checkpoints and used again when it is resumed.

use super::data::clips::ClipOptions;
use super::interaction_net::InteractionOptions;
use super::memory_net::MemoryOptions;
use super::networks::Design;
use super::optimiser::OptimiserOptions;
use super::stage::Stage;
use crate::error::{Error, Result};
use crate::nn::QualityCalibration;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Share of clips whose slices lie far from the annotated one, in the memory stage (not in the paper's recipe). Chosen.
const APART: f64 = 0.5;
/// The same in the quality stage: in use, half of the slices are more than ten slices away. Chosen.
const APART_JUDGED: f64 = 0.75;

/// Named settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Recipe {
    /// mem3d's: AdamW 3e-4, cosine, moving average, cross-entropy and Dice, damaged and own masks in memory.
    Mem3d,
    /// The paper's: Adam 1e-5, cross-entropy, true masks with the first slice, all earlier slices in memory.
    Paper,
}

impl Recipe {
    /// Settings of the optimiser.
    pub fn optimiser(self, stage: Stage) -> OptimiserOptions {
        match self {
            Recipe::Paper => OptimiserOptions {
                learning_rate: 1e-5,
                cosine: false,
                warm_up: 0.0,
                weight_decay: 0.0,
                betas: (0.9, 0.999),
                clip: 0.0,
                // The last weights: an average of rate 0 follows within a step.
                average: 0.0,
            },
            Recipe::Mem3d => OptimiserOptions {
                learning_rate: if stage == Stage::Quality { 1e-3 } else { 3e-4 },
                cosine: true,
                warm_up: 0.03,
                weight_decay: 0.01,
                betas: (0.9, 0.999),
                clip: 3.0,
                average: 0.999,
            },
        }
    }

    /// Settings of the memory stage.
    pub fn memory(self) -> MemoryOptions {
        match self {
            Recipe::Paper => {
                MemoryOptions { first_mask: [1.0, 0.0, 0.0], dice: false, random_memory: false, empty_slices: false }
            }
            Recipe::Mem3d => {
                MemoryOptions { first_mask: [0.5, 0.3, 0.2], dice: true, random_memory: true, empty_slices: true }
            }
        }
    }

    /// Settings of the interaction stage.
    pub fn interaction(self) -> InteractionOptions {
        match self {
            Recipe::Paper => InteractionOptions { rounds: 1, dice: false, from_mask: 0.0, feed_back: 0.0 },
            Recipe::Mem3d => InteractionOptions { rounds: 3, dice: true, from_mask: 0.35, feed_back: 0.2 },
        }
    }
}

/// Length of a stage.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Length {
    /// Steps. Learning rate and curriculum follow the steps; resumed trainings give the numbers of uninterrupted ones.
    Steps(u64),
    /// Seconds of training, over all pieces. Learning rate and curriculum follow the clock.
    Seconds(f64),
}

impl Length {
    /// 0..1: how much of the stage is done.
    pub fn progress(self, steps: u64, seconds: f64) -> f64 {
        let part = match self {
            Length::Steps(all) => steps as f64 / all.max(1) as f64,
            Length::Seconds(all) => seconds / all.max(1e-3),
        };
        part.min(1.0)
    }
}

/// Options that determine the numbers of a training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrainOptions {
    /// Networks.
    pub design: Design,
    /// Named settings.
    pub recipe: Recipe,
    /// Seed of all random numbers.
    pub seed: u64,
    /// Side of the networks' input, pixels; a multiple of 16.
    pub size: usize,
    /// Clips of a batch.
    pub batch: usize,
    /// Slices of a clip.
    pub length: usize,
    /// Stages and how long each is.
    pub stages: BTreeMap<Stage, Length>,
    /// Voxels a side of a synthetic scene.
    pub side: usize,
    /// Synthetic scenes in use at a time.
    pub scenes: u64,
    /// Clips after which one of them is replaced.
    pub renew: u64,
    /// Share of clips cut from volumes on disk.
    pub real_share: f64,
    /// Of these, the share whose targets are supervoxels instead of labels.
    pub supervoxel_share: f64,
    /// Folders of volumes with labels.
    pub data: Vec<PathBuf>,
    /// Folders of volumes without labels.
    pub unlabelled: Vec<PathBuf>,
    /// Folders of label maps without image.
    pub labels_only: Vec<PathBuf>,
    /// Labels that are never targets, by case.
    pub exclude: BTreeMap<String, Vec<u32>>,
    /// One of this many cases on disk is held out and scored in the log, never the only one of its data set; 0: none.
    pub hold_out_every: usize,
    /// Learning rate instead of the recipe's.
    pub learning_rate: Option<f64>,
    /// Calibration that the exported model keeps: that of the model the training starts from, if no stage changes the
    /// propagated masks and their qualities.
    #[serde(default)]
    pub quality_calibration: Option<QualityCalibration>,
}

impl TrainOptions {
    /// Checks every option against its range.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`], naming the option and its range.
    pub fn check(&self) -> Result<()> {
        let no = |text: String| Err(Error::argument(text));
        if !(32..=1024).contains(&self.size) || !self.size.is_multiple_of(16) {
            return no(format!("the size is {}; use a multiple of 16 from 32 to 1024", self.size));
        }
        if !(1..=1024).contains(&self.batch) {
            return no(format!("the batch is {}; use 1 to 1024 clips", self.batch));
        }
        if !(2..=16).contains(&self.length) {
            return no(format!("a clip has {} slices; use 2 to 16", self.length));
        }
        if !(32..=320).contains(&self.side) {
            return no(format!("synthetic scenes are {} voxels a side; use 32 to 320", self.side));
        }
        if self.scenes == 0 || self.renew == 0 {
            return no("the number of scenes in use and that of clips until one is replaced must be at least 1".into());
        }
        for (name, share) in [("real share", self.real_share), ("supervoxel share", self.supervoxel_share)] {
            if !(0.0..=1.0).contains(&share) {
                return no(format!("the {name} is {share}; use 0 to 1"));
            }
        }
        if let Some(rate) = self.learning_rate.filter(|rate| !(rate.is_finite() && *rate > 0.0)) {
            return no(format!("the learning rate is {rate}; use a number above 0, such as 3e-4"));
        }
        let on_disk = self.data.len() + self.unlabelled.len() + self.labels_only.len();
        if self.real_share >= 1.0 && on_disk == 0 {
            return no("only volumes on disk are to be trained on, but none are given; name a folder".into());
        }
        if self.stages.is_empty() {
            return no("there is no stage to train".into());
        }
        Ok(())
    }

    /// Settings of the optimiser of `stage`.
    pub fn optimiser(&self, stage: Stage) -> OptimiserOptions {
        let options = self.recipe.optimiser(stage);
        OptimiserOptions { learning_rate: self.learning_rate.unwrap_or(options.learning_rate), ..options }
    }

    /// Clips for `stage`, at the start of the curriculum.
    pub fn clip(&self, stage: Stage) -> ClipOptions {
        ClipOptions {
            size: self.size,
            context: self.design.context_slices() as usize,
            length: match stage {
                Stage::Interaction => 1,
                Stage::Memory => self.length,
                // An annotated slice, one with a propagated mask, and one for the head.
                Stage::Quality => self.length.max(3),
            },
            apart: match (stage, self.recipe) {
                (Stage::Interaction, _) | (Stage::Memory, Recipe::Paper) => 0.0,
                (Stage::Memory, _) => APART,
                (Stage::Quality, _) => APART_JUDGED,
            },
            carried: stage == Stage::Quality,
            difficulty: 0.0,
            // Regions around a drawing may cut the target off or be much larger than it.
            largest_region: if stage == Stage::Interaction { 4.2 } else { 3.0 },
            closer: if stage == Stage::Interaction { 0.15 } else { 0.0 },
        }
    }

    /// Samples of a batch of `stage`: single slices come in larger batches.
    pub fn samples(&self, stage: Stage) -> usize {
        if stage == Stage::Interaction { 2 * self.batch } else { self.batch }
    }
}
