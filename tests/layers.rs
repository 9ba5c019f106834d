//! The direction of dependencies: fails on a `crate::` path against the arrows drawn in `src/lib.rs`.

use std::fs;
use std::path::{Path, PathBuf};

/// Every layer and what it may use besides itself.
const ARROWS: [(&str, &[&str]); 10] = [
    ("error", &[]),
    ("volume", &["error"]),
    // Written files, of io and of whoever has a file of its own.
    ("whole_file", &["error"]),
    ("io", &["error", "volume", "whole_file"]),
    // Tensors are its vocabulary: no volume, no session.
    ("nn", &["error", "whole_file"]),
    ("engine", &["error", "volume", "nn"]),
    // Recorded interactions; io for the label volumes that they name.
    ("prompts", &["error", "volume", "nn", "engine", "io"]),
    ("eval", &["error", "volume", "nn", "engine", "io", "whole_file"]),
    ("train", &["error", "volume", "nn", "engine", "eval", "io", "whole_file"]),
    // io for saved sessions only.
    ("ffi", &["error", "volume", "nn", "engine", "io"]),
];

/// What lives in the crate's root and belongs to no layer.
const ROOT: [&str; 3] = ["Error", "Result", "with_voxels"];

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
}

/// The first names after each `prefix` of `code`; a group in braces gives each of its names.
fn used(code: &str, prefix: &str) -> Vec<String> {
    let mut names = Vec::new();
    for (at, _) in code.match_indices(prefix) {
        if code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == '$') {
            continue;
        }
        let rest = &code[at + prefix.len()..];
        let group = rest.strip_prefix('{').map(|group| group.split('}').next().unwrap());
        let ends = |c: char| !c.is_alphanumeric() && c != '_';
        match group {
            Some(group) => names.extend(group.split(',').map(|n| n.trim().split(ends).next().unwrap().to_owned())),
            None => names.push(rest.split(ends).next().unwrap().to_owned()),
        }
    }
    names.retain(|n| !n.is_empty());
    names
}

/// The file without comments and without its unit tests, which may use what they like.
fn code(text: &str) -> String {
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
    text.lines().filter(|l| !l.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

/// What a file of `layer` uses against the arrows.
fn against(layer: &str, text: &str) -> Vec<String> {
    let allowed = ARROWS.iter().find(|(name, _)| *name == layer).unwrap_or_else(|| panic!("{layer} is no layer")).1;
    let fine = |name: &String| name == layer || allowed.contains(&name.as_str()) || ROOT.contains(&name.as_str());
    used(&code(text), "crate::").into_iter().filter(|name| !fine(name)).collect()
}

#[test]
fn no_path_goes_against_the_arrows() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut all = Vec::new();
    files(&src, &mut all);
    assert!(all.len() > 30, "only {} files were found", all.len());
    for path in all {
        let text = fs::read_to_string(&path).unwrap();
        let inside = path.strip_prefix(&src).unwrap();
        let first = inside.components().next().unwrap().as_os_str().to_str().unwrap().trim_end_matches(".rs");
        match first {
            "lib" | "main" => {}
            "bin" => {
                let names = used(&code(&text), "mem3d::");
                assert!(!names.contains(&"ffi".to_owned()), "{}: the command goes through the engine", path.display());
            }
            layer => {
                let names = against(layer, &text);
                assert!(names.is_empty(), "{}: {layer} must not use {names:?}", path.display());
            }
        }
    }
}

#[test]
fn a_wrong_arrow_is_found() {
    assert_eq!(against("engine", "use crate::ffi::status;"), ["ffi"]);
    assert_eq!(against("nn", "fn f() { crate::engine::go() }\n// crate::ffi in a comment"), ["engine"]);
    assert_eq!(against("volume", "use crate::{\n    error::Result, nn::run,\n};"), ["nn"]);
    assert!(against("engine", "use crate::error::{Error, Result};\nuse crate::with_voxels;").is_empty());
    assert!(against("volume", "macro_rules! m { () => { $crate::nn::x } }").is_empty());
    assert!(against("nn", "#[cfg(test)]\nmod tests {\n    use crate::engine::Session;\n}").is_empty());
}
