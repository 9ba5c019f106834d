//! Shared by several subcommands.

pub mod case;
pub mod chart;
pub mod console;
pub mod memory;
pub mod model;
pub mod output;
pub mod system;
pub mod values;
