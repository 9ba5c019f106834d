//! Whole sessions over the real networks of both presets with random weights: what must hold whatever the weights are.

mod common;

use common::*;
use mem3d::engine::{PropagateOptions, Session, SessionOptions};
use mem3d::nn::compact::{CompactConfig, CompactNets};
use mem3d::nn::model::{Model, Precision};
use mem3d::nn::params::{Params, Target, TensorMap};
use mem3d::nn::weights::{self, DiskFormat, Header};
use mem3d::nn::{Judgement, Preset};
use mem3d::volume::{Geometry, SliceAxis, Volume, VoxelData};
use std::path::{Path, PathBuf};
use tch::{Device, Kind, Tensor};

/// Compact networks, small enough to test with.
fn compact() -> Model {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("small.safetensors");
    write_model(&path, DiskFormat::F32, |_, _| ());
    Model::load(&path, "cpu", Precision::F32).unwrap()
}

fn open(model: &Model, options: SessionOptions) -> Session {
    Session::new(volume(), model.networks(), options).unwrap()
}

/// No early end: random weights know none.
fn options() -> SessionOptions {
    SessionOptions { stop_after_empty: 0, ..SessionOptions::default() }
}

fn go(session: &mut Session) -> usize {
    session.propagate(&PropagateOptions::default(), &mut |_| true).unwrap()
}

fn target() -> mem3d::volume::SliceMask {
    slice_mask(12..28, 10..34)
}

#[test]
fn a_session_of_two_rounds_honours_what_was_annotated_and_repeats_byte_for_byte() {
    let model = compact();
    let rounds = || {
        let mut s = open(&model, options());
        s.interact(click(1, 10)).unwrap();
        s.set_slice_mask(1, SliceAxis::Depth, 10, &target()).unwrap();
        assert_eq!(go(&mut s), 23);
        s.set_slice_mask(1, SliceAxis::Depth, 16, &target()).unwrap();
        go(&mut s);
        for slice in [10, 16] {
            assert_eq!(s.read_slice_mask(1, SliceAxis::Depth, slice).unwrap(), target());
        }
        let quality = s.quality(1, SliceAxis::Depth).unwrap();
        assert!(quality.iter().all(|q| (0.0..=1.0).contains(q)), "{quality:?}");
        visible(&s)
    };
    assert!(rounds() == rounds(), "the same calls gave other bytes");
}

fn read(session: &Session, segment: u32) -> Vec<f32> {
    let mut probability = vec![0.0; session.volume().data().len()];
    session.read_probability(segment, &mut probability).unwrap();
    probability
}

/// Sums in another order (slices batched otherwise) differ in their last bits, which may tip steps of 1/255.
fn assert_alike(a: &[f32], b: &[f32]) {
    let largest = a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(a.len() == b.len() && largest < 0.03, "probabilities differ by up to {largest}");
}

#[test]
fn features_kept_and_features_computed_anew_give_the_same_masks() {
    let model = compact();
    let run = |feature_cache_bytes| {
        let mut s = open(&model, SessionOptions { feature_cache_bytes, ..options() });
        s.set_slice_mask(1, SliceAxis::Depth, 10, &target()).unwrap();
        go(&mut s);
        s.set_slice_mask(1, SliceAxis::Depth, 15, &target()).unwrap();
        go(&mut s);
        read(&s, 1)
    };
    assert_alike(&run(400_000_000), &run(0));
}

#[test]
fn segments_together_are_as_each_alone() {
    let model = compact();
    let masks = [(1, target()), (2, slice_mask(32..38, 4..12)), (3, slice_mask(10..30, 8..36))];
    // The whole slice, so that no segment is seen through the region of another.
    let options = SessionOptions { whole_slice: true, ..options() };
    let mut together = open(&model, options.clone());
    for (segment, mask) in &masks {
        together.set_slice_mask(*segment, SliceAxis::Depth, 10, mask).unwrap();
    }
    go(&mut together);
    for (segment, mask) in &masks {
        let mut alone = open(&model, options.clone());
        alone.set_slice_mask(*segment, SliceAxis::Depth, 10, mask).unwrap();
        go(&mut alone);
        assert_alike(&read(&together, *segment), &read(&alone, *segment));
    }
}

#[test]
fn the_default_networks_segment_as_they_are() {
    let mut s = open(&Model::random(Preset::Compact, 7, "cpu", Precision::Auto).unwrap(), options());
    s.interact(click(1, 10)).unwrap();
    assert_eq!(go(&mut s), 23);
}

#[test]
fn the_paper_preset_segments_by_region_and_by_whole_slice() {
    let model = Model::random(Preset::Paper, 3, "cpu", Precision::F32).unwrap();
    assert_eq!(model.info().preset, Preset::Paper);
    let shape = [2, 40, 36];
    let data = (0..2 * 40 * 36).map(|i: i32| ((i * 37) % 200) as u8).collect();
    let volume = Volume::new(shape, VoxelData::U8(data), Geometry::default()).unwrap();
    for whole_slice in [false, true] {
        let options = SessionOptions { whole_slice, ..options() };
        let mut s = Session::new(volume.clone(), model.networks(), options).unwrap();
        let mut drawn = click(1, 1);
        drawn.stroke = mem3d::engine::Stroke::Points { points: vec![[1.0, 20.0, 18.0]], radius_mm: 0.0 };
        let mask = s.interact(drawn).unwrap();
        assert_eq!((mask.rows, mask.cols, mask.data[20 * 36 + 18]), (40, 36, 1));
        go(&mut s);
        assert_eq!(s.read_slice_mask(1, SliceAxis::Depth, 1).unwrap(), mask);
        assert_eq!(s.quality(1, SliceAxis::Depth).unwrap().len(), 2);
    }
}

/// A small compact model, written as `weights::write` does.
fn write_model(path: &Path, format: DiskFormat, change: impl FnOnce(&mut TensorMap, &mut Header)) {
    let config = CompactConfig {
        channels: [8, 8, 16, 16],
        key_channels: 8,
        value_channels: 16,
        network_size: 48,
        slice_size: 64,
        ..CompactConfig::default()
    };
    let params = Params::init(5, Target { inference: false, ..Target::default() });
    let _ = CompactNets::new(&params, &config);
    let made = params.finish().unwrap();
    let mut tensors: TensorMap = made.tensors().iter().map(|(n, t)| (n.clone(), t.shallow_clone())).collect();
    let mut header = Header::new(config.info("small", "random", "Apache-2.0"), &config).unwrap();
    change(&mut tensors, &mut header);
    weights::write(path, &header, &tensors, format).unwrap();
}

#[test]
fn a_model_file_in_half_precision_is_loaded_and_used() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("small.safetensors");
    let mut masks = Vec::new();
    for format in [DiskFormat::F32, DiskFormat::F16] {
        write_model(&path, format, |_, _| ());
        for precision in [Precision::F32, Precision::Bf16] {
            let model = Model::load(&path, "cpu", precision).unwrap();
            assert_eq!(model.checksum().len(), 64);
            let mut s = open(&model, options());
            s.set_slice_mask(1, SliceAxis::Depth, 10, &target()).unwrap();
            go(&mut s);
            masks.push(read(&s, 1));
        }
    }
    let mean_difference =
        |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| (a - b).abs()).sum::<f32>() / a.len() as f32;
    assert!(masks[0].iter().any(|&p| p > 0.0));
    for other in &masks[1..] {
        assert!(mean_difference(&masks[0], other) < 0.05);
    }
}

#[test]
fn a_model_file_that_cannot_be_used_is_reported_with_its_path() {
    let folder = tempfile::tempdir().unwrap();
    let path: PathBuf = folder.path().join("bad.safetensors");
    let refusal = |path: &Path| Model::load(path, "cpu", Precision::Auto).err().unwrap().to_string();
    write_model(&path, DiskFormat::F32, |tensors, _| {
        let name = tensors.keys().next().unwrap().clone();
        let _ = tensors[&name].shallow_clone().fill_(f64::NAN);
    });
    let text = refusal(&path);
    assert!(text.contains("bad.safetensors") && text.contains("NaN"), "{text}");
    write_model(&path, DiskFormat::F32, |_, header| header.info.preset = Preset::Paper);
    let text = refusal(&path);
    assert!(text.contains("preset"), "{text}");
    write_model(&path, DiskFormat::F32, |tensors, _| drop(tensors.pop_last()));
    assert!(refusal(&path).contains("1 missing"));
    let whole = std::fs::read(&path).unwrap();
    std::fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    assert!(refusal(&path).contains("incomplete"));
    std::fs::write(&path, "hello, this is some text").unwrap();
    assert!(refusal(&path).contains("not a safetensors file"));
    std::fs::write(&path, b"\x80\x02}q\x00.").unwrap();
    assert!(refusal(&path).contains("mem3d convert"));
}

#[test]
fn the_default_presence_threshold_is_the_boundary_of_networks_that_estimate_the_iou_alone() {
    let threshold = SessionOptions::default().least_presence;
    assert_eq!(Judgement::BOUNDARY_PRESENCE, threshold);
    // One mask a slice; an IoU above 0.35 holds the target, one below does not.
    let probability = Tensor::full([2, 1, 4, 4], 0.9, (Kind::Float, Device::Cpu));
    let judgement = Judgement::from_iou(Tensor::from_slice(&[0.36f32, 0.34]), &probability);
    let presence = Vec::<f32>::try_from(judgement.presence).unwrap();
    assert!(f64::from(presence[0]) > threshold && f64::from(presence[1]) < threshold, "{presence:?}");
}
