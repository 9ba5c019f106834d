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
        fn cuda_runtime_version() -> Result<i32>;
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
        opened.map_err(|e| match too_old(driver, None) {
            Some(old) => format!("{}; and {old}", e.what()),
            None => e.what().to_string(),
        })?;
        match tch::Cuda::device_count() {
            n if n > 0 => Ok(n as usize),
            _ => {
                let visible = std::env::var_os("CUDA_VISIBLE_DEVICES").map(|v| v.to_string_lossy().into_owned());
                Err(why_no_device(driver, bridge::cuda_runtime_version().ok(), visible.as_deref()))
            }
        }
    };
    CUDA.get_or_init(open).clone()
}

/// Whether an NVIDIA driver is installed.
pub(crate) fn has_driver() -> bool {
    bridge::cuda_driver_version() > 0
}

/// Major CUDA version of PyTorch 2.11 from PyPI.
const CUDA_OF_PYPI: i32 = 13;

/// The reason why libtorch, for CUDA `wanted`, finds no device with an NVIDIA driver for CUDA `driver` (0: no driver)
/// and this value of CUDA_VISIBLE_DEVICES. Versions are 1000 times the major number and 10 times the minor one.
fn why_no_device(driver: i32, wanted: Option<i32>, visible: Option<&str>) -> String {
    // What follows the first name of no device is hidden, too.
    let hides_all = |list: &&str| {
        let first = list.split(',').next().unwrap_or_default().trim();
        first.is_empty() || first.starts_with('-') || first == "NoDevFiles"
    };
    match (driver, visible.filter(hides_all), too_old(driver, wanted)) {
        (0, ..) => "no CUDA device answers: the NVIDIA driver is not installed".into(),
        (_, Some(list), _) => format!(
            "CUDA_VISIBLE_DEVICES is \"{list}\", which hides every CUDA device; set it to the numbers of those to use, \
             or unset it"
        ),
        (_, _, Some(old)) => format!("no CUDA device answers: {old}"),
        _ => "no CUDA device answers, though the NVIDIA driver is new enough; is one visible (nvidia-smi, \
              CUDA_VISIBLE_DEVICES)?"
            .into(),
    }
}

/// Message about a driver for CUDA `driver` that is too old for CUDA `wanted`, or for that of PyPI when libtorch does
/// not tell its own; none for a newer or a missing one (0).
fn too_old(driver: i32, wanted: Option<i32>) -> Option<String> {
    let (major, needed) = (driver / 1000, wanted.map(|version| version / 1000));
    if driver == 0 || major >= needed.unwrap_or(CUDA_OF_PYPI) {
        return None;
    }
    let own = format!("the NVIDIA driver is for CUDA {major}.{}", driver % 1000 / 10);
    Some(match needed {
        Some(CUDA_OF_PYPI) => format!("{own}, too old for CUDA 13; install a newer driver (580 or later)"),
        Some(needed) => format!("{own}, too old for CUDA {needed}; install a newer driver"),
        None => format!("{own}; PyTorch 2.11 from PyPI is for CUDA 13 and needs a newer one (580 or later)"),
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
        let why = |driver, wanted| why_no_device(driver, wanted, None);
        assert!(why(0, Some(13_000)).contains("not installed"));
        assert!(why(12_020, Some(13_000)).contains("CUDA 12.2, too old for CUDA 13; install a newer driver (580"));
        assert!(why(11_040, Some(12_080)).ends_with("CUDA 11.4, too old for CUDA 12; install a newer driver"));
        assert!(why(12_020, None).contains("CUDA 12.2; PyTorch 2.11 from PyPI is for CUDA 13"));
        // Minor versions go together.
        for (driver, wanted) in [(13_000, Some(13_000)), (12_020, Some(12_080)), (13_000, None)] {
            assert!(why(driver, wanted).contains("is one visible"), "{driver} {wanted:?}");
        }
    }

    #[test]
    fn devices_that_are_hidden_are_the_reason() {
        let why = |visible| why_no_device(12_040, Some(12_080), Some(visible));
        for hidden in ["", " ", "-1", "-1,0", "NoDevFiles", ",1"] {
            assert!(why(hidden).contains(&format!("CUDA_VISIBLE_DEVICES is \"{hidden}\"")), "{}", why(hidden));
        }
        for visible in ["0", "0,-1", "GPU-8d2f"] {
            assert!(why(visible).contains("is one visible"), "{}", why(visible));
        }
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
