//! Trainings of tiny networks from end to end: gradients, overfitting, resuming, stopping.

use mem3d::nn::QualityCalibration;
use mem3d::nn::compact::CompactConfig;
use mem3d::nn::model::{Model, Precision};
use mem3d::nn::paper::PaperConfig;
use mem3d::nn::paper::memory_net::MemoryNetConfig;
use mem3d::nn::paper::quality_head::QualityKind;
use mem3d::nn::params::Target;
use mem3d::nn::weights::DiskFormat;
use mem3d::train::checkpoint::Checkpoint;
use mem3d::train::data::batch::Batch;
use mem3d::train::data::clips::{Clip, ClipOptions};
use mem3d::train::data::feed::held_out;
use mem3d::train::data::random::{Purpose, random};
use mem3d::train::networks::{Design, Trainee};
use mem3d::train::optimiser::Optimiser;
use mem3d::train::options::{Length, Recipe, TrainOptions};
use mem3d::train::run::{CHECKPOINT, ExportOptions, LOG, RunOptions, Training, export};
use mem3d::train::{Ended, Stage, Status, interaction_net, memory_net, quality_head};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};
use tch::{Device, Kind, Tensor};

fn tiny() -> Design {
    Design::Compact(CompactConfig {
        channels: [8, 8, 16, 16],
        key_channels: 8,
        value_channels: 16,
        groups: 4,
        network_size: 64,
        slice_size: 64,
        ..CompactConfig::default()
    })
}

fn tiny_paper() -> Design {
    let memory = MemoryNetConfig { key_channels: 8, value_channels: 16, ..MemoryNetConfig::default() };
    Design::Paper(PaperConfig { memory, quality: QualityKind::Convolutional, ..PaperConfig::shared_interaction() })
}

fn build(design: &Design) -> Box<dyn Trainee> {
    design.build(1, None, Target { inference: false, ..Target::default() }).unwrap()
}

fn clips(design: &Design, count: usize, size: usize, length: usize) -> Vec<Clip> {
    let context = design.context_slices() as usize;
    let options = ClipOptions {
        size,
        context,
        length,
        apart: 0.0,
        carried: false,
        difficulty: 0.0,
        largest_region: 3.0,
        closer: 0.0,
    };
    held_out(7, count, &options, 48, &[])
}

fn batch(design: &Design, clips: &[Clip], size: usize) -> Batch {
    Batch::new(clips, design.context_slices() as usize, size, Device::Cpu)
}

fn step_loss(trainee: &dyn Trainee, design: &Design, stage: Stage, clips: &[Clip], size: usize) -> Tensor {
    let batch = batch(design, clips, size);
    let r = random(1, Purpose::Step, 0);
    match stage {
        Stage::Memory => memory_net::loss(trainee, &batch, &Recipe::Mem3d.memory(), &r),
        Stage::Interaction => {
            let pixels: Vec<usize> = clips.iter().map(|c| c.pixels).collect();
            let options = Recipe::Mem3d.interaction();
            interaction_net::loss(trainee, &batch, &pixels, &design.kinds(), &options, &r).0
        }
        Stage::Quality => quality_head::loss(trainee, &batch, &r).0,
    }
}

fn gradients_reach_every_parameter(design: &Design, size: usize) {
    let trainee = build(design);
    let clips = clips(design, 2, size, 4);
    for stage in Stage::ALL {
        let optimiser = Optimiser::new(&*trainee, stage, Recipe::Mem3d.optimiser(stage));
        step_loss(&*trainee, design, stage, &clips, size).backward();
        let gradients = optimiser.gradients();
        assert!(!gradients.is_empty());
        // Blocks that are silent before they are trained have a gain of 0, which alone gets a gradient in the first
        // step.
        let behind_silence = |name: &str| name.contains("refine") && !name.contains("second.norm");
        let without: Vec<&str> = gradients
            .iter()
            .filter(|(name, size)| !size.is_some_and(|s| s > 0.0) && !behind_silence(name))
            .map(|(name, _)| *name)
            .collect();
        assert!(without.is_empty(), "{stage:?}: no gradient reaches {without:?}");
    }
}

#[test]
fn gradients_reach_every_parameter_of_compact() {
    gradients_reach_every_parameter(&tiny(), 64);
}

#[test]
fn gradients_reach_every_parameter_of_paper() {
    gradients_reach_every_parameter(&tiny_paper(), 64);
}

#[test]
fn every_parameter_belongs_to_one_stage() {
    for design in [tiny(), tiny_paper()] {
        let trainee = build(&design);
        for (name, _) in trainee.weights().trainable() {
            assert_eq!(Stage::ALL.iter().filter(|&&s| trainee.belongs(name, s)).count(), 1, "{name}");
        }
    }
}

#[test]
fn a_tiny_network_overfits_one_clip() {
    let design = tiny();
    let trainee = build(&design);
    let clips = clips(&design, 1, 64, 3);
    let batch = batch(&design, &clips, 64);
    let options = Recipe::Mem3d.optimiser(Stage::Memory);
    let mut optimiser = Optimiser::new(&*trainee, Stage::Memory, options);
    let r = random(1, Purpose::Step, 0);
    let mut dice = 0.0;
    for _ in 0..30 {
        for _ in 0..20 {
            optimiser.zero_gradients();
            memory_net::loss(&*trainee, &batch, &Recipe::Mem3d.memory(), &r).backward();
            optimiser.step(3e-3);
        }
        dice = tch::no_grad(|| memory_net::score(&*trainee, std::slice::from_ref(&batch))).dice;
        if dice > 0.9 {
            return;
        }
    }
    panic!("Dice {dice:.3} on the one clip it was trained on");
}

fn options(steps: u64, recipe: Recipe) -> TrainOptions {
    TrainOptions {
        design: tiny(),
        recipe,
        seed: 5,
        size: 48,
        batch: 2,
        length: 3,
        stages: Stage::ALL.iter().map(|&s| (s, Length::Steps(steps))).collect(),
        side: 40,
        scenes: 2,
        renew: 4,
        real_share: 0.0,
        supervoxel_share: 0.0,
        data: vec![],
        unlabelled: vec![],
        labels_only: vec![],
        exclude: BTreeMap::new(),
        hold_out_every: 0,
        learning_rate: None,
        quality_calibration: None,
    }
}

fn run_options(folder: &Path) -> RunOptions {
    RunOptions {
        folder: folder.to_path_buf(),
        device: Device::Cpu,
        kind: Kind::Float,
        workers: 2,
        time_limit: None,
        checkpoint_every: Duration::from_secs(600),
        log_every: Duration::from_millis(1),
        score_every: Duration::from_secs(600),
        held_out: 2,
    }
}

fn weights(folder: &Path) -> Vec<u8> {
    // The header holds the seconds, which differ; the tensors must not.
    let bytes = std::fs::read(folder.join(CHECKPOINT)).unwrap();
    let header = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    bytes[8 + header..].to_vec()
}

#[test]
fn a_resumed_training_gives_the_numbers_of_an_uninterrupted_one() {
    let (whole, parts) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let go_on = AtomicBool::new(false);
    let mut training = Training::new(options(3, Recipe::Mem3d), run_options(whole.path()), None).unwrap();
    assert_eq!(training.train(&go_on, &mut |_| {}).unwrap(), Ended::Finished);

    // Stopped after every step but the last of each stage.
    let mut training = Training::new(options(3, Recipe::Mem3d), run_options(parts.path()), None).unwrap();
    let mut pieces = 0;
    loop {
        let stop = AtomicBool::new(false);
        let ended = training.train(&stop, &mut |_| stop.store(true, std::sync::atomic::Ordering::Relaxed)).unwrap();
        pieces += 1;
        if ended == Ended::Finished {
            break;
        }
        training = Training::resume(run_options(parts.path()), |_| Ok(())).unwrap();
    }
    assert!(pieces >= 7, "{pieces}");
    assert_eq!(weights(whole.path()).len(), weights(parts.path()).len());
    assert!(weights(whole.path()) == weights(parts.path()), "other numbers came out");
    let lines = mem3d::train::log::Log::read(&parts.path().join(LOG)).unwrap();
    let steps: Vec<(Stage, u64)> = lines.iter().map(|l| (l.stage, l.step)).collect();
    let expected: Vec<(Stage, u64)> = Stage::ALL.iter().flat_map(|&s| (1..=3).map(move |n| (s, n))).collect();
    assert_eq!(steps, expected);
}

#[test]
fn a_training_ends_in_a_model_that_loads() {
    let folder = tempfile::tempdir().unwrap();
    let mut training = Training::new(options(2, Recipe::Paper), run_options(folder.path()), None).unwrap();
    training.train(&AtomicBool::new(false), &mut |_| {}).unwrap();
    let model = folder.path().join("model.safetensors");
    let header = ExportOptions {
        name: "tiny".into(),
        provenance: "a test".into(),
        licence: "none".into(),
        network_size: Some(96),
        format: DiskFormat::F16,
    };
    export(&folder.path().join(CHECKPOINT), &model, &header).unwrap();
    let model = Model::load(&model, "cpu", Precision::F32).unwrap();
    assert_eq!((model.info().name.as_str(), model.info().network_size), ("tiny", 96));
    assert_eq!((model.info().provenance.as_str(), model.info().licence.as_str()), ("a test", "none"));
}

#[test]
fn a_model_keeps_the_calibration_of_the_training() {
    let folder = tempfile::tempdir().unwrap();
    let calibration = QualityCalibration { open: [0.5, 1.0], closed: [0.0, 1.0], empty: [0.0, 1.0], least_doubt: 0.25 };
    let mut options = options(1, Recipe::Mem3d);
    options.stages.retain(|&stage, _| stage == Stage::Interaction);
    options.quality_calibration = Some(calibration);
    let mut training = Training::new(options, run_options(folder.path()), None).unwrap();
    training.train(&AtomicBool::new(false), &mut |_| {}).unwrap();
    // It is fitted to one size of the input.
    for (network_size, expected) in [(None, Some(calibration)), (Some(96), None)] {
        let model = folder.path().join("model.safetensors");
        let text = String::new;
        let (name, provenance, licence) = (text(), text(), text());
        let header = ExportOptions { name, provenance, licence, network_size, format: DiskFormat::F32 };
        export(&folder.path().join(CHECKPOINT), &model, &header).unwrap();
        let header = mem3d::nn::weights::read(&model).unwrap().header;
        assert_eq!(header.info.quality_calibration, expected);
    }
}

#[test]
fn finished_stages_keep_all_bits_of_their_averages() {
    let folder = tempfile::tempdir().unwrap();
    let run = RunOptions { kind: Kind::BFloat16, ..run_options(folder.path()) };
    let mut options = options(2, Recipe::Mem3d);
    options.stages.retain(|&stage, _| stage == Stage::Memory);
    Training::new(options, run, None).unwrap().train(&AtomicBool::new(false), &mut |_| {}).unwrap();
    let weights = Checkpoint::read(&folder.path().join(CHECKPOINT)).unwrap().part("weight");
    let rounded = |t: &Tensor| t.to_kind(Kind::BFloat16).to_kind(Kind::Float).equal(t);
    let exact = weights.iter().filter(|(_, t)| !rounded(t)).count();
    assert!(exact > weights.len() / 4, "{exact} of {}", weights.len());
}

#[test]
fn a_longer_stage_leaves_the_optimiser_of_a_later_one() {
    let folder = tempfile::tempdir().unwrap();
    let stop_at = |stage: Stage| {
        move |status: &Status, stop: &AtomicBool| {
            stop.store(status.stage == stage, std::sync::atomic::Ordering::Relaxed);
        }
    };
    let run = |training: &mut Training, stage: Stage| {
        let (stop, at) = (AtomicBool::new(false), stop_at(stage));
        assert_eq!(training.train(&stop, &mut |status| at(status, &stop)).unwrap(), Ended::Stopped);
    };
    let state = || Checkpoint::read(&folder.path().join(CHECKPOINT)).unwrap().part("adam_first");
    let mut training = Training::new(options(3, Recipe::Mem3d), run_options(folder.path()), None).unwrap();
    run(&mut training, Stage::Interaction);
    let before = state();
    assert!(!before.is_empty());

    // The memory stage goes on, and is stopped before the interaction stage.
    let longer = |options: &mut TrainOptions| {
        options.stages.insert(Stage::Memory, Length::Steps(5));
        Ok(())
    };
    let mut training = Training::resume(run_options(folder.path()), longer).unwrap();
    run(&mut training, Stage::Memory);
    let after = state();
    assert!(after.len() > before.len());
    assert!(before.iter().all(|(name, t)| after[name].equal(t)));
    let mut training = Training::resume(run_options(folder.path()), |_| Ok(())).unwrap();
    assert_eq!(training.train(&AtomicBool::new(false), &mut |_| {}).unwrap(), Ended::Finished);
    assert!(state().is_empty());
}

#[test]
fn a_time_limit_stops_cleanly() {
    let folder = tempfile::tempdir().unwrap();
    let run = RunOptions { time_limit: Some(Duration::from_millis(1500)), ..run_options(folder.path()) };
    let started = Instant::now();
    let mut training = Training::new(options(1_000_000, Recipe::Mem3d), run, None).unwrap();
    assert_eq!(training.train(&AtomicBool::new(false), &mut |_| {}).unwrap(), Ended::Stopped);
    assert!(started.elapsed() < Duration::from_secs(60));
    let steps = training.stages()[&Stage::Memory].steps;
    let resumed = Training::resume(run_options(folder.path()), |_| Ok(())).unwrap();
    assert_eq!(resumed.stages()[&Stage::Memory].steps, steps);
}

#[test]
fn options_out_of_range_and_wrong_folders_are_refused() {
    let refusal = |change: &dyn Fn(&mut TrainOptions)| {
        let mut options = options(1, Recipe::Mem3d);
        change(&mut options);
        Training::new(options, run_options(Path::new("nowhere")), None).err().unwrap().to_string()
    };
    assert!(refusal(&|o| o.size = 50).contains("multiple of 16"));
    assert!(refusal(&|o| o.real_share = 1.0).contains("name a folder"));
    assert!(refusal(&|o| o.data = vec!["/nowhere/at/all".into()]).contains("not a folder"));
    assert!(refusal(&|o| drop(o.exclude.insert("case".into(), vec![1]))).contains("\"case\""));
    let resumed = Training::resume(run_options(Path::new("nowhere")), |_| Ok(()));
    assert!(resumed.err().unwrap().to_string().contains("nowhere"));
}
