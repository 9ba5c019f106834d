//! The qualities that slices are expected to have, from the quality head's estimates and the slices' places.

use super::gain::around;

/// What a slice is, as far as its quality is to be read by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// A mask on the way to an open end.
    Open,
    /// A mask between two annotated slices with the target.
    Closed,
    /// No mask.
    Empty,
}

impl Place {
    /// From the logit that the quality head gives a slice to what whole volumes bear out: added, and a factor. The head learns from
    /// short clips, and nothing of what is put right between annotated slices ([`crate::engine::refine`]): there it is too hard
    /// on the masks, and everywhere far too sure of the end. Fitted to the volumes that the default model was trained on, after
    /// one to six annotated slices.
    fn calibration(self) -> [f32; 2] {
        match self {
            Place::Open => [0.0, 1.0],
            Place::Closed => [0.95, 0.95],
            Place::Empty => [-0.05, 0.42],
        }
    }

    fn read(self, quality: f32) -> f32 {
        let [shift, factor] = self.calibration();
        let quality = quality.clamp(1e-4, 1.0 - 1e-4);
        let logit = (quality / (1.0 - quality)).ln();
        1.0 / (1.0 + (-(shift + factor * logit)).exp())
    }
}

/// Least doubt about the end right beyond a mask; it halves with every diameter of the target. Fitted like the calibration.
const LEAST_DOUBT: f32 = 0.15;

/// The qualities that slices are expected to have, from what the quality head says of them. Those of which nothing is known (0)
/// stay as they are, and those whose annotated neighbours all say that the target is not there. `spacing` is the distance of slices in
/// diameters of the target.
///
/// # Shapes
/// `quality`, `areas` and `annotated`: one entry a slice / the same.
pub(crate) fn calibrated(quality: &[f32], areas: &[usize], annotated: &[bool], spacing: f32) -> Vec<f32> {
    let masks = around(&areas.iter().map(|&a| a > 0).collect::<Vec<_>>());
    let end = |k: usize| {
        let steps = masks[k].into_iter().flatten().map(|j| j.abs_diff(k)).min();
        1.0 - steps.map_or(0.0, |steps| LEAST_DOUBT * 0.5f32.powf(steps as f32 * spacing))
    };
    let place = |k: usize, ends: [Option<usize>; 2]| match ends.map(|end| end.is_some_and(|j| areas[j] > 0)) {
        [false, false] => None,
        _ if areas[k] == 0 => Some(Place::Empty),
        [true, true] => Some(Place::Closed),
        _ => Some(Place::Open),
    };
    let read = |(k, ends): (usize, [Option<usize>; 2])| match place(k, ends) {
        Some(place) if quality[k] > 0.0 && !annotated[k] => match place {
            Place::Empty => place.read(quality[k]).min(end(k)),
            _ => place.read(quality[k]),
        },
        _ => quality[k],
    };
    around(annotated).into_iter().enumerate().map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn qualities_are_read_by_their_place() {
        let quality = [0.0, 1.0, 1.0, 0.5, 0.5, 1.0, 0.5, 1.0, 0.5, 1.0, 0.5];
        let areas = [0, 0, 0, 9, 0, 9, 9, 9, 0, 0, 0];
        let annotated = [false, false, false, false, false, true, false, true, false, true, false];
        let sure = |logit: f32| 1.0 / (1.0 + (-logit).exp());
        // Unknown; empty, two and one slice (half a diameter) beyond the last mask; open; empty; annotated; closed; annotated; empty before
        // an annotated slice without target; annotated; beyond it.
        let ends = [1.0 - 0.15 * 0.5, 1.0 - 0.15 * 0.5f32.sqrt()];
        let expected = [0.0, ends[0], ends[1], 0.5, sure(-0.05), 1.0, sure(0.95), 1.0, sure(-0.05), 1.0, 0.5];
        let got = calibrated(&quality, &areas, &annotated, 0.5);
        assert!(got.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6), "{got:?}");
    }
}
