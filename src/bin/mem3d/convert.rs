//! `mem3d convert`: published PyTorch checkpoints to a model file of the paper preset.

use crate::common::output::{Kind, say};
use crate::common::{console, output};
use mem3d::nn::InteractionKind;
use mem3d::nn::import::checkpoint;
use mem3d::nn::import::published::{ConvertReport, Importer, Network};
use mem3d::nn::weights::{self, DiskFormat, Header};
use mem3d::torch;
use mem3d::{Error, Result};
use serde::Serialize;
use std::path::{Path, PathBuf};

/// Imports published PyTorch checkpoints (.pth, .pt) into a model file of the paper preset, without running anything in
/// them.
///
/// Known are the space-time-memory network, with or without the quality head, and the coarse-to-fine interaction
/// network; the names in a checkpoint decide which one it is.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Checkpoints. An interaction network named here serves every kind without a network of its own.
    checkpoints: Vec<PathBuf>,
    /// An interaction network for some kinds (scribble, box, extreme_points, click), e.g. --for click,box=iog.pth.
    #[arg(long = "for", value_name = "KINDS=FILE", value_parser = parse_for)]
    for_kinds: Vec<ForKinds>,
    /// Model file to write.
    #[arg(long, short, value_name = "FILE")]
    out: PathBuf,
    /// Number format of the file.
    #[arg(long, value_enum, default_value_t = Format::F32)]
    precision: Format,
    /// Fill tensors that no checkpoint holds with random numbers made from this seed, instead of failing.
    #[arg(long, value_name = "SEED")]
    fill: Option<i64>,
    /// Name of the model [default: that of the file].
    #[arg(long)]
    name: Option<String>,
    /// Origin of the weights [default: names and checksums of the checkpoints].
    #[arg(long)]
    provenance: Option<String>,
    /// Licence of the weights, as SPDX identifier or a sentence.
    #[arg(long, default_value = "unknown; ask those who published the checkpoints")]
    licence: String,
    /// Also writes what is and is not loaded as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Replace the model file if it exists.
    #[arg(long, short)]
    force: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// float32
    F32,
    /// float16, half the size
    F16,
    /// bfloat16, half the size
    Bf16,
}

/// A checkpoint and the kinds of interaction it is for.
#[derive(Debug, Clone, PartialEq)]
struct ForKinds {
    kinds: Vec<InteractionKind>,
    path: PathBuf,
}

const KINDS: [(&str, InteractionKind); 4] = [
    ("scribble", InteractionKind::Scribble),
    ("box", InteractionKind::Box),
    ("extreme_points", InteractionKind::ExtremePoints),
    ("click", InteractionKind::Click),
];

fn parse_for(text: &str) -> std::result::Result<ForKinds, String> {
    let (kinds, path) = text.split_once('=').ok_or("write it as KINDS=FILE, e.g. click,box=iog.pth")?;
    let kind = |name: &str| {
        let found = KINDS.iter().find(|(known, _)| *known == name.trim().replace('-', "_"));
        found.map(|(_, kind)| *kind).ok_or_else(|| {
            format!("there is no kind \"{name}\"; there are {}", KINDS.map(|(known, _)| known).join(", "))
        })
    };
    let kinds = kinds.split(',').map(kind).collect::<std::result::Result<_, _>>()?;
    Ok(ForKinds { kinds, path: path.into() })
}

#[derive(Debug, Serialize)]
struct Report {
    model: PathBuf,
    sha256: String,
    checkpoints: Vec<CheckpointEntry>,
    /// Tensors with random numbers.
    filled: Vec<String>,
    notes: Vec<String>,
}

#[derive(Debug, Serialize)]
struct CheckpointEntry {
    file: String,
    network: &'static str,
    tensors_loaded: usize,
    numbers_loaded: usize,
    not_loaded: Vec<NotLoaded>,
}

#[derive(Debug, Serialize)]
struct NotLoaded {
    name: String,
    reason: String,
}

/// Runs the subcommand; prints what is and is not loaded, and the path of the model.
///
/// # Errors
/// As reading the checkpoints, [`Importer`] and writing the model.
pub fn run(args: &Args) -> Result<()> {
    let sources = sources(args)?;
    let inputs: Vec<&Path> = sources.iter().map(|s| s.path.as_path()).collect();
    if let Some(missing) = inputs.iter().find(|p| !p.exists()) {
        return Err(Error::io(missing, std::io::ErrorKind::NotFound.into()));
    }
    output::check_as(Kind::Model, &args.out, args.force, &inputs)?;
    if let Some(path) = &args.json {
        output::check_as(Kind::Json, path, true, &inputs)?;
    }
    output::distinct(std::iter::once(&args.out).chain(&args.json))?;
    let mut importer = Importer::default();
    let mut from = Vec::new();
    for source in &sources {
        let name = source.path.display().to_string();
        let read = console::busy(format!("reading {name}"), || torch::run(|| checkpoint::read(&source.path)))??;
        if !read.place.is_empty() {
            log::info!("{name}: its state dict is the entry {}", read.place);
        }
        for (entry, what) in &read.others {
            log::info!("{name}: the entry {entry} is {what}, no tensor; it is not needed");
        }
        importer.add(&name, read.tensors, &source.kinds)?;
        let file_name = source.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        from.push(format!("{file_name} (SHA-256 {})", checksum(&source.path)?));
    }
    let imported = console::busy("building the networks", || torch::run(|| importer.finish(args.fill)))??;
    let stem = args.out.file_stem().unwrap_or_default().to_string_lossy();
    let name = args.name.clone().unwrap_or_else(|| stem.into_owned());
    let mut provenance = args.provenance.clone().unwrap_or_else(|| format!("imported from {}", from.join(", ")));
    if !imported.report.filled.is_empty() {
        provenance += &format!("; {} tensors hold random numbers", imported.report.filled.len());
    }
    let header = Header::new(imported.info(&name, &provenance, &args.licence), &imported.config)?;
    let format = match args.precision {
        Format::F32 => DiskFormat::F32,
        Format::F16 => DiskFormat::F16,
        Format::Bf16 => DiskFormat::Bf16,
    };
    let what = format!("writing {}", args.out.display());
    let sha256 = console::busy(what, || {
        let write = |path: &Path| weights::write(path, &header, &imported.tensors, format);
        output::deliver(&args.out, ".safetensors", write)
    })?;
    let report = report(args, sha256, imported.report);
    print(&report);
    match &args.json {
        Some(path) => output::write_json(path, &report),
        None => Ok(()),
    }
}

/// Every checkpoint and its kinds: those with kinds first; one without takes the kinds that are left.
fn sources(args: &Args) -> Result<Vec<ForKinds>> {
    let mut sources = args.for_kinds.clone();
    let taken: Vec<InteractionKind> = sources.iter().flat_map(|s| s.kinds.iter().copied()).collect();
    let left: Vec<InteractionKind> = KINDS.iter().map(|(_, k)| *k).filter(|k| !taken.contains(k)).collect();
    // An importer without kinds serves all of them.
    let kinds = if taken.is_empty() { Vec::new() } else { left };
    let named = |path: &PathBuf| args.for_kinds.iter().any(|s| s.path == *path);
    sources.extend(
        args.checkpoints.iter().filter(|p| !named(p)).map(|path| ForKinds { kinds: kinds.clone(), path: path.clone() }),
    );
    if sources.is_empty() {
        return Err(Error::argument("no checkpoint is named; give the .pth files to import"));
    }
    Ok(sources)
}

fn checksum(path: &Path) -> Result<String> {
    use sha2::Digest;
    let mut hash = sha2::Sha256::new();
    let mut file = std::fs::File::open(path).map_err(|e| Error::io(path, e))?;
    std::io::copy(&mut file, &mut hash).map_err(|e| Error::io(path, e))?;
    Ok(weights::hex(&hash.finalize()))
}

fn report(args: &Args, sha256: String, report: ConvertReport) -> Report {
    let entry = |c: mem3d::nn::import::published::CheckpointReport| CheckpointEntry {
        file: c.source,
        network: match c.network {
            Network::Memory => "memory network",
            Network::Interaction => "interaction network",
        },
        tensors_loaded: c.n_loaded,
        numbers_loaded: c.n_values,
        not_loaded: c.not_loaded.into_iter().map(|(name, reason)| NotLoaded { name, reason }).collect(),
    };
    Report {
        model: args.out.clone(),
        sha256,
        checkpoints: report.checkpoints.into_iter().map(entry).collect(),
        filled: report.filled,
        notes: report.notes,
    }
}

fn print(report: &Report) {
    for c in &report.checkpoints {
        say!(
            "{}: {}, {} tensors with {:.1} million numbers loaded, {} not",
            c.file,
            c.network,
            c.tensors_loaded,
            c.numbers_loaded as f64 / 1e6,
            c.not_loaded.len()
        );
        // There are many names and few reasons.
        let mut reasons: Vec<&str> = c.not_loaded.iter().map(|n| n.reason.as_str()).collect();
        reasons.sort_unstable();
        reasons.dedup();
        for reason in reasons {
            let names: Vec<&str> =
                c.not_loaded.iter().filter(|n| n.reason == reason).map(|n| n.name.as_str()).collect();
            let more = if names.len() > 3 { format!(" and {} more", names.len() - 3) } else { String::new() };
            say!("  not loaded, {reason}: {}{more}", names[..names.len().min(3)].join(", "));
        }
    }
    if !report.filled.is_empty() {
        say!("{} tensors were in no checkpoint and hold random numbers", report.filled.len());
    }
    report.notes.iter().for_each(|note| say!("note: {note}"));
    say!("{}", report.model.display());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_and_files() {
        let parsed = parse_for("click,extreme-points=a=b.pth").unwrap();
        let kinds = vec![InteractionKind::Click, InteractionKind::ExtremePoints];
        assert_eq!(parsed, ForKinds { kinds, path: "a=b.pth".into() });
        assert!(parse_for("iog.pth").unwrap_err().contains("KINDS=FILE"));
        assert!(parse_for("lasso=iog.pth").unwrap_err().contains("extreme_points"));
    }
}
