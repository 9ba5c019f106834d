//! The command on a simulated CUDA device (`tests/simulated_cuda`).

#[path = "common/simulated_cuda.rs"]
mod simulated_cuda;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

/// What `mem3d` with these arguments prints; none where there cannot be a simulated device.
fn mem3d(folder: &Path, arguments: &[&str], set: &[(&str, &str)]) -> Option<String> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mem3d"));
    command.current_dir(folder).args(arguments).envs(set.iter().copied()).env_remove("MEM3D_LOG");
    let done = simulated_cuda::on_device(command, 1024)?.output().unwrap();
    assert!(done.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
    Some(String::from_utf8_lossy(&done.stdout).into_owned())
}

#[test]
fn the_device_is_found_and_its_name_reported() {
    let Some(text) = mem3d(Path::new("."), &["info"], &[]) else { return };
    assert!(text.contains("device    cuda:0: simulated, 1.1 of 1.1 GB free, used by default"), "{text}");
}

#[test]
fn every_stage_is_trained() {
    let folder = tempfile::tempdir().unwrap();
    let small = r#"{"channels": [8, 8, 16, 16], "groups": 4, "key_channels": 8, "value_channels": 16}"#;
    std::fs::write(folder.path().join("small.json"), small).unwrap();
    let arguments = "train --out all --config small.json --steps 10 --size 32 --batch 2 --clip 3 --scene-side 32 \
                     --scenes 1 --held-out 1 --workers 1 --seed 5 -q --device";
    let arguments: Vec<&str> = arguments.split_whitespace().chain(["cuda:0"]).collect();
    let Some(_) = mem3d(folder.path(), &arguments, &[]) else { return };
    let log = std::fs::read_to_string(folder.path().join("all/log.csv")).unwrap();
    for stage in ["memory", "interaction", "quality"] {
        assert!(log.lines().any(|line| line.contains(stage)), "{log}");
    }
    let exported = mem3d(folder.path(), &["train", "--out", "all", "--export", "all.safetensors"], &[]);
    assert!(exported.unwrap().contains("all.safetensors"));
}

/// Calls of each operation, as the simulated device wrote them.
fn counts(path: &Path) -> BTreeMap<String, i64> {
    let text = std::fs::read_to_string(path).unwrap();
    let parts = text.lines().filter_map(|line| line.split_once(' '));
    parts.map(|(n, name)| (name.to_string(), n.parse().unwrap())).collect()
}

/// Operations that start nothing on a device.
const FREE: [&str; 6] = [
    "aten::as_strided",
    "aten::view",
    "aten::_reshape_alias",
    "aten::empty.memory_format",
    "aten::empty_strided",
    "synchronize",
];

#[test]
fn a_slice_takes_few_launches() {
    let folder = tempfile::tempdir().unwrap();
    let run = |slices: &str| {
        let file = folder.path().join(slices);
        let arguments = ["bench", "--presets", "compact", "--size", "128", "--slices", slices, "--device", "cuda:0"];
        mem3d(folder.path(), &arguments, &[("CUDA_SIMULATED_COUNTS", file.to_str().unwrap())])?;
        Some(counts(&file))
    };
    let Some((short, long)) = run("12").zip(run("36")) else { return };
    // A first round and one after a correction; both chains of a step together.
    let more = |name: &str| long[name] - short.get(name).unwrap_or(&0);
    let launches: i64 = long.keys().filter(|name| !FREE.contains(&name.as_str())).map(|name| more(name)).sum();
    let with_host: i64 = long.keys().filter(|name| name.ends_with(" with the host")).map(|name| more(name)).sum();
    eprintln!("{} launches and {} copies a slice", launches / 24, with_host / 24);
    // What counts nothing has not seen anything.
    assert!(launches > 0 && with_host > 0, "{long:?}");
    assert!(launches / 24 < 500 && with_host / 24 < 6, "{launches} launches, {with_host} copies: {long:?}");
}
