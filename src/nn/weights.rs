//! Model files: one safetensors file with all networks of a model, and their description in its header.
//!
//! The header's metadata has one entry `mem3d`, a JSON object:
//!
//! | key | value |
//! |---|---|
//! | `format_version` | [`FORMAT_VERSION`] |
//! | `info` | [`ModelInfo`], with `quality_calibration` if it is fitted |
//! | `config` | hyper-parameters of the preset's networks, as the preset defines them |
//! | `intensity` | [`IntensityRule`] |
//!
//! Tensors are f32, f16 or bf16. One-dimensional ones (biases, norms, statistics) are always f32: they are small, and
//! running variances may exceed the range of f16.

use super::networks::ModelInfo;
use super::params::TensorMap;
use crate::atomic_file;
use crate::error::{Error, Result};
use crate::input_file;
use safetensors::tensor::{Dtype, SafeTensorError, SafeTensors, View};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::borrow::Cow;
use std::collections::HashMap;
use std::path::Path;
use tch::{Kind, Tensor};

/// Version of the model files that this build writes; it reads this one and earlier ones.
pub const FORMAT_VERSION: u32 = 1;

/// Key of the metadata in the safetensors header.
const METADATA_KEY: &str = "mem3d";

/// Mapping of intensities to 0..1 for which a model is trained; a window of the user's replaces it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IntensityRule {
    /// These percentiles of the whole volume map to 0 and 1; values beyond are clamped.
    VolumePercentiles(f64, f64),
}

impl Default for IntensityRule {
    /// The 0.5th and the 99.5th percentile.
    fn default() -> Self {
        IntensityRule::VolumePercentiles(0.5, 99.5)
    }
}

/// Header of a model file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// Version of the format of the file.
    pub format_version: u32,
    /// Description of the model for the engine and the host.
    pub info: ModelInfo,
    /// Hyper-parameters of the preset's networks.
    pub config: serde_json::Value,
    /// Mapping of intensities to 0..1.
    #[serde(default)]
    pub intensity: IntensityRule,
}

impl Header {
    /// A header of the present format version.
    ///
    /// # Errors
    /// [`Error::Internal`] when `config` cannot be encoded as JSON.
    pub fn new(info: ModelInfo, config: &impl Serialize) -> Result<Self> {
        let config = serde_json::to_value(config).map_err(|e| Error::Internal(format!("model configuration: {e}")))?;
        Ok(Header { format_version: FORMAT_VERSION, info, config, intensity: IntensityRule::default() })
    }

    /// The hyper-parameters as the preset defines them.
    ///
    /// # Errors
    /// [`Error::BadModel`] when they are not those of the preset.
    pub fn config<T: serde::de::DeserializeOwned>(&self) -> Result<T> {
        serde_json::from_value(self.config.clone()).map_err(|e| {
            Error::BadModel(format!("the model's configuration does not fit its preset {:?}: {e}", self.info.preset))
        })
    }
}

/// Contents of a model file.
#[derive(Debug)]
pub struct ModelFile {
    /// Its header.
    pub header: Header,
    /// Every tensor, on the CPU, in the number format of the file.
    pub tensors: TensorMap,
    /// SHA-256 of the file, lower-case hexadecimal.
    pub checksum: String,
}

/// Number format of the tensors in a model file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DiskFormat {
    /// float32.
    #[default]
    F32,
    /// float16: half the size; values above 65504 are refused.
    F16,
    /// bfloat16: half the size.
    Bf16,
}

/// Reads a model file.
///
/// # Errors
/// [`Error::Io`] when it cannot be read; [`Error::BadModel`] when it is truncated, no safetensors file, not mem3d's, of
/// a newer format version, of an unknown preset, or holds tensors that are not floating-point numbers.
pub fn read(path: &Path) -> Result<ModelFile> {
    let bytes = input_file::all(path, u64::MAX)?;
    parse(&bytes).map_err(|reason| Error::BadModel(format!("{}: {reason}", path.display())))
}

fn parse(bytes: &[u8]) -> std::result::Result<ModelFile, String> {
    let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(|e| not_safetensors(bytes, &e))?;
    let text = metadata.metadata().as_ref().and_then(|m| m.get(METADATA_KEY)).ok_or(
        "this safetensors file is not a mem3d model (its header has no \"mem3d\" entry); \
         import published checkpoints with `mem3d convert`",
    )?;
    let header = parse_header(text)?;
    let mut tensors = TensorMap::new();
    for (name, view) in SafeTensors::deserialize(bytes).map_err(|e| not_safetensors(bytes, &e))?.iter() {
        let kind = match view.dtype() {
            Dtype::F32 => Kind::Float,
            Dtype::F16 => Kind::Half,
            Dtype::BF16 => Kind::BFloat16,
            other => return Err(format!("tensor {name} has type {other:?}; model files hold F32, F16 or BF16")),
        };
        let shape: Vec<i64> = view.shape().iter().map(|&s| s as i64).collect();
        let tensor = Tensor::f_from_data_size(view.data(), &shape, kind).map_err(|e| format!("tensor {name}: {e}"))?;
        tensors.insert(name.to_string(), tensor);
    }
    Ok(ModelFile { header, tensors, checksum: hex(&Sha256::digest(bytes)) })
}

fn parse_header(text: &str) -> std::result::Result<Header, String> {
    let value: serde_json::Value =
        serde_json::from_str(text).map_err(|e| format!("the header's mem3d entry is not JSON: {e}"))?;
    match value.get("format_version").and_then(|v| v.as_u64()) {
        Some(version) if version > u64::from(FORMAT_VERSION) => Err(format!(
            "this model has format version {version}, but this build reads up to {FORMAT_VERSION}; use a newer mem3d"
        )),
        Some(_) => {
            let header: Header = serde_json::from_value(value)
                .map_err(|e| format!("the model's description cannot be used: {e}; use the mem3d that wrote it"))?;
            check_header(&header).map(|()| header)
        }
        None => {
            Err("the header's mem3d entry has no format_version; the file is damaged or not written by mem3d".into())
        }
    }
}

/// Checks the numbers that no preset checks.
fn check_header(header: &Header) -> std::result::Result<(), String> {
    let bad = |text: String| Err(format!("the model's description cannot be used: {text}"));
    let IntensityRule::VolumePercentiles(low, high) = header.intensity;
    if !(0.0 <= low && low < high && high <= 100.0) {
        return bad(format!("its intensities are those of percentiles {low} and {high}; they lie between 0 and 100"));
    }
    let info = &header.info;
    let is_side = |side: i64| (16..=4096).contains(&side) && side % 16 == 0;
    let is_few = |channels: i64| (1..=65_536).contains(&channels);
    let fields = [
        ("network_size", info.network_size, is_side(info.network_size), "a multiple of 16 from 16 to 4096"),
        ("slice_size", info.slice_size, is_side(info.slice_size), "a multiple of 16 from 16 to 4096"),
        ("context_slices", info.context_slices, [1, 3].contains(&info.context_slices), "1 or 3"),
        ("key_channels", info.key_channels, is_few(info.key_channels), "1 to 65536"),
        ("value_channels", info.value_channels, is_few(info.value_channels), "1 to 65536"),
        ("key_stride", info.key_stride, [8, 16].contains(&info.key_stride), "8 or 16"),
    ];
    if let Some((name, value, _, range)) = fields.iter().find(|(_, _, fits, _)| !fits) {
        return bad(format!("{name} is {value}, must be {range}"));
    }
    if let Some(c) = &info.quality_calibration {
        let numbers = c.open.iter().chain(&c.closed).chain(&c.empty);
        if !(numbers.clone().all(|x| x.abs() <= 1000.0) && (0.0..=1.0).contains(&c.least_doubt)) {
            return bad("its quality_calibration is out of range (-1000 to 1000, least_doubt 0 to 1)".into());
        }
    }
    Ok(())
}

fn not_safetensors(bytes: &[u8], error: &SafeTensorError) -> String {
    const ZIP: &[u8] = b"PK\x03\x04";
    const PICKLE: &[u8] = b"\x80";
    if bytes.is_empty() {
        return "the file is empty".into();
    }
    // A pickle starts with the PROTO opcode and a small version number; a safetensors header that long does not.
    if bytes.starts_with(ZIP)
        || (bytes.starts_with(PICKLE) && bytes.get(1).is_some_and(|v| *v <= 5) && bytes.get(8) != Some(&b'{'))
    {
        return "this is a PyTorch checkpoint, not a model file; convert it with `mem3d convert`".into();
    }
    match error {
        SafeTensorError::MetadataIncompleteBuffer | SafeTensorError::InvalidHeaderLength
            if bytes.get(8) == Some(&b'{') =>
        {
            "the file is incomplete or has something appended; copy or download it again".into()
        }
        _ => format!("this is not a safetensors file ({error}); give a model file of mem3d"),
    }
}

/// Writes a model file, whole or not at all, and returns its SHA-256 (lower-case hexadecimal).
///
/// # Errors
/// [`Error::Io`] when it cannot be written, [`Error::BadModel`] when a value is too large for `format`.
pub fn write(path: &Path, header: &Header, tensors: &TensorMap, format: DiskFormat) -> Result<String> {
    let text = serde_json::to_string(header).map_err(|e| Error::Internal(format!("model header: {e}")))?;
    let metadata = HashMap::from([(METADATA_KEY.to_string(), text)]);
    let mut on_disk = Vec::with_capacity(tensors.len());
    for (name, tensor) in tensors {
        let kind = match format {
            _ if tensor.dim() < 2 => Kind::Float,
            DiskFormat::F32 => Kind::Float,
            DiskFormat::F16 => Kind::Half,
            DiskFormat::Bf16 => Kind::BFloat16,
        };
        let tensor = tensor.detach().to_device(tch::Device::Cpu).to_kind(kind).contiguous();
        if kind == Kind::Half && !tensor.isfinite().all().double_value(&[]).eq(&1.0) {
            return Err(Error::BadModel(format!(
                "tensor {name} has values that f16 cannot hold; write the model as bf16"
            )));
        }
        on_disk.push((name.as_str(), OnDisk { shape: tensor.size().iter().map(|&s| s as usize).collect(), tensor }));
    }
    let bytes = safetensors::serialize(on_disk, Some(metadata))
        .map_err(|e| Error::Internal(format!("model file {}: {e}", path.display())))?;
    atomic_file::write(path, |w| w.write_all(&bytes))?;
    Ok(hex(&Sha256::digest(&bytes)))
}

struct OnDisk {
    tensor: Tensor,
    shape: Vec<usize>,
}

impl View for OnDisk {
    fn dtype(&self) -> Dtype {
        match self.tensor.kind() {
            Kind::Half => Dtype::F16,
            Kind::BFloat16 => Dtype::BF16,
            _ => Dtype::F32,
        }
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        let mut bytes = vec![0; self.data_len()];
        self.tensor.copy_data_u8(&mut bytes, self.tensor.numel());
        bytes.into()
    }

    fn data_len(&self) -> usize {
        self.tensor.numel() * self.tensor.kind().elt_size_in_bytes()
    }
}

/// Lower-case hexadecimal digits of `bytes`.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::networks::{InteractionKind, Preset, QualityCalibration};

    fn header() -> Header {
        let info = ModelInfo {
            preset: Preset::Compact,
            name: "test".into(),
            network_size: 32,
            slice_size: 64,
            context_slices: 1,
            key_channels: 2,
            value_channels: 3,
            key_stride: 16,
            interactions: vec![InteractionKind::Click],
            provenance: "made up".into(),
            licence: "CC0-1.0".into(),
            quality_calibration: None,
            checksum: String::new(),
        };
        Header::new(info, &serde_json::json!({"width": 7})).unwrap()
    }

    #[test]
    fn numbers_out_of_range_are_refused() {
        check_header(&header()).unwrap();
        let text = |change: &dyn Fn(&mut Header)| {
            let mut bad = header();
            change(&mut bad);
            check_header(&bad).unwrap_err()
        };
        for (low, high) in [(0.5, 100_003.0), (-1.0, 99.0), (99.0, 1.0), (f64::NAN, 99.0)] {
            let text = text(&|h| h.intensity = IntensityRule::VolumePercentiles(low, high));
            assert!(text.contains("between 0 and 100"), "{text}");
        }
        assert!(
            text(&|h| h.info.network_size = 1 << 40)
                .contains("network_size is 1099511627776, must be a multiple of 16")
        );
        assert!(text(&|h| h.info.key_stride = 0).contains("key_stride is 0"));
    }

    fn tensors() -> TensorMap {
        let weight = Tensor::from_slice(&[1.0f32, -2.5, 3.0e-5, 70_000.0]).reshape([2, 2]);
        [("w".to_string(), weight), ("b".to_string(), Tensor::from_slice(&[1.0e9f32]))].into()
    }

    fn bad(path: &Path) -> String {
        match read(path).unwrap_err() {
            Error::BadModel(text) => text,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn sizes_that_no_networks_have_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("m.safetensors");
        let refused = |change: &dyn Fn(&mut ModelInfo)| {
            let mut header = header();
            change(&mut header.info);
            write(&path, &header, &tensors(), DiskFormat::F32).unwrap();
            bad(&path)
        };
        for side in [0, 1_000_003, 1 << 31, 40] {
            assert!(refused(&|i| i.network_size = side).contains("network_size"), "{side}");
            assert!(refused(&|i| i.slice_size = side).contains("slice_size"), "{side}");
        }
        assert!(refused(&|i| i.context_slices = 1 << 31).contains("context_slices"));
        assert!(refused(&|i| i.key_channels = 0).contains("key_channels"));
        assert!(refused(&|i| i.value_channels = -1).contains("value_channels"));
        assert!(refused(&|i| i.key_stride = 4).contains("key_stride"));
    }

    #[test]
    fn a_model_is_read_as_it_was_written() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("m.safetensors");
        let checksum = write(&path, &header(), &tensors(), DiskFormat::F32).unwrap();
        let file = read(&path).unwrap();
        assert_eq!((&file.header, file.checksum.len()), (&header(), 64));
        assert_eq!(file.checksum, checksum);
        assert!(file.tensors["w"].equal(&tensors()["w"]) && file.tensors["b"].equal(&tensors()["b"]));
        assert_eq!(file.header.config::<HashMap<String, i32>>().unwrap()["width"], 7);
        assert!(matches!(file.header.config::<Vec<i32>>(), Err(Error::BadModel(_))));
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "a temporary file was left behind");
    }

    #[test]
    fn the_calibration_is_in_the_header_if_there_is_one() {
        let without = serde_json::to_string(&header()).unwrap();
        assert!(!without.contains("quality_calibration"));
        assert_eq!(parse_header(&without).unwrap().info.quality_calibration, None);
        let calibration =
            QualityCalibration { open: [0.0, 1.0], closed: [0.95, 0.9], empty: [-0.05, 0.42], least_doubt: 0.15 };
        let mut header = header();
        header.info.quality_calibration = Some(calibration);
        let text = serde_json::to_string(&header).unwrap();
        assert!(text.contains(r#""quality_calibration":{"open":[0.0,1.0],"closed":[0.95,0.9],"#), "{text}");
        assert_eq!(parse_header(&text).unwrap(), header);
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("m.safetensors");
        write(&path, &header, &tensors(), DiskFormat::F32).unwrap();
        assert_eq!(read(&path).unwrap().header.info.quality_calibration, Some(calibration));
    }

    #[test]
    fn half_precision_halves_matrices_and_keeps_vectors() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("m.safetensors");
        let text = write(&path, &header(), &tensors(), DiskFormat::F16).unwrap_err().to_string();
        assert!(text.contains("tensor w") && text.contains("bf16"), "{text}");
        write(&path, &header(), &tensors(), DiskFormat::Bf16).unwrap();
        let read = read(&path).unwrap().tensors;
        assert_eq!((read["w"].kind(), read["b"].kind()), (Kind::BFloat16, Kind::Float));
        assert_eq!(read["w"].double_value(&[0, 1]), -2.5);
        assert_eq!(read["b"].double_value(&[0]), 1.0e9);
    }

    #[test]
    fn files_that_are_no_model_are_distinguished() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("m.safetensors");
        write(&path, &header(), &tensors(), DiskFormat::F32).unwrap();
        let good = std::fs::read(&path).unwrap();
        let cases: [(&[u8], &str); 8] = [
            (b"", "empty"),
            (b"hello, this is a text file", "not a safetensors file"),
            (b"{\"json\": 1}", "not a safetensors file"),
            (b"\x80\x02}q\x00.", "mem3d convert"),
            (b"PK\x03\x04abcdefgh", "mem3d convert"),
            (&good[..good.len() - 1], "incomplete"),
            (&good[..40], "incomplete"),
            (&[&good[..], b"x"].concat(), "appended"),
        ];
        for (bytes, expected) in cases {
            std::fs::write(&path, bytes).unwrap();
            let text = bad(&path);
            assert!(text.contains(expected), "{text}");
        }
        let foreign = safetensors::serialize(Vec::<(&str, OnDisk)>::new(), None).unwrap();
        std::fs::write(&path, foreign).unwrap();
        assert!(bad(&path).contains("not a mem3d model"));
        assert!(matches!(read(&dir.path().join("none")), Err(Error::Io { .. })));
    }

    #[test]
    fn a_newer_format_or_unknown_preset_is_refused() {
        let newer = serde_json::to_string(&Header { format_version: 9, ..header() }).unwrap();
        let text = parse_header(&newer).unwrap_err();
        assert!(text.contains("version 9") && text.contains("newer mem3d"), "{text}");
        let other = serde_json::to_string(&header()).unwrap().replace("compact", "gigantic");
        assert!(parse_header(&other).unwrap_err().contains("gigantic"));
        assert!(parse_header("{}").unwrap_err().contains("format_version"));
    }
}
