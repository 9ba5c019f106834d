//! Devices that networks can run on, and threads of the CPU.

use super::guard::guard;
use super::versioned::{self, Versioned};
use super::{fork, handle, mem3d_status};
use crate::error::{Error, Result};
use crate::torch::{device, processors};
use std::ffi::c_char;
use std::sync::atomic::{AtomicI32, Ordering};

/// A device that networks can run on. Grows; set `struct_size` before the call.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct mem3d_device_info {
    /// `sizeof(mem3d_device_info)`, set by the caller.
    pub struct_size: u32,
    /// 0.
    pub reserved: u32,
    /// Value for #mem3d_model_options::device: "cpu", "cuda:0", ... UTF-8, ends with NUL.
    pub id: [c_char; 32],
    /// Name of the hardware. UTF-8, ends with NUL, cut if longer.
    pub name: [c_char; 128],
    /// Total memory, bytes; 0 when unknown.
    pub memory_total_bytes: u64,
    /// Free memory, bytes; 0 when unknown.
    pub memory_free_bytes: u64,
}

// SAFETY: repr(C), struct_size first, 4 + 4 + 32 + 128 + 8 + 8 bytes without padding, all integers.
unsafe impl Versioned for mem3d_device_info {
    const NAME: &'static str = "mem3d_device_info";
    const FIRST_SIZE: usize = 184;
}

/// Returns the number of devices that can be used now. The CPU is always the first.
///
/// @param[out] count  Number of devices, at least 1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mem3d_device_get_count(count: *mut u32) -> mem3d_status {
    guard(|| {
        handle::required(count, "count")?;
        let found = device::list().len();
        if found > 1 {
            fork::used();
        }
        // SAFETY: writable by this function's contract.
        unsafe { handle::put(count, found as u32) };
        Ok(())
    })
}

/// Describes one device.
///
/// @param index      0 to the number of devices - 1.
/// @param[out] info  Filled up to its `struct_size`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mem3d_device_get_info(index: u32, info: *mut mem3d_device_info) -> mem3d_status {
    guard(|| {
        // SAFETY: by this function's contract.
        let out = unsafe { versioned::out(info, "info") }?;
        let devices = device::list();
        let found = devices.get(index as usize).ok_or_else(|| {
            Error::argument(format!("index is {index}; there are {} devices, counted from 0", devices.len()))
        })?;
        out.put(mem3d_device_info {
            struct_size: 0,
            reserved: 0,
            id: fixed(&found.id),
            name: fixed(&found.name),
            memory_total_bytes: found.memory_total,
            memory_free_bytes: found.memory_free,
        });
        Ok(())
    })
}

/// Sets the number of CPU threads that one call may use, for every session and thread of the process. libtorch and
/// mem3d each use that many; sessions share mem3d's.
///
/// By default each new session sets it: one per processor that the process may use (taskset, containers) and that other
/// programs leave free at that moment. `OMP_NUM_THREADS` in the environment is taken as it is.
///
/// libtorch computes with OpenMP, which keeps one number for each calling thread: a call on a model or session, such as
/// mem3d_session_new(), sets it on its thread, where it holds for the host's own OpenMP regions, too. A host that has
/// some calls `omp_set_num_threads()` after such a call, or calls mem3d from a thread of its own.
///
/// @param count  1 to four times the processors, or to 64; 0 for the default.
#[unsafe(no_mangle)]
pub extern "C" fn mem3d_set_thread_count(count: u32) -> mem3d_status {
    guard(|| {
        if count > 0 {
            processors::check(count as usize).map_err(|e| Error::argument(format!("count is {count}: {e}")))?;
        }
        processors::allowed();
        WANTED.store(count as i32, Ordering::Relaxed);
        if count == 0 {
            CHOSEN.store(processors::allowed() as i32, Ordering::Relaxed);
        }
        apply_thread_count();
        Ok(())
    })
}

/// Returns the number of CPU threads that one call may use.
///
/// @param[out] count  At least 1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mem3d_get_thread_count(count: *mut u32) -> mem3d_status {
    guard(|| -> Result<()> {
        handle::required(count, "count")?;
        let threads = match thread_count() {
            0 => processors::allowed() as i32,
            count => count,
        };
        // SAFETY: writable by this function's contract.
        unsafe { handle::put(count, threads as u32) };
        Ok(())
    })
}

/// Number of threads set by the host; 0 if none.
static WANTED: AtomicI32 = AtomicI32::new(0);

/// Number of threads that the newest session chose; 0 before the first.
static CHOSEN: AtomicI32 = AtomicI32::new(0);

/// The number that holds now; 0 while it is libtorch's own.
fn thread_count() -> i32 {
    match WANTED.load(Ordering::Relaxed) {
        0 => CHOSEN.load(Ordering::Relaxed),
        wanted => wanted,
    }
}

/// For a new session: chooses the number of threads, unless the host set one.
pub(super) fn choose_thread_count() {
    if WANTED.load(Ordering::Relaxed) == 0 {
        CHOSEN.store(processors::free() as i32, Ordering::Relaxed);
    }
    apply_thread_count();
}

/// Makes the number of threads hold on this thread: OpenMP keeps one number per calling thread, so a number set
/// on one thread would not reach sessions used on another, and the host may set its own between two calls. That one is
/// not restored at the end of a call: libtorch would start its threads anew each time.
pub(super) fn apply_thread_count() {
    let wanted = thread_count();
    if wanted != 0 && wanted != tch::get_num_threads() {
        tch::set_num_threads(wanted);
    }
    if wanted != 1 {
        fork::used();
    }
}

/// `text` in a field of fixed size: cut at a character if need be, always with a NUL at its end.
fn fixed<const N: usize>(text: &str) -> [c_char; N] {
    let mut end = text.len().min(N - 1);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let mut field = [0; N];
    for (to, from) in field.iter_mut().zip(text[..end].bytes()) {
        *to = from as c_char;
    }
    field
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::torch::threads;

    #[test]
    fn long_names_are_cut_at_a_character() {
        let of = |text: &str| fixed::<5>(text).map(|c| c as u8);
        assert_eq!(of("cpu"), *b"cpu\0\0");
        assert_eq!(of("abcdef"), *b"abcd\0");
        // U+00E9 takes two bytes, of which only one would fit.
        assert_eq!(of("abc\u{e9}"), *b"abc\0\0");
    }

    #[test]
    fn the_thread_count_holds_on_every_thread() {
        let mut count = 0;
        // SAFETY: `count` is writable.
        unsafe {
            assert_eq!(mem3d_set_thread_count(5000), mem3d_status::InvalidArgument);
            assert_eq!(mem3d_set_thread_count(1), mem3d_status::Ok);
            assert_eq!(mem3d_get_thread_count(&mut count), mem3d_status::Ok);
            assert_eq!(count, 1);
            let on_another = || {
                apply_thread_count();
                assert_eq!(tch::get_num_threads(), 1);
                // As a host does for its own work.
                tch::set_num_threads(2);
                apply_thread_count();
                assert_eq!(tch::get_num_threads(), 1);
            };
            threads::with_threads(1, || std::thread::spawn(on_another).join().unwrap());
            assert_eq!(mem3d_set_thread_count(0), mem3d_status::Ok);
            mem3d_get_thread_count(&mut count);
        }
        assert_eq!(count as usize, processors::allowed());
    }
}
