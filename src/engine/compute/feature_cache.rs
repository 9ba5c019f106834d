//! Image features by slice, region and window: computed once, used in every round, by both directions and all segments.

use super::crop::Crop;
use crate::nn::ImageFeatures;
use crate::volume::SliceAxis;
use std::collections::HashMap;

type Key = (SliceAxis, Crop);

/// Features within a memory budget; beyond it, the least recently used are dropped.
#[derive(Debug)]
pub(crate) struct FeatureCache {
    entries: HashMap<Key, Entry>,
    budget: usize,
    bytes: usize,
    clock: u64,
}

#[derive(Debug)]
struct Entry {
    features: ImageFeatures,
    bytes: usize,
    used: u64,
}

impl FeatureCache {
    /// An empty cache of at most `budget` bytes.
    pub fn new(budget: usize) -> Self {
        FeatureCache { entries: HashMap::new(), budget, bytes: 0, clock: 0 }
    }

    /// The features of a slice, shared with the cache.
    pub fn get(&mut self, key: &Key) -> Option<ImageFeatures> {
        self.clock += 1;
        let entry = self.entries.get_mut(key)?;
        entry.used = self.clock;
        Some(entry.features.get(0))
    }

    /// Keeps the features of one slice, if they fit the budget at all.
    pub fn put(&mut self, key: Key, features: ImageFeatures) {
        let bytes = features.bytes();
        if bytes > self.budget {
            return;
        }
        self.clock += 1;
        if let Some(old) = self.entries.insert(key, Entry { features, bytes, used: self.clock }) {
            self.bytes -= old.bytes;
        }
        self.bytes += bytes;
        self.keep_budget();
    }

    fn keep_budget(&mut self) {
        while self.bytes > self.budget {
            let oldest = self.entries.iter().min_by_key(|(_, e)| e.used).map(|(k, _)| *k).expect("over budget");
            self.bytes -= self.entries.remove(&oldest).expect("just found").bytes;
        }
    }

    /// Most bytes that are kept.
    pub fn budget(&self) -> usize {
        self.budget
    }

    /// Keeps at most `budget` bytes from now on.
    pub fn set_budget(&mut self, budget: usize) {
        self.budget = budget;
        self.keep_budget();
    }

    /// Memory taken, bytes.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::slice::region::Roi;
    use tch::{Device, Kind, Tensor};

    fn features() -> ImageFeatures {
        let t = || Tensor::zeros([1, 1, 5, 5], (Kind::Float, Device::Cpu));
        // 3 tensors of 100 bytes.
        ImageFeatures { slices: t(), key: t(), value: None, skips: vec![t()] }
    }

    #[test]
    fn the_least_recently_used_entry_makes_room() {
        let roi = Roi { top: 0, left: 0, rows: 5, cols: 5 };
        let key = |s| (SliceAxis::Depth, Crop::new(s, roi, (0.0, 1.0)));
        let mut cache = FeatureCache::new(650);
        cache.put(key(1), features());
        cache.put(key(2), features());
        assert_eq!(cache.bytes(), 600);
        assert!(cache.get(&key(1)).is_some());
        cache.put(key(3), features());
        assert_eq!(cache.bytes(), 600);
        assert!(cache.get(&key(1)).is_some() && cache.get(&key(2)).is_none() && cache.get(&key(3)).is_some());
        cache.put(key(3), features());
        assert_eq!(cache.bytes(), 600);
        assert!(cache.get(&(SliceAxis::Height, key(1).1)).is_none());
        assert!(cache.get(&(SliceAxis::Depth, Crop::new(1, roi, (0.0, 2.0)))).is_none());
        cache.set_budget(350);
        assert!(cache.bytes() == 300 && cache.get(&key(3)).is_some());
        let mut none = FeatureCache::new(10);
        none.put(key(1), features());
        assert!(none.get(&key(1)).is_none());
    }
}
