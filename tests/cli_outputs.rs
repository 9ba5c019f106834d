//! Outputs of the built command: what they may replace, where they may go, and what does not stop the work.

use cli_folder::*;
use std::fs;

mod cli_folder;

#[test]
fn no_output_replaces_an_input_or_another_kind_of_file() {
    let f = Folder::new();
    let model = concat!(env!("CARGO_MANIFEST_DIR"), "/models/compact.safetensors");
    fs::copy(model, f.path("m.safetensors")).unwrap();
    f.run(&["volume", "ct.nrrd", "mask.nrrd"]).done();
    f.write("q.json", br#"{"slice_masks": [{"segment": 1, "slice": 2, "file": "mask.nrrd"}]}"#);
    f.write("mark.json", &[&b"\xef\xbb\xbf"[..], &fs::read(f.path("q.json")).unwrap()[..]].concat());
    detached(&f, "ct.nrrd", "head.nhdr");
    let files = || {
        let read = |name: String| (fs::read(f.path(&name)).unwrap(), name);
        f.names().into_iter().map(read).collect::<Vec<_>>()
    };
    let before = files();
    let refused = |line: &str, expected: &str| {
        let args: Vec<&str> = line.split(' ').collect();
        f.run(&args).failed(expected);
        assert!(files() == before, "{line}");
    };
    for (line, expected) in [
        ("info m.safetensors --json m.safetensors", "m.safetensors is an input"),
        ("info --json ct.nrrd", "ct.nrrd exists and is no JSON file"),
        ("segment ct.nrrd p.json -f -o o.nrrd --quality m.safetensors --model m.safetensors", "is an input"),
        ("segment ct.nrrd p.json -f -o o.nrrd --save-session p.json", "is an input"),
        ("segment ct.nrrd p.json -f -o o.nrrd --quality mask.nrrd", "is no JSON file"),
        ("segment ct.nrrd p.json -f -o o.nrrd --save-session m.safetensors", "is no saved session"),
        ("segment ct.nrrd q.json -f -o mask.nrrd", "mask.nrrd is an input"),
        ("segment ct.nrrd mark.json -f -o mask.nrrd", "mask.nrrd is an input"),
        ("volume head.nhdr ct.nrrd", "it has the voxels of head.nhdr"),
        ("segment head.nhdr p.json -f -o ct.nrrd", "it has the voxels of head.nhdr"),
        ("segment ct.nrrd p.json -o o.nrrd -o ./o.nrrd", "o.nrrd and ./o.nrrd are one file"),
        ("segment ct.nrrd p.json -o o.nrrd --quality x --save-session ./x", "are one file"),
        ("overview ct.nrrd mask.nrrd --out p.json", "p.json exists and is no PNG"),
        ("evaluate --compare ct.nrrd mask.nrrd --json mask.nrrd", "mask.nrrd is an input"),
        ("bench --model m.safetensors --json m.safetensors", "m.safetensors is an input"),
        ("man ct.nrrd", "ct.nrrd: this is no folder"),
        ("batch ct.nrrd", "ct.nrrd"),
    ] {
        refused(line, expected);
    }
    let mut command = f.command(&["info", "--json", "m.safetensors"]);
    command.env("MEM3D_MODEL", "m.safetensors");
    Run::of(command.output().unwrap()).failed("m.safetensors is an input");
    assert!(files() == before);
}

#[test]
fn outputs_of_a_batch_are_no_inputs_and_its_table_no_other_file() {
    let f = Folder::new();
    fs::copy(f.path("ct.nrrd"), f.path("b.nrrd")).unwrap();
    let list = |last: &str| format!("volume,prompts,output\nct.nrrd,p.json,out/a.nrrd\nb.nrrd,p.json,{last}\n");
    for (last, expected) in [("ct.nrrd", "is a volume of the list"), ("p.json", "is a file of interactions")] {
        f.write("l.csv", list(last).as_bytes());
        f.run(&["batch", "l.csv", "--force"]).failed(expected);
    }
    fs::copy(f.path("ct.nrrd"), f.path("voxels.nrrd")).unwrap();
    detached(&f, "voxels.nrrd", "head.nhdr");
    f.write("l.csv", b"volume,prompts,output\nhead.nhdr,p.json,voxels.nrrd\n");
    f.run(&["batch", "l.csv", "--force"]).failed("has voxels of a volume of the list");
    f.write("l.csv", list("out/b.nrrd").as_bytes());
    f.run(&["batch", "l.csv", "--results", "p.json"]).failed("p.json is an input");
    f.run(&["batch", "l.csv", "--results", "out/b.nrrd"]).failed("is the table of results");
    f.write("other.json", b"{}");
    f.run(&["batch", "l.csv", "--results", "other.json"]).failed("no table of results");
    f.write("latin.csv", b"volume,prompts,output\n\xe9.nrrd,p.json,out/a.nrrd\n");
    f.run(&["batch", "latin.csv"]).failed("save the list as UTF-8");
}

/// Writes the header `head` for the voxels of the NRRD file `voxels`.
fn detached(f: &Folder, voxels: &str, head: &str) {
    let whole = fs::read(f.path(voxels)).unwrap();
    let end = whole.windows(2).position(|two| two == b"\n\n").unwrap();
    let more = format!("\nbyte skip: -1\ndata file: {voxels}\n");
    f.write(head, &[&whole[..end], more.as_bytes()].concat());
}

/// Pipes and devices never end.
#[cfg(target_os = "linux")]
#[test]
fn interactions_are_regular_files() {
    let f = Folder::new();
    assert!(std::process::Command::new("mkfifo").arg(f.path("pipe.json")).status().unwrap().success());
    for interactions in ["pipe.json", "/dev/zero"] {
        f.run(&["segment", "ct.nrrd", interactions, "-o", "o.nrrd"]).failed("give a regular file");
        f.write("l.csv", format!("volume,prompts,output\nct.nrrd,{interactions},o.nrrd\n").as_bytes());
        let run = f.run(&["batch", "l.csv"]);
        assert!(run.status == Some(1) && run.err.contains("give a regular file"), "{run:?}");
    }
}

/// A reader that has enough does not end a batch, and a full disk is an error.
#[cfg(target_os = "linux")]
#[test]
fn lines_that_nobody_reads_do_not_stop_the_work() {
    let f = Folder::new();
    f.write("l.csv", b"volume,prompts,output\nct.nrrd,p.json,a.nrrd\nct.nrrd,p.json,b.nrrd\nct.nrrd,p.json,c.nrrd\n");
    let batch = ["batch", "l.csv", "--stop-after-empty", "1", "--threads", "1"];
    let mut child = f.command(&batch).stdout(std::process::Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    assert!(child.wait().unwrap().success());
    assert!(["a.nrrd", "b.nrrd", "c.nrrd"].iter().all(|name| f.path(name).exists()));
    let full = fs::File::options().write(true).open("/dev/full").unwrap();
    let run = Run::of(f.command(&["info"]).stdout(full).output().unwrap());
    run.failed("standard output: No space left");
    // Standard error may be closed, too.
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let status = f.command(&["volume", "none.nrrd", "x.nrrd"]).stderr(writer).status().unwrap();
    assert_eq!(status.code(), Some(1));
    let run = Run::of(f.command(&["volume", "ct.nrrd", "-"]).env("TMPDIR", "/no/folder").output().unwrap());
    run.failed("/no/folder: no temporary file can be made here");
}

/// Files beyond `ulimit -f` are an error, and nothing of them is left.
#[cfg(target_os = "linux")]
#[test]
fn a_file_that_may_not_grow_is_an_error() {
    let f = Folder::new();
    let name = env!("CARGO_BIN_EXE_mem3d");
    let line = format!("ulimit -f 1; exec '{name}' volume ct.nrrd o.nrrd");
    let mut command = std::process::Command::new("sh");
    Run::of(command.args(["-c", &line]).current_dir(f.0.path()).output().unwrap()).failed("o.nrrd: File too large");
    assert_eq!(f.names(), ["ct.nrrd", "p.json"]);
}

/// A signal ends work that does not stop by itself, with a status and not in a crash of libtorch.
#[cfg(unix)]
#[test]
fn a_signal_while_networks_run_is_no_crash() {
    let f = Folder::new();
    let args = ["bench", "--presets", "compact", "--size", "256", "--slices", "400", "--threads", "1"];
    let mut child = f.command(&args).stdout(std::process::Stdio::piped()).spawn().unwrap();
    let lines = std::io::BufRead::lines(std::io::BufReader::new(child.stdout.take().unwrap()));
    // Parts are timed after this line.
    lines.map_while(Result::ok).find(|line| line.contains("one slice")).unwrap();
    std::process::Command::new("kill").args(["-HUP", &child.id().to_string()]).status().unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(1));
}

/// The bytes depend on the number of threads, not on other programs.
#[test]
fn a_number_of_threads_gives_the_same_bytes_on_a_busy_machine() {
    let f = Folder::new();
    let line = "segment ct.nrrd p.json -f -o o.nrrd --quality q.json --stop-after-empty 0 --threads 2";
    let args: Vec<&str> = line.split(' ').collect();
    let made = || {
        f.run(&args).done();
        (fs::read(f.path("o.nrrd")).unwrap(), fs::read(f.path("q.json")).unwrap())
    };
    let idle = made();
    let busy = std::sync::atomic::AtomicBool::new(true);
    std::thread::scope(|scope| {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        for _ in 0..processors.min(8) {
            scope.spawn(|| {
                while busy.load(std::sync::atomic::Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            });
        }
        let made = made();
        busy.store(false, std::sync::atomic::Ordering::Relaxed);
        assert!(made == idle);
    });
    f.run(&["segment", "ct.nrrd", "p.json", "-f", "-o", "o.nrrd", "--threads", "auto"]).done();
}

#[test]
fn axes_have_names() {
    let f = Folder::new();
    let segment = |axis: &str| f.run(&["segment", "ct.nrrd", "p.json", "-f", "-o", "o.nrrd", "--axis", axis]);
    segment("depth").done();
    for axis in ["-1", "3", "axial"] {
        let run = segment(axis);
        assert!(run.status == Some(2) && run.err.contains("0 (depth), 1 (height) or 2 (width)"), "{run:?}");
    }
}
