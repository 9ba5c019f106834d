//! Clips for training, from synthetic and real volumes.
//!
//! | file | holds |
//! |---|---|
//! | [`random`], [`noise`], [`resample`] | seeded random numbers, smooth noise, crop and resize |
//! | [`scene`], `shapes`, [`synthetic`] | label volumes, synthetic ones included |
//! | [`synthetic_case`] | a synthetic label volume with an image, for other programs |
//! | [`clips`], `walk`, `frame`, `block` | slices sampled from a scene; their positions along the target; their place |
//! | `intensities` | intensities of a synthetic scene |
//! | [`real`], [`layouts`], [`supervoxels`] | scenes from volumes on disk |
//! | [`feed`], [`batch`], [`damage`] | worker threads that make clips; clips as tensors; masks with errors |

pub mod batch;
mod block;
pub mod clips;
pub mod damage;
pub mod feed;
mod frame;
mod intensities;
pub mod layouts;
pub mod noise;
pub mod random;
pub mod real;
pub mod resample;
pub mod scene;
mod shapes;
pub mod supervoxels;
pub mod synthetic;
pub mod synthetic_case;
mod walk;
