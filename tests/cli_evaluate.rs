//! The built command `mem3d evaluate`: a whole evaluation of a tiny folder, resuming, masks of other tools, and bad
//! folders.

use mem3d::io;
use mem3d::volume::{Geometry, Volume, VoxelData};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A folder with two cases: a bright box on a textured ground, label 1, and a small one, label 2.
fn data() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (n, name) in ["case_a", "case_b"].into_iter().enumerate() {
        let case = folder.path().join("data").join(name);
        fs::create_dir_all(&case).unwrap();
        let shape = [12, 40, 36];
        let label = |i: usize| {
            let (d, h, w) = (i / (40 * 36), i / 36 % 40, i % 36);
            let large = (2..10).contains(&d) && (10..30 - n).contains(&h) && (8..28).contains(&w);
            let small = (4..6).contains(&d) && (34..38).contains(&h) && (2..6).contains(&w);
            u8::from(large) + 2 * u8::from(small)
        };
        let labels: Vec<u8> = (0..shape.iter().product()).map(label).collect();
        let image: Vec<i16> =
            labels.iter().enumerate().map(|(i, &l)| i16::from(l) * 100 + (i * 7 % 23) as i16).collect();
        let geometry = Geometry { spacing_mm: [3.0, 1.0, 1.0], ..Geometry::default() };
        let write = |file: &str, data| {
            io::write_volume(&case.join(file), &Volume::new(shape, data, geometry.clone()).unwrap()).unwrap();
        };
        write("image.nii.gz", VoxelData::I16(image));
        write("label.nii.gz", VoxelData::U8(labels));
    }
    folder
}

fn mem3d(folder: &Path, args: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mem3d"));
    command.current_dir(folder).args(args.split(' ')).env("MEM3D_MODEL", "random").env_remove("MEM3D_LOG");
    command.output().unwrap()
}

fn out(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn error(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

const SHORT: &str = "--interactions box --select quality,random --random-runs 2 --rounds 2 --device cpu";

/// The lines of a CSV file without their seconds (columns 18 and 19).
fn figures(path: PathBuf) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap();
    let cut = |line: &str| {
        let kept: Vec<&str> = line.split(',').enumerate().filter(|(i, _)| !(18..20).contains(i)).map(|c| c.1).collect();
        kept.join(",")
    };
    text.lines().map(cut).collect()
}

#[test]
fn a_folder_is_evaluated_resumed_and_reported() {
    let folder = data();
    let at = |name: &str| folder.path().join(name);
    let run = format!("evaluate data --out one --json one.json --record rounds --no-refinement {SHORT}");
    let text = out(&mem3d(folder.path(), &run));
    assert!(text.contains("## Slice selection") && text.contains("| case_b | 1 "), "{text}");
    assert!(!text.contains("| case_a | 2 "), "label 2 is too small");
    for file in ["report.md", "report.json", "rounds.csv", "dsc_over_rounds.png", "quality_against_iou.png"] {
        assert!(at("one").join(file).metadata().unwrap().len() > 100, "{file}");
    }
    assert_eq!(fs::read(at("one.json")).unwrap(), fs::read(at("one/report.json")).unwrap());
    let report: serde_json::Value = serde_json::from_slice(&fs::read(at("one.json")).unwrap()).unwrap();
    assert_eq!(report["summary"]["targets"], 2);
    // Two targets, three runs of two rounds, and the head.
    let whole = figures(at("one/rounds.csv"));
    assert_eq!(whole.len(), 1 + 2 * 3 * 2);

    // A run that ends after the first target continues to the same figures, also with another path of the data; the
    // alias is the same option.
    let again = format!("evaluate ./data --out one --no-regularisation {SHORT}");
    assert!(error(&mem3d(folder.path(), &again)).contains("--resume"));
    fs::remove_file(at("one/targets/case_b__1.json")).unwrap();
    let kept = fs::read(at("one/targets/case_a__1.json")).unwrap();
    out(&mem3d(folder.path(), &format!("{again} --resume")));
    assert_eq!(figures(at("one/rounds.csv")), whole);
    assert_eq!(fs::read(at("one/targets/case_a__1.json")).unwrap(), kept);
    // A target whose data changed is measured again, the other is not.
    let first = fs::metadata(at("one/targets/case_a__1.json")).unwrap().modified().unwrap();
    let label = at("data/case_b/label.nii.gz");
    let before = fs::read(&label).unwrap();
    fs::copy(at("data/case_a/label.nii.gz"), &label).unwrap();
    let done = mem3d(folder.path(), &format!("{again} --resume"));
    let text = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success() && text.contains("case_b, label 1: measured again"), "{text}");
    assert_ne!(figures(at("one/rounds.csv")), whole);
    fs::write(&label, before).unwrap();
    out(&mem3d(folder.path(), &format!("{again} --resume")));
    assert_eq!(figures(at("one/rounds.csv")), whole);
    assert_eq!(fs::metadata(at("one/targets/case_a__1.json")).unwrap().modified().unwrap(), first);
    let other = error(&mem3d(folder.path(), &format!("{again} --resume --seed 9")));
    assert!(other.contains("other settings: seed was 1, is 9; use the same"), "{other}");

    // The recorded rounds have no masks of tools; then empty ones.
    assert!(error(&mem3d(folder.path(), "evaluate --score rounds --out one")).contains("no tool has left masks"));
    for case in ["case_a", "case_b"] {
        let rounds = at("rounds").join(format!("{case}__1/box"));
        let image = fs::read(rounds.join("image.npy")).unwrap();
        let head = String::from_utf8_lossy(&image[10..128]).replace("<f4", "|u1");
        let mut empty = image[..10].to_vec();
        empty.extend_from_slice(head.as_bytes());
        empty.extend(std::iter::repeat_n(0u8, (image.len() - 128) / 4));
        for round in 1..=2 {
            fs::write(rounds.join(format!("nothing.round_{round}.npy")), &empty).unwrap();
        }
        fs::write(rounds.join("nothing.json"), "[0, 0]").unwrap();
    }
    let text = out(&mem3d(folder.path(), "evaluate --score rounds --out one"));
    assert!(text.contains("## Against the classical tools") && text.contains("nothing"), "{text}");
    assert_eq!(figures(at("one/rounds.csv")).len(), whole.len() + 2 * 2);
}

#[test]
fn one_broken_case_is_reported_and_the_others_are_done() {
    let folder = data();
    fs::write(folder.path().join("data/case_a/image.nii.gz"), "no volume").unwrap();
    let run = "evaluate data --out x --jobs 2 --select quality --rounds 1 --interactions mask --device cpu";
    let output = mem3d(folder.path(), run);
    let text = error(&output);
    assert!(text.contains("case_a") && text.contains("1 failed"), "{text}");
    let report = fs::read_to_string(folder.path().join("x/report.md")).unwrap();
    assert!(report.contains("Failed: case_a") && report.contains("| case_b | 1 "), "{report}");
}

#[test]
fn bad_folders_and_options_are_reported() {
    let folder = data();
    let text = |args: &str| error(&mem3d(folder.path(), &format!("evaluate {args} --out x")));
    assert!(text("nowhere").contains("nowhere"));
    assert!(text("data/case_a").contains("no image with labels"));
    assert!(text("data --cases case_z").contains("case_a, case_b"));
    assert!(text("data --interactions circle").contains("extreme_points"));
    assert!(text("data --select best").contains("oracle_gain"));
    assert!(text("data --rounds 0").contains("1 to 100"));
    assert!(text("data --json no/such/folder/x.json").contains("cannot write"));
    assert!(!folder.path().join("x").exists(), "nothing was written");
    let usage = mem3d(folder.path(), "evaluate");
    assert_eq!(usage.status.code(), Some(2));
    let small = out(&mem3d(folder.path(), &format!("evaluate data --out y --min-voxels 99999 {SHORT}")));
    assert!(small.contains("No target was evaluated"), "{small}");
}

#[test]
fn two_masks_are_compared() {
    let folder = data();
    let text = out(&mem3d(folder.path(), "evaluate --compare data/case_a/label.nii.gz data/case_b/label.nii.gz"));
    let figures: serde_json::Value = serde_json::from_str(&text).unwrap();
    // 8 slices of 20 x 20 and 19 x 20 pixels, and 2 of 4 x 4 in both.
    let (a, b) = (8 * 400 + 32, 8 * 380 + 32);
    assert!((figures["dice"].as_f64().unwrap() - f64::from(2 * b) / f64::from(a + b)).abs() < 1e-12);
    assert_eq!(figures["hd95_mm"], 1.0);
}
