//! Files of the format `models`: see tests/common/files.rs.
#![no_main]

#[path = "../../tests/common/files.rs"]
mod files;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| files::fuzz("models", bytes));
