//! AdamW with gradient clipping and an exponential moving average of the weights, with a state for checkpoints.
//!
//! Parameters in half precision have an f32 original, which is optimised and averaged.

use super::networks::Trainee;
use super::stage::Stage;
use crate::error::{Error, Result};
use crate::nn::params::TensorMap;
use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor};

/// Settings of the optimiser.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct OptimiserOptions {
    /// Largest learning rate.
    pub learning_rate: f64,
    /// Whether the rate rises over `warm_up` and then falls as a cosine to a hundredth; else it is constant.
    pub cosine: bool,
    /// Share of the stage over which the rate rises.
    pub warm_up: f64,
    /// Weight decay of weights, not of biases and norms.
    pub weight_decay: f64,
    /// Adam's decay rates of the means of the gradient and its square.
    pub betas: (f64, f64),
    /// Largest norm of the gradient; larger ones are scaled down. 0: no limit.
    pub clip: f64,
    /// Decay rate of the moving average of the weights.
    pub average: f64,
}

impl OptimiserOptions {
    /// The rate at `progress` (0..1) of the stage.
    pub fn rate(&self, progress: f64) -> f64 {
        // Share of the largest rate at the end. Chosen.
        const LEAST: f64 = 0.01;
        if !self.cosine {
            return self.learning_rate;
        }
        let up = (progress / self.warm_up.max(1e-9)).min(1.0);
        let down = ((progress - self.warm_up) / (1.0 - self.warm_up).max(1e-9)).clamp(0.0, 1.0);
        let cosine = 0.5 * (1.0 + (std::f64::consts::PI * down).cos());
        self.learning_rate * up.max(LEAST) * (LEAST + (1.0 - LEAST) * cosine)
    }
}

/// State of one parameter.
struct Slot {
    name: String,
    /// The network's own tensor.
    parameter: Tensor,
    /// In f32: the parameter itself when it is f32.
    original: Tensor,
    first: Tensor,
    second: Tensor,
    average: Tensor,
    decays: bool,
    /// Factor of the learning rate.
    rate: f64,
}

/// The optimiser of one stage's parameters.
pub struct Optimiser {
    options: OptimiserOptions,
    slots: Vec<Slot>,
    steps: u64,
}

/// Prefixes of the optimiser's tensors in a checkpoint.
const PARTS: [&str; 4] = ["weight", "adam_first", "adam_second", "average"];

impl Optimiser {
    /// An optimiser for the parameters of `stage`; only these get gradients.
    pub fn new(trainee: &dyn Trainee, stage: Stage, options: OptimiserOptions) -> Optimiser {
        let mut slots = vec![];
        for (name, parameter) in trainee.weights().trainable() {
            let belongs = trainee.belongs(name, stage);
            let parameter = parameter.set_requires_grad(belongs);
            if !belongs {
                continue;
            }
            let copy = || parameter.detach().to_kind(Kind::Float).copy();
            let is_f32 = parameter.kind() == Kind::Float;
            slots.push(Slot {
                name: name.to_string(),
                original: if is_f32 { parameter.detach() } else { copy() },
                first: copy().zeros_like(),
                second: copy().zeros_like(),
                average: copy(),
                decays: parameter.dim() > 1,
                rate: trainee.rate(name),
                parameter,
            });
        }
        Optimiser { options, slots, steps: 0 }
    }

    /// Clears the gradients.
    pub fn zero_gradients(&mut self) {
        for slot in &mut self.slots {
            slot.parameter.zero_grad();
        }
    }

    /// One step from the gradients there are; returns their norm before clipping. Nothing happens when it is not
    /// finite.
    pub fn step(&mut self, rate: f64) -> f64 {
        tch::no_grad(|| {
            let gradients: Vec<Option<Tensor>> = self
                .slots
                .iter()
                .map(|s| Some(s.parameter.grad()).filter(Tensor::defined).map(|g| g.to_kind(Kind::Float)))
                .collect();
            let squares: Vec<Tensor> = gradients.iter().flatten().map(|g| g.square().sum(Kind::Double)).collect();
            if squares.is_empty() {
                return 0.0;
            }
            let norm = Tensor::stack(&squares, 0).sum(Kind::Double).sqrt().double_value(&[]);
            if !norm.is_finite() {
                return norm;
            }
            let clip = self.options.clip;
            let scale = if clip > 0.0 && norm > clip { clip / norm } else { 1.0 };
            self.steps += 1;
            let (b1, b2) = self.options.betas;
            let n = self.steps as f64;
            let correction = (1.0 - b2.powf(n)).sqrt() / (1.0 - b1.powf(n));
            let keep = self.options.average.min((1.0 + n) / (10.0 + n));
            for (slot, gradient) in self.slots.iter_mut().zip(gradients) {
                if let Some(gradient) = gradient {
                    let rate = rate * slot.rate;
                    let gradient = gradient * scale;
                    let _ = slot.first.g_mul_scalar_(b1).g_add_(&(&gradient * (1.0 - b1)));
                    let _ = slot.second.g_mul_scalar_(b2).g_add_(&(gradient.square() * (1.0 - b2)));
                    if slot.decays && self.options.weight_decay > 0.0 {
                        let _ = slot.original.g_mul_scalar_(1.0 - rate * self.options.weight_decay);
                    }
                    let step = &slot.first / (slot.second.sqrt() + 1e-8 * (1.0 - b2.powf(n)).sqrt());
                    let _ = slot.original.g_sub_(&(step * (rate * correction)));
                    if slot.parameter.kind() != Kind::Float {
                        slot.parameter.copy_(&slot.original);
                    }
                }
                let _ = slot.average.g_mul_scalar_(keep).g_add_(&(&slot.original * (1.0 - keep)));
            }
            norm
        })
    }

    /// Steps made.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// The averaged weights by name, f32.
    pub fn averages(&self) -> impl Iterator<Item = (&str, &Tensor)> {
        self.slots.iter().map(|s| (s.name.as_str(), &s.average))
    }

    /// Runs `body` with the averaged weights in the networks, then restores the trained ones.
    pub fn with_averages<T>(&mut self, body: impl FnOnce() -> T) -> T {
        let put = |slots: &mut [Slot], from: &dyn Fn(&Slot) -> Tensor| {
            tch::no_grad(|| {
                for slot in slots {
                    let value = from(slot);
                    slot.parameter.copy_(&value);
                }
            });
        };
        let trained: Vec<Tensor> = tch::no_grad(|| self.slots.iter().map(|s| s.original.copy()).collect());
        put(&mut self.slots, &|s| s.average.shallow_clone());
        let result = body();
        tch::no_grad(|| {
            for (slot, trained) in self.slots.iter_mut().zip(&trained) {
                slot.original.copy_(trained);
                slot.parameter.copy_(trained);
            }
        });
        result
    }

    /// Replaces the trained weights by the averaged ones.
    pub fn keep_averages(&mut self) {
        tch::no_grad(|| {
            for slot in &mut self.slots {
                slot.original.copy_(&slot.average);
                slot.parameter.copy_(&slot.average);
            }
        });
    }

    /// Every tensor of the state, for a checkpoint.
    pub fn state(&self) -> TensorMap {
        let parts = |s: &Slot| [&s.original, &s.first, &s.second, &s.average].map(Tensor::shallow_clone);
        let named = self.slots.iter().flat_map(|s| {
            PARTS.iter().zip(parts(s)).map(|(part, t)| (format!("{part}/{}", s.name), t)).collect::<Vec<_>>()
        });
        named.collect()
    }

    /// Whether a checkpoint has a state of these parameters.
    pub fn is_in(&self, checkpoint: &TensorMap) -> bool {
        self.slots.first().is_some_and(|s| checkpoint.contains_key(&format!("{}/{}", PARTS[1], s.name)))
    }

    /// Takes the state of a checkpoint.
    ///
    /// # Errors
    /// [`Error::BadModel`] when it is not that of these parameters.
    pub fn restore(&mut self, state: &TensorMap, steps: u64) -> Result<()> {
        for slot in &mut self.slots {
            let targets = [&mut slot.original, &mut slot.first, &mut slot.second, &mut slot.average];
            for (part, target) in PARTS.iter().zip(targets) {
                let name = format!("{part}/{}", slot.name);
                let saved = state.get(&name).filter(|t| t.size() == target.size()).ok_or_else(|| {
                    Error::BadModel(format!("the checkpoint does not hold {name} {:?}", target.size()))
                })?;
                tch::no_grad(|| target.copy_(saved));
            }
            tch::no_grad(|| slot.parameter.copy_(&slot.original));
        }
        self.steps = steps;
        Ok(())
    }

    /// Device of the parameters.
    pub fn device(&self) -> Device {
        self.slots.first().map_or(Device::Cpu, |s| s.parameter.device())
    }

    /// Names and gradients' largest magnitudes, for tests and diagnosis; none where no gradient came.
    pub fn gradients(&self) -> Vec<(&str, Option<f64>)> {
        self.slots
            .iter()
            .map(|s| {
                let gradient = s.parameter.grad();
                let size = gradient.defined().then(|| gradient.abs().max().double_value(&[]));
                (s.name.as_str(), size)
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_rises_and_falls() {
        let options = OptimiserOptions {
            learning_rate: 1.0,
            cosine: true,
            warm_up: 0.1,
            weight_decay: 0.0,
            betas: (0.9, 0.999),
            clip: 0.0,
            average: 0.9,
        };
        let close = |p, expected: f64| assert!((options.rate(p) - expected).abs() < 1e-9, "{p}: {}", options.rate(p));
        close(0.0, 0.01);
        close(0.05, 0.5);
        close(0.1, 1.0);
        close(0.55, 0.01 + 0.99 * 0.5);
        close(1.0, 0.01);
        assert_eq!(OptimiserOptions { cosine: false, ..options }.rate(0.0), 1.0);
    }
}
