//! What grows out of the drawing before anything is learnt: each pixel belongs to the seed that is nearest by geodesic distance,
//! along paths that avoid edges (Bai and Sapiro, "A geodesic framework for fast interactive image and video segmentation", 2007;
//! Wang et al., "DeepIGeoS", 2018, who give such distances to a network). The interaction network's answer is a change of it.
//!
//! | seed | of inside | of outside |
//! |---|---|---|
//! | stroke, click, extreme point | the positive ones | the negative ones |
//! | box | its middle, a little | all around it |
//! | previous mask | where it is sure, a little | where it is sure, a little |
//! | neither box nor previous mask | | the region's border, a little |

use crate::nn::layers::size2;
use tch::{Device, Kind, Tensor};

/// Cost of one pixel's way at half resolution, besides edges.
const STEP: f32 = 1.5;
/// A difference of this many times the median difference of neighbours costs 1; twice as large ones four times as much.
const EDGE: f32 = 0.5;
/// Least difference that counts as one.
const LEAST_EDGE: f32 = 1e-3;
/// Largest cost of an edge.
const LARGEST_EDGE: f32 = 40.0;
/// What the way from a seed that is only supposed starts with.
const SUPPOSED: f32 = 3.0;
/// What it starts with at the border of the region.
const BORDER: f32 = 4.0;
/// What it starts with where the previous mask is not sure at all, besides [`SUPPOSED`].
const UNSURE: f32 = 10.0;
/// The middle of a box is this much of its sides.
const MIDDLE: f32 = 0.4;
/// Guidance this high is a stroke's or a point's own pixel.
const DRAWN: f32 = 0.9;
/// Distance at which inside and outside are told apart half as surely.
const DISTANCE: f32 = 2.0;
/// Times that the whole slice is gone over forth and back.
const SWEEPS: usize = 3;

/// What was drawn, all `[N, 1, H, W]`; see [`crate::nn::networks::InteractionInput`].
pub(crate) struct Drawing<'a> {
    pub previous: &'a Tensor,
    pub positive: &'a Tensor,
    pub negative: &'a Tensor,
    pub boxes: &'a Tensor,
}

/// -1 (nearest to outside) to 1 (nearest to inside).
///
/// # Shapes
/// `intensity`: `[N, 1, H, W]` / `[N, 1, H / 2, W / 2]`, f32.
pub(crate) fn grown(intensity: &Tensor, drawing: &Drawing) -> Tensor {
    let pooled = |t: &Tensor, most: bool| {
        let t = t.to_kind(Kind::Float).to_device(Device::Cpu);
        match most {
            true => t.max_pool2d([2, 2], [2, 2], [0, 0], [1, 1], false),
            false => t.avg_pool2d([2, 2], [2, 2], [0, 0], false, true, None::<i64>),
        }
    };
    let x = pooled(intensity, false);
    let [rows, cols] = size2(&x).map(|n| n as usize);
    let count = x.size()[0];
    // Strokes are thin: half a pixel of one is one.
    let maps = [
        x.shallow_clone(),
        pooled(drawing.previous, false),
        pooled(drawing.positive, true),
        pooled(drawing.negative, true),
        pooled(drawing.boxes, false),
    ];
    let parts: Vec<Tensor> = (0..count)
        .map(|n| {
            let [x, previous, positive, negative, boxes] = maps.each_ref().map(|t| values(&t.get(n)));
            let seeds = Seeds::new(&previous, &positive, &negative, &boxes, rows, cols);
            Tensor::from_slice(&nearest(&x, seeds, rows, cols)).view([1, 1, rows as i64, cols as i64])
        })
        .collect();
    Tensor::cat(&parts, 0).to_device(intensity.device())
}

fn values(t: &Tensor) -> Vec<f32> {
    Vec::try_from(t.contiguous().view([-1])).expect("a flat f32 tensor")
}

/// What ways into the inside and the outside start with at each pixel; infinite where none starts.
struct Seeds {
    inside: Vec<f32>,
    outside: Vec<f32>,
}

impl Seeds {
    fn new(previous: &[f32], positive: &[f32], negative: &[f32], boxes: &[f32], rows: usize, cols: usize) -> Seeds {
        let n = rows * cols;
        let mut seeds = Seeds { inside: vec![f32::INFINITY; n], outside: vec![f32::INFINITY; n] };
        let least = |at: &mut f32, v: f32| *at = at.min(v);
        // 0.5 everywhere says nothing.
        let known = previous.iter().any(|p| (p - 0.5).abs() > 0.05);
        if known {
            for i in 0..n {
                let sure = 2.0 * previous[i] - 1.0;
                let side = if sure > 0.0 { &mut seeds.inside } else { &mut seeds.outside };
                least(&mut side[i], SUPPOSED + UNSURE * (1.0 - sure.abs()));
            }
        }
        let boxed: Vec<usize> = (0..n).filter(|&i| boxes[i] > 0.5).collect();
        if let Some(extent) = extent(&boxed, cols) {
            for (i, &within) in boxes.iter().enumerate() {
                if within < 0.5 {
                    seeds.outside[i] = 0.0;
                } else if middle(extent, i / cols, i % cols) && !known {
                    least(&mut seeds.inside[i], SUPPOSED);
                }
            }
        } else if !known {
            for i in (0..n).filter(|i| [0, rows - 1].contains(&(i / cols)) || [0, cols - 1].contains(&(i % cols))) {
                least(&mut seeds.outside[i], BORDER);
            }
        }
        for i in 0..n {
            if positive[i] > DRAWN {
                (seeds.inside[i], seeds.outside[i]) = (0.0, f32::INFINITY);
            }
            if negative[i] > DRAWN {
                (seeds.inside[i], seeds.outside[i]) = (f32::INFINITY, 0.0);
            }
        }
        seeds
    }
}

/// First and last row and column of `pixels`.
fn extent(pixels: &[usize], cols: usize) -> Option<[usize; 4]> {
    let rows = pixels.iter().map(|i| i / cols);
    let columns = pixels.iter().map(|i| i % cols);
    Some([rows.clone().min()?, rows.max()?, columns.clone().min()?, columns.max()?])
}

/// Whether a pixel lies in the ellipse in the middle of a box.
fn middle([top, bottom, left, right]: [usize; 4], row: usize, col: usize) -> bool {
    let off = |at: usize, first: usize, last: usize| {
        let half = (last + 1 - first) as f32 / 2.0;
        (at as f32 + 0.5 - (first as f32 + half)) / (half * MIDDLE)
    };
    off(row, top, bottom).hypot(off(col, left, right)) <= 1.0
}

/// Which side each pixel is nearer to.
fn nearest(x: &[f32], seeds: Seeds, rows: usize, cols: usize) -> Vec<f32> {
    let right = (0..x.len()).filter(|i| (i + 1) % cols != 0).map(|i| (x[i] - x[i + 1]).abs());
    let below = (0..x.len() - cols).map(|i| (x[i] - x[i + cols]).abs());
    let mut differences: Vec<f32> = right.chain(below).collect();
    let middle = differences.len() / 2;
    let noise = match differences.is_empty() {
        true => LEAST_EDGE,
        false => (EDGE * *differences.select_nth_unstable_by(middle, f32::total_cmp).1).max(LEAST_EDGE),
    };
    let inside = spread(x, seeds.inside, noise, rows, cols);
    let outside = spread(x, seeds.outside, noise, rows, cols);
    let side = |(&a, &b): (&f32, &f32)| match (a.is_finite(), b.is_finite()) {
        (true, true) => (b - a) / (a + b + DISTANCE),
        (true, false) => 1.0,
        (false, true) => -1.0,
        (false, false) => 0.0,
    };
    inside.iter().zip(&outside).map(side).collect()
}

/// Shortest ways from the seeds to all pixels, by going over the slice forth and back.
fn spread(x: &[f32], mut distance: Vec<f32>, noise: f32, rows: usize, cols: usize) -> Vec<f32> {
    let way = |i: usize, j: usize, length: f32| {
        let edge = (x[i] - x[j]) / noise;
        length * STEP + (edge * edge).min(LARGEST_EDGE)
    };
    let diagonal = std::f32::consts::SQRT_2;
    for _ in 0..SWEEPS {
        let mut changed = false;
        for forth in [true, false] {
            for step in 0..rows * cols {
                let i = if forth { step } else { rows * cols - 1 - step };
                let (row, col) = (i / cols, i % cols);
                let first = if forth { row == 0 } else { row == rows - 1 };
                let mut best = distance[i];
                let mut relax = |j: usize, length: f32| best = best.min(distance[j] + way(i, j, length));
                let line = |k: usize| if forth { k - cols } else { k + cols };
                if !first {
                    relax(line(i), 1.0);
                    if col > 0 {
                        relax(line(i) - 1, diagonal);
                    }
                    if col + 1 < cols {
                        relax(line(i) + 1, diagonal);
                    }
                }
                if forth && col > 0 {
                    relax(i - 1, 1.0);
                }
                if !forth && col + 1 < cols {
                    relax(i + 1, 1.0);
                }
                changed |= best < distance[i];
                distance[i] = best;
            }
        }
        if !changed {
            break;
        }
    }
    distance
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(f: &dyn Fn(i64, i64) -> f32) -> Tensor {
        let values: Vec<f32> = (0..32 * 32).map(|i| f(i / 32, i % 32)).collect();
        Tensor::from_slice(&values).view([1, 1, 32, 32])
    }

    /// A bright square in the rows and columns 8 to 23.
    fn square(r: i64, c: i64) -> bool {
        (8..24).contains(&r) && (8..24).contains(&c)
    }

    fn check(result: &Tensor, wanted: &dyn Fn(i64, i64) -> bool) {
        assert_eq!(result.size(), [1, 1, 16, 16]);
        for i in 0..256 {
            let (r, c) = (i / 16, i % 16);
            let v = result.double_value(&[0, 0, r, c]);
            assert_eq!(v > 0.0, wanted(2 * r, 2 * c), "({r}, {c}): {v}");
        }
    }

    #[test]
    fn a_stroke_fills_what_edges_enclose() {
        let image = map(&|r, c| if square(r, c) { 0.8 } else { 0.2 });
        let (nothing, unknown) = (map(&|_, _| 0.0), map(&|_, _| 0.5));
        let stroke = map(&|r, c| f32::from(r == 12 && (10..14).contains(&c)));
        let drawing = Drawing { previous: &unknown, positive: &stroke, negative: &nothing, boxes: &nothing };
        check(&grown(&image, &drawing), &square);
        // A box around it says the same without a stroke.
        let boxes = map(&|r, c| f32::from((6..26).contains(&r) && (6..26).contains(&c)));
        let drawing = Drawing { previous: &unknown, positive: &nothing, negative: &nothing, boxes: &boxes };
        check(&grown(&image, &drawing), &square);
    }

    #[test]
    fn a_click_corrects_the_previous_mask_up_to_the_edge() {
        // The previous mask holds both squares; a negative click is in the right one.
        let right = |r: i64, c: i64| (8..24).contains(&r) && (26..30).contains(&c);
        let image = map(&|r, c| if square(r, c) || right(r, c) { 0.8 } else { 0.2 });
        let previous = map(&|r, c| if square(r, c) || right(r, c) { 0.9 } else { 0.1 });
        let nothing = map(&|_, _| 0.0);
        let click = map(&|r, c| f32::from(r == 16 && c == 28));
        let drawing = Drawing { previous: &previous, positive: &nothing, negative: &click, boxes: &nothing };
        let result = grown(&image, &drawing);
        assert!(result.double_value(&[0, 0, 8, 14]) < -0.5 && result.double_value(&[0, 0, 7, 13]) < 0.0);
        assert!(result.double_value(&[0, 0, 8, 8]) > 0.0);
    }

    #[test]
    fn distances_by_hand() {
        // One row; an edge of 1 between the pixels 1 and 2, over a noise of 0.5: 4 more, and 1.5 a step.
        let d = spread(&[0.0, 0.0, 1.0, 1.0], vec![0.0, f32::INFINITY, f32::INFINITY, f32::INFINITY], 0.5, 1, 4);
        for (d, wanted) in d.iter().zip([0.0, 1.5, 7.0, 8.5]) {
            assert!((d - wanted).abs() < 1e-5, "{d} {wanted}");
        }
    }
}
