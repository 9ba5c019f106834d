//! Grown region: geodesic distances from what is drawn inside and outside, along paths that avoid edges (Bai and
//! Sapiro, "A geodesic framework for fast interactive image and video segmentation", 2007; as inputs of a network: Wang
//! et al., "DeepIGeoS", 2018). The interaction network's output is a residual over it.
//!
//! value = (g_out - g_in) / (g_out + g_in + 2), in -1..1. A path costs 1.5 for each pixel and (difference of intensity
//! / noise)², at most 40, for each step; the noise is half the median difference of neighbours. Everything is computed
//! at half resolution, on the CPU. A path starts with this cost:
//!
//! | seed | inside | outside |
//! |---|---|---|
//! | positive stroke, click, extreme point | 0 | |
//! | negative stroke or click | | 0 |
//! | box | 3 in its middle ellipse, unless there is a previous mask | 0 around it |
//! | previous mask with probability p | 3 + 10 (1 - abs(2p - 1)) where p > 0.5 | the same elsewhere |
//! | neither box nor previous mask | | 4 at the border of the region |

use crate::nn::layers::size2;
use tch::{Device, Kind, Tensor};

/// Cost of one pixel, besides edges. This and the constants below are chosen.
const STEP: f32 = 1.5;
/// Noise over the median difference of neighbours.
const EDGE: f32 = 0.5;
/// Least noise, for intensities 0..1.
const LEAST_NOISE: f32 = 1e-3;
/// Largest cost of an edge.
const LARGEST_EDGE: f32 = 40.0;
/// First cost of a path from an uncertain seed.
const UNCERTAIN: f32 = 3.0;
/// First cost of a path from the border of the region.
const BORDER: f32 = 4.0;
/// Further cost where the previous mask has a probability of 0.5.
const UNDECIDED: f32 = 10.0;
/// Axes of a box's middle ellipse over its sides.
const MIDDLE: f32 = 0.4;
/// Guidance above this marks a drawn pixel.
const DRAWN: f32 = 0.9;
/// Summand of the denominator: short paths on both sides leave a pixel undecided.
const DISTANCE: f32 = 2.0;
/// Raster scans of the whole slice, each forth and back.
const SWEEPS: usize = 3;

/// Previous probability and guidance maps, all `[N, 1, H, W]`; see [`crate::nn::networks::InteractionInput`].
pub(crate) struct Drawing<'a> {
    pub previous: &'a Tensor,
    pub positive: &'a Tensor,
    pub negative: &'a Tensor,
    pub boxes: &'a Tensor,
}

/// The grown region, -1 outside..1 inside.
///
/// # Shapes
/// `intensity`: `[N, 1, H, W]`, 0..1 / `[N, 1, H / 2, W / 2]`, f32.
pub(crate) fn grown_region(intensity: &Tensor, drawing: &Drawing) -> Tensor {
    let on_cpu = |t: &Tensor| t.to_kind(Kind::Float).to_device(Device::Cpu);
    let mean = |t: &Tensor| on_cpu(t).avg_pool2d([2, 2], [2, 2], [0, 0], false, true, None::<i64>);
    // Strokes are thin: the maximum keeps those of one pixel.
    let maximum = |t: &Tensor| on_cpu(t).max_pool2d([2, 2], [2, 2], [0, 0], [1, 1], false);
    let x = mean(intensity);
    let [rows, cols] = size2(&x).map(|n| n as usize);
    let count = x.size()[0];
    let maps = [
        x.shallow_clone(),
        mean(drawing.previous),
        maximum(drawing.positive),
        maximum(drawing.negative),
        mean(drawing.boxes),
    ];
    let parts: Vec<Tensor> = (0..count)
        .map(|n| {
            let [x, previous, positive, negative, boxes] = maps.each_ref().map(|t| values(&t.get(n)));
            let seeds = Seeds::new(&Pixels { previous, positive, negative, boxes, rows, cols });
            let region = nearest_side(&x, seeds, rows, cols);
            Tensor::from_slice(&region).view([1, 1, rows as i64, cols as i64])
        })
        .collect();
    Tensor::cat(&parts, 0).to_device(intensity.device())
}

fn values(t: &Tensor) -> Vec<f32> {
    Vec::try_from(t.contiguous().view([-1])).expect("a flat f32 tensor")
}

/// One slice's drawing, row by row.
struct Pixels {
    previous: Vec<f32>,
    positive: Vec<f32>,
    negative: Vec<f32>,
    boxes: Vec<f32>,
    rows: usize,
    cols: usize,
}

/// First costs of paths inside and outside at each pixel; infinite where no path starts.
struct Seeds {
    inside: Vec<f32>,
    outside: Vec<f32>,
}

impl Seeds {
    fn new(pixels: &Pixels) -> Seeds {
        let Pixels { previous, positive, negative, boxes, rows, cols } = pixels;
        let (rows, cols) = (*rows, *cols);
        let n = rows * cols;
        let mut seeds = Seeds { inside: vec![f32::INFINITY; n], outside: vec![f32::INFINITY; n] };
        let least = |at: &mut f32, v: f32| *at = at.min(v);
        // Without a previous mask the probability is 0.5 everywhere.
        let known = previous.iter().any(|p| (p - 0.5).abs() > 0.05);
        if known {
            for i in 0..n {
                let signed = 2.0 * previous[i] - 1.0;
                let side = if signed > 0.0 { &mut seeds.inside } else { &mut seeds.outside };
                least(&mut side[i], UNCERTAIN + UNDECIDED * (1.0 - signed.abs()));
            }
        }
        let boxed: Vec<usize> = (0..n).filter(|&i| boxes[i] > 0.5).collect();
        if let Some(extent) = extent(&boxed, cols) {
            for (i, &within) in boxes.iter().enumerate() {
                if within < 0.5 {
                    seeds.outside[i] = 0.0;
                } else if middle(extent, i / cols, i % cols) && !known {
                    least(&mut seeds.inside[i], UNCERTAIN);
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

/// The grown region from intensities and seeds.
fn nearest_side(x: &[f32], seeds: Seeds, rows: usize, cols: usize) -> Vec<f32> {
    let right = (0..x.len()).filter(|i| (i + 1) % cols != 0).map(|i| (x[i] - x[i + 1]).abs());
    let below = (0..x.len() - cols).map(|i| (x[i] - x[i + cols]).abs());
    let mut differences: Vec<f32> = right.chain(below).collect();
    let middle = differences.len() / 2;
    let noise = match differences.is_empty() {
        true => LEAST_NOISE,
        false => (EDGE * *differences.select_nth_unstable_by(middle, f32::total_cmp).1).max(LEAST_NOISE),
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

/// Costs of the cheapest paths from the seeds to all pixels, by raster scans.
fn spread(x: &[f32], mut distance: Vec<f32>, noise: f32, rows: usize, cols: usize) -> Vec<f32> {
    let cost = |i: usize, j: usize, length: f32| {
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
                let mut relax = |j: usize, length: f32| best = best.min(distance[j] + cost(i, j, length));
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
    fn a_stroke_fills_the_region_within_edges() {
        let image = map(&|r, c| if square(r, c) { 0.8 } else { 0.2 });
        let (nothing, unknown) = (map(&|_, _| 0.0), map(&|_, _| 0.5));
        let stroke = map(&|r, c| f32::from(r == 12 && (10..14).contains(&c)));
        let drawing = Drawing { previous: &unknown, positive: &stroke, negative: &nothing, boxes: &nothing };
        check(&grown_region(&image, &drawing), &square);
        // A box around it has the same result.
        let boxes = map(&|r, c| f32::from((6..26).contains(&r) && (6..26).contains(&c)));
        let drawing = Drawing { previous: &unknown, positive: &nothing, negative: &nothing, boxes: &boxes };
        check(&grown_region(&image, &drawing), &square);
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
        let result = grown_region(&image, &drawing);
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
