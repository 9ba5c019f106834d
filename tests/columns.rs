//! Code, comments and Markdown prose have at most 120 columns.

use std::fs;
use std::path::Path;
use std::process::Command;

const COLUMNS: usize = 120;
const CHECKED: [&str; 11] = ["rs", "py", "c", "h", "cc", "cpp", "hpp", "md", "sh", "cmake", "yml"];
/// Generated, from files that are checked.
const EXCEPT: [&str; 1] = ["include/mem3d.h"];

/// What of a line counts: all but addresses and targets of links.
fn counted(line: &str) -> usize {
    let mut kept = String::new();
    for (n, part) in line.split("](").enumerate() {
        kept += if n == 0 { part } else { part.split_once(')').map_or(part, |(_, after)| after) };
    }
    kept.split(' ').filter(|word| !word.contains("://")).map(|word| word.chars().count() + 1).sum::<usize>() - 1
}

/// Numbers of the lines that are too long; in Markdown without tables and blocks of code.
fn too_long(text: &str, markdown: bool) -> Vec<usize> {
    let (mut fenced, mut indented, mut blank) = (false, false, true);
    let mut found = Vec::new();
    for (n, line) in text.lines().enumerate() {
        let fence = line.trim_start().starts_with("```");
        fenced ^= fence;
        // An indented block of code starts after an empty line.
        indented = line.starts_with("    ") && (indented || blank);
        blank = line.trim().is_empty();
        let exempt = markdown && (fenced || fence || indented || line.trim_start().starts_with('|'));
        if !exempt && line.chars().count() > COLUMNS && counted(line) > COLUMNS {
            found.push(n + 1);
        }
    }
    found
}

#[test]
fn no_line_is_too_long() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let listed = Command::new("git").args(["ls-files", "-z"]).current_dir(root).output().expect("git runs");
    assert!(listed.status.success(), "git ls-files: {}", String::from_utf8_lossy(&listed.stderr));
    let listed = String::from_utf8(listed.stdout).unwrap();
    let checked = |path: &&str| {
        let extension = Path::new(path).extension().and_then(|e| e.to_str());
        extension.is_some_and(|e| CHECKED.contains(&e)) && !EXCEPT.contains(path)
    };
    let files: Vec<&str> = listed.split('\0').filter(checked).filter(|path| root.join(path).is_file()).collect();
    assert!(files.len() > 200, "only {} files were found", files.len());
    let mut found = Vec::new();
    for path in files {
        let text = fs::read_to_string(root.join(path)).unwrap_or_else(|e| panic!("{path}: {e}"));
        found.extend(too_long(&text, path.ends_with(".md")).into_iter().map(|n| format!("{path}:{n}")));
    }
    assert!(found.is_empty(), "{} lines have more than {COLUMNS} columns:\n{}", found.len(), found.join("\n"));
}

#[test]
fn a_line_that_is_too_long_is_found() {
    let (fits, long) = ("ä".repeat(120), "ä".repeat(121));
    assert_eq!(too_long(&format!("{fits}\n{long}\n"), false), [2]);
    assert_eq!(too_long(&long, true), [1]);
    // Tables and blocks of code, in Markdown alone.
    for line in [format!("| {long} |"), format!("```\n{long}\n```"), format!("\n    {long}\n    {long}")] {
        assert!(too_long(&line, true).is_empty() && !too_long(&line, false).is_empty(), "{line}");
    }
    assert_eq!(too_long(&format!("```\n{long}\n```\n{long}"), true), [4]);
    assert_eq!(too_long(&format!("- item\n    {long}"), true), [2]);
    // Addresses and targets of links do not count, what stands around them does.
    assert!(too_long(&format!("{}[text](a/{long})", "x".repeat(114)), true).is_empty());
    assert_eq!(too_long(&format!("{}[text](a/{long})", "x".repeat(116)), true), [1]);
    assert!(too_long(&format!("// https://example.org/{long} see there"), false).is_empty());
}
