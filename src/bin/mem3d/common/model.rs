//! Model and device of a subcommand. The model is, in this order:
//!
//! 1. `--model FILE`, or `--model random[:SEED]` for random weights, whose masks are meaningless;
//! 2. the same in the environment variable `MEM3D_MODEL`;
//! 3. `models/compact.safetensors` beside the executable or in one of the two folders above it (`target/release` of a
//!    checkout), or in `share/mem3d` of an installation.

use super::console;
use mem3d::nn::Preset;
use mem3d::nn::model::{Model, Precision};
use mem3d::torch::processors;
use mem3d::{Error, Result};
use std::path::{Path, PathBuf};

/// Options of every subcommand that runs a model.
#[derive(Debug, Clone, clap::Args)]
#[group(skip)]
pub struct Args {
    /// Model file, or random[:SEED] for random weights [default: MEM3D_MODEL, or the model that comes with mem3d].
    #[arg(long, value_name = "FILE")]
    model: Option<PathBuf>,
    /// auto (CUDA if there is one), cpu or cuda:N.
    #[arg(long, default_value = "auto")]
    device: String,
    /// Number format of the arithmetic.
    #[arg(long, value_enum, default_value_t = PrecisionArg::Auto)]
    precision: PrecisionArg,
    /// Threads of the CPU, or auto: the processors that other programs leave free now [default: OMP_NUM_THREADS, or
    /// auto; evaluate: all that the process may use].
    #[arg(long, value_name = "N", value_parser = parse_threads)]
    threads: Option<Threads>,
}

/// Values of `--threads`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Threads {
    /// As many as processors are free.
    Free,
    Count(u32),
}

fn parse_threads(text: &str) -> std::result::Result<Threads, String> {
    match text.parse() {
        _ if text == "auto" => Ok(Threads::Free),
        Ok(count) if count > 0 => Ok(Threads::Count(count)),
        _ => Err("give a number from 1 on, or auto".into()),
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum PrecisionArg {
    /// float32
    Auto,
    /// float32; on CUDA, convolutions may round to TF32
    F32,
    /// bfloat16
    Bf16,
    /// float16, CUDA only
    F16,
}

/// Values of `--model` and `MEM3D_MODEL`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice {
    /// A model file.
    File(PathBuf),
    /// Random weights of the compact preset, made from a seed.
    Random(i64),
}

impl Choice {
    fn parse(text: PathBuf) -> Result<Choice> {
        let Some(rest) = text.to_str().and_then(|t| t.strip_prefix("random")) else {
            return Ok(Choice::File(text));
        };
        match rest.strip_prefix(':').map(str::parse) {
            None if rest.is_empty() => Ok(Choice::Random(1)),
            Some(Ok(seed)) => Ok(Choice::Random(seed)),
            Some(Err(_)) => {
                Err(Error::argument(format!("\"{}\": a seed is a whole number, e.g. random:7", text.display())))
            }
            None => Ok(Choice::File(text)),
        }
    }

    /// The model of `given`, or the default one.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] when there is none.
    pub fn find(given: Option<&PathBuf>) -> Result<Choice> {
        if let Some(named) = named(given) {
            return Choice::parse(named);
        }
        let places = places();
        if let Some(found) = places.iter().find(|p| p.is_file()) {
            return Ok(Choice::File(found.clone()));
        }
        let beside = places.first().map(|p| p.display().to_string()).unwrap_or_default();
        Err(Error::argument(format!(
            "there is no model: none at {beside} or in the folders above it. Name one with --model or the environment \
             variable MEM3D_MODEL: a model file that comes with mem3d, that you trained, or that `mem3d convert` made; \
             `--model random` tries everything with random weights"
        )))
    }
}

/// What the user names as the model: the option, else the variable.
fn named(given: Option<&PathBuf>) -> Option<PathBuf> {
    let set = || std::env::var_os("MEM3D_MODEL").filter(|value| !value.is_empty()).map(PathBuf::from);
    given.cloned().or_else(set)
}

/// Possible places of the default model.
fn places() -> Vec<PathBuf> {
    let executable = std::env::current_exe().and_then(|p| p.canonicalize()).unwrap_or_default();
    let above = |folder: &Path| folder.join("models/compact.safetensors");
    let mut places: Vec<PathBuf> = executable.ancestors().skip(1).take(3).map(above).collect();
    places.extend(executable.ancestors().nth(2).map(|prefix| above(&prefix.join("share/mem3d"))));
    places
}

impl Args {
    /// The model of these options.
    ///
    /// # Errors
    /// As [`Choice::find`].
    pub fn choice(&self) -> Result<Choice> {
        Choice::find(self.model.as_ref())
    }

    /// Whether the user names a model, by the option or the variable.
    pub fn is_named(&self) -> bool {
        named(self.model.as_ref()).is_some()
    }

    /// The model's file, where it is one.
    pub fn file(&self) -> Option<PathBuf> {
        match self.choice() {
            Ok(Choice::File(path)) => Some(path),
            _ => None,
        }
    }

    /// The options here that change masks.
    pub fn options(&self) -> String {
        format!("precision={:?}", self.precision).to_lowercase()
    }

    /// The number of threads: that of the user, or of the processors that other programs leave free.
    pub fn threads(&self) -> usize {
        self.threads_or(|| {
            let (allowed, free) = (processors::allowed(), processors::free());
            if free < allowed {
                let threads = console::counted(free, "thread");
                log::info!(
                    "free processors: {free} of {allowed}; this takes {threads}, and masks may differ in single voxels \
                     from those of {allowed}; --threads N fixes the number"
                );
            }
            free
        })
    }

    /// The number of threads: that of the user, or `default`.
    pub fn threads_or(&self, default: impl FnOnce() -> usize) -> usize {
        match self.threads {
            Some(Threads::Count(count)) => count as usize,
            Some(Threads::Free) => processors::free(),
            None => default(),
        }
    }

    /// Loads the model and sets the number of threads.
    ///
    /// # Errors
    /// As [`Args::load_with`].
    pub fn load(&self) -> Result<Model> {
        self.load_with(self.threads())
    }

    /// Loads the model and sets the number of threads.
    ///
    /// # Errors
    /// As [`Choice::find`], [`processors::set_threads`] and [`Model::load`].
    pub fn load_with(&self, threads: usize) -> Result<Model> {
        let choice = self.choice()?;
        processors::set_threads(threads)?;
        let precision = match self.precision {
            PrecisionArg::Auto => Precision::Auto,
            PrecisionArg::F32 => Precision::F32,
            PrecisionArg::Bf16 => Precision::Bf16,
            PrecisionArg::F16 => Precision::F16,
        };
        let model = match &choice {
            Choice::File(path) => {
                let what = format!("loading the model {}", path.display());
                console::busy(what, || Model::load(path, &self.device, precision))?
            }
            Choice::Random(seed) => {
                log::warn!("the networks have random weights: their masks and qualities mean nothing");
                Model::random(Preset::Compact, *seed, &self.device, precision)?
            }
        };
        log::info!("model {} on {}", model.info().name, device_name(model.device()));
        Ok(model)
    }
}

/// `cpu` or `cuda:N`.
pub fn device_name(device: tch::Device) -> String {
    match device {
        tch::Device::Cuda(index) => format!("cuda:{index}"),
        _ => "cpu".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_and_seeds_are_distinguished() {
        let parse = |text: &str| Choice::parse(text.into());
        assert_eq!(parse("random").unwrap(), Choice::Random(1));
        assert_eq!(parse("random:-7").unwrap(), Choice::Random(-7));
        assert_eq!(parse("randomised.safetensors").unwrap(), Choice::File("randomised.safetensors".into()));
        assert_eq!(parse("m/random").unwrap(), Choice::File("m/random".into()));
        assert!(parse("random:x").unwrap_err().to_string().contains("random:7"));
    }

    #[test]
    fn threads_are_a_number_or_what_is_free() {
        assert_eq!(parse_threads("3"), Ok(Threads::Count(3)));
        assert_eq!(parse_threads("auto"), Ok(Threads::Free));
        assert!(["0", "-1", "", "all", "1.5"].iter().all(|text| parse_threads(text).is_err()));
    }

    #[test]
    fn the_default_lies_beside_the_executable_or_above() {
        let places = places();
        assert_eq!(places.len(), 4);
        assert!(places.iter().all(|p| p.ends_with("models/compact.safetensors")));
        assert!(places[3].ends_with("share/mem3d/models/compact.safetensors"));
    }
}
