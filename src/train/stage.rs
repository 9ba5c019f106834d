//! The three stages of a training, in order.

use serde::{Deserialize, Serialize};

/// A stage: what is trained while everything else is frozen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Encoders, memory read and decoder, on clips.
    Memory,
    /// The interaction networks, on single slices with simulated drawings.
    Interaction,
    /// The quality head, on masks of every quality.
    Quality,
}

impl Stage {
    /// In order of training.
    pub const ALL: [Stage; 3] = [Stage::Memory, Stage::Interaction, Stage::Quality];

    /// Name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Stage::Memory => "memory",
            Stage::Interaction => "interaction",
            Stage::Quality => "quality",
        }
    }

    /// Share of the stage in the time of a training. Chosen.
    pub fn share(self) -> f64 {
        match self {
            Stage::Memory => 0.6,
            Stage::Interaction => 0.3,
            Stage::Quality => 0.1,
        }
    }
}
