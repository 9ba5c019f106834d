//! The direction of dependencies: fails on a `crate::` path against the arrows drawn in `src/lib.rs`, and on files that
//! use each other in a circle.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Every layer and what it may use besides itself.
const ARROWS: [(&str, &[&str]); 13] = [
    ("error", &[]),
    ("volume", &["error"]),
    // Written files, of io and of whoever has a file of its own.
    ("atomic_file", &["error"]),
    // Files that are read, of any layer.
    ("input_file", &["error"]),
    ("io", &["error", "volume", "atomic_file", "input_file"]),
    // The libtorch runtime knows no networks.
    ("torch", &["error"]),
    // Geometry of one slice: no networks, no session.
    ("slice", &["error", "volume", "torch"]),
    // Tensors are its vocabulary: no volume, no session.
    ("nn", &["error", "torch", "atomic_file", "input_file"]),
    ("engine", &["error", "volume", "torch", "slice", "nn"]),
    // Recorded interactions; io for the label volumes that they name.
    ("interactions", &["error", "volume", "nn", "engine", "io"]),
    ("eval", &["error", "volume", "torch", "slice", "nn", "engine", "io", "atomic_file", "input_file"]),
    ("train", &["error", "volume", "torch", "slice", "nn", "engine", "eval", "io", "atomic_file", "input_file"]),
    // io for saved sessions only.
    ("ffi", &["error", "volume", "torch", "nn", "engine", "io"]),
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

/// A crate's files as modules: the names that lead to each, its path and its code.
struct Module {
    names: Vec<String>,
    file: String,
    tokens: Vec<String>,
}

/// Names and punctuation of `code`, without comments, text and the unit tests; `::` is one token.
fn tokens(text: &str) -> Vec<String> {
    let code: Vec<char> = code(text).chars().collect();
    let (mut tokens, mut i) = (Vec::new(), 0);
    let is_name = |c: char| c.is_alphanumeric() || c == '_';
    while i < code.len() {
        let from = i;
        match code[i] {
            '/' if code.get(i + 1) == Some(&'/') => i += code[i..].iter().take_while(|&&c| c != '\n').count(),
            '"' => {
                i += 1;
                while i < code.len() && code[i] != '"' {
                    i += if code[i] == '\\' { 2 } else { 1 };
                }
                i += 1;
            }
            // A character, not a lifetime.
            '\'' if code.get(i + 1) == Some(&'\\') => {
                i += 3 + code[i + 3..].iter().take_while(|&&c| c != '\'').count() + 1
            }
            '\'' if code.get(i + 2) == Some(&'\'') => i += 3,
            ':' if code.get(i + 1) == Some(&':') => {
                i += 2;
                tokens.push("::".to_owned());
            }
            c if is_name(c) => {
                i += code[i..].iter().take_while(|&&c| is_name(c)).count();
                tokens.push(code[from..i].iter().collect());
            }
            c => {
                i += 1;
                if !c.is_whitespace() {
                    tokens.push(c.to_string());
                }
            }
        }
    }
    tokens
}

/// The paths that begin at token `at`, a group's one by one; where the next token is.
fn paths(tokens: &[String], mut at: usize) -> (Vec<Vec<String>>, usize) {
    let is = |at: usize, token: &str| tokens.get(at).is_some_and(|t| t == token);
    if is(at, "{") {
        let mut all = Vec::new();
        at += 1;
        while at < tokens.len() && !is(at, "}") {
            if is(at, ",") {
                at += 1;
                continue;
            }
            let (found, next) = paths(tokens, at);
            all.extend(found);
            at = next;
            while at < tokens.len() && !is(at, ",") && !is(at, "}") {
                at += 1;
            }
        }
        return (all, at + 1);
    }
    let name = tokens[at].clone();
    if is(at + 1, "::") && tokens.get(at + 2).is_some_and(|t| t != "<") {
        let (rest, next) = paths(tokens, at + 2);
        return (rest.into_iter().map(|r| [vec![name.clone()], r].concat()).collect(), next);
    }
    (vec![vec![name]], at + 1)
}

impl Module {
    fn new(file: &str, text: &str) -> Module {
        let path = file.trim_end_matches(".rs");
        let mut names: Vec<String> = path.split('/').map(str::to_owned).collect();
        if ["lib", "main", "mod"].contains(&names.last().unwrap().as_str()) {
            names.pop();
        }
        Module { names, file: file.to_owned(), tokens: tokens(text) }
    }

    /// Names of the modules that the file declares in files of their own.
    fn children(&self) -> Vec<&str> {
        let declared = self.tokens.windows(3).filter(|t| t[0] == "mod" && t[2] == ";");
        declared.map(|t| t[1].as_str()).collect()
    }

    /// Paths from the crate's root that the file names, and whether each is only passed on (`pub use`).
    fn used(&self) -> Vec<(Vec<String>, bool)> {
        let children = self.children();
        let (mut used, mut at) = (Vec::new(), 0);
        while at < self.tokens.len() {
            let before = |n: usize| at.checked_sub(n).map_or("", |i| self.tokens[i].as_str());
            let begins = before(1) != "::" && before(1) != "$" && self.tokens.get(at + 1).is_some_and(|t| t == "::");
            let first = self.tokens[at].as_str();
            if !begins || !(["crate", "super", "self"].contains(&first) || children.contains(&first)) {
                at += 1;
                continue;
            }
            let passed_on = before(1) == "use" && (before(2) == "pub" || before(2) == ")");
            let (found, next) = paths(&self.tokens, at);
            for path in found {
                let mut whole = if path[0] == "crate" { Vec::new() } else { self.names.clone() };
                for name in path {
                    match name.as_str() {
                        "crate" | "self" | "*" => {}
                        "super" => drop(whole.pop()),
                        _ => whole.push(name),
                    }
                }
                used.push((whole, passed_on));
            }
            at = next;
        }
        used
    }
}

/// For each file of a crate those that it uses. What a file passes on from its own folder counts as used by whoever
/// takes it there.
fn graph(modules: &[Module]) -> Vec<BTreeSet<usize>> {
    let at: BTreeMap<&[String], usize> = modules.iter().enumerate().map(|(i, m)| (m.names.as_slice(), i)).collect();
    let used: Vec<Vec<(Vec<String>, bool)>> = modules.iter().map(Module::used).collect();
    let deepest = |path: &[String]| (0..=path.len()).rev().find_map(|n| at.get(&path[..n]).map(|&i| (i, n)));
    let file = |path: &[String]| {
        let mut path = path.to_vec();
        loop {
            let (i, n) = deepest(&path)?;
            let inside = used[i].iter().filter(|(_, passed_on)| *passed_on);
            let inner = inside
                .map(|(inner, _)| inner)
                .find(|inner| path.len() > n && inner.last() == path.get(n) && inner.len() > n + 1);
            match inner {
                Some(inner) => path = [inner, &path[n + 1..]].concat(),
                None => return Some(i),
            }
        }
    };
    let own = |i: usize, path: &[String]| path.starts_with(&modules[i].names);
    let edges = |i: usize| used[i].iter().filter(move |(path, passed_on)| !(*passed_on && own(i, path)));
    (0..modules.len()).map(|i| edges(i).filter_map(|(path, _)| file(path)).filter(|&j| j != i).collect()).collect()
}

/// Groups of files each of which uses the others, directly or through others.
fn circles(modules: &[Module]) -> Vec<Vec<&str>> {
    let graph = graph(modules);
    let reached = |from: usize| {
        let (mut seen, mut open) = (BTreeSet::new(), vec![from]);
        while let Some(i) = open.pop() {
            open.extend(graph[i].iter().filter(|j| seen.insert(**j)));
        }
        seen
    };
    let reached: Vec<BTreeSet<usize>> = (0..modules.len()).map(reached).collect();
    let circle =
        |i: usize| (0..modules.len()).filter(|&j| reached[i].contains(&j) && reached[j].contains(&i)).collect();
    let found: BTreeSet<Vec<usize>> = (0..modules.len()).map(circle).filter(|c: &Vec<usize>| c.len() > 1).collect();
    found.into_iter().map(|c| c.into_iter().map(|i| modules[i].file.as_str()).collect()).collect()
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
    assert_eq!(against("volume", "use crate::{\n    error::Result, nn::model,\n};"), ["nn"]);
    assert!(against("engine", "use crate::error::{Error, Result};\nuse crate::with_voxels;").is_empty());
    assert!(against("volume", "macro_rules! m { () => { $crate::nn::x } }").is_empty());
    assert!(against("nn", "#[cfg(test)]\nmod tests {\n    use crate::engine::Session;\n}").is_empty());
}

/// The modules of the crate whose root lies in `folder`; other crates' files in it are left out.
fn modules(folder: &Path, others: &str) -> Vec<Module> {
    let mut all = Vec::new();
    files(folder, &mut all);
    all.sort();
    let names = all.iter().map(|path| (path, path.strip_prefix(folder).unwrap().to_str().unwrap()));
    names
        .filter(|(_, name)| !name.starts_with(others))
        .map(|(path, name)| Module::new(name, &fs::read_to_string(path).unwrap()))
        .collect()
}

#[test]
fn no_files_use_each_other_in_a_circle() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for (modules, least) in [(modules(&src, "bin/"), 150), (modules(&src.join("bin/mem3d"), "font/"), 25)] {
        assert!(modules.len() > least, "only {} files were found", modules.len());
        // A circle cannot be missed because paths were: every file but the roots and lists of modules uses another.
        let edges: usize = graph(&modules).iter().map(BTreeSet::len).sum();
        assert!(edges > modules.len(), "only {edges} uses were found in {} files", modules.len());
        let circles = circles(&modules);
        assert!(circles.is_empty(), "files in a circle; move what they share into a file of its own: {circles:?}");
    }
}

#[test]
fn a_circle_of_files_is_found() {
    let found = |files: &[(&str, &str)]| -> Vec<Vec<String>> {
        let modules: Vec<Module> = files.iter().map(|(file, text)| Module::new(file, text)).collect();
        circles(&modules).into_iter().map(|c| c.into_iter().map(str::to_owned).collect()).collect()
    };
    let root = ("lib.rs", "pub mod a;\nmod b;\npub use a::x::X;");
    // Through `super`, through `crate` in the middle of a line, and through what the folder passes on.
    let y = ("a/y.rs", "fn f<'a>(q: char) -> bool {\n    q == '\"' && crate::b::go() // crate::c::no\n}");
    let b = ("b.rs", "use crate::{\n    a::{X, Other as O},\n    std_like::Thing,\n};\npub fn go() -> bool { true }");
    let a = ("a/mod.rs", "mod x;\nmod y;\npub use x::{Other, X};");
    let x = ("a/x.rs", "use super::y::f;\npub struct X;\npub struct Other;");
    assert_eq!(found(&[root, a, b, x, y]), [["b.rs", "a/x.rs", "a/y.rs"]]);
    // The list of modules and what it passes on is no use of its own.
    let x = ("a/x.rs", "pub struct X;\n// use super::y::f;\n#[cfg(test)]\nmod tests {\n    use super::super::y::f;\n}");
    assert!(found(&[root, a, b, x, y]).is_empty());
    // A file that uses what its folder's file defines, and is used there.
    let parent = ("a/mod.rs", "mod x;\npub struct Shared;\nfn g() { x::h() }");
    let child = ("a/x.rs", "use super::Shared;\npub fn h() {}");
    assert_eq!(found(&[parent, child]), [["a/mod.rs", "a/x.rs"]]);
    assert!(found(&[parent, ("a/x.rs", "pub fn h() { \"super::Shared\"; }")]).is_empty());
    assert!(found(&[("a/mod.rs", "mod x;\npub struct Shared;"), child]).is_empty());
}
