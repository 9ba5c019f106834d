//! Sessions on a CUDA device. Skipped without one; `cargo test --test cuda -- --ignored --test-threads 1` runs them,
//! and `tools/cuda.py` where there is no Rust toolchain. On a simulated device they always run.

#[path = "common/simulated_cuda.rs"]
mod simulated_cuda;

use mem3d::Error;
use mem3d::engine::{PropagateOptions, Session, SessionOptions};
use mem3d::eval::metrics::dice;
use mem3d::nn::model::{Model, Precision};
use mem3d::torch::device;
use mem3d::volume::{Geometry, SliceAxis, SliceMask, Volume, VoxelData};
use std::path::Path;
use tch::{Device, Kind, Tensor};

const SHAPE: [usize; 3] = [24, 96, 96];

/// A bright ball on a textured ground.
fn volume() -> Volume {
    let voxel = |i: usize| {
        let [d, r, c] = [i / (96 * 96), i / 96 % 96, i % 96];
        let texture = ((r * 7 + c * 13 + d * 29) % 24) as u8;
        if inside(d, r, c) { 180 + texture } else { 40 + texture }
    };
    let data = (0..SHAPE.iter().product()).map(voxel).collect();
    Volume::new(SHAPE, VoxelData::U8(data), Geometry::default()).unwrap()
}

fn inside(d: usize, r: usize, c: usize) -> bool {
    let square = |a: usize, b: usize, scale: f64| ((a as f64 - b as f64) * scale).powi(2);
    square(d, 12, 2.4) + square(r, 48, 1.0) + square(c, 44, 1.0) < 24.0f64.powi(2)
}

/// The shipped model, from the project's folder or the present one.
fn model(device: &str, precision: Precision) -> Model {
    let name = "models/compact.safetensors";
    let places = [Path::new(env!("CARGO_MANIFEST_DIR")).join(name), name.into()];
    let path = places.iter().find(|p| p.is_file()).expect("the model lies in models/");
    Model::load(path, device, precision).unwrap()
}

fn open(model: &Model) -> Session {
    open_with(model, SessionOptions::default())
}

fn open_with(model: &Model, options: SessionOptions) -> Session {
    let mut session = Session::new(volume(), model.networks(), options).unwrap();
    let data = (0..96 * 96).map(|i| u8::from(inside(12, i / 96, i % 96))).collect();
    session.set_slice_mask(1, SliceAxis::Depth, 12, &SliceMask { rows: 96, cols: 96, data }).unwrap();
    session
}

fn go(session: &mut Session) -> mem3d::Result<usize> {
    session.propagate(&PropagateOptions::default(), &mut |_| true)
}

fn mask(session: &Session) -> Vec<u8> {
    let mut mask = vec![0; SHAPE.iter().product()];
    session.read_mask(1, &mut mask).unwrap();
    mask
}

fn free_bytes() -> u64 {
    device::list()[1].memory_free
}

#[test]
fn all_of_these_on_a_simulated_device() {
    simulated_cuda::run_ignored_tests();
}

#[test]
#[ignore = "needs CUDA"]
fn masks_are_those_of_the_cpu() {
    let run = |device, precision| {
        let mut session = open(&model(device, precision));
        go(&mut session).unwrap();
        mask(&session)
    };
    let cpu = run("cpu", Precision::F32);
    for (precision, least) in [(Precision::Auto, 0.995), (Precision::F16, 0.99), (Precision::Bf16, 0.99)] {
        let agreement = dice(&cpu, &run("cuda:0", precision));
        assert!(agreement >= least, "{precision:?}: {agreement}");
    }
}

#[test]
#[ignore = "needs CUDA"]
fn two_sessions_on_one_device_are_as_each_alone() {
    let model = model("cuda:0", Precision::F32);
    let run = || {
        let mut session = open(&model);
        go(&mut session).unwrap();
        mask(&session)
    };
    let alone = run();
    let together: Vec<Vec<u8>> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..2).map(|_| scope.spawn(run)).collect();
        threads.into_iter().map(|t| t.join().unwrap()).collect()
    });
    assert!(together.iter().all(|mask| dice(mask, &alone) >= 0.999));
}

#[test]
#[ignore = "needs CUDA"]
fn a_freed_session_gives_its_memory_back() {
    let model = model("cuda:0", Precision::Auto);
    // What the first round loads for good: kernels, plans of convolutions.
    drop(go(&mut open(&model)));
    let before = free_bytes();
    let mut session = open(&model);
    go(&mut session).unwrap();
    drop(session);
    let after = free_bytes();
    assert!(after + (16 << 20) >= before, "{before} bytes were free before the session, {after} after it");
}

#[test]
#[ignore = "needs CUDA"]
fn a_freed_session_leaves_its_memory_to_the_next_one_if_asked() {
    let model = model("cuda:0", Precision::Auto);
    drop(go(&mut open(&model)));
    let before = free_bytes();
    let mut session = open_with(&model, SessionOptions { keep_cuda_cache: true, ..SessionOptions::default() });
    go(&mut session).unwrap();
    drop(session);
    let kept = free_bytes();
    assert!(kept + (16 << 20) < before, "{before} bytes were free before the session, {kept} after it");
    mem3d::torch::torch_ext::empty_cuda_cache();
    assert!(free_bytes() + (16 << 20) >= before);
}

#[test]
#[ignore = "needs CUDA"]
fn without_memory_the_error_is_clear_and_the_session_as_it_was() {
    let model = model("cuda:0", Precision::F32);
    let mut session = open(&model);
    let before = mask(&session);
    // Takes what is left, down to pieces too small for a slice.
    let mut taken = Vec::new();
    let mut piece = 1i64 << 33;
    while piece >= 1 << 17 {
        match mem3d::torch::run(|| Tensor::zeros([piece], (Kind::Uint8, Device::Cuda(0)))) {
            Ok(tensor) => taken.push(tensor),
            Err(_) => piece /= 2,
        }
    }
    match go(&mut session) {
        Err(Error::OutOfMemory(text)) => assert!(text.contains("not enough memory"), "{text}"),
        other => panic!("{other:?}"),
    }
    assert!(mask(&session) == before);
    drop(taken);
    mem3d::torch::torch_ext::empty_cuda_cache();
    assert!(go(&mut session).unwrap() > 0);
}
