//! Sequences of calls of `mem3d.h`: see tests/common/c_calls.rs.
#![no_main]

#[path = "../../tests/common/c_calls.rs"]
mod c_calls;

use std::sync::OnceLock;

/// Calls of one host at a time, on this thread.
struct Shared(c_calls::Host, tempfile::TempDir);

// SAFETY: libFuzzer calls the target on one thread; a model may be used by any number of threads.
unsafe impl Send for Shared {}
// SAFETY: as above.
unsafe impl Sync for Shared {}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    static SHARED: OnceLock<Shared> = OnceLock::new();
    let Shared(host, folder) = SHARED.get_or_init(|| Shared(c_calls::Host::new(), tempfile::tempdir().unwrap()));
    host.run(bytes, folder.path());
});
