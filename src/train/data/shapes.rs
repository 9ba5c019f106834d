//! Shapes painted into a scene under construction: deformed ellipsoids with rims, tubes with wall and lumen.

use super::noise::Noise;
use super::random::{Random, chance, log_uniform, normal, rotation, uniform};
use super::scene::{Kind, Tissue};

/// A scene under construction: the instance of every voxel, and the kind of each instance.
pub(crate) struct Painting {
    pub shape: [usize; 3],
    pub ids: Vec<u16>,
    /// By id.
    pub kinds: Vec<Kind>,
    classes: u16,
}

/// An ellipsoid with a surface deformed by noise.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Blob {
    pub centre: [f32; 3],
    pub radii: [f32; 3],
    turn: [[f32; 3]; 3],
    wobble: f32,
    noise: Noise,
}

impl Blob {
    /// A blob of about `radius`, elongated and deformed at random.
    pub fn new(random: &Random, centre: [f32; 3], radius: f32) -> Blob {
        let mut radii: [f32; 3] = std::array::from_fn(|_| radius * log_uniform(random, 0.6, 1.6));
        if chance(random, 0.15) {
            radii[0] *= 0.45;
        }
        let wobble = if chance(random, 0.25) { 0.04 } else { uniform(random, 0.08, 0.4) };
        let size = radius * uniform(random, 0.5, 1.6);
        Blob { centre, radii, turn: rotation(random), wobble, noise: Noise::even(random, size.max(2.0)) }
    }

    /// With radii along the array's axes, deformed by `wobble` at features of `size`.
    pub fn upright(random: &Random, centre: [f32; 3], radii: [f32; 3], wobble: f32, size: f32) -> Blob {
        let turn = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]];
        Blob { centre, radii, turn, wobble, noise: Noise::even(random, size) }
    }

    /// Less than 1 inside; grows like the distance from the centre in units of the radius.
    pub fn depth(&self, p: [f32; 3]) -> f32 {
        let d: [f32; 3] = std::array::from_fn(|i| p[i] - self.centre[i]);
        let mut sum = 0.0;
        for (row, r) in self.turn.iter().zip(self.radii) {
            let q = (row[0] * d[0] + row[1] * d[1] + row[2] * d[2]) / r;
            sum += q * q;
        }
        let depth = sum.sqrt();
        // The noise never reaches farther than three deviations.
        if (depth - 1.0).abs() > 3.0 * self.wobble + 0.5 { depth } else { depth - self.wobble * self.noise.at(p) }
    }

    fn reach(&self) -> f32 {
        self.radii.iter().fold(0f32, |a, &r| a.max(r)) * (1.0 + 3.0 * self.wobble)
    }

    /// Shortest radius.
    pub fn thin(&self) -> f32 {
        self.radii.iter().fold(f32::MAX, |a, &r| a.min(r))
    }
}

impl Painting {
    /// Everything is instance 0, of `tissue`.
    pub fn new(shape: [usize; 3], tissue: Tissue) -> Painting {
        Painting { shape, ids: vec![0; shape.iter().product()], kinds: vec![Kind::new(0, tissue, false)], classes: 1 }
    }

    /// From existing instances.
    pub fn from_ids(shape: [usize; 3], ids: Vec<u16>, kinds: Vec<Kind>) -> Painting {
        let classes = kinds.iter().map(|k| k.class).max().unwrap_or(0) + 1;
        Painting { shape, ids, kinds, classes }
    }

    /// A new class.
    pub fn class(&mut self) -> u16 {
        self.classes += 1;
        self.classes - 1
    }

    /// A new instance.
    pub fn instance(&mut self, class: u16, tissue: Tissue, target: bool) -> u16 {
        self.kinds.push(Kind::new(class, tissue, target));
        (self.kinds.len() - 1) as u16
    }

    /// A new instance of a new class.
    pub fn single(&mut self, tissue: Tissue) -> u16 {
        let class = self.class();
        self.instance(class, tissue, true)
    }

    /// A place drawn uniformly, `margin` (share of each side) away from the border.
    pub fn place(&self, random: &Random, margin: f32) -> [f32; 3] {
        self.shape.map(|n| uniform(random, margin, 1.0 - margin) * n as f32)
    }

    /// The instance at `p`; the nearest voxel's when outside.
    pub fn at(&self, p: [f32; 3]) -> u16 {
        let i: [usize; 3] = std::array::from_fn(|k| (p[k].round().max(0.0) as usize).min(self.shape[k] - 1));
        self.ids[(i[0] * self.shape[1] + i[1]) * self.shape[2] + i[2]]
    }

    /// Replaces voxels within `reach` of `centre`: `new` receives the place and the present instance.
    pub fn paint(&mut self, centre: [f32; 3], reach: f32, mut new: impl FnMut([f32; 3], u16) -> Option<u16>) {
        let range = |k: usize| {
            let n = self.shape[k] as f32;
            let low = (centre[k] - reach).ceil().clamp(0.0, n) as usize;
            let high = ((centre[k] + reach).floor() + 1.0).clamp(0.0, n) as usize;
            low..high.max(low)
        };
        let (rz, ry, rx) = (range(0), range(1), range(2));
        let [_, h, w] = self.shape;
        for z in rz {
            for y in ry.clone() {
                for x in rx.clone() {
                    let id = &mut self.ids[(z * h + y) * w + x];
                    if let Some(new) = new([z as f32, y as f32, x as f32], *id) {
                        *id = new;
                    }
                }
            }
        }
    }

    /// Fills a blob where `may` allows the present instance.
    pub fn blob(&mut self, blob: &Blob, id: u16, may: impl Fn(u16) -> bool) {
        self.paint(blob.centre, blob.reach(), |p, old| (may(old) && blob.depth(p) < 1.0).then_some(id));
    }

    /// A blob with a rim of `thickness` voxels.
    pub fn shell(&mut self, blob: &Blob, rim: u16, inside: u16, thickness: f32, may: impl Fn(u16) -> bool) {
        let inner = 1.0 - thickness / blob.thin();
        self.paint(blob.centre, blob.reach(), |p, old| {
            let depth = if may(old) { blob.depth(p) } else { 2.0 };
            (depth < 1.0).then_some(if depth < inner { inside } else { rim })
        });
    }

    /// A tube along `line` (points with radii): wall first, then lumen, so that bends do not close it.
    pub fn tube(&mut self, line: &[([f32; 3], f32)], lumen: u16, wall: Option<(u16, f32)>, may: impl Fn(u16) -> bool) {
        let own = [Some(lumen), wall.map(|w| w.0)];
        let may = |old: u16| own.contains(&Some(old)) || may(old);
        if let Some((wall, thickness)) = wall {
            for &(centre, radius) in line {
                self.ball(centre, radius + thickness, wall, &may);
            }
        }
        for &(centre, radius) in line {
            self.ball(centre, radius, lumen, &may);
        }
    }

    fn ball(&mut self, centre: [f32; 3], radius: f32, id: u16, may: &impl Fn(u16) -> bool) {
        self.paint(centre, radius, |p, old| {
            let d2: f32 = (0..3).map(|i| (p[i] - centre[i]).powi(2)).sum();
            (d2 < radius * radius && may(old)).then_some(id)
        });
    }
}

/// A winding line from `start`, heading for `towards`, of `length`, with a radius that swells and shrinks.
pub(crate) fn winding(
    random: &Random,
    start: [f32; 3],
    towards: [f32; 3],
    length: f32,
    radius: f32,
    bend: f32,
) -> Vec<([f32; 3], f32)> {
    let unit = |v: [f32; 3]| {
        let n = v.iter().map(|x| x * x).sum::<f32>().sqrt().max(1e-6);
        v.map(|x| x / n)
    };
    let step = (radius * 0.5).max(0.7);
    let swell = Noise::even(random, radius * uniform(random, 4.0, 12.0));
    let amount = uniform(random, 0.0, 0.3);
    let (mut p, mut direction) = (start, unit(towards));
    let mut turn: [f32; 3] = std::array::from_fn(|_| normal(random));
    let mut line = vec![];
    for _ in 0..(length / step) as usize {
        line.push((p, radius * (1.0 + amount * swell.at(p)).max(0.4)));
        // The axis of rotation changes slowly, which gives arcs instead of jitter.
        turn = std::array::from_fn(|i| 0.9 * turn[i] + 0.45 * normal(random));
        direction = unit(std::array::from_fn(|i| direction[i] + bend * turn[i]));
        p = std::array::from_fn(|i| p[i] + step * direction[i]);
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::data::random::{Purpose, random};

    #[test]
    fn a_round_blob_has_the_volume_of_a_ball_and_a_shell_its_rim() {
        let r = random(1, Purpose::Scene, 0);
        let mut painting = Painting::new([32; 3], Tissue::Fat);
        let blob = Blob::upright(&r, [16.0; 3], [10.0; 3], 0.0, 8.0);
        let (rim, inside) = (painting.single(Tissue::Muscle), painting.single(Tissue::Fluid));
        painting.shell(&blob, rim, inside, 3.0, |_| true);
        let count = |id| painting.ids.iter().filter(|&&i| i == id).count() as f32;
        let ball = |radius: f32| 4.0 / 3.0 * std::f32::consts::PI * radius.powi(3);
        assert!((count(inside) / ball(7.0) - 1.0).abs() < 0.05);
        assert!(((count(inside) + count(rim)) / ball(10.0) - 1.0).abs() < 0.05);
    }

    #[test]
    fn a_tube_has_a_closed_wall() {
        let mut painting = Painting::new([9, 24, 24], Tissue::Fat);
        let (lumen, wall) = (painting.single(Tissue::Vessel), painting.single(Tissue::Muscle));
        let line: Vec<_> = (0..9).map(|z| ([z as f32, 12.0, 12.0], 4.0)).collect();
        painting.tube(&line, lumen, Some((wall, 2.0)), |_| true);
        assert_eq!(painting.at([4.0, 12.0, 12.0]), lumen);
        for angle in 0..12 {
            let (s, c) = (angle as f32 * 0.5).sin_cos();
            assert_eq!(painting.at([4.0, 12.0 + 5.0 * s, 12.0 + 5.0 * c]), wall);
        }
        assert_eq!(painting.at([4.0, 12.0, 20.0]), 0);
    }
}
