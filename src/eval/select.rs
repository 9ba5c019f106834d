//! Selection of the slice to correct next.

use super::metrics::{iou, slice_of};
use super::protocol::Selection;
use super::target::{SEGMENT, Target};
use crate::engine::Session;
use crate::engine::suggest::gain::expected_gain;
use crate::error::Result;
use crate::volume::SliceAxis;
use rand::Rng;
use rand_chacha::ChaCha8Rng;

/// The state after a round, input of the selections.
pub(crate) struct RoundState<'a> {
    pub session: &'a Session,
    pub target: &'a Target<'a>,
    pub axis: SliceAxis,
    /// The mask, 0 or 1.
    pub mask: &'a [u8],
    /// Slices of `axis` that are annotated.
    pub annotated: &'a [bool],
}

impl RoundState<'_> {
    fn shape(&self) -> [usize; 3] {
        self.target.volume.shape()
    }

    fn free(&self) -> impl Iterator<Item = usize> {
        (0..self.annotated.len()).filter(|&k| !self.annotated[k])
    }

    /// Mean binary entropy of the probabilities of each slice, bits.
    fn entropies(&self) -> Result<Vec<f64>> {
        let mut probability = vec![0f32; self.mask.len()];
        self.session.read_probability(SEGMENT, &mut probability)?;
        let (rows, cols) = self.axis.slice_shape(self.shape());
        let (along, row, col) = self.axis.strides(self.shape());
        let entropy = |p: f32| {
            let p = f64::from(p);
            if p <= 0.0 || p >= 1.0 { 0.0 } else { -p * p.log2() - (1.0 - p) * (1.0 - p).log2() }
        };
        let mean = |k: usize| {
            let pixels = (0..rows).flat_map(|r| (0..cols).map(move |c| k * along + r * row + c * col));
            pixels.map(|i| entropy(probability[i])).sum::<f64>() / (rows * cols) as f64
        };
        Ok((0..self.annotated.len()).map(mean).collect())
    }
}

/// True figures of a slice.
struct Truth {
    /// IoU of its mask.
    iou: f64,
    /// Area of the target, pixels.
    area: usize,
    /// Whether it has target or mask.
    shown: bool,
}

/// The next slice by `selection`; `None` when all are annotated. Of equals the lowest.
///
/// # Errors
/// As the session's.
pub(crate) fn choose(selection: Selection, state: &RoundState, rng: &mut ChaCha8Rng) -> Result<Option<usize>> {
    let (shape, axis) = (state.shape(), state.axis);
    let slices = 0..state.annotated.len();
    let largest = |values: &[f64]| {
        state.free().fold(None, |best: Option<usize>, k| best.filter(|&b| values[k] <= values[b]).or(Some(k)))
    };
    let truth = |k: usize| {
        let (m, r) = (slice_of(state.mask, shape, axis, k), slice_of(&state.target.reference, shape, axis, k));
        Truth { iou: iou(&m.data, &r.data), area: r.area(), shown: m.area() + r.area() > 0 }
    };
    Ok(match selection {
        Selection::Quality => {
            let suggested = state.session.suggest_slice(Some(SEGMENT))?;
            suggested.filter(|s| s.axis == axis).map(|s| s.slice)
        }
        Selection::LowestQuality => {
            let quality = state.session.quality(SEGMENT, axis)?;
            largest(&quality.iter().map(|&q| -f64::from(q)).collect::<Vec<_>>())
        }
        Selection::Random => {
            // A slice with neither target nor mask has no error.
            let shown: Vec<usize> = state.free().filter(|&k| truth(k).shown).collect();
            let from = if shown.is_empty() { state.free().collect() } else { shown };
            (!from.is_empty()).then(|| from[rng.gen_range(0..from.len())])
        }
        Selection::Oracle => largest(&slices.map(|k| -truth(k).iou).collect::<Vec<_>>()),
        Selection::OracleGain => {
            let (ious, areas): (Vec<f32>, Vec<usize>) = slices.map(|k| (truth(k).iou as f32, truth(k).area)).unzip();
            largest(&expected_gain(&ious, &areas, state.annotated))
        }
        Selection::Uncertainty => largest(&state.entropies()?),
    })
}
