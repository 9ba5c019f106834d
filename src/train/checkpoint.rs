//! Checkpoints: the state of a training in one safetensors file, written whole or not at all. A resumed training gives
//! the numbers of an uninterrupted one.
//!
//! Tensors are named `weight/…` (as trained), `average/…` (moving average), `adam_first/…` and `adam_second/…`; the
//! header's entry `mem3d_training` is JSON. No random state is needed: random numbers depend on seed and step alone.

use super::networks::Design;
use super::stage::Stage;
use crate::atomic_file;
use crate::error::{Error, Result};
use crate::input_file;
use crate::nn::params::TensorMap;
use safetensors::tensor::{Dtype, SafeTensors, View};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use tch::{Device, Kind, Tensor};

/// Key of the description in the file's header. Chosen.
const KEY: &str = "mem3d_training";

/// Progress of a stage.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct StageState {
    /// Steps so far.
    pub steps: u64,
    /// Seconds so far.
    pub seconds: f64,
    /// Steps of the optimiser: fewer where a gradient was not finite.
    pub optimiser_steps: u64,
    /// Whether it is finished.
    pub done: bool,
}

/// The JSON of a checkpoint.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Description {
    /// Networks.
    pub design: Design,
    /// By stage.
    pub stages: BTreeMap<Stage, StageState>,
    /// Options that decide the numbers: a resumed training must use the same.
    pub options: serde_json::Value,
}

/// A checkpoint.
#[derive(Debug)]
pub struct Checkpoint {
    /// Description.
    pub description: Description,
    /// Tensors, f32, on the CPU.
    pub tensors: TensorMap,
}

impl Checkpoint {
    /// Tensors whose names start with `part/`, without it.
    pub fn part(&self, part: &str) -> TensorMap {
        let named = self
            .tensors
            .iter()
            .filter_map(|(name, t)| Some((name.strip_prefix(part)?.strip_prefix('/')?.to_string(), t.shallow_clone())));
        named.collect()
    }

    /// Writes the file; an earlier one stays until the new one is complete.
    ///
    /// # Errors
    /// [`Error::Io`] when it cannot be written, for instance because the disk is full.
    pub fn write(&self, path: &Path) -> Result<()> {
        let text = serde_json::to_string(&self.description).map_err(|e| Error::Internal(format!("checkpoint: {e}")))?;
        let metadata = HashMap::from([(KEY.to_string(), text)]);
        let tensors = self.tensors.iter().map(|(name, t)| {
            let tensor = t.detach().to_device(Device::Cpu).to_kind(Kind::Float).contiguous();
            (name.as_str(), OnDisk { shape: t.size().iter().map(|&s| s as usize).collect(), tensor })
        });
        let bytes = safetensors::serialize(tensors, Some(metadata))
            .map_err(|e| Error::Internal(format!("checkpoint {}: {e}", path.display())))?;
        let keep = |source: std::io::Error| {
            let hint = if source.kind() == std::io::ErrorKind::StorageFull || source.raw_os_error() == Some(28) {
                "; the disk is full: free some space, then continue with --resume (the previous checkpoint is complete)"
            } else {
                ""
            };
            Error::io(path, std::io::Error::new(source.kind(), format!("{source}{hint}")))
        };
        atomic_file::try_write(path, |w| w.write_all(&bytes)).map_err(keep)
    }

    /// Reads the file.
    ///
    /// # Errors
    /// [`Error::Io`] when it cannot be read, [`Error::BadFile`] when it is no checkpoint of this program.
    pub fn read(path: &Path) -> Result<Checkpoint> {
        let bytes = input_file::all(path, u64::MAX)?;
        let no = |e: String| Error::bad_file(path, format!("this is not a training checkpoint ({e})"));
        let (_, metadata) = SafeTensors::read_metadata(&bytes).map_err(|e| no(e.to_string()))?;
        let text = metadata.metadata().as_ref().and_then(|m| m.get(KEY));
        let text = text.ok_or_else(|| no(format!("its header has no entry {KEY}; model files cannot be resumed")))?;
        let description = serde_json::from_str(text).map_err(|e| no(e.to_string()))?;
        let mut tensors = TensorMap::new();
        for (name, view) in SafeTensors::deserialize(&bytes).map_err(|e| no(e.to_string()))?.iter() {
            if view.dtype() != Dtype::F32 {
                return Err(no(format!("{name} is {:?}", view.dtype())));
            }
            let shape: Vec<i64> = view.shape().iter().map(|&s| s as i64).collect();
            let tensor = Tensor::f_from_data_size(view.data(), &shape, Kind::Float).map_err(|e| no(e.to_string()))?;
            tensors.insert(name.to_string(), tensor);
        }
        Ok(Checkpoint { description, tensors })
    }
}

/// A tensor that safetensors can write.
struct OnDisk {
    shape: Vec<usize>,
    tensor: Tensor,
}

impl View for OnDisk {
    fn dtype(&self) -> Dtype {
        Dtype::F32
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        let mut bytes = vec![0u8; self.data_len()];
        self.tensor.copy_data_u8(&mut bytes, self.tensor.numel());
        Cow::Owned(bytes)
    }

    fn data_len(&self) -> usize {
        self.tensor.numel() * 4
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::compact::CompactConfig;

    fn checkpoint(value: f32) -> Checkpoint {
        let description = Description {
            design: Design::Compact(CompactConfig::default()),
            stages: [(Stage::Memory, StageState { steps: 7, seconds: 1.5, optimiser_steps: 7, done: false })].into(),
            options: serde_json::json!({"seed": 1}),
        };
        let tensors = [("weight/a".to_string(), Tensor::from_slice(&[value, -2.0]).reshape([2, 1]))].into();
        Checkpoint { description, tensors }
    }

    #[test]
    fn what_was_written_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("c.safetensors");
        checkpoint(0.1).write(&path).unwrap();
        let read = Checkpoint::read(&path).unwrap();
        assert_eq!(read.description, checkpoint(0.1).description);
        assert!(read.part("weight")["a"].equal(&Tensor::from_slice(&[0.1f32, -2.0]).reshape([2, 1])));
        assert!(read.part("adam_first").is_empty());
    }

    #[test]
    fn a_failed_write_keeps_the_old_checkpoint_and_gives_the_reason() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("missing").join("c.safetensors");
        assert!(checkpoint(0.1).write(&path).unwrap_err().to_string().contains("missing"));
        let path = folder.path().join("c.safetensors");
        std::fs::write(&path, b"something").unwrap();
        let text = Checkpoint::read(&path).unwrap_err().to_string();
        assert!(text.contains("not a training checkpoint"), "{text}");
    }
}
