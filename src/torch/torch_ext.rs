//! libtorch functions that the tch crate lacks, through one C++ bridge.
//!
//! The shared library links only the CPU part of libtorch. The CUDA part is opened at run time when a CUDA device is
//! requested, before any other query about CUDA: libtorch caches the first result.

#![allow(unsafe_code, reason = "the bridge to C++")]

use once_cell::sync::OnceCell;

#[cxx::bridge(namespace = "mem3d")]
mod bridge {
    unsafe extern "C++" {
        include!("mem3d/src/torch/torch_ext.h");

        fn libtorch_version() -> String;
        fn open_cuda() -> Result<()>;
        fn cuda_driver_version() -> i32;
        fn cuda_device_name(index: i32) -> Result<String>;
        fn cuda_memory_free(index: i32) -> Result<u64>;
        fn cuda_memory_total(index: i32) -> Result<u64>;
        fn empty_cuda_cache() -> Result<()>;
    }
}

/// Version of libtorch that this was built with, e.g. `2.11.0`.
pub fn libtorch_version() -> String {
    bridge::libtorch_version()
}

/// Opens the CUDA part of libtorch, once, and returns the number of CUDA devices, or the reason why there is none.
pub(crate) fn cuda_device_count() -> std::result::Result<usize, String> {
    static CUDA: OnceCell<std::result::Result<usize, String>> = OnceCell::new();
    let open = || {
        let opened = bridge::open_cuda();
        let driver = bridge::cuda_driver_version();
        // Both reasons at once.
        opened.map_err(|e| match too_old(driver) {
            Some(old) => format!("{}; and {old}", e.what()),
            None => e.what().to_string(),
        })?;
        match tch::Cuda::device_count() {
            n if n > 0 => Ok(n as usize),
            _ => Err(why_no_device(driver)),
        }
    };
    CUDA.get_or_init(open).clone()
}

/// Whether an NVIDIA driver is installed.
pub(crate) fn has_driver() -> bool {
    bridge::cuda_driver_version() > 0
}

/// CUDA version of libtorch 2.11 from PyPI in the driver's notation: 1000 times the major number.
const CUDA_WANTED: i32 = 13_000;

/// The reason why libtorch finds no device with an NVIDIA driver for CUDA `driver` (0: no driver).
fn why_no_device(driver: i32) -> String {
    match (driver, too_old(driver)) {
        (0, _) => "no CUDA device answers: the NVIDIA driver is not installed".into(),
        (_, Some(old)) => format!("no CUDA device answers: {old}"),
        _ => "no CUDA device answers, though the NVIDIA driver is new enough; is one visible (nvidia-smi, \
              CUDA_VISIBLE_DEVICES)?"
            .into(),
    }
}

/// Message about a driver for CUDA `driver` that is too old; none for a newer or a missing one (0).
fn too_old(driver: i32) -> Option<String> {
    (1..CUDA_WANTED).contains(&driver).then(|| {
        let (major, minor, wanted) = (driver / 1000, driver % 1000 / 10, CUDA_WANTED / 1000);
        format!(
            "the NVIDIA driver is for CUDA {major}.{minor}, too old for CUDA {wanted}; install a newer driver \
             (580 or later)"
        )
    })
}

/// Name, total and free memory (bytes) of a CUDA device with an index below [`cuda_device_count`].
pub(crate) fn cuda_device(index: usize) -> std::result::Result<(String, u64, u64), String> {
    let text = |e: cxx::Exception| e.what().to_string();
    let i = index as i32;
    // Creates the context, which memory counters need.
    let _ = tch::Tensor::zeros([1], (tch::Kind::Float, tch::Device::Cuda(index)));
    Ok((
        bridge::cuda_device_name(i).map_err(text)?,
        bridge::cuda_memory_total(i).map_err(text)?,
        bridge::cuda_memory_free(i).map_err(text)?,
    ))
}

/// Returns memory that libtorch keeps for reuse to the CUDA devices; does nothing without CUDA.
pub fn empty_cuda_cache() {
    if cuda_device_count().is_ok()
        && let Err(e) = bridge::empty_cuda_cache()
    {
        log::warn!("the CUDA cache could not be emptied: {e}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libtorch_is_the_version_that_tch_goes_with() {
        assert!(libtorch_version().starts_with("2.11."), "{}", libtorch_version());
    }

    #[test]
    fn a_driver_that_is_too_old_is_reported() {
        assert!(why_no_device(0).contains("not installed"));
        assert!(why_no_device(12_020).contains("CUDA 12.2, too old for CUDA 13"));
        assert!(why_no_device(13_000).contains("CUDA_VISIBLE_DEVICES"));
    }

    #[test]
    fn the_reason_why_there_is_no_cuda_is_always_the_same() {
        let first = cuda_device_count();
        assert_eq!(first, cuda_device_count());
        if let Err(reason) = first {
            assert!(!reason.is_empty());
        }
    }
}
