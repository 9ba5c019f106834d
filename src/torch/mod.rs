//! The libtorch runtime: running network code, devices, threads, and functions that tch does not wrap.
//! Knows no networks.

pub mod device;
pub mod macs;
pub mod processors;
pub(crate) mod threads;
pub mod torch_ext;

use crate::error::{Error, Result, torch_error};

/// Runs network code without gradients; converts libtorch's panics into errors.
///
/// # Errors
/// [`Error::OutOfMemory`] or [`Error::Torch`] when libtorch fails.
pub fn run<T>(body: impl FnOnce() -> T) -> Result<T> {
    run_with_gradients(|| tch::no_grad(body))
}

/// As [`run`], but gradients are recorded: for training.
///
/// # Errors
/// As [`run`].
pub fn run_with_gradients<T>(body: impl FnOnce() -> T) -> Result<T> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(body)).map_err(|payload| {
        let text = payload
            .downcast_ref::<String>()
            .cloned()
            .or_else(|| payload.downcast_ref::<&str>().map(|s| s.to_string()))
            .unwrap_or_else(|| "unknown failure".into());
        if text.contains("Torch(\"") { torch_error(&text) } else { Error::Internal(text) }
    })
}
