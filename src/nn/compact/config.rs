//! Hyper-parameters of preset `compact`.

use crate::error::{Error, Result};
use crate::nn::networks::{InteractionKind, ModelInfo, Preset};
use serde::{Deserialize, Serialize};

/// Stride of keys, values and of the coarsest skip.
pub const KEY_STRIDE: i64 = 8;

/// Hyper-parameters of the networks; part of the model file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CompactConfig {
    /// CI: slices in each input, 1 (the slice alone) or 3 (previous, this, next). Default 3.
    pub context_slices: i64,
    /// Channels at stride 2, 4, 8 and 16, multiples of [`CompactConfig::groups`]. Default 24, 48, 96, 96.
    pub channels: [i64; 4],
    /// CK. Default 48.
    pub key_channels: i64,
    /// CV. Default 96.
    pub value_channels: i64,
    /// Groups of the normalisation. Default 8.
    pub groups: i64,
    /// Side of the input in a region of interest, pixels; a multiple of 16. Default 128.
    pub network_size: i64,
    /// Side of the input in whole-slice operation, pixels; a multiple of 16. Default 256.
    pub slice_size: i64,
    /// Pretrained network whose features the trunks add to theirs. Default none.
    pub backbone: BackboneKind,
    /// Whether the quality head receives the familiarity of the keys, see [`crate::nn::Guide`].
    pub familiarity: bool,
}

/// Pretrained networks whose image features the trunks can add to theirs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BackboneKind {
    /// None.
    #[default]
    None,
    /// EfficientNet-Lite0 to stride 16, see [`super::Backbone`].
    EfficientnetLite0,
}

impl Default for CompactConfig {
    fn default() -> Self {
        CompactConfig {
            context_slices: 3,
            channels: [24, 48, 96, 96],
            key_channels: 48,
            value_channels: 96,
            groups: 8,
            network_size: 128,
            slice_size: 256,
            backbone: BackboneKind::None,
            familiarity: false,
        }
    }
}

impl CompactConfig {
    /// Checks the hyper-parameters of a model file.
    ///
    /// # Errors
    /// [`Error::BadModel`], naming the value that is out of range.
    pub fn check(&self) -> Result<()> {
        let bad = |text: String| Err(Error::BadModel(format!("the model's configuration cannot be used: {text}")));
        if ![1, 3].contains(&self.context_slices) {
            return bad(format!("context_slices is {}, must be 1 or 3", self.context_slices));
        }
        if !(1..=64).contains(&self.groups) {
            return bad(format!("groups is {}, must be 1 to 64", self.groups));
        }
        for c in self.channels.iter().chain([&self.value_channels]) {
            if !(1..=4096).contains(c) || c % self.groups != 0 {
                return bad(format!("{c} channels cannot be normalised in {} groups", self.groups));
            }
        }
        if !(3..=4096).contains(&self.key_channels) {
            return bad(format!("key_channels is {}, must be 3 to 4096", self.key_channels));
        }
        if self.value_channels < 2 {
            return bad(format!("value_channels is {}, must be at least 2", self.value_channels));
        }
        for size in [self.network_size, self.slice_size] {
            if !(32..=2048).contains(&size) || size % 16 != 0 {
                return bad(format!("an input size is {size}, must be a multiple of 16 from 32 to 2048"));
            }
        }
        Ok(())
    }

    /// Description of a model of this configuration.
    pub fn info(&self, name: &str, provenance: &str, licence: &str) -> ModelInfo {
        ModelInfo {
            preset: Preset::Compact,
            name: name.into(),
            network_size: self.network_size,
            slice_size: self.slice_size,
            context_slices: self.context_slices,
            key_channels: self.key_channels,
            value_channels: self.value_channels,
            key_stride: KEY_STRIDE,
            interactions: vec![
                InteractionKind::Scribble,
                InteractionKind::Box,
                InteractionKind::ExtremePoints,
                InteractionKind::Click,
            ],
            provenance: provenance.into(),
            licence: licence.into(),
            quality_calibration: None,
            checksum: String::new(),
        }
    }
}
