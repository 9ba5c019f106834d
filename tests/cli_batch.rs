//! The built command `mem3d batch`: what it does, leaves and does again; several batches at a time.

use cli_folder::batch::*;
use cli_folder::*;
use mem3d::io;
use mem3d::volume::Geometry;
use std::fs;
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
    assert_eq!(last_words(&run), ["done", "failed", "done"]);
    let table = || rows(&f.path("cases.results.csv")).into_values().map(|[status, error, _]| (status, error));
    let first: Vec<_> = table().collect();
    assert_eq!(first.iter().map(|r| r.0.as_str()).collect::<Vec<_>>(), ["done", "failed", "done"]);
    assert!(first[1].1.contains("cut.nii.gz"), "{first:?}");
    let a = fs::metadata(f.path("out/a.seg.nrrd")).unwrap().modified().unwrap();

    // The volume exists now, and an output is cut off: these two are done, the first is left.
    fs::remove_file(f.path("cut.nii.gz")).unwrap();
    f.run(&["volume", "ct.nrrd", "cut.nii.gz"]).done();
    let c = fs::read(f.path("out/c.nii.gz")).unwrap();
    fs::write(f.path("out/c.nii.gz"), &c[..c.len() - 9]).unwrap();
    let run = f.run(&batch).done();
    assert_eq!(last_words(&run), ["already", "done", "done"]);
    assert_eq!(fs::metadata(f.path("out/a.seg.nrrd")).unwrap().modified().unwrap(), a);
    assert_eq!(fs::read(f.path("out/c.nii.gz")).unwrap(), c);
    assert!(table().all(|r| r.0 == "done" && r.1.is_empty()));

    f.run(&["batch", "none.csv"]).failed("none.csv");
    f.run(&["batch", "p.json"]).failed("no column");
    f.run(&["batch", "cases.csv", "--out", "x"]).failed("a CSV names each output");
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
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
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
    fs::copy(f.path("p.json"), f.path("cases/tow.prompts.json")).unwrap();
    let run = f.run(&["batch", "cases", "--stop-after-empty", "1", "--format", "nii-gz"]).done();
    assert!(run.err.contains("undrawn.nrrd: no undrawn.prompts.json"), "{run:?}");
    assert!(run.err.contains("tow.prompts.json: no volume of the folder has its name; left out"), "{run:?}");
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
