//! Training: clips made of synthetic and real volumes, the three stages, checkpoints.
//!
//! | file | holds |
//! |---|---|
//! | [`data`] | clips from synthetic and real volumes |
//! | [`networks`], [`optimiser`], [`losses`] | what the stages share |
//! | [`memory_net`], [`interaction_net`], [`quality_head`] | the stages |
//! | [`options`], [`run`], `running`, [`checkpoint`], [`log`] | a training from start to end |

pub mod checkpoint;
pub mod data;
pub mod interaction_net;
pub mod log;
pub mod losses;
pub mod memory_net;
pub mod networks;
pub mod optimiser;
pub mod options;
pub mod quality_head;
pub mod run;
mod running;
mod stage;

pub use options::{Length, Recipe, TrainOptions};
pub use run::{Ended, RunOptions, Training};
pub use running::Status;
pub use stage::Stage;
