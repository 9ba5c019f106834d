//! Measures a model: a simulated user, the metrics, and the paper's experiments as rounds.
//!
//! `docs/evaluation.md` has the definitions.

pub mod cases;
pub mod components;
mod memory;
pub mod metrics;
pub mod protocol;
pub mod record;
pub mod report;
pub mod results;
pub mod robot_user;
pub mod rounds;
mod scribble;
mod select;
pub mod statistics;
pub mod summary;
pub mod target;

pub use robot_user::{Place, RobotUser};
