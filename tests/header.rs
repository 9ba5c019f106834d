//! The header is generated, complete, and everything that has a version has the same one.
//!
//! `MEM3D_UPDATE_HEADER=1 cargo test --test header` writes `include/mem3d.h` anew.

#[path = "header/generate.rs"]
mod generate;

use generate::{exported, generate, is_name, read, root};
use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

/// The statuses that every call may return, by the rules on top of the header.
const COMMON: [&str; 5] = ["OK", "INVALID_ARGUMENT", "INVALID_STATE", "BUSY", "INTERNAL"];

/// What each function may return besides.
const OWN: [(&str, &[&str]); 15] = [
    ("mem3d_set_log_callback", &["INVALID_STATE", "BUSY"]),
    ("mem3d_model_load", &["IO", "BAD_MODEL", "UNSUPPORTED", "OUT_OF_MEMORY", "TORCH"]),
    ("mem3d_model_random", &["UNSUPPORTED", "OUT_OF_MEMORY", "TORCH"]),
    ("mem3d_session_new", &["OUT_OF_MEMORY", "TORCH"]),
    ("mem3d_session_interact", &["UNSUPPORTED", "BAD_MODEL", "OUT_OF_MEMORY", "TORCH"]),
    ("mem3d_session_set_slice_mask", &["OUT_OF_MEMORY"]),
    ("mem3d_session_set_mask", &["OUT_OF_MEMORY"]),
    ("mem3d_session_accept", &["OUT_OF_MEMORY"]),
    ("mem3d_session_undo", &["OUT_OF_MEMORY"]),
    ("mem3d_session_redo", &["OUT_OF_MEMORY"]),
    ("mem3d_session_reset", &["OUT_OF_MEMORY"]),
    ("mem3d_session_propagate", &["INVALID_STATE", "CANCELLED", "BAD_MODEL", "OUT_OF_MEMORY", "TORCH"]),
    ("mem3d_session_read_labels", &["OUT_OF_MEMORY"]),
    ("mem3d_session_save", &["IO", "OUT_OF_MEMORY"]),
    ("mem3d_session_restore", &["INVALID_ARGUMENT", "IO", "OUT_OF_MEMORY"]),
];

/// A function of the committed header.
struct Function {
    name: String,
    returns: String,
    parameters: Vec<String>,
    /// Its comment, one line.
    doc: String,
}

fn functions() -> Vec<Function> {
    let header = read("include/mem3d.h");
    let blocks = header.split("\n\n").filter_map(|block| block.split_once("MEM3D_API "));
    let blocks = blocks.filter(|(doc, _)| doc.starts_with("/**"));
    blocks
        .map(|(doc, declaration)| {
            let (start, parameters) = declaration.split_once('(').unwrap();
            let (returns, name) = start.rsplit_once([' ', '*']).unwrap();
            let parameters = parameters.split_once(')').unwrap().0.split(',').filter(|p| *p != "void");
            Function {
                name: name.to_owned(),
                returns: returns.to_owned(),
                parameters: parameters.map(|p| p.rsplit([' ', '*']).next().unwrap().to_owned()).collect(),
                doc: doc.lines().map(|l| l.trim_start_matches([' ', '*', '/'])).collect::<Vec<_>>().join(" "),
            }
        })
        .collect()
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
        "include/mem3d.h is out of date (first difference at line {:?}); \
         run: MEM3D_UPDATE_HEADER=1 cargo test --test header",
        differs.map(|n| n + 1)
    );
}

#[test]
fn every_function_is_in_every_language() {
    let functions: Vec<_> = exported().into_iter().filter(|item| item.is_function).map(|item| item.name).collect();
    assert!(functions.len() > 30, "only {} exported functions were found", functions.len());
    let null_test = read("tests/capi/test_null.c");
    for file in ["include/mem3d.h", "include/mem3d.hpp", "slicer-module/Mem3D/Mem3DLib/NativeTypes.py"] {
        let text = read(file);
        let missing: Vec<_> = functions.iter().filter(|name| !has_word(&text, name)).collect();
        assert!(missing.is_empty(), "{file} lacks {missing:?}");
    }
    let no_pointers =
        ["mem3d_version", "mem3d_abi_version", "mem3d_libtorch_version", "mem3d_last_error", "mem3d_set_thread_count"];
    let missing: Vec<_> =
        functions.iter().filter(|name| !no_pointers.contains(&name.as_str()) && !has_word(&null_test, name)).collect();
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
        let fields = fields.lines().map(|l| l.split(" ///<").next().unwrap().trim());
        for line in fields.filter(|l| l.ends_with(';') && !l.starts_with(['*', '/'])) {
            let field = line.trim_end_matches(';').split('[').next().unwrap().rsplit([' ', '*']).next().unwrap();
            let entry = format!("({name}, {field})");
            assert!(program.contains(&entry), "tests/capi/print_layout.c lacks {entry}");
        }
    }
    assert!(structs >= 10, "only {structs} structs were found");
}

#[test]
fn every_section_has_its_test() {
    let sections: BTreeSet<_> = exported().into_iter().map(|item| item.section).collect();
    assert!(sections.len() > 10, "only {sections:?} were found");
    for section in sections {
        let file = section.rsplit(": ").next().unwrap();
        let test: PathBuf = root().join(format!("tests/capi/test_{file}.c"));
        assert!(test.exists(), "the section \"{section}\" has no {}", test.display());
    }
}

#[test]
fn every_parameter_is_documented() {
    for function in functions() {
        let doc = &function.doc;
        let documented: Vec<_> = doc.split("@param").skip(1).map(|p| p.split_whitespace()).collect();
        let documented: Vec<_> = documented
            .into_iter()
            .map(|mut words| words.find(|w| !w.starts_with('[')).unwrap_or_default().to_owned())
            .collect();
        assert_eq!(documented, function.parameters, "{}: @param does not list its parameters", function.name);
        // Valid pointers are the rules' own; a comment that states them again hides what is special.
        assert!(!doc.contains("NULL or"), "{}: the rules on top state what pointers are valid", function.name);
    }
}

#[test]
fn every_status_is_documented() {
    let header = read("include/mem3d.h");
    let rules = header.split("@code").next().unwrap();
    for status in COMMON {
        assert!(has_word(rules, &format!("MEM3D_STATUS_{status}")), "the rules do not name {status}");
    }
    let mut left: Vec<_> = OWN.iter().map(|(name, _)| *name).collect();
    for function in functions() {
        let name = function.name.as_str();
        left.retain(|n| *n != name);
        if function.returns != "mem3d_status" {
            assert!(!function.doc.contains("#MEM3D_STATUS_"), "{name} returns no status");
            assert_eq!(function.returns == "void", !function.doc.contains("@return "), "{name}: @return");
            continue;
        }
        let text = function.doc.split("@return ").nth(1).unwrap_or_default().split("@pre").next().unwrap();
        let statuses: Vec<_> = text.split("#MEM3D_STATUS_").skip(1).collect();
        let documented: Vec<_> = statuses.iter().map(|s| s.split(|c| !is_name(c)).next().unwrap()).collect();
        let own = OWN.iter().find(|(n, _)| *n == name).map_or(&[][..], |(_, own)| own);
        assert_eq!(documented, own, "{name}: @return");
        for (status, text) in documented.iter().zip(&statuses) {
            assert!(header.contains(&format!("MEM3D_STATUS_{status} ")), "{name}: there is no status {status}");
            let cause = text[status.len()..].starts_with(" (");
            assert!(cause || !COMMON.contains(status), "{name}: {status} is common, and has no special cause");
        }
    }
    assert!(left.is_empty(), "the header lacks {left:?}");
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
    text.match_indices(word).any(|(at, _)| {
        !text[..at].chars().next_back().is_some_and(is_name)
            && !text[at + word.len()..].chars().next().is_some_and(is_name)
    })
}

#[test]
fn the_readme_shows_the_examples_that_are_tested() {
    let readme = read("README.md");
    for example in ["examples/c/hello.c", "examples/cpp/hello.cpp", "examples/python/first.py"] {
        assert!(readme.contains(&read(example)), "README.md does not show {example} as it is");
    }
}
