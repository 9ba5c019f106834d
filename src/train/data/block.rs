//! A block of native pixels sampled from a scene and degraded like a scan; clips are cropped from it.

use super::frame::Frame;
use super::intensities::{Appearance, vary};
use super::noise::Noise;
use super::random::{Random, chance, integer, log_uniform, uniform};
use super::scene::Scene;

/// Index of the nearest voxel; none beyond the border unless the scene is mirrored there.
fn nearest(scene: &Scene, p: [f32; 3]) -> Option<usize> {
    let mut index = 0;
    for (p, side) in p.into_iter().zip(scene.shape) {
        let n = side as i32;
        let mut k = p.round() as i32;
        if k < 0 || k >= n {
            if !scene.mirrored {
                return None;
            }
            k = k.rem_euclid(2 * n);
            k = if k >= n { 2 * n - 1 - k } else { k };
        }
        index = index * side + k as usize;
    }
    Some(index)
}

pub(crate) fn id_at(scene: &Scene, p: [f32; 3]) -> Option<u16> {
    nearest(scene, p).map(|i| scene.ids[i])
}

/// Native planes of a clip.
pub(crate) struct Block {
    /// `[m, m]` each, 0..1.
    pub images: Vec<Vec<f32>>,
    /// `[m, m]` each, 0 or 1.
    pub masks: Vec<Vec<f32>>,
}

impl Block {
    /// Samples `planes` of the scene, `m` native pixels a side, with the target's mask; `inside`: instances of the
    /// target.
    pub fn sample(scene: &Scene, inside: &[bool], frame: &Frame, planes: &[i32], m: usize, random: &Random) -> Block {
        let warp = Warp::new(random, m, scene.image.is_some());
        let edge = Edge::new(random, m, scene.mirrored);
        let sampler = Sampler { scene, inside, frame, planes, m, warp, edge };
        match &scene.image {
            Some(image) => sampler.real(image, random),
            None => sampler.synthetic(random),
        }
    }
}

/// What the pixels of a block are computed from.
struct Sampler<'a> {
    scene: &'a Scene,
    /// Whether each instance belongs to the target.
    inside: &'a [bool],
    frame: &'a Frame,
    planes: &'a [i32],
    /// Native pixels a side.
    m: usize,
    warp: Warp,
    edge: Edge,
}

impl Sampler<'_> {
    fn empty(&self) -> Block {
        let planes = vec![vec![0f32; self.m * self.m]; self.planes.len()];
        Block { images: planes.clone(), masks: planes }
    }

    /// Place of a pixel in the scene, voxels.
    fn place(&self, plane: f32, r: usize, c: usize) -> [f32; 3] {
        let half = self.m as f32 / 2.0;
        let (row, col) = (r as f32 + 0.5 - half, c as f32 + 0.5 - half);
        let (dr, dc) = self.warp.shift(plane, row, col);
        self.frame.at(plane, row + dr, col + dc)
    }

    /// Instances of a plane's pixels; none beyond the border.
    fn ids(&self, plane: f32, pixel: f32) -> Vec<Option<u16>> {
        let m = self.m;
        let id = |i: usize| fine_id(self.scene, self.place(plane, i / m, i % m), pixel);
        (0..m * m).map(|i| if self.edge.beyond(i / m, i % m) { None } else { id(i) }).collect()
    }

    /// Planes of a real image.
    fn real(&self, image: &[u16], random: &Random) -> Block {
        let mut block = self.empty();
        let m = self.m;
        // Beyond the volume the context repeats the last slice.
        let along = (0..3).find(|&i| self.frame.plane[i] != 0.0).expect("a direction");
        let last = self.scene.shape[along] as f32 - 1.0;
        for (k, &plane) in self.planes.iter().enumerate() {
            for i in 0..m * m {
                let mut p = self.place(plane as f32, i / m, i % m);
                p[along] = p[along].clamp(0.0, last);
                block.images[k][i] = interpolate(self.scene, image, p);
                block.masks[k][i] = vote(self.scene, self.inside, p);
            }
        }
        vary(random, &mut block.images, m);
        block
    }

    /// Planes of a synthetic scene, with intensities drawn for this block.
    fn synthetic(&self, random: &Random) -> Block {
        let (scene, m) = (self.scene, self.m);
        let mut block = self.empty();
        let [thickness, pixel] = [self.frame.plane, self.frame.row].map(|d| scene.length_mm(d));
        // A thick slice is the mean over its thickness, unless there are gaps.
        let layers =
            if thickness > 1.4 && chance(random, 0.7) { (thickness / 1.2).ceil().min(4.0) as usize } else { 1 };
        let centres: Vec<Vec<Option<u16>>> = self.planes.iter().map(|&p| self.ids(p as f32, pixel)).collect();
        let neighbours = edges(&centres, self.inside, m);
        let appearance = Appearance::new(random, scene, self.inside, &neighbours, pixel);
        for (k, &plane) in self.planes.iter().enumerate() {
            for (mask, id) in block.masks[k].iter_mut().zip(&centres[k]) {
                *mask = f32::from(id.is_some_and(|id| self.inside[id as usize]));
            }
            for layer in 0..layers {
                let at = plane as f32 + (layer as f32 + 0.5) / layers as f32 - 0.5;
                let own = (layers > 1).then(|| self.ids(at, pixel));
                let ids = own.as_ref().unwrap_or(&centres[k]);
                for (i, id) in ids.iter().enumerate() {
                    block.images[k][i] += appearance.grey(*id, self.place(at, i / m, i % m)) / layers as f32;
                }
            }
        }
        appearance.scan(random, &mut block.images, m);
        for image in &mut block.images {
            (0..m * m).filter(|i| self.edge.beyond(i / m, i % m)).for_each(|i| image[i] = 0.0);
        }
        block
    }
}

/// Instances beside the target, once for each border pixel up to a number: an instance with a longer border is drawn
/// more often.
fn edges(planes: &[Vec<Option<u16>>], inside: &[bool], m: usize) -> Vec<u16> {
    let is_inside = |id: Option<u16>| id.is_some_and(|id| inside[id as usize]);
    let mut beside = vec![];
    for plane in planes {
        for i in (0..m * m - m).step_by(3) {
            for j in [i + 1, i + m] {
                let (a, b) = (plane[i], plane[j]);
                if is_inside(a) != is_inside(b) {
                    beside.extend(if is_inside(a) { b } else { a });
                }
            }
        }
    }
    beside
}

/// The instance at `p`: the nearest voxel's, or, where pixels are finer than voxels, that with most weight among the
/// eight around, which rounds off the steps.
fn fine_id(scene: &Scene, p: [f32; 3], pixel: f32) -> Option<u16> {
    if pixel > 0.75 {
        return id_at(scene, p);
    }
    let low = p.map(|v| v.floor());
    let part: [f32; 3] = std::array::from_fn(|i| p[i] - low[i]);
    let mut votes = [(None, 0f32); 8];
    let mut n = 0;
    for corner in 0..8usize {
        let bit = |i: usize| (corner >> i & 1) as f32;
        let weight: f32 = (0..3).map(|i| if bit(i) > 0.5 { part[i] } else { 1.0 - part[i] }).product();
        let id = id_at(scene, std::array::from_fn(|i| low[i] + bit(i)));
        match votes[..n].iter_mut().find(|v| v.0 == id) {
            Some(vote) => vote.1 += weight,
            None => {
                votes[n] = (id, weight);
                n += 1;
            }
        }
    }
    votes[..n].iter().fold((None, -1.0), |a, &b| if b.1 > a.1 { b } else { a }).0
}

/// 1 where most of the eight voxels around `p` are inside, else 0.
fn vote(scene: &Scene, inside: &[bool], p: [f32; 3]) -> f32 {
    let mut sum = 0.0;
    corners(scene, p, |i, weight| sum += weight * f32::from(inside[scene.ids[i] as usize]));
    f32::from(sum >= 0.5)
}

/// Grey value at `p`; 0 beyond the border.
fn interpolate(scene: &Scene, image: &[u16], p: [f32; 3]) -> f32 {
    let mut sum = 0.0;
    corners(scene, p, |i, weight| sum += weight * f32::from(image[i]));
    sum / 65535.0
}

/// The up to eight voxels around `p` with their weights.
fn corners(scene: &Scene, p: [f32; 3], mut visit: impl FnMut(usize, f32)) {
    let low = p.map(|v| v.floor());
    let part: [f32; 3] = std::array::from_fn(|i| p[i] - low[i]);
    let n = scene.shape.map(|n| n as i32);
    for corner in 0..8usize {
        let (mut index, mut weight, mut ok) = (0usize, 1.0, true);
        for i in 0..3 {
            let up = corner >> i & 1;
            weight *= if up == 1 { part[i] } else { 1.0 - part[i] };
            let k = low[i] as i32 + up as i32;
            ok &= k >= 0 && k < n[i];
            index = index * scene.shape[i] + k.max(0) as usize;
        }
        if ok && weight > 0.0 {
            visit(index, weight);
        }
    }
}

/// Smooth displacement within the planes, changing slowly from plane to plane.
struct Warp {
    fields: Option<[Noise; 2]>,
    amplitude: f32,
}

impl Warp {
    fn new(random: &Random, m: usize, real: bool) -> Warp {
        let m = m as f32;
        // Real volumes are few: they are warped more.
        let (share, most) = if real { (0.7, 0.06) } else { (0.2, 0.03) };
        if !chance(random, share) {
            return Warp { fields: None, amplitude: 0.0 };
        }
        let size = m * uniform(random, 0.3, 0.8);
        let planes = log_uniform(random, 4.0, 30.0);
        let fields = std::array::from_fn(|_| Noise::new(random, [planes, size, size]));
        Warp { fields: Some(fields), amplitude: m * uniform(random, 0.005, most) }
    }

    fn shift(&self, plane: f32, row: f32, col: f32) -> (f32, f32) {
        match &self.fields {
            None => (0.0, 0.0),
            Some([a, b]) => {
                let p = [plane, row, col];
                (self.amplitude * a.at(p), self.amplitude * b.at(p))
            }
        }
    }
}

/// Where a synthetic slice ends: in some clips a border runs through the region.
struct Edge {
    rows: (usize, usize),
    cols: (usize, usize),
}

impl Edge {
    fn new(random: &Random, m: usize, synthetic: bool) -> Edge {
        let range = || match synthetic && chance(random, 0.15) {
            false => (0, m),
            true if chance(random, 0.5) => (integer(random, 0, m / 4), m),
            true => (0, m - integer(random, 0, m / 4)),
        };
        Edge { rows: range(), cols: range() }
    }

    fn beyond(&self, r: usize, c: usize) -> bool {
        r < self.rows.0 || r >= self.rows.1 || c < self.cols.0 || c >= self.cols.1
    }
}
