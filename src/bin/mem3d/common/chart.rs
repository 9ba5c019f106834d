//! Line charts and scatter plots as PNG.

use crate::overview::canvas::{Align, Canvas, Frame, Point, Rgba, TextStyle};
use mem3d::Result;
use std::path::Path;

/// Colours distinguishable with colour blindness (the palette of Okabe and Ito, 2008).
pub const COLORS: [Rgba; 8] = [
    [0, 114, 178, 255],
    [213, 94, 0, 255],
    [0, 158, 115, 255],
    [204, 121, 167, 255],
    [230, 159, 0, 255],
    [86, 180, 233, 255],
    [90, 90, 90, 255],
    [180, 160, 0, 255],
];

// Greys. Chosen.
const WHITE: Rgba = [255, 255, 255, 255];
const INK: Rgba = [40, 40, 40, 255];
const PALE: Rgba = [225, 225, 225, 255];
/// Width (without legend) and height of one chart, pixels. Chosen.
const SIZE: (f32, f32) = (560.0, 440.0);
/// Space around the axes: left, top, right, bottom, pixels. Chosen.
const MARGINS: (f32, f32, f32, f32) = (70.0, 44.0, 20.0, 56.0);

/// One line or cloud of points.
#[derive(Debug, Clone)]
pub struct Series {
    /// Shown in the legend.
    pub name: String,
    /// x, y.
    pub points: Vec<(f64, f64)>,
    /// Colour.
    pub color: Rgba,
    /// Joined by a line, with a dot on each point; else dots alone.
    pub line: bool,
}

/// One pair of axes.
#[derive(Debug, Clone)]
pub struct Chart {
    /// Above it.
    pub title: String,
    /// Below it.
    pub x_label: String,
    /// Beside it.
    pub y_label: String,
    /// Ends of the x axis; `None`: those of the data.
    pub x_range: Option<(f64, f64)>,
    /// Whether x counts something, so that only whole numbers are marked.
    pub x_counts: bool,
    /// Ends of the y axis; `None`: those of the data.
    pub y_range: Option<(f64, f64)>,
    /// Series in drawing order, the last on top.
    pub series: Vec<Series>,
}

/// Draws charts side by side.
///
/// # Errors
/// [`mem3d::Error::Io`] when the picture cannot be written.
pub fn write(path: &Path, charts: &[Chart]) -> Result<()> {
    // A canvas to measure text with.
    let measure = Canvas::new(1, 1, WHITE)?;
    let legends: Vec<f32> = charts.iter().map(|c| legend_width(&measure, c)).collect();
    let width = SIZE.0 * charts.len() as f32 + legends.iter().sum::<f32>();
    let mut canvas = Canvas::new(width.ceil() as u32, SIZE.1 as u32, WHITE)?;
    let mut x = 0.0;
    for (chart, legend) in charts.iter().zip(legends) {
        draw(&mut canvas, chart, Frame { x, y: 0.0, w: SIZE.0, h: SIZE.1 });
        x += SIZE.0 + legend;
    }
    canvas.write(path)
}

/// An axis: values from `low` to `high` on pixels from `from` to `to`.
struct Axis {
    low: f64,
    high: f64,
    from: f32,
    to: f32,
}

impl Axis {
    fn new(given: Option<(f64, f64)>, values: impl Iterator<Item = f64> + Clone, from: f32, to: f32) -> Axis {
        let ends = || {
            let low = values.clone().fold(f64::INFINITY, f64::min);
            let high = values.clone().fold(f64::NEG_INFINITY, f64::max);
            match () {
                () if low > high => (0.0, 1.0),
                () if low == high => (low - 0.5, high + 0.5),
                () => (low, high),
            }
        };
        let (low, high) = given.unwrap_or_else(ends);
        Axis { low, high, from, to }
    }

    fn at(&self, value: f64) -> f32 {
        self.from + ((value - self.low) / (self.high - self.low)) as f32 * (self.to - self.from)
    }

    fn holds(&self, value: f64) -> bool {
        let slack = (self.high - self.low) * 1e-9;
        value >= self.low - slack && value <= self.high + slack
    }

    /// Round values along the axis, at least `least_step` apart, and how many decimals they need.
    fn ticks(&self, least_step: f64) -> (Vec<f64>, usize) {
        let rough = ((self.high - self.low) / 6.0).max(least_step);
        let power = 10f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0].map(|m| m * power).into_iter().find(|s| *s >= rough).unwrap_or(rough);
        let decimals = (-step.log10().floor()).max(0.0) as usize;
        let first = (self.low / step).ceil() as i64;
        let ticks = (first..).map(|k| k as f64 * step).take_while(|&t| self.holds(t)).collect();
        (ticks, decimals)
    }
}

fn draw(canvas: &mut Canvas, chart: &Chart, place: Frame) {
    let frame = Frame {
        x: place.x + MARGINS.0,
        y: place.y + MARGINS.1,
        w: place.w - MARGINS.0 - MARGINS.2,
        h: place.h - MARGINS.1 - MARGINS.3,
    };
    let points = || chart.series.iter().flat_map(|s| s.points.iter().copied());
    let x = Axis::new(chart.x_range, points().map(|p| p.0), frame.x, frame.x + frame.w);
    let y = Axis::new(chart.y_range, points().map(|p| p.1), frame.y + frame.h, frame.y);
    let small = TextStyle { size: 13.0, bold: false, color: INK, align: Align::Center };
    let title = TextStyle { size: 15.0, bold: true, ..small };
    canvas.text(&chart.title, (frame.x + frame.w / 2.0, place.y + 28.0), title);
    let (ticks, decimals) = x.ticks(if chart.x_counts { 1.0 } else { 0.0 });
    for t in ticks {
        let at = x.at(t);
        canvas.segments(&[((at, frame.y), (at, frame.y + frame.h))], 1.0, PALE);
        canvas.text(&format!("{t:.decimals$}"), (at, frame.y + frame.h + 18.0), small);
    }
    let (ticks, decimals) = y.ticks(0.0);
    for t in ticks {
        let at = y.at(t);
        canvas.segments(&[((frame.x, at), (frame.x + frame.w, at))], 1.0, PALE);
        let style = TextStyle { align: Align::Right, ..small };
        canvas.text(&format!("{t:.decimals$}"), (frame.x - 8.0, at + 4.5), style);
    }
    canvas.outline(frame, 1.0, INK);
    canvas.text(&chart.x_label, (frame.x + frame.w / 2.0, place.y + place.h - 14.0), small);
    let above = TextStyle { align: Align::Left, ..small };
    canvas.text(&chart.y_label, (place.x + 12.0, frame.y - 10.0), above);
    for series in &chart.series {
        let inside = series.points.iter().filter(|p| x.holds(p.0) && y.holds(p.1));
        let at: Vec<Point> = inside.map(|p| (x.at(p.0), y.at(p.1))).collect();
        if series.line {
            canvas.polyline(&at, 2.0, series.color);
        }
        let radius = if series.line { 3.5 } else { 2.0 };
        at.iter().for_each(|p| canvas.disc(*p, radius, series.color));
    }
    legend(canvas, chart, frame);
}

const LEGEND: TextStyle = TextStyle { size: 12.0, bold: false, color: INK, align: Align::Left };

fn named(chart: &Chart) -> impl Iterator<Item = &Series> {
    chart.series.iter().filter(|s| !s.name.is_empty())
}

fn legend_width(canvas: &Canvas, chart: &Chart) -> f32 {
    named(chart).map(|s| canvas.text_width(&s.name, LEGEND) + 50.0).fold(0.0, f32::max)
}

/// Names of the series, right of the axes.
fn legend(canvas: &mut Canvas, chart: &Chart, frame: Frame) {
    for (n, series) in named(chart).enumerate() {
        let (x, y) = (frame.x + frame.w + 14.0, frame.y + 20.0 * n as f32 + 10.0);
        if series.line {
            canvas.segments(&[((x, y), (x + 20.0, y))], 2.0, series.color);
        }
        canvas.disc((x + 10.0, y), 3.5, series.color);
        canvas.text(&series.name, (x + 28.0, y + 4.0), LEGEND);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round() {
        let axis = |low, high| Axis { low, high, from: 0.0, to: 100.0 };
        assert_eq!(axis(0.0, 1.0).ticks(0.0), (vec![0.0, 0.2, 0.4, 0.6000000000000001, 0.8, 1.0], 1));
        assert_eq!(axis(1.0, 6.0).ticks(0.0), (vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0], 0));
        assert_eq!(axis(1.0, 3.0).ticks(1.0), (vec![1.0, 2.0, 3.0], 0));
        assert_eq!(axis(0.0, 1.0).at(0.25), 25.0);
        let empty = Axis::new(None, std::iter::empty(), 0.0, 1.0);
        assert_eq!((empty.low, empty.high), (0.0, 1.0));
    }

    #[test]
    fn a_line_is_where_its_values_are() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.png");
        let line =
            Series { name: String::new(), points: vec![(0.0, 0.5), (1.0, 0.5)], color: [255, 0, 0, 255], line: true };
        let chart = Chart {
            title: "t".into(),
            x_label: "x".into(),
            y_label: "y".into(),
            x_range: None,
            x_counts: false,
            y_range: Some((0.0, 1.0)),
            series: vec![line],
        };
        write(&path, &[chart]).unwrap();
        let picture = tiny_skia::Pixmap::load_png(&path).unwrap();
        let middle = MARGINS.1 + (SIZE.1 - MARGINS.1 - MARGINS.3) / 2.0;
        let pixel = picture.pixel(250, middle as u32).unwrap();
        assert_eq!((pixel.red(), pixel.green()), (255, 0));
        let pixel = picture.pixel(250, middle as u32 - 30).unwrap();
        assert_ne!((pixel.red(), pixel.green()), (255, 0));
    }
}
