//! The default model on the demo's CT, which is not in its training data. The bounds hold for any default model.

use mem3d::engine::{PropagateOptions, Session, SessionOptions};
use mem3d::eval::metrics::dice;
use mem3d::io::read_volume;
use mem3d::nn::model::{Model, Precision};
use mem3d::volume::{SliceAxis, SliceMask, Volume, VoxelData};
use std::path::Path;

const SLICE: usize = 26;

fn demo(name: &str) -> Volume {
    read_volume(&Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/demo/data").join(name)).unwrap()
}

/// The reference, 0 or 1.
fn reference() -> Vec<u8> {
    let VoxelData::U8(label) = demo("sts_ct_012_label.nii.gz").data().clone() else { panic!("a label map in bytes") };
    label
}

/// The mask after one perfectly annotated slice.
fn propagated(model: &Model, image: &Volume, reference: &[u8], options: SessionOptions) -> Vec<u8> {
    let [_, rows, cols] = image.shape();
    let mut session = Session::new(image.clone(), model.networks(), options).unwrap();
    let data = reference[SLICE * rows * cols..(SLICE + 1) * rows * cols].to_vec();
    session.set_slice_mask(1, SliceAxis::Depth, SLICE, &SliceMask { rows, cols, data }).unwrap();
    session.propagate(&PropagateOptions::default(), &mut |_| true).unwrap();
    let mut mask = vec![0; reference.len()];
    session.read_mask(1, &mut mask).unwrap();
    mask
}

#[test]
fn it_propagates_a_mask_and_depends_on_its_memory() {
    // On a busy machine several threads are slower than one.
    tch::set_num_threads(1);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/compact.safetensors");
    let model = Model::load(&path, "cpu", Precision::F32).unwrap();
    let (image, reference) = (demo("sts_ct_012.nii.gz"), reference());
    let all = SessionOptions { least_presence: 0.0, ..SessionOptions::default() };
    let with = propagated(&model, &image, &reference, all.clone());
    let without =
        propagated(&model, &image, &reference, SessionOptions { memorize_previous: false, memorize_every: 0, ..all });
    let pixels = image.shape()[1] * image.shape()[2];
    let near = |m: &[u8]| m[pixels * (SLICE - 3)..pixels * (SLICE + 4)].to_vec();
    let overlap = dice(&near(&with), &near(&reference));
    assert!(overlap > 0.85, "{overlap}");
    // With the guide a network can learn to ignore its memory.
    let agreement = dice(&with, &without);
    assert!(agreement < 0.99, "{agreement}");
}
