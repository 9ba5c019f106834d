//! Builds the simulated CUDA device (`tests/simulated_cuda`) and runs programs on it.

#![allow(dead_code, reason = "each test file uses a part")]

use std::ffi::OsString;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;
use std::process::Command;

/// LD_LIBRARY_PATH with which programs find the simulated device. None, with the reason on the standard error output,
/// if it cannot be built: without a copy of libtorch, and on systems other than Linux.
fn libraries() -> Option<OsString> {
    if !cfg!(target_os = "linux") {
        eprintln!("skipped: CUDA is for Linux");
        return None;
    }
    let Some(libtorch) = std::env::var_os("LIBTORCH").and_then(|path| fs::canonicalize(path).ok()) else {
        eprintln!("skipped: without LIBTORCH the simulated device cannot be built");
        return None;
    };
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/simulated_cuda");
    let mut made_from = DefaultHasher::new();
    let [device, driver] = ["device.cpp", "driver.c"].map(|file| fs::read(source.join(file)).unwrap());
    (&libtorch, device, driver).hash(&mut made_from);
    let built = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let lib = built.join(format!("simulated_cuda-{:016x}", made_from.finish()));
    if !lib.exists() {
        let new = tempfile::tempdir_in(built).unwrap();
        build(&source, &libtorch, new.path());
        // Another test program may have built it first.
        let _ = fs::rename(new.path(), &lib);
    }
    let set = std::env::var_os("LD_LIBRARY_PATH").unwrap_or_default();
    let beside = |path: &Path| fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path().join("lib"));
    let needed = libtorch.parent().map(|packages| packages.join("nvidia"));
    let needed = needed.iter().flat_map(|nvidia| beside(nvidia)).filter(|path| path.is_dir());
    Some(std::env::join_paths(std::iter::once(lib).chain(needed).chain(std::env::split_paths(&set))).unwrap())
}

/// A libtorch whose CUDA library is the simulated device.
fn build(source: &Path, libtorch: &Path, lib: &Path) {
    for entry in fs::read_dir(libtorch.join("lib")).unwrap().flatten() {
        let name = entry.file_name();
        if name.to_string_lossy().contains(".so") && !name.to_string_lossy().contains("cuda") {
            std::os::unix::fs::symlink(entry.path(), lib.join(name)).unwrap();
        }
    }
    let include = libtorch.join("include");
    let mut device = Command::new("c++");
    device.args(["-std=c++17", "-O1", "-shared", "-fPIC", "-isystem"]).arg(&include).arg("-isystem");
    device.arg(include.join("torch/csrc/api/include")).arg(source.join("device.cpp"));
    device.arg("-o").arg(lib.join("libtorch_cuda.so")).arg("-L").arg(lib).args(["-ltorch_cpu", "-lc10"]);
    let mut driver = Command::new("cc");
    driver.args(["-shared", "-fPIC"]).arg(source.join("driver.c")).arg("-o").arg(lib.join("libcuda.so.1"));
    for mut compiler in [device, driver] {
        let done = compiler.output().unwrap_or_else(|e| panic!("{compiler:?}: {e}"));
        assert!(done.status.success(), "{compiler:?}: {}", String::from_utf8_lossy(&done.stderr));
    }
}

/// `command` on a simulated device with so much memory; none where there cannot be one.
pub fn on_device(mut command: Command, mebibytes: u32) -> Option<Command> {
    command.env("LD_LIBRARY_PATH", libraries()?).env("CUDA_SIMULATED_MEBIBYTES", mebibytes.to_string());
    Some(command)
}

/// Runs the tests of this program that want a CUDA device on the simulated one, one after the other.
pub fn run_ignored_tests() {
    let mut tests = Command::new(std::env::current_exe().unwrap());
    tests.args(["--ignored", "--test-threads", "1"]);
    let Some(mut tests) = on_device(tests, 1024) else { return };
    let done = tests.output().unwrap();
    let text = String::from_utf8_lossy(&done.stdout);
    assert!(done.status.success() && !text.contains(" 0 passed"), "{text}{}", String::from_utf8_lossy(&done.stderr));
}
