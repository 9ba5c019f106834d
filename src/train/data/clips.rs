//! Clips: a few slices along a plane of a scene, with the target's mask, as the networks receive them from the engine.
//!
//! A block of native pixels is sampled from the scene (any plane of a synthetic one, along an axis of a real one),
//! degraded like a scan, and cropped slice by slice to a region of interest of the networks' size. Slices lie inside
//! the target, run past its end, or lead back into it from beyond its end.

use super::block::{Block, id_at};
use super::frame::Frame;
use super::random::{Random, chance, integer, log_uniform, pick, rotation, uniform, weighted};
use super::resample::{blur, crop_resize};
use super::scene::Scene;
use super::walk::{Walk, WalkOptions, walk};
use crate::slice::region::Roi;
use std::collections::{BTreeMap, BTreeSet};

/// Options of a clip.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ClipOptions {
    /// Side of the networks' input, pixels.
    pub size: usize,
    /// CI: slices given with each slice, 1 or 3.
    pub context: usize,
    /// T: slices of a clip.
    pub length: usize,
    /// Share of clips whose slices after the first lie together anywhere from there to beyond the target's end, the
    /// second with the target; in the other clips they follow the first. Not in clips of two slices: with a propagated
    /// mask on the second, none is left to segment.
    pub apart: f64,
    /// Whether the other clips have a propagated mask on the second slice too, which is the first slice once more.
    pub carried: bool,
    /// 0..1: position in the curriculum; slices become thicker and steps larger.
    pub difficulty: f32,
    /// Largest region of interest, as a multiple of the target's larger side.
    pub largest_region: f32,
    /// Share of clips whose region may be smaller than the target.
    pub closer: f64,
}

/// A clip.
#[derive(Debug, Clone, PartialEq)]
pub struct Clip {
    /// `[T, CI, size, size]`, 0..1.
    pub images: Vec<f32>,
    /// `[T, 1, size, size]`, 0..1.
    pub masks: Vec<f32>,
    /// Slices from the first to each, `[T]`.
    pub steps: Vec<f32>,
    /// Distance of neighbouring slices divided by the side of the region.
    pub step: f32,
    /// Whether the second slice has a propagated mask.
    pub carried: bool,
    /// Whether the last slice is annotated, with the others before it.
    pub ahead: bool,
    /// Native pixels a side of the first slice's region.
    pub pixels: usize,
    /// Name of the scene.
    pub scene: String,
}

/// Least area of the mask of the first slice, network pixels. Chosen.
const LEAST_AREA: f32 = 24.0;
/// Largest share of the region that the mask of the first slice covers. Chosen.
const MOST_SHARE: f32 = 0.8;
/// Largest region of interest, native pixels. Chosen.
const MOST_PIXELS: f32 = 224.0;
/// Least difference of mean intensity (0..1) between the target and its surroundings. Chosen: below it both lie beyond
/// the intensity window.
const LEAST_CONTRAST: f32 = 0.006;
/// Outlines this many times as long as that of a disc with the same area belong to nets and splinters. Chosen.
const RAGGED: f32 = 3.5;
/// Share of the clips with such outlines that are kept. Chosen.
const RAGGED_SHARE: f64 = 0.1;
/// Draws until one gives a clip. Chosen.
const TRIES: usize = 16;
/// Share of the clips of a real image in neighbouring slices, as in use; the others leave slices out. Chosen.
const NEIGHBOURS: f64 = 0.6;

/// A clip of `scene`; none when no draw gave one (for instance because every target is tiny).
pub fn clip(scene: &Scene, options: &ClipOptions, random: &Random) -> Option<Clip> {
    let targets = scene.targets();
    let weights: Vec<f32> = targets.iter().map(|&t| (scene.instances[t as usize].voxels as f32).powf(0.4)).collect();
    if targets.is_empty() {
        return None;
    }
    (0..TRIES).find_map(|_| {
        let first = targets[weighted(random, &weights)];
        let inside = target(scene, first, random);
        attempt(scene, &inside, options, random)
    })
}

/// The instances that make up the target: one, its parts, sometimes a neighbour or an instance of the same class with
/// it.
fn target(scene: &Scene, first: u16, random: &Random) -> Vec<bool> {
    let mut inside = vec![false; scene.instances.len()];
    inside[first as usize] = true;
    let n = scene.merges.draw(random);
    for _ in 0..n {
        let near: Vec<u16> =
            scene.neighbours(&inside).into_iter().filter(|&i| scene.instances[i as usize].kind.target).collect();
        if near.is_empty() {
            break;
        }
        inside[*pick(random, &near) as usize] = true;
    }
    if chance(random, 0.08) && scene.image.is_none() {
        let class = scene.instances[first as usize].kind.class;
        let alike: Vec<usize> = (0..inside.len())
            .filter(|&i| scene.instances[i].kind.class == class && scene.instances[i].kind.target && !inside[i])
            .collect();
        if !alike.is_empty() {
            inside[*pick(random, &alike)] = true;
        }
    }
    for i in 0..inside.len() {
        if scene.instances[i].kind.part_of.is_some_and(|host| inside[host as usize]) {
            inside[i] = true;
        }
    }
    inside
}

/// Draws a clip of the target; none where its first slice does not show enough of it.
fn attempt(scene: &Scene, inside: &[bool], options: &ClipOptions, random: &Random) -> Option<Clip> {
    let points: Vec<[f32; 3]> = scene
        .instances
        .iter()
        .zip(inside)
        .filter(|(_, inside)| **inside)
        .flat_map(|(instance, _)| instance.sample.iter().map(|&i| scene.place(i)))
        .collect();
    if points.is_empty() {
        return None;
    }
    let mut frame = frame(scene, &points, options, random);
    let (low, high) = spread(&points, scene, &frame, 0);
    let ClipOptions { length, apart, carried, .. } = *options;
    let walk = walk(low, high, &WalkOptions { length, apart, carried }, random);
    for i in 0..3 {
        frame.origin[i] += walk.start * frame.plane[i];
    }
    if !in_volume(scene, &frame, &walk.offsets) {
        return None;
    }
    let n = place_region(scene, inside, &points, &mut frame, &walk, options, random)?;
    // One pixel of margin on every side, and an even number of pixels.
    let m = 2 * (n / 2 + 1);
    let planes = planes(&walk.offsets, options.context);
    let block = Block::sample(scene, inside, &frame, &planes, m, random);
    // A chain goes up or down in the volume, and the context slices stay in the volume's order.
    let reversed = chance(random, 0.5);
    let clip = cut(scene, &frame, &block, &planes, walk, &Cut { n, m, reversed, options });
    shows_target(&clip, options, random).then_some(clip)
}

/// Range of the target's voxels along direction `axis` of `frame`: 0 plane, 1 row, 2 column.
fn spread(points: &[[f32; 3]], scene: &Scene, frame: &Frame, axis: usize) -> (f32, f32) {
    let along = points.iter().map(|&p| frame.coordinates(p, scene.spacing)[axis]);
    along.fold((f32::MAX, f32::MIN), |(a, b), v| (a.min(v), b.max(v)))
}

/// Whether the slices at `offsets` lie in a real image; a synthetic scene has no end.
fn in_volume(scene: &Scene, frame: &Frame, offsets: &[i32]) -> bool {
    let Some(along) = (0..3).find(|&i| frame.plane[i] != 0.0).filter(|_| scene.image.is_some()) else { return true };
    let last = scene.shape[along] as f32 - 0.5;
    offsets.iter().all(|&o| (-0.5..=last).contains(&(frame.origin[along] + o as f32 * frame.plane[along])))
}

/// Moves the origin of `frame` to the centre of a region of interest around the target on the first slice, and on the
/// second where that has a propagated mask; returns the region's side, native pixels.
fn place_region(
    scene: &Scene,
    inside: &[bool],
    points: &[[f32; 3]],
    frame: &mut Frame,
    walk: &Walk,
    options: &ClipOptions,
    random: &Random,
) -> Option<usize> {
    let (rows, cols) = (spread(points, scene, frame, 1), spread(points, scene, frame, 2));
    let mut target_box = coarse_box(scene, inside, frame, 0.0, rows, cols)?;
    if walk.carried {
        let second = coarse_box(scene, inside, frame, walk.offsets[1] as f32, rows, cols)?;
        target_box = std::array::from_fn(|i| {
            let outer = if i % 2 == 0 { f32::min } else { f32::max };
            outer(target_box[i], second[i])
        });
    }
    let (height, width) = (target_box[1] - target_box[0], target_box[3] - target_box[2]);
    let side = height.max(width);
    let close = chance(random, options.closer);
    let wanted = match close {
        true => side * uniform(random, 0.7, 1.2),
        false => (side * log_uniform(random, 1.2, options.largest_region)).max(side + 32.0 * uniform(random, 0.4, 1.2)),
    };
    // No larger than the scene, or it would be mirrored over and over.
    let extent = (0..3).map(|i| scene.shape[i] as f32 * scene.spacing[i]).fold(0.0, f32::max);
    let reach = extent * 1.1 / scene.length_mm(frame.row);
    let n = wanted.min(reach).clamp(12.0, MOST_PIXELS).round() as usize;
    let free = |length: f32| match close {
        true => length / 4.0,
        false => ((n as f32 - length) / 2.0).max(0.0) * 0.8,
    };
    let centre = [
        (target_box[0] + target_box[1]) / 2.0 + uniform(random, -1.0, 1.0) * free(height),
        (target_box[2] + target_box[3]) / 2.0 + uniform(random, -1.0, 1.0) * free(width),
    ];
    frame.origin = frame.at(0.0, centre[0], centre[1]);
    Some(n)
}

/// Planes of the slices at `offsets` and of their context, in order.
fn planes(offsets: &[i32], context: usize) -> Vec<i32> {
    let half = context as i32 / 2;
    let planes: BTreeSet<i32> = offsets.iter().flat_map(|&o| (-half..=half).map(move |d| o + d)).collect();
    planes.into_iter().collect()
}

/// Sizes of a clip.
struct Cut<'a> {
    /// Native pixels a side of the region.
    n: usize,
    /// The same of the block around it.
    m: usize,
    /// Whether the context slices come in the order against that of the clip's slices.
    reversed: bool,
    options: &'a ClipOptions,
}

/// Cuts a clip's slices out of a block and brings them to the networks' size.
fn cut(scene: &Scene, frame: &Frame, block: &Block, planes: &[i32], walk: Walk, sizes: &Cut) -> Clip {
    let Cut { n, m, reversed, options } = *sizes;
    let (area, half) = (options.size * options.size, options.context as i32 / 2);
    let Walk { offsets, carried, ahead, .. } = walk;
    let mut clip = Clip {
        images: vec![0.0; offsets.len() * options.context * area],
        masks: vec![0.0; offsets.len() * area],
        steps: offsets.iter().map(|&o| o as f32).collect(),
        step: scene.length_mm(frame.plane) / (n as f32 * scene.length_mm(frame.row)),
        carried,
        ahead,
        pixels: n,
        scene: scene.name.clone(),
    };
    let number: BTreeMap<i32, usize> = planes.iter().enumerate().map(|(i, &p)| (p, i)).collect();
    // One region for all slices: earlier masks and slices are resampled to the region of the query slice, as in the
    // engine.
    let corner = (m - n) as i32 / 2;
    let roi = Roi { top: corner, left: corner, rows: n as i32, cols: n as i32 };
    let cut = |plane: &[f32], out: &mut [f32]| {
        crop_resize(plane, m, roi, options.size, out);
        // Weights of a resampling sum to 1 but for their last bits.
        out.iter_mut().for_each(|v| *v = v.clamp(0.0, 1.0));
    };
    for (t, &offset) in offsets.iter().enumerate() {
        for (c, d) in (-half..=half).enumerate() {
            let at = (t * options.context + c) * area;
            let d = if reversed { -d } else { d };
            cut(&block.images[number[&(offset + d)]], &mut clip.images[at..at + area]);
        }
        cut(&block.masks[number[&offset]], &mut clip.masks[t * area..(t + 1) * area]);
    }
    clip
}

/// Whether the first slice shows enough of the target, at enough contrast, and not all over the region.
fn shows_target(clip: &Clip, options: &ClipOptions, random: &Random) -> bool {
    let area = options.size * options.size;
    let middle = options.context / 2 * area;
    let (image, mask) = (&clip.images[middle..middle + area], &clip.masks[..area]);
    let pixels: f32 = mask.iter().sum();
    pixels >= LEAST_AREA
        && pixels < MOST_SHARE * area as f32
        && contrast(image, mask, options.size) > LEAST_CONTRAST
        && (ragged(mask, options.size) < RAGGED || chance(random, RAGGED_SHARE))
}

/// Ratio of the length of the mask's outline to that of a disc with the same area.
fn ragged(mask: &[f32], side: usize) -> f32 {
    let inside = |i: usize| mask[i] > 0.5;
    let area = (0..mask.len()).filter(|&i| inside(i)).count() as f32;
    let right = (0..mask.len()).filter(|&i| (i + 1) % side != 0 && inside(i) != inside(i + 1)).count();
    let below = (0..mask.len() - side).filter(|&i| inside(i) != inside(i + side)).count();
    // Steps along the pixels' edges are 4 / pi times as long as the outline on average.
    (right + below) as f32 * std::f32::consts::FRAC_PI_4 / (2.0 * (std::f32::consts::PI * area.max(1.0)).sqrt())
}

/// Difference of mean intensity inside the mask and just outside it.
fn contrast(image: &[f32], mask: &[f32], side: usize) -> f32 {
    let mut near = mask.to_vec();
    blur(&mut near, side, side as f32 / 32.0);
    let mean = |of: &dyn Fn(usize) -> bool| {
        let (sum, n) = (0..image.len()).filter(|&i| of(i)).fold((0.0, 0.0), |(s, n), i| (s + image[i], n + 1.0));
        sum / f32::max(n, 1.0)
    };
    (mean(&|i| mask[i] > 0.5) - mean(&|i| mask[i] <= 0.5 && near[i] > 0.03)).abs()
}

/// Directions and size of the native pixels, and the voxel of the target where the clip starts.
fn frame(scene: &Scene, points: &[[f32; 3]], options: &ClipOptions, random: &Random) -> Frame {
    let mut frame = directions(scene, points, options, random);
    frame.origin = origin(scene, points, &frame, random);
    frame
}

/// One of the target's voxels. In half of the clips all voxels are equally likely, which favours large slices; in the
/// others all slices, so that targets grow as often as they shrink.
fn origin(scene: &Scene, points: &[[f32; 3]], frame: &Frame, random: &Random) -> [f32; 3] {
    if chance(random, 0.5) {
        return *pick(random, points);
    }
    let along = |p: &[f32; 3]| frame.coordinates(*p, scene.spacing)[0];
    let (low, high) = points.iter().map(along).fold((f32::MAX, f32::MIN), |(a, b), v| (a.min(v), b.max(v)));
    let plane = uniform(random, low, high);
    let away = |p: &[f32; 3]| (along(p) - plane).abs();
    *points.iter().min_by(|a, b| away(a).total_cmp(&away(b))).expect("a target has voxels")
}

/// Directions and size of the native pixels.
fn directions(scene: &Scene, points: &[[f32; 3]], options: &ClipOptions, random: &Random) -> Frame {
    let origin = points[0];
    let thick = 1.5 + 5.0 * options.difficulty;
    if scene.image.is_none() {
        let turn = if chance(random, 0.5) { rotation(random) } else { along_axes(random) };
        let mut frame = Frame { origin, row: turn[1], col: turn[2], plane: turn[0] };
        // Extent of the target in voxels along each direction.
        let extent = |axis: usize| {
            let along = points.iter().map(|&p| frame.coordinates(p, scene.spacing)[axis]);
            let (a, b) = along.fold((f32::MAX, f32::MIN), |(a, b), v| (a.min(v), b.max(v)));
            (b - a).max(1.0)
        };
        let (deep, wide) = (extent(0), extent(1).max(extent(2)));
        let pixel = (wide / log_uniform(random, 12.0, 100.0)).clamp(0.4, 2.2);
        let step = (pixel * log_uniform(random, 0.6, thick)).min((deep / 2.0).max(0.5));
        for i in 0..3 {
            frame.row[i] *= pixel / scene.spacing[i];
            frame.col[i] *= pixel / scene.spacing[i];
            frame.plane[i] *= step / scene.spacing[i];
        }
        return frame;
    }
    // A real image is cut along one of its axes, most often that of the thickest slices, as users do.
    let thickest = (0..3).fold(0, |a, b| if scene.spacing[b] > 1.2 * scene.spacing[a] { b } else { a });
    let axis = if chance(random, 0.5) { thickest } else { integer(random, 0, 2) };
    let (r, c) = [(1, 2), (0, 2), (0, 1)][axis];
    let fine = scene.spacing[r].min(scene.spacing[c]);
    let pixel = fine * if chance(random, 0.5) { 1.0 } else { log_uniform(random, 0.75, 1.6) };
    let angle =
        if chance(random, 0.5) { uniform(random, -0.35, 0.35) } else { uniform(random, 0.0, std::f32::consts::TAU) };
    let (sin, cos) = if chance(random, 0.3) { (0.0, 1.0) } else { angle.sin_cos() };
    let squeeze = if chance(random, 0.5) { log_uniform(random, 0.8, 1.25) } else { 1.0 };
    let flip = if chance(random, 0.5) { 1.0 } else { -1.0 };
    let along = |a: f32, b: f32| {
        let mut d = [0.0; 3];
        (d[r], d[c]) = (a * pixel / scene.spacing[r], b * pixel / scene.spacing[c]);
        d
    };
    let (mut row, col) = (along(cos, sin), along(-sin * flip, cos * flip));
    row = row.map(|v| v * squeeze);
    let mut plane = [0.0; 3];
    let most = (thick * fine / scene.spacing[axis]).clamp(1.0, 5.0) as usize;
    let step = if chance(random, NEIGHBOURS) { 1 } else { integer(random, 1, most) };
    plane[axis] = step as f32 * if chance(random, 0.5) { 1.0 } else { -1.0 };
    Frame { origin, row, col, plane }
}

/// A rotation to one of the array's axes with a turn in the plane.
fn along_axes(random: &Random) -> [[f32; 3]; 3] {
    let axis = integer(random, 0, 2);
    let (r, c) = [(1, 2), (0, 2), (0, 1)][axis];
    let sign = |random: &Random| if chance(random, 0.5) { 1.0 } else { -1.0 };
    let angle = if chance(random, 0.5) { 0.0 } else { uniform(random, -0.5, 0.5) };
    let (sin, cos) = angle.sin_cos();
    let mut turn = [[0.0; 3]; 3];
    turn[0][axis] = sign(random);
    let flip = sign(random);
    (turn[1][r], turn[1][c]) = (cos, sin);
    (turn[2][r], turn[2][c]) = (-sin * flip, cos * flip);
    turn
}

/// The target's box on a plane: top, bottom, left, right, native pixels from the origin.
fn coarse_box(
    scene: &Scene,
    inside: &[bool],
    frame: &Frame,
    plane: f32,
    rows: (f32, f32),
    cols: (f32, f32),
) -> Option<[f32; 4]> {
    // Intervals a side of the grid of points that are tested. Chosen.
    const N: usize = 56;
    let grow = |(a, b): (f32, f32)| (a - 0.1 * (b - a) - 1.0, b + 0.1 * (b - a) + 1.0);
    let (rows, cols) = (grow(rows), grow(cols));
    let step = ((rows.1 - rows.0) / N as f32, (cols.1 - cols.0) / N as f32);
    let mut found: Option<[f32; 4]> = None;
    for i in 0..=N {
        for j in 0..=N {
            let (r, c) = (rows.0 + i as f32 * step.0, cols.0 + j as f32 * step.1);
            if id_at(scene, frame.at(plane, r, c)).is_some_and(|id| inside[id as usize]) {
                let b = found.get_or_insert([r, r, c, c]);
                *b = [b[0].min(r), b[1].max(r), b[2].min(c), b[3].max(c)];
            }
        }
    }
    found.map(|b| [b[0] - step.0 / 2.0, b[1] + step.0 / 2.0, b[2] - step.1 / 2.0, b[3] + step.1 / 2.0])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::data::random::{Purpose, random};
    use crate::train::data::synthetic;

    const OPTIONS: ClipOptions = ClipOptions {
        size: 48,
        context: 3,
        length: 4,
        apart: 0.0,
        carried: false,
        difficulty: 0.5,
        largest_region: 3.0,
        closer: 0.0,
    };

    fn disc(side: usize, radius: f32) -> Vec<f32> {
        let centre = side as f32 / 2.0 - 0.5;
        (0..side * side)
            .map(|i| f32::from(((i / side) as f32 - centre).hypot((i % side) as f32 - centre) < radius))
            .collect()
    }

    #[test]
    fn a_disc_is_not_ragged_and_stripes_are() {
        assert!((ragged(&disc(64, 20.0), 64) - 1.0).abs() < 0.05);
        let stripes: Vec<f32> = (0..64 * 64).map(|i| f32::from(i % 64 % 2 == 0)).collect();
        assert!(ragged(&stripes, 64) > 10.0);
    }

    #[test]
    fn contrast_by_hand() {
        let mask = disc(64, 10.0);
        let image: Vec<f32> = mask.iter().map(|m| 0.2 + 0.3 * m).collect();
        assert!((contrast(&image, &mask, 64) - 0.3).abs() < 1e-5);
    }

    #[test]
    fn slices_beyond_a_real_volume_are_refused() {
        // Three planes, walked upwards from the second; a synthetic scene has no end.
        let kinds = [crate::train::data::scene::Kind::new(0, crate::train::data::scene::Tissue::Organ, true)];
        let mut scene = Scene::new([3, 4, 4], [1.0; 3], vec![0; 48], &kinds, 10, &random(1, Purpose::Scene, 0));
        let up = Frame { origin: [1.0; 3], row: [0.0, 1.0, 0.0], col: [0.0, 0.0, 1.0], plane: [1.0, 0.0, 0.0] };
        let down = Frame { plane: [-1.0, 0.0, 0.0], ..up };
        assert!(in_volume(&scene, &up, &[0, 9]));
        scene.image = Some(std::sync::Arc::new(vec![0; 48]));
        assert_eq!([1, 2].map(|last| in_volume(&scene, &up, &[0, last])), [true, false]);
        assert_eq!([1, 2].map(|last| in_volume(&scene, &down, &[0, last])), [true, false]);
    }

    #[test]
    fn small_slices_are_starts_too() {
        // A target with 1 voxel on plane 0 and 99 on plane 9: by voxels alone, one start in a hundred is the small one.
        let shape = [12, 12, 12];
        let ids = vec![0u16; 12 * 12 * 12];
        let kinds = [crate::train::data::scene::Kind::new(0, crate::train::data::scene::Tissue::Organ, true)];
        let scene = Scene::new(shape, [1.0; 3], ids, &kinds, 10, &random(1, Purpose::Scene, 0));
        let large = (0..99).map(|i| [9.0, (i / 10) as f32, (i % 10) as f32]);
        let points: Vec<[f32; 3]> = std::iter::once([0.0; 3]).chain(large).collect();
        let frame = Frame { origin: [0.0; 3], row: [0.0, 1.0, 0.0], col: [0.0, 0.0, 1.0], plane: [1.0, 0.0, 0.0] };
        let small =
            (0..400).filter(|&i| origin(&scene, &points, &frame, &random(1, Purpose::Clip, i))[0] < 1.0).count();
        // Half of the half that are drawn by plane, and hardly any of the others.
        assert!((70..135).contains(&small), "{small}");
    }

    #[test]
    fn clips_are_as_asked_for_and_some_targets_end() {
        let (mut ended, mut made) = (0, 0);
        for i in 0..24 {
            let scene = synthetic::scene(9, i / 4, 48);
            let Some(clip) = clip(&scene, &OPTIONS, &random(9, Purpose::Clip, i)) else { continue };
            made += 1;
            assert_eq!((clip.images.len(), clip.masks.len()), (4 * 3 * 48 * 48, 4 * 48 * 48));
            assert!(clip.images.iter().chain(&clip.masks).all(|v| (0.0..=1.0).contains(v)));
            let areas: Vec<f32> = clip.masks.chunks(48 * 48).map(|m| m.iter().sum()).collect();
            assert!(areas[0] >= LEAST_AREA);
            ended += usize::from(areas[1..].iter().any(|&a| a < 0.5));
        }
        assert!(made >= 20 && (3..=16).contains(&ended), "{ended} of {made}");
    }

    #[test]
    fn a_real_scene_is_cut_along_its_axes_with_its_own_greys() {
        // Grey = 1000 * plane; the target is a block in the middle.
        let shape = [12, 40, 40];
        let place = |i: usize| [i / 1600, i / 40 % 40, i % 40];
        let inside = |i: usize| {
            let [z, y, x] = place(i);
            (3..9).contains(&z) && (10..30).contains(&y) && (10..30).contains(&x)
        };
        let ids = (0..12 * 1600).map(|i| u16::from(inside(i))).collect();
        let kinds =
            [0, 1].map(|c| crate::train::data::scene::Kind::new(c, crate::train::data::scene::Tissue::Organ, c == 1));
        let r = random(1, Purpose::Scene, 0);
        let mut scene = Scene::new(shape, [3.0, 1.0, 1.0], ids, &kinds, 10, &r);
        let grey = (0..12 * 1600).map(|i| 20_000 + if inside(i) { 20_000 } else { 0 }).collect();
        scene.image = Some(std::sync::Arc::new(grey));
        let clips = (0..8).filter_map(|i| clip(&scene, &OPTIONS, &random(2, Purpose::Clip, i)));
        assert!(clips.count() >= 6);
    }
}
