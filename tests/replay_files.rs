//! Damaged files: 20,000 changes of the fuzzers' corpora, the same in every run, are read within limited memory. Every
//! reader gives a result or an error that names the file; none panics, none takes long.

#[path = "common/files.rs"]
mod files;
#[path = "common/limited_memory.rs"]
#[cfg(target_os = "linux")]
mod limited_memory;

use mem3d::engine::{Interaction, Session, SessionOptions, Stroke};
use mem3d::io::{self, seg_nrrd, session_file};
use mem3d::nn::model::{Model, Precision};
use mem3d::nn::{InteractionKind, Preset, weights};
use mem3d::volume::{SliceAxis, Volume, VoxelData};
use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Inputs in all.
const INPUTS: usize = 20_000;
/// Longest time for one input. Measured in milliseconds; a busy machine needs more.
const LONGEST: Duration = Duration::from_secs(10);

/// splitmix64
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n.max(1) as u64) as usize
    }
}

/// Numbers at the edges of types, as text and as bytes.
const NUMBERS: [&str; 12] =
    ["0", "-1", "1", "nan", "inf", "-inf", "1e308", "1e-308", "32767", "65536", "4294967295", "9223372036854775807"];
const BYTES: [&[u8]; 10] = [
    &[0; 4],
    &[0xff; 4],
    &[0xff, 0xff, 0xff, 0x7f],
    &[0, 0, 0, 0x80],
    &[0, 0, 0xc0, 0x7f],
    &[0, 0, 0x80, 0x7f],
    &[0xff; 8],
    &[0, 0, 0, 0, 0, 0, 0xf8, 0x7f],
    &[0x1f, 0x8b],
    &[0xff, 0xff, 0xff, 0xff, 0x0f],
];

/// One to four changes of `seed`.
fn mutated(seed: &[u8], random: &mut Random) -> Vec<u8> {
    let mut bytes = seed.to_vec();
    for _ in 0..1 + random.below(4) {
        // Headers are at the beginning.
        let from = if random.below(3) > 0 { bytes.len().min(600) } else { bytes.len() };
        let at = random.below(from);
        match random.below(8) {
            0 if !bytes.is_empty() => bytes[at] ^= 1 << random.below(8),
            1 if !bytes.is_empty() => bytes[at] = random.next() as u8,
            2 | 3 => {
                let edge = BYTES[random.below(BYTES.len())];
                let end = (at + edge.len()).min(bytes.len());
                bytes[at..end].copy_from_slice(&edge[..end - at]);
            }
            4 => bytes.truncate(at),
            5 => drop(bytes.drain(at..(at + 1 + random.below(8)).min(bytes.len()))),
            6 => {
                let part = bytes[at..(at + 1 + random.below(64)).min(bytes.len())].to_vec();
                bytes.splice(at..at, part);
            }
            _ => replace_number(&mut bytes, at, random),
        }
    }
    bytes
}

/// Replaces the first decimal number from `at` on by another.
fn replace_number(bytes: &mut Vec<u8>, at: usize, random: &mut Random) {
    let Some(start) = (at..bytes.len()).find(|&i| bytes[i].is_ascii_digit()) else { return };
    let end = (start..bytes.len()).find(|&i| !bytes[i].is_ascii_digit()).unwrap_or(bytes.len());
    bytes.splice(start..end, NUMBERS[random.below(NUMBERS.len())].bytes());
}

/// The plain body of a saved session with an interaction.
fn session(folder: &Path) -> Vec<u8> {
    let model = Model::random(Preset::Compact, 1, "cpu", Precision::Auto).unwrap();
    let mut session = Session::new(files::volume(), model.networks(), SessionOptions::default()).unwrap();
    let stroke = Stroke::Points { points: vec![[3.0, 15.0, 9.0]], radius_mm: 0.0 };
    let kind = InteractionKind::Click;
    let click = Interaction { segment: 1, axis: SliceAxis::Depth, slice: 3, kind, positive: true, stroke };
    session.interact(click).unwrap();
    let path = folder.join("seed.m3s");
    session_file::write(&path, &session.save()).unwrap();
    let file = std::fs::read(&path).unwrap();
    let mut body = Vec::new();
    flate2::read::GzDecoder::new(&file[60..]).read_to_end(&mut body).unwrap();
    assert_eq!(files::as_session(&body)[..20], file[..20], "the session's format has changed: adapt as_session");
    body
}

/// One DICOM file with explicit elements, 2 x 3 pixels.
fn dicom() -> Vec<u8> {
    let element = |group: u16, number: u16, vr: &[u8; 2], value: &[u8]| {
        let mut padded = value.to_vec();
        padded.resize(value.len().next_multiple_of(2), b' ');
        let head = [&group.to_le_bytes()[..], &number.to_le_bytes(), vr].concat();
        let length = match vr {
            b"OW" => [&[0, 0][..], &(padded.len() as u32).to_le_bytes()].concat(),
            _ => (padded.len() as u16).to_le_bytes().to_vec(),
        };
        [head, length, padded].concat()
    };
    let word = |v: u16| v.to_le_bytes();
    let mut file = vec![0; 128];
    file.extend(b"DICM");
    for part in [
        element(2, 0x10, b"UI", b"1.2.840.10008.1.2.1\0"),
        element(8, 0x103e, b"LO", b"made"),
        element(0x18, 0x50, b"DS", b"2.5"),
        element(0x20, 0x0e, b"UI", b"1.2.3\0"),
        element(0x20, 0x32, b"DS", b"-10\\20\\5"),
        element(0x20, 0x37, b"DS", b"1\\0\\0\\0\\1\\0"),
        element(0x28, 2, b"US", &word(1)),
        element(0x28, 0x10, b"US", &word(2)),
        element(0x28, 0x11, b"US", &word(3)),
        element(0x28, 0x30, b"DS", b"0.5\\0.75"),
        element(0x28, 0x100, b"US", &word(16)),
        element(0x28, 0x101, b"US", &word(12)),
        element(0x28, 0x102, b"US", &word(11)),
        element(0x28, 0x103, b"US", &word(0)),
        element(0x28, 0x1052, b"DS", b"-1024"),
        element(0x28, 0x1053, b"DS", b"1"),
        element(0x7fe0, 0x10, b"OW", &[1, 0, 2, 0, 3, 0, 4, 0, 5, 0, 6, 0]),
    ] {
        file.extend(part);
    }
    file
}

/// The same with compressed pixels in the syntax `uid`, which is as long as the other.
fn compressed(uid: &[u8; 20], fragment: &[u8]) -> Vec<u8> {
    let mut file = dicom();
    let at = file.windows(20).position(|w| w == b"1.2.840.10008.1.2.1\0").unwrap();
    file[at..at + 20].copy_from_slice(uid);
    let at = file.windows(4).position(|w| w == [0xe0, 0x7f, 0x10, 0]).unwrap();
    file.truncate(at);
    file.extend([0xe0, 0x7f, 0x10, 0, b'O', b'B', 0, 0, 0xff, 0xff, 0xff, 0xff, 0xfe, 0xff, 0, 0xe0, 0, 0, 0, 0]);
    file.extend([0xfe, 0xff, 0, 0xe0]);
    file.extend((fragment.len() as u32).to_le_bytes());
    file.extend(fragment);
    file.extend([0xfe, 0xff, 0xdd, 0xe0, 0, 0, 0, 0]);
    file
}

/// 2 x 3 pixels of 16 bits in RLE: two segments of literal runs.
fn rle() -> Vec<u8> {
    let mut data = vec![0; 64];
    for (i, v) in [2u32, 64, 72].into_iter().enumerate() {
        data[4 * i..4 * i + 4].copy_from_slice(&v.to_le_bytes());
    }
    data.extend([5, 0, 0, 0, 0, 0, 0, 0, 5, 1, 2, 3, 4, 5, 6, 0]);
    compressed(b"1.2.840.10008.1.2.5\0", &data)
}

/// A checkpoint with one tensor of 2 x 3 numbers.
fn pth() -> Vec<u8> {
    let text = |s: &str| [b"X", &(s.len() as u32).to_le_bytes()[..], s.as_bytes()].concat();
    let pickle = [
        b"\x80\x02}(",
        &text("w")[..],
        b"ctorch._utils\n_rebuild_tensor_v2\n((",
        &text("storage"),
        b"ctorch\nFloatStorage\n",
        &text("0"),
        &text("cpu"),
        b"K\x06tQK\0K\x02K\x03\x86K\x03K\x01\x86\x89ccollections\nOrderedDict\n)RtRu.",
    ]
    .concat();
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let stored = zip::write::FileOptions::default().compression_method(zip::CompressionMethod::Stored);
    for (name, bytes) in [("a/data.pkl", &pickle[..]), ("a/data/0", &[0; 24])] {
        zip.start_file(name, stored).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

const INTERACTIONS: &[u8] = br##"{"space": "index", "window": [-160, 240],
  "segments": [{"number": 1, "name": "liver", "color": "#e69f00"}],
  "rounds": [{"interactions": [{"segment": 1, "axis": 0, "slice": 3, "kind": "scribble", "positive": false,
    "points": [[3, 6, 7], [3, 9, 12]], "radius_mm": 2}],
    "slice_masks": [{"axis": 0, "slice": 3, "file": "two.seg.nrrd", "label": "liver"}]}]}"##;

const MARKUPS: &[u8] = br#"{"markups": [{"type": "Fiducial", "coordinateSystem": "LPS", "coordinateUnits": "mm",
  "controlPoints": [{"label": "F-1", "position": [14.0, -10.0, 36.0], "positionStatus": "defined"},
  {"label": "F-2", "position": "", "positionStatus": "undefined"}]},
  {"type": "ROI", "center": [18, -10, 39], "size": [4, 5, 0], "orientation": [1, 0, 0, 0, 1, 0, 0, 0, 1],
  "roiType": "Box"}]}"#;

/// A model's description with a tensor that no network has.
fn model() -> Vec<u8> {
    let model = Model::random(Preset::Compact, 1, "cpu", Precision::Auto).unwrap();
    let config = serde_json::json!({"channels": [8, 8, 16, 16], "groups": 4, "key_channels": 8, "value_channels": 16});
    let described = weights::Header::new(model.info().clone(), &config).unwrap();
    let described = serde_json::to_string(&described).unwrap();
    let tensor = serde_json::json!({"dtype": "F32", "shape": [2, 1], "data_offsets": [0, 8]});
    let header = serde_json::json!({"__metadata__": {"mem3d": described}, "a.weight": tensor}).to_string();
    [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &[0; 8]].concat()
}

/// Good inputs: format, name in its corpus, bytes.
fn seeds() -> Vec<(&'static str, &'static str, Vec<u8>)> {
    let folder = tempfile::tempdir().unwrap();
    let small = Volume::new([2, 3, 4], VoxelData::I16((0..24).collect()), files::volume().geometry().clone()).unwrap();
    let written = |name: &str| {
        let path = folder.path().join(name);
        io::write_volume(&path, &small).unwrap();
        std::fs::read(path).unwrap()
    };
    let (nifti, nrrd) = (written("seed.nii"), written("seed.nrrd"));
    let nrrd_of = |fields: &str, body: &[u8]| [b"NRRD0005\n", fields.as_bytes(), b"\n\n", body].concat();
    const PLAIN: &str = "type: uchar\ndimension: 3\nsizes: 2 1 3\nspacings: 1 2 3";
    let gzipped = nrrd_of(&format!("{PLAIN}\nencoding: gzip\naxis mins: 1 2 3"), &files::gzip(&[0, 1, 2, 3, 4, 5]));
    let ascii = nrrd_of(&format!("{PLAIN}\nencoding: ascii\ncenters: cell cell node"), b"0 1 2 3 4 5");
    let seg = folder.path().join("seed.seg.nrrd");
    let segment = |number, name: &str, inside: fn(usize) -> bool| seg_nrrd::Segment {
        number,
        name: name.into(),
        color: [0.5, 0.25, 1.0],
        mask: (0..2160).map(|i| u8::from(inside(i))).collect(),
    };
    let two = [segment(1, "liver", |i| i % 18 > 9), segment(2, "vessel", |i| i % 18 > 12)];
    seg_nrrd::write(&seg, [6, 20, 18], files::volume().geometry(), &two).unwrap();
    vec![
        ("nifti", "seed_zipped", files::gzip(&nifti)),
        ("nifti", "seed_plain", nifti),
        ("nrrd", "seed_raw", nrrd),
        ("nrrd", "seed_gzip", gzipped),
        ("nrrd", "seed_ascii", ascii),
        ("seg_nrrd", "seed_overlap", std::fs::read(seg).unwrap()),
        ("prompts", "seed_round", INTERACTIONS.to_vec()),
        ("markups", "seed_points_and_region", MARKUPS.to_vec()),
        ("dicom", "seed_plain", dicom()),
        ("dicom", "seed_rle", rle()),
        ("sessions", "seed_click", session(folder.path())),
        ("models", "seed_description", model()),
        ("pth", "seed_tensor", pth()),
    ]
}

fn corpus(format: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(format);
    let name = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().to_string();
    let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|path| (name(path), std::fs::read(path).unwrap())).collect()
}

/// With MEM3D_UPDATE_CORPUS=1 the seeds that are missing are written.
#[test]
fn every_format_has_its_seeds_and_every_target_its_corpus() {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    if std::env::var_os("MEM3D_UPDATE_CORPUS").is_some() {
        for (format, name, bytes) in seeds() {
            let folder = fuzz.join("corpus").join(format);
            std::fs::create_dir_all(&folder).unwrap();
            if !folder.join(name).exists() {
                std::fs::write(folder.join(name), bytes).unwrap();
            }
        }
    }
    let names = |folder: &str| -> BTreeSet<String> {
        let entries = std::fs::read_dir(fuzz.join(folder)).unwrap();
        entries.map(|e| e.unwrap().path().file_stem().unwrap().to_str().unwrap().to_string()).collect()
    };
    let manifest = std::fs::read_to_string(fuzz.join("Cargo.toml")).unwrap();
    let expected: BTreeSet<String> =
        files::FORMATS.iter().map(|format| format.name).chain(["c_calls"]).map(String::from).collect();
    assert_eq!(names("corpus"), expected);
    assert_eq!(names("fuzz_targets"), expected);
    for name in &expected {
        assert!(manifest.contains(&format!("path = \"fuzz_targets/{name}.rs\"")), "{name} is not in fuzz/Cargo.toml");
        let target = std::fs::read_to_string(fuzz.join(format!("fuzz_targets/{name}.rs"))).unwrap();
        assert!(name == "c_calls" || target.contains(&format!("files::fuzz(\"{name}\"")), "{name}");
    }
    for (format, name, _) in seeds() {
        assert!(corpus(format).iter().any(|(n, bytes)| n == name && bytes.len() < 8000), "{format}: {name}");
    }
}

/// Runs in a process of its own, whose memory is limited.
#[test]
#[ignore = "run by the other test, with limited memory"]
fn read_them() {
    let reader = files::Reader::new();
    let (mut read, mut refused) = (0, 0);
    for (k, format) in files::FORMATS.iter().enumerate() {
        let mut random = Random(k as u64);
        let corpus = corpus(format.name);
        for (name, bytes) in &corpus {
            let whole = reader.read(format, bytes);
            assert!(whole.is_ok() || !name.starts_with("seed_"), "{} {name}: {whole:?}", format.name);
            for i in 0..INPUTS.div_ceil(files::FORMATS.len() * corpus.len()) {
                let start = Instant::now();
                match reader.read(format, &mutated(bytes, &mut random)) {
                    Ok(()) => read += 1,
                    Err(_) => refused += 1,
                }
                assert!(start.elapsed() < LONGEST, "{} {name}, input {i} took {:?}", format.name, start.elapsed());
            }
        }
    }
    println!("{read} read, {refused} refused");
    assert!(read + refused >= INPUTS && read > 1000 && refused > 5000, "{read} read, {refused} refused");
}

#[cfg(target_os = "linux")]
#[test]
fn damaged_files_are_read_or_refused_within_limited_memory() {
    limited_memory::run_ignored("read_them");
}
