//! Settings of an evaluation.

use mem3d::engine::SessionOptions;
use mem3d::eval::protocol::Protocol;
use serde::{Deserialize, Serialize};

/// Settings of an evaluation; a run can only be resumed with the same.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    pub version: String,
    pub model: String,
    pub model_checksum: String,
    pub device: String,
    pub threads: i32,
    pub folder: String,
    pub protocol: Protocol,
    pub options: SessionOptions,
    pub cases: Vec<String>,
    pub labels: Vec<u32>,
    pub min_voxels: usize,
    pub min_slices: usize,
}
