//! The parts of the networks, one slice each, and the speed of the machine.

use mem3d::nn::model::Model;
use mem3d::nn::{self, InteractionInput, InteractionKind};
use mem3d::torch::macs;
use serde::Serialize;
use std::time::Instant;
use tch::{Device, Kind, Tensor};

/// One network part on one slice.
#[derive(Debug, Serialize)]
pub struct Line {
    pub what: String,
    pub seconds: f64,
    pub gmac: f64,
}

/// Seconds of the fastest of several runs, after one for warm-up.
fn fastest(device: Device, runs: usize, mut body: impl FnMut()) -> f64 {
    let sync = || {
        if let Device::Cuda(index) = device {
            tch::Cuda::synchronize(index as i64);
        }
    };
    body();
    sync();
    (0..runs)
        .map(|_| {
            let start = Instant::now();
            body();
            sync();
            start.elapsed().as_secs_f64()
        })
        .fold(f64::INFINITY, f64::min)
}

/// Multiply-accumulates a second of a large convolution, in thousand millions: the speed of the machine.
pub fn peak_gmac_per_s(device: Device) -> f64 {
    let x = nn::params::channels_last(&Tensor::randn([1, 256, 128, 128], (Kind::Float, device)));
    let w = nn::params::channels_last(&Tensor::randn([256, 256, 3, 3], (Kind::Float, device)));
    let seconds = fastest(device, 3, || drop(x.conv2d(&w, None::<Tensor>, [1, 1], [1, 1], [1, 1], 1)));
    256.0 * 256.0 * 9.0 * 128.0 * 128.0 / seconds / 1e9
}

/// Times the parts of the networks, with `memorized` slices in memory. Call inside [`mem3d::torch::run`].
pub fn time_parts(model: &Model, size: i64, device: Device, memorized: usize) -> Vec<Line> {
    let networks = model.networks();
    let info = networks.info().clone();
    let image = |c: i64| Tensor::rand([1, c, size, size], (Kind::Float, device));
    let slices = image(info.context_slices);
    let mask = image(1).ge(0.5).to_kind(Kind::Float);
    let runs = if size > 256 { 2 } else { 7 };
    let mut lines = Vec::new();
    let mut line = |what: &str, body: &mut dyn FnMut()| {
        let ((), macs) = macs::count(&mut *body);
        lines.push(Line { what: what.into(), seconds: fastest(device, runs, body), gmac: macs as f64 / 1e9 });
    };
    line("encode the image", &mut || drop(networks.encode_image(&slices)));
    let features = networks.encode_image(&slices);
    line("memorize", &mut || drop(networks.memorize(&features, &mask)));
    let one = networks.memorize(&features, &mask).remove(0);
    let bank = mem3d::engine::propagate::memory_bank::MemoryBank::new((0..memorized).map(|k| (k, &one)), 0);
    let what = format!("segment (memory of {memorized} slices)");
    let context = nn::SliceContext {
        expected_shape: image(1) * 2.0 - 1.0,
        previous_mask: mask.shallow_clone(),
        previous_slice: image(1),
        largest_area: Tensor::full([1, 1], 0.2, (Kind::Float, device)),
        annotated_area: Tensor::full([1, 1], 0.2, (Kind::Float, device)),
        annotated_mask: mask.shallow_clone(),
        annotated_slice: image(1),
        steps: Tensor::ones([1, 1], (Kind::Float, device)),
        distance: Tensor::ones([1, 1], (Kind::Float, device)),
        distance_from_largest: Tensor::ones([1, 1], (Kind::Float, device)),
        same_image: vec![0],
    };
    line(&what, &mut || drop(networks.segment(&features, &[bank.view()], &context)));
    let segmented = networks.segment(&features, &[bank.view()], &context);
    line("quality", &mut || drop(networks.quality(&features, &segmented, &context)));
    let zero = || image(1).zeros_like();
    let input = InteractionInput {
        slices: slices.shallow_clone(),
        previous: zero() + 0.5,
        positive: mask.shallow_clone(),
        negative: zero(),
        boxes: zero(),
    };
    line("interaction network", &mut || drop(networks.interact(InteractionKind::Scribble, &input)));
    let per_slice: f64 = lines[..4].iter().map(|l| l.seconds).sum();
    let gmac: f64 = lines[..4].iter().map(|l| l.gmac).sum();
    lines.push(Line { what: "a propagated slice, first round".into(), seconds: per_slice, gmac });
    lines
}
