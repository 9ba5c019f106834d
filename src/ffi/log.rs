//! Where messages go: to the host, if it asks for them.

use super::guard::guard;
use super::mem3d_status;
use super::text::c_string;
use crate::error::{Error, Result};
use std::cell::Cell;
use std::ffi::{c_char, c_void};
use std::sync::{Once, OnceLock, RwLock};

/// Severity of a message.
#[repr(i32)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum mem3d_log_level {
    /// Something failed.
    Error = 1,
    /// Something works less well than it could.
    Warn = 2,
    /// What a user may want to know.
    Info = 3,
    /// What a developer of a host may want to know.
    Debug = 4,
    /// Everything.
    Trace = 5,
}

/// Receives one message. `level` is a #mem3d_log_level; `message` is UTF-8, borrowed until the function returns.
///
/// May be called from several threads at once. Must not throw, and must not call mem3d_set_log_callback().
pub type mem3d_log_fn = Option<unsafe extern "C" fn(level: i32, message: *const c_char, user_data: *mut c_void)>;

/// Sends the library's messages to a function of the host. Without one they are dropped; nothing is ever printed.
///
/// When the call returns, the function set before has returned and is not called again.
///
/// @param on_message  Called for every message; NULL for none.
/// @param user_data   Passed to `on_message`; must live until another function is set.
/// @param max_level   A #mem3d_log_level: the least severe one wanted. 0 for #MEM3D_LOG_LEVEL_INFO.
/// @return #MEM3D_STATUS_INVALID_STATE (the program has a Rust logger of its own) or #MEM3D_STATUS_BUSY (called from
///         `on_message`).
/// @pre `on_message` may be called from any thread with `user_data`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mem3d_set_log_callback(
    on_message: mem3d_log_fn,
    user_data: *mut c_void,
    max_level: i32,
) -> mem3d_status {
    guard(|| {
        let level = level(max_level)?;
        if INSIDE.get() {
            return Err(Error::Busy("the log callback cannot set another log callback; do it after it returns".into()));
        }
        install()?;
        let target = on_message.map(|function| Target { function, user_data });
        let wanted = if target.is_some() { level } else { ::log::LevelFilter::Off };
        *TARGET.write().unwrap_or_else(|e| e.into_inner()) = target;
        ::log::set_max_level(wanted);
        Ok(())
    })
}

fn level(max_level: i32) -> Result<::log::LevelFilter> {
    use ::log::LevelFilter::*;
    match max_level {
        1 => Ok(Error),
        2 => Ok(Warn),
        0 | 3 => Ok(Info),
        4 => Ok(Debug),
        5 => Ok(Trace),
        _ => Err(crate::Error::argument(format!("max_level is {max_level}; use 1 (errors) to 5 (everything)"))),
    }
}

struct Target {
    function: unsafe extern "C" fn(i32, *const c_char, *mut c_void),
    user_data: *mut c_void,
}
// SAFETY: the pointer is only handed back to the host, which promised to take it on any thread.
unsafe impl Send for Target {}
// SAFETY: as above.
unsafe impl Sync for Target {}

static TARGET: RwLock<Option<Target>> = RwLock::new(None);

thread_local! {
    /// Whether this thread is inside the host's function; what is logged there would recurse, and is dropped.
    static INSIDE: Cell<bool> = const { Cell::new(false) };
}

struct HostLog;

impl ::log::Log for HostLog {
    fn enabled(&self, _: &::log::Metadata) -> bool {
        true
    }

    fn log(&self, record: &::log::Record) {
        if INSIDE.replace(true) {
            return;
        }
        // Held during the call, so that a host which replaced its function can free the data of the old one.
        if let Some(target) = TARGET.read().unwrap_or_else(|e| e.into_inner()).as_ref() {
            let message = c_string(&record.args().to_string());
            // SAFETY: by the contract of `mem3d_set_log_callback`.
            unsafe { (target.function)(record.level() as i32, message.as_ptr(), target.user_data) };
        }
        INSIDE.set(false);
    }

    fn flush(&self) {}
}

fn install() -> Result<()> {
    static ONCE: Once = Once::new();
    static INSTALLED: OnceLock<bool> = OnceLock::new();
    ONCE.call_once(|| {
        let _ = INSTALLED.set(::log::set_logger(&HostLog).is_ok());
    });
    if INSTALLED.get() == Some(&true) {
        return Ok(());
    }
    Err(Error::InvalidState("this program already has a logger of the Rust crate `log`; use that one".into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ffi::status::mem3d_last_error;
    use std::ffi::CStr;
    use std::sync::Mutex;

    unsafe extern "C" fn collect(level: i32, message: *const c_char, user_data: *mut c_void) {
        // SAFETY: `user_data` is the list below; `message` ends with NUL.
        unsafe {
            let list = &*user_data.cast::<Mutex<Vec<(i32, String, mem3d_status)>>>();
            let text = CStr::from_ptr(message).to_str().unwrap().to_string();
            ::log::error!("dropped: logged from inside the callback");
            let again = mem3d_set_log_callback(None, std::ptr::null_mut(), 0);
            if text.starts_with("ffi::log test") {
                list.lock().unwrap().push((level, text, again));
            }
        }
    }

    #[test]
    fn messages_reach_the_host_up_to_its_level_and_stop() {
        let list = Mutex::new(Vec::<(i32, String, mem3d_status)>::new());
        let data = (&raw const list).cast_mut().cast::<c_void>();
        // SAFETY: `list` outlives the callback, which is taken away below.
        unsafe {
            assert_eq!(mem3d_set_log_callback(Some(collect), data, 9), mem3d_status::InvalidArgument);
            assert_eq!(mem3d_set_log_callback(Some(collect), data, 0), mem3d_status::Ok);
            ::log::warn!("ffi::log test one");
            ::log::debug!("ffi::log test: too detailed");
            assert_eq!(mem3d_set_log_callback(None, std::ptr::null_mut(), 0), mem3d_status::Ok);
            ::log::error!("ffi::log test: nobody listens");
            assert!(CStr::from_ptr(mem3d_last_error()).to_str().unwrap().contains("log callback"));
        }
        let list = list.into_inner().unwrap();
        assert_eq!(list, [(2, "ffi::log test one".to_string(), mem3d_status::Busy)]);
    }
}
