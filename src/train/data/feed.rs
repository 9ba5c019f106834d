//! Batches of clips made by worker threads, delivered in order.
//!
//! Clip number i depends on the seed and on i alone. Synthetic scenes are expensive, so each serves several clips: clip
//! i is cut from one of the scenes `i / renew .. i / renew + scenes`.

use super::clips::{Clip, ClipOptions, clip};
use super::random::{Purpose, Random, chance, integer, random, weighted};
use super::scene::Scene;
use super::synthetic;
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread::JoinHandle;

/// Options of a feed.
#[derive(Debug, Clone)]
pub struct FeedOptions {
    /// Seed of scenes and clips.
    pub seed: u64,
    /// Clips of a batch.
    pub batch: usize,
    /// Options of a clip; its difficulty follows the number of the batch.
    pub clip: ClipOptions,
    /// Voxels a side of a synthetic scene.
    pub side: usize,
    /// Synthetic scenes in use at a time.
    pub scenes: u64,
    /// Clips after which one of them is replaced.
    pub renew: u64,
    /// Share of clips from `real` scenes, if there are any.
    pub real_share: f64,
    /// Scenes made of volumes on disk, with the weight at which each is drawn.
    pub real: Arc<Vec<(f32, Arc<Scene>)>>,
    /// Batches over which the curriculum goes from easy to hard; none: set by [`Feed::set_difficulty`].
    pub curriculum: Option<u64>,
}

/// Synthetic scenes in use.
struct Scenes {
    seed: u64,
    side: usize,
    made: Mutex<HashMap<u64, Arc<OnceLock<Arc<Scene>>>>>,
}

impl Scenes {
    fn get(&self, index: u64, oldest: u64) -> Arc<Scene> {
        let slot = {
            let mut made = self.made.lock().expect("no panic while it is held");
            // Workers are at most a few batches apart; older scenes are dropped.
            made.retain(|&i, _| i + 8 >= oldest);
            made.entry(index).or_default().clone()
        };
        slot.get_or_init(|| Arc::new(synthetic::scene(self.seed, index, self.side))).clone()
    }
}

/// State shared by all workers.
struct Shared {
    options: FeedOptions,
    scenes: Scenes,
    next: AtomicU64,
    stop: AtomicBool,
    difficulty: AtomicU32,
}

impl Shared {
    fn batch(&self, number: u64) -> Vec<Clip> {
        let batch = self.options.batch as u64;
        (number * batch..(number + 1) * batch).map(|i| self.clip(i, number)).collect()
    }

    fn clip(&self, index: u64, batch: u64) -> Clip {
        let options = &self.options;
        let difficulty = match options.curriculum {
            Some(batches) => (batch as f32 / batches.max(1) as f32).min(1.0),
            None => f32::from_bits(self.difficulty.load(Ordering::Relaxed)),
        };
        let clip_options = ClipOptions { difficulty, ..options.clip };
        let r = random(options.seed, Purpose::Clip, index);
        let oldest = index / options.renew.max(1);
        loop {
            let scene = self.scene(&r, oldest);
            if let Some(clip) = clip(&scene, &clip_options, &r) {
                return clip;
            }
        }
    }

    fn scene(&self, r: &Random, oldest: u64) -> Arc<Scene> {
        let options = &self.options;
        if !options.real.is_empty() && chance(r, options.real_share) {
            let weights: Vec<f32> = options.real.iter().map(|s| s.0).collect();
            return options.real[weighted(r, &weights)].1.clone();
        }
        let index = oldest + integer(r, 0, options.scenes.max(1) as usize - 1) as u64;
        self.scenes.get(index, oldest)
    }
}

/// Worker threads and their finished batches.
pub struct Feed {
    shared: Arc<Shared>,
    receiver: Option<Receiver<(u64, Vec<Clip>)>>,
    waiting: BTreeMap<u64, Vec<Clip>>,
    wanted: u64,
    workers: Vec<JoinHandle<()>>,
}

impl Feed {
    /// Starts `workers` threads that make batches from number `first` on.
    pub fn start(options: FeedOptions, workers: usize, first: u64) -> Feed {
        let scenes = Scenes { seed: options.seed, side: options.side, made: Mutex::default() };
        let shared = Arc::new(Shared {
            options,
            scenes,
            next: AtomicU64::new(first),
            stop: AtomicBool::new(false),
            difficulty: AtomicU32::new(0),
        });
        let (sender, receiver) = sync_channel(2 * workers.max(1));
        let workers = (0..workers.max(1))
            .map(|_| {
                let (shared, sender) = (shared.clone(), sender.clone());
                std::thread::spawn(move || {
                    while !shared.stop.load(Ordering::Relaxed) {
                        let number = shared.next.fetch_add(1, Ordering::Relaxed);
                        if sender.send((number, shared.batch(number))).is_err() {
                            break;
                        }
                    }
                })
            })
            .collect();
        Feed { shared, receiver: Some(receiver), waiting: BTreeMap::new(), wanted: first, workers }
    }

    /// The next batch, in order of number.
    ///
    /// # Panics
    /// When a worker panicked.
    pub fn next_batch(&mut self) -> Vec<Clip> {
        loop {
            if let Some(batch) = self.waiting.remove(&self.wanted) {
                self.wanted += 1;
                return batch;
            }
            let receiver = self.receiver.as_ref().expect("there until dropped");
            let (number, batch) = receiver.recv().expect("a worker that makes clips failed");
            self.waiting.insert(number, batch);
        }
    }

    /// Sets the difficulty (0..1) of further clips, where no curriculum by number is given.
    pub fn set_difficulty(&self, difficulty: f32) {
        self.shared.difficulty.store(difficulty.to_bits(), Ordering::Relaxed);
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        self.receiver = None;
        for worker in self.workers.drain(..) {
            // A panic was reported where it happened.
            let _ = worker.join();
        }
    }
}

/// `count` clips that occur in no training: of separate synthetic scenes and, if `real` is not empty, of these.
pub fn held_out(seed: u64, count: usize, options: &ClipOptions, side: usize, real: &[Arc<Scene>]) -> Vec<Clip> {
    let mut clips = vec![];
    let mut index = 0;
    while clips.len() < count && index < 20 * count as u64 {
        let r = random(seed, Purpose::HeldOut, index);
        let scene = match real.is_empty() {
            // Scene numbers beyond those of any training; two clips a scene.
            true => Arc::new(synthetic::scene(seed, (1 << 40) + index / 2, side)),
            false => real[index as usize % real.len()].clone(),
        };
        clips.extend(clip(&scene, options, &r));
        index += 1;
    }
    clips
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options() -> FeedOptions {
        FeedOptions {
            seed: 3,
            batch: 2,
            clip: ClipOptions {
                size: 32,
                context: 3,
                length: 3,
                apart: 0.0,
                carried: false,
                difficulty: 0.0,
                largest_region: 3.0,
                closer: 0.0,
            },
            side: 40,
            scenes: 3,
            renew: 2,
            real_share: 0.0,
            real: Arc::default(),
            curriculum: Some(10),
        }
    }

    #[test]
    fn the_same_batches_come_whatever_the_number_of_workers_and_the_start() {
        let take = |workers, first, count| {
            let mut feed = Feed::start(options(), workers, first);
            (0..count).map(|_| feed.next_batch()).collect::<Vec<_>>()
        };
        let all = take(1, 0, 5);
        assert_eq!(all, take(3, 0, 5));
        assert_eq!(all[3..], take(2, 3, 2));
        assert!(all.iter().flatten().all(|c| c.images.iter().all(|v| (0.0..=1.0).contains(v))));
        assert_ne!(all[0], all[1]);
    }
}
