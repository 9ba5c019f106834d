//! A model: the networks of one weight file, shared by sessions and threads.

use super::{ModelInfo, Networks, Preset};
use crate::error::Result;
use std::path::Path;
use std::sync::Mutex;
use tch::Device;

/// Number format of the networks' arithmetic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Precision {
    /// float32 on the CPU, bfloat16 on CUDA.
    #[default]
    Auto,
    /// float32.
    F32,
    /// bfloat16, with float32 where it matters.
    Bf16,
    /// float16, with float32 where it matters.
    F16,
}

/// The networks of one model file on one device.
pub struct Model {
    info: ModelInfo,
    checksum: String,
    device: Device,
    networks: Mutex<Box<dyn Networks>>,
}

impl Model {
    /// Loads a `.safetensors` model file.
    ///
    /// # Errors
    /// [`crate::Error::Io`], [`crate::Error::BadModel`], [`crate::Error::Unsupported`] (device or precision).
    pub fn load(path: &Path, device: &str, precision: Precision) -> Result<Model> {
        let _ = (path, device, precision);
        todo!()
    }

    /// A model with random weights (seeded), for tests and benchmarks of speed.
    ///
    /// # Errors
    /// As [`Model::load`].
    pub fn random(preset: Preset, seed: i64, device: &str, precision: Precision) -> Result<Model> {
        let _ = (preset, seed, device, precision);
        todo!()
    }

    /// What the model says of itself.
    pub fn info(&self) -> &ModelInfo {
        &self.info
    }

    /// SHA-256 of the weight file, lower-case hexadecimal; tells a saved session its model.
    pub fn checksum(&self) -> &str {
        &self.checksum
    }

    /// Where the weights are.
    pub fn device(&self) -> Device {
        self.device
    }

    /// The networks for one session; no weight is copied.
    pub fn networks(&self) -> Box<dyn Networks> {
        self.networks.lock().unwrap_or_else(|e| e.into_inner()).share()
    }
}
