//! `mem3d convert`: a checkpoint with the published names, as torch.save writes it, becomes a model that segments.

use super::{Folder, json};
use std::fs;
use std::io::Write;
use std::path::Path;

/// Names and shapes of the published parameters of `network` ("stm" or "iog").
fn parameters(network: &str) -> Vec<(String, Vec<usize>)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/parameters.txt");
    let text = fs::read_to_string(path).unwrap();
    let lines = text.lines().filter_map(|l| l.strip_prefix(network)?.trim().split_once(' '));
    let numbers = |shape: &str| shape.split(|c: char| !c.is_ascii_digit()).filter_map(|n| n.parse().ok()).collect();
    lines.map(|(name, shape)| (name.to_string(), numbers(shape))).collect()
}

fn text(s: &str) -> Vec<u8> {
    [b"X", &(s.len() as u32).to_le_bytes()[..], s.as_bytes()].concat()
}

fn int(n: usize) -> Vec<u8> {
    [b"J", &(n as u32).to_le_bytes()[..]].concat()
}

fn tuple(items: &[Vec<u8>]) -> Vec<u8> {
    [b"(", &items.concat()[..], b"t"].concat()
}

/// Writes what `torch.save({"iteration": 7, "net": state_dict}, path)` writes, in half precision. Weights are small and
/// differ, norms are near 1.
fn save(path: &Path, parameters: &[(String, Vec<usize>)]) {
    let mut pickle = [b"\x80\x02}q\x00(".to_vec(), text("iteration"), b"K\x07".to_vec(), text("net")].concat();
    pickle.extend(b"ccollections\nOrderedDict\n)R(");
    for (i, (name, shape)) in parameters.iter().enumerate() {
        let n: usize = shape.iter().product();
        let storage =
            [text("storage"), b"ctorch\nHalfStorage\n".to_vec(), text(&i.to_string()), text("cuda:0"), int(n)];
        let strides: Vec<usize> = (0..shape.len()).map(|k| shape[k + 1..].iter().product()).collect();
        let all = |values: &[usize]| tuple(&values.iter().map(|v| int(*v)).collect::<Vec<_>>());
        let hooks = b"ccollections\nOrderedDict\n)R".to_vec();
        let id = [tuple(&storage), b"Q".to_vec()].concat();
        let arguments = tuple(&[id, int(0), all(shape), all(&strides), b"\x89".to_vec(), hooks]);
        pickle.extend([text(name), b"ctorch._utils\n_rebuild_tensor_v2\n".to_vec(), arguments, b"R".to_vec()].concat());
    }
    pickle.extend(b"uu.");
    let stored = zip::write::FileOptions::default().compression_method(zip::CompressionMethod::Stored);
    let mut archive = zip::ZipWriter::new(std::io::BufWriter::new(fs::File::create(path).unwrap()));
    archive.start_file("weights/data.pkl", stored).unwrap();
    archive.write_all(&pickle).unwrap();
    let mut seed = 1u32;
    for (i, (name, shape)) in parameters.iter().enumerate() {
        archive.start_file(format!("weights/data/{i}"), stored).unwrap();
        let n: usize = shape.iter().product();
        let norm = shape.len() == 1 && (name.ends_with("weight") || name.ends_with("running_var"));
        let scale = if shape.len() > 1 { (3.0 / shape[1..].iter().product::<usize>() as f32).sqrt() } else { 0.1 };
        let mut bytes = Vec::with_capacity(2 * n);
        for _ in 0..n {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let u = (seed >> 8) as f32 / (1 << 23) as f32 - 1.0;
            let value = if norm { 0.5 + 0.1 * u } else { scale * u };
            bytes.extend(half::f16::from_f32(value).to_le_bytes());
        }
        archive.write_all(&bytes).unwrap();
    }
    archive.finish().unwrap();
}

#[test]
fn published_checkpoints_become_a_model_that_segments() {
    let f = Folder::new();
    save(&f.path("stm.pth"), &parameters("stm"));
    save(&f.path("iog.pth"), &parameters("iog"));
    let convert = ["convert", "stm.pth", "--for", "box,extreme_points=iog.pth", "--out", "paper.safetensors"];
    let rest = ["--precision", "bf16", "--licence", "CC0-1.0", "--json", "report.json"];
    let run = f.run(&[&convert[..], &rest].concat()).done();
    assert!(run.out.contains("stm.pth: memory network") && run.out.contains("iog.pth: interaction network"), "{run:?}");
    let report = json(&f.path("report.json"));
    let loaded = |i: usize| report["checkpoints"][i]["tensors_loaded"].as_u64().unwrap();
    let left = |i: usize| report["checkpoints"][i]["not_loaded"].as_array().unwrap().len() as u64;
    // Kinds come first. Every published parameter is loaded, or has a reason why not.
    assert_eq!(loaded(0) + left(0), parameters("iog").len() as u64);
    assert_eq!(loaded(1) + left(1), parameters("stm").len() as u64);
    assert!(loaded(0) > 300 && loaded(1) > 300 && report["filled"].as_array().unwrap().is_empty(), "{report}");

    let info = f.run(&["info", "paper.safetensors", "--json", "info.json"]).done();
    assert!(info.out.contains("licence: CC0-1.0"), "{info:?}");
    let model = &json(&f.path("info.json"))["models"][0];
    assert_eq!((&model["preset"], &model["name"]), (&"paper".into(), &"paper".into()));
    assert_eq!(model["interactions"], serde_json::json!(["box", "extreme_points"]));
    assert_eq!(model["sha256"], report["sha256"]);
    assert!(model["provenance"].as_str().unwrap().contains("stm.pth (SHA-256 "), "{model}");

    let segment = |interactions: &str| {
        let rest = ["--out", "o.seg.nrrd", "--model", "paper.safetensors", "--stop-after-empty", "1", "--threads", "2"];
        f.run(&[&["segment", "ct.nrrd", interactions], &rest[..]].concat())
    };
    f.write("click.json", br#"{"interactions": [{"kind": "click", "points": [[2, 20, 20]]}]}"#);
    segment("click.json").failed("does not answer click");
    let run = segment("p.json").done();
    assert!(run.out.starts_with("segment 3 \"left kidney\""), "{run:?}");
}

#[test]
fn what_a_checkpoint_lacks_is_an_error_or_filled() {
    let f = Folder::new();
    let without: Vec<_> =
        parameters("stm").into_iter().filter(|(name, _)| !name.starts_with("Decoder.pred2")).collect();
    save(&f.path("stm.pth"), &without);
    f.run(&["convert", "stm.pth", "--out", "m.safetensors"]).failed("memory.decoder.predict.weight");
    assert!(!f.path("m.safetensors").exists());
    let run = f.run(&["convert", "stm.pth", "--out", "m.safetensors", "--fill", "3"]).done();
    assert!(run.out.contains("2 tensors were in no checkpoint"), "{run:?}");
    assert!(run.out.contains("no interaction network was given"), "{run:?}");
    f.run(&["convert", "stm.pth", "--out", "m.safetensors"]).failed("--force");
}

#[test]
fn files_that_are_no_checkpoint_are_reported() {
    let f = Folder::new();
    let convert = |name: &str| f.run(&["convert", name, "--out", "m.safetensors"]);
    convert("none.pth").failed("none.pth");
    f.write("text.pth", b"hello");
    convert("text.pth").failed("not a PyTorch checkpoint");
    f.write("legacy.pth", b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.\x80\x02M\xe9\x03.");
    convert("legacy.pth").failed("torch.save(torch.load(");
    f.run(&["convert", "--out", "m.safetensors"]).failed("no checkpoint is named");
    save(&f.path("other.pth"), &[("fc.weight".into(), vec![2, 2])]);
    convert("other.pth").failed("its names are fc.weight");
}

#[test]
fn a_malicious_checkpoint_is_refused_and_runs_nothing() {
    let f = Folder::new();
    let marker = f.path("pwned");
    let command = format!("touch '{}'", marker.display());
    let pickle = [b"\x80\x02cposix\nsystem\n".to_vec(), text(&command), b"\x85R.".to_vec()].concat();
    let stored = zip::write::FileOptions::default().compression_method(zip::CompressionMethod::Stored);
    let mut archive = zip::ZipWriter::new(fs::File::create(f.path("evil.pth")).unwrap());
    archive.start_file("evil/data.pkl", stored).unwrap();
    archive.write_all(&pickle).unwrap();
    archive.finish().unwrap();
    f.run(&["convert", "evil.pth", "--out", "m.safetensors"]).failed("posix.system");
    assert!(!marker.exists() && !f.path("m.safetensors").exists());
}
