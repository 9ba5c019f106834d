//! Synthetic scenes: label volumes with shapes like those of anatomy.
//!
//! | share | kind | made of |
//! |---|---|---|
//! | 25 % | `regions` | the largest of several smooth noise fields at each place |
//! | 40 % | `composite` | blobs, shells, tubes, nested and attached blobs on a ground of regions |
//! | 17 % | `trunk` | skin, fat, muscle, spine, ribs, organs, bowel, vessels, lesions |
//! | 12 % | `limb` | skin, fat, muscle compartments, bones, vessels, a large tumour |
//! | 6 % | `head` | skull, folded cortex, ventricles, nuclei, lesions |
//!
//! A tenth of the scenes has instances split along a wavy plane. Scenes hold no intensities: `intensities` draws them
//! for each clip. All distributions are chosen.

use super::noise::Noise;
use super::random::{Purpose, Random, chance, integer, log_uniform, normal, pick, random, uniform, weighted};
use super::scene::{Kind, Scene, Tissue, components};
use super::shapes::{Blob, Painting, winding};

/// Instances of fewer voxels are no targets. Chosen.
const LEAST_VOXELS: usize = 60;

/// Scene number `index` of `seed`, `side` voxels a side.
pub fn scene(seed: u64, index: u64, side: usize) -> Scene {
    let r = random(seed, Purpose::Scene, index);
    let random = &r;
    let shape = [side; 3];
    let kind = weighted(random, &[25.0, 40.0, 17.0, 12.0, 6.0]);
    let mut painting = match kind {
        0 => regions(random, shape, 8, 24),
        1 => composite(random, shape),
        2 => trunk(random, shape),
        3 => limb(random, shape),
        _ => head(random, shape),
    };
    if chance(random, 0.1) {
        split(random, &mut painting);
    }
    let mut scene = Scene::new(shape, [1.0; 3], painting.ids, &painting.kinds, LEAST_VOXELS, random);
    // Scenes with a body end at the border, like a real volume.
    scene.mirrored = kind < 2;
    scene.name = format!("{} {index}", ["regions", "composite", "trunk", "limb", "head"][kind]);
    scene
}

fn any_tissue(random: &Random) -> Tissue {
    *pick(random, &Tissue::ANY)
}

/// The largest of `least` to `most` smooth noise fields at each place; every connected part is an instance.
pub(crate) fn regions(random: &Random, shape: [usize; 3], least: usize, most: usize) -> Painting {
    let n = integer(random, least, most);
    let base = log_uniform(random, 18.0, 60.0);
    // A common stretch makes layers or fibres of some scenes.
    let stretch: [f32; 3] =
        if chance(random, 0.3) { std::array::from_fn(|_| log_uniform(random, 0.6, 2.5)) } else { [1.0; 3] };
    let fields: Vec<(Noise, f32, f32)> = (0..n)
        .map(|_| {
            let size = base * log_uniform(random, 0.6, 1.6);
            (Noise::new(random, stretch.map(|s| s * size)), uniform(random, 0.7, 1.3), 0.3 * normal(random))
        })
        .collect();
    let warp: [Noise; 3] = std::array::from_fn(|_| Noise::even(random, base * 0.5));
    let bend = if chance(random, 0.5) { base * uniform(random, 0.0, 0.12) } else { 0.0 };
    let mut classes = Vec::with_capacity(shape.iter().product());
    for z in 0..shape[0] {
        for y in 0..shape[1] {
            for x in 0..shape[2] {
                let mut p = [z as f32, y as f32, x as f32];
                if bend > 0.0 {
                    p = std::array::from_fn(|i| p[i] + bend * warp[i].at(p));
                }
                let best = fields.iter().enumerate().map(|(i, (noise, gain, bias))| (noise.at(p) * gain + bias, i));
                let best = best.fold((f32::MIN, 0), |a, b| if b.0 > a.0 { b } else { a });
                classes.push(best.1 as u16);
            }
        }
    }
    let (ids, of_class) = components(shape, &classes, LEAST_VOXELS);
    let tissues: Vec<Tissue> = (0..n).map(|_| any_tissue(random)).collect();
    let kinds = of_class.iter().map(|&c| Kind::new(c, tissues[c as usize], true)).collect();
    Painting::from_ids(shape, ids, kinds)
}

/// Objects of every shape on a ground of a few regions.
fn composite(random: &Random, shape: [usize; 3]) -> Painting {
    let mut painting =
        if chance(random, 0.5) { regions(random, shape, 2, 7) } else { Painting::new(shape, Tissue::Fat) };
    painting.kinds.iter_mut().for_each(|k| k.target = chance(random, 0.1));
    let side = shape[0] as f32;
    if chance(random, 0.65) {
        // A body: everything outside is one instance.
        let radii = std::array::from_fn(|_| side * uniform(random, 0.4, 0.62));
        let body = Blob::upright(random, [side / 2.0; 3], radii, 0.08, side * 0.4);
        let (outside, rim) = (painting.single(Tissue::Air), painting.single(any_tissue(random)));
        painting.kinds[outside as usize].target = false;
        let thickness = if chance(random, 0.4) { uniform(random, 2.0, 5.0) / body.thin() } else { 0.0 };
        painting.paint([side / 2.0; 3], side, |p, _| {
            let depth = body.depth(p);
            (depth > 1.0 - thickness).then_some(if depth > 1.0 { outside } else { rim })
        });
    }
    // Few classes, so that several instances have similar intensities.
    let classes: Vec<(u16, Tissue)> =
        (0..integer(random, 4, 14)).map(|_| (painting.class(), any_tissue(random))).collect();
    for _ in 0..integer(random, 15, 50) {
        object(random, &mut painting, &classes);
    }
    painting
}

/// One object: a blob, a shell, a nested blob, an attached blob or a tube.
fn object(random: &Random, painting: &mut Painting, classes: &[(u16, Tissue)]) {
    let side = painting.shape[0] as f32;
    let mut instance = |random: &Random| {
        let &(class, tissue) = pick(random, classes);
        painting.instance(class, tissue, true)
    };
    let (a, b) = (instance(random), instance(random));
    let centre = painting.place(random, 0.05);
    let radius = log_uniform(random, 3.0, side * 0.26);
    match weighted(random, &[4.0, 2.0, 2.0, 1.5, 2.5]) {
        0 => {
            let blob = Blob::new(random, centre, radius);
            painting.blob(&blob, a, |_| true);
        }
        1 => {
            let blob = Blob::new(random, centre, radius.max(6.0));
            painting.shell(&blob, a, b, uniform(random, 2.0, 4.0), |_| true);
        }
        2 => {
            let outer = Blob::new(random, centre, radius.max(6.0));
            painting.blob(&outer, a, |_| true);
            for _ in 0..integer(random, 1, 3) {
                let reach = outer.thin() * 0.6;
                let place = std::array::from_fn(|i| outer.centre[i] + reach * uniform(random, -1.0, 1.0));
                let size = (radius * uniform(random, 0.15, 0.5)).max(2.0);
                let inner = Blob::new(random, place, size);
                painting.blob(&inner, b, |old| old == a || old == b);
            }
        }
        3 => {
            let host = Blob::new(random, centre, radius.max(5.0));
            painting.blob(&host, a, |_| true);
            let out = rotation_axis(random);
            let place = std::array::from_fn(|i| host.centre[i] + host.radii[1] * 1.1 * out[i]);
            let bud = Blob::new(random, place, (radius * uniform(random, 0.25, 0.7)).max(2.5));
            painting.blob(&bud, b, |old| old != a || chance_of(place, 0.2));
        }
        _ => {
            let radius = log_uniform(random, 1.5, 8.0);
            let heading = rotation_axis(random);
            let length = side * uniform(random, 0.4, 1.6);
            let bend = uniform(random, 0.02, 0.25);
            let line = winding(random, centre, heading, length, radius, bend);
            let wall = chance(random, 0.5).then(|| (b, uniform(random, 1.0, 2.5)));
            painting.tube(&line, a, wall, |_| true);
        }
    }
}

fn rotation_axis(random: &Random) -> [f32; 3] {
    super::random::rotation(random)[0]
}

/// True with probability about `p`, the same for the same place.
fn chance_of(place: [f32; 3], p: f32) -> bool {
    (place[0] * 12.9 + place[1] * 78.2 + place[2] * 37.7).sin().abs() < p
}

/// Skin, fat and muscle around a cavity of `inside`; returns the depth field: 1 at the skin, smaller inside.
fn hull(random: &Random, painting: &mut Painting, radii: [f32; 2], inside: Tissue) -> (Blob, u16) {
    let side = painting.shape[0] as f32;
    let centre = [side / 2.0, side * uniform(random, 0.47, 0.53), side * uniform(random, 0.47, 0.53)];
    let long = side * uniform(random, 1.5, 4.0);
    let wobble = uniform(random, 0.01, 0.06);
    let body = Blob::upright(random, centre, [long, radii[0], radii[1]], wobble, side * 0.35);
    let skin = painting.single(Tissue::Muscle);
    let fat = painting.single(Tissue::Fat);
    let cavity = painting.single(inside);
    for id in [skin, fat, cavity] {
        painting.kinds[id as usize].target = false;
    }
    let thin = radii[0].min(radii[1]);
    let (skin_depth, fat_depth) = (1.0 - 1.5 / thin, 1.0 - uniform(random, 3.0, 11.0) / thin);
    let layer = Noise::even(random, side * 0.2);
    painting.paint([side / 2.0; 3], side, |p, _| {
        let depth = body.depth(p);
        let edge = fat_depth + 0.03 * layer.at(p);
        (depth < 1.0).then_some(if depth > skin_depth {
            skin
        } else if depth > edge {
            fat
        } else {
            cavity
        })
    });
    (body, cavity)
}

/// The body of a trunk: where its parts are painted.
struct Body {
    blob: Blob,
    /// Half of its depth and width, voxels.
    radii: [f32; 2],
    /// Instance of the cavity inside the wall.
    cavity: u16,
    /// Depth of the inner side of the wall of muscle, as [`Blob::depth`].
    inner: f32,
}

/// A trunk: wall, ribs, spine, lungs, organs, bowel, vessels, lesions.
fn trunk(random: &Random, shape: [usize; 3]) -> Painting {
    let mut painting = Painting::new(shape, Tissue::Air);
    let body = trunk_body(random, &mut painting);
    ribs(random, &mut painting, &body);
    let front_of_spine = spine(random, &mut painting, &body);
    // Vessels may cross everything that is painted from here on.
    let inside = painting.kinds.len() as u16;
    if chance(random, 0.5) {
        lungs(random, &mut painting, &body);
    }
    let organs = organs(random, &mut painting, body.cavity);
    bowel(random, &mut painting, body.cavity);
    vessels(random, &mut painting, front_of_spine, |old| old == body.cavity || old >= inside);
    lesions(random, &mut painting, &organs);
    painting
}

/// Skin, fat and a wall of muscle around a cavity.
fn trunk_body(random: &Random, painting: &mut Painting) -> Body {
    let side = painting.shape[0] as f32;
    let radii = [side * uniform(random, 0.33, 0.42), side * uniform(random, 0.42, 0.48)];
    let (blob, cavity) = hull(random, painting, radii, Tissue::Fat);
    let wall = painting.single(Tissue::Muscle);
    let inner = 1.0 - uniform(random, 14.0, 20.0) / radii[0];
    let fibres = Noise::new(random, [side * 0.5, side * 0.08, side * 0.08]);
    painting.paint([side / 2.0; 3], side, |p, old| {
        (old == cavity && blob.depth(p) > inner && fibres.at(p) < 0.9).then_some(wall)
    });
    Body { blob, radii, cavity, inner }
}

/// Slanting ribs within the wall, in seven of ten trunks.
fn ribs(random: &Random, painting: &mut Painting, body: &Body) {
    let side = painting.shape[0] as f32;
    let thin = body.radii[0];
    let bone = painting.class();
    let (period, slope) = (side * uniform(random, 0.14, 0.22), uniform(random, 0.0, 0.5));
    let ids: Vec<u16> = (0..24).map(|_| painting.instance(bone, Tissue::CorticalBone, true)).collect();
    let depth = body.inner + 4.0 / thin;
    if chance(random, 0.7) {
        painting.paint([side / 2.0; 3], side, |p, old| {
            let d = body.blob.depth(p);
            let t = (p[0] + slope * (p[1] - body.blob.centre[1])) / period + 6.0;
            let near = (t.fract() - 0.5).abs() * period;
            let left = usize::from(p[2] > body.blob.centre[2]);
            (old != 0 && near < 3.0 && (d - depth).abs() * thin < 2.2).then(|| ids[(2 * t as usize + left).min(23)])
        });
    }
}

/// Vertebrae with discs between and a canal behind; returns the place in front of it where vessels run.
fn spine(random: &Random, painting: &mut Painting, body: &Body) -> [f32; 3] {
    let side = painting.shape[0] as f32;
    let centre = body.blob.centre;
    let back = [0.0, centre[1] + body.radii[0] * uniform(random, 0.5, 0.62), centre[2]];
    let radius = side * uniform(random, 0.075, 0.1);
    let height = side * uniform(random, 0.14, 0.22);
    let (shell, marrow, disc) = (painting.class(), painting.class(), painting.single(Tissue::Organ));
    let vertebrae: Vec<(u16, u16)> = (0..12)
        .map(|_| {
            let cortex = painting.instance(shell, Tissue::CorticalBone, false);
            (cortex, painting.instance(marrow, Tissue::SpongyBone, true))
        })
        .collect();
    let canal = painting.single(Tissue::Fluid);
    let edge = Noise::even(random, side * 0.12);
    let sway = Noise::even(random, side * 1.2);
    painting.paint([side / 2.0; 3], side, |p, old| {
        let middle = back[2] + 3.0 * sway.at([p[0], 0.0, 0.0]);
        let (dy, dx) = (p[1] - back[1], p[2] - middle);
        let d = (dy.powi(2) + dx.powi(2)).sqrt() / radius + 0.06 * edge.at(p);
        let behind = ((dy - radius * 1.45).powi(2) + dx.powi(2)).sqrt() / (radius * 0.45);
        let t = p[0] / height + 1.0;
        let (cortex, spongy) = vertebrae[(t as usize).min(11)];
        if old == 0 {
            None
        } else if d < 1.0 {
            let end = t.fract().min(1.0 - t.fract()) * height;
            Some(if end < 1.6 {
                disc
            } else if d > 0.86 || end < 2.8 {
                cortex
            } else {
                spongy
            })
        } else if behind < 1.0 {
            Some(canal)
        } else if behind < 1.5 || (dx.abs() < 2.0 && dy > radius * 2.0 && dy < radius * 3.0) {
            Some(cortex)
        } else {
            None
        }
    });
    [0.0, back[1] - radius * 1.5, back[2] + 4.0]
}

/// Two lungs with vessels in them.
fn lungs(random: &Random, painting: &mut Painting, body: &Body) {
    let side = painting.shape[0] as f32;
    let middle = body.blob.centre;
    let (class, inner_class) = (painting.class(), painting.class());
    for x in [-1.0, 1.0] {
        let centre = [side * uniform(random, 0.5, 0.9), middle[1] - 2.0, middle[2] + x * body.radii[1] * 0.4];
        let radii = [side * uniform(random, 0.3, 0.6), body.radii[0] * 0.6, body.radii[1] * 0.33];
        let lung = Blob::upright(random, centre, radii, 0.06, side * 0.3);
        let id = painting.instance(class, Tissue::Lung, true);
        painting.blob(&lung, id, |old| old == body.cavity);
        for _ in 0..integer(random, 3, 10) {
            let vessel = painting.instance(inner_class, Tissue::Muscle, false);
            let heading = rotation_axis(random);
            let width = uniform(random, 0.8, 2.0);
            let line = winding(random, centre, heading, side * 0.4, width, 0.15);
            painting.tube(&line, vessel, None, |old| old == id);
        }
    }
}

/// A place in the cavity that holds nothing yet; none where it is full.
fn free_place(random: &Random, painting: &Painting, cavity: u16) -> Option<[f32; 3]> {
    (0..40).map(|_| painting.place(random, 0.1)).find(|&p| painting.at(p) == cavity)
}

/// Solid organs, a quarter of them with a core.
fn organs(random: &Random, painting: &mut Painting, cavity: u16) -> Vec<(u16, Blob)> {
    let side = painting.shape[0] as f32;
    let mut organs = vec![];
    for _ in 0..integer(random, 8, 20) {
        let Some(centre) = free_place(random, painting, cavity) else { break };
        let tissue = *pick(random, &[Tissue::Organ, Tissue::Organ, Tissue::Organ, Tissue::Fluid, Tissue::Muscle]);
        let blob = Blob::new(random, centre, log_uniform(random, side * 0.06, side * 0.2));
        let id = painting.single(tissue);
        if chance(random, 0.25) {
            let core = painting.single(Tissue::Organ);
            painting.shell(&blob, id, core, uniform(random, 2.0, 4.0), |old| old == cavity);
        } else {
            painting.blob(&blob, id, |old| old == cavity);
        }
        organs.push((id, blob));
    }
    organs
}

/// One to three winding tubes with a wall.
fn bowel(random: &Random, painting: &mut Painting, cavity: u16) {
    let side = painting.shape[0] as f32;
    for _ in 0..integer(random, 1, 3) {
        let Some(start) = free_place(random, painting, cavity) else { break };
        let (content, wall) = (painting.single(Tissue::Content), painting.single(Tissue::Muscle));
        let heading = rotation_axis(random);
        let width = uniform(random, 2.5, 6.0);
        let line = winding(random, start, heading, side * uniform(random, 1.0, 3.0), width, 0.3);
        painting.tube(&line, content, Some((wall, uniform(random, 1.0, 2.0))), |old| old == cavity);
    }
}

/// A great vessel along the first axis, with branches.
fn vessels(random: &Random, painting: &mut Painting, start: [f32; 3], may: impl Fn(u16) -> bool) {
    let side = painting.shape[0] as f32;
    let class = painting.class();
    for i in 0..integer(random, 1, 3) {
        let id = painting.instance(class, Tissue::Vessel, true);
        let radius = uniform(random, 2.0, 6.0);
        let start = [start[0], start[1], start[2] - 9.0 * i as f32];
        let trunk = winding(random, start, [1.0, 0.0, 0.0], side * 1.2, radius, 0.02);
        let wall = chance(random, 0.3).then(|| (painting.single(Tissue::Muscle), 1.2));
        painting.tube(&trunk, id, wall, &may);
        for _ in 0..integer(random, 2, 7) {
            let (from, width) = *pick(random, &trunk);
            let heading = rotation_axis(random);
            let branch = winding(random, from, heading, side * uniform(random, 0.2, 0.7), (width * 0.5).max(0.9), 0.12);
            painting.tube(&branch, id, None, &may);
        }
    }
}

/// Lesions in and on the organs, some with a rim or a core.
fn lesions(random: &Random, painting: &mut Painting, organs: &[(u16, Blob)]) {
    if organs.is_empty() {
        return;
    }
    let class = painting.class();
    for _ in 0..integer(random, 2, 9) {
        let (organ, host) = *pick(random, organs);
        let out = rotation_axis(random);
        let far = uniform(random, 0.0, 1.1);
        let centre = std::array::from_fn(|i| host.centre[i] + far * host.thin() * out[i]);
        let blob = Blob::new(random, centre, log_uniform(random, 2.5, (host.thin() * 0.9).max(3.0)));
        let id = painting.instance(class, Tissue::Lesion, true);
        let spread = chance(random, 0.5);
        let may = |old: u16| old == organ || (spread && old > 0);
        if chance(random, 0.3) && blob.thin() > 4.0 {
            let core = painting.single(Tissue::Fluid);
            painting.shell(&blob, id, core, uniform(random, 1.5, 3.0), may);
        } else {
            painting.blob(&blob, id, may);
        }
    }
}

/// A limb or shoulder: muscle compartments parted by fat, bones, vessels, one or two large tumours.
fn limb(random: &Random, shape: [usize; 3]) -> Painting {
    let side = shape[0] as f32;
    let mut painting = Painting::new(shape, Tissue::Air);
    let mut muscles = vec![];
    for _ in 0..if chance(random, 0.3) { 2 } else { 1 } {
        let wide = uniform(random, 0.3, 0.47) * side;
        let (_, cavity) = hull(random, &mut painting, [wide, wide * uniform(random, 0.85, 1.15)], Tissue::Muscle);
        muscles.push(cavity);
    }
    let ground = *muscles.last().expect("one was made");
    compartments(random, &mut painting, ground);
    for _ in 0..integer(random, 1, 2) {
        let start = [-2.0, side * uniform(random, 0.35, 0.65), side * uniform(random, 0.35, 0.65)];
        let (marrow, cortex) = (painting.single(Tissue::SpongyBone), painting.single(Tissue::CorticalBone));
        let radius = side * uniform(random, 0.04, 0.1);
        let line = winding(random, start, [1.0, 0.0, 0.0], side * uniform(random, 0.6, 1.3), radius, 0.012);
        painting.tube(&line, marrow, Some((cortex, uniform(random, 1.5, 4.0))), |old| old != 0);
    }
    let middle = [0.0, side * uniform(random, 0.3, 0.7), side * uniform(random, 0.3, 0.7)];
    vessels(random, &mut painting, middle, |old| old >= ground);
    let tumours = tumours(random, &mut painting, ground);
    lesions(random, &mut painting, &tumours);
    painting
}

/// Compartments of muscle: regions stretched along the limb, with seams of fat where two are equally strong.
fn compartments(random: &Random, painting: &mut Painting, ground: u16) {
    let side = painting.shape[0] as f32;
    let n = integer(random, 4, 10);
    let class = painting.class();
    let fields: Vec<(Noise, u16)> = (0..n)
        .map(|_| {
            let size = side * uniform(random, 0.2, 0.4);
            let noise = Noise::new(random, [size * 4.0, size, size]);
            (noise, painting.instance(class, Tissue::Muscle, true))
        })
        .collect();
    let seam = painting.single(Tissue::Fat);
    painting.kinds[seam as usize].target = false;
    let width = uniform(random, 0.03, 0.16);
    painting.paint([side / 2.0; 3], side, |p, old| {
        if old != ground {
            return None;
        }
        let (mut first, mut second, mut best) = (f32::MIN, f32::MIN, 0);
        for (noise, id) in &fields {
            let v = noise.at(p);
            if v > first {
                (second, first, best) = (first, v, *id);
            } else if v > second {
                second = v;
            }
        }
        Some(if first - second < width { seam } else { best })
    });
}

/// One or two large tumours, half of them with cores that belong to the tumour.
fn tumours(random: &Random, painting: &mut Painting, ground: u16) -> Vec<(u16, Blob)> {
    let side = painting.shape[0] as f32;
    let mut tumours = vec![];
    for _ in 0..integer(random, 1, 2) {
        let centre = std::array::from_fn(|_| side * uniform(random, 0.3, 0.7));
        let blob = Blob::new(random, centre, side * log_uniform(random, 0.06, 0.24));
        let id = painting.single(Tissue::Lesion);
        painting.blob(&blob, id, |old| old >= ground);
        for _ in 0..if chance(random, 0.5) { integer(random, 1, 4) } else { 0 } {
            let place = std::array::from_fn(|i| centre[i] + blob.thin() * 0.5 * uniform(random, -1.0, 1.0));
            let size = (blob.thin() * uniform(random, 0.15, 0.5)).max(2.0);
            let core = Blob::new(random, place, size);
            let part = painting.single(Tissue::Fluid);
            painting.kinds[part as usize] = Kind { target: false, part_of: Some(id), ..painting.kinds[part as usize] };
            painting.blob(&core, part, |old| old == id);
        }
        tumours.push((id, blob));
    }
    tumours
}

/// A head: scalp, skull, fluid, folded cortex around white matter, ventricles, nuclei, lesions.
fn head(random: &Random, shape: [usize; 3]) -> Painting {
    let side = shape[0] as f32;
    let mut painting = Painting::new(shape, Tissue::Air);
    let centre = [side / 2.0; 3];
    let radii = std::array::from_fn(|_| side * uniform(random, 0.38, 0.5));
    let skull = Blob::upright(random, centre, radii, 0.03, side * 0.5);
    let thin = skull.thin();
    let ids: Vec<u16> = [Tissue::Fat, Tissue::CorticalBone, Tissue::Fluid, Tissue::Organ, Tissue::Muscle]
        .iter()
        .map(|&t| painting.single(t))
        .collect();
    let (scalp, bone) = (1.0 - uniform(random, 3.0, 7.0) / thin, 1.0 - uniform(random, 8.0, 12.0) / thin);
    let brain = bone - uniform(random, 1.5, 4.0) / thin;
    let folds = Noise::even(random, side * uniform(random, 0.08, 0.14));
    let depth_of_folds = uniform(random, 3.0, 9.0) / thin;
    let cortex = uniform(random, 2.5, 5.0) / thin;
    painting.paint(centre, side, |p, _| {
        let d = skull.depth(p);
        let half = (p[2] - centre[2]).abs() < 1.2 && p[1] < centre[1] + side * 0.1;
        let pleat = depth_of_folds * folds.at(p).abs().min(1.5);
        (d < 1.0).then(|| {
            let inside = d + pleat;
            ids[if d > scalp {
                0
            } else if d > bone {
                1
            } else if inside > brain || half {
                2
            } else if inside > brain - cortex {
                3
            } else {
                4
            }]
        })
    });
    painting.kinds[ids[0] as usize].target = false;
    let white = ids[4];
    let white_matter = Blob::upright(random, centre, [thin * 0.7; 3], 0.1, side * 0.3);
    ventricles_and_nuclei(random, &mut painting, centre, white);
    lesions(random, &mut painting, &[(white, white_matter)]);
    painting
}

/// A ventricle with two to four nuclei beside it in each half of the white matter.
fn ventricles_and_nuclei(random: &Random, painting: &mut Painting, centre: [f32; 3], white: u16) {
    let side = painting.shape[0] as f32;
    let (fluid, grey) = (painting.class(), painting.class());
    for x in [-1.0f32, 1.0] {
        let at = [centre[0], centre[1], centre[2] + x * side * 0.07];
        let radii = [side * uniform(random, 0.04, 0.09), side * uniform(random, 0.12, 0.2), side * 0.035];
        let ventricle = Blob::upright(random, at, radii, 0.15, side * 0.15);
        let id = painting.instance(fluid, Tissue::Fluid, true);
        painting.blob(&ventricle, id, |old| old == white);
        for _ in 0..integer(random, 2, 4) {
            let place = [
                centre[0] + side * uniform(random, -0.12, 0.08),
                centre[1] + side * uniform(random, -0.12, 0.12),
                centre[2] + x * side * uniform(random, 0.1, 0.18),
            ];
            let nucleus = Blob::new(random, place, side * uniform(random, 0.03, 0.07));
            let id = painting.instance(grey, Tissue::Organ, true);
            painting.blob(&nucleus, id, |old| old == white);
        }
    }
}

/// Splits a few large instances along a wavy plane; the parts get classes of their own.
fn split(random: &Random, painting: &mut Painting) {
    let mut sizes = vec![0usize; painting.kinds.len()];
    painting.ids.iter().for_each(|&id| sizes[id as usize] += 1);
    let large: Vec<u16> = (0..sizes.len() as u16)
        .filter(|&i| painting.kinds[i as usize].target && sizes[i as usize] > 16 * LEAST_VOXELS)
        .collect();
    if large.is_empty() {
        return;
    }
    let side = painting.shape[0] as f32;
    for _ in 0..integer(random, 1, 4) {
        let id = *pick(random, &large);
        let noise = Noise::even(random, side * uniform(random, 0.2, 0.6));
        let tissue = painting.kinds[id as usize].tissue;
        let part = painting.single(tissue);
        painting.paint([side / 2.0; 3], side, |p, old| (old == id && noise.at(p) > 0.0).then_some(part));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_number_gives_the_same_scene_and_scenes_have_targets() {
        let (a, b) = (scene(1, 3, 48), scene(1, 3, 48));
        assert_eq!(a.ids, b.ids);
        assert_ne!(a.ids, scene(1, 4, 48).ids);
        assert_ne!(a.ids, scene(2, 3, 48).ids);
        for index in 0..12 {
            let scene = scene(5, index, 48);
            assert!(!scene.targets().is_empty(), "{}", scene.name);
            let inside = scene.targets().iter().all(|&t| scene.instances[t as usize].voxels >= LEAST_VOXELS);
            assert!(inside && scene.instances.len() < 60_000);
        }
    }
}
