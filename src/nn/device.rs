//! Devices that networks can run on. CUDA is looked for at run time, never linked.

use crate::error::Result;
use tch::Device;

/// One device that libtorch can use here.
#[derive(Debug, Clone, PartialEq)]
pub struct DeviceInfo {
    /// `cpu`, `cuda:0`, ...
    pub id: String,
    /// What the hardware calls itself.
    pub name: String,
    /// Memory in all, bytes.
    pub memory_total: u64,
    /// Memory free now, bytes.
    pub memory_free: u64,
}

/// The device called `text`: `auto` (CUDA when there is one, else the CPU), `cpu`, `cuda` or `cuda:N`.
///
/// # Errors
/// [`crate::Error::InvalidArgument`] for another text, [`crate::Error::Unsupported`] when CUDA is asked for and
/// cannot be used, saying why.
pub fn parse(text: &str) -> Result<Device> {
    let _ = text;
    todo!()
}

/// Every device that can be used, the CPU first.
pub fn list() -> Vec<DeviceInfo> {
    todo!()
}
