//! Training: clips made of synthetic and real volumes, the three stages, checkpoints.
//!
//! | file | holds |
//! |---|---|
//! | [`random`], [`noise`], [`resample`] | seeded random numbers, smooth noise, crop and resize |
//! | [`scene`], `shapes`, [`synthetic`] | label volumes, and how synthetic ones are made |
//! | [`clips`], `block`, `appearance` | slices cut from a scene as the engine shows them; intensities |
//! | [`real`], [`layouts`], [`supervoxels`] | scenes from volumes on disk |
//! | [`feed`], [`batch`] | worker threads that make clips; clips as tensors |
//! | [`networks`], [`optimiser`], [`losses`], [`damage`] | what the stages share |
//! | [`memory_net`], [`interaction_net`], [`quality_head`] | the stages |
//! | [`options`], [`run`], [`checkpoint`], [`log`] | a training from start to end |

mod appearance;
pub mod batch;
mod block;
pub mod checkpoint;
pub mod clips;
pub mod damage;
pub mod feed;
pub mod interaction_net;
pub mod layouts;
pub mod log;
pub mod losses;
pub mod memory_net;
pub mod networks;
pub mod noise;
pub mod optimiser;
pub mod options;
pub mod quality_head;
pub mod random;
pub mod real;
pub mod resample;
pub mod run;
pub mod scene;
mod shapes;
mod stage;
pub mod supervoxels;
pub mod synthetic;

pub use options::{Length, Recipe, TrainOptions};
pub use run::{Ended, RunOptions, Status, Training};
pub use stage::Stage;
