//! The built command `mem3d train`.

use std::path::Path;
use std::process::{Command, Output};

fn mem3d(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_mem3d")).current_dir(folder).args(arguments).output().unwrap()
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn exported(folder: &Path) -> Vec<u8> {
    std::fs::read(folder.join("all.safetensors")).unwrap()
}

#[test]
fn a_training_leaves_its_log_and_a_model_to_start_others_from() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let small = r#"{"channels": [8, 8, 16, 16], "groups": 4, "key_channels": 8, "value_channels": 16}"#;
    std::fs::write(folder.join("small.json"), small).unwrap();
    let clips =
        ["--steps", "1", "--size", "32", "--batch", "1", "--clip", "3", "--scene-side", "32", "--scenes", "1", "-q"];
    let train = |arguments: &[&str]| mem3d(folder, &[&["train"], arguments, &clips].concat());
    let done = train(&["--out", "all", "--config", "small.json", "--held-out", "1", "--workers", "1"]);
    assert!(done.status.success(), "{}", text(&done));
    for file in ["checkpoint.safetensors", "log.csv", "log.png"] {
        assert!(folder.join("all").join(file).metadata().unwrap().len() > 0, "{file}");
    }
    let export = ["--export", "all.safetensors", "--licence", "none", "--provenance", "a test"];
    let done = mem3d(folder, &[&["train", "--out", "all"], export.as_slice()].concat());
    assert!(done.status.success(), "{}", text(&done));
    assert_eq!(String::from_utf8_lossy(&done.stdout).split_whitespace().next(), Some("all.safetensors"));

    // An existing model is replaced by --force alone.
    std::fs::write(folder.join("best.safetensors"), std::fs::read(folder.join("all.safetensors")).unwrap()).unwrap();
    let over = ["train", "--out", "all", "--export", "best.safetensors"];
    let done = mem3d(folder, &over);
    assert!(!done.status.success() && text(&done).contains("--force"), "{}", text(&done));
    assert_eq!(std::fs::read(folder.join("best.safetensors")).unwrap(), exported(folder));
    let done = mem3d(folder, &[&over[..], &["--force"]].concat());
    assert!(done.status.success(), "{}", text(&done));
    assert_ne!(std::fs::read(folder.join("best.safetensors")).unwrap(), exported(folder), "another name");

    // Networks of one stage from a model, the others at random; an unknown stage is part of a name that no file has.
    let done = train(&["--out", "quality", "--stages", "quality", "--init", "all.safetensors:memory+interaction"]);
    assert!(done.status.success(), "{}", text(&done));
    let done = train(&["--out", "wrong", "--stages", "quality", "--init", "all.safetensors:memories"]);
    assert!(!done.status.success() && text(&done).contains("all.safetensors:memories"), "{}", text(&done));
    // A run is not overwritten, and goes on with its own options.
    let done = train(&["--out", "all"]);
    assert!(!done.status.success() && text(&done).contains("--resume"), "{}", text(&done));
    for (more, expected) in [
        ("--real-share 0.5", "--real-share"),
        ("--stages memory", "--stages"),
        ("--learning-rate 1e-3", "--learning-rate"),
        ("--steps many", "--steps many: give a number"),
        ("--steps memory=2", "no length for the stage interaction"),
    ] {
        let words: Vec<&str> = more.split(' ').collect();
        let done = mem3d(folder, &[&["train", "--out", "all", "--resume"], &words[..]].concat());
        assert!(!done.status.success() && text(&done).contains(expected), "{more}: {}", text(&done));
    }
}

#[test]
fn synthetic_volumes_are_written_as_cases_that_evaluate_reads() {
    let folder = tempfile::tempdir().unwrap();
    let export = ["train", "--out", "cases", "--export-synthetic", "2", "--scene-side", "32", "--seed", "7"];
    let done = mem3d(folder.path(), &export);
    assert!(done.status.success(), "{}", text(&done));
    for case in ["synthetic_7_0000", "synthetic_7_0001"] {
        let place = folder.path().join("cases").join(case);
        let image = mem3d::io::read_volume(&place.join("image.nii.gz")).unwrap();
        let labels = mem3d::io::read_labels(&place.join("label.nii.gz")).unwrap();
        assert_eq!((image.shape(), image.geometry().spacing_mm), ([32; 3], [1.0; 3]));
        assert_eq!(labels.shape(), [32; 3]);
        assert!((0..32 * 32 * 32).any(|i| labels.data().get(i) > 0.0), "{case} has no target");
    }
    // Labels that were corrected stay; nothing is written where one file exists.
    let label = folder.path().join("cases/synthetic_7_0001/label.nii.gz");
    std::fs::write(&label, "by hand").unwrap();
    std::fs::remove_dir_all(folder.path().join("cases/synthetic_7_0000")).unwrap();
    let done = mem3d(folder.path(), &export);
    assert!(!done.status.success() && text(&done).contains("image.nii.gz exists"), "{}", text(&done));
    assert_eq!(std::fs::read(&label).unwrap(), b"by hand");
    assert!(!folder.path().join("cases/synthetic_7_0000").exists());
    let done = mem3d(folder.path(), &[&export[..], &["-f"]].concat());
    assert!(done.status.success() && std::fs::read(&label).unwrap() != b"by hand", "{}", text(&done));
}

#[test]
fn options_out_of_range_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    for (line, expected) in [
        ("--export-synthetic 1 --scene-side 0", "use 32 to 320"),
        ("--export-synthetic 1 --scene-side 10000000", "use 32 to 320"),
        ("--show 1 --size 0", "use a multiple of 16"),
        ("--steps 1 --learning-rate nan", "use a number above 0"),
        ("--steps 1 --learning-rate 0", "use a number above 0"),
        ("--steps 1 --learning-rate inf", "use a number above 0"),
    ] {
        let words: Vec<&str> = line.split(' ').collect();
        let done = mem3d(folder.path(), &[&["train", "--out", "x"], &words[..]].concat());
        assert!(done.status.code() == Some(1) && text(&done).contains(expected), "{line}: {}", text(&done));
    }
    assert!(!folder.path().join("x").exists());
}
