//! Connected components of a slice's mask, and its box.

use crate::slice::region::PixelBox;
use crate::volume::SliceMask;

/// The 8-connected components of `mask`, largest first (in reading order on a tie), each as its pixels.
pub fn components(mask: &SliceMask) -> Vec<Vec<usize>> {
    let (rows, cols) = (mask.rows as isize, mask.cols as isize);
    let mut seen = vec![false; mask.data.len()];
    let mut all: Vec<Vec<usize>> = Vec::new();
    for start in 0..mask.data.len() {
        if mask.data[start] == 0 || seen[start] {
            continue;
        }
        seen[start] = true;
        let mut part = vec![start];
        let mut next = 0;
        while next < part.len() {
            let (r, c) = (part[next] as isize / cols, part[next] as isize % cols);
            next += 1;
            for (dr, dc) in (-1..=1).flat_map(|dr| (-1..=1).map(move |dc| (dr, dc))) {
                let (r, c) = (r + dr, c + dc);
                if r < 0 || c < 0 || r >= rows || c >= cols {
                    continue;
                }
                let i = (r * cols + c) as usize;
                if mask.data[i] != 0 && !seen[i] {
                    seen[i] = true;
                    part.push(i);
                }
            }
        }
        all.push(part);
    }
    // Stable: ties keep their order.
    all.sort_by_key(|part| std::cmp::Reverse(part.len()));
    all
}

/// A mask of the given pixels, as large as `like`.
pub fn mask_of(pixels: &[usize], like: &SliceMask) -> SliceMask {
    let mut mask = SliceMask::zeros(like.rows, like.cols);
    pixels.iter().for_each(|&i| mask.data[i] = 1);
    mask
}

/// The box around the mask; `None` when it is empty.
pub fn bounds(mask: &SliceMask) -> Option<PixelBox> {
    let mut all: Option<PixelBox> = None;
    for (r, row) in mask.data.chunks_exact(mask.cols).enumerate() {
        let Some(left) = row.iter().position(|&v| v != 0) else { continue };
        let right = row.iter().rposition(|&v| v != 0).expect("there is a first") + 1;
        let here = PixelBox { top: r, left, bottom: r + 1, right };
        all = Some(all.map_or(here, |b| b.union(here)));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_found_largest_first() {
        #[rustfmt::skip]
        let mask = SliceMask { rows: 3, cols: 6, data: vec![
            1, 0, 0, 1, 1, 0,
            0, 0, 0, 0, 0, 1,
            1, 0, 0, 0, 0, 0,
        ] };
        let mut parts = components(&mask);
        parts.iter_mut().for_each(|p| p.sort_unstable());
        assert_eq!(parts, [vec![3, 4, 11], vec![0], vec![12]]);
        assert_eq!(mask_of(&parts[1], &mask).area(), 1);
        assert!(components(&SliceMask::zeros(2, 2)).is_empty());
    }
}
