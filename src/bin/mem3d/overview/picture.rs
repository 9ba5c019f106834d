//! The picture: a header with legend, a grid of slices with contours, and a plot of quality per slice.

use super::canvas::{Align, Canvas, Frame, Marker, Point, Rgba, TextStyle};
use super::plane::{Plane, View};
use mem3d::Result;
use mem3d::slice::region::PixelBox;
use mem3d::volume::Volume;

// Sizes, pixels. Chosen.
const WIDTH: f32 = 1400.0;
const MARGIN: f32 = 28.0;
const GAP: f32 = 8.0;
const HEADER: f32 = 84.0;
const PLOT: f32 = 270.0;
/// Most slices side by side. Chosen.
const MOST_COLUMNS: usize = 5;

// Greys. Chosen.
const BACKGROUND: Rgba = [16, 18, 22, 255];
const PANEL: Rgba = [25, 28, 34, 255];
const GRID: Rgba = [58, 63, 73, 255];
const BRIGHT: Rgba = [240, 242, 245, 255];
const MUTED: Rgba = [158, 165, 177, 255];
const SHADOW: Rgba = [0, 0, 0, 150];
// Orange, sky blue and pink, distinguishable with colour blindness (the palette of Okabe and Ito, 2008, brightened).
const MASK: Rgba = [255, 171, 40, 255];
const REFERENCE: Rgba = [84, 199, 255, 255];
const SUGGESTED: Rgba = [255, 120, 190, 255];

/// Everything the picture shows.
pub struct Content<'a> {
    /// First line of the header.
    pub title: String,
    pub volume: &'a Volume,
    pub view: View,
    /// `[depth, height, width]`.
    pub mask: &'a [bool],
    /// `[depth, height, width]`, when there is one.
    pub reference: Option<&'a [bool]>,
    /// Estimated quality of each slice, 0..1; may be empty.
    pub quality: &'a [f32],
    /// Slices the user annotated.
    pub annotated: &'a [usize],
    /// Slices that the engine suggested, first to last.
    pub suggested: &'a [usize],
    /// Intensities shown black and white.
    pub window: (f64, f64),
    /// Number of slices shown at most.
    pub tiles: usize,
}

/// One slice's masks, turned for display.
struct Slice {
    mask: Plane<bool>,
    reference: Option<Plane<bool>>,
}

impl Slice {
    /// Intersection over union; `None` without reference or where both are empty.
    fn iou(&self) -> Option<f32> {
        let reference = self.reference.as_ref()?;
        let pairs = || self.mask.data.iter().zip(&reference.data);
        let union = pairs().filter(|(a, b)| **a || **b).count();
        (union > 0).then(|| pairs().filter(|(a, b)| **a && **b).count() as f32 / union as f32)
    }

    fn shows_target(&self) -> bool {
        self.mask.data.contains(&true) || self.reference.as_ref().is_some_and(|r| r.data.contains(&true))
    }
}

/// Draws the picture.
pub fn draw(content: &Content) -> Result<Canvas> {
    let view = &content.view;
    let slices: Vec<Slice> = (0..view.slice_count())
        .map(|k| Slice {
            mask: view.slice(content.mask, k, |v| v),
            reference: content.reference.map(|r| view.slice(r, k, |v| v)),
        })
        .collect();
    let shown = choose_slices(&slices, content.tiles);
    let crop = choose_crop(&slices, view);
    let columns = shown.len().div_ceil(shown.len().div_ceil(MOST_COLUMNS).max(1)).max(1);
    let rows = shown.len().div_ceil(columns);
    let tile_width = ((WIDTH - 2.0 * MARGIN - (columns - 1) as f32 * GAP) / columns as f32).floor();
    let (crop_rows, crop_cols) = (crop.bottom - crop.top, crop.right - crop.left);
    let aspect = (crop_rows as f64 * view.spacing_mm.0) / (crop_cols as f64 * view.spacing_mm.1);
    let tile_height = (tile_width * aspect as f32).clamp(tile_width * 0.4, tile_width * 1.6).floor();
    let plot_y = MARGIN + HEADER + rows as f32 * (tile_height + GAP) + 14.0;
    let mut canvas = Canvas::new(WIDTH as u32, (plot_y + PLOT + MARGIN) as u32, BACKGROUND)?;

    header(&mut canvas, content, &slices);
    for (i, &k) in shown.iter().enumerate() {
        let frame = Frame {
            x: MARGIN + (i % columns) as f32 * (tile_width + GAP),
            y: MARGIN + HEADER + (i / columns) as f32 * (tile_height + GAP),
            w: tile_width,
            h: tile_height,
        };
        Tile { content, slice: &slices[k], number: k, crop, frame, first: i == 0 }.draw(&mut canvas);
    }
    let frame = Frame { x: MARGIN, y: plot_y, w: WIDTH - 2.0 * MARGIN, h: PLOT };
    plot(&mut canvas, content, &slices, &shown, frame);
    Ok(canvas)
}

/// At most `count` slice numbers spread evenly over the slices that show mask or reference, ends included.
fn choose_slices(slices: &[Slice], count: usize) -> Vec<usize> {
    let first = slices.iter().position(Slice::shows_target).unwrap_or(0);
    let last = slices.iter().rposition(Slice::shows_target).unwrap_or(slices.len() - 1);
    let count = count.min(last - first + 1).max(1);
    let step = if count > 1 { (last - first) as f64 / (count - 1) as f64 } else { 0.0 };
    (0..count).map(|i| first + (i as f64 * step).round() as usize).collect()
}

/// The smallest rectangle around mask and reference on all slices, with a margin, made square where the slice allows.
fn choose_crop(slices: &[Slice], view: &View) -> PixelBox {
    let (rows, cols) = view.size();
    let mut bounds: Option<PixelBox> = None;
    for plane in slices.iter().flat_map(|s| std::iter::once(&s.mask).chain(&s.reference)) {
        for (i, _) in plane.data.iter().enumerate().filter(|(_, inside)| **inside) {
            let (r, c) = (i / cols, i % cols);
            let pixel = PixelBox { top: r, left: c, bottom: r + 1, right: c + 1 };
            bounds = Some(bounds.map_or(pixel, |b| b.union(pixel)));
        }
    }
    let Some(target) = bounds else {
        return PixelBox { top: 0, left: 0, bottom: rows, right: cols };
    };
    let height_mm = (target.bottom - target.top) as f64 * view.spacing_mm.0;
    let width_mm = (target.right - target.left) as f64 * view.spacing_mm.1;
    let side_mm = height_mm.max(width_mm) * 1.5;
    let span = |low: usize, high: usize, spacing: f64, n: usize| {
        let want = ((side_mm / spacing).ceil() as usize).clamp((high - low).max(8.min(n)), n);
        let start = ((low + high).saturating_sub(want) / 2).min(n - want);
        (start, start + want)
    };
    let (top, bottom) = span(target.top, target.bottom, view.spacing_mm.0, rows);
    let (left, right) = span(target.left, target.right, view.spacing_mm.1, cols);
    PixelBox { top, left, bottom, right }
}

fn style(size: f32, color: Rgba, align: Align) -> TextStyle {
    TextStyle { size, bold: false, color, align }
}

fn header(canvas: &mut Canvas, content: &Content, slices: &[Slice]) {
    let title = TextStyle { bold: true, ..style(23.0, BRIGHT, Align::Left) };
    canvas.text(&content.title, (MARGIN, MARGIN + 22.0), title);
    let [d, h, w] = content.volume.shape();
    let s = content.volume.geometry().spacing_mm;
    let mut line = format!(
        "{w} \u{d7} {h} \u{d7} {d} voxels of {:.2} \u{d7} {:.2} \u{d7} {:.2} mm   \u{b7}   window {:.0} to {:.0}",
        s[2], s[1], s[0], content.window.0, content.window.1
    );
    let volume_ml = content.mask.iter().filter(|v| **v).count() as f64 * s.iter().product::<f64>() / 1000.0;
    line += &format!("   \u{b7}   segmented {volume_ml:.1} ml");
    canvas.text(&line, (MARGIN, MARGIN + 48.0), style(14.5, MUTED, Align::Left));

    let right = WIDTH - MARGIN;
    if let Some(dice) = dice(slices) {
        let text = format!("DSC {dice:.3}");
        canvas.text(&text, (right, MARGIN + 22.0), TextStyle { align: Align::Right, ..title });
    }
    let mut entries = vec![("segmentation", MASK)];
    if content.reference.is_some() {
        entries.push(("reference", REFERENCE));
    }
    let label = style(14.5, BRIGHT, Align::Right);
    let mut x = right;
    for (text, color) in entries.into_iter().rev() {
        canvas.text(text, (x, MARGIN + 48.0), label);
        x -= canvas.text_width(text, label) + 38.0;
        canvas.polyline(&[(x, MARGIN + 43.0), (x + 28.0, MARGIN + 43.0)], 3.0, color);
        x -= 22.0;
    }
}

/// Dice coefficient of the whole volume; `None` without reference or where both are empty.
fn dice(slices: &[Slice]) -> Option<f64> {
    let (mut both, mut sum) = (0usize, 0usize);
    for slice in slices {
        for (&a, &b) in slice.mask.data.iter().zip(&slice.reference.as_ref()?.data) {
            both += usize::from(a && b);
            sum += usize::from(a) + usize::from(b);
        }
    }
    (sum > 0).then(|| 2.0 * both as f64 / sum as f64)
}

/// One slice of the grid.
struct Tile<'a> {
    content: &'a Content<'a>,
    slice: &'a Slice,
    number: usize,
    crop: PixelBox,
    frame: Frame,
    /// Whether it has the letters of the patient's directions.
    first: bool,
}

impl Tile<'_> {
    fn draw(&self, canvas: &mut Canvas) {
        let Tile { content, number, crop, frame, .. } = *self;
        let grey = content.view.grey(content.volume, number, content.window).crop(crop);
        canvas.grey(grey.rows, grey.cols, &grey.data, frame);
        self.draw_contours(canvas);
        let annotated = content.annotated.contains(&number);
        if annotated {
            canvas.outline(frame, 2.0, BRIGHT);
        } else if content.suggested.contains(&number) {
            canvas.outline(frame, 2.0, SUGGESTED);
        }
        self.draw_labels(canvas, annotated);
    }

    fn draw_contours(&self, canvas: &mut Canvas) {
        let (crop, frame) = (self.crop, self.frame);
        let (sx, sy) = (frame.w / (crop.right - crop.left) as f32, frame.h / (crop.bottom - crop.top) as f32);
        let place = |(a, b): (Point, Point)| {
            let put = |p: Point| (frame.x + p.0 * sx, frame.y + p.1 * sy);
            (put(a), put(b))
        };
        let contour = |plane: &Plane<bool>| plane.crop(crop).contour().into_iter().map(place).collect::<Vec<_>>();
        let reference = self.slice.reference.iter().map(|r| (contour(r), REFERENCE));
        let lines: Vec<_> = reference.chain(std::iter::once((contour(&self.slice.mask), MASK))).collect();
        for (segments, _) in &lines {
            canvas.segments(segments, 4.0, SHADOW);
        }
        for (segments, color) in &lines {
            canvas.segments(segments, 2.0, *color);
        }
    }

    fn draw_labels(&self, canvas: &mut Canvas, annotated: bool) {
        let (content, frame) = (self.content, self.frame);
        let text = |canvas: &mut Canvas, text: &str, at: Point, style: TextStyle| {
            canvas.text(text, (at.0 + 1.0, at.1 + 1.0), TextStyle { color: SHADOW, ..style });
            canvas.text(text, at, style);
        };
        let (left, right) = (frame.x + 9.0, frame.x + frame.w - 9.0);
        let (top, bottom) = (frame.y + 21.0, frame.y + frame.h - 10.0);
        // Numbers stay readable over bone.
        let dark = [0, 0, 0, 110];
        canvas.fill(Frame { h: 28.0, ..frame }, dark);
        let (quality, iou) = (content.quality.get(self.number), self.slice.iou());
        if iou.is_some() || quality.is_some() {
            canvas.fill(Frame { y: frame.y + frame.h - 27.0, h: 27.0, ..frame }, dark);
        }
        let number = TextStyle { bold: true, ..style(15.0, BRIGHT, Align::Left) };
        text(canvas, &format!("slice {}", self.number), (left, top), number);
        if annotated {
            text(canvas, "annotated", (right, top), style(13.0, BRIGHT, Align::Right));
        } else if content.suggested.contains(&self.number) {
            text(canvas, "suggested next", (right, top), style(13.0, SUGGESTED, Align::Right));
        }
        if let Some(quality) = quality {
            text(canvas, &format!("quality {quality:.2}"), (left, bottom), style(13.0, MASK, Align::Left));
        }
        if let Some(iou) = iou {
            text(canvas, &format!("IoU {iou:.2}"), (right, bottom), style(13.0, REFERENCE, Align::Right));
        }
        if self.first {
            let (across, down) = content.view.letters;
            let letter = |align| style(13.0, MUTED, align);
            text(canvas, &across.to_string(), (left, frame.y + frame.h / 2.0 + 5.0), letter(Align::Left));
            text(canvas, &down.to_string(), (frame.x + frame.w / 2.0, top + 24.0), letter(Align::Center));
        }
    }
}

fn plot(canvas: &mut Canvas, content: &Content, slices: &[Slice], shown: &[usize], frame: Frame) {
    canvas.fill(frame, PANEL);
    let area = Frame { x: frame.x + 58.0, y: frame.y + 46.0, w: frame.w - 82.0, h: frame.h - 92.0 };
    let n = slices.len();
    let x_of = |k: usize| area.x + (k as f32 + 0.5) / n as f32 * area.w;
    let y_of = |q: f32| area.y + (1.0 - q.clamp(0.0, 1.0)) * area.h;

    // Range of the target, by the reference if there is one.
    let inside = |s: &Slice| s.reference.as_ref().unwrap_or(&s.mask).data.contains(&true);
    if let (Some(first), Some(last)) = (slices.iter().position(inside), slices.iter().rposition(inside)) {
        let half = area.w / n as f32 / 2.0;
        let x = x_of(first) - half;
        let color = if content.reference.is_some() { REFERENCE } else { MASK };
        canvas.fill(Frame { x, y: area.y, w: x_of(last) + half - x, h: area.h }, [color[0], color[1], color[2], 22]);
    }
    for quarter in 0..=4 {
        let q = quarter as f32 / 4.0;
        canvas.polyline(&[(area.x, y_of(q)), (area.x + area.w, y_of(q))], 1.0, GRID);
        canvas.text(&format!("{q:.2}"), (area.x - 10.0, y_of(q) + 5.0), style(13.0, MUTED, Align::Right));
    }
    let step = [1, 2, 5, 10, 20, 50, 100, 200, 500].into_iter().find(|s| n / s <= 16).unwrap_or(1000);
    for k in (0..n).step_by(step) {
        let (x, y) = (x_of(k), area.y + area.h);
        canvas.polyline(&[(x, y), (x, y + 5.0)], 1.0, GRID);
        canvas.text(&format!("{k}"), (x, y + 21.0), style(13.0, MUTED, Align::Center));
    }
    canvas.text("slice", (area.x + area.w / 2.0, frame.y + frame.h - 9.0), style(13.0, MUTED, Align::Center));
    for &k in shown {
        canvas.polyline(&[(x_of(k) - 4.0, area.y + area.h), (x_of(k) + 4.0, area.y + area.h)], 3.0, MUTED);
    }

    for &k in content.annotated {
        canvas.polyline(&[(x_of(k), area.y), (x_of(k), area.y + area.h)], 1.5, [240, 242, 245, 120]);
    }
    for &k in content.suggested.iter().filter(|k| !content.annotated.contains(k)) {
        canvas.dashed((x_of(k), area.y), (x_of(k), area.y + area.h), 1.5, SUGGESTED);
    }
    let iou: Vec<Option<f32>> = slices.iter().map(Slice::iou).collect();
    curve(canvas, &iou, &x_of, &y_of, REFERENCE);
    let quality: Vec<Option<f32>> = content.quality.iter().map(|q| Some(*q)).collect();
    curve(canvas, &quality, &x_of, &y_of, MASK);
    for &k in content.annotated {
        canvas.marker(Marker::Square, (x_of(k), area.y), 5.5, true, BRIGHT);
    }
    for (i, &k) in content.suggested.iter().enumerate() {
        let at = (x_of(k), area.y - 13.0);
        canvas.marker(Marker::Diamond, at, 9.0, content.annotated.contains(&k), SUGGESTED);
        let color = if content.annotated.contains(&k) { BACKGROUND } else { SUGGESTED };
        let number = TextStyle { bold: true, ..style(10.0, color, Align::Center) };
        canvas.text(&format!("{}", i + 1), (at.0, at.1 + 3.6), number);
    }
    plot_legend(canvas, content, frame);
}

/// A curve with a dot on every slice that has a value; gaps are left open.
fn curve(
    canvas: &mut Canvas,
    values: &[Option<f32>],
    x_of: &dyn Fn(usize) -> f32,
    y_of: &dyn Fn(f32) -> f32,
    color: Rgba,
) {
    let points: Vec<Option<Point>> = values.iter().enumerate().map(|(k, v)| v.map(|q| (x_of(k), y_of(q)))).collect();
    for run in points.split(Option::is_none) {
        canvas.polyline(&run.iter().flatten().copied().collect::<Vec<_>>(), 2.2, color);
    }
    if values.len() <= 120 {
        points.iter().flatten().for_each(|&p| canvas.disc(p, 2.8, color));
    }
}

fn plot_legend(canvas: &mut Canvas, content: &Content, frame: Frame) {
    let y = frame.y + 21.0;
    let mut x = frame.x + 58.0;
    let label = style(13.5, BRIGHT, Align::Left);
    let mut entry = |canvas: &mut Canvas, text: &str, symbol: &dyn Fn(&mut Canvas, Point)| {
        symbol(canvas, (x + 12.0, y - 5.0));
        canvas.text(text, (x + 30.0, y), label);
        x += canvas.text_width(text, label) + 56.0;
    };
    let line = |color: Rgba| {
        move |canvas: &mut Canvas, (x, y): Point| canvas.polyline(&[(x - 12.0, y), (x + 12.0, y)], 2.6, color)
    };
    if !content.quality.is_empty() {
        entry(canvas, "estimated quality", &line(MASK));
    }
    if content.reference.is_some() {
        entry(canvas, "true IoU", &line(REFERENCE));
    }
    if !content.annotated.is_empty() {
        entry(canvas, "annotated", &|c, p| c.marker(Marker::Square, p, 5.5, true, BRIGHT));
    }
    if content.suggested.iter().any(|k| content.annotated.contains(k)) {
        entry(canvas, "suggested, then corrected", &|c, p| c.marker(Marker::Diamond, p, 8.0, true, SUGGESTED));
    }
    if content.suggested.iter().any(|k| !content.annotated.contains(k)) {
        entry(canvas, "suggested next", &|c, p| c.marker(Marker::Diamond, p, 8.0, false, SUGGESTED));
    }
    let (extent, color) =
        if content.reference.is_some() { ("extent of the reference", REFERENCE) } else { ("extent of the mask", MASK) };
    entry(canvas, extent, &|c, (x, y)| {
        c.fill(Frame { x: x - 12.0, y: y - 6.0, w: 24.0, h: 12.0 }, [color[0], color[1], color[2], 60]);
    });
    entry(canvas, "shown above", &|c, (x, y)| c.polyline(&[(x - 4.0, y), (x + 4.0, y)], 3.0, MUTED));
}

#[cfg(test)]
mod tests {
    use super::*;
    use mem3d::volume::{Geometry, SliceAxis, VoxelData};

    /// One row of pixels a slice.
    fn slices(masks: &[&[u8]], references: &[&[u8]]) -> Vec<Slice> {
        let plane = |v: &&[u8]| Plane { rows: 1, cols: v.len(), data: v.iter().map(|x| *x == 1).collect() };
        masks.iter().zip(references).map(|(m, r)| Slice { mask: plane(m), reference: Some(plane(r)) }).collect()
    }

    #[test]
    fn overlap_is_counted_per_slice_and_over_the_volume() {
        let s = slices(&[&[1, 1, 0, 0], &[0; 4]], &[&[0, 1, 1, 1], &[0; 4]]);
        assert_eq!(s[0].iou(), Some(0.25));
        assert_eq!(s[1].iou(), None);
        assert_eq!(dice(&s), Some(0.4));
    }

    #[test]
    fn shown_slices_spread_over_the_target() {
        let on: &[u8] = &[1];
        let off: &[u8] = &[0];
        let masks = [off, on, on, on, on, off, off, off];
        let references = [off, off, off, off, off, on, off, off];
        let s = slices(&masks, &references);
        assert_eq!(choose_slices(&s, 3), [1, 3, 5]);
        assert_eq!(choose_slices(&s, 99), [1, 2, 3, 4, 5]);
        assert_eq!(choose_slices(&s, 1), [1]);
        // No target anywhere: the whole volume.
        assert_eq!(choose_slices(&slices(&[off; 5], &[off; 5]), 2), [0, 4]);
    }

    #[test]
    fn a_picture_shows_the_contour_in_its_colour() {
        let shape = [3, 20, 20];
        let volume = Volume::new(shape, VoxelData::U8(vec![0; 1200]), Geometry::default()).unwrap();
        let mask: Vec<bool> =
            (0..1200).map(|i| (5..15).contains(&(i / 20 % 20)) && (5..15).contains(&(i % 20))).collect();
        let content = Content {
            title: "t".into(),
            view: View::new(shape, volume.geometry(), SliceAxis::Depth),
            volume: &volume,
            mask: &mask,
            reference: None,
            quality: &[0.0, 0.5, 1.0],
            annotated: &[1],
            suggested: &[1, 2],
            window: (0.0, 1.0),
            tiles: 1,
        };
        let canvas = draw(&content).unwrap();
        let orange = |x0: u32, x1: u32, y| (x0..x1).filter(|x| canvas.pixel(*x, y) == [255, 171, 40]).count();
        // A line across the middle of the only tile meets the two sides of the square.
        let (left, middle, right) = (MARGIN as u32, WIDTH as u32 / 2, (WIDTH - MARGIN) as u32);
        let y = (MARGIN + HEADER) as u32 + 400;
        assert!((1..6).contains(&orange(left, middle, y)));
        assert!((1..6).contains(&orange(middle, right, y)));
    }
}
