//! The networks of preset `paper` compared with outputs of the published ones (`tests/golden/README.md`), with weights
//! imported through the table of published names: both encoders, memory read, five-branch pyramid, decoder, and the
//! whole interaction network.

use mem3d::nn::import::published::{Imported, Importer, rename};
use mem3d::nn::paper::aspp::{Aspp, Branches};
use mem3d::nn::paper::interaction_net::{InputLayout, InteractionNet};
use mem3d::nn::paper::memory_encoder::MemoryEncoder;
use mem3d::nn::paper::memory_net::{MemoryNet, MemoryNetConfig, QueryView};
use mem3d::nn::paper::quality_head::QualityKind;
use mem3d::nn::paper::query_encoder::Query;
use mem3d::nn::params::{Params, Target, TensorMap, Weights, channels_last};
use std::path::PathBuf;
use tch::{Kind, Tensor};

/// Largest difference allowed, relative to the largest magnitude of the expected tensor.
const TOLERANCE: f64 = 1e-4;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

fn golden(file: &str) -> TensorMap {
    Tensor::read_safetensors(folder().join(file)).unwrap().into_iter().collect()
}

fn fnv1a(name: &str) -> u64 {
    name.bytes().fold(0xcbf2_9ce4_8422_2325, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3))
}

/// The uniform numbers of the README.
fn uniform(name: &str, shape: &[i64], value: impl Fn(f64) -> f64) -> Tensor {
    let hash = fnv1a(name);
    let values: Vec<f32> = (0..shape.iter().product::<i64>() as u64)
        .map(|i| {
            let z = (hash ^ i).wrapping_add(0x9e37_79b9_7f4a_7c15);
            let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            let z = z ^ (z >> 31);
            value((z >> 11) as f64 * 2f64.powi(-53)) as f32
        })
        .collect();
    Tensor::from_slice(&values).reshape(shape)
}

/// The published state dict of `network` (`stm` or `iog`), filled by the formula of the README.
fn state_dict(network: &str) -> TensorMap {
    let text = std::fs::read_to_string(folder().join("parameters.txt")).unwrap();
    let mut tensors = TensorMap::new();
    for line in text.lines() {
        let (owner, rest) = line.split_once(' ').unwrap();
        if owner != network {
            continue;
        }
        let (name, shape) = rest.split_once(' ').unwrap();
        let sides = shape.trim_matches(['(', ')']).split(',').map(str::trim).filter(|s| !s.is_empty());
        let shape: Vec<i64> = sides.map(|s| s.parse().unwrap()).collect();
        let n = shape.iter().skip(1).product::<i64>() as f64;
        let tensor = match name.rsplit('.').next().unwrap() {
            "running_mean" | "bias" => uniform(name, &shape, |u| (2.0 * u - 1.0) * 0.1),
            "running_var" => uniform(name, &shape, |u| 0.8 + 0.4 * u),
            "weight" if shape.len() > 1 => {
                let scale = (3.0 / n).sqrt() * if name.contains(".Key.") { 10.0 } else { 1.0 };
                uniform(name, &shape, |u| (2.0 * u - 1.0) * scale)
            }
            "weight" => uniform(name, &shape, |u| 0.4 + 0.2 * u),
            _ => uniform(name, &shape, |_| 0.0),
        };
        tensors.insert(name.to_string(), tensor);
    }
    assert!(!tensors.is_empty());
    tensors
}

/// The part of the imported tensors below `prefix`.
fn part(imported: &Imported, prefix: &str) -> TensorMap {
    let below = |(name, t): (&String, &Tensor)| Some((name.strip_prefix(prefix)?.to_string(), t.shallow_clone()));
    imported.tensors.iter().filter_map(below).collect()
}

fn assert_close(what: &str, actual: &Tensor, expected: &Tensor) {
    assert_eq!(actual.size(), expected.size(), "shape of {what}");
    let difference = (actual - expected).abs().max().double_value(&[]) / expected.abs().max().double_value(&[]);
    println!("{what}: {difference:.1e}");
    assert!(difference < TOLERANCE, "{what} differs by {difference:.1e} of its largest magnitude");
}

/// Every `k`-th row and column.
fn every(x: &Tensor, k: i64) -> Tensor {
    x.slice(2, None, None, k).slice(3, None, None, k)
}

fn build<T>(tensors: TensorMap, inference: bool, build: impl FnOnce(&Params) -> T) -> (T, Weights) {
    let params = Params::load(tensors, Target { inference, ..Target::default() });
    let built = build(&params);
    (built, params.finish().unwrap())
}

#[test]
fn memory_network() {
    let _guard = tch::no_grad_guard();
    let golden = golden("stm.safetensors");
    let mut importer = Importer::default();
    importer.add("stm", state_dict("stm"), &[]).unwrap();
    let imported = importer.finish(None).unwrap();
    let report = &imported.report.checkpoints[0];
    assert!(report.not_loaded.iter().all(|(_, reason)| reason.contains("constant")), "{:?}", report.not_loaded);
    assert_eq!(
        (imported.config.quality, imported.config.memory.clone()),
        (QualityKind::Published, MemoryNetConfig::published())
    );
    let (net, weights) = build(part(&imported, "memory."), true, |p| MemoryNet::new(p, &imported.config.memory));
    let input = |name: &str, stored: &str| {
        let x = uniform(&format!("input.{name}"), &[1, 3, 128, 128], |u| u);
        assert!(x.equal(&golden[stored]), "input {name}");
        channels_last(&x)
    };
    let masks = |slice: i64| golden["masks"].narrow(0, slice, 1).narrow(1, 1, 1);

    let mut memory = net.memorize(&input("frame1", "frame1"), &masks(0));
    memory.extend(net.memorize(&input("frame2", "frame2"), &masks(1)));
    for (n, memory) in memory.iter().enumerate() {
        assert_close(&format!("memory key {}", n + 1), &memory.keys, &golden[&format!("memory_key_{}", n + 1)].get(0));
        assert_close(
            &format!("memory value {}", n + 1),
            &memory.values,
            &golden[&format!("memory_value_{}", n + 1)].get(0),
        );
    }
    let encoder = MemoryEncoder::new(&weights.params().sub("memory_encoder"), 128, 512);
    assert_close("memory f16", &encoder.forward(&input("frame1", "frame1"), &masks(0)).f16, &golden["memory_r4_1"]);

    let Query { key, value, features } = net.encode(&input("query", "query"));
    assert_close("query f16", &features.f16, &golden["query_r4"]);
    assert_close("query f8", &every(&features.f8, 2), &golden["query_r3"]);
    assert_close("query f4", &every(&features.f4, 4), &golden["query_r2"]);
    assert_close("query key", &key, &golden["query_key"]);
    assert_close("query value", &value, &golden["query_value"]);

    let both = || mem3d::nn::Memory::join(&[&memory[0]], &[&memory[1]]);
    let readout = net.read(&key, &value, &[both()]);
    assert_close("readout", &readout, &golden["memory_read"]);
    let pyramid = Aspp::new(&weights.params().sub("decoder").sub("pyramid"), 1024, Branches::All);
    assert_close("pyramid", &pyramid.forward(&readout), &golden["aspp"]);
    assert_close("logits", &net.decode(&readout, &features.f8, &features.f4), &golden["decoder_logits"]);

    let plain = MemoryNetConfig { soft_aggregation: false, ..imported.config.memory.clone() };
    let view = QueryView { key: &key, value: &value, f8: &features.f8, f4: &features.f4 };
    let probability = MemoryNet::new(&weights.params(), &plain).segment(view, &[both()]).probability;
    assert_close("probability", &probability.squeeze_dim(1), &golden["probability"]);

    let (unfolded, _) = build(part(&imported, "memory."), false, |p| MemoryNet::new(p, &plain));
    let probability = unfolded.segment(view, &[both()]).probability;
    assert_close("probability without folding", &probability.squeeze_dim(1), &golden["probability"]);
}

#[test]
fn interaction_network() {
    let _guard = tch::no_grad_guard();
    let golden = golden("iog.safetensors");
    // The importer, without a memory network, misses that one alone.
    let mut importer = Importer::default();
    importer.add("iog", state_dict("iog"), &[]).unwrap();
    let error = importer.finish(None).unwrap_err().to_string();
    assert!(error.contains("memory.") && !error.contains("interaction."), "{error}");

    let tensors = rename(state_dict("iog"));
    let (net, _) = build(tensors, true, |p| InteractionNet::new(p, InputLayout::TwoMaps));
    let x = channels_last(&uniform("input.iog", &[1, 5, 512, 512], |u| u));
    let (features, context) = net.encode(&x);
    assert_close("f4", &every(&features.f4, 16), &golden["layer1"]);
    assert_close("f8", &every(&features.f8, 8), &golden["layer2"]);
    assert_close("f16", &every(&features.f16, 4), &golden["layer3"]);
    assert_close("deep", &every(features.deep.as_ref().unwrap(), 4), &golden["layer4"]);
    assert_close("context", &every(&context, 4), &golden["psp"]);
    let levels = net.coarse(&context, &features);
    for (i, logits) in net.coarse_logits(&levels).iter().enumerate() {
        assert_close(&format!("coarse logits {}", i + 1), &every(logits, 8), &golden[&format!("coarse{}", i + 1)]);
    }
    let logits = net.fine_logits(&levels);
    assert_eq!(logits.kind(), Kind::Float);
    assert_close("fine logits", &every(&logits, 4), &golden["fine"]);
}
