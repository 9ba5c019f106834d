//! A CUDA device that fails in the middle of a session. In a program of its own: the device cannot be used again in it.

#[path = "common/simulated_cuda.rs"]
mod simulated_cuda;

use mem3d::Error;
use mem3d::engine::{PropagateOptions, Session, SessionOptions};
use mem3d::nn::Preset;
use mem3d::nn::model::{Model, Precision};
use mem3d::volume::{Geometry, SliceAxis, SliceMask, Volume, VoxelData};
use tch::{Device, Kind, Tensor};

#[test]
fn this_on_a_simulated_device() {
    simulated_cuda::run_ignored_tests();
}

#[test]
#[ignore = "needs CUDA"]
fn after_a_device_failed_masks_are_read_and_the_session_is_saved() {
    let data = (0..8 * 64 * 64).map(|i: usize| (i % 251) as u8).collect();
    let volume = Volume::new([8, 64, 64], VoxelData::U8(data), Geometry::default()).unwrap();
    let model = Model::random(Preset::Compact, 1, "cuda:0", Precision::Auto).unwrap();
    let mut session = Session::new(volume.clone(), model.networks(), SessionOptions::default()).unwrap();
    let drawn = SliceMask { rows: 64, cols: 64, data: (0..64 * 64).map(|i| u8::from(i % 64 < 20)).collect() };
    session.set_slice_mask(1, SliceAxis::Depth, 4, &drawn).unwrap();
    // An index that is not there stops the device's program, as a device that falls off the bus does.
    let _ = mem3d::torch::run(|| {
        let index = Tensor::from_slice(&[1i64 << 40]).to_device(Device::Cuda(0));
        Tensor::zeros([4], (Kind::Float, Device::Cuda(0))).index_select(0, &index).sum(Kind::Float).double_value(&[])
    });
    match session.propagate(&PropagateOptions::default(), &mut |_| true) {
        Err(Error::Torch(text)) => assert!(text.contains("the CUDA device failed"), "{text}"),
        other => panic!("{other:?}"),
    }
    assert_eq!(session.read_slice_mask(1, SliceAxis::Depth, 4).unwrap(), drawn);
    let saved = session.save();
    // Freeing must not fail either.
    drop(session);
    // What was saved goes on with the same weights on another device.
    let model = Model::random(Preset::Compact, 1, "cpu", Precision::Auto).unwrap();
    let mut again = Session::new(volume, model.networks(), SessionOptions::default()).unwrap();
    again.restore(saved).unwrap();
    assert_eq!(again.read_slice_mask(1, SliceAxis::Depth, 4).unwrap(), drawn);
    assert!(again.propagate(&PropagateOptions::default(), &mut |_| true).unwrap() > 0);
}
