//! Positions of the slices of a clip along its target: inside, past the end, back from beyond it, far from the first
//! slice, or on the way to another annotated one.

use super::random::{Random, chance, integer, uniform, weighted};

/// Of the clips whose slices lie apart from the first: share with a second annotated slice. Chosen.
const BETWEEN: f64 = 0.4;
/// Slices beyond the end that a walk of a long target reaches: there a chain ends.
const BEYOND: i32 = 3;

/// Positions of a clip's slices.
#[derive(Debug, PartialEq)]
pub(super) struct Walk {
    /// Plane of the first slice, from the origin.
    pub start: f32,
    /// Each slice's plane from the start.
    pub offsets: Vec<i32>,
    /// Whether the second slice has a propagated mask.
    pub carried: bool,
    /// Whether the last slice is annotated, with the others before it.
    pub ahead: bool,
}

/// How slices are placed; the fields of a clip's options.
#[derive(Debug, Clone, Copy)]
pub(super) struct WalkOptions {
    /// Slices.
    pub length: usize,
    /// Share of walks whose slices after the first lie together anywhere from there to beyond the target's end.
    pub apart: f64,
    /// Whether the second slice of the others is the first once more.
    pub carried: bool,
}

/// Draws positions in a target that spans `low..high`.
pub(super) fn walk(low: f32, high: f32, options: &WalkOptions, random: &Random) -> Walk {
    let n = options.length as i32;
    let origin = 0f32.clamp(low, high.max(low)).round();
    if n > 2 && chance(random, options.apart) {
        let between = if n > 3 && chance(random, BETWEEN) { between(origin, high, n, random) } else { None };
        let ahead = between.is_some();
        let offsets = between.unwrap_or_else(|| apart(origin, high, n, random));
        return Walk { start: origin, offsets, carried: true, ahead };
    }
    if n > 2 && options.carried {
        let offsets = std::iter::once(0).chain(0..n - 1).collect();
        return Walk { start: origin, offsets, carried: true, ahead: false };
    }
    let within = |random: &Random, a: f32, b: f32| if a < b { uniform(random, a, b) } else { (a + b) / 2.0 };
    if n == 1 {
        // By voxels or by slices: a user draws first where the target is large, and corrects everywhere.
        let start = if chance(random, 0.5) { origin } else { within(random, low, high).clamp(low, high).round() };
        return Walk { start, offsets: vec![0], carried: false, ahead: false };
    }
    let (start, offsets) = match weighted(random, &[0.55, 0.37, 0.08]) {
        // Inside.
        0 => (within(random, low, high - (n - 1) as f32).clamp(low, high).round(), (0..n).collect()),
        // Past the end.
        1 => {
            let before = uniform(random, 0.0, (n - 1) as f32);
            ((high - before).clamp(low, high).round(), (0..n).collect())
        }
        // Beyond the end and back.
        _ => {
            let start = within(random, low, high);
            let far = (high - start).max(0.0).ceil() as i32 + integer(random, 1, 2) as i32;
            (start.round(), std::iter::once(0).chain((0..n - 1).map(|k| far - k)).collect())
        }
    };
    Walk { start, offsets, carried: false, ahead: false }
}

/// Planes counted from that of the first slice, `start`: the others begin there or farther on, evenly as a chain meets
/// them; a third end [`BEYOND`] slices past the target.
fn apart(start: f32, high: f32, n: i32, random: &Random) -> Vec<i32> {
    let last = (high - start).floor().max(0.0) as i32;
    let farthest = (last + BEYOND + 2 - n).clamp(0, last);
    let second = if chance(random, 0.35) { farthest } else { integer(random, 0, farthest as usize) as i32 };
    std::iter::once(0).chain((0..n - 1).map(|k| second + k)).collect()
}

/// Planes counted from that of the first slice, `start`: the last is annotated too, in half of the cases near the end;
/// the others lie together before it. None where the target is too short.
fn between(start: f32, high: f32, n: i32, random: &Random) -> Option<Vec<i32>> {
    let last = (high - start).floor() as i32;
    if last < n - 1 {
        return None;
    }
    let nearest = if chance(random, 0.5) { n - 1 } else { (n - 1).max(last * 2 / 3) };
    let ahead = integer(random, nearest as usize, last as usize) as i32;
    let second = integer(random, 0, (ahead - n + 2) as usize) as i32;
    Some(std::iter::once(0).chain((0..n - 2).map(|k| second + k)).chain([ahead]).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::data::random::{Purpose, random};

    const OPTIONS: WalkOptions = WalkOptions { length: 4, apart: 0.0, carried: false };

    #[test]
    fn slices_apart_lie_together_and_begin_inside() {
        let two = WalkOptions { length: 2, apart: 1.0, ..OPTIONS };
        assert!(!walk(-3.2, 8.4, &two, &random(1, Purpose::Clip, 0)).carried);
        let (mut past, mut from_start, mut between) = (0, 0, 0);
        let options = WalkOptions { length: 5, apart: 0.5, carried: true };
        for i in 0..200 {
            // The target spans the planes -3 to 8.
            let Walk { start, offsets, carried, ahead } = walk(-3.2, 8.4, &options, &random(1, Purpose::Clip, i));
            assert_eq!((start, offsets[0], offsets.len(), carried), (0.0, 0, 5, true));
            assert!((0..=8).contains(&offsets[1]), "{offsets:?}");
            let together = if ahead { &offsets[1..4] } else { &offsets[1..] };
            assert!(together.windows(2).all(|p| p[1] == p[0] + 1), "{offsets:?}");
            if ahead {
                assert!(offsets[3] < offsets[4] && offsets[4] <= 8, "{offsets:?}");
                between += 1;
                continue;
            }
            past += usize::from(offsets[4] > 8);
            from_start += usize::from(offsets[1] == 0);
        }
        // Half continue from the first slice; of the others, those without a second annotation run past the end where
        // they begin at plane 6 or farther on.
        assert!((15..50).contains(&past), "{past}");
        assert!((80..135).contains(&from_start), "{from_start}");
        // Two of five of those that lie apart.
        assert!((25..55).contains(&between), "{between}");
    }

    #[test]
    fn single_slices_are_rarely_the_last_one() {
        // Half are the drawn voxel's, plane 0, the others uniform: one in twenty of these rounds to an end.
        let single = WalkOptions { length: 1, ..OPTIONS };
        let starts: Vec<f32> =
            (0..400).map(|i| walk(-10.0, 10.0, &single, &random(1, Purpose::Clip, i)).start).collect();
        let at = |plane: f32| starts.iter().filter(|&&start| start == plane).count();
        assert!(at(10.0) < 30 && at(-10.0) < 30, "{} {}", at(10.0), at(-10.0));
        assert!((170..260).contains(&at(0.0)), "{}", at(0.0));
    }
}
