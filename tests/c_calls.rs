//! Sequences of C calls from pseudo-random bytes and from the corpus of the fuzzer: no call gives INTERNAL, one that
//! fails changes nothing, and results stay in their ranges.
#![allow(unsafe_code, reason = "calls the C interface")]

#[path = "common/c_calls.rs"]
mod c_calls;

use c_calls::Host;
use rand::{RngCore, SeedableRng};
use std::path::Path;

#[test]
fn any_sequence_of_calls_is_answered() {
    let folder = tempfile::tempdir().unwrap();
    let host = Host::new();
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/c_calls");
    let mut files: Vec<_> = std::fs::read_dir(corpus).unwrap().map(|f| f.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty());
    let mut good = 0;
    for file in files {
        good += host.run(&std::fs::read(file).unwrap(), folder.path());
    }
    for seed in 0..40 {
        let mut bytes = vec![0; 600];
        rand_chacha::ChaCha8Rng::seed_from_u64(seed).fill_bytes(&mut bytes);
        good += host.run(&bytes, folder.path());
    }
    assert!(good > 100, "only {good} calls succeeded: the sequences test nothing");
}
