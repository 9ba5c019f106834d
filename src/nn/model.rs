//! A model: the networks of one weight file, shared by sessions and threads.

use super::compact::{Compact, CompactConfig};
use super::networks::{ModelInfo, Networks, Preset};
use super::paper::{PaperConfig, PaperNetworks};
use super::params::{Params, Target};
use super::weights::{self, Header};
use crate::error::{Error, Result};
use crate::torch::device;
use std::path::Path;
use std::sync::Mutex;
use tch::{Device, Kind};

/// Number format of the networks' arithmetic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Precision {
    /// The same as [`Precision::F32`].
    #[default]
    Auto,
    /// float32. Convolutions on CUDA may round their factors to ten bits (TF32), libtorch's default.
    F32,
    /// bfloat16, with float32 for softmax, logits and probabilities.
    Bf16,
    /// float16, with float32 for softmax, logits and probabilities; CUDA only.
    F16,
}

impl Precision {
    fn kind(self, device: Device) -> Result<Kind> {
        match (self, device) {
            (Precision::Bf16, _) => Ok(Kind::BFloat16),
            (Precision::Auto | Precision::F32, _) => Ok(Kind::Float),
            (Precision::F16, Device::Cuda(_)) => Ok(Kind::Half),
            (Precision::F16, _) => {
                Err(Error::Unsupported("float16 is for CUDA devices; use float32 or bfloat16 on the CPU".into()))
            }
        }
    }
}

/// The networks of one model file on one device.
pub struct Model {
    info: ModelInfo,
    device: Device,
    networks: Mutex<Box<dyn Networks>>,
}

impl Model {
    /// Loads a `.safetensors` model file.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::BadModel`], [`Error::InvalidArgument`] or [`Error::Unsupported`] (device or precision),
    /// [`Error::OutOfMemory`].
    pub fn load(path: &Path, device: &str, precision: Precision) -> Result<Model> {
        let device = device::parse(device)?;
        let target = Target { device, kind: precision.kind(device)?, inference: true };
        let file = weights::read(path)?;
        let mut header = file.header;
        header.info.checksum = file.checksum;
        let build = || Self::build(&header, Params::load(file.tensors, target));
        crate::torch::run(build)?.map_err(|e| match e {
            Error::BadModel(text) => Error::BadModel(format!("{}: {text}", path.display())),
            other => other,
        })
    }

    /// A model with random weights that depend on `seed`, for tests and benchmarks of speed.
    ///
    /// # Errors
    /// As [`Model::load`].
    pub fn random(preset: Preset, seed: i64, device: &str, precision: Precision) -> Result<Model> {
        let device = device::parse(device)?;
        let target = Target { device, kind: precision.kind(device)?, inference: true };
        let name = format!("random-{seed}");
        let provenance = "random numbers; for tests of everything but accuracy";
        let mut header = match preset {
            Preset::Compact => {
                let config = CompactConfig::default();
                Header::new(config.info(&name, provenance, "Apache-2.0"), &config)?
            }
            Preset::Paper => {
                let config = PaperConfig::shared_interaction();
                Header::new(config.info(&name, provenance, "Apache-2.0"), &config)?
            }
        };
        header.info.checksum = format!("{name}-{preset:?}");
        crate::torch::run(|| Self::build(&header, Params::init(seed, target)))?
    }

    fn build(header: &Header, params: Params) -> Result<Model> {
        if std::env::current_dir().is_err_and(|e| e.kind() == std::io::ErrorKind::NotFound) {
            // The MKL of libtorch would end the process with its first product.
            return Err(Error::InvalidState(
                "the current folder of this process was removed; go to a folder that exists".into(),
            ));
        }
        let device = params.target().device;
        let info = header.info.clone();
        let networks: Box<dyn Networks> = match info.preset {
            Preset::Compact => Box::new(Compact::new(params, header.config()?, info.clone())?),
            Preset::Paper => Box::new(PaperNetworks::new(params, info.clone(), header.config()?)?),
        };
        Ok(Model { info, device, networks: Mutex::new(networks) })
    }

    /// Description of the model.
    pub fn info(&self) -> &ModelInfo {
        &self.info
    }

    /// SHA-256 of the weight file, lower-case hexadecimal. Saved sessions name their model by it.
    pub fn checksum(&self) -> &str {
        &self.info.checksum
    }

    /// Device of the weights.
    pub fn device(&self) -> Device {
        self.device
    }

    /// The networks for one session; no weight is copied.
    pub fn networks(&self) -> Box<dyn Networks> {
        self.networks.lock().unwrap_or_else(|e| e.into_inner()).share()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_can_be_shared_by_threads() {
        fn shared<T: Send + Sync>(_: &T) {}
        let model = Model::random(Preset::Compact, 1, "cpu", Precision::Auto).unwrap();
        shared(&model);
        let other = Model::random(Preset::Compact, 2, "cpu", Precision::Auto).unwrap();
        assert_ne!(model.checksum(), other.checksum());
    }

    #[test]
    fn unavailable_devices_and_precisions_are_refused() {
        let random = |device, precision| Model::random(Preset::Compact, 1, device, precision).err().unwrap();
        assert!(matches!(random("tpu", Precision::Auto), Error::InvalidArgument(_)));
        assert!(matches!(random("cpu", Precision::F16), Error::Unsupported(_)));
        // bfloat16 changes masks: docs/performance.md.
        assert_eq!(Precision::Auto.kind(Device::Cuda(0)).unwrap(), Kind::Float);
        let missing = Model::load(Path::new("no/such/model.safetensors"), "cpu", Precision::Auto);
        assert!(matches!(missing, Err(Error::Io { .. })));
    }
}
