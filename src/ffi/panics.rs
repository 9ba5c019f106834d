//! Panics inside exported functions become errors.

use super::text::keep_error;
use crate::error::{Error, Result};
use crate::torch::threads;
use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;

thread_local! {
    /// How many guards are on this thread's stack.
    static DEPTH: Cell<u32> = const { Cell::new(0) };
    /// Where the last panic inside a guard was raised.
    static PLACE: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Runs `body` for a function that returns no status; a panic gives `otherwise`.
pub(super) fn guard_value<T>(otherwise: T, body: impl FnOnce() -> T) -> T {
    caught(body).unwrap_or_else(|error| {
        keep_error(&error);
        otherwise
    })
}

/// Runs `body`; its panic becomes [`Error::Internal`].
pub(super) fn caught<T>(body: impl FnOnce() -> T) -> Result<T> {
    quiet_caught_panics();
    DEPTH.with(|depth| depth.set(depth.get() + 1));
    // Handles stay usable after a panic: the engine commits last, and a lock that was held then is poisoned.
    let result = catch_unwind(AssertUnwindSafe(body));
    DEPTH.with(|depth| depth.set(depth.get() - 1));
    result.map_err(|payload| {
        let text = match (payload.downcast_ref::<String>(), payload.downcast_ref::<&str>()) {
            (Some(text), _) => text.clone(),
            (None, Some(text)) => text.to_string(),
            (None, None) => "unknown failure".to_string(),
        };
        let place = PLACE.with(|place| place.take());
        Error::Internal(format!("{text} ({place})"))
    })
}

/// The default panic message belongs on the terminal of a Rust program, not on a host's: a panic that becomes a
/// status is reported by that status. Panics of the host's threads keep the hook that was there.
fn quiet_caught_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let previous = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if is_caught() {
                let place = info.location().map(|l| format!("{}:{}", l.file(), l.line())).unwrap_or_default();
                let _ = PLACE.try_with(|last| *last.borrow_mut() = place);
            } else {
                previous(info);
            }
        }));
    });
}

/// Whether a panic on this thread becomes a status: inside a guard, and on the threads that compute for one.
fn is_caught() -> bool {
    DEPTH.try_with(|depth| depth.get() > 0).unwrap_or(false) || threads::at_once() > 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::Device;

    #[test]
    fn panics_inside_a_guard_and_on_its_computing_threads_are_caught_and_those_of_the_host_are_not() {
        assert!(caught(is_caught).unwrap());
        assert!(!is_caught());
        let there = threads::with_threads(2, || threads::side_by_side(2, Device::Cpu, is_caught));
        assert!(there);
        assert!(!std::thread::spawn(is_caught).join().unwrap());
    }
}
