//! Devices that networks can run on. CUDA is opened at run time and not linked.

use super::torch_ext;
use crate::error::{Error, Result};
use tch::Device;

/// One device that libtorch can use here.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct DeviceInfo {
    /// `cpu`, `cuda:0`, ...
    pub id: String,
    /// Name of the hardware.
    pub name: String,
    /// Total memory, bytes; 0 when unknown.
    pub memory_total: u64,
    /// Free memory, bytes; 0 when unknown.
    pub memory_free: u64,
}

/// The device called `text`: `auto` (CUDA when there is one, else the CPU), `cpu`, `cuda` or `cuda:N`.
///
/// # Errors
/// [`Error::InvalidArgument`] for another text; [`Error::Unsupported`] with the reason when CUDA cannot be used.
pub fn parse(text: &str) -> Result<Device> {
    match text {
        "cpu" => Ok(Device::Cpu),
        "auto" | "" => Ok(match torch_ext::cuda_device_count() {
            Ok(_) => Device::Cuda(0),
            Err(reason) => {
                // Most machines have no GPU; where a driver is installed, its user expects it to work.
                let level = if torch_ext::has_driver() { log::Level::Warn } else { log::Level::Debug };
                log::log!(level, "running on the CPU: {reason}");
                Device::Cpu
            }
        }),
        _ => {
            let number = text.strip_prefix("cuda").and_then(|rest| match rest {
                "" => Some(0),
                rest => rest.strip_prefix(':')?.parse::<usize>().ok(),
            });
            let Some(index) = number else {
                return Err(Error::argument(format!(
                    "there is no device \"{text}\"; use \"auto\", \"cpu\", \"cuda\" or \"cuda:N\""
                )));
            };
            let count = torch_ext::cuda_device_count().map_err(|reason| {
                Error::Unsupported(format!(
                    "CUDA cannot be used: {reason}. Use the device \"cpu\", or install PyTorch 2.11 with CUDA and a \
                     driver for it"
                ))
            })?;
            if index >= count {
                return Err(Error::Unsupported(format!(
                    "there is no device cuda:{index}; this machine has cuda:0 to cuda:{}",
                    count - 1
                )));
            }
            Ok(Device::Cuda(index))
        }
    }
}

/// All devices that can be used, the CPU first.
pub fn list() -> Vec<DeviceInfo> {
    let mut devices = vec![cpu()];
    for index in 0..torch_ext::cuda_device_count().unwrap_or(0) {
        let (name, memory_total, memory_free) = torch_ext::cuda_device(index).unwrap_or_else(|reason| (reason, 0, 0));
        devices.push(DeviceInfo { id: format!("cuda:{index}"), name, memory_total, memory_free });
    }
    devices
}

/// Why CUDA cannot be used here; none when it can.
pub fn why_no_cuda() -> Option<String> {
    torch_ext::cuda_device_count().err()
}

fn cpu() -> DeviceInfo {
    let read = |path| std::fs::read_to_string(path).unwrap_or_default();
    let field = |text: &str, name: &str| {
        text.lines().find(|l| l.starts_with(name)).and_then(|l| l.split_once(':')).map(|(_, v)| v.trim().to_string())
    };
    let memory = read("/proc/meminfo");
    let bytes = |name| {
        let kb = field(&memory, name).and_then(|v| v.split_whitespace().next()?.parse::<u64>().ok());
        kb.unwrap_or(0) * 1024
    };
    DeviceInfo {
        id: "cpu".into(),
        name: field(&read("/proc/cpuinfo"), "model name").unwrap_or_else(|| std::env::consts::ARCH.into()),
        memory_total: bytes("MemTotal"),
        memory_free: bytes("MemAvailable"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_recognised_by_name() {
        assert_eq!(parse("cpu").unwrap(), Device::Cpu);
        for bad in ["gpu", "cuda:", "cuda:x", "CPU"] {
            assert!(matches!(parse(bad), Err(Error::InvalidArgument(_))), "{bad}");
        }
        assert!(matches!(parse("cuda:4096"), Err(Error::Unsupported(_))));
        parse("auto").unwrap();
    }

    #[test]
    fn the_cpu_is_always_there() {
        let cpu = &list()[0];
        assert_eq!(cpu.id, "cpu");
        assert!(!cpu.name.is_empty());
    }

    #[test]
    fn without_cuda_the_error_says_why_and_what_to_do() {
        if let Some(reason) = why_no_cuda() {
            let text = parse("cuda:0").unwrap_err().to_string();
            assert!(text.contains(&reason) && text.contains("\"cpu\""), "{text}");
        }
    }

    #[test]
    #[ignore = "needs CUDA"]
    fn a_cuda_device_has_a_name_and_memory() {
        let device = &list()[1];
        assert!(device.memory_total > 1 << 30 && device.memory_free <= device.memory_total, "{device:?}");
        assert_eq!(parse("auto").unwrap(), Device::Cuda(0));
        torch_ext::empty_cuda_cache();
    }
}
