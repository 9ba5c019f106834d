//! Measures how well the method works: a simulated user, the metrics, and the paper's experiments as rounds.
//!
//! Everything is defined in `docs/evaluation.md`.

pub mod components;
pub mod distance;
pub mod metrics;
pub mod robot_user;
mod scribble;
pub mod statistics;

pub use robot_user::{Place, RobotUser};
