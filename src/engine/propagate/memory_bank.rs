//! Memory bank of one chain (paper §2.2): annotated slices, the previous slice, and every N-th one.
//!
//! Keys and values lie in one buffer, slot after slot, so that a read takes no copy. Besides the annotated slices the
//! bank holds a bounded number of slots; when they are full, the kept slice farthest from the query is replaced.

use crate::nn::Memory;
use tch::Tensor;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Annotated,
    Kept,
    /// The slice just segmented; with `keep` it stays when the next one is memorized.
    Previous {
        keep: bool,
    },
}

#[derive(Debug, Clone, Copy)]
struct Slot {
    slice: usize,
    role: Role,
}

/// Keys and values of memorized slices.
#[derive(Debug)]
pub struct MemoryBank {
    keys: Tensor,
    values: Tensor,
    /// Positions of one slice.
    positions: i64,
    slots: Vec<Slot>,
    max_kept: usize,
}

impl MemoryBank {
    /// A bank of the annotated slices, with room for `max_kept` kept slices and the previous one.
    ///
    /// # Panics
    /// When `annotated` is empty: a chain starts from an annotated slice.
    pub fn new<'a>(annotated: impl IntoIterator<Item = (usize, &'a Memory)>, max_kept: usize) -> MemoryBank {
        let annotated: Vec<(usize, &Memory)> = annotated.into_iter().collect();
        let first = annotated.first().expect("a chain has an annotated slice").1;
        let positions = first.keys.size()[0];
        let capacity = (annotated.len() + max_kept + 1) as i64 * positions;
        let buffer = |like: &Tensor| Tensor::empty([capacity, like.size()[1]], (like.kind(), like.device()));
        let mut bank = MemoryBank {
            keys: buffer(&first.keys),
            values: buffer(&first.values),
            positions,
            slots: Vec::with_capacity(annotated.len() + max_kept + 1),
            max_kept,
        };
        for (slice, memory) in annotated {
            bank.slots.push(Slot { slice, role: Role::Annotated });
            bank.write(bank.slots.len() - 1, memory);
        }
        bank
    }

    /// Memorizes the slice just segmented; with `keep` it stays when the next one is memorized.
    pub fn memorize(&mut self, slice: usize, memory: &Memory, keep: bool) {
        let mut free = None;
        if let Some(i) = self.slots.iter().position(|s| matches!(s.role, Role::Previous { .. })) {
            if self.slots[i].role == (Role::Previous { keep: true }) && self.max_kept > 0 {
                self.slots[i].role = Role::Kept;
                let kept = self.slots.iter().filter(|s| s.role == Role::Kept).count();
                if kept > self.max_kept {
                    free = (0..self.slots.len())
                        .filter(|&i| self.slots[i].role == Role::Kept)
                        .max_by_key(|&i| self.slots[i].slice.abs_diff(slice));
                }
            } else {
                free = Some(i);
            }
        }
        let slot = Slot { slice, role: Role::Previous { keep } };
        let at = match free {
            Some(i) => {
                self.slots[i] = slot;
                i
            }
            None => {
                self.slots.push(slot);
                self.slots.len() - 1
            }
        };
        self.write(at, memory);
    }

    fn write(&mut self, slot: usize, memory: &Memory) {
        let at = slot as i64 * self.positions;
        self.keys.narrow(0, at, self.positions).copy_(&memory.keys);
        self.values.narrow(0, at, self.positions).copy_(&memory.values);
    }

    /// All memorized slices, for the memory read. Shares the bank's buffer.
    pub fn view(&self) -> Memory {
        let n = self.slots.len() as i64 * self.positions;
        let annotated = self.annotated() as i64 * self.positions;
        Memory { keys: self.keys.narrow(0, 0, n), values: self.values.narrow(0, 0, n), annotated }
    }

    /// Annotated slices, the first of [`MemoryBank::order`].
    pub fn annotated(&self) -> usize {
        self.slots.iter().filter(|s| s.role == Role::Annotated).count()
    }

    /// The memorized slices in the order of [`MemoryBank::view`].
    pub fn order(&self) -> impl Iterator<Item = usize> {
        self.slots.iter().map(|s| s.slice)
    }

    /// The memorized slices, ascending.
    pub fn slices(&self) -> Vec<usize> {
        let mut slices: Vec<usize> = self.slots.iter().map(|s| s.slice).collect();
        slices.sort_unstable();
        slices
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::{Device, Kind};

    fn memory(v: f64) -> Memory {
        let t = |n| Tensor::full([2, n], v, (Kind::Float, Device::Cpu));
        Memory::new(t(1), t(3))
    }

    fn memorize_all(bank: &mut MemoryBank, slices: impl Iterator<Item = usize>) {
        for s in slices {
            bank.memorize(s, &memory(s as f64), (s - 10) % 5 == 0);
        }
    }

    #[test]
    fn annotated_previous_and_every_fifth_slice_are_in_memory() {
        let mut bank = MemoryBank::new([(10, &memory(10.0)), (40, &memory(40.0))], 8);
        memorize_all(&mut bank, 11..=23);
        assert_eq!(bank.slices(), [10, 15, 20, 23, 40]);
        let view = bank.view();
        assert_eq!(view.keys.size(), [10, 1]);
        assert_eq!(view.values.size(), [10, 3]);
        assert_eq!(view.annotated, 4);
        // Both positions of a slot hold its slice's number.
        let mut keys: Vec<f32> = Vec::try_from(view.keys.view([-1])).unwrap();
        keys.sort_by(f32::total_cmp);
        assert_eq!(keys, [10., 10., 15., 15., 20., 20., 23., 23., 40., 40.]);
    }

    #[test]
    fn when_full_the_farthest_kept_slice_is_replaced_never_an_annotated_one() {
        let mut bank = MemoryBank::new([(10, &memory(10.0))], 2);
        memorize_all(&mut bank, 11..=36);
        assert_eq!(bank.slices(), [10, 30, 35, 36]);
        assert_eq!(bank.view().keys.size()[0], 8);
    }

    #[test]
    fn without_room_for_kept_slices_only_the_previous_one_stays() {
        let mut bank = MemoryBank::new([(10, &memory(10.0))], 0);
        memorize_all(&mut bank, 11..=21);
        assert_eq!(bank.slices(), [10, 21]);
    }
}
