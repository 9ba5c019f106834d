//! A drawing surface: shapes, pictures and text on a pixmap, written as PNG.

use crate::common::output;
use mem3d::{Error, Result};
use std::path::Path;
use tiny_skia::{
    Color, FillRule, FilterQuality, LineCap, LineJoin, Paint, PathBuilder, Pixmap, PixmapPaint, Rect, Stroke,
    StrokeDash, Transform,
};
use ttf_parser::{Face, OutlineBuilder};

/// Red, green, blue, opacity (0..255).
pub type Rgba = [u8; 4];

/// A point on the canvas, pixels from the upper left corner.
pub type Point = (f32, f32);

/// How a text is set.
#[derive(Clone, Copy)]
pub struct TextStyle {
    pub size: f32,
    pub bold: bool,
    pub color: Rgba,
    pub align: Align,
}

/// Which part of a text is at the given position.
#[derive(Clone, Copy, PartialEq)]
pub enum Align {
    Left,
    Center,
    Right,
}

/// Shape of a marker.
#[derive(Clone, Copy, PartialEq)]
pub enum Marker {
    Square,
    Diamond,
}

pub struct Canvas {
    pixmap: Pixmap,
    regular: Face<'static>,
    bold: Face<'static>,
}

/// A rectangle: x, y of the upper left corner, width, height.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Frame {
    pub x: f32,
    pub y: f32,
    pub w: f32,
    pub h: f32,
}

impl Canvas {
    /// An empty canvas, `width` by `height` pixels, filled with `background`.
    pub fn new(width: u32, height: u32, background: Rgba) -> Result<Self> {
        let mut pixmap = Pixmap::new(width, height)
            .ok_or_else(|| Error::argument(format!("a picture of {width} x {height} pixels cannot be made")))?;
        pixmap.fill(color(background));
        let face = |bytes: &'static [u8]| Face::parse(bytes, 0).map_err(|e| Error::Internal(format!("font: {e}")));
        Ok(Canvas {
            pixmap,
            regular: face(include_bytes!("../font/DejaVuSans.ttf"))?,
            bold: face(include_bytes!("../font/DejaVuSans-Bold.ttf"))?,
        })
    }

    /// Fills `frame`.
    pub fn fill(&mut self, frame: Frame, rgba: Rgba) {
        if let Some(rect) = Rect::from_xywh(frame.x, frame.y, frame.w, frame.h) {
            self.pixmap.fill_rect(rect, &paint(rgba), Transform::identity(), None);
        }
    }

    /// Draws the edge of `frame`, inside it.
    pub fn outline(&mut self, frame: Frame, width: f32, rgba: Rgba) {
        let half = width / 2.0;
        if let Some(rect) = Rect::from_xywh(frame.x + half, frame.y + half, frame.w - width, frame.h - width) {
            let stroke = Stroke { width, ..Stroke::default() };
            self.pixmap.stroke_path(&PathBuilder::from_rect(rect), &paint(rgba), &stroke, Transform::identity(), None);
        }
    }

    /// Draws separate line segments as one shape, so that overlapping ends do not show.
    pub fn segments(&mut self, segments: &[(Point, Point)], width: f32, rgba: Rgba) {
        let mut path = PathBuilder::new();
        for (a, b) in segments {
            path.move_to(a.0, a.1);
            path.line_to(b.0, b.1);
        }
        self.stroke(path, width, rgba, None);
    }

    /// Draws a line through `points`.
    pub fn polyline(&mut self, points: &[Point], width: f32, rgba: Rgba) {
        let mut path = PathBuilder::new();
        for (i, p) in points.iter().enumerate() {
            if i == 0 { path.move_to(p.0, p.1) } else { path.line_to(p.0, p.1) }
        }
        self.stroke(path, width, rgba, None);
    }

    /// Draws a dashed line.
    pub fn dashed(&mut self, a: Point, b: Point, width: f32, rgba: Rgba) {
        let mut path = PathBuilder::new();
        path.move_to(a.0, a.1);
        path.line_to(b.0, b.1);
        self.stroke(path, width, rgba, StrokeDash::new(vec![3.0, 4.0], 0.0));
    }

    /// A filled disc.
    pub fn disc(&mut self, at: Point, radius: f32, rgba: Rgba) {
        if let Some(path) = PathBuilder::from_circle(at.0, at.1, radius) {
            self.pixmap.fill_path(&path, &paint(rgba), FillRule::Winding, Transform::identity(), None);
        }
    }

    /// A marker of half-width `radius`: filled, or its edge only.
    pub fn marker(&mut self, marker: Marker, at: Point, radius: f32, filled: bool, rgba: Rgba) {
        let (x, y, r) = (at.0, at.1, radius);
        let corners = match marker {
            Marker::Square => [(x - r, y - r), (x + r, y - r), (x + r, y + r), (x - r, y + r)],
            Marker::Diamond => [(x, y - r), (x + r, y), (x, y + r), (x - r, y)],
        };
        let mut path = PathBuilder::new();
        path.move_to(corners[0].0, corners[0].1);
        corners[1..].iter().for_each(|c| path.line_to(c.0, c.1));
        path.close();
        let Some(path) = path.finish() else { return };
        if filled {
            self.pixmap.fill_path(&path, &paint(rgba), FillRule::Winding, Transform::identity(), None);
        } else {
            let stroke = Stroke { width: 1.6, ..Stroke::default() };
            self.pixmap.stroke_path(&path, &paint(rgba), &stroke, Transform::identity(), None);
        }
    }

    /// Draws a grey picture (`rows * cols` values) stretched over `frame`, interpolated smoothly.
    pub fn grey(&mut self, rows: usize, cols: usize, values: &[u8], frame: Frame) {
        let Some(mut picture) = Pixmap::new(cols as u32, rows as u32) else { return };
        for (pixel, &v) in picture.data_mut().chunks_exact_mut(4).zip(values) {
            pixel.copy_from_slice(&[v, v, v, 255]);
        }
        let scale = Transform::from_scale(frame.w / cols as f32, frame.h / rows as f32);
        let paint = PixmapPaint { quality: FilterQuality::Bicubic, ..PixmapPaint::default() };
        self.pixmap.draw_pixmap(0, 0, picture.as_ref(), &paint, scale.post_translate(frame.x, frame.y), None);
    }

    /// Sets `text` with its baseline at `at`.
    pub fn text(&mut self, text: &str, at: Point, style: TextStyle) {
        let width = self.text_width(text, style);
        let x = match style.align {
            Align::Left => at.0,
            Align::Center => at.0 - width / 2.0,
            Align::Right => at.0 - width,
        };
        let face = if style.bold { &self.bold } else { &self.regular };
        let scale = style.size / f32::from(face.units_per_em());
        let mut outline = Outline { path: PathBuilder::new(), x, y: at.1, scale };
        for c in text.chars() {
            let glyph = face.glyph_index(c).or(face.glyph_index('?')).unwrap_or_default();
            face.outline_glyph(glyph, &mut outline);
            outline.x += f32::from(face.glyph_hor_advance(glyph).unwrap_or(0)) * scale;
        }
        if let Some(path) = outline.path.finish() {
            self.pixmap.fill_path(&path, &paint(style.color), FillRule::Winding, Transform::identity(), None);
        }
    }

    /// Width of `text`, pixels.
    pub fn text_width(&self, text: &str, style: TextStyle) -> f32 {
        let face = if style.bold { &self.bold } else { &self.regular };
        let advance = |c| {
            let glyph = face.glyph_index(c).or(face.glyph_index('?')).unwrap_or_default();
            f32::from(face.glyph_hor_advance(glyph).unwrap_or(0))
        };
        text.chars().map(advance).sum::<f32>() * style.size / f32::from(face.units_per_em())
    }

    /// Writes the picture as a PNG file.
    pub fn write(&self, path: &Path) -> Result<()> {
        let png = self.pixmap.encode_png().map_err(|e| Error::Internal(format!("PNG: {e}")))?;
        output::write_bytes(path, &png)
    }

    fn stroke(&mut self, path: PathBuilder, width: f32, rgba: Rgba, dash: Option<StrokeDash>) {
        let stroke = Stroke { width, line_cap: LineCap::Round, line_join: LineJoin::Round, dash, ..Stroke::default() };
        if let Some(path) = path.finish() {
            self.pixmap.stroke_path(&path, &paint(rgba), &stroke, Transform::identity(), None);
        }
    }

    #[cfg(test)]
    pub fn pixel(&self, x: u32, y: u32) -> [u8; 3] {
        let p = self.pixmap.pixel(x, y).expect("inside the canvas");
        [p.red(), p.green(), p.blue()]
    }
}

fn color(c: Rgba) -> Color {
    Color::from_rgba8(c[0], c[1], c[2], c[3])
}

fn paint(c: Rgba) -> Paint<'static> {
    let mut paint = Paint { anti_alias: true, ..Paint::default() };
    paint.set_color(color(c));
    paint
}

/// Turns a glyph's outline (y upwards, font units) into a path (y downwards, pixels).
struct Outline {
    path: PathBuilder,
    x: f32,
    y: f32,
    scale: f32,
}

impl Outline {
    fn at(&self, x: f32, y: f32) -> Point {
        (self.x + x * self.scale, self.y - y * self.scale)
    }
}

impl OutlineBuilder for Outline {
    fn move_to(&mut self, x: f32, y: f32) {
        let p = self.at(x, y);
        self.path.move_to(p.0, p.1);
    }
    fn line_to(&mut self, x: f32, y: f32) {
        let p = self.at(x, y);
        self.path.line_to(p.0, p.1);
    }
    fn quad_to(&mut self, x1: f32, y1: f32, x: f32, y: f32) {
        let (c, p) = (self.at(x1, y1), self.at(x, y));
        self.path.quad_to(c.0, c.1, p.0, p.1);
    }
    fn curve_to(&mut self, x1: f32, y1: f32, x2: f32, y2: f32, x: f32, y: f32) {
        let (c, d, p) = (self.at(x1, y1), self.at(x2, y2), self.at(x, y));
        self.path.cubic_to(c.0, c.1, d.0, d.1, p.0, p.1);
    }
    fn close(&mut self) {
        self.path.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BLACK: Rgba = [0, 0, 0, 255];
    const WHITE: Rgba = [255, 255, 255, 255];

    #[test]
    fn text_is_set_where_it_is_aligned() {
        let style = TextStyle { size: 20.0, bold: false, color: WHITE, align: Align::Right };
        let mut canvas = Canvas::new(40, 30, BLACK).unwrap();
        // A vertical bar, right-aligned at 30: ink just left of 30, none right of it.
        canvas.text("|", (30.0, 20.0), style);
        let ink = |c: &Canvas, from, to| (from..to).any(|x| c.pixel(x, 15) != [0, 0, 0]);
        assert!(ink(&canvas, 23, 30));
        assert!(!ink(&canvas, 30, 40));
        assert!(!ink(&canvas, 0, 23));
        assert!(canvas.text_width("WW", style) > canvas.text_width("ii", style));
    }

    #[test]
    fn a_grey_picture_fills_its_frame_and_nothing_else() {
        let mut canvas = Canvas::new(8, 8, BLACK).unwrap();
        canvas.grey(2, 2, &[200; 4], Frame { x: 2.0, y: 2.0, w: 4.0, h: 4.0 });
        assert_eq!(canvas.pixel(3, 3), [200, 200, 200]);
        assert_eq!(canvas.pixel(1, 3), [0, 0, 0]);
        assert_eq!(canvas.pixel(6, 3), [0, 0, 0]);
    }

    #[test]
    fn markers_are_filled_or_open() {
        let mut canvas = Canvas::new(20, 20, BLACK).unwrap();
        canvas.marker(Marker::Square, (10.0, 10.0), 5.0, false, WHITE);
        assert_eq!(canvas.pixel(10, 10), [0, 0, 0]);
        canvas.marker(Marker::Diamond, (10.0, 10.0), 5.0, true, WHITE);
        assert_eq!(canvas.pixel(10, 10), [255, 255, 255]);
        // Corners of the square's inside are outside the diamond.
        assert_eq!(canvas.pixel(6, 6), [0, 0, 0]);
    }
}
