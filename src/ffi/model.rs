//! Models: weights on a device, shared by sessions and threads.

use super::device::apply_thread_count;
use super::fork;
use super::guard::guard;
use super::panics::guard_value;
use super::text::c_string;
use super::versioned::{self, Versioned};
use super::{handle, mem3d_status, slices};
use crate::error::{Error, Result};
use crate::nn::Preset;
use crate::nn::model::{Model, Precision};
use std::ffi::{CString, c_char};

/// The networks of one model file on one device. Never changes, so any number of sessions and threads may share it.
pub struct mem3d_model {
    model: Model,
    name: CString,
    provenance: CString,
    licence: CString,
    checksum: CString,
    device: CString,
}

/// Families of networks, for #mem3d_model_info::preset and mem3d_model_random().
#[repr(i32)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum mem3d_preset {
    /// Small networks with mask-free keys; the default.
    Compact = 0,
    /// The networks of the paper: two ResNet-50 encoders, one interaction network per kind.
    Paper = 1,
}

/// Number formats of the networks' arithmetic, for #mem3d_model_options::precision.
#[repr(i32)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum mem3d_precision {
    /// The default: as #MEM3D_PRECISION_F32.
    Auto = 0,
    /// float32; convolutions on CUDA may round their factors to ten bits (TF32).
    F32 = 1,
    /// bfloat16, with float32 where it matters.
    Bf16 = 2,
    /// float16, with float32 where it matters; CUDA only.
    F16 = 3,
}

/// Device and precision of a model. Grows; zero it, then set `struct_size`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct mem3d_model_options {
    /// `sizeof(mem3d_model_options)`, set by the caller.
    pub struct_size: u32,
    /// A #mem3d_precision.
    pub precision: i32,
    /// "auto" (CUDA when there is one, else the CPU), "cpu", "cuda" or "cuda:N"; NULL for "auto". UTF-8.
    pub device: *const c_char,
}

// SAFETY: repr(C), struct_size first, 4 + 4 + 8 bytes without padding; zero is valid for integers and raw pointers.
unsafe impl Versioned for mem3d_model_options {
    const NAME: &'static str = "mem3d_model_options";
    const FIRST_SIZE: usize = 16;
}

/// Description of a model. Grows; set `struct_size` before the call. Texts are UTF-8, never NULL, and borrowed until
/// the model is freed.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct mem3d_model_info {
    /// `sizeof(mem3d_model_info)`, set by the caller.
    pub struct_size: u32,
    /// A #mem3d_preset.
    pub preset: i32,
    /// Name of the model.
    pub name: *const c_char,
    /// Origin of the weights.
    pub provenance: *const c_char,
    /// Licence of the weights.
    pub licence: *const c_char,
    /// SHA-256 of the model file, lower-case hexadecimal.
    pub checksum: *const c_char,
    /// Device of the weights: "cpu", "cuda:0", ...
    pub device: *const c_char,
    /// Kinds of interaction that the model accepts: bit `1 << kind` for each #mem3d_interaction_kind.
    pub interaction_kinds: u32,
    /// Side of the network's input for a region of interest, pixels.
    pub network_size: u32,
    /// Side of the network's input for a whole slice, pixels.
    pub slice_size: u32,
    /// Slices in the network's input: 1, or 3 with both neighbours.
    pub context_slices: u32,
    /// Channels of the keys of the memory.
    pub key_channels: u32,
    /// Channels of the values of the memory.
    pub value_channels: u32,
    /// Stride of keys and values, pixels.
    pub key_stride: u32,
    /// 0.
    pub reserved: u32,
}

// SAFETY: repr(C), struct_size first, 8 + 5 * 8 + 8 * 4 bytes without padding; zero is valid for integers and raw
// pointers.
unsafe impl Versioned for mem3d_model_info {
    const NAME: &'static str = "mem3d_model_info";
    const FIRST_SIZE: usize = 80;
}

/// Loads a model file.
///
/// @param path        A `.safetensors` file of mem3d. UTF-8; on Unix any bytes.
/// @param options     Device and precision; NULL for the defaults.
/// @param[out] model  Free with mem3d_model_free().
/// @return #MEM3D_STATUS_IO, #MEM3D_STATUS_BAD_MODEL, #MEM3D_STATUS_UNSUPPORTED (device or precision),
///         #MEM3D_STATUS_OUT_OF_MEMORY or #MEM3D_STATUS_TORCH.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mem3d_model_load(
    path: *const c_char,
    options: *const mem3d_model_options,
    model: *mut *mut mem3d_model,
) -> mem3d_status {
    guard(|| {
        handle::required(model, "model")?;
        // SAFETY: by this function's contract.
        let (path, options) = unsafe { (slices::path(path, "path")?, versioned::read_or_default(options, "options")?) };
        apply_thread_count();
        let loaded = Model::load(path, options.device()?, options.precision()?)?;
        // SAFETY: writable by this function's contract.
        unsafe { handle::give(model, mem3d_model::new(loaded)) };
        Ok(())
    })
}

/// Makes a model with random weights, for tests of hosts and measurements of speed. Its masks mean nothing.
///
/// @param preset      A #mem3d_preset.
/// @param seed        The same seed gives the same weights.
/// @param options     Device and precision; NULL for the defaults.
/// @param[out] model  Free with mem3d_model_free().
/// @return #MEM3D_STATUS_UNSUPPORTED (device or precision), #MEM3D_STATUS_OUT_OF_MEMORY or #MEM3D_STATUS_TORCH.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mem3d_model_random(
    preset: i32,
    seed: i64,
    options: *const mem3d_model_options,
    model: *mut *mut mem3d_model,
) -> mem3d_status {
    guard(|| {
        handle::required(model, "model")?;
        // SAFETY: by this function's contract.
        let options = unsafe { versioned::read_or_default(options, "options") }?;
        let preset = match preset {
            0 => Preset::Compact,
            1 => Preset::Paper,
            _ => return Err(Error::argument(format!("preset is {preset}; use 0 (compact) or 1 (paper)"))),
        };
        apply_thread_count();
        let made = Model::random(preset, seed, options.device()?, options.precision()?)?;
        // SAFETY: writable by this function's contract.
        unsafe { handle::give(model, mem3d_model::new(made)) };
        Ok(())
    })
}

/// Describes a model.
///
/// @param model      From mem3d_model_load() or mem3d_model_random().
/// @param[out] info  Filled up to its `struct_size`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mem3d_model_get_info(model: *const mem3d_model, info: *mut mem3d_model_info) -> mem3d_status {
    guard(|| {
        // SAFETY: by this function's contract.
        let (model, out) = unsafe { (handle::borrow(model, "model")?, versioned::out(info, "info")?) };
        out.put(model.info());
        Ok(())
    })
}

/// Frees a model. Sessions made with it, and calls that are running, keep what they need.
///
/// @param model  May be NULL. No call may begin on it any more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mem3d_model_free(model: *mut mem3d_model) {
    // SAFETY: by this function's contract.
    guard_value((), || unsafe { handle::free(model) });
}

impl mem3d_model_options {
    fn device(&self) -> Result<&str> {
        if self.device.is_null() {
            return Ok("auto");
        }
        // SAFETY: the caller of `mem3d_model_load` gave a string that ends with NUL, borrowed during that call.
        unsafe { slices::text(self.device, "options.device") }
    }

    fn precision(&self) -> Result<Precision> {
        match self.precision {
            0 => Ok(Precision::Auto),
            1 => Ok(Precision::F32),
            2 => Ok(Precision::Bf16),
            3 => Ok(Precision::F16),
            other => Err(Error::argument(format!(
                "options.precision is {other}; use 0 (auto), 1 (f32), 2 (bf16) or 3 (f16)"
            ))),
        }
    }
}

impl mem3d_model {
    fn new(model: Model) -> Self {
        let device = match model.device() {
            tch::Device::Cpu => "cpu".to_string(),
            tch::Device::Cuda(n) => {
                fork::used();
                format!("cuda:{n}")
            }
            other => format!("{other:?}").to_lowercase(),
        };
        let info = model.info();
        mem3d_model {
            name: c_string(&info.name),
            provenance: c_string(&info.provenance),
            licence: c_string(&info.licence),
            checksum: c_string(model.checksum()),
            device: c_string(&device),
            model,
        }
    }

    /// The networks, for a new session.
    pub(super) fn networks(&self) -> Box<dyn crate::nn::Networks> {
        apply_thread_count();
        self.model.networks()
    }

    fn info(&self) -> mem3d_model_info {
        let info = self.model.info();
        mem3d_model_info {
            struct_size: 0,
            preset: match info.preset {
                Preset::Compact => mem3d_preset::Compact as i32,
                Preset::Paper => mem3d_preset::Paper as i32,
            },
            name: self.name.as_ptr(),
            provenance: self.provenance.as_ptr(),
            licence: self.licence.as_ptr(),
            checksum: self.checksum.as_ptr(),
            device: self.device.as_ptr(),
            interaction_kinds: info
                .interactions
                .iter()
                .fold(0, |bits, kind| bits | 1 << super::interaction::number(*kind)),
            network_size: info.network_size as u32,
            slice_size: info.slice_size as u32,
            context_slices: info.context_slices as u32,
            key_channels: info.key_channels as u32,
            value_channels: info.value_channels as u32,
            key_stride: info.key_stride as u32,
            reserved: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_checked() {
        let mut options = mem3d_model_options { struct_size: 16, precision: 0, device: std::ptr::null() };
        assert_eq!(options.device().unwrap(), "auto");
        assert_eq!(options.precision().unwrap(), Precision::Auto);
        options.precision = 4;
        assert!(options.precision().unwrap_err().to_string().contains("options.precision is 4"));
        options.device = c"cuda:1".as_ptr();
        assert_eq!(options.device().unwrap(), "cuda:1");
    }

    #[test]
    fn sizes_are_those_of_the_contract() {
        assert_eq!(size_of::<mem3d_model_options>(), mem3d_model_options::FIRST_SIZE);
        assert_eq!(size_of::<mem3d_model_info>(), mem3d_model_info::FIRST_SIZE);
    }
}
