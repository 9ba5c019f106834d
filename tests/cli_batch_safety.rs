//! The built command `mem3d batch` where something is wrong: signals that are ignored, no model, a table that cannot be
//! written, other files in the place of results.

use cli_folder::batch::*;
use cli_folder::*;
use std::fs;
use std::process::Command;

mod cli_folder;

/// The batch as a shell starts it after `line`.
#[cfg(unix)]
fn after(f: &Folder, line: &str) -> Command {
    let mut command = Command::new("sh");
    let line = format!("{line}; exec \"$0\" \"$@\"");
    command.args(["-c", &line, env!("CARGO_BIN_EXE_mem3d")]).args(batch(&[]));
    command.current_dir(f.0.path()).env("MEM3D_MODEL", "random").env_remove("MEM3D_LOG");
    command
}

/// How many cases the batch tells `word` about.
fn told(out: &str, word: &str) -> usize {
    out.lines().filter(|line| line.starts_with("case ") && line.ends_with(word)).count()
}

/// As `nohup` and the background of a script start a program.
#[cfg(unix)]
#[test]
fn signals_that_are_ignored_from_the_start_stop_no_batch() {
    use std::io::BufRead;
    use std::process::Stdio;
    let f = Folder::new();
    list(&f, 6, "");
    let mut command = after(&f, "trap '' HUP INT");
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut lines = std::io::BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let first = lines.next().unwrap();
    for signal in ["-HUP", "-INT"] {
        Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap();
    }
    let all = std::iter::once(first).chain(lines).collect::<Vec<_>>().join("\n");
    assert_eq!(child.wait().unwrap().code(), Some(0), "{all}");
    assert_eq!(told(&all, " done"), 6, "{all}");
}

#[test]
fn a_model_that_cannot_be_used_ends_a_batch_before_its_cases() {
    let f = Folder::new();
    list(&f, 2, "");
    f.run(&batch(&[])).done();
    let table = fs::read(f.path("cases.results.csv")).unwrap();
    f.write("text.safetensors", b"this is a text and no model at all");
    let tries: [(&[&str], &str); 4] = [
        (&["--model", "none.safetensors"], "none.safetensors: there is no such file"),
        (&["--model", "none.safetensors", "--force"], "none.safetensors: there is no such file"),
        (&["--model", "none.safetensors", "--force", "--jobs", "2"], "none.safetensors: there is no such file"),
        (&["--model", "text.safetensors", "--force"], "not a safetensors file"),
    ];
    for (more, expected) in tries {
        f.run(&batch(more)).failed(expected);
    }
    let mut by_variable = f.command(&batch(&[]));
    Run::of(by_variable.env("MEM3D_MODEL", "/nowhere").output().unwrap()).failed("/nowhere: there is no such file");
    assert_eq!(fs::read(f.path("cases.results.csv")).unwrap(), table);
    // A batch that is done needs no model: a copy of the command, away from any.
    let alone = f.path("mem3d-alone");
    fs::copy(env!("CARGO_BIN_EXE_mem3d"), &alone).unwrap();
    let mut command = Command::new(&alone);
    let run =
        Run::of(command.args(batch(&[])).current_dir(f.0.path()).env_remove("MEM3D_MODEL").output().unwrap()).done();
    assert_eq!(told(&run.out, " exists already"), 2, "{run:?}");
}

/// A table beyond `ulimit -f`, as on a full disk.
#[cfg(target_os = "linux")]
#[test]
fn an_output_whose_row_cannot_be_written_is_made_again() {
    let f = Folder::new();
    list(&f, 1, "");
    let columns = "volume,output,status,seconds,rounds,volume_ml,mean_quality,error";
    let other = format!("other.nrrd,other.seg.nrrd,failed,,,,,{}", "x".repeat(3 << 20));
    f.write("cases.results.csv", format!("{columns}\n{other}\n").as_bytes());
    let run = Run::of(after(&f, "ulimit -f 2000").output().unwrap());
    assert_eq!(run.status, Some(1), "{run:?}");
    assert!(run.err.contains("error: cases.results.csv: File too large"), "{}", run.err);
    assert!(run.err.contains("out/0.seg.nrrd: removed, since its result cannot be recorded"), "{}", run.err);
    assert_eq!(fs::read_dir(f.path("out")).unwrap().count(), 0);
    let run = f.run(&batch(&[])).done();
    assert_eq!(told(&run.out, " done"), 1, "{run:?}");
}

#[test]
fn files_that_took_the_place_of_results_stay() {
    let f = Folder::new();
    let outputs = ["a.seg.nrrd", "b.nii.gz", "c.nrrd", "d.nii", "e.nii"];
    let cases: String = outputs.iter().map(|output| format!("ct.nrrd,p.json,{output}\n")).collect();
    f.write("cases.csv", format!("volume,prompts,output\n{cases}").as_bytes());
    f.run(&batch(&[])).done();
    let made = fs::read(f.path("e.nii")).unwrap();
    let others: [(&str, &[u8]); 4] = [
        ("a.seg.nrrd", b"a kind of file that mem3d does not read"),
        ("b.nii.gz", b"short"),
        ("c.nrrd", b"NRRD0004\ntype: uchar\ndimension: 3\nsizes: 1 1 1\nencoding: bzip2\n\nx"),
        ("d.nii", b""),
    ];
    for (name, bytes) in others {
        f.write(name, bytes);
    }
    f.write("e.nii", &made[..made.len() - 9]);
    // Nobody's work is in an empty file, or in a part of a result.
    let run = f.run(&batch(&[])).done();
    assert_eq!((told(&run.out, " exists already"), told(&run.out, " done")), (3, 2), "{run:?}");
    assert_eq!(run.err.matches("left as it is (--force makes it again)").count(), 3, "{run:?}");
    for (name, bytes) in &others[..3] {
        assert_eq!(&fs::read(f.path(name)).unwrap(), bytes, "{name}");
    }
    assert_eq!(fs::read(f.path("e.nii")).unwrap(), made);
    let run = f.run(&batch(&["--merge"]));
    assert_eq!(run.status, Some(1), "{run:?}");
    assert_eq!(run.out.matches("cannot be read, and no batch made it; move it away").count(), 3, "{run:?}");
}
