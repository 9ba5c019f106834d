//! Simulated scribbles: a line across, the centre line, or a contour inside the target; unsteady, with gaps.

use super::components::mask_of;
use crate::slice::distance::depth_inside;
use crate::slice::grid::SliceGrid;
use crate::volume::SliceMask;
use rand::Rng;
use rand_chacha::ChaCha8Rng;

/// Half the width of the brush as a share of the target's side. Chosen.
const BRUSH: f64 = 0.02;
/// Smallest and largest half width of the brush, pixels. Chosen.
const BRUSH_PIXELS: (f64, f64) = (0.5, 3.0);
/// Amplitude of the unsteady hand, as a share of the target's side. Chosen: 1 to 6 of the 128 pixels of a network's
/// input, which is 1.6 times as large as the target.
const STRAY: (f64, f64) = (1.0 * 1.6 / 128.0, 6.0 * 1.6 / 128.0);
/// Least depth of the drawn pixels of the centre line, as a share of the largest depth: it leaves out branches into
/// corners. Chosen.
const CENTRE_DEPTH: f64 = 0.4;
/// Depth of a contour, as a share of the largest depth. Chosen.
const CONTOUR_DEPTH: (f64, f64) = (0.3, 0.6);
/// Largest share of gaps in a scribble. Chosen.
const GAPS: f64 = 0.5;

/// Course of a scribble.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Course {
    /// Straight, between two pixels well inside.
    Line,
    /// Along the middle.
    CentreLine,
    /// Parallel to the border.
    Contour,
}

/// Draws one scribble inside `part` (not empty). Steady and without gaps when `hand` is `None`. It holds at least one
/// pixel, and none outside `part`.
pub(crate) fn draw(part: &SliceMask, grid: &SliceGrid, course: Course, mut hand: Option<&mut ChaCha8Rng>) -> SliceMask {
    let depth = depth_inside(part, grid);
    let deepest = (0..depth.len()).max_by(|&a, &b| depth[a].total_cmp(&depth[b])).expect("a slice has pixels");
    let fine = grid.row_mm.min(grid.col_mm);
    let side_mm = side_mm(part, grid);
    let radius_mm = (BRUSH * side_mm).clamp(BRUSH_PIXELS.0 * fine, BRUSH_PIXELS.1 * fine);
    let mut thin = thin(part, grid, course, &depth, depth[deepest], hand.as_deref_mut());
    if thin.is_empty() {
        // A square of four pixels has no centre line.
        thin.push(deepest);
    }
    let mut points: Vec<(f64, f64)> =
        thin.into_iter().map(|i| ((i / part.cols) as f64, (i % part.cols) as f64)).collect();
    if let Some(rng) = hand {
        let stray = rng.gen_range(STRAY.0..STRAY.1) * side_mm;
        let waves = [(); 3].map(|()| Waves::new(side_mm, rng));
        let mm = |p: &(f64, f64)| (p.0 * grid.row_mm, p.1 * grid.col_mm);
        // Gaps are where a smooth field is lowest.
        let mut heights: Vec<f64> = points.iter().map(|p| waves[2].at(mm(p))).collect();
        heights.sort_by(f64::total_cmp);
        let level = heights[(rng.gen_range(0.0..GAPS) * heights.len() as f64) as usize];
        points.retain(|p| waves[2].at(mm(p)) >= level);
        for p in &mut points {
            let moved = |w: &Waves| stray * (2.0 * w.at(mm(p)) - 1.0);
            *p = (p.0 + moved(&waves[0]) / grid.row_mm, p.1 + moved(&waves[1]) / grid.col_mm);
        }
    }
    let mut drawn = stamp(&points, radius_mm, part, grid);
    if drawn.area() == 0 {
        drawn.data[deepest] = 1;
    }
    drawn
}

/// Larger side of the mask's box, mm.
pub(crate) fn side_mm(mask: &SliceMask, grid: &SliceGrid) -> f64 {
    let Some(b) = super::components::bounds(mask) else { return 0.0 };
    ((b.bottom - b.top) as f64 * grid.row_mm).max((b.right - b.left) as f64 * grid.col_mm)
}

/// Pixels of the course, one pixel thin.
fn thin(
    part: &SliceMask,
    grid: &SliceGrid,
    course: Course,
    depth: &[f64],
    most: f64,
    rng: Option<&mut ChaCha8Rng>,
) -> Vec<usize> {
    match course {
        Course::Line => line(part, grid, depth, most, rng),
        Course::CentreLine => {
            let skeleton = skeleton(part);
            (0..depth.len()).filter(|&i| skeleton.data[i] != 0 && depth[i] >= CENTRE_DEPTH * most).collect()
        }
        Course::Contour => {
            let share = match rng {
                Some(rng) => rng.gen_range(CONTOUR_DEPTH.0..CONTOUR_DEPTH.1),
                None => (CONTOUR_DEPTH.0 + CONTOUR_DEPTH.1) / 2.0,
            };
            let inner: Vec<usize> = (0..depth.len()).filter(|&i| depth[i] > share * most).collect();
            let inner = depth_inside(&mask_of(&inner, part), grid);
            // Its outermost pixels: one step from outside.
            let step = grid.row_mm.max(grid.col_mm) * 1.01;
            (0..depth.len()).filter(|&i| inner[i] > 0.0 && inner[i] <= step).collect()
        }
    }
}

/// Pixels of a straight line between two pixels that lie well inside: the farthest apart of a few random pairs, or the
/// first and the last in reading order.
fn line(part: &SliceMask, grid: &SliceGrid, depth: &[f64], most: f64, rng: Option<&mut ChaCha8Rng>) -> Vec<usize> {
    let inside: Vec<usize> = (0..depth.len()).filter(|&i| depth[i] >= 0.5 * most && depth[i] > 0.0).collect();
    let position = |i: usize| ((i / part.cols) as f64, (i % part.cols) as f64);
    let apart = |a: usize, b: usize| {
        let (p, q) = (position(a), position(b));
        ((p.0 - q.0) * grid.row_mm).hypot((p.1 - q.1) * grid.col_mm)
    };
    let mut ends = (inside[0], inside[inside.len() - 1]);
    if let Some(rng) = rng {
        ends = (inside[rng.gen_range(0..inside.len())], inside[rng.gen_range(0..inside.len())]);
        for _ in 0..3 {
            let other = (inside[rng.gen_range(0..inside.len())], inside[rng.gen_range(0..inside.len())]);
            if apart(other.0, other.1) > apart(ends.0, ends.1) {
                ends = other;
            }
        }
    }
    let (a, b) = (position(ends.0), position(ends.1));
    let steps = (a.0 - b.0).abs().max((a.1 - b.1).abs()).max(1.0) as usize;
    (0..=steps)
        .map(|k| {
            let t = k as f64 / steps as f64;
            let (r, c) = (a.0 + t * (b.0 - a.0), a.1 + t * (b.1 - a.1));
            r.round() as usize * part.cols + c.round() as usize
        })
        .collect()
}

/// Draws a disc at every point, inside `part`.
fn stamp(points: &[(f64, f64)], radius_mm: f64, part: &SliceMask, grid: &SliceGrid) -> SliceMask {
    let mut drawn = SliceMask::zeros(part.rows, part.cols);
    let (rows, cols) = (part.rows as isize, part.cols as isize);
    let reach = ((radius_mm / grid.row_mm) as isize + 1, (radius_mm / grid.col_mm) as isize + 1);
    for &(row, col) in points {
        let centre = (row.round() as isize, col.round() as isize);
        for r in (centre.0 - reach.0).max(0)..(centre.0 + reach.0 + 1).min(rows) {
            for c in (centre.1 - reach.1).max(0)..(centre.1 + reach.1 + 1).min(cols) {
                let off = ((r as f64 - row) * grid.row_mm).hypot((c as f64 - col) * grid.col_mm);
                if off <= radius_mm || (r, c) == centre {
                    let i = (r * cols + c) as usize;
                    drawn.data[i] = part.data[i];
                }
            }
        }
    }
    drawn
}

/// A smooth random field: a few plane waves, about as long as the target, mapped to 0..1.
struct Waves([(f64, f64, f64); 4]);

impl Waves {
    fn new(side_mm: f64, rng: &mut impl Rng) -> Waves {
        Waves([(); 4].map(|()| {
            let length = side_mm.max(1e-6) * rng.gen_range(0.3..1.2);
            let angle = rng.gen_range(0.0..std::f64::consts::TAU);
            let k = std::f64::consts::TAU / length;
            (k * angle.sin(), k * angle.cos(), rng.gen_range(0.0..std::f64::consts::TAU))
        }))
    }

    fn at(&self, (y, x): (f64, f64)) -> f64 {
        // Four unit waves have a standard deviation of the square root of two.
        let sum: f64 = self.0.iter().map(|w| (w.0 * y + w.1 * x + w.2).sin()).sum();
        1.0 / (1.0 + (-1.2 * sum).exp())
    }
}

/// Thins a mask to lines one pixel wide that keep its parts and holes (Zhang and Suen 1984).
pub(crate) fn skeleton(mask: &SliceMask) -> SliceMask {
    // With a border of one pixel, so that every pixel has eight neighbours.
    let (rows, cols) = (mask.rows + 2, mask.cols + 2);
    let mut on = vec![false; rows * cols];
    let mut alive: Vec<usize> = Vec::new();
    for i in (0..mask.data.len()).filter(|&i| mask.data[i] != 0) {
        let at = (i / mask.cols + 1) * cols + i % mask.cols + 1;
        on[at] = true;
        alive.push(at);
    }
    // Clockwise from above.
    let around = |i: usize| [i - cols, i - cols + 1, i + 1, i + cols + 1, i + cols, i + cols - 1, i - 1, i - cols - 1];
    loop {
        let mut changed = false;
        for odd in [true, false] {
            let removable = |&i: &usize| {
                let p = around(i).map(|j| on[j]);
                let count = p.iter().filter(|&&v| v).count();
                let rises = (0..8).filter(|&k| !p[k] && p[(k + 1) % 8]).count();
                let (up, right, down, left) = (p[0], p[2], p[4], p[6]);
                let side = if odd { !(right && down && (up || left)) } else { !(up && left && (right || down)) };
                (2..=6).contains(&count) && rises == 1 && side
            };
            let gone: Vec<usize> = alive.iter().copied().filter(|i| removable(i)).collect();
            changed |= !gone.is_empty();
            gone.iter().for_each(|&i| on[i] = false);
            alive.retain(|&i| on[i]);
        }
        if !changed {
            break;
        }
    }
    let pixels: Vec<usize> = alive.iter().map(|i| (i / cols - 1) * mask.cols + i % cols - 1).collect();
    mask_of(&pixels, mask)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::components::components;
    use rand::SeedableRng;

    fn bar(rows: std::ops::Range<usize>, cols: std::ops::Range<usize>) -> SliceMask {
        let mut mask = SliceMask::zeros(40, 60);
        rows.for_each(|r| mask.data[r * 60..(r + 1) * 60][cols.clone()].fill(1));
        mask
    }

    const GRID: SliceGrid = SliceGrid { rows: 40, cols: 60, row_mm: 1.0, col_mm: 1.0 };

    #[test]
    fn the_skeleton_of_a_bar_is_its_middle() {
        let s = skeleton(&bar(10..15, 5..45));
        assert!((20..30).all(|c| s.data[12 * 60 + c] == 1), "the middle row is kept");
        assert_eq!(s.data.iter().enumerate().filter(|(i, v)| **v == 1 && (15..35).contains(&(i % 60))).count(), 20);
        assert_eq!(components(&s).len(), 1);
    }

    #[test]
    fn a_steady_centre_line_runs_through_the_middle() {
        let mask = bar(10..15, 5..45);
        let drawn = draw(&mask, &GRID, Course::CentreLine, None);
        // Half width 0.02 * 40 mm = 0.8 mm: the pixels beside the line, 1 mm away, are not reached.
        assert_eq!((20..30).filter(|c| drawn.data[12 * 60 + c] == 1).count(), 10);
        assert_eq!(drawn.data[11 * 60 + 25] + drawn.data[13 * 60 + 25], 0);
    }

    #[test]
    fn a_steady_contour_keeps_its_distance() {
        let mask = bar(5..35, 10..50);
        let drawn = draw(&mask, &GRID, Course::Contour, None);
        let depth = depth_inside(&mask, &GRID);
        let depths: Vec<f64> = (0..depth.len()).filter(|&i| drawn.data[i] != 0).map(|i| depth[i]).collect();
        // The middle is 15 mm deep; 45 % of it are 6.75 mm, so the first pixels inside are 7 mm deep.
        assert!(depths.iter().all(|&d| (6.0..=8.0).contains(&d)), "{depths:?}");
        assert!(depths.len() > 60);
    }

    #[test]
    fn an_unsteady_scribble_stays_inside_and_differs_by_seed() {
        let mask = bar(5..35, 10..50);
        let mut seen = std::collections::HashSet::new();
        for seed in 0..60 {
            for course in [Course::Line, Course::CentreLine, Course::Contour] {
                let mut rng = ChaCha8Rng::seed_from_u64(seed);
                let drawn = draw(&mask, &GRID, course, Some(&mut rng));
                assert!(drawn.area() >= 1);
                assert!(drawn.data.iter().zip(&mask.data).all(|(d, m)| d <= m));
                seen.insert(drawn.data);
            }
        }
        assert!(seen.len() > 150, "{}", seen.len());
    }

    #[test]
    fn the_smallest_parts_can_be_scribbled_on() {
        for (mask, areas) in [(bar(7..8, 9..10), 1..=1), (bar(7..9, 9..11), 1..=4), (bar(7..9, 9..12), 1..=6)] {
            for course in [Course::Line, Course::CentreLine, Course::Contour] {
                let mut rng = ChaCha8Rng::seed_from_u64(3);
                for drawn in [draw(&mask, &GRID, course, Some(&mut rng)), draw(&mask, &GRID, course, None)] {
                    assert!(areas.contains(&drawn.area()), "{course:?}");
                    assert!(drawn.data.iter().zip(&mask.data).all(|(d, m)| d <= m));
                }
            }
        }
    }
}
