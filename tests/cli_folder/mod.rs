//! A folder with small files, in which tests run the built command.

#![allow(dead_code, reason = "each test uses a part of it")]

use mem3d::io;
use mem3d::volume::{Geometry, Volume, VoxelData};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

pub mod batch;

/// A folder with a small volume and interactions for it.
pub struct Folder(pub tempfile::TempDir);

/// Depth, height and width of the volume.
pub const SHAPE: [usize; 3] = [5, 40, 36];

impl Folder {
    /// `ct.nrrd`: a bright box in the middle of every slice; `p.json`: an extreme-points interaction around it on slice
    /// 2, for a segment with a name and a colour.
    pub fn new() -> Folder {
        let folder = Folder(tempfile::tempdir().unwrap());
        io::write_volume(&folder.path("ct.nrrd"), &volume()).unwrap();
        let interactions = r##"{"segments": [{"number": 3, "name": "left kidney", "color": "#ff8000"}],
            "interactions": [{"segment": 3, "kind": "extreme_points",
                              "points": [[2, 10, 18], [2, 29, 18], [2, 20, 9], [2, 20, 26]]}]}"##;
        folder.write("p.json", interactions.as_bytes());
        folder
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn write(&self, name: &str, bytes: &[u8]) {
        fs::write(self.path(name), bytes).unwrap();
    }

    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(self.0.path()).unwrap().map(|f| f.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mem3d"));
        command.args(args).current_dir(self.0.path()).env("MEM3D_MODEL", "random").env_remove("MEM3D_LOG");
        command.env_remove("RUST_BACKTRACE");
        command
    }

    pub fn run(&self, args: &[&str]) -> Run {
        Run::of(self.command(args).output().unwrap())
    }
}

/// Output of a run.
#[derive(Debug)]
pub struct Run {
    pub status: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Run {
    pub fn of(output: Output) -> Run {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Run { status: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }

    #[track_caller]
    pub fn done(self) -> Run {
        assert_eq!(self.status, Some(0), "{self:?}");
        self
    }

    /// Failed with one clear line that holds `expected`, and nothing on standard output.
    #[track_caller]
    pub fn failed(self, expected: &str) {
        assert_eq!(self.status, Some(1), "{self:?}");
        assert_eq!(self.out, "", "{self:?}");
        let line = self.err.lines().find(|l| l.starts_with("error: ")).unwrap_or_else(|| panic!("no error: {self:?}"));
        assert!(line.contains(expected), "{expected:?} not in {line:?}");
        for noise in ["panicked", "RUST_BACKTRACE", "Os {", "Err("] {
            assert!(!self.err.contains(noise), "{self:?}");
        }
    }
}

pub fn volume() -> Volume {
    let [depth, height, width] = SHAPE;
    let mut data = vec![0i16; depth * height * width];
    for (i, v) in data.iter_mut().enumerate() {
        let (r, c) = (i / width % height, i % width);
        let noise = ((i * 7919) % 23) as i16;
        *v = if (10..30).contains(&r) && (9..27).contains(&c) { 200 + noise } else { noise };
    }
    let geometry = Geometry {
        spacing_mm: [3.0, 0.5, 0.75],
        origin_mm: [-12.5, 40.25, 7.0],
        direction: [[0.0, 0.0, 1.0], [-0.6, 0.8, 0.0], [0.8, 0.6, 0.0]],
    };
    Volume::new(SHAPE, VoxelData::I16(data), geometry).unwrap()
}

pub fn json(path: &Path) -> serde_json::Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// `long.nrrd`, whose 400 slices take a minute.
#[cfg(unix)]
pub fn long_volume(f: &Folder) {
    let data = (0..400 * 40 * 36).map(|i| (i % 251) as u8).collect();
    let long = Volume::new([400, 40, 36], VoxelData::U8(data), Geometry::default()).unwrap();
    io::write_volume(&f.path("long.nrrd"), &long).unwrap();
}

/// Starts the command, waits for `line` on standard error and for some slices more, and presses Ctrl-C. Returns what
/// came after the line.
#[cfg(unix)]
pub fn interrupted(mut command: Command, line: &str) -> (Option<i32>, Vec<String>) {
    use std::process::Stdio;
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(child.stderr.take().unwrap())).map(Result::unwrap);
    lines.by_ref().find(|l| l.contains(line)).unwrap();
    std::thread::sleep(std::time::Duration::from_secs(3));
    // As schedulers do, which signal the shell of a job and its processes.
    for signal in ["-INT", "-TERM"] {
        Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap();
    }
    let rest = lines.collect();
    (child.wait().unwrap().code(), rest)
}
