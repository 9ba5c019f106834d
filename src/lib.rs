//! mem3d: interactive 3D segmentation of medical volumes.

pub mod engine;
pub mod error;
pub mod eval;
pub mod ffi;
pub mod io;
pub mod nn;
pub mod prompts;
pub mod train;
pub mod volume;

pub use error::{Error, Result};
