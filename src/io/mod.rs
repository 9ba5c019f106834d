//! Files: volumes, masks and saved sessions on disk.

pub mod session_file;
