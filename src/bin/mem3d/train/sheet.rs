//! A contact sheet of clips, to check the training data by eye.

use crate::common::output::say;
use crate::overview::canvas::{Canvas, Frame};
use mem3d::train::data::clips::Clip;
use mem3d::train::data::feed::{Feed, FeedOptions};
use mem3d::train::data::real::Cases;
use mem3d::train::{Stage, TrainOptions};
use mem3d::{Error, Result};
use std::path::Path;

/// Pixels a side of a slice on the sheet. Chosen.
const SIDE: f32 = 128.0;
/// Clips side by side. Chosen.
const ACROSS: usize = 3;

/// Writes `count` clips of the memory stage as a PNG file, each a row of slices, with the outline of the target.
///
/// # Errors
/// As [`Cases::open`], and [`Error::Io`] when the picture cannot be written.
pub fn write(path: &Path, options: &TrainOptions, count: usize) -> Result<()> {
    let cases = Cases::open(options)?;
    let mut feed = Feed::start(
        FeedOptions {
            seed: options.seed,
            batch: 1,
            clip: options.clip(Stage::Memory),
            side: options.side,
            scenes: options.scenes,
            // Every clip from another scene, for variety.
            renew: 1,
            real_share: options.real_share,
            real: cases.training.clone(),
            curriculum: Some(count as u64),
        },
        2,
        0,
    );
    let clips: Vec<Clip> = (0..count.max(1)).flat_map(|_| feed.next_batch()).collect();
    let (rows, cols) = (clips.len().div_ceil(ACROSS), ACROSS * (options.length + 1));
    let width = (cols as f32 * SIDE) as u32;
    let mut canvas = Canvas::new(width, (rows as f32 * (SIDE + 2.0)) as u32, [30, 30, 60, 255])?;
    let context = options.clip(Stage::Memory).context;
    for (i, clip) in clips.iter().enumerate() {
        let y = (i / ACROSS) as f32 * (SIDE + 2.0);
        for t in 0..options.length {
            let x = ((i % ACROSS) * (options.length + 1) + t) as f32 * SIDE;
            slice(&mut canvas, clip, t, context, options.size, Frame { x, y, w: SIDE, h: SIDE });
        }
        log::debug!("row {}, column {}: {}", i / ACROSS, i % ACROSS, clip.scene);
    }
    canvas.write(path)?;
    say!("{}", path.display());
    Ok::<(), Error>(())
}

fn slice(canvas: &mut Canvas, clip: &Clip, t: usize, context: usize, size: usize, frame: Frame) {
    let area = size * size;
    let middle = (t * context + context / 2) * area;
    let grey: Vec<u8> = clip.images[middle..middle + area].iter().map(|v| (v * 255.0) as u8).collect();
    canvas.grey(size, size, &grey, frame);
    let mask = &clip.masks[t * area..(t + 1) * area];
    let inside = |r: usize, c: usize| mask[r * size + c] >= 0.5;
    let pixel = frame.w / size as f32;
    let at = |r: usize, c: usize| (frame.x + c as f32 * pixel, frame.y + r as f32 * pixel);
    let mut segments = vec![];
    for r in 1..size {
        for c in 1..size {
            if inside(r, c) != inside(r - 1, c) {
                segments.push((at(r, c), at(r, c + 1)));
            }
            if inside(r, c) != inside(r, c - 1) {
                segments.push((at(r, c), at(r + 1, c)));
            }
        }
    }
    canvas.segments(&segments, 1.2, [255, 80, 60, 255]);
}
