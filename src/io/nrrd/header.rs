//! The header of an NRRD file: its fields, what its axes are, and where it lies.

use crate::io::bytes::Scalar;
use crate::io::placement::{Known, NO_ORIENTATION, Placement};
use crate::io::source::{Parsed, Source, Trouble, header_line};
use crate::volume::{Geometry, check_shape};
use std::collections::{BTreeMap, BTreeSet};

/// Largest header that is read, bytes. Chosen: one of a segmentation with a thousand segments has about 300 kB.
pub(super) const MOST_HEADER: u64 = 16 << 20;

/// Fields that are used.
const USED: [&str; 17] = [
    "type",
    "dimension",
    "sizes",
    "spacings",
    "space",
    "space dimension",
    "space directions",
    "space origin",
    "axis mins",
    "axismins",
    "centers",
    "centerings",
    "endian",
    "encoding",
    "kinds",
    "space units",
    "units",
];
/// Fields that change nothing here, or only where the data begin.
const HARMLESS: [&str; 19] = [
    "content",
    "number",
    "thicknesses",
    "labels",
    "min",
    "max",
    "sample units",
    "sampleunits",
    "measurement frame",
    "line skip",
    "lineskip",
    "byte skip",
    "byteskip",
    "data file",
    "datafile",
    "axis maxs",
    "axismaxs",
    "block size",
    "blocksize",
];
/// Fields of quantised values.
const WARNED: [&str; 4] = ["old min", "old max", "oldmin", "oldmax"];

/// Header of an NRRD file.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Header {
    /// Fields (`name: value`), names in lower case.
    pub fields: BTreeMap<String, String>,
    /// Key/value pairs (`key:=value`).
    pub pairs: BTreeMap<String, String>,
    /// Lines after `data file: LIST`.
    pub(super) listed: Vec<String>,
}

/// The axes of a file: those of space, and one more at most.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Axes {
    /// `[depth, height, width]`
    pub shape: [usize; 3],
    /// The file's axes that are depth, height and width.
    place: [usize; 3],
    /// Entries of the axis that is none of space: layers, times, colours; 1 without one.
    pub layers: usize,
    /// Values between neighbouring layers.
    stride: usize,
    /// What that axis is.
    pub(super) kind: String,
}

impl Axes {
    /// Offset of voxel `v` of layer `layer`.
    pub fn offset(&self, v: usize, layer: usize) -> usize {
        v / self.stride * self.stride * self.layers + layer * self.stride + v % self.stride
    }
}

impl Header {
    /// Whether this is a segmentation of 3D Slicer.
    pub fn is_segmentation(&self) -> bool {
        !self.segments().is_empty()
    }

    /// The numbers N of its keys `SegmentN_...`, ascending.
    pub fn segments(&self) -> Vec<usize> {
        let number = |key: &String| key.strip_prefix("Segment")?.split_once('_')?.0.parse().ok();
        let numbers: BTreeSet<usize> = self.pairs.keys().filter_map(number).collect();
        numbers.into_iter().collect()
    }

    pub(super) fn get(&self, names: &[&str]) -> Option<&str> {
        names.iter().find_map(|n| self.fields.get(*n)).map(|s| s.as_str())
    }

    pub(super) fn need(&self, name: &str) -> Parsed<&str> {
        self.get(&[name]).ok_or_else(|| format!("the header has no field \"{name}\"; write the file again").into())
    }

    pub(super) fn sizes(&self) -> Parsed<Vec<usize>> {
        let text = self.need("sizes")?;
        let sizes: Option<Vec<usize>> = text.split_whitespace().map(|s| s.parse().ok()).collect();
        let sizes = sizes.filter(|s| !s.is_empty()).ok_or_else(|| format!("field \"sizes\" is \"{text}\""))?;
        let dimension: usize = self.need("dimension")?.parse().map_err(|_| "field \"dimension\" is no number")?;
        if dimension != sizes.len() || dimension > 16 {
            return Err(format!("\"dimension\" is {dimension}, but \"sizes\" has {} numbers", sizes.len()).into());
        }
        Ok(sizes)
    }

    /// Which axes are those of space, by their kinds and directions.
    pub fn axes(&self) -> Parsed<Axes> {
        let sizes = self.sizes()?;
        let kinds: Vec<String> =
            self.get(&["kinds"]).unwrap_or_default().split_whitespace().map(str::to_lowercase).collect();
        if !kinds.is_empty() && kinds.len() != sizes.len() {
            return Err(format!("field \"kinds\" has {} words, must have {}", kinds.len(), sizes.len()).into());
        }
        if sizes.len() < 3 {
            return Err(format!(
                "it is an image of {} dimensions, no volume of 3; give the volume that it is a slice of",
                sizes.len()
            )
            .into());
        }
        if sizes.contains(&0) {
            return Err(
                "field \"sizes\" has a 0: it holds no voxels, as an empty segmentation; draw, and save it again".into(),
            );
        }
        let vectors = self.directions()?;
        let is_place = |axis: usize| {
            let by_kind = kinds.get(axis).is_none_or(|k| ["domain", "space", "none", "???"].contains(&k.as_str()));
            by_kind && vectors.as_ref().is_none_or(|v| v.get(axis).is_some_and(Option::is_some))
        };
        let mut place: Vec<usize> = (0..sizes.len()).filter(|&a| is_place(a)).collect();
        // Without a word on it, an axis of one entry is none of space.
        while place.len() > 3 {
            let Some(at) = place.iter().position(|&a| sizes[a] == 1) else { break };
            place.remove(at);
        }
        let others: Vec<usize> = (0..sizes.len()).filter(|a| !place.contains(a)).collect();
        let kind_of = |a: usize| kinds.get(a).cloned().unwrap_or_else(|| "list".into());
        let &[x, y, z] = &place[..] else {
            let what: Vec<String> = others.iter().map(|&a| kind_of(a)).collect();
            return Err(match what[..] {
                [] => format!("the file has {} dimensions, must have 3; extract one volume from it first", sizes.len()),
                _ => format!(
                    "{} of its {} axes are axes of space, the others are {} (fields \"kinds\", \"space directions\"); \
                     a volume has 3: correct the header, or extract one volume first",
                    place.len(),
                    sizes.len(),
                    what.join(", ")
                ),
            }
            .into());
        };
        let shape = [sizes[z], sizes[y], sizes[x]];
        check_shape(shape)?;
        let layers =
            others.iter().try_fold(1usize, |n, &a| n.checked_mul(sizes[a])).ok_or("its sizes are too large")?;
        let many: Vec<usize> = others.into_iter().filter(|&a| sizes[a] != 1).collect();
        let (stride, kind) = match many[..] {
            [] => (1, String::new()),
            [a] => (sizes[..a].iter().product(), kind_of(a)),
            _ => return Err("several of its axes are none of space; extract one volume from it first".into()),
        };
        Ok(Axes { shape, place: [z, y, x], layers, stride, kind })
    }

    /// The numbers in a field, one for each of the file's axes.
    fn numbers(&self, names: &[&str], axes: usize) -> Parsed<Option<Vec<f64>>> {
        let Some(text) = self.get(names) else { return Ok(None) };
        let numbers: Option<Vec<f64>> = text.split_whitespace().map(|s| s.parse().ok()).collect();
        match numbers.filter(|n| n.len() == axes) {
            Some(numbers) => Ok(Some(numbers)),
            None => Err(format!("field \"{}\" is \"{text}\", must be {axes} numbers", names[0]).into()),
        }
    }

    /// Bytes or lines to pass over, 0 by default; `names`: the field's two spellings.
    pub(super) fn skip(&self, names: [&str; 2]) -> Parsed<i64> {
        let parse = |v: &str| v.parse().map_err(|_| format!("field \"{}\" is \"{v}\", no number", names[0]).into());
        self.get(&names).map_or(Ok(0), parse)
    }

    /// Whether values are big endian; the field is needed where they have several bytes.
    pub(super) fn is_big_endian(&self, scalar: Scalar) -> Parsed<bool> {
        match self.get(&["endian"]).map(str::to_lowercase).as_deref() {
            Some("big") => Ok(true),
            Some("little") => Ok(false),
            Some(other) => Err(format!("field \"endian\" is \"{other}\", must be little or big").into()),
            None if scalar.bytes() > 1 => Err("the header has no field \"endian\"; write the file again".into()),
            None => Ok(false),
        }
    }

    fn directions(&self) -> Parsed<Option<Vec<Option<[f64; 3]>>>> {
        self.get(&["space directions"]).map(|text| vectors(text, "space directions")).transpose()
    }

    /// Signs that bring the file's space to LPS.
    fn signs(&self, doubts: &mut Vec<String>) -> Parsed<[f64; 3]> {
        let Some(space) = self.get(&["space"]).map(|s| s.trim().to_lowercase()) else {
            if self.get(&["space directions", "space origin"]).is_some() {
                doubts.push("the header has directions but no \"space\" for them; LPS is taken, as by ITK".into());
            }
            return Ok([1.0; 3]);
        };
        match space.as_str() {
            "left-posterior-superior" | "lps" => Ok([1.0, 1.0, 1.0]),
            "right-anterior-superior" | "ras" => Ok([-1.0, -1.0, 1.0]),
            "left-anterior-superior" | "las" => Ok([1.0, -1.0, 1.0]),
            "scanner-xyz" | "3d-right-handed" | "3d-left-handed" => {
                doubts.push(format!(
                    "field \"space\" is \"{space}\", which does not tell left from right; LPS is taken, as by ITK"
                ));
                Ok([1.0; 3])
            }
            other => Err(format!("field \"space\" is \"{other}\"; write it as LPS, RAS or LAS without time").into()),
        }
    }

    /// Geometry of the axes of space, in LPS; `doubts` receives what a user should know.
    pub fn geometry(&self, axes: &Axes, doubts: &mut Vec<String>) -> Parsed<Geometry> {
        let signs = self.signs(doubts)?;
        self.warn_of_units(doubts);
        let placement = match self.directions()? {
            Some(vectors) => self.by_directions(axes, &vectors, signs)?,
            None => self.by_spacings(axes, signs)?,
        };
        placement.geometry(doubts)
    }

    fn by_directions(&self, axes: &Axes, vectors: &[Option<[f64; 3]>], signs: [f64; 3]) -> Parsed<Placement> {
        let dimension = self.sizes()?.len();
        if vectors.len() != dimension {
            return Err(
                format!("field \"space directions\" has {} vectors, must have {dimension}", vectors.len()).into()
            );
        }
        let mut doubts = Vec::new();
        if self.get(&["spacings"]).is_some() {
            doubts.push("fields \"spacings\" and \"space directions\" are both given; the latter is taken".into());
        }
        let (mut spacing, mut direction) = ([Known::Read(1.0); 3], [[0.0; 3]; 3]);
        for (axis, &at) in axes.place.iter().enumerate() {
            let Some(v) = vectors[at].map(|v| flip(v, signs)) else {
                return Err(format!("field \"space directions\" has no vector for axis {at}").into());
            };
            let length = v.iter().map(|c| c * c).sum::<f64>().sqrt();
            if !(length.is_finite() && length > 0.0) {
                return Err("a vector of \"space directions\" has no length; correct it".into());
            }
            (spacing[axis], direction[axis]) = (Known::Read(length), v.map(|c| c / length));
        }
        Ok(Placement { spacing, origin: self.origin(signs)?, direction: Known::Read(direction), doubts })
    }

    fn origin(&self, signs: [f64; 3]) -> Parsed<Known<[f64; 3]>> {
        let Some(text) = self.get(&["space origin"]) else {
            return Ok(Known::Guessed([0.0; 3], "the header has no \"space origin\"; 0 0 0 is taken, as by ITK"));
        };
        let [Some(origin)] = vectors(text, "space origin")?[..] else {
            return Err("field \"space origin\" must be one vector".into());
        };
        if origin.iter().any(|v| !v.is_finite()) {
            return Err(format!("field \"space origin\" is \"{text}\", which is no place; correct it").into());
        }
        Ok(Known::Read(flip(origin, signs)))
    }

    /// Of a header without directions: along the axes of LPS, as ITK lays it.
    fn by_spacings(&self, axes: &Axes, signs: [f64; 3]) -> Parsed<Placement> {
        let dimension = self.sizes()?.len();
        let spacings = self.numbers(&["spacings"], dimension)?;
        let spans = self.spans(axes)?;
        let mut spacing = [Known::Guessed(1.0, "the header gives no distances of voxels; 1 mm is taken"); 3];
        if let Some(given) = &spacings {
            for (known, &at) in spacing.iter_mut().zip(&axes.place) {
                let mm = given[at];
                let good = mm.is_finite() && mm > 0.0;
                *known = if good { Known::Read(mm) } else { Known::Missing("field \"spacings\" holds no distance") };
            }
        } else if let Some(spans) = spans {
            let why = "its distances are those by \"axis mins\" and \"axis maxs\", where ITK and 3D Slicer take 1 mm";
            spacing = spans.map(|mm| Known::Guessed(mm, why));
        }
        let default = Geometry::default();
        let origin = match self.get(&["space origin"]) {
            Some(_) => self.origin(signs)?,
            None => Known::Read(self.axis_mins(axes, spacing)?.unwrap_or(default.origin_mm)),
        };
        let direction = Known::Guessed(default.direction, NO_ORIENTATION);
        Ok(Placement { spacing, origin, direction, doubts: Vec::new() })
    }

    /// Distances by "axis mins" and "axis maxs", where both are given.
    fn spans(&self, axes: &Axes) -> Parsed<Option<[f64; 3]>> {
        let sizes = self.sizes()?;
        let mins = self.numbers(&["axis mins", "axismins"], sizes.len())?;
        let maxs = self.numbers(&["axis maxs", "axismaxs"], sizes.len())?;
        let (Some(mins), Some(maxs)) = (mins, maxs) else { return Ok(None) };
        let nodes = |a: usize| if self.is_node(a) { sizes[a] - 1 } else { sizes[a] };
        let mm = axes.place.map(|a| (maxs[a] - mins[a]) / nodes(a) as f64);
        Ok(mm.iter().all(|mm| mm.is_finite() && *mm > 0.0).then_some(mm))
    }

    /// Whether the samples of an axis are its nodes, and not the middles of its cells.
    fn is_node(&self, axis: usize) -> bool {
        let centers = self.get(&["centers", "centerings"]).unwrap_or_default();
        centers.split_whitespace().nth(axis) == Some("node")
    }

    /// Position of the first voxel by "axis mins", which are its centre or its lower edge.
    fn axis_mins(&self, axes: &Axes, spacing: [Known<f64>; 3]) -> Parsed<Option<[f64; 3]>> {
        let dimension = self.sizes()?.len();
        let Some(mins) = self.numbers(&["axis mins", "axismins"], dimension)? else { return Ok(None) };
        let [z, y, x] = axes.place;
        let at = |a: usize, mm: Known<f64>| {
            let to_centre = if self.is_node(a) { 0.0 } else { 0.5 };
            let min = if mins[a].is_finite() { mins[a] } else { 0.0 };
            min + to_centre * if let Known::Read(mm) | Known::Guessed(mm, _) = mm { mm } else { 1.0 }
        };
        Ok(Some([at(x, spacing[2]), at(y, spacing[1]), at(z, spacing[0])]))
    }

    /// Warns of units other than mm: ITK takes the numbers for millimetres.
    fn warn_of_units(&self, doubts: &mut Vec<String>) {
        for field in ["space units", "units"] {
            let units: Vec<&str> = self.get(&[field]).unwrap_or_default().split('"').skip(1).step_by(2).collect();
            let other = |u: &&&str| !["", "mm", "???", "none", "millimeter", "millimeters"].contains(&u.trim());
            if let Some(unit) = units.iter().find(other) {
                doubts.push(format!(
                    "field \"{field}\" names the unit \"{unit}\"; its numbers are taken as mm, as by ITK and 3D Slicer"
                ));
            }
        }
    }

    /// Warns of fields that are not known, or change the meaning of values.
    pub fn warn_of_fields(&self, doubts: &mut Vec<String>) {
        for name in self.fields.keys().map(String::as_str) {
            if WARNED.contains(&name) {
                doubts.push(format!("field \"{name}\": its values were quantised; they are taken as they are stored"));
            } else if !USED.contains(&name) && !HARMLESS.contains(&name) {
                doubts.push(format!("the header has the unknown field \"{name}\", which is passed over"));
            }
        }
    }
}

fn flip(v: [f64; 3], sign: [f64; 3]) -> [f64; 3] {
    [v[0] * sign[0], v[1] * sign[1], v[2] * sign[2]]
}

/// `(a,b,c) none (d,e,f)`
fn vectors(text: &str, field: &str) -> Parsed<Vec<Option<[f64; 3]>>> {
    let mut result = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix("none") {
            result.push(None);
            rest = after.trim_start();
            continue;
        }
        let (inside, after) = rest
            .strip_prefix('(')
            .and_then(|r| r.split_once(')'))
            .ok_or_else(|| format!("field \"{field}\" is \"{text}\", must be vectors like (1,0,0)"))?;
        let numbers: Option<Vec<f64>> = inside.split(',').map(|s| s.trim().parse().ok()).collect();
        match numbers.as_deref() {
            Some([a, b, c]) => result.push(Some([*a, *b, *c])),
            _ => return Err(format!("field \"{field}\" has the vector ({inside}), must have three numbers").into()),
        }
        rest = after.trim_start();
    }
    Ok(result)
}

/// A key or value as NRRD and ITK write it: `\n` is the end of a line, `\\` a backslash.
fn unescaped(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        match (c, rest.as_str().chars().next()) {
            ('\\', Some(next @ ('n' | '\\'))) => {
                rest.next();
                plain.push(if next == 'n' { '\n' } else { next });
            }
            _ => plain.push(c),
        }
    }
    plain
}

/// A key or value for a file, as [`unescaped`] reads it.
pub(crate) fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('\n', "\\n")
}

/// Reads a header; the data follow.
pub(super) fn parse(from: &mut Source) -> Parsed<Header> {
    let mut header = Header::default();
    let mut left = MOST_HEADER;
    let mut is_first = true;
    while let Some(line) = from.line(left)? {
        left = left.saturating_sub(line.len() as u64 + 1);
        let line = header_line(line);
        let line = line.trim_end_matches('\r');
        let is_list = header.get(&["data file", "datafile"]).is_some_and(|name| name.starts_with("LIST"));
        if is_first {
            // The last is that of the first version.
            let version = line.strip_prefix("NRRD000").or(line.strip_prefix("NRRD00.0")).unwrap_or_default();
            if !matches!(version.as_bytes(), [b'1'..=b'5', ..]) {
                return Err("this is not an NRRD file of version 1 to 5; write it again".into());
            }
            is_first = false;
        } else if line.is_empty() {
            return Ok(header);
        } else if is_list {
            header.listed.push(line.trim().to_owned());
        } else if line.starts_with('#') {
        } else if let Some((key, value)) = line.split_once(":=") {
            header.pairs.insert(unescaped(key), unescaped(value));
        } else if let Some((name, value)) = line.split_once(':') {
            let name = name.trim().to_lowercase();
            if header.fields.insert(name.clone(), value.trim().to_string()).is_some() {
                return Err(format!("the header has the field \"{name}\" twice; remove one").into());
            }
        } else {
            let start: String = line.chars().take(60).collect();
            return Err(format!("the header has the line \"{start}\", which is no field; correct it").into());
        }
    }
    match header.get(&["data file", "datafile"]) {
        _ if is_first => Err(Trouble::damaged("this is not an NRRD file (it is empty)")),
        Some(_) => Ok(header),
        None => Err(Trouble::damaged("the file ends within its header, before any voxels; copy it again")),
    }
}
