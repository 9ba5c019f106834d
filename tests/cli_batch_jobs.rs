//! The built command `mem3d batch` with processes (`--jobs`), shards (`--shard`) and merging.

use cli_folder::batch::*;
use cli_folder::*;
use std::collections::BTreeMap;
use std::fs;
use std::process::Stdio;

mod cli_folder;

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
