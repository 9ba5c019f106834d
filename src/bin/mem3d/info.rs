//! `mem3d info`: libtorch, devices and models of this machine.

use crate::common::model::{Choice, device_name};
use crate::common::output;
use crate::common::output::{Kind, say};
use mem3d::Result;
use mem3d::nn::ModelInfo;
use mem3d::nn::model::{Model, Precision};
use mem3d::torch::{device, torch_ext};
use serde::Serialize;
use std::path::PathBuf;

/// Lists libtorch, devices and models.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Model files to describe [default: the one that would be used].
    models: Vec<PathBuf>,
    /// Also writes everything as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

#[derive(Debug, Serialize)]
struct Report {
    version: &'static str,
    libtorch: String,
    threads: i32,
    devices: Vec<device::DeviceInfo>,
    /// The device of `auto`.
    auto_device: String,
    /// Reason why CUDA cannot be used; null when it can.
    why_no_cuda: Option<String>,
    models: Vec<ModelReport>,
    /// Reason why there is no default model; null when there is, or when models are named.
    why_no_model: Option<String>,
}

#[derive(Debug, Serialize)]
struct ModelReport {
    file: PathBuf,
    sha256: String,
    /// Megabytes of the file.
    size_mb: f64,
    #[serde(flatten)]
    info: ModelInfo,
}

/// Runs the subcommand.
///
/// # Errors
/// As loading the models that were named.
pub fn run(args: &Args) -> Result<()> {
    let (files, why_no_model) = match (&args.models[..], Choice::find(None)) {
        ([], Ok(Choice::File(path))) => (vec![path], None),
        ([], Ok(Choice::Random(seed))) => (vec![], Some(format!("MEM3D_MODEL asks for random weights (seed {seed})"))),
        ([], Err(e)) => (vec![], Some(e.to_string())),
        (models, _) => (models.to_vec(), None),
    };
    if let Some(path) = &args.json {
        output::check_as(Kind::Json, path, true, &files.iter().map(PathBuf::as_path).collect::<Vec<_>>())?;
    }
    let report = Report {
        version: env!("CARGO_PKG_VERSION"),
        libtorch: torch_ext::libtorch_version(),
        threads: tch::get_num_threads(),
        devices: device::list(),
        auto_device: device_name(device::parse("auto")?),
        why_no_cuda: device::why_no_cuda(),
        models: files.into_iter().map(describe).collect::<Result<_>>()?,
        why_no_model,
    };
    print(&report);
    match &args.json {
        Some(path) => output::write_json(path, &report),
        None => Ok(()),
    }
}

/// Loads the whole model, so that only usable models are described.
fn describe(file: PathBuf) -> Result<ModelReport> {
    let model = Model::load(&file, "cpu", Precision::F32)?;
    let size_mb = std::fs::metadata(&file).map_or(0.0, |m| m.len() as f64 / 1e6);
    Ok(ModelReport { sha256: model.checksum().to_string(), size_mb, info: model.info().clone(), file })
}

fn print(report: &Report) {
    say!("mem3d     {}", report.version);
    say!("libtorch  {}, {} threads", report.libtorch, report.threads);
    let gb = |bytes: u64| bytes as f64 / 1e9;
    for device in &report.devices {
        let default = if device.id == report.auto_device { ", used by default" } else { "" };
        let memory = match device.memory_total {
            0 => String::new(),
            total => format!(", {:.1} of {:.1} GB free", gb(device.memory_free), gb(total)),
        };
        say!("device    {}: {}{memory}{default}", device.id, device.name);
    }
    if let Some(reason) = &report.why_no_cuda {
        say!("no CUDA   {reason}");
    }
    for model in &report.models {
        let info = &model.info;
        let kinds: Vec<_> = info.interactions.iter().map(|k| k.word()).collect();
        say!("model     {} ({:.1} MB)", model.file.display(), model.size_mb);
        say!("          {}, preset {:?}", info.name, info.preset);
        say!("          answers {}", if kinds.is_empty() { "no interaction".into() } else { kinds.join(", ") });
        say!(
            "          works at {0} x {0} pixels (region of interest) or {1} x {1} (whole slice)",
            info.network_size,
            info.slice_size
        );
        say!("          provenance: {}", info.provenance);
        say!("          licence: {}", info.licence);
        match &info.quality_calibration {
            Some(c) => say!(
                "          calibration: open {:?}, closed {:?}, empty {:?} (offset, slope), least doubt {}",
                c.open,
                c.closed,
                c.empty,
                c.least_doubt
            ),
            None => say!("          calibration: none"),
        }
        say!("          SHA-256 {}", model.sha256);
    }
    if let Some(reason) = &report.why_no_model {
        say!("no model  {reason}");
    }
}
