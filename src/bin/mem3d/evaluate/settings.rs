//! Settings of an evaluation.

use mem3d::engine::SessionOptions;
use mem3d::eval::report::Setup;
use serde::{Deserialize, Serialize};

/// Settings of an evaluation; a run can only be resumed with the same.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// What is measured.
    #[serde(flatten)]
    pub setup: Setup,
    /// Options of every session.
    pub options: SessionOptions,
    /// Names of the cases to measure; empty for all.
    pub cases: Vec<String>,
    /// Labels to measure; empty for all.
    pub labels: Vec<u32>,
}
