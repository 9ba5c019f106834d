//! The built command: every subcommand, exit statuses, output streams, and bad input.

use cli_folder::*;
use mem3d::io::{self, seg_nrrd};
use mem3d::volume::{Geometry, Volume, VoxelData};
use std::fs;
use std::process::Command;

mod cli_checkpoint;
mod cli_folder;

#[test]
fn wrong_usage_has_a_status_of_its_own() {
    let f = Folder::new();
    for args in [
        &["nonsense"][..],
        &[],
        &["segment", "ct.nrrd"],
        &["segment", "ct.nrrd", "p.json", "--out", "o.nrrd", "--device"],
        &["segment", "ct.nrrd", "p.json", "--out", "o.nrrd", "--window", "3,1"],
        &["segment", "ct.nrrd", "p.json", "--out", "o.nrrd", "--precision", "f8"],
        &["segment", "ct.nrrd", "p.json", "--out", "o.nrrd", "--threads", "0"],
        &["segment", "ct.nrrd", "p.json", "--out", "o.nrrd", "--axis", "3"],
        &["convert", "a.pth", "--out", "m.safetensors", "--for", "lasso=a.pth"],
        &["info", "--quiet", "--verbose"],
    ] {
        let run = f.run(args);
        assert_eq!((run.status, run.out.as_str()), (Some(2), ""), "{args:?} {run:?}");
        assert!(run.err.contains("Usage:") || run.err.contains("--help"), "{run:?}");
    }
    let help = f.run(&["--help"]).done();
    for name in ["segment", "batch", "volume", "overview", "convert", "info", "bench"] {
        assert!(help.out.contains(&format!("  {name} ")), "{name} not in {}", help.out);
    }
    assert_eq!(f.run(&["--version"]).done().out, format!("mem3d {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn a_volume_is_converted_and_never_overwritten() {
    let f = Folder::new();
    let run = f.run(&["--quiet", "volume", "ct.nrrd", "ct.nii.gz"]).done();
    assert_eq!((run.out.as_str(), run.err.as_str()), ("ct.nii.gz\n", ""));
    assert_eq!(io::read_volume(&f.path("ct.nii.gz")).unwrap().data(), volume().data());
    // Without --quiet the log on standard error names the file.
    let run = f.run(&["volume", "ct.nii.gz", "ct.nii.gz.nrrd"]).done();
    assert!(run.out == "ct.nii.gz.nrrd\n" && run.err.contains("36 x 40 x 5 voxels of type i16"), "{run:?}");
    f.run(&["volume", "ct.nrrd", "ct.nrrd"]).failed("is an input");
    f.run(&["volume", "ct.nrrd", "no/such/folder/ct.nrrd"]).failed("cannot write into the folder");
    f.run(&["volume", "ct.nrrd", "ct.png"]).failed("name it .nii");
}

#[test]
fn volumes_that_cannot_be_used_are_reported() {
    let f = Folder::new();
    let segment = |volume: &str| f.run(&["segment", volume, "p.json", "--out", "o.nii.gz"]);
    segment("none.nrrd").failed("none.nrrd");
    segment(".").failed("folder");
    f.write("text.nii.gz", b"this is a text");
    segment("text.nii.gz").failed("text.nii.gz");
    f.write("text.nrrd", b"this is a text");
    segment("text.nrrd").failed("not an NRRD");
    f.write("scan.dcm", b"DICM");
    segment("scan.dcm").failed("unknown kind of file");
    f.run(&["volume", "ct.nrrd", "whole.nii.gz"]).done();
    let whole = fs::read(f.path("whole.nii.gz")).unwrap();
    f.write("cut.nii.gz", &whole[..whole.len() / 2]);
    segment("cut.nii.gz").failed("cut.nii.gz");
    // Four dimensions, the last with two entries: dim[0] and dim[4] of the NIfTI header.
    f.run(&["volume", "ct.nrrd", "time.nii"]).done();
    let mut time = fs::read(f.path("time.nii")).unwrap();
    (time[40], time[48]) = (4, 2);
    f.write("time.nii", &time);
    segment("time.nii").failed("time.nii");
    let nan = |values: Vec<f32>| Volume::new([1, 2, 2], VoxelData::F32(values), Geometry::default()).unwrap();
    io::write_volume(&f.path("nan.nrrd"), &nan(vec![1.0, 2.0, f32::NAN, f32::INFINITY])).unwrap();
    f.write("q.json", br#"{"interactions": [{"kind": "click", "points": [[0, 0, 0]]}]}"#);
    f.run(&["segment", "nan.nrrd", "q.json", "--out", "o.nii.gz"]).failed("replace_non_finite");
    io::write_volume(&f.path("flat.nrrd"), &nan(vec![7.0; 4])).unwrap();
    f.run(&["segment", "flat.nrrd", "q.json", "--out", "o.nii.gz"]).failed("every voxel");
    assert!(!f.names().contains(&"o.nii.gz".to_string()));
}

#[test]
fn interactions_and_files_are_checked_before_the_work() {
    let f = Folder::new();
    let segment = |rest: &[&str]| f.run(&[&["segment", "ct.nrrd"], rest].concat());
    segment(&["none.json", "--out", "o.nrrd"]).failed("none.json");
    f.write("bad.json", br#"{"interactions": [{"kind": "click", "points": [[9, 0, 0]]}]}"#);
    segment(&["bad.json", "--out", "o.nrrd"]).failed("interactions[0]: point 1 lies outside");
    f.write("not.json", b"hello");
    segment(&["not.json", "--out", "o.nrrd"]).failed("not JSON");
    segment(&["p.json", "--out", "o.png"]).failed("such a name");
    segment(&["p.json", "--out", "no/such/o.nrrd"]).failed("cannot write into the folder");
    segment(&["p.json", "--out", "ct.nrrd", "--force"]).failed("is an input");
    segment(&["p.json", "--out", "o.nrrd", "--quality", "p.json", "--force"]).failed("is an input");
    segment(&["p.json", "--out", "o.nrrd", "--out", "o.nrrd"]).failed("written twice");
    f.write("o.nrrd", b"mine");
    segment(&["p.json", "--out", "o.nrrd"]).failed("--force");
    assert_eq!(fs::read(f.path("o.nrrd")).unwrap(), b"mine");
}

#[test]
fn models_that_cannot_be_used_are_reported() {
    let f = Folder::new();
    let with = |model: &str| f.run(&["segment", "ct.nrrd", "p.json", "--out", "o.nrrd", "--model", model]);
    with("none.safetensors").failed("none.safetensors");
    with("random:x").failed("whole number");
    f.write("text.safetensors", b"this is a text and no model at all");
    with("text.safetensors").failed("not a safetensors file");
    f.write("old.pth", b"PK\x03\x04 and so on");
    with("old.pth").failed("mem3d convert");
    let device = |device: &str| f.run(&["segment", "ct.nrrd", "p.json", "--out", "o.nrrd", "--device", device]);
    device("gpu").failed("no device \"gpu\"");
    device("cuda:4096").failed("device");
    // A copy of the command, away from any model, without the variable.
    let alone = f.path("mem3d-alone");
    fs::copy(env!("CARGO_BIN_EXE_mem3d"), &alone).unwrap();
    let mut command = Command::new(&alone);
    command
        .args(["segment", "ct.nrrd", "p.json", "--out", "o.nrrd"])
        .current_dir(f.path("."))
        .env_remove("MEM3D_MODEL");
    Run::of(command.output().unwrap()).failed("--model random");
}

/// A driver for CUDA 12.2 in place of the machine's own.
#[test]
#[cfg(target_os = "linux")]
fn a_driver_that_is_too_old_is_reported() {
    let f = Folder::new();
    f.write("driver.c", b"int cuDriverGetVersion(int *version) { *version = 12020; return 0; }\n");
    let compiled = Command::new("cc")
        .args(["-shared", "-fPIC", "-Wl,-soname,libcuda.so.1", "-o", "libcuda.so.1", "driver.c"])
        .current_dir(f.0.path())
        .status();
    if !compiled.is_ok_and(|status| status.success()) {
        return eprintln!("skipped: no C compiler");
    }
    let mut command = f.command(&["segment", "ct.nrrd", "p.json", "--out", "o.nii.gz", "--device", "cuda"]);
    let set = std::env::var("LD_LIBRARY_PATH").unwrap_or_default();
    command.env("LD_LIBRARY_PATH", format!("{}:{set}", f.0.path().display()));
    let run = Run::of(command.output().unwrap());
    // By libtorch's own version where its CUDA part can be opened.
    assert!(run.err.contains("driver is for CUDA 12.2"), "{run:?}");
    assert!(run.err.contains("CUDA 13") && run.err.contains("(580 or later)"), "{run:?}");
    run.failed("CUDA cannot be used");
}

#[test]
fn info_lists_libtorch_devices_and_models() {
    let f = Folder::new();
    let run = f.run(&["info", "--json", "info.json"]).done();
    assert!(run.out.contains("libtorch  2.11.") && run.out.contains("device    cpu: "), "{run:?}");
    let info = json(&f.path("info.json"));
    assert_eq!(info["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(info["devices"][0]["id"], "cpu");
    // Either there is CUDA, or a reason why not.
    assert_ne!(info["why_no_cuda"].is_null(), info["devices"].as_array().unwrap().len() == 1);
    f.run(&["info", "none.safetensors"]).failed("none.safetensors");
    // A reader that closes the pipe is no failure.
    let run = Command::new("sh")
        .args(["-c", &format!("'{}' --quiet info 2>&1 >&- | cat", env!("CARGO_BIN_EXE_mem3d"))])
        .output()
        .unwrap();
    assert!(!String::from_utf8_lossy(&run.stdout).contains("panicked"), "{run:?}");
}

#[test]
fn a_segmentation_from_interactions_to_files() {
    let f = Folder::new();
    let outputs = ["--out", "o.seg.nrrd", "--out", "o.nii.gz", "--out", "o.nrrd", "--quality", "q.json"];
    let rest = ["--save-session", "s.m3s", "--stop-after-empty", "0", "--threads", "2"];
    let run = f.run(&[&["segment", "ct.nrrd", "p.json"], &outputs[..], &rest].concat()).done();
    let lines: Vec<&str> = run.out.lines().collect();
    assert!(lines[0].starts_with("segment 3 \"left kidney\": "), "{run:?}");
    assert_eq!(lines[1..], ["o.seg.nrrd", "o.nii.gz", "o.nrrd", "q.json", "s.m3s"]);
    assert!(run.err.contains("random weights"), "{run:?}");

    let read = seg_nrrd::read(&f.path("o.seg.nrrd")).unwrap();
    assert_eq!((read.shape(), read.segments().len()), (SHAPE, 1));
    let (segment, mask, geometry) = (&read.segments()[0], read.mask(0), read.geometry());
    assert_eq!((segment.number, segment.name.as_str()), (3, "left kidney"));
    for (a, b) in segment.color.iter().zip([1.0, 128.0 / 255.0, 0.0]) {
        assert!((a - b).abs() < 1e-6);
    }
    let volume = volume();
    for (a, b) in geometry.position_lps([1.0, 2.0, 3.0]).iter().zip(volume.geometry().position_lps([1.0, 2.0, 3.0])) {
        assert!((a - b).abs() < 1e-4);
    }
    // The three files hold one segmentation.
    for name in ["o.nii.gz", "o.nrrd"] {
        let labels = io::read_volume(&f.path(name)).unwrap();
        assert!((0..labels.data().len()).all(|i| labels.data().get(i) == 3.0 * f64::from(mask[i])), "{name}");
    }
    let quality = json(&f.path("q.json"));
    assert_eq!(quality["quality"].as_array().unwrap().len(), SHAPE[0]);
    assert_eq!((&quality["annotated"][0], &quality["axis"]), (&2.into(), &0.into()));
    let filled = (0..SHAPE[0]).filter(|d| mask[d * 40 * 36..(d + 1) * 40 * 36].contains(&1)).count();
    assert_eq!(quality["segments"][0]["slices"], filled);
    // 3 x 0.5 x 0.75 mm a voxel.
    let ml = mask.iter().filter(|v| **v == 1).count() as f64 * 1.125 / 1000.0;
    assert!((quality["segments"][0]["volume_ml"].as_f64().unwrap() - ml).abs() < 1e-9);

    let overview = ["overview", "ct.nrrd", "o.nrrd", "--segment", "3", "--quality", "q.json", "--out", "o.png"];
    assert_eq!(f.run(&overview).done().out, "o.png\n");
    assert!(fs::read(f.path("o.png")).unwrap().starts_with(b"\x89PNG"));
    f.run(&[&overview[..], &["--axis", "1"]].concat()).failed("q.json: its qualities are along axis 0");

    // The session continues: without a further round it writes the same.
    f.run(&["segment", "ct.nrrd", "--resume", "s.m3s", "--out", "again.nrrd"]).done();
    let read = |name: &str| io::read_volume(&f.path(name)).unwrap();
    assert_eq!(read("again.nrrd"), read("o.nrrd"));
    f.run(&["volume", "ct.nrrd", "other.nii.gz"]).done();
    let mut other = volume.data().clone();
    if let VoxelData::I16(v) = &mut other {
        v[0] += 1;
    }
    let other = Volume::new(SHAPE, other, volume.geometry().clone()).unwrap();
    io::write_volume(&f.path("other.nrrd"), &other).unwrap();
    f.run(&["segment", "other.nrrd", "--resume", "s.m3s", "--out", "x.nrrd"]).failed("another volume");
    let seed = ["segment", "ct.nrrd", "--resume", "s.m3s", "--out", "x.nrrd", "--model", "random:5"];
    f.run(&seed).failed("load that model");

    // Markups are for the one segment of a session, and for none of several.
    let position = volume.geometry().position_lps([2.0, 20.0, 18.0]);
    let click = serde_json::json!({"markups": [{"type": "Fiducial", "controlPoints": [{"position": position}]}]});
    f.write("spleen.mrk.json", click.to_string().as_bytes());
    let resume = |session: &str, interactions: &str, out: &str| {
        let more = ["--save-session", "two.m3s"];
        f.run(&[&["segment", "ct.nrrd", interactions, "--resume", session, "--out", out], &more[..]].concat())
    };
    // The options of the session stay.
    let run = f.run(&["segment", "ct.nrrd", "--resume", "s.m3s", "--out", "x.nrrd", "--stop-after-empty", "1"]);
    assert!(run.status == Some(2) && run.err.contains("cannot be used with"), "{run:?}");
    f.write(
        "window.json",
        br#"{"window": [1, 2], "interactions": [{"segment": 3, "kind": "click", "points": [[2, 20, 18]]}]}"#,
    );
    resume("s.m3s", "window.json", "x.nrrd").failed("the interactions have the window 1 to 2");
    let run = resume("s.m3s", "spleen.mrk.json", "r.nrrd").done();
    assert!(run.out.starts_with("segment 3 \"spleen\": "), "{run:?}");
    fs::remove_file(f.path("two.m3s")).unwrap();
    f.write("more.json", br#"{"interactions": [{"segment": 5, "kind": "click", "points": [[2, 20, 18]]}]}"#);
    resume("s.m3s", "more.json", "t.nrrd").done();
    resume("two.m3s", "spleen.mrk.json", "u.nrrd").failed("two.m3s: its segments [3, 5] have no names");
}

#[test]
fn a_segmentation_keeps_its_names_whatever_its_file_is_called() {
    let f = Folder::new();
    let kidney =
        seg_nrrd::Segment { number: 2, name: "left kidney".into(), color: [1.0, 0.0, 0.0], mask: vec![1, 1, 0] };
    seg_nrrd::write(&f.path("a.seg.nrrd"), [1, 1, 3], &Geometry::default(), &[kidney]).unwrap();
    fs::rename(f.path("a.seg.nrrd"), f.path("seg.nrrd")).unwrap();
    f.run(&["volume", "seg.nrrd", "out.seg.nrrd"]).done();
    let read = seg_nrrd::read(&f.path("out.seg.nrrd")).unwrap();
    let segment = &read.segments()[0];
    assert_eq!((segment.number, segment.name.as_str(), segment.color), (2, "left kidney", [1.0, 0.0, 0.0]));
    let run = f.run(&["volume", "seg.nrrd", "out.nii.gz"]).done();
    assert!(run.err.contains("its labels are 2 \"left kidney\""), "{run:?}");
}

#[test]
fn a_dash_is_standard_output() {
    let f = Folder::new();
    let run = f.run(&["info", "--json", "-"]).done();
    let info: serde_json::Value = serde_json::from_str(&run.out).unwrap();
    assert!(info["version"] == env!("CARGO_PKG_VERSION") && run.err.contains("libtorch  2.11."), "{run:?}");
    let bytes = |args: &[&str]| {
        let output = f.command(args).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        output.stdout
    };
    f.write("copy.nrrd", &bytes(&["volume", "ct.nrrd", "-"]));
    f.run(&["volume", "ct.nrrd", "other.nrrd"]).done();
    assert_eq!(fs::read(f.path("copy.nrrd")).unwrap(), fs::read(f.path("other.nrrd")).unwrap());
    let segment = ["segment", "ct.nrrd", "p.json", "--stop-after-empty", "1", "--threads", "1", "--out"];
    f.write("s.seg.nrrd", &bytes(&[&segment[..], &["-"]].concat()));
    f.run(&[&segment[..], &["t.seg.nrrd"]].concat()).done();
    assert_eq!(fs::read(f.path("s.seg.nrrd")).unwrap(), fs::read(f.path("t.seg.nrrd")).unwrap());
    f.run(&[&segment[..], &["-", "--quality", "-"]].concat()).failed("two outputs");
    assert!(bytes(&["overview", "ct.nrrd", "t.seg.nrrd", "--segment", "3", "--out", "-"]).starts_with(b"\x89PNG"));
    f.write("cases.csv", b"volume,prompts,output\nct.nrrd,p.json,a.nrrd\n");
    let results = bytes(&["batch", "cases.csv", "--stop-after-empty", "1", "--results", "-"]);
    assert!(String::from_utf8(results).unwrap().starts_with("volume,output,status"));
    assert!(!f.names().iter().any(|name| name == "-" || name.starts_with(".mem3d")), "{:?}", f.names());
}

#[cfg(target_os = "linux")]
#[test]
fn devices_are_never_replaced() {
    use std::os::unix::fs::FileTypeExt;
    let f = Folder::new();
    std::os::unix::fs::symlink("/dev/full", f.path("full.nrrd")).unwrap();
    f.run(&["volume", "ct.nrrd", "full.nrrd"]).failed("a device, pipe or socket");
    f.run(&["info", "--json", "/dev/full"]).failed("a device, pipe or socket");
    f.run(&["info", "--json", "/dev/stdout"]).done();
    for device in ["/dev/full", "/dev/null"] {
        assert!(fs::metadata(device).unwrap().file_type().is_char_device(), "{device}");
    }
    assert!(fs::symlink_metadata("/dev/stdout").unwrap().is_symlink());
}

/// A signal while a file is written leaves nothing behind, and the status and a word tell.
#[cfg(unix)]
#[test]
fn a_signal_while_writing_leaves_nothing() {
    let f = Folder::new();
    let data = (0..300 * 256 * 256u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    io::write_volume(
        &f.path("big.nrrd"),
        &Volume::new([300, 256, 256], VoxelData::U8(data), Geometry::default()).unwrap(),
    )
    .unwrap();
    let mut command = f.command(&["volume", "big.nrrd", "big.nii.gz"]);
    let child = command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().unwrap();
    let is_writing = || f.names().iter().any(|name| name.starts_with(".mem3d-"));
    while !is_writing() && !f.path("big.nii.gz").exists() {
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
    let run = Run::of(child.wait_with_output().unwrap());
    let finished = f.path("big.nii.gz").exists();
    assert_eq!(run.status, Some(i32::from(!finished)), "{run:?}");
    assert!(
        finished || run.err.contains("error: stopped; ") && run.err.contains("big.nii.gz is not written"),
        "{run:?}"
    );
    assert!(!is_writing(), "{:?}", f.names());
}

#[cfg(unix)]
#[test]
fn ctrl_c_ends_between_two_slices_and_writes_nothing() {
    let f = Folder::new();
    long_volume(&f);
    let command = f.command(&["segment", "long.nrrd", "p.json", "--out", "o.nrrd", "--stop-after-empty", "0", "-v"]);
    let (status, rest) = interrupted(command, "intensities");
    assert_eq!(status, Some(1));
    assert!(rest.iter().any(|l| l == "error: stopped"), "{rest:?}");
    assert!(!f.names().contains(&"o.nrrd".to_string()));
}

#[test]
fn bench_writes_its_table_and_json() {
    let f = Folder::new();
    let args = ["bench", "--presets", "compact", "--slices", "6", "--size", "64", "--threads", "2", "--json", "b.json"];
    let run = f.run(&args).done();
    assert!(run.out.contains("GMAC") && run.out.contains("64x64x6"), "{run:?}");
    assert_eq!(json(&f.path("b.json"))["presets"][0]["preset"], "compact");
    let run = f.run(&["bench", "--presets", "tiny", "--size", "64"]);
    assert!(run.status == Some(1) && run.err.contains("no preset \"tiny\""), "{run:?}");
    f.run(&["bench", "--size", "8"]).failed("--size 32");
}
