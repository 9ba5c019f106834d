//! Segmentations: label volumes in one or several layers, with names and colours, whatever file they come from.

use super::source::reserve;
use crate::error::{Error, Result};
use crate::volume::{Geometry, Volume, VoxelData};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// One segment with a mask of its own.
#[derive(Debug, Clone, PartialEq)]
pub struct Segment {
    /// Label value, from 1 on.
    pub number: u32,
    /// Name shown to the user.
    pub name: String,
    /// Red, green, blue, 0..1.
    pub color: [f64; 3],
    /// `[depth, height, width]`, 0 outside, else inside.
    pub mask: Vec<u8>,
}

/// Colours for segments without one, distinguishable with colour blindness (the palette of Okabe and Ito, 2008).
const COLORS: [[u8; 3]; 7] =
    [[230, 159, 0], [86, 180, 233], [0, 158, 115], [240, 228, 66], [0, 114, 178], [213, 94, 0], [204, 121, 167]];

/// The default colour of segment `number`.
pub fn default_color(number: u32) -> [f64; 3] {
    COLORS[number.wrapping_sub(1) as usize % COLORS.len()].map(|c| f64::from(c) / 255.0)
}

/// Largest difference of a stored label from a whole number. Chosen: labels up to a few hundred that were stored as
/// scaled integers of 16 bits differ by less; probabilities do not.
const WHOLE: f64 = 0.01;

/// Most segments that a label volume without names is taken for. Chosen.
const MOST_LABELS: usize = 1000;

/// The label that a stored value stands for.
///
/// # Errors
/// [`Error::InvalidArgument`] with the value when it is none from 0 to 65535.
pub fn label_of(value: f64) -> Result<u16> {
    let whole = value.round();
    if (value - whole).abs() <= WHOLE && (0.0..=65535.0).contains(&whole) {
        return Ok(whole as u16);
    }
    Err(Error::argument(format!(
        "the value {value} is no label; labels are whole numbers from 0 to 65535: give a label volume, or write the \
         labels as integers"
    )))
}

/// The labels that stored values stand for.
///
/// # Errors
/// As [`label_of`]; [`Error::OutOfMemory`].
pub fn labels_of(data: &VoxelData) -> Result<Vec<u16>> {
    let mut labels = reserve(data.len()).map_err(|_| no_memory(data.len()))?;
    match data {
        VoxelData::U8(v) => labels.extend(v.iter().map(|&x| u16::from(x))),
        VoxelData::U16(v) => labels.extend_from_slice(v),
        other => {
            for i in 0..other.len() {
                labels.push(label_of(other.get(i))?);
            }
        }
    }
    Ok(labels)
}

/// What a segment of a segmentation is.
#[derive(Debug, Clone, PartialEq)]
pub struct SegmentInfo {
    /// Number by which it is chosen: its label where each segment has its own, else its place in the file, from 1 on.
    pub number: u32,
    /// Name shown to the user.
    pub name: String,
    /// Red, green, blue, 0..1.
    pub color: [f64; 3],
    /// Terminology and other tags, as 3D Slicer writes them.
    pub tags: String,
    /// The layer that holds it.
    pub layer: usize,
    /// Its label in that layer.
    pub value: u16,
}

/// One segment of a segmentation, by number or name.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
#[serde(untagged)]
pub enum Choice {
    /// By number.
    Number(u32),
    /// By name.
    Name(String),
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Choice::Number(number) => number.fmt(f),
            Choice::Name(name) => name.fmt(f),
        }
    }
}

impl std::str::FromStr for Choice {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> std::result::Result<Self, Self::Err> {
        Ok(text.parse().map_or_else(|_| Choice::Name(text.into()), Choice::Number))
    }
}

/// A segmentation.
#[derive(Debug, Clone, PartialEq)]
pub struct Segmentation {
    pub(super) shape: [usize; 3],
    pub(super) geometry: Geometry,
    /// Labels `[depth, height, width]`; segments of one layer do not overlap.
    pub(super) layers: Vec<Vec<u16>>,
    pub(super) segments: Vec<SegmentInfo>,
}

impl Segmentation {
    /// One segment for each label of a label volume, named after its number.
    ///
    /// # Errors
    /// As [`labels_of`]; [`Error::InvalidArgument`] for more than 1000 different labels.
    pub fn of_labels(volume: &Volume) -> Result<Self> {
        let labels = labels_of(volume.data())?;
        let mut found = BTreeSet::new();
        for run in labels.chunk_by(|a, b| a == b) {
            found.insert(run[0]);
            if found.len() > MOST_LABELS {
                return Err(Error::argument(format!(
                    "this has more than {MOST_LABELS} different values; give a label volume"
                )));
            }
        }
        let info = |value: u16| SegmentInfo {
            number: value.into(),
            name: format!("Segment {value}"),
            color: default_color(value.into()),
            tags: String::new(),
            layer: 0,
            value,
        };
        let segments = found.into_iter().filter(|&v| v > 0).map(info).collect();
        Ok(Segmentation { shape: volume.shape(), geometry: volume.geometry().clone(), layers: vec![labels], segments })
    }

    /// `[depth, height, width]`, voxels.
    pub fn shape(&self) -> [usize; 3] {
        self.shape
    }

    /// Position and orientation.
    pub fn geometry(&self) -> &Geometry {
        &self.geometry
    }

    /// The segments, in the order of the file.
    pub fn segments(&self) -> &[SegmentInfo] {
        &self.segments
    }

    /// Whether voxel `v` (flat, C order) belongs to segment `at` of [`Self::segments`].
    pub fn has(&self, at: usize, v: usize) -> bool {
        let info = &self.segments[at];
        self.layers[info.layer][v] == info.value
    }

    /// Mask of segment `at` of [`Self::segments`], 0 or 1.
    pub fn mask(&self, at: usize) -> Vec<u8> {
        let info = &self.segments[at];
        self.layers[info.layer].iter().map(|&l| u8::from(l == info.value)).collect()
    }

    /// The index in [`Self::segments`] of the chosen one.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`], listing what there is.
    pub fn find(&self, choice: &Choice) -> Result<usize> {
        let is_it = |s: &SegmentInfo| match choice {
            Choice::Number(number) => s.number == *number,
            Choice::Name(name) => s.name == *name,
        };
        let found: Vec<usize> = (0..self.segments.len()).filter(|&i| is_it(&self.segments[i])).collect();
        match found[..] {
            [at] => Ok(at),
            [] => Err(Error::argument(format!("there is no segment {choice}; there {}", self.listed()))),
            _ => Err(Error::argument(format!("several segments are called {choice}; there {}", self.listed()))),
        }
    }

    /// The segments in words.
    fn listed(&self) -> String {
        let names: Vec<String> =
            self.segments.iter().take(12).map(|s| format!("{} \"{}\"", s.number, s.name)).collect();
        match self.segments.len() {
            0 => "are none".into(),
            n if n > names.len() => format!("are {} and {} more", names.join(", "), n - names.len()),
            _ => format!("are {}", names.join(", ")),
        }
    }

    /// Voxels in more than one segment.
    pub fn overlap(&self) -> usize {
        // Segments for each label, by layer; two of one layer may have one label.
        let mut known = vec![BTreeMap::<u16, usize>::new(); self.layers.len()];
        for s in &self.segments {
            *known[s.layer].entry(s.value).or_default() += 1;
        }
        if known.len() < 2 && known.iter().all(|labels| labels.values().all(|count| *count < 2)) {
            return 0;
        }
        let is_in = |v: usize| self.layers.iter().zip(&known).filter_map(|(l, known)| known.get(&l[v])).sum::<usize>();
        (0..self.layers[0].len()).filter(|v| is_in(*v) > 1).count()
    }

    /// One label a voxel: the segments' numbers.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] where segments overlap.
    pub fn labels(&self) -> Result<Volume> {
        let overlap = self.overlap();
        if overlap > 0 {
            return Err(Error::argument(format!(
                "segments overlap in {overlap} voxels ({} layers), and there is one label a voxel; there {}: name one \
                 of them, keep .seg.nrrd, or in 3D Slicer remove the overlap",
                self.layers.len(),
                self.listed()
            )));
        }
        let mut labels = vec![0u16; self.layers[0].len()];
        for (layer, values) in self.layers.iter().enumerate() {
            let numbers: BTreeMap<u16, u16> = self
                .segments
                .iter()
                .filter(|s| s.layer == layer)
                .map(|s| (s.value, u16::try_from(s.number).unwrap_or(s.value)))
                .collect();
            for (label, value) in labels.iter_mut().zip(values).filter(|(_, value)| **value != 0) {
                if let Some(number) = numbers.get(value) {
                    *label = *number;
                }
            }
        }
        let data = match labels.iter().max() {
            Some(&most) if most > 255 => VoxelData::U16(labels),
            _ => VoxelData::U8(labels.iter().map(|&l| l as u8).collect()),
        };
        Volume::new(self.shape, data, self.geometry.clone())
    }

    /// The segmentation on the grid of a volume of which its own grid is a part, moved by whole voxels: 3D Slicer cuts
    /// what it saves to the extent of the segments.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] when it lies on another grid, or a segment reaches out of the volume.
    pub fn placed_on(self, shape: [usize; 3], geometry: &Geometry) -> Result<Self> {
        let offset = self.offset_on(shape, geometry)?;
        if self.shape == shape && offset == [0; 3] {
            return Ok(Segmentation { geometry: geometry.clone(), ..self });
        }
        let [depth, height, width] = self.shape;
        let n: usize = shape.iter().product();
        let mut layers = Vec::new();
        for layer in &self.layers {
            let mut placed: Vec<u16> = reserve(n).map_err(|_| no_memory(n))?;
            placed.resize(n, 0);
            for (v, &label) in layer.iter().enumerate().filter(|(_, label)| **label != 0) {
                let at = [v / width / height % depth, v / width % height, v % width];
                let to = [0, 1, 2].map(|k| at[k] as i64 + offset[k]);
                if (0..3).any(|k| to[k] < 0 || to[k] >= shape[k] as i64) {
                    return Err(Error::argument(
                        "a segment reaches out of the volume; give the segmentation of this volume",
                    ));
                }
                placed[(to[0] as usize * shape[1] + to[1] as usize) * shape[2] + to[2] as usize] = label;
            }
            layers.push(placed);
        }
        Ok(Segmentation { shape, geometry: geometry.clone(), layers, segments: self.segments })
    }

    /// What its grid has otherwise than a volume's, in words.
    fn what_differs(&self, geometry: &Geometry) -> &'static str {
        let (own, other) = (&self.geometry, geometry);
        let cosine = |a: usize, b: usize| (0..3).map(|k| own.direction[a][k] * other.direction[b][k]).sum::<f64>();
        let is_along = |a: usize| (0..3).any(|b| cosine(a, b).abs() > 0.999);
        let near = |a: f64, b: f64| (a - b).abs() <= 1e-3 * b;
        if (0..3).all(|a| cosine(a, a) > 0.999) {
            match (0..3).all(|a| near(own.spacing_mm[a], other.spacing_mm[a])) {
                true => "the origins differ",
                false => "the distances of voxels differ",
            }
        } else if (0..3).all(is_along) {
            "its axes are flipped or in another order"
        } else {
            "its axes point in other directions"
        }
    }

    /// Voxels from the first of a volume's grid to the first of this one, `[depth, height, width]`.
    fn offset_on(&self, shape: [usize; 3], geometry: &Geometry) -> Result<[i64; 3]> {
        let index = geometry.index_of_lps(self.geometry.origin_mm)?;
        let offset = index.map(|v| v.round().clamp(-1e9, 1e9) as i64);
        let moved = Geometry { origin_mm: geometry.position_lps(offset.map(|v| v as f64)), ..geometry.clone() };
        let apart = moved.apart(&self.geometry, self.shape);
        let same_shape = self.shape == shape;
        if apart <= 0.5 * geometry.finest_mm() && !(same_shape && offset != [0; 3]) {
            return Ok(offset);
        }
        let apart = if same_shape { self.geometry.apart(geometry, shape) } else { apart };
        let what = self.what_differs(geometry);
        Err(Error::argument(match same_shape {
            true => format!(
                "it has another place than the volume: voxels lie up to {apart:.2} mm apart, since {what}; give labels \
                 on the volume's grid"
            ),
            false => format!(
                "its grid is no part of the volume's: its shape is {:?}, the volume's {shape:?} (depth, height, \
                 width), and voxels lie up to {apart:.2} mm beside those of the volume, since {what}; give labels on \
                 the volume's grid (3D Slicer: export the segmentation with the volume as reference)",
                self.shape
            ),
        }))
    }
}

pub(super) fn no_memory(n: usize) -> Error {
    Error::OutOfMemory(format!("not enough memory for {n} labels; close other programs"))
}

/// Numbers of segments: their labels where each has its own, else their places.
pub(super) fn number(segments: &mut [SegmentInfo]) {
    let values: BTreeSet<u16> = segments.iter().map(|s| s.value).collect();
    let are_own = values.len() == segments.len() && !values.contains(&0);
    for (i, segment) in segments.iter_mut().enumerate() {
        segment.number = if are_own { segment.value.into() } else { i as u32 + 1 };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn volume(shape: [usize; 3], data: VoxelData, origin_mm: [f64; 3]) -> Volume {
        Volume::new(shape, data, Geometry { origin_mm, ..Geometry::default() }).unwrap()
    }

    #[test]
    fn labels_near_whole_numbers_are_labels_and_others_are_named() {
        // A label 1 that was stored as a scaled integer.
        let scaled = volume([1, 1, 4], VoxelData::F32(vec![0.0, 1.000_015_3, 1.999_98, 0.0]), [0.0; 3]);
        let found = Segmentation::of_labels(&scaled).unwrap();
        assert_eq!(found.segments().iter().map(|s| s.number).collect::<Vec<_>>(), [1, 2]);
        assert_eq!(found.mask(0), [0, 1, 0, 0]);
        for bad in [0.5, -1.0, 65536.0, f32::NAN, f32::INFINITY] {
            let text = Segmentation::of_labels(&volume([1, 1, 1], VoxelData::F32(vec![bad]), [0.0; 3])).unwrap_err();
            assert!(text.to_string().contains("no label"), "{text}");
        }
        let many = VoxelData::U16((0..1002).collect());
        assert!(Segmentation::of_labels(&volume([1, 1, 1002], many, [0.0; 3])).is_err());
    }

    #[test]
    fn a_part_of_the_grid_is_placed_by_whole_voxels() {
        // Width 1 and height 2 further: to the left and to the back.
        let cut = volume([1, 1, 2], VoxelData::U8(vec![7, 0]), [11.0, 22.0, 30.0]);
        let on = Geometry { origin_mm: [10.0, 20.0, 30.0], ..Geometry::default() };
        let placed = Segmentation::of_labels(&cut).unwrap().placed_on([1, 3, 3], &on).unwrap();
        assert_eq!(placed.mask(0), [0, 0, 0, 0, 0, 0, 0, 1, 0]);
        assert_eq!(placed.geometry(), &on);
        // What reaches out of the volume is empty, or refused.
        let reaches = |labels| {
            let large = volume([1, 1, 2], VoxelData::U8(labels), [12.0, 20.0, 30.0]);
            Segmentation::of_labels(&large).unwrap().placed_on([1, 3, 3], &on)
        };
        assert_eq!(reaches(vec![7, 0]).unwrap().mask(0), [0, 0, 1, 0, 0, 0, 0, 0, 0]);
        assert!(reaches(vec![7, 7]).unwrap_err().to_string().contains("reaches out"));
        // 0.4 voxels along each axis: between the voxels.
        let half = volume([1, 1, 2], VoxelData::U8(vec![7, 0]), [11.4, 22.4, 30.4]);
        let text = Segmentation::of_labels(&half).unwrap().placed_on([1, 3, 3], &on).unwrap_err().to_string();
        assert!(text.contains("no part of the volume's") && text.contains("the origins differ"), "{text}");
        let refusal = |geometry: Geometry| {
            let labels = Volume::new([1, 3, 3], VoxelData::U8(vec![1; 9]), geometry).unwrap();
            Segmentation::of_labels(&labels).unwrap().placed_on([1, 3, 3], &on).unwrap_err().to_string()
        };
        let mut flipped = on.clone();
        flipped.direction[2] = [-1.0, 0.0, 0.0];
        let text = refusal(flipped);
        assert!(text.contains("its axes are flipped or in another order"), "{text}");
        let text = refusal(Geometry { spacing_mm: [1.0, 1.0, 3.0], ..on.clone() });
        assert!(text.contains("the distances of voxels differ"), "{text}");
    }

    #[test]
    fn segments_are_found_by_number_and_name() {
        let two = Segmentation::of_labels(&volume([1, 1, 3], VoxelData::U8(vec![3, 0, 5]), [0.0; 3])).unwrap();
        assert_eq!(two.find(&Choice::Number(5)).unwrap(), 1);
        assert_eq!(two.find(&"Segment 3".parse().unwrap()).unwrap(), 0);
        let text = two.find(&Choice::Number(1)).unwrap_err().to_string();
        assert!(text.contains("3 \"Segment 3\"") && text.contains("5 \"Segment 5\""), "{text}");
        assert_eq!(two.labels().unwrap().data(), &VoxelData::U8(vec![3, 0, 5]));
    }
}
