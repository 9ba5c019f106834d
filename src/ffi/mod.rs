//! The C interface; all `unsafe` of the crate that is not libtorch's.
//!
//! The boundary's rules are written for hosts at the top of `include/mem3d.h` (its source is `cbindgen.toml`) and for
//! contributors in `CONTRIBUTING.md`. Every exported function is four steps: borrow the handles, read the inputs, one
//! engine call, put the outputs. More than that is logic that belongs in [`crate::engine`].
//!
//! The order of the `pub mod` lines, here and in `session.rs`, is the order of the header's sections.
#![allow(unsafe_code, reason = "the C interface is made of raw pointers; nothing outside this folder exports a symbol")]
#![allow(non_camel_case_types, reason = "Rust names are the C names, letter for letter")]
#![allow(rustdoc::broken_intra_doc_links, reason = "`@param[out]` is Doxygen's, for the header")]
#![allow(clippy::missing_safety_doc, reason = "the contract is the @pre line, which the header shows too")]

pub mod status;

pub mod version;

pub mod log;

pub mod device;

pub mod interaction;

pub mod model;

pub mod volume_view;

pub mod session;

mod fork;
mod guard;
mod handle;
mod panics;
mod reserve;
mod slices;
mod text;
mod versioned;

use status::mem3d_status;
