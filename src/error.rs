//! The error type of the crate. Every message names the problem and its remedy.

use std::path::{Path, PathBuf};

/// Result of every call of this crate that can fail.
pub type Result<T> = std::result::Result<T, Error>;

/// Reason of a failure. One variant for each status of the C interface.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An argument is outside what the call accepts.
    #[error("{0}")]
    InvalidArgument(String),
    /// The call is not possible in the present state of the object.
    #[error("{0}")]
    InvalidState(String),
    /// The object is serving another call.
    #[error("{0}")]
    Busy(String),
    /// Stopped by the caller. Nothing was changed.
    #[error("cancelled; nothing was changed")]
    Cancelled,
    /// A file could not be read or written.
    #[error("{path}: {text}", path = path.display(), text = io_text(source))]
    Io {
        /// The file.
        path: PathBuf,
        /// Error of the operating system.
        source: std::io::Error,
    },
    /// The contents of a file cannot be used.
    #[error("{path}: {reason}", path = path.display())]
    BadFile {
        /// The file.
        path: PathBuf,
        /// Problem and remedy.
        reason: String,
        /// Whether it is such a file with a part missing or changed, so that another copy may be whole.
        damaged: bool,
    },
    /// A model file cannot be used.
    #[error("{0}")]
    BadModel(String),
    /// A feature that this build, machine or model does not have.
    #[error("{0}")]
    Unsupported(String),
    /// Not enough memory on the host or the device.
    #[error("{0}")]
    OutOfMemory(String),
    /// libtorch failed.
    #[error("libtorch: {0}")]
    Torch(String),
    /// A bug of mem3d.
    #[error("internal error (please report it): {0}")]
    Internal(String),
}

/// The text of an operating system's error, with the remedy where it is known.
fn io_text(e: &std::io::Error) -> String {
    match e.kind() {
        // A text of mem3d's own.
        _ if e.get_ref().is_some() => e.to_string(),
        std::io::ErrorKind::NotFound => "there is no such file or folder; check the name".into(),
        std::io::ErrorKind::PermissionDenied => format!("{e}; ask for permission, or choose another place"),
        std::io::ErrorKind::StorageFull => format!("{e}; free some space, or choose another place"),
        std::io::ErrorKind::OutOfMemory => "not enough memory; close other programs".into(),
        _ => e.to_string(),
    }
}

impl Error {
    /// [`Error::Io`] for `path`.
    pub fn io(path: &Path, source: std::io::Error) -> Self {
        Error::Io { path: path.to_path_buf(), source }
    }

    /// [`Error::BadFile`] for `path`.
    pub fn bad_file(path: &Path, reason: impl Into<String>) -> Self {
        Error::BadFile { path: path.to_path_buf(), reason: reason.into(), damaged: false }
    }

    /// [`Error::BadFile`] for `path`, which is damaged.
    pub fn damaged_file(path: &Path, reason: impl Into<String>) -> Self {
        Error::BadFile { path: path.to_path_buf(), reason: reason.into(), damaged: true }
    }

    /// [`Error::InvalidArgument`] with `text`.
    pub fn argument(text: impl Into<String>) -> Self {
        Error::InvalidArgument(text.into())
    }
}

/// Checks that `bytes` can be allocated now: what is not there is an error before the work, and not the end of the
/// process in the middle of it.
///
/// # Errors
/// [`Error::OutOfMemory`] when they cannot.
pub(crate) fn ensure_memory(bytes: usize, what: &str) -> Result<()> {
    Vec::<u8>::new().try_reserve_exact(bytes).map_err(|_| no_memory(bytes, what))
}

fn no_memory(bytes: usize, what: &str) -> Error {
    let mb = bytes.div_ceil(1_000_000);
    Error::OutOfMemory(format!("not enough memory for {what} ({mb} MB); close other programs, or crop the volume"))
}

/// `n` zeros, as [`ensure_memory`].
///
/// # Errors
/// [`Error::OutOfMemory`].
pub(crate) fn zeros<T: Clone + Default>(n: usize, what: &str) -> Result<Vec<T>> {
    let mut values = Vec::new();
    let bytes = n.saturating_mul(size_of::<T>());
    values.try_reserve_exact(n).map_err(|_| no_memory(bytes, what))?;
    values.resize(n, T::default());
    Ok(values)
}

impl From<tch::TchError> for Error {
    fn from(e: tch::TchError) -> Self {
        torch_error(&e.to_string())
    }
}

/// Converts a libtorch message, without its C++ backtrace, to [`Error::OutOfMemory`], [`Error::Unsupported`] (a driver
/// that is too old) or [`Error::Torch`]. `text` may be that of a panic about a [`tch::TchError`].
pub(crate) fn torch_error(text: &str) -> Error {
    let quoted = text.split_once("Torch(\"").and_then(|(_, rest)| rest.rsplit_once("\")"));
    let quoted = quoted.map(|(quoted, _)| quoted.replace("\\n", "\n").replace("\\\"", "\""));
    let text = quoted.as_deref().unwrap_or(text);
    let backtrace = ["\nException raised from", "\nframe #"].into_iter().filter_map(|start| text.find(start)).min();
    let first = text[..backtrace.unwrap_or(text.len())].trim();
    let lower = first.to_lowercase();
    // oneDNN does not state why it cannot create something; it checks shapes before, so that memory is the reason left.
    let out_of_memory = ["out of memory", "can't allocate memory", "bad_alloc", "could not create a"];
    if out_of_memory.iter().any(|word| lower.contains(word)) {
        Error::OutOfMemory(format!(
            "not enough memory: {first}. Close other programs, use a smaller model or memory limit, or choose the \
             device \"cpu\""
        ))
    } else if ["driver version is insufficient", "driver on your system is too old"]
        .iter()
        .any(|word| lower.contains(word))
    {
        Error::Unsupported(format!(
            "CUDA cannot be used: the NVIDIA driver is too old ({first}). Install a newer driver (580 or later), or \
             use the device \"cpu\""
        ))
    } else if ["cuda error", "cublas_status", "cudnn_status", "device-side assert"]
        .iter()
        .any(|word| lower.contains(word))
    {
        // After a failure libtorch cannot use the device again in this process.
        Error::Torch(format!(
            "the CUDA device failed: {first}. Nothing was changed: masks can be read and the session saved; then start \
             the program again, or load the model on the device \"cpu\""
        ))
    } else {
        Error::Torch(first.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_that_is_not_there_is_an_error() {
        ensure_memory(1 << 20, "a test").unwrap();
        let text = ensure_memory(usize::MAX / 4, "a test").unwrap_err().to_string();
        assert!(text.contains("not enough memory for a test ("), "{text}");
        assert_eq!(zeros::<u16>(3, "a test").unwrap(), [0; 3]);
        assert!(matches!(zeros::<u64>(usize::MAX / 16, "a test"), Err(Error::OutOfMemory(_))));
    }

    #[test]
    fn torch_errors_are_distinguished() {
        assert!(matches!(torch_error("CUDA out of memory. Tried to allocate"), Error::OutOfMemory(_)));
        assert!(matches!(torch_error("could not create a primitive"), Error::OutOfMemory(_)));
        assert!(matches!(torch_error("[enforce] DefaultCPUAllocator: can't allocate memory"), Error::OutOfMemory(_)));
        // The processor's memory: the backtrace follows at once.
        let tried = "[enforce fail at alloc_cpu.cpp:124] err == 0. DefaultCPUAllocator: can't allocate memory: you \
                     tried to allocate 4096 bytes. Error code 12 (Cannot allocate memory)";
        let cut = torch_error(&format!("{tried}\nframe #0: c10::alloc_cpu(unsigned long) + 0x7 (0x7f in libc10.so)\n"));
        assert_eq!(cut.to_string(), torch_error(tried).to_string());
        assert!(matches!(&cut, Error::OutOfMemory(text) if text.contains("memory). Close")), "{cut}");
        // A device that is lost.
        let lost = torch_error("CUDA error: unspecified launch failure\nException raised from x");
        assert!(matches!(&lost, Error::Torch(text) if text.contains("launch failure. Nothing was changed")), "{lost}");
        for text in [
            "CUDA error: CUDA driver version is insufficient for CUDA runtime version\nException raised from x",
            "The NVIDIA driver on your system is too old (found version 11040). Please update your GPU driver",
        ] {
            let old = torch_error(text);
            let is_short =
                |text: &str| text.contains("too old (") && text.contains("580") && !text.contains("Exception");
            assert!(matches!(&old, Error::Unsupported(text) if is_short(text)), "{old}");
        }
        match torch_error("size mismatch\nException raised from x at y") {
            Error::Torch(text) => assert_eq!(text, "size mismatch"),
            other => panic!("{other:?}"),
        }
        // The text of tch's panics.
        let panic = format!(
            "called `Result::unwrap()`: {:?}",
            tch::TchError::Torch("no \"x\"\nException raised from y".into())
        );
        assert_eq!(torch_error(&panic).to_string(), Error::Torch("no \"x\"".into()).to_string());
    }
}
