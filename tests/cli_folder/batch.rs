//! A list of cases in a folder, its batch, and what this says of them.

use super::{Folder, Run};
use std::collections::BTreeMap;
use std::path::Path;

/// The last word about each case of a batch.
pub fn last_words(run: &Run) -> Vec<&str> {
    run.out.lines().filter(|l| l.starts_with("case ")).map(|l| l.rsplit(' ').next().unwrap()).collect()
}

/// `cases.csv` with `count` cases of the small volume, out/0.seg.nrrd and so on, and further lines.
pub fn list(f: &Folder, count: usize, more: &str) {
    let cases: String = (0..count).map(|n| format!("ct.nrrd,p.json,out/{n}.seg.nrrd\n")).collect();
    f.write("cases.csv", format!("volume,prompts,output\n{cases}{more}").as_bytes());
}

/// A command on `cases.csv` that takes little time.
pub fn batch<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&["batch", "cases.csv", "--stop-after-empty", "1", "--threads", "2"], more].concat()
}

/// Rows of a table, by output: status, error, and what made the output.
pub fn rows(path: &Path) -> BTreeMap<String, [String; 3]> {
    let mut reader = csv::Reader::from_path(path).unwrap();
    let column = |name: &str| reader.headers().unwrap().iter().position(|h| h == name).unwrap();
    let columns = ["output", "status", "error", "output_sha256"].map(column);
    let row = |r: csv::StringRecord| columns.map(|c| r[c].to_string());
    reader.records().map(|r| row(r.unwrap())).map(|[output, a, b, c]| (output, [a, b, c])).collect()
}
