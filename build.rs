//! Builds the C++ bridge to libtorch, and lets everything built here find libtorch at run time without environment
//! variables.

use std::path::{Path, PathBuf};

/// Characters that the search paths of a package may have beyond those of the build. Chosen: with the libraries in
/// `lib/x86_64-linux-gnu` they have 75 in all.
const ROOM: usize = 300;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=LIBTORCH");
    // Its file libtorch, of tools/setup.{sh,ps1}, changes with the target of the link .libtorch. The whole folder is
    // watched, since a missing file would count as changed in every build.
    if Path::new(".cargo").exists() {
        println!("cargo::rerun-if-changed=.cargo");
    }
    let Some(libtorch) = std::env::var_os("LIBTORCH").map(PathBuf::from) else {
        println!("cargo::error=LIBTORCH is not set; run tools/setup.sh in the project's folder first");
        return;
    };
    let lib = match libtorch.join("lib").canonicalize() {
        Ok(lib) => lib,
        Err(e) => {
            println!(
                "cargo::error={}: {e}; run tools/setup.sh, or set LIBTORCH to a folder of libtorch 2.11",
                libtorch.display()
            );
            return;
        }
    };
    println!("cargo::rerun-if-changed=src/torch/torch_ext.h");
    println!("cargo::rerun-if-changed=src/torch/torch_ext.cc");
    cxx_build::bridge("src/torch/torch_ext.rs")
        .file("src/torch/torch_ext.cc")
        .std("c++17")
        .include(libtorch.join("include"))
        .flag_if_supported("-Wno-unused-parameter")
        .compile("mem3d_torch_ext");
    let system = std::env::var("CARGO_CFG_TARGET_OS").unwrap_or_default();
    if system == "windows" {
        // Windows has neither search paths in a library nor names for hosts: DLLs lie beside the program or on PATH.
        return;
    }
    let macos = system == "macos";
    let origin = if macos { "@loader_path" } else { "$ORIGIN" };
    // An installed library looks beside itself first, then where it was built.
    for path in [origin, &format!("{origin}/libtorch/lib"), &lib.to_string_lossy()] {
        println!("cargo::rustc-link-arg=-Wl,-rpath,{path}");
    }
    // Room for the longer paths that cmake --install may write instead; on Linux it is one more name of the first.
    match macos {
        true => println!("cargo::rustc-link-arg=-Wl,-headerpad_max_install_names"),
        false => println!("cargo::rustc-link-arg=-Wl,-rpath,{origin}{}", "/.".repeat(ROOM / 2)),
    }
    // Hosts remember this name, not the path they were linked with. The number is MEM3D_ABI_VERSION.
    let name = if macos { "-install_name,@rpath/libmem3d.1.dylib" } else { "-soname,libmem3d.so.1" };
    println!("cargo::rustc-cdylib-link-arg=-Wl,{name}");
    if !macos {
        // rustc exports the C symbols of every crate; a host must see those of mem3d only (tests/capi/exports.cmake).
        println!("cargo::rustc-cdylib-link-arg=-Wl,--exclude-libs,ALL");
    }
}
