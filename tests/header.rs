//! The header is generated, complete, and everything that has a version has the same one.
//!
//! `MEM3D_UPDATE_HEADER=1 cargo test --test header` writes `include/mem3d.h` anew.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// The exported functions in the order of the header, with the section each belongs to.
fn exported() -> Vec<(String, String)> {
    let mut found = Vec::new();
    for section in modules("src/ffi/mod.rs") {
        let mut files = vec![format!("src/ffi/{section}.rs")];
        files.extend(modules(&files[0]).into_iter().map(|part| format!("src/ffi/{section}/{part}.rs")));
        for line in files.iter().flat_map(|f| read(f).lines().map(str::to_owned).collect::<Vec<_>>()) {
            let Some((_, rest)) = line.split_once("extern \"C\" fn mem3d_") else { continue };
            if line.starts_with("pub ") {
                found.push((section.clone(), format!("mem3d_{}", rest.split('(').next().unwrap())));
            }
        }
    }
    found
}

fn modules(path: &str) -> Vec<String> {
    let text = read(path);
    text.lines().filter_map(|l| l.strip_prefix("pub mod ")?.strip_suffix(';').map(str::to_owned)).collect()
}

fn version_macros() -> String {
    let version = env!("CARGO_PKG_VERSION");
    let mut macros = format!(
        "/** Version of this header; mem3d_version() is that of the library. */\n#define MEM3D_VERSION \"{version}\""
    );
    for (name, number) in ["MAJOR", "MINOR", "PATCH"].iter().zip(version.split('.')) {
        macros += &format!("\n#define MEM3D_VERSION_{name} {number}");
    }
    macros
}

fn generate() -> String {
    let mut config = cbindgen::Config::from_file(root().join("cbindgen.toml")).expect("cbindgen.toml");
    let example = read("examples/c/hello.c");
    assert!(!example.contains("*/"), "hello.c stands inside a comment of the header; use // comments");
    let example: Vec<String> = example.lines().map(|l| format!(" * {l}").trim_end().to_owned()).collect();
    config.header = config.header.map(|h| h.replace("@EXAMPLE@", &example.join("\n")));
    config.after_includes = config.after_includes.map(|a| a.replace("@VERSION_MACROS@", &version_macros()));
    let bindings = cbindgen::Builder::new()
        .with_config(config)
        .with_src(root().join("src/ffi/mod.rs"))
        .generate()
        .expect("src/ffi can be parsed");
    let mut out = Vec::new();
    bindings.write(&mut out);
    let text = String::from_utf8(out).expect("UTF-8");
    with_sections(&text)
}

/// Puts a title before the first function of each module.
fn with_sections(text: &str) -> String {
    let functions = exported();
    let mut blocks: Vec<String> = text.split("\n\n").map(str::to_owned).collect();
    let mut seen = BTreeSet::new();
    for (section, name) in &functions {
        if seen.insert(section.clone()) {
            let of_function = |b: &&mut String| b.contains("MEM3D_API") && b.contains(&format!("{name}("));
            let block = blocks.iter_mut().filter(|b| !b.contains("#define")).find(of_function);
            let block = block.unwrap_or_else(|| panic!("{name} is not in the header"));
            *block = format!("/* ---- {section} ---- */\n\n{block}");
        }
    }
    blocks.join("\n\n")
}

#[test]
fn the_header_is_up_to_date() {
    let path = root().join("include/mem3d.h");
    let fresh = generate();
    if std::env::var_os("MEM3D_UPDATE_HEADER").is_some() {
        fs::write(&path, &fresh).unwrap();
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    let differs = committed.lines().zip(fresh.lines()).position(|(a, b)| a != b);
    assert!(
        committed == fresh,
        "include/mem3d.h is out of date (first difference at line {:?}); run: MEM3D_UPDATE_HEADER=1 cargo test --test header",
        differs.map(|n| n + 1)
    );
}

#[test]
fn every_function_is_in_every_language() {
    let functions = exported();
    assert!(functions.len() > 30, "only {} exported functions were found", functions.len());
    let null_test = read("tests/capi/test_null.c");
    for file in ["include/mem3d.h", "include/mem3d.hpp", "slicer-module/Mem3D/Mem3DLib/NativeTypes.py"] {
        let text = read(file);
        let missing: Vec<_> = functions.iter().filter(|(_, name)| !has_word(&text, name)).collect();
        assert!(missing.is_empty(), "{file} lacks {missing:?}");
    }
    let no_pointers =
        ["mem3d_version", "mem3d_abi_version", "mem3d_libtorch_version", "mem3d_last_error", "mem3d_set_thread_count"];
    let missing: Vec<_> = functions
        .iter()
        .filter(|(_, name)| !no_pointers.contains(&name.as_str()) && !has_word(&null_test, name))
        .collect();
    assert!(missing.is_empty(), "tests/capi/test_null.c lacks {missing:?}");
}

#[test]
fn every_field_is_in_the_layout_program() {
    let header = read("include/mem3d.h");
    let program = read("tests/capi/print_layout.c");
    let mut structs = 0;
    for body in header.split("typedef struct ").skip(1).filter(|b| b.contains(" {\n")) {
        let (name, fields) = body.split_once(" {\n").unwrap();
        if name.contains(';') {
            continue;
        }
        structs += 1;
        let fields = fields.split("\n}").next().unwrap();
        for line in fields.lines().filter(|l| l.ends_with(';') && !l.trim_start().starts_with('*')) {
            let field = line.trim_end_matches(';').split('[').next().unwrap().rsplit([' ', '*']).next().unwrap();
            let entry = format!("({name}, {field})");
            assert!(program.contains(&entry), "tests/capi/print_layout.c lacks {entry}");
        }
    }
    assert!(structs >= 10, "only {structs} structs were found");
}

#[test]
fn every_object_has_its_test() {
    for section in modules("src/ffi/mod.rs") {
        let test: PathBuf = root().join(format!("tests/capi/test_{section}.c"));
        assert!(test.exists(), "src/ffi/{section}.rs has no {}", test.display());
    }
}

#[test]
fn every_failure_is_documented() {
    let header = read("include/mem3d.h");
    for block in header.split("\n\n").filter(|b| b.contains("MEM3D_API mem3d_status")) {
        let name = block.split("mem3d_status mem3d_").nth(1).unwrap().split('(').next().unwrap();
        for word in ["@return #MEM3D_STATUS_OK", "#MEM3D_STATUS_INVALID_ARGUMENT"] {
            assert!(block.contains(word), "mem3d_{name}: the comment lacks {word}");
        }
        let signature = &block[block.rfind("MEM3D_API").unwrap()..];
        assert!(!signature.contains('*') || block.contains("@pre"), "mem3d_{name}: the comment lacks @pre");
        let parameters = signature.split_once('(').unwrap().1.split_once(')').unwrap().0;
        for parameter in parameters.split(',').filter(|p| p.trim() != "void") {
            let parameter = parameter.rsplit([' ', '*']).next().unwrap();
            let documented = block.lines().any(|l| l.contains("@param") && has_word(l, parameter));
            assert!(documented, "mem3d_{name}: {parameter} has no @param");
        }
    }
}

#[test]
fn versions_agree() {
    let version = env!("CARGO_PKG_VERSION");
    let header = read("include/mem3d.h");
    assert!(header.contains(&format!("#define MEM3D_VERSION \"{version}\"")));
    let cmake = read("CMakeLists.txt");
    assert!(cmake.contains(&format!("project(Mem3D VERSION {version}")), "CMakeLists.txt has another version");
    let abi = mem3d::ffi::version::MEM3D_ABI_VERSION;
    assert!(cmake.contains(&format!("set(MEM3D_ABI_VERSION {abi})")), "CMakeLists.txt has another ABI version");
    assert!(header.contains(&format!("#define MEM3D_ABI_VERSION {abi}")));
    let python = read("slicer-module/Mem3D/Mem3DLib/Native.py");
    assert!(python.contains(&format!("ABI_VERSION = {abi}\n")), "Native.py has another ABI version");
}

fn has_word(text: &str, word: &str) -> bool {
    let part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.match_indices(word).any(|(at, _)| {
        !text[..at].chars().next_back().is_some_and(part) && !text[at + word.len()..].chars().next().is_some_and(part)
    })
}

#[test]
fn the_readme_shows_the_examples_that_are_tested() {
    let readme = read("README.md");
    for example in ["examples/c/hello.c", "examples/cpp/hello.cpp", "examples/python/hello.py"] {
        assert!(readme.contains(&read(example)), "README.md does not show {example} as it is");
    }
}
