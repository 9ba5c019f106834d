//! The experiments with a stand-in network of known masks, and with networks of random weights.

mod common;

use common::*;
use mem3d::engine::{Progress, SessionOptions};
use mem3d::eval::protocol::{Drawing, Protocol, Selection};
use mem3d::eval::record::{Recorder, score};
use mem3d::eval::results::{Run, TargetResult};
use mem3d::eval::rounds::{FinishedRound, Watcher, run};
use mem3d::eval::summary::summarise;
use mem3d::eval::target::Target;
use mem3d::nn::Preset;
use mem3d::nn::model::{Model, Precision};
use mem3d::volume::{Geometry, SliceAxis, Volume, VoxelData};
use mem3d::{Error, Result};

struct Quiet;
impl Watcher for Quiet {}

/// Slices 4..=17, rows 12..28, columns 10..34: the bright box of the stand-in's volume.
fn reference() -> Vec<u8> {
    (0..24 * 44 * 44)
        .map(|i| {
            let (d, h, w) = (i / (44 * 44), i / 44 % 44, i % 44);
            u8::from((4..18).contains(&d) && (12..28).contains(&h) && (10..34).contains(&w))
        })
        .collect()
}

fn options() -> SessionOptions {
    // The stand-in's masks without refinement: they are known beforehand.
    SessionOptions { window: Some((0.0, 255.0)), refine: false, ..SessionOptions::default() }
}

fn protocol() -> Protocol {
    Protocol {
        drawings: vec![Drawing::Scribble, Drawing::Box, Drawing::Mask],
        selections: Selection::ALL.to_vec(),
        random_runs: 2,
        rounds: 4,
        ..Protocol::default()
    }
}

fn experiment(reference: Vec<u8>, protocol: &Protocol, watcher: &mut dyn Watcher) -> Result<TargetResult> {
    let volume = volume();
    let target = Target { case: "box".into(), label: 1, volume: &volume, reference };
    run(&target, &StandIn::new(), &options(), protocol, watcher)
}

fn slices(run: &Run) -> Vec<usize> {
    run.rounds.iter().filter_map(|r| r.slice).collect()
}

#[test]
fn a_network_that_finds_the_target_scores_one() {
    let result = experiment(reference(), &protocol(), &mut Quiet).unwrap();
    assert_eq!((result.voxels, result.slices, result.axis), (TARGET_VOXELS, 14, 0));
    // Three drawings, five selections and two random runs.
    assert_eq!(result.runs.len(), 3 * 7);
    for run in &result.runs {
        assert_eq!(run.rounds.len(), 4);
        for r in &run.rounds {
            assert_eq!((r.dice, r.nsd, r.hd95_mm), (1.0, 1.0, 0.0), "{} {}", run.drawing, run.method);
            assert_eq!((r.ends.false_before, r.ends.false_after, r.ends.missed), (0, 0, 0));
        }
        assert_eq!(run.rounds[0].interactions, 1, "the first slice needs no correction");
        assert_eq!(run.rounds[0].replaced, 23);
    }
}

#[test]
fn no_slice_is_annotated_twice_and_runs_share_the_first() {
    // The reference is wider than what the stand-in finds, so that there always is something to correct.
    let wider: Vec<u8> = (0..24 * 44 * 44)
        .map(|i| {
            let (d, h, w) = (i / (44 * 44), i / 44 % 44, i % 44);
            u8::from((4..18).contains(&d) && (10..28).contains(&h) && (10..36).contains(&w))
        })
        .collect();
    let result = experiment(wider, &protocol(), &mut Quiet).unwrap();
    let first = result.runs[0].rounds[0].slice;
    assert!(first.is_some_and(|k| (4..18).contains(&k)));
    for run in &result.runs {
        let mut all = slices(run);
        assert_eq!(all.len(), 4);
        assert_eq!(all[0], first.unwrap(), "the first slice is the same for all");
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 4, "{} {}: a slice was annotated twice", run.drawing, run.method);
        let annotated: Vec<usize> = slices(run);
        for (k, r) in run.rounds.iter().enumerate() {
            assert!(r.slices.iter().all(|s| !annotated[..=k].contains(&s.slice)), "annotated slices are not rated");
        }
    }
    let random: Vec<Vec<usize>> = result.runs.iter().filter(|r| r.method == "random").map(slices).collect();
    assert_ne!(random[0], random[1]);
    let summary = summarise(std::slice::from_ref(&result), &protocol());
    assert_eq!((summary.targets, summary.methods.len()), (1, 18));
}

#[test]
fn perfect_corrections_make_slices_exact_and_the_oracle_takes_the_worst() {
    // Slices from 12 on are three columns wider than what the stand-in finds: their IoU is 24 / 27, that of others 1.
    let reference: Vec<u8> = (0..24 * 44 * 44)
        .map(|i| {
            let (d, h, w) = (i / (44 * 44), i / 44 % 44, i % 44);
            let cols = if d >= 12 { 10..37 } else { 10..34 };
            u8::from((4..18).contains(&d) && (12..28).contains(&h) && cols.contains(&w))
        })
        .collect();
    let protocol = Protocol {
        drawings: vec![Drawing::Box],
        selections: vec![Selection::Oracle, Selection::OracleGain],
        perfect_corrections: true,
        ..protocol()
    };
    let result = experiment(reference, &protocol, &mut Quiet).unwrap();
    for run in &result.runs {
        assert!(run.rounds[1..].iter().all(|r| r.slice_iou == 1.0 && r.interactions == 1));
        assert!(slices(run)[1..].iter().all(|k| (12..18).contains(k)), "{:?}", slices(run));
        let rises = run.rounds.windows(2).all(|w| w[1].dice > w[0].dice - 1e-9);
        assert!(rises, "{:?}", run.rounds.iter().map(|r| r.dice).collect::<Vec<_>>());
    }
}

#[test]
fn the_same_seed_gives_the_same_figures_and_another_does_not() {
    let figures = |seed| {
        let protocol = Protocol { seed, selections: vec![Selection::Random], ..protocol() };
        let result = experiment(reference(), &protocol, &mut Quiet).unwrap();
        result.runs.iter().map(slices).collect::<Vec<_>>()
    };
    assert_eq!(figures(1), figures(1));
    assert_ne!(figures(1), figures(2));
}

#[test]
fn what_cannot_be_measured_is_refused() {
    let text = |r: Result<TargetResult>| r.unwrap_err().to_string();
    assert!(text(experiment(vec![0; 24 * 44 * 44], &protocol(), &mut Quiet)).contains("nowhere"));
    assert!(text(experiment(vec![1; 5], &protocol(), &mut Quiet)).contains("voxels"));
    let bad = Protocol { rounds: 0, ..protocol() };
    assert!(text(experiment(reference(), &bad, &mut Quiet)).contains("rounds"));
}

#[test]
fn an_experiment_can_be_stopped() {
    struct Stop(usize);
    impl Watcher for Stop {
        fn slice(&mut self, _: Progress) -> bool {
            self.0 += 1;
            self.0 < 5
        }
    }
    assert!(matches!(experiment(reference(), &protocol(), &mut Stop(0)), Err(Error::Cancelled)));
}

#[test]
fn more_rounds_than_slices_change_nothing_more() {
    let data: Vec<u8> = (0..3 * 32 * 32).map(|i| if (8..24).contains(&(i % 32)) { 200 } else { 20 }).collect();
    let reference: Vec<u8> = data.iter().map(|&v| u8::from(v == 200)).collect();
    let volume = Volume::new([3, 32, 32], VoxelData::U8(data), Geometry::default()).unwrap();
    let target = Target { case: "thin".into(), label: 1, volume: &volume, reference };
    let protocol = Protocol { drawings: vec![Drawing::Mask], axis: Some(SliceAxis::Depth), rounds: 6, ..protocol() };
    let result = run(&target, &StandIn::new(), &options(), &protocol, &mut Quiet).unwrap();
    for run in &result.runs {
        assert_eq!(slices(run).len(), 3, "{}", run.method);
        assert_eq!(run.rounds.len(), 6);
        assert_eq!((run.rounds[5].dice, run.rounds[5].interactions), (1.0, 0));
    }
}

#[test]
fn recorded_rounds_are_scored_as_they_were_measured() {
    struct Record(Option<Recorder>, Vec<f64>);
    impl Watcher for Record {
        fn round(&mut self, finished: &FinishedRound) -> Result<()> {
            self.1.push(finished.round.dice);
            self.0.as_mut().unwrap().add(finished)
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let label_file = folder.path().join("label.nrrd");
    let volume = volume();
    let labels = Volume::new(volume.shape(), VoxelData::U8(reference()), Geometry::default()).unwrap();
    mem3d::io::write_volume(&label_file, &labels).unwrap();
    let target = Target { case: "box".into(), label: 1, volume: &volume, reference: reference() };
    let root = folder.path().join("rounds");
    let recorder = Recorder::new(&root, &target, &label_file, SliceAxis::Depth, "box").unwrap();
    let protocol =
        Protocol { drawings: vec![Drawing::Box], selections: vec![Selection::Oracle], rounds: 2, ..protocol() };
    let mut watcher = Record(Some(recorder), Vec::new());
    run(&target, &StandIn::new(), &options(), &protocol, &mut watcher).unwrap();
    watcher.0.take().unwrap().finish().unwrap();
    assert!(matches!(score(&root, &protocol), Err(Error::InvalidState(_))), "no tool has answered");
    // Masks of a tool in numpy's format. The region: 14 slices and 4 more on each side, 16 rows and 4 more, 24 columns
    // and 6 more.
    let run_folder = root.join("box__1/box");
    let answer = |round: usize, slices: usize| {
        let head = std::fs::read(run_folder.join("round_1.npy")).unwrap();
        let rows_cols = (16 + 2 * 4, 24 + 2 * 6);
        let mut mask = vec![0u8; 22 * rows_cols.0 * rows_cols.1];
        for d in 4..4 + slices {
            for r in 4..20 {
                let at = (d * rows_cols.0 + r) * rows_cols.1 + 6;
                mask[at..at + 24].fill(1);
            }
        }
        let text = format!("(22, {}, {})", rows_cols.0, rows_cols.1);
        let mut head = String::from_utf8_lossy(&head[10..128]).replace("(1, 24, 36)", &text).trim_end().to_owned();
        head += &" ".repeat(117 - head.len());
        head.push('\n');
        let mut all = b"\x93NUMPY\x01\x00\x76\x00".to_vec();
        all.extend_from_slice(head.as_bytes());
        all.extend_from_slice(&mask);
        std::fs::write(run_folder.join(format!("half.round_{round}.npy")), all).unwrap();
    };
    answer(1, 7);
    answer(2, 14);
    std::fs::write(run_folder.join("half.json"), "[0.5, 1.5]").unwrap();
    let scored = score(&root, &protocol).unwrap();
    let run = &scored[0].runs[0];
    assert_eq!((run.method.as_str(), run.drawing.as_str()), ("half", "box"));
    // Half of the slices: 2 * 7 / (7 + 14).
    assert!((run.rounds[0].dice - 2.0 / 3.0).abs() < 1e-12);
    assert_eq!((run.rounds[1].dice, run.rounds[1].propagate_s), (1.0, 1.5));
    std::fs::write(run_folder.join("half.round_2.npy"), "broken").unwrap();
    assert!(matches!(score(&root, &protocol), Err(Error::BadFile { .. })));
}

#[test]
fn networks_with_random_weights_run_through() {
    let model = Model::random(Preset::Compact, 3, "cpu", Precision::Auto).unwrap();
    let volume = volume();
    let target = Target { case: "random".into(), label: 1, volume: &volume, reference: reference() };
    let protocol = Protocol {
        drawings: vec![Drawing::Scribble, Drawing::ExtremePoints],
        selections: vec![Selection::Quality, Selection::Uncertainty],
        rounds: 2,
        ..protocol()
    };
    // Random qualities do not recognise the end of the target.
    let options = SessionOptions { least_presence: 0.0, ..SessionOptions::default() };
    let result = run(&target, &*model.networks(), &options, &protocol, &mut Quiet).unwrap();
    assert_eq!(result.runs.len(), 4);
    for r in result.runs.iter().flat_map(|r| &r.rounds) {
        assert!((0.0..=1.0).contains(&r.dice) && (0.0..=1.0).contains(&r.nsd) && r.hd95_mm.is_finite());
        assert!(r.interact_s > 0.0);
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.json");
    result.write(&path).unwrap();
    assert_eq!(TargetResult::read(&path).unwrap(), result);
}
