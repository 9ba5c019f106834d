//! Interactions: what the user draws on a slice. Their rules, their extent, and the pixels that they fix.

use crate::error::{Error, Result};
use crate::nn::InteractionKind;
use crate::slice::grid::SliceGrid;
use crate::slice::region::PixelBox;
use crate::volume::{SliceAxis, SliceMask};
use serde::{Deserialize, Serialize};

/// Largest segment number: label files hold 16 bits.
pub const MAX_SEGMENT: u32 = 65_535;
/// Largest radius of a scribble, mm. Chosen: far more than the extent of any volume.
const MAX_RADIUS_MM: f64 = 1e4;
/// Radius of a scribble without one, in pixels. Chosen.
const DEFAULT_RADIUS: f64 = 1.5;

/// One scribble, set of clicks, set of extreme points or box on one slice.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Interaction {
    /// Number of the segment, 1 to 65535.
    pub segment: u32,
    /// Axis along which the slice is cut.
    pub axis: SliceAxis,
    /// Slice number along `axis`.
    pub slice: usize,
    /// Kind of interaction.
    pub kind: InteractionKind,
    /// Inside the target (true) or outside (false; scribbles and clicks only).
    pub positive: bool,
    /// Points or pixels.
    pub stroke: Stroke,
}

/// Points or pixels of an interaction.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Stroke {
    /// Continuous voxel indices `[depth, height, width]`, all on the slice. A scribble is the line through them,
    /// a box has two opposite corners, extreme points are four or more, clicks are one or more.
    Points {
        /// The points.
        points: Vec<[f64; 3]>,
        /// Half the width of a scribble, mm; 0 for the default of one and a half pixels.
        radius_mm: f64,
    },
    /// Pixels covered by the brush; scribbles only.
    Raster(SliceMask),
}

/// Checks a segment number.
///
/// # Errors
/// [`Error::InvalidArgument`] unless it is 1 to [`MAX_SEGMENT`].
pub fn check_segment(segment: u32) -> Result<()> {
    if segment == 0 || segment > MAX_SEGMENT {
        return Err(Error::argument(format!(
            "segment is {segment}; segments are numbered 1 to {MAX_SEGMENT} (0 is the background)"
        )));
    }
    Ok(())
}

impl Interaction {
    /// Checks the interaction's numbers and points against the slices along its axis.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`], naming the broken rule.
    pub(crate) fn check(&self, grid: &SliceGrid, slice_count: usize) -> Result<()> {
        check_segment(self.segment)?;
        check_slice(self.slice, self.axis, slice_count)?;
        match &self.stroke {
            Stroke::Raster(mask) => {
                if self.kind != InteractionKind::Scribble {
                    return Err(Error::argument("only a scribble can be given as a raster; give points instead"));
                }
                check_mask(mask, grid)?;
                if mask.area() == 0 {
                    return Err(Error::argument("the scribble is empty; draw at least one pixel"));
                }
            }
            Stroke::Points { points, radius_mm } => self.check_points(points, *radius_mm, grid)?,
        }
        if !self.positive && matches!(self.kind, InteractionKind::Box | InteractionKind::ExtremePoints) {
            return Err(Error::argument(
                "a box and extreme points always mark the target; use a negative scribble or click to remove something",
            ));
        }
        Ok(())
    }

    /// Checks the radius, and that all points lie on the slice.
    fn check_points(&self, points: &[[f64; 3]], radius_mm: f64, grid: &SliceGrid) -> Result<()> {
        if !(radius_mm.is_finite() && (0.0..=MAX_RADIUS_MM).contains(&radius_mm)) {
            return Err(Error::argument(format!("the scribble's radius is {radius_mm} mm; use 0 to 10000")));
        }
        let (row_axis, col_axis) = self.axis.in_plane();
        let along = self.axis.index();
        for (i, p) in points.iter().enumerate() {
            let inside = |x: f64, n: usize| x >= -0.5 && x <= n as f64 - 0.5;
            if !(inside(p[row_axis], grid.rows) && inside(p[col_axis], grid.cols)) {
                return Err(Error::argument(format!(
                    "point {i} {p:?} [depth, height, width] lies outside the volume; slices along axis {along} have {} \
                     rows and {} columns",
                    grid.rows, grid.cols
                )));
            }
            let off = (p[along] - self.slice as f64).abs();
            if off.is_nan() || off > 0.5 {
                return Err(Error::argument(format!(
                    "point {i} {p:?} does not lie on slice {} along axis {along}; draw all points on one slice",
                    self.slice
                )));
            }
        }
        self.check_count(points)
    }

    /// Checks the number of points, and that a box has an area.
    fn check_count(&self, points: &[[f64; 3]]) -> Result<()> {
        let (row_axis, col_axis) = self.axis.in_plane();
        let count = points.len();
        match self.kind {
            InteractionKind::Scribble if count == 0 => {
                Err(Error::argument("the scribble is empty; give at least one point"))
            }
            InteractionKind::Click if count == 0 => Err(Error::argument("there is no click; give at least one point")),
            InteractionKind::Box if count != 2 => {
                Err(Error::argument(format!("a box has two opposite corners, but {count} points were given")))
            }
            InteractionKind::Box => {
                let size = |axis: usize| (points[0][axis] - points[1][axis]).abs();
                if size(row_axis) < 0.5 || size(col_axis) < 0.5 {
                    return Err(Error::argument("the box has no area; drag it over the target"));
                }
                Ok(())
            }
            InteractionKind::ExtremePoints if count < 4 => Err(Error::argument(format!(
                "extreme points are the top, bottom, left- and right-most points of the target: four, but {count} were \
                 given"
            ))),
            _ => Ok(()),
        }
    }

    /// In-plane points (row, column).
    pub(crate) fn in_plane(&self) -> Vec<(f64, f64)> {
        let (r, c) = self.axis.in_plane();
        match &self.stroke {
            Stroke::Points { points, .. } => points.iter().map(|p| (p[r], p[c])).collect(),
            Stroke::Raster(_) => Vec::new(),
        }
    }

    /// In-plane points, mm (row, column).
    pub(crate) fn line_mm(&self, grid: &SliceGrid) -> Vec<(f64, f64)> {
        self.in_plane().iter().map(|p| (p.0 * grid.row_mm, p.1 * grid.col_mm)).collect()
    }

    /// Half the width of a scribble, mm.
    pub(crate) fn radius_mm(&self, grid: &SliceGrid) -> f64 {
        match self.stroke {
            Stroke::Points { radius_mm, .. } if radius_mm > 0.0 => radius_mm,
            _ => DEFAULT_RADIUS * grid.row_mm.min(grid.col_mm),
        }
    }

    /// The box around the interaction, pixels.
    pub(crate) fn extent(&self, grid: &SliceGrid) -> PixelBox {
        if let Stroke::Raster(mask) = &self.stroke {
            return crate::slice::plane::bounds(&mask.data, mask.cols, 1).expect("checked not to be empty");
        }
        let points = self.in_plane();
        let range = |of: &dyn Fn(&(f64, f64)) -> f64, n: usize| {
            let low = points.iter().map(of).fold(f64::INFINITY, f64::min);
            let high = points.iter().map(of).fold(f64::NEG_INFINITY, f64::max);
            let low = (low.round().max(0.0) as usize).min(n - 1);
            (low, (high.round().max(0.0) as usize).min(n - 1) + 1)
        };
        let (top, bottom) = range(&|p| p.0, grid.rows);
        let (left, right) = range(&|p| p.1, grid.cols);
        PixelBox { top, left, bottom, right }
    }

    /// The pixels that the interaction fixes, inside the mask or, if it is negative, outside: those under a scribble or
    /// click.
    pub(crate) fn fixed_pixels(&self, grid: &SliceGrid) -> Vec<usize> {
        let (rows, cols) = (grid.rows, grid.cols);
        match (&self.stroke, self.kind) {
            (Stroke::Raster(mask), _) => (0..mask.data.len()).filter(|&i| mask.data[i] != 0).collect(),
            (Stroke::Points { .. }, InteractionKind::Scribble) => {
                let map = StrokeGrid { rows, cols, first: (0.0, 0.0), pitch: (grid.row_mm, grid.col_mm) };
                let mut pixels = Vec::new();
                map.visit(&self.line_mm(grid), self.radius_mm(grid), |i| pixels.push(i));
                pixels.sort_unstable();
                pixels
            }
            (Stroke::Points { .. }, InteractionKind::Click) => self
                .in_plane()
                .iter()
                .map(|p| {
                    let pixel = |x: f64, n: usize| (x.round().max(0.0) as usize).min(n - 1);
                    pixel(p.0, rows) * cols + pixel(p.1, cols)
                })
                .collect(),
            _ => Vec::new(),
        }
    }
}

/// Checks a slice number.
pub(crate) fn check_slice(slice: usize, axis: SliceAxis, slice_count: usize) -> Result<()> {
    if slice >= slice_count {
        return Err(Error::argument(format!(
            "slice {slice} is out of range; the volume has slices 0 to {} along axis {}",
            slice_count - 1,
            axis.index()
        )));
    }
    Ok(())
}

/// Checks the size of a slice's mask.
pub(crate) fn check_mask(mask: &SliceMask, grid: &SliceGrid) -> Result<()> {
    if (mask.rows, mask.cols) != (grid.rows, grid.cols) || mask.data.len() != grid.rows * grid.cols {
        return Err(Error::argument(format!(
            "the mask has {} rows and {} columns, but slices along this axis have {} rows and {} columns",
            mask.rows, mask.cols, grid.rows, grid.cols
        )));
    }
    Ok(())
}

/// A grid of pixels on a slice, in millimetres.
pub(crate) struct StrokeGrid {
    pub rows: usize,
    pub cols: usize,
    /// Centre of pixel (0, 0), mm.
    pub first: (f64, f64),
    /// Distance of neighbouring pixels, mm.
    pub pitch: (f64, f64),
}

impl StrokeGrid {
    /// Visits once every pixel whose centre lies within `radius` mm of the line, or within half a diagonal of a pixel
    /// where both axes are measured in pixels, and those nearest to its points: a stroke thinner than a pixel has no
    /// gaps. Time grows with the points times the rows that a part of the line crosses, not with the area that it
    /// covers again and again.
    pub fn visit(&self, line: &[(f64, f64)], radius: f64, mut visit: impl FnMut(usize)) {
        let mut unseen = Unseen::new(self.rows, self.cols);
        // The same pixels as squares, with columns as far apart as rows.
        let stretch = self.pitch.0 / self.pitch.1;
        let stretched = |p: (f64, f64)| (p.0, p.1 * stretch);
        let squares = StrokeGrid { first: stretched(self.first), pitch: stretched(self.pitch), ..*self };
        let half_diagonal = 0.5 * self.pitch.0.hypot(self.pitch.0);
        // Half diagonals along the two axes, mm: with a radius below or above both, one measure includes the other.
        let (low, high) = (half_diagonal.min(half_diagonal / stretch), half_diagonal.max(half_diagonal / stretch));
        let single = [line[0], line[0]];
        let parts: &[(f64, f64)] = if line.len() == 1 { &single } else { line };
        for pair in parts.windows(2) {
            let (a, b) = (pair[0], pair[1]);
            let nearest = |p: (f64, f64)| {
                let r = ((p.0 - self.first.0) / self.pitch.0).round();
                let c = ((p.1 - self.first.1) / self.pitch.1).round();
                let inside = r >= 0.0 && c >= 0.0 && r < self.rows as f64 && c < self.cols as f64;
                inside.then_some((r as usize, c as usize))
            };
            for (r, c) in [a, b].into_iter().filter_map(nearest) {
                if unseen.first(r, c) == c {
                    unseen.remove(r, c);
                    visit(r * self.cols + c);
                }
            }
            if radius <= high {
                squares.near(stretched(a), stretched(b), half_diagonal, &mut unseen, &mut visit);
            }
            if radius > low {
                self.near(a, b, radius, &mut unseen, &mut visit);
            }
        }
    }

    /// Visits the unseen pixels whose centres lie within `reach` mm of the line from `a` to `b`.
    fn near(&self, a: (f64, f64), b: (f64, f64), reach: f64, unseen: &mut Unseen, visit: &mut impl FnMut(usize)) {
        let span = |low: f64, high: f64, first: f64, pitch: f64, n: usize| {
            let from = ((low - reach - first) / pitch).ceil().max(0.0) as usize;
            let to = ((high + reach - first) / pitch).floor() + 1.0;
            from..(to.max(0.0) as usize).min(n)
        };
        let d = (b.0 - a.0, b.1 - a.1);
        let length2 = d.0 * d.0 + d.1 * d.1;
        for r in span(a.0.min(b.0), a.0.max(b.0), self.first.0, self.pitch.0, self.rows) {
            let row = self.first.0 + r as f64 * self.pitch.0;
            // Columns of the part of the line that is within reach of the row, and one more on either side against
            // rounding.
            let (low, high) = if d.0 == 0.0 {
                (a.1.min(b.1), a.1.max(b.1))
            } else {
                let column = |mm: f64| a.1 + ((mm - a.0) / d.0).clamp(0.0, 1.0) * d.1;
                let (one, other) = (column(row - reach), column(row + reach));
                (one.min(other), one.max(other))
            };
            let within = |c: usize| {
                let v = (row - a.0, self.first.1 + c as f64 * self.pitch.1 - a.1);
                let t = if length2 > 0.0 { ((v.0 * d.0 + v.1 * d.1) / length2).clamp(0.0, 1.0) } else { 0.0 };
                (v.0 - t * d.0).hypot(v.1 - t * d.1) <= reach
            };
            let columns = span(low - self.pitch.1, high + self.pitch.1, self.first.1, self.pitch.1, self.cols);
            let mut c = unseen.first(r, columns.start.min(self.cols));
            while c < columns.end {
                if within(c) {
                    unseen.remove(r, c);
                    visit(r * self.cols + c);
                }
                c = unseen.first(r, c + 1);
            }
        }
    }
}

/// The pixels that were not visited yet, by row.
struct Unseen {
    /// For each column, one at or after it that leads to the next unseen one; the last stands for the end of the row.
    next: Vec<u32>,
    /// Entries of a row.
    entries: usize,
}

impl Unseen {
    fn new(rows: usize, cols: usize) -> Unseen {
        let row = 0..=cols as u32;
        Unseen { next: (0..rows).flat_map(|_| row.clone()).collect(), entries: cols + 1 }
    }

    /// The first unseen column from `c` on; the number of columns where there is none.
    fn first(&mut self, r: usize, mut c: usize) -> usize {
        let row = &mut self.next[r * self.entries..(r + 1) * self.entries];
        while row[c] as usize != c {
            // Later searches take half of the steps.
            row[c] = row[row[c] as usize];
            c = row[c] as usize;
        }
        c
    }

    fn remove(&mut self, r: usize, c: usize) {
        self.next[r * self.entries + c] = c as u32 + 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GRID: SliceGrid = SliceGrid { rows: 10, cols: 12, row_mm: 1.0, col_mm: 1.0 };

    fn points(kind: InteractionKind, points: &[[f64; 3]]) -> Interaction {
        Interaction {
            segment: 1,
            axis: SliceAxis::Depth,
            slice: 3,
            kind,
            positive: true,
            stroke: Stroke::Points { points: points.to_vec(), radius_mm: 0.0 },
        }
    }

    fn refusal(i: &Interaction) -> String {
        i.check(&GRID, 5).unwrap_err().to_string()
    }

    #[test]
    fn every_rule_is_checked() {
        use InteractionKind::*;
        let good = points(Scribble, &[[3.0, 1.0, 1.0], [3.0, 8.0, 11.4]]);
        good.check(&GRID, 5).unwrap();
        assert!(refusal(&Interaction { segment: 0, ..good.clone() }).contains("background"));
        assert!(refusal(&Interaction { segment: 70_000, ..good.clone() }).contains("65535"));
        assert!(refusal(&Interaction { slice: 5, ..good.clone() }).contains("out of range"));
        assert!(refusal(&points(Scribble, &[])).contains("empty"));
        assert!(refusal(&points(Click, &[])).contains("no click"));
        assert!(refusal(&points(Click, &[[3.0, 10.0, 2.0]])).contains("outside"));
        assert!(refusal(&points(Click, &[[3.0, f64::NAN, 2.0]])).contains("outside"));
        assert!(refusal(&points(Click, &[[4.0, 1.0, 2.0]])).contains("does not lie on slice 3"));
        assert!(refusal(&points(Box, &[[3.0, 1.0, 1.0], [3.0, 1.2, 9.0]])).contains("no area"));
        assert!(refusal(&points(Box, &[[3.0, 1.0, 1.0]])).contains("two opposite corners"));
        let three = points(ExtremePoints, &[[3.0, 1.0, 1.0]; 3]);
        assert!(refusal(&three).contains("four, but 3"));
        let negative = Interaction { positive: false, ..points(Box, &[[3.0, 1.0, 1.0], [3.0, 5.0, 9.0]]) };
        assert!(refusal(&negative).contains("always mark the target"));
        let raster = |mask| Interaction { stroke: Stroke::Raster(mask), ..good.clone() };
        assert!(refusal(&raster(SliceMask::zeros(10, 12))).contains("empty"));
        assert!(refusal(&raster(SliceMask::zeros(12, 10))).contains("12 rows"));
        let wide = Stroke::Points { points: vec![[3.0, 1.0, 1.0]], radius_mm: -1.0 };
        assert!(refusal(&Interaction { stroke: wide, ..good }).contains("radius"));
    }

    #[test]
    fn the_extent_holds_every_point() {
        let b = points(InteractionKind::Scribble, &[[3.0, 1.2, 7.0], [3.0, 6.0, 2.0]]).extent(&GRID);
        assert_eq!(b, PixelBox { top: 1, left: 2, bottom: 7, right: 8 });
    }

    #[test]
    fn a_scribble_fixes_the_pixels_under_it() {
        let line = Stroke::Points { points: vec![[3.0, 2.0, 3.0], [3.0, 2.0, 5.0]], radius_mm: 1.0 };
        let i = Interaction { stroke: line, ..points(InteractionKind::Scribble, &[]) };
        let pixels = i.fixed_pixels(&GRID);
        // Rows 1 to 3 under columns 3 to 5, and one pixel beyond each end of the line.
        let expected = [15, 16, 17, 26, 27, 28, 29, 30, 39, 40, 41];
        assert_eq!(pixels, expected);
        assert_eq!(points(InteractionKind::Click, &[[3.0, 2.4, 3.4]]).fixed_pixels(&GRID), [27]);
        assert!(points(InteractionKind::Box, &[[3.0, 1.0, 1.0], [3.0, 5.0, 9.0]]).fixed_pixels(&GRID).is_empty());
    }

    #[test]
    fn a_thin_diagonal_has_no_gaps() {
        let line = Stroke::Points { points: vec![[3.0, 0.0, 0.0], [3.0, 6.0, 6.0]], radius_mm: 0.01 };
        let i = Interaction { stroke: line, ..points(InteractionKind::Scribble, &[]) };
        let pixels = i.fixed_pixels(&GRID);
        assert!((0..=6).all(|k| pixels.contains(&(k * 12 + k))));
    }

    #[test]
    fn a_thin_line_is_one_pixel_wide_where_rows_and_columns_differ() {
        // A coronal slice with thick axial ones.
        let grid = SliceGrid { rows: 5, cols: 30, row_mm: 5.0, col_mm: 0.5 };
        let fixed = |line: &[[f64; 3]], radius_mm: f64| {
            let stroke = Stroke::Points { points: line.to_vec(), radius_mm };
            let i = Interaction { axis: SliceAxis::Height, stroke, ..points(InteractionKind::Scribble, &[]) };
            i.check(&grid, 5).unwrap();
            i.fixed_pixels(&grid)
        };
        // Column 12 of every row.
        assert_eq!(fixed(&[[0.0, 3.0, 12.0], [4.0, 3.0, 12.0]], 0.25), [12, 42, 72, 102, 132]);
        // 1 mm is two columns, and no other row.
        assert_eq!(fixed(&[[2.0, 3.0, 12.0], [2.0, 3.0, 13.0]], 1.0), [70, 71, 72, 73, 74, 75]);
        // A diagonal without gaps: a pixel or two of every column.
        let diagonal = fixed(&[[0.0, 3.0, 0.0], [4.0, 3.0, 28.0]], 0.25);
        let in_column = |c: usize| diagonal.iter().filter(|&&i| i % 30 == c).count();
        assert!((0..=28).all(|c| (1..=2).contains(&in_column(c))), "{diagonal:?}");
    }

    #[test]
    fn each_pixel_within_the_radius_is_visited_once() {
        let grid = StrokeGrid { rows: 40, cols: 50, first: (-3.0, 2.0), pitch: (0.7, 1.1) };
        // A line that crosses itself, leaves the grid, stands still, and runs along rows and columns.
        let line = [
            (0.0, 5.0),
            (20.0, 50.0),
            (20.0, 50.0),
            (1.0, 50.0),
            (13.3, 4.4),
            (13.3, 80.0),
            (-9.0, -9.0),
            (3.0, 30.2),
            (3.0 + 1e-9, 60.0),
        ];
        let off = |p: (f64, f64), a: (f64, f64), b: (f64, f64)| {
            let (d, v) = ((b.0 - a.0, b.1 - a.1), (p.0 - a.0, p.1 - a.1));
            let length2 = d.0 * d.0 + d.1 * d.1;
            let t = if length2 > 0.0 { ((v.0 * d.0 + v.1 * d.1) / length2).clamp(0.0, 1.0) } else { 0.0 };
            (v.0 - t * d.0).hypot(v.1 - t * d.1)
        };
        for radius in [0.0, 0.65, 1.5, 9.0] {
            let mut visited = vec![0; 2000];
            grid.visit(&line, radius, |i| visited[i] += 1);
            let in_pixels = |p: (f64, f64)| (p.0 / 0.7, p.1 / 1.1);
            let mut nearest = [0; 2000];
            for p in line {
                let (r, c) = (((p.0 + 3.0) / 0.7).round(), ((p.1 - 2.0) / 1.1).round());
                if (0.0..40.0).contains(&r) && (0.0..50.0).contains(&c) {
                    nearest[r as usize * 50 + c as usize] = 1;
                }
            }
            for (i, times) in visited.into_iter().enumerate() {
                let centre = ((i / 50) as f64 * 0.7 - 3.0, (i % 50) as f64 * 1.1 + 2.0);
                let is_near = line.windows(2).any(|p| {
                    let pixels_off = off(in_pixels(centre), in_pixels(p[0]), in_pixels(p[1]));
                    off(centre, p[0], p[1]) <= radius || pixels_off <= 0.5f64.sqrt()
                });
                assert_eq!(times, i32::from(is_near).max(nearest[i]), "radius {radius}, pixel {i}");
            }
        }
    }
}
