//! Segmentations of 3D Slicer (`.seg.nrrd`): labels, with names and colours in the header. Segments that overlap lie in
//! several layers.

use super::nrrd::{directions, read_raw, vector};
use crate::atomic_file;
use crate::error::{Error, Result};
use crate::volume::{Geometry, Volume};
use flate2::{Compression, write::GzEncoder};
use std::io::Write;
use std::path::Path;

/// One segment.
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

/// One segment for each label of a label volume, named after its number.
///
/// # Errors
/// [`Error::InvalidArgument`] when values are not whole numbers from 0 to 65535, or there are more than 1000 of them.
pub fn segments_of_labels(labels: &Volume) -> Result<Vec<Segment>> {
    let n = labels.data().len();
    let mut numbers = std::collections::BTreeSet::new();
    for i in 0..n {
        let v = labels.data().get(i);
        if v.fract() != 0.0 || !(0.0..=65535.0).contains(&v) {
            return Err(Error::argument(format!("value {v} is no label; labels are whole numbers from 0 to 65535")));
        }
        numbers.insert(v as u32);
        if numbers.len() > 1000 {
            return Err(Error::argument("this has more than 1000 different values; it is no label volume"));
        }
    }
    let segment = |number: u32| Segment {
        number,
        name: format!("Segment {number}"),
        color: default_color(number),
        mask: (0..n).map(|i| u8::from(labels.data().get(i) == f64::from(number))).collect(),
    };
    Ok(numbers.into_iter().filter(|&n| n > 0).map(segment).collect())
}

/// Writes segments.
///
/// # Errors
/// [`Error::InvalidArgument`] for a mask of another size, a segment number that is 0, above 65535 or used twice;
/// [`Error::Io`] when it cannot be written.
pub fn write(path: &Path, shape: [usize; 3], geometry: &Geometry, segments: &[Segment]) -> Result<()> {
    check(shape.iter().product(), segments)?;
    let layers = Layers::of(shape, segments);
    atomic_file::write(path, |out| {
        layers.write_header(out, geometry, segments)?;
        layers.write_voxels(out)
    })
}

/// Refuses segments that cannot be written; `n`: voxels of the volume.
fn check(n: usize, segments: &[Segment]) -> Result<()> {
    for (i, s) in segments.iter().enumerate() {
        if s.mask.len() != n {
            return Err(Error::argument(format!("segment {} has {} voxels, must have {n}", s.number, s.mask.len())));
        }
        if s.number == 0 || s.number > 65535 || segments[..i].iter().any(|o| o.number == s.number) {
            return Err(Error::argument(format!("segment number {} is 0, too large or used twice", s.number)));
        }
    }
    Ok(())
}

/// Label volumes in which no two segments overlap.
struct Layers {
    shape: [usize; 3],
    /// Labels, each `[depth, height, width]`.
    labels: Vec<Vec<u16>>,
    /// The layer of each segment.
    of_segment: Vec<usize>,
    /// Whether labels need two bytes.
    wide: bool,
}

impl Layers {
    /// Each segment goes to the first layer where it overlaps nothing.
    fn of(shape: [usize; 3], segments: &[Segment]) -> Layers {
        let n = shape.iter().product();
        let mut labels: Vec<Vec<u16>> = vec![vec![0; n]];
        let mut of_segment = Vec::new();
        for s in segments {
            let free = |layer: &Vec<u16>| !layer.iter().zip(&s.mask).any(|(&l, &m)| l != 0 && m != 0);
            let layer = labels.iter().position(free).unwrap_or_else(|| {
                labels.push(vec![0; n]);
                labels.len() - 1
            });
            labels[layer].iter_mut().zip(&s.mask).filter(|(_, m)| **m != 0).for_each(|(l, _)| *l = s.number as u16);
            of_segment.push(layer);
        }
        Layers { shape, labels, of_segment, wide: segments.iter().any(|s| s.number > 255) }
    }

    /// Writes the header; its fields are those of 3D Slicer.
    fn write_header(&self, out: &mut dyn Write, geometry: &Geometry, segments: &[Segment]) -> std::io::Result<()> {
        let [depth, height, width] = self.shape;
        let count = self.labels.len();
        writeln!(out, "NRRD0004\ntype: {}", if self.wide { "uint16" } else { "uint8" })?;
        writeln!(out, "dimension: {}\nspace: left-posterior-superior", if count > 1 { 4 } else { 3 })?;
        let (list, none, kind) = if count > 1 { (format!("{count} "), "none ", "list ") } else { Default::default() };
        writeln!(out, "sizes: {list}{width} {height} {depth}")?;
        writeln!(out, "space directions: {none}{}", directions(geometry))?;
        writeln!(out, "kinds: {kind}domain domain domain\nendian: little\nencoding: gzip")?;
        writeln!(out, "space origin: {}", vector(geometry.origin_mm))?;
        for (i, (s, layer)) in segments.iter().zip(&self.of_segment).enumerate() {
            let [r, g, b] = s.color;
            writeln!(out, "Segment{i}_Color:={r} {g} {b}\nSegment{i}_ColorAutoGenerated:=0")?;
            writeln!(out, "Segment{i}_Extent:={}", extent(&s.mask, self.shape))?;
            writeln!(out, "Segment{i}_ID:=Segment_{}", s.number)?;
            writeln!(out, "Segment{i}_LabelValue:={}\nSegment{i}_Layer:={layer}", s.number)?;
            let name: String = s.name.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
            writeln!(out, "Segment{i}_Name:={name}\nSegment{i}_NameAutoGenerated:=0\nSegment{i}_Tags:=|")?;
        }
        writeln!(out, "Segmentation_ContainedRepresentationNames:=Binary labelmap|")?;
        writeln!(out, "Segmentation_ReferenceImageExtentOffset:=0 0 0")?;
        writeln!(out, "Segmentation_SourceRepresentation:=Binary labelmap\n")
    }

    /// Writes the labels, gzip; the layer is the fastest axis.
    fn write_voxels(&self, out: &mut dyn Write) -> std::io::Result<()> {
        let [_, _, width] = self.shape;
        let n: usize = self.shape.iter().product();
        let mut zipped = GzEncoder::new(out, Compression::default());
        let mut row = Vec::with_capacity(width * self.labels.len() * 2);
        for start in (0..n).step_by(width) {
            row.clear();
            for i in start..start + width {
                for layer in &self.labels {
                    let bytes = layer[i].to_le_bytes();
                    row.extend_from_slice(if self.wide { &bytes } else { &bytes[..1] });
                }
            }
            zipped.write_all(&row)?;
        }
        zipped.finish().map(drop)
    }
}

/// First and last index along width, height and depth; an empty mask has a last before the first.
fn extent(mask: &[u8], [_, height, width]: [usize; 3]) -> String {
    let mut range: Option<[(usize, usize); 3]> = None;
    for i in (0..mask.len()).filter(|&i| mask[i] != 0) {
        let at = [i % width, i / width % height, i / width / height];
        let r = range.get_or_insert(at.map(|v| (v, v)));
        for (r, v) in r.iter_mut().zip(at) {
            *r = (r.0.min(v), r.1.max(v));
        }
    }
    match range {
        Some([x, y, z]) => format!("{} {} {} {} {} {}", x.0, x.1, y.0, y.1, z.0, z.1),
        None => "0 -1 0 -1 0 -1".into(),
    }
}

/// Reads segments, their shape and geometry; a plain label volume gives one segment a label.
///
/// # Errors
/// [`Error::Io`] when it cannot be read, [`Error::BadFile`] when it cannot be used.
pub fn read(path: &Path) -> Result<([usize; 3], Geometry, Vec<Segment>)> {
    let (header, data) = read_raw(path)?;
    let parse = || -> std::result::Result<_, String> {
        let sizes = header.sizes()?;
        let (count, shape) = match sizes[..] {
            [w, h, d] => (1, [d, h, w]),
            [l, w, h, d] => (l, [d, h, w]),
            _ => return Err(format!("the file has {} dimensions, must have 3 or 4", sizes.len())),
        };
        let geometry = header.geometry()?;
        let n: usize = shape.iter().product();
        if !header.pairs.contains_key("Segment0_ID") {
            let labels = Volume::new(shape, data.clone(), geometry.clone()).map_err(|e| e.to_string())?;
            return Ok((shape, geometry, segments_of_labels(&labels).map_err(|e| e.to_string())?));
        }
        let mut segments = Vec::new();
        for i in (0..).take_while(|i| header.pairs.contains_key(&format!("Segment{i}_ID"))) {
            let pair = |name: &str| header.pairs.get(&format!("Segment{i}_{name}")).map(|s| s.trim());
            let number = pair("LabelValue").and_then(|v| v.parse().ok()).unwrap_or(i as u32 + 1);
            let layer: usize = pair("Layer").and_then(|v| v.parse().ok()).unwrap_or(0);
            if layer >= count {
                return Err(format!("Segment{i}_Layer is {layer}, but there are {count} layers"));
            }
            let color: Vec<f64> = pair("Color")
                .map(|c| c.split_whitespace().filter_map(|v| v.parse().ok()).collect())
                .unwrap_or_default();
            segments.push(Segment {
                number,
                name: pair("Name").unwrap_or("Segment").to_string(),
                color: <[f64; 3]>::try_from(color).unwrap_or(default_color(number)),
                mask: (0..n).map(|v| u8::from(data.get(v * count + layer) == f64::from(number))).collect(),
            });
        }
        Ok((shape, geometry, segments))
    };
    parse().map_err(|reason| Error::bad_file(path, reason))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(number: u32, name: &str, mask: &[u8]) -> Segment {
        Segment { number, name: name.into(), color: default_color(number), mask: mask.to_vec() }
    }

    #[test]
    fn segments_come_back_also_when_they_overlap() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.seg.nrrd");
        let a = segment(1, "liver", &[1, 1, 0, 0, 0, 0]);
        let apart = segment(300, "tumour, left", &[0, 0, 0, 0, 1, 1]);
        let over = segment(2, "vessel", &[0, 1, 1, 0, 0, 0]);
        let g = Geometry { spacing_mm: [3.0, 2.0, 1.0], ..Geometry::default() };
        for segments in [vec![a.clone(), apart.clone()], vec![a, over, apart]] {
            write(&path, [1, 2, 3], &g, &segments).unwrap();
            let (shape, geometry, back) = read(&path).unwrap();
            assert_eq!((shape, &geometry, &back), ([1, 2, 3], &g, &segments));
        }
        let text = String::from_utf8_lossy(&std::fs::read(&path).unwrap()).into_owned();
        assert!(text.contains("sizes: 2 3 2 1") && text.contains("Segment1_Layer:=1"));
        // Voxels 1 and 2: columns 1 to 2 of row 0.
        assert!(text.contains("Segment1_Extent:=1 2 0 0 0 0"));
    }

    #[test]
    fn what_is_no_segmentation_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.seg.nrrd");
        let g = Geometry::default();
        let twice = [segment(1, "a", &[1]), segment(1, "b", &[1])];
        assert!(write(&path, [1, 1, 1], &g, &twice).is_err());
        assert!(write(&path, [1, 1, 2], &g, &twice[..1]).is_err());
        assert!(!path.exists());
        let half = Volume::new([1, 1, 1], crate::volume::VoxelData::F32(vec![0.5]), g).unwrap();
        assert!(segments_of_labels(&half).unwrap_err().to_string().contains("no label"));
    }
}
