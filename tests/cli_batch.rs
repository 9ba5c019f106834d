//! The built command `mem3d batch`: resuming, several batches at a time, processes, shards and merging.

use cli_folder::*;
use mem3d::io;
use mem3d::volume::Geometry;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Stdio;

mod cli_folder;

#[test]
fn a_batch_goes_on_after_a_failure_and_resumes() {
    let f = Folder::new();
    f.write("cut.nii.gz", b"\x1f\x8b\x08 and no more");
    f.write(
        "cases.csv",
        b"volume,prompts,output\nct.nrrd,p.json,out/a.seg.nrrd\ncut.nii.gz,p.json,out/b.seg.nrrd\n\
          ct.nrrd,p.json,out/c.nii.gz\n",
    );
    let batch = ["batch", "cases.csv", "--stop-after-empty", "1", "--threads", "2"];
    let run = f.run(&batch);
    assert_eq!(run.status, Some(1), "{run:?}");
    assert!(run.err.contains("error: 1 of 3 cases failed"), "{run:?}");
    let words = |run: &Run| {
        let cases = run.out.lines().filter(|l| l.starts_with("case "));
        cases.map(|l| l.rsplit(' ').next().unwrap().to_string()).collect::<Vec<_>>()
    };
    assert_eq!(words(&run), ["done", "failed", "done"]);
    let rows = |name: &str| -> Vec<(String, String)> {
        let mut reader = csv::Reader::from_path(f.path(name)).unwrap();
        reader.records().map(|r| r.unwrap()).map(|r| (r[2].to_string(), r[7].to_string())).collect()
    };
    let first = rows("cases.results.csv");
    assert_eq!(first.iter().map(|r| r.0.as_str()).collect::<Vec<_>>(), ["done", "failed", "done"]);
    assert!(first[1].1.contains("cut.nii.gz"), "{first:?}");
    let a = fs::metadata(f.path("out/a.seg.nrrd")).unwrap().modified().unwrap();

    // The volume exists now, and an output is cut off: these two are done, the first is left.
    fs::remove_file(f.path("cut.nii.gz")).unwrap();
    f.run(&["volume", "ct.nrrd", "cut.nii.gz"]).done();
    let c = fs::read(f.path("out/c.nii.gz")).unwrap();
    fs::write(f.path("out/c.nii.gz"), &c[..c.len() - 9]).unwrap();
    let run = f.run(&batch).done();
    assert_eq!(words(&run), ["already", "done", "done"]);
    assert_eq!(fs::metadata(f.path("out/a.seg.nrrd")).unwrap().modified().unwrap(), a);
    assert_eq!(fs::read(f.path("out/c.nii.gz")).unwrap(), c);
    assert!(rows("cases.results.csv").iter().all(|r| r.0 == "done" && r.1.is_empty()));

    f.run(&["batch", "none.csv"]).failed("none.csv");
    f.run(&["batch", "p.json"]).failed("no column");
    f.run(&["batch", "cases.csv", "--out", "x"]).failed("a CSV names each output");
}

/// The last word about each case of a batch.
fn last_words(run: &Run) -> Vec<&str> {
    run.out.lines().filter(|l| l.starts_with("case ")).map(|l| l.rsplit(' ').next().unwrap()).collect()
}

#[test]
fn a_batch_does_again_what_was_made_of_other_inputs() {
    let f = Folder::new();
    f.write("cases.csv", b"volume,prompts,output\nct.nrrd,p.json,out/a.seg.nrrd\n");
    let batch = ["batch", "cases.csv", "--stop-after-empty", "1", "--threads", "1"];
    assert_eq!(last_words(&f.run(&batch).done()), ["done"]);
    assert_eq!(last_words(&f.run(&batch).done()), ["already"]);
    // Other options, another model, other prompts.
    let run = f.run(&["batch", "cases.csv", "--stop-after-empty", "2", "--threads", "1"]).done();
    assert!(last_words(&run) == ["done"] && run.err.contains("since the options changed"), "{run:?}");
    let run = f.run(&["batch", "cases.csv", "--stop-after-empty", "2", "--model", "random:9"]).done();
    assert!(last_words(&run) == ["done"] && run.err.contains("since the model changed"), "{run:?}");
    let before = fs::read(f.path("out/a.seg.nrrd")).unwrap();
    f.write(
        "p.json",
        br#"{"interactions": [{"segment": 7, "kind": "extreme_points",
            "points": [[2, 10, 18], [2, 29, 18], [2, 20, 9], [2, 20, 26]]}]}"#,
    );
    let other = ["batch", "cases.csv", "--stop-after-empty", "2", "--model", "random:9"];
    let run = f.run(&other).done();
    assert!(last_words(&run) == ["done"] && run.err.contains("since the prompts changed"), "{run:?}");
    assert_ne!(fs::read(f.path("out/a.seg.nrrd")).unwrap(), before);
    // What a user corrected is no batch's: it stays, also with other prompts, until --force.
    let mut corrected = fs::read(f.path("out/a.seg.nrrd")).unwrap();
    let end = corrected.iter().position(|b| *b == b'\n').unwrap();
    corrected.splice(end..end, *b"\n# corrected");
    fs::write(f.path("out/a.seg.nrrd"), &corrected).unwrap();
    let run = f.run(&batch).done();
    assert!(last_words(&run) == ["already"] && run.err.contains("left as it is (--force"), "{run:?}");
    assert_eq!(fs::read(f.path("out/a.seg.nrrd")).unwrap(), corrected);
    // Nothing but the results stays, and another working directory adds no row.
    let csv = f.path("cases.csv");
    let run = Run::of(f.command(&["batch", csv.to_str().unwrap(), "-f"]).current_dir("/").output().unwrap()).done();
    assert_eq!(last_words(&run), ["done"]);
    let rows: Vec<_> = csv::Reader::from_path(f.path("cases.results.csv")).unwrap().into_records().collect();
    assert_eq!(rows.len(), 1);
    assert_eq!(&rows[0].as_ref().unwrap()[1], "out/a.seg.nrrd");
    assert_eq!(fs::read_dir(f.path("out")).unwrap().count(), 1);
}

#[test]
fn what_no_batch_made_is_left_as_it_is() {
    let f = Folder::new();
    list(&f, 3, "");
    fs::create_dir(f.path("out")).unwrap();
    // Drawn by hand after a batch was killed; of a kind that is not read; segments that overlap, under another name.
    let by_hand = |name: &str| {
        let segment = |number: u32, mask: &[u8]| io::seg_nrrd::Segment {
            number,
            name: "by hand".into(),
            color: [1.0, 0.0, 0.0],
            mask: mask.to_vec(),
        };
        let both = [segment(1, &[1, 1, 0]), segment(2, &[0, 1, 1])];
        io::seg_nrrd::write(&f.path(name), [1, 1, 3], &Geometry::default(), &both).unwrap();
    };
    by_hand("out/0.seg.nrrd");
    f.write("out/.mem3d-claim-0.seg.nrrd", b"process 1\n");
    f.write("out/1.seg.nrrd", b"a kind of file that mem3d does not read");
    let read = |name: &str| fs::read(f.path(name)).unwrap();
    let before = [read("out/0.seg.nrrd"), read("out/1.seg.nrrd")];
    for _ in 0..2 {
        let run = f.run(&batch(&[])).done();
        assert_eq!(last_words(&run)[..2], ["already"; 2], "{run:?}");
        assert_eq!(run.err.matches("left as it is (--force makes it again)").count(), 2, "{run:?}");
        assert_eq!([read("out/0.seg.nrrd"), read("out/1.seg.nrrd")], before);
    }
    // A result that was corrected, with segments that overlap, in the place of one with one label a voxel.
    f.write("cases.csv", b"volume,prompts,output\nct.nrrd,p.json,out/a.nrrd\n");
    f.run(&batch(&[])).done();
    fs::rename(f.path("out/0.seg.nrrd"), f.path("out/a.nrrd")).unwrap();
    assert_eq!(last_words(&f.run(&batch(&[])).done()), ["already"]);
    assert_eq!(read("out/a.nrrd"), before[0]);
    // What cannot be read is missing when the tables are joined.
    list(&f, 2, "");
    f.run(&batch(&["--shard", "1/2"])).done();
    let run = f.run(&batch(&["--merge"]));
    assert!(run.out.contains("out/1.seg.nrrd: its file cannot be read, and no batch made it; move it away"), "{run:?}");
}

#[test]
fn batches_at_the_same_time_share_the_cases() {
    let f = Folder::new();
    let mut list = String::from("volume,prompts,output\n");
    (0..6).for_each(|n| list += &format!("ct.nrrd,p.json,out/{n}.seg.nrrd\n"));
    f.write("cases.csv", list.as_bytes());
    let start = || {
        let mut command = f.command(&["batch", "cases.csv", "--stop-after-empty", "1", "--threads", "1"]);
        command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().unwrap()
    };
    let both = [start(), start()].map(|child| Run::of(child.wait_with_output().unwrap()).done());
    let done: usize = both.iter().map(|run| last_words(run).iter().filter(|w| **w == "done").count()).sum();
    assert_eq!(done, 6, "each case was done once: {both:?}");
    let rows: Vec<_> = csv::Reader::from_path(f.path("cases.results.csv")).unwrap().into_records().collect();
    assert_eq!(rows.iter().filter(|r| &r.as_ref().unwrap()[2] == "done").count(), 6);
    assert_eq!(fs::read_dir(f.path("out")).unwrap().count(), 6);
}

#[test]
fn a_folder_is_a_batch() {
    let f = Folder::new();
    fs::create_dir(f.path("cases")).unwrap();
    fs::copy(f.path("ct.nrrd"), f.path("cases/one.nrrd")).unwrap();
    fs::copy(f.path("p.json"), f.path("cases/one.prompts.json")).unwrap();
    fs::copy(f.path("ct.nrrd"), f.path("cases/undrawn.nrrd")).unwrap();
    let run = f.run(&["batch", "cases", "--stop-after-empty", "1", "--format", "nii-gz"]).done();
    assert!(run.err.contains("undrawn.nrrd: no undrawn.prompts.json"), "{run:?}");
    assert!(f.path("cases/segmentations/one.nii.gz").exists() && f.path("cases/segmentations/results.csv").exists());
    f.run(&["batch", "cases/segmentations"]).failed("no case");
}

#[cfg(unix)]
#[test]
fn ctrl_c_ends_a_batch_that_can_go_on() {
    let f = Folder::new();
    long_volume(&f);
    f.write(
        "cases.csv",
        b"volume,prompts,output\nct.nrrd,p.json,a.nrrd\nlong.nrrd,p.json,b.nrrd\nct.nrrd,p.json,c.nrrd\n",
    );
    let command = f.command(&["batch", "cases.csv", "--stop-after-empty", "0", "-v"]);
    let (status, rest) = interrupted(command, "long.nrrd: intensities");
    assert_eq!(status, Some(1), "{rest:?}");
    assert!(rest.iter().any(|l| l.contains("stopped after 1 of 3 cases; started again, the same command")), "{rest:?}");
    assert!(f.path("a.nrrd").exists() && !f.path("b.nrrd").exists() && !f.path("c.nrrd").exists());
    assert_eq!(csv::Reader::from_path(f.path("cases.results.csv")).unwrap().records().count(), 1);
}

/// `cases.csv` with `count` cases of the small volume, out/0.seg.nrrd and so on, and further lines.
fn list(f: &Folder, count: usize, more: &str) {
    let cases: String = (0..count).map(|n| format!("ct.nrrd,p.json,out/{n}.seg.nrrd\n")).collect();
    f.write("cases.csv", format!("volume,prompts,output\n{cases}{more}").as_bytes());
}

/// A command on `cases.csv` that takes little time.
fn batch<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&["batch", "cases.csv", "--stop-after-empty", "1", "--threads", "2"], more].concat()
}

/// Rows of a table, by output: status, error, and what made the output.
fn rows(path: &Path) -> BTreeMap<String, [String; 3]> {
    let mut reader = csv::Reader::from_path(path).unwrap();
    let column = |name: &str| reader.headers().unwrap().iter().position(|h| h == name).unwrap();
    let columns = ["output", "status", "error", "output_sha256"].map(column);
    let row = |r: csv::StringRecord| columns.map(|c| r[c].to_string());
    reader.records().map(|r| row(r.unwrap())).map(|[output, a, b, c]| (output, [a, b, c])).collect()
}

#[test]
fn jobs_give_the_files_of_one_process() {
    let f = Folder::new();
    list(&f, 4, "none.nrrd,p.json,out/none.nrrd\n");
    let base = ["batch", "cases.csv", "--stop-after-empty", "1", "--threads"];
    let one = f.run(&[&base[..], &["1", "--results", "one.csv"]].concat());
    let files = |f: &Folder| -> BTreeMap<String, Vec<u8>> {
        let files = fs::read_dir(f.path("out")).unwrap().map(|file| file.unwrap());
        files.map(|file| (file.file_name().into_string().unwrap(), fs::read(file.path()).unwrap())).collect()
    };
    let expected = files(&f);
    fs::remove_dir_all(f.path("out")).unwrap();
    let run = f.run(&batch(&["--jobs", "2", "--results", "two.csv"]));
    assert_eq!((one.status, run.status), (Some(1), Some(1)), "{run:?}");
    assert!(run.err.contains("2 jobs at a time with 1 thread each"), "{run:?}");
    assert!(run.err.contains("4 cases segmented in ") && run.err.contains(" an hour"), "{run:?}");
    assert!(cfg!(not(target_os = "linux")) || run.err.contains("peak memory of a process "), "{run:?}");
    assert!(run.err.contains("error: 1 of 5 cases failed"), "{run:?}");
    assert_eq!(files(&f), expected);
    assert_eq!(expected.len(), 4);
    let (one, two) = (rows(&f.path("one.csv")), rows(&f.path("two.csv")));
    assert_eq!(one, two);
    assert!(two["out/none.nrrd"][0] == "failed" && two["out/none.nrrd"][1].contains("none.nrrd"), "{two:?}");
    // Started again, it does the failed case alone; the table goes to standard output, too.
    let run = f.run(&batch(&["--jobs", "3", "--results", "two.csv"]));
    let words = last_words(&run);
    assert_eq!((words.len(), words.iter().filter(|w| **w == "already").count()), (5, 4), "{run:?}");
    let run = f.run(&batch(&["--jobs", "2", "--results", "-"]));
    assert_eq!(run.out.lines().filter(|line| line.contains(",failed,")).count(), 1, "{run:?}");
    assert!(run.out.starts_with("volume,output,status") && run.err.contains("exists already"), "{run:?}");
}

/// The process that works on an output, by its claim.
#[cfg(unix)]
fn worker_on(f: &Folder, output: &str) -> String {
    loop {
        let claim = fs::read_to_string(f.path(&format!(".mem3d-claim-{output}"))).unwrap_or_default();
        if let Some(process) = claim.strip_prefix("process ").and_then(|rest| rest.strip_suffix('\n')) {
            return process.into();
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

#[cfg(unix)]
fn signal(name: &str, process: &str) {
    assert!(std::process::Command::new("kill").args([name, process]).status().unwrap().success());
}

/// Killed as the system does it when memory runs out.
#[cfg(unix)]
#[test]
fn a_case_whose_process_is_killed_fails_alone() {
    let f = Folder::new();
    long_volume(&f);
    list(&f, 3, "long.nrrd,p.json,o.nrrd\n");
    let args = ["batch", "cases.csv", "--stop-after-empty", "0", "--threads", "2", "--jobs", "2"];
    let mut command = f.command(&args);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let process = worker_on(&f, "o.nrrd");
    assert_ne!(process, child.id().to_string());
    signal("-KILL", &process);
    let run = Run::of(child.wait_with_output().unwrap());
    assert_eq!(run.status, Some(1), "{run:?}");
    assert!(run.err.contains("long.nrrd: its process was killed (signal 9), as systems do when memory"), "{run:?}");
    let rows = rows(&f.path("cases.results.csv"));
    assert!(rows["o.nrrd"][0] == "failed" && rows["o.nrrd"][1].contains("signal 9"), "{rows:?}");
    assert_eq!(rows.values().filter(|row| row[0] == "done").count(), 3, "{rows:?}");
    assert!(!f.path("o.nrrd").exists());
}

#[cfg(unix)]
#[test]
fn processes_end_with_their_batch() {
    let f = Folder::new();
    long_volume(&f);
    f.write("cases.csv", b"volume,prompts,output\nlong.nrrd,p.json,a.nrrd\nlong.nrrd,p.json,b.nrrd\n");
    let start = |signal_name: &str| {
        let mut command = f.command(&["batch", "cases.csv", "--stop-after-empty", "0", "--jobs", "2"]);
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let processes = [worker_on(&f, "a.nrrd"), worker_on(&f, "b.nrrd")];
        signal(signal_name, &child.id().to_string());
        // Standard error ends when the last process that has it ends.
        let run = Run::of(child.wait_with_output().unwrap());
        for process in processes {
            let pause = std::time::Duration::from_millis(100);
            let gone = || {
                !std::process::Command::new("kill")
                    .args(["-0", &process])
                    .stderr(Stdio::null())
                    .status()
                    .unwrap()
                    .success()
            };
            let soon = (0..600).any(|_| {
                std::thread::sleep(pause);
                gone()
            });
            assert!(soon, "process {process} goes on");
        }
        run
    };
    let run = start("-TERM");
    assert!(run.status == Some(1) && run.err.contains("stopped after 0 of 2 cases; started again"), "{run:?}");
    assert!(!f.names().iter().any(|name| name.starts_with(".mem3d") || name.contains("results")), "{:?}", f.names());
    assert_eq!(start("-KILL").status, None);
    assert!(!f.path("a.nrrd").exists() && !f.path("b.nrrd").exists());
}

#[test]
fn shards_do_all_cases_and_are_merged() {
    let f = Folder::new();
    list(&f, 5, "");
    let shard = |k: &str| f.run(&batch(&["--shard", k]));
    assert_eq!(last_words(&shard("1/3").done()), ["done"; 2]);
    let run = f.run(&batch(&["--merge"]));
    assert!(run.status == Some(1) && run.err.contains("error: 3 of 5 cases have no result"), "{run:?}");
    let command = "mem3d batch cases.csv --stop-after-empty 1 --threads 2 --shard 2/3";
    assert!(run.out.contains(&format!("missing: out/1.seg.nrrd: there is no result; {command}\n")), "{run:?}");
    assert!(!f.path("cases.results.csv").exists());
    // The task of a Slurm array; another machine may have the list in another order.
    let text = fs::read_to_string(f.path("cases.csv")).unwrap();
    let mut lines: Vec<&str> = text.lines().collect();
    lines[1..].reverse();
    f.write("cases.csv", lines.join("\n").as_bytes());
    let mut slurm = f.command(&batch(&["--shard", "slurm/3"]));
    let run = Run::of(slurm.env("SLURM_ARRAY_TASK_ID", "2").output().unwrap()).done();
    assert_eq!(last_words(&run), ["done"; 2]);
    assert!(run.out.contains("out/1.seg.nrrd") && run.out.contains("out/4.seg.nrrd"), "{run:?}");
    assert!(run.out.ends_with("cases.results.shard-2-of-3.csv\n"), "{run:?}");
    shard("3/3").done();
    // Shards of another number know what the others made.
    assert_eq!(last_words(&shard("2/2").done()), ["already"; 2]);
    let known = rows(&f.path("cases.results.shard-2-of-2.csv"));
    assert_eq!(known["out/1.seg.nrrd"], rows(&f.path("cases.results.shard-2-of-3.csv"))["out/1.seg.nrrd"]);
    assert_eq!(known.len(), 2);
    let run = f.run(&batch(&["--merge"])).done();
    assert_eq!(run.out, "cases.results.csv\n");
    let merged = rows(&f.path("cases.results.csv"));
    assert!(merged.len() == 5 && merged.values().all(|row| row[0] == "done" && row[2].len() == 64), "{merged:?}");
    assert_eq!(rows(&f.path("cases.results.shard-1-of-3.csv")).len(), 2);
    assert_eq!(last_words(&f.run(&batch(&[])).done()), ["already"; 5]);
}

#[test]
fn results_of_other_inputs_are_not_merged() {
    let f = Folder::new();
    list(&f, 2, "");
    f.run(&batch(&["--shard", "1/2"])).done();
    f.run(&batch(&["--shard", "2/2", "--model", "random:9"])).done();
    let merge = |more: &[&str]| f.run(&batch(&[&["--merge"], more].concat()));
    let missing = |run: &Run| run.out.lines().map(str::to_string).collect::<Vec<_>>();
    let run = merge(&[]);
    assert_eq!(run.status, Some(1), "{run:?}");
    let lines = missing(&run);
    assert!(lines.len() == 1 && lines[0].contains("out/1.seg.nrrd: its result was made with another model"), "{run:?}");
    assert!(lines[0].ends_with("--shard 2/2"), "{run:?}");
    let run = merge(&["--whole-slice"]);
    assert!(
        missing(&run).iter().any(|line| line.contains("with other options")) && missing(&run).len() == 2,
        "{run:?}"
    );
    // The command that it prints makes it.
    f.run(&batch(&["--shard", "2/2"])).done();
    merge(&[]).done();
    // A result that is cut off, one that a killed batch left, and one that a user changed.
    let whole = fs::read(f.path("out/0.seg.nrrd")).unwrap();
    f.write("out/0.seg.nrrd", &whole[..whole.len() - 9]);
    assert!(missing(&merge(&[]))[0].contains("its file is not complete"));
    f.write("out/0.seg.nrrd", &whole);
    f.write("out/.mem3d-claim-1.seg.nrrd", b"process 1\n");
    assert!(missing(&merge(&[]))[0].contains("a batch works on it, or ended while it did"));
    assert_eq!(last_words(&f.run(&batch(&[])).done()), ["already"; 2]);
    let mut changed = whole.clone();
    let end = changed.iter().position(|b| *b == b'\n').unwrap();
    changed.splice(end..end, *b"\n# corrected");
    f.write("out/0.seg.nrrd", &changed);
    let run = merge(&[]).done();
    assert!(run.err.contains("no batch recorded that it made it; it counts as it is"), "{run:?}");
    assert_eq!(rows(&f.path("cases.results.csv"))["out/0.seg.nrrd"][0], "skipped");
    assert_eq!(fs::read(f.path("out/0.seg.nrrd")).unwrap(), changed);
    let mut none = f.command(&batch(&["--merge", "--model", "none.safetensors"]));
    Run::of(none.output().unwrap()).failed("none.safetensors");
}

#[cfg(unix)]
#[test]
fn a_killed_shard_resumes() {
    let f = Folder::new();
    long_volume(&f);
    // The first and the third are shard 1.
    f.write(
        "cases.csv",
        b"volume,prompts,output\nct.nrrd,p.json,a.nrrd\nct.nrrd,p.json,b.nrrd\nlong.nrrd,p.json,o.nrrd\n",
    );
    let args = ["batch", "cases.csv", "--stop-after-empty", "0", "--shard", "1/2"];
    let child = f.command(&args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let process = worker_on(&f, "o.nrrd");
    assert_eq!(process, child.id().to_string(), "without --jobs there is one process");
    signal("-KILL", &process);
    assert!(!child.wait_with_output().unwrap().status.success());
    let table = f.path("cases.results.shard-1-of-2.csv");
    assert_eq!(rows(&table).into_keys().collect::<Vec<_>>(), ["a.nrrd"]);
    let made = fs::metadata(f.path("a.nrrd")).unwrap().modified().unwrap();
    // Meanwhile the long volume has become a short one.
    fs::copy(f.path("ct.nrrd"), f.path("long.nrrd")).unwrap();
    assert_eq!(last_words(&f.run(&args).done()), ["already", "done"]);
    assert_eq!(fs::metadata(f.path("a.nrrd")).unwrap().modified().unwrap(), made);
    assert!(rows(&table).values().all(|row| row[0] == "done"));
    assert!(!f.names().iter().any(|name| name.starts_with(".mem3d")), "{:?}", f.names());
}

#[test]
fn bad_shards_tables_and_folders_are_refused() {
    let f = Folder::new();
    list(&f, 2, "");
    let usage = |more: &[&str], expected: &str| {
        let run = Run::of(f.command(&batch(more)).env_remove("SLURM_ARRAY_TASK_ID").output().unwrap());
        assert!(run.status == Some(2) && run.err.contains(expected), "{more:?} {run:?}");
    };
    usage(&["--shard", "0/3"], "no shard 0: they are numbered from 1 to 3");
    usage(&["--shard", "4/3"], "no shard 4: they are numbered from 1 to 3");
    usage(&["--shard", "a/b"], "write K/N");
    usage(&["--shard", "3"], "write K/N");
    usage(&["--shard", "slurm/3"], "SLURM_ARRAY_TASK_ID is not set");
    usage(&["--jobs", "0"], "--jobs");
    usage(&["--merge", "--shard", "1/3"], "cannot be used with");
    f.run(&batch(&["--merge", "--results", "-"])).failed("joins tables in files");
    f.run(&batch(&["--shard", "1/3", "--results", "no/such/r.csv"])).failed("cannot write into the folder");
    // A table of something else stays.
    f.write("ages.csv", b"name,age\na,1\n");
    f.run(&batch(&["--results", "ages.csv"])).failed("no table of results");
    f.run(&batch(&["--merge", "--results", "ages.csv"])).failed("no table of results");
    assert_eq!(fs::read(f.path("ages.csv")).unwrap(), b"name,age\na,1\n");
    // More shards than cases: the others have nothing to do, and a table without rows.
    let run = f.run(&batch(&["--shard", "5/20", "--jobs", "2"])).done();
    assert_eq!(run.out, "cases.results.shard-5-of-20.csv\n");
    assert!(rows(&f.path("cases.results.shard-5-of-20.csv")).is_empty());
    assert_eq!(f.names(), ["ages.csv", "cases.csv", "cases.results.shard-5-of-20.csv", "ct.nrrd", "out", "p.json"]);
}
