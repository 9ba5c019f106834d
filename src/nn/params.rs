//! Parameters of the networks: one declaration for loading, initialisation and sharing.
//!
//! A network requests each tensor from a [`Params`] by name, shape and initialisation and keeps the plain [`Tensor`].
//! The source of the tensors depends on how the [`Params`] is made:
//!
//! | made by | a tensor is | result of [`Params::finish`] |
//! |---|---|---|
//! | [`Params::load`] | taken from a map; misfits are recorded | every parameter, or one error naming all misfits |
//! | [`Params::init`] | random, depending on seed and name alone | every parameter, to train and save |
//! | [`Weights::params`] | that of an earlier construction | the same tensors; nothing is copied |
//!
//! ```
//! use mem3d::nn::params::{Init, Params, Target};
//! # fn main() -> mem3d::Result<()> {
//! let params = Params::init(1, Target::default());
//! let weight = params.sub("head").get("weight", &[2, 3], Init::Kaiming);
//! assert_eq!(weight.size(), [2, 3]);
//! let weights = params.finish()?;
//! assert_eq!(weights.tensors().keys().collect::<Vec<_>>(), ["head.weight"]);
//! # Ok(())
//! # }
//! ```

use crate::error::{Error, Result};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::rc::Rc;
use tch::{Device, Kind, Tensor};

/// Tensors by name.
pub type TensorMap = BTreeMap<String, Tensor>;

/// Value of a parameter before training. The fan-in is the number of inputs of one output (product of the shape without
/// its first side).
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Init {
    /// All 0.
    Zeros,
    /// All 1.
    Ones,
    /// All this value.
    Constant(f64),
    /// Uniform with variance 2 / fan-in: keeps the variance through a layer followed by a ReLU.
    Kaiming,
    /// Uniform with variance 1 / fan-in: keeps the variance through a layer without activation.
    Lecun,
    /// Uniform in -bound..bound.
    Uniform(f64),
    /// Gaussian with mean 0 and this standard deviation.
    Normal(f64),
}

/// Device and number format of the networks.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Target {
    /// Device of every tensor. Default: the CPU.
    pub device: Device,
    /// Number format of every parameter but statistics, which stay f32. Default: f32.
    pub kind: Kind,
    /// Batch norm is folded into the preceding convolution, and there are no gradients. Default: true.
    pub inference: bool,
}

impl Default for Target {
    fn default() -> Self {
        Target { device: Device::Cpu, kind: Kind::Float, inference: true }
    }
}

enum Source {
    /// Tensors that are not requested yet. `others`: seed, and the networks in the map; others are random.
    Map {
        tensors: TensorMap,
        others: Option<(i64, BTreeSet<String>)>,
    },
    Seed(i64),
    /// All tensors are in `resolved`.
    Shared,
}

struct Store {
    source: Source,
    target: Target,
    resolved: TensorMap,
    buffers: BTreeSet<String>,
    missing: Vec<String>,
    misshapen: Vec<String>,
    not_finite: Vec<String>,
}

/// A node in the tree of parameters: a prefix of names, and a store that all nodes share.
#[derive(Clone)]
pub struct Params {
    store: Rc<RefCell<Store>>,
    prefix: String,
    /// Inside [`Params::derived`]: parameters are only ingredients, in f32, and are not kept.
    ingredients: bool,
}

impl Params {
    fn new(source: Source, target: Target) -> Self {
        let store = Store {
            source,
            target,
            resolved: TensorMap::new(),
            buffers: BTreeSet::new(),
            missing: vec![],
            misshapen: vec![],
            not_finite: vec![],
        };
        Params { store: Rc::new(RefCell::new(store)), prefix: String::new(), ingredients: false }
    }

    /// Parameters taken from `tensors`. Missing and misshapen ones are replaced by zeros, so that construction can
    /// continue; [`Params::finish`] names all misfits.
    pub fn load(tensors: TensorMap, target: Target) -> Self {
        Self::new(Source::Map { tensors, others: None }, target)
    }

    /// As [`Params::load`], but networks (first parts of the names) that are absent from `tensors` are random, as by
    /// [`Params::init`].
    pub fn load_some(tensors: TensorMap, seed: i64, target: Target) -> Self {
        let networks = tensors.keys().map(|name| network(name).to_owned()).collect();
        Self::new(Source::Map { tensors, others: Some((seed, networks)) }, target)
    }

    /// Random parameters, which depend on `seed` and on each parameter's full name alone.
    pub fn init(seed: i64, target: Target) -> Self {
        Self::new(Source::Seed(seed), target)
    }

    /// The parameters below `name`.
    pub fn sub(&self, name: impl Display) -> Params {
        Params { store: self.store.clone(), prefix: format!("{}{name}.", self.prefix), ingredients: self.ingredients }
    }

    /// Device and number format of the networks.
    pub fn target(&self) -> Target {
        self.store.borrow().target
    }

    /// Whether the networks are built for inference only; see [`Target::inference`].
    pub fn inference(&self) -> bool {
        self.target().inference
    }

    /// The trainable parameter `name` of `shape`.
    ///
    /// Four-dimensional ones (convolution kernels) are laid out channels-last for inference.
    pub fn get(&self, name: &str, shape: &[i64], init: Init) -> Tensor {
        let kind = if self.ingredients { Kind::Float } else { self.target().kind };
        self.find(name, shape, init, kind)
    }

    /// As [`Params::get`], but always f32.
    pub fn get_f32(&self, name: &str, shape: &[i64], init: Init) -> Tensor {
        self.find(name, shape, init, Kind::Float)
    }

    /// The tensor `name` of `shape` that is stored but not trained (running statistics); always f32.
    pub fn buffer(&self, name: &str, shape: &[i64], init: Init) -> Tensor {
        self.store.borrow_mut().buffers.insert(format!("{}{name}", self.prefix));
        self.find(name, shape, init, Kind::Float)
    }

    /// Tensors computed once from parameters, which are not kept: for inference only.
    ///
    /// `make` requests the parameters, in f32, from its argument. The `names` must differ from every parameter's.
    pub fn derived<const K: usize>(&self, names: [&str; K], make: impl FnOnce(&Params) -> [Tensor; K]) -> [Tensor; K] {
        let paths = names.map(|name| format!("{}{name}", self.prefix));
        if self.store.borrow().resolved.contains_key(&paths[0]) {
            return paths.map(|path| self.store.borrow().resolved[&path].shallow_clone());
        }
        let kind = if self.ingredients { Kind::Float } else { self.target().kind };
        let mut paths = paths.into_iter();
        make(&Params { ingredients: true, ..self.clone() })
            .map(|tensor| self.keep(paths.next().expect("as many names as tensors"), tensor, kind))
    }

    fn find(&self, name: &str, shape: &[i64], init: Init, kind: Kind) -> Tensor {
        let path = format!("{}{name}", self.prefix);
        let tensor = {
            let mut store = self.store.borrow_mut();
            if let Some(known) = store.resolved.get(&path) {
                return known.shallow_clone();
            }
            let device = store.target.device;
            let zeros = || Tensor::zeros(shape, (kind, device));
            match &mut store.source {
                Source::Seed(seed) => initial(*seed, &path, shape, init).to_device(device),
                Source::Shared => panic!("{path} was not a parameter when these weights were made"),
                Source::Map { tensors, others } => match tensors.remove(&path) {
                    None => match others {
                        Some((seed, networks)) if !networks.contains(network(&path)) => {
                            initial(*seed, &path, shape, init).to_device(device)
                        }
                        _ => {
                            store.missing.push(format!("{path} {shape:?}"));
                            zeros()
                        }
                    },
                    Some(t) if t.size() != shape => {
                        store.misshapen.push(format!("{path} is {:?}, must be {shape:?}", t.size()));
                        zeros()
                    }
                    Some(t) => {
                        let t = t.to_device(device).to_kind(kind);
                        if !is_finite(&t) {
                            store.not_finite.push(path.clone());
                        }
                        t
                    }
                },
            }
        };
        if self.ingredients { tensor } else { self.keep(path, tensor, kind) }
    }

    fn keep(&self, path: String, tensor: Tensor, kind: Kind) -> Tensor {
        let mut tensor = tensor.to_kind(kind);
        if self.inference() && tensor.dim() == 4 {
            tensor = channels_last(&tensor);
        }
        if !self.ingredients {
            self.store.borrow_mut().resolved.insert(path, tensor.shallow_clone());
        }
        tensor
    }

    /// Ends the construction.
    ///
    /// # Errors
    /// [`Error::BadModel`] naming every missing, unexpected and misshapen tensor, and those with values that are not
    /// finite.
    pub fn finish(self) -> Result<Weights> {
        let mut store = self.store.borrow_mut();
        let unexpected = match &store.source {
            Source::Map { tensors, .. } => tensors.iter().map(|(name, t)| format!("{name} {:?}", t.size())).collect(),
            _ => vec![],
        };
        let lists = [
            ("missing", &store.missing),
            ("misshapen", &store.misshapen),
            ("unexpected", &unexpected),
            ("with NaN or infinite values", &store.not_finite),
        ];
        let problems: Vec<String> = lists
            .iter()
            .filter(|(_, names)| !names.is_empty())
            .map(|(what, names)| format!("{} {what}: {}", names.len(), names.join(", ")))
            .collect();
        if !problems.is_empty() {
            return Err(Error::BadModel(format!(
                "the weights do not fit the model's networks. Tensors {}",
                problems.join("; tensors ")
            )));
        }
        Ok(Weights {
            tensors: std::mem::take(&mut store.resolved),
            buffers: std::mem::take(&mut store.buffers),
            target: store.target,
        })
    }
}

/// Result of a construction: every tensor that the networks hold.
#[derive(Debug)]
pub struct Weights {
    tensors: TensorMap,
    buffers: BTreeSet<String>,
    target: Target,
}

impl Weights {
    /// Every tensor by its full name. Built with [`Target::inference`], it holds folded tensors instead of their
    /// ingredients and cannot be saved as a model.
    pub fn tensors(&self) -> &TensorMap {
        &self.tensors
    }

    /// The tensors to train: all but the statistics. The networks hold the same tensors, so gradients reach them once
    /// they require gradients.
    pub fn trainable(&self) -> impl Iterator<Item = (&str, &Tensor)> {
        self.tensors.iter().filter(|(name, _)| !self.buffers.contains(*name)).map(|(name, t)| (name.as_str(), t))
    }

    /// Device and number format of the networks.
    pub fn target(&self) -> Target {
        self.target
    }

    /// Parameters for another construction of the same networks over the same tensors; nothing is copied.
    pub fn params(&self) -> Params {
        let params = Params::new(Source::Shared, self.target);
        {
            let mut store = params.store.borrow_mut();
            store.resolved = self.tensors.iter().map(|(name, t)| (name.clone(), t.shallow_clone())).collect();
            store.buffers = self.buffers.clone();
        }
        params
    }

    /// Memory taken, bytes.
    pub fn bytes(&self) -> usize {
        self.tensors.values().map(|t| t.numel() * t.kind().elt_size_in_bytes()).sum()
    }
}

/// `x` with its channels innermost in memory, for faster CPU convolutions; shape and values are unchanged.
///
/// # Shapes
/// `x`: `[N, C, H, W]` / the same.
pub fn channels_last(x: &Tensor) -> Tensor {
    x.permute([0, 2, 3, 1]).contiguous().permute([0, 3, 1, 2])
}

/// The network of a tensor: the first part of its name.
pub fn network(name: &str) -> &str {
    name.split('.').next().unwrap_or_default()
}

fn is_finite(t: &Tensor) -> bool {
    tch::no_grad(|| t.sum(Kind::Double).double_value(&[])).is_finite()
}

fn initial(seed: i64, path: &str, shape: &[i64], init: Init) -> Tensor {
    let numel = shape.iter().product::<i64>() as usize;
    let fan_in = shape.iter().skip(1).product::<i64>() as f64;
    let uniform = |bound: f64| {
        let numbers = Numbers::new(seed, path);
        (0..numel).map(|i| ((2.0 * numbers.uniform(i as u64) - 1.0) * bound) as f32).collect::<Vec<_>>()
    };
    let values = match init {
        Init::Zeros => vec![0.0; numel],
        Init::Ones => vec![1.0; numel],
        Init::Constant(value) => vec![value as f32; numel],
        // A uniform number in -b..b has the variance b^2 / 3.
        Init::Kaiming => uniform((6.0 / fan_in).sqrt()),
        Init::Lecun => uniform((3.0 / fan_in).sqrt()),
        Init::Uniform(bound) => uniform(bound),
        Init::Normal(std) => {
            let numbers = Numbers::new(seed, path);
            (0..numel as u64).map(|i| (numbers.normal(i) * std) as f32).collect()
        }
    };
    Tensor::from_slice(&values).reshape(shape)
}

/// Random numbers by index (splitmix64), so that they do not depend on the order in which modules are built
/// nor on libtorch's global generator, which other threads use too.
struct Numbers(u64);

impl Numbers {
    fn new(seed: i64, path: &str) -> Self {
        // FNV-1a
        let hash =
            path.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3));
        Numbers(mix(hash ^ mix(seed as u64)))
    }

    /// In 0..1.
    fn uniform(&self, i: u64) -> f64 {
        (mix(self.0.wrapping_add(i.wrapping_mul(0x9e37_79b9_7f4a_7c15))) >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Box-Muller.
    fn normal(&self, i: u64) -> f64 {
        let radius = (-2.0 * (1.0 - self.uniform(2 * i)).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.uniform(2 * i + 1)).cos()
    }
}

fn mix(x: u64) -> u64 {
    let z = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(tensors: &[(&str, Tensor)]) -> TensorMap {
        tensors.iter().map(|(n, t)| (n.to_string(), t.shallow_clone())).collect()
    }

    fn zeros(shape: &[i64]) -> Tensor {
        Tensor::zeros(shape, (Kind::Float, Device::Cpu))
    }

    #[test]
    fn every_misfit_is_named_with_its_shapes() {
        let params = Params::load(
            map(&[
                ("a.weight", zeros(&[2, 3])),
                ("a.bias", Tensor::from_slice(&[f32::NAN])),
                ("other", zeros(&[7])),
                ("a.scale", Tensor::from_slice(&[1.0f32])),
            ]),
            Target::default(),
        );
        let a = params.sub("a");
        // Construction continues with tensors of the right shape.
        assert_eq!(a.get("weight", &[3, 3], Init::Zeros).size(), [3, 3]);
        assert_eq!(a.get("gone", &[5], Init::Zeros).size(), [5]);
        let _ = a.get("bias", &[1], Init::Zeros);
        let _ = a.get("scale", &[1], Init::Zeros);
        let text = params.finish().unwrap_err().to_string();
        for part in [
            "1 missing: a.gone [5]",
            "1 misshapen: a.weight is [2, 3], must be [3, 3]",
            "1 unexpected: other [7]",
            "1 with NaN or infinite values: a.bias",
        ] {
            assert!(text.contains(part), "{part:?} not in {text:?}");
        }
        assert!(!text.contains("a.scale"));
    }

    #[test]
    fn loading_and_sharing_copy_nothing() {
        let a = zeros(&[4]);
        let params = Params::load(map(&[("a", a.shallow_clone())]), Target::default());
        assert_eq!(params.get("a", &[4], Init::Ones).data_ptr(), a.data_ptr());
        let weights = params.finish().unwrap();
        let again = weights.params();
        assert_eq!(again.get("a", &[4], Init::Ones).data_ptr(), a.data_ptr());
        assert_eq!(again.finish().unwrap().bytes(), 16);
    }

    #[test]
    fn random_parameters_depend_on_seed_and_name_only() {
        let make = |seed, names: &[&str]| {
            let params = Params::init(seed, Target::default());
            for name in names {
                let _ = params.get(name, &[8, 50, 3, 3], Init::Kaiming);
            }
            params.finish().unwrap()
        };
        let (one, two, three) = (make(1, &["a", "b"]), make(1, &["b"]), make(2, &["b"]));
        assert!(one.tensors()["b"].equal(&two.tensors()["b"]));
        assert!(!one.tensors()["b"].equal(&one.tensors()["a"]));
        assert!(!one.tensors()["b"].equal(&three.tensors()["b"]));
        // Variance 2 / 450; 3600 numbers estimate it to a few per cent.
        let variance = one.tensors()["b"].var(true).double_value(&[]);
        assert!((variance * 225.0 - 1.0).abs() < 0.1, "{variance}");
    }

    #[test]
    fn gaussian_numbers_have_mean_0_and_their_deviation() {
        let t = initial(3, "x", &[20_000], Init::Normal(0.5));
        assert!(t.mean(Kind::Float).double_value(&[]).abs() < 0.02);
        assert!((t.std(true).double_value(&[]) - 0.5).abs() < 0.02);
        let beyond = t.abs().gt(0.5).to_kind(Kind::Float).mean(Kind::Float).double_value(&[]);
        assert!((beyond - 0.317).abs() < 0.02, "{beyond} of the numbers are beyond one deviation");
    }

    #[test]
    fn a_derived_tensor_replaces_its_ingredients() {
        let params =
            Params::load(map(&[("c.a", zeros(&[2]) + 1.0)]), Target { kind: Kind::BFloat16, ..Target::default() });
        let [derived] = params.sub("c").derived(["twice"], |p| {
            let a = p.get("a", &[2], Init::Zeros);
            assert_eq!(a.kind(), Kind::Float);
            [a * 2.0]
        });
        assert_eq!(derived.kind(), Kind::BFloat16);
        let weights = params.finish().unwrap();
        assert_eq!(weights.tensors().keys().collect::<Vec<_>>(), ["c.twice"]);
        let [again] = weights.params().sub("c").derived(["twice"], |_| panic!("computed twice"));
        assert_eq!(again.data_ptr(), derived.data_ptr());
    }

    #[test]
    fn gradients_reach_the_trainable_tensors_only() {
        let params = Params::init(1, Target { inference: false, ..Target::default() });
        let (a, b) = (params.get("a", &[2], Init::Ones), params.buffer("b", &[2], Init::Ones));
        let weights = params.finish().unwrap();
        for (name, tensor) in weights.trainable() {
            assert_eq!(name, "a");
            let _ = tensor.set_requires_grad(true);
        }
        (&a * &b * 3.0).sum(Kind::Float).backward();
        assert_eq!(Vec::<f32>::try_from(weights.tensors()["a"].grad()).unwrap(), [3.0, 3.0]);
        assert!(!b.requires_grad());
    }
}
