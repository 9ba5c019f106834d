//! NRRD volumes, versions 1 to 5: raw, gzip or text, attached or detached. The file's first axis is width.
//!
//! `docs/files.md` lists every field of the header: used, harmless, or warned about.

mod header;

pub(crate) use header::{Axes, Header, escaped};

use super::bytes::{Scalar, to_bytes};
use super::source::{self, Parsed, Source, Trouble, reserve};
use crate::atomic_file;
use crate::error::{Error, Result};
use crate::input_file;
use crate::volume::{Geometry, Volume, VoxelData};
use header::MOST_HEADER;
use std::io::Read;
use std::path::{Component, Path, PathBuf};

/// Reads a volume.
///
/// # Errors
/// [`crate::Error::Io`] when it cannot be read; [`crate::Error::BadFile`], naming the field, when it cannot be used.
pub fn read(path: &Path) -> Result<Volume> {
    let (volume, doubts) = load(path)?;
    source::warn(path, &doubts);
    Ok(volume)
}

/// The volume, and what a user should know about it.
pub(super) fn load(path: &Path) -> Result<(Volume, Vec<String>)> {
    let parse = || -> Parsed<_> {
        let mut doubts = Vec::new();
        let raw = open(path)?;
        let axes = raw.header.axes()?;
        if axes.layers != 1 && raw.header.is_segmentation() {
            return Err(format!(
                "its segments lie in {} layers, as those that overlap, so that it is no volume with one label a voxel; \
                 name it .seg.nrrd and name one segment, or in 3D Slicer export the segments to a labelmap",
                axes.layers
            )
            .into());
        }
        if axes.layers != 1 {
            let (n, kind) = (axes.layers, &axes.kind);
            return Err(
                format!("a voxel has {n} values ({kind}), must have 1; extract one volume from it first").into()
            );
        }
        let geometry = raw.header.geometry(&axes, &mut doubts)?;
        raw.header.warn_of_fields(&mut doubts);
        Ok((Volume::new(axes.shape, raw.values(path)?, geometry)?, doubts))
    };
    parse().map_err(|trouble| trouble.of(path))
}

/// The files with the voxels, where the header at `path` names them; none for any other file, or one that is refused.
pub fn data_files(path: &Path) -> Vec<PathBuf> {
    header_of(path).and_then(|header| header.data_files(path).ok().flatten()).unwrap_or_default()
}

/// Whether the file has names, colours and the like of segments, as 3D Slicer writes them.
pub fn names_segments(path: &Path) -> bool {
    header_of(path).is_some_and(|header| header.is_segmentation())
}

/// Whether a file begins as NRRD, whatever it is called.
pub(super) fn is_nrrd(path: &Path) -> Result<bool> {
    let mut start = [0; 5];
    let (mut file, _) = input_file::open(path)?;
    let n = file.read(&mut start).map_err(|e| Error::io(path, e))?;
    Ok(&start[..n] == b"NRRD0")
}

/// The header of an NRRD file; none of any other file.
fn header_of(path: &Path) -> Option<Header> {
    match is_nrrd(path) {
        Ok(true) => open(path).ok().map(|raw| raw.header),
        _ => None,
    }
}

/// A file whose header is read.
pub(crate) struct Raw {
    pub header: Header,
    /// Where attached data begin.
    rest: Source,
}

/// Opens a file and reads its header.
pub(crate) fn open(path: &Path) -> Parsed<Raw> {
    let mut rest = Source::plain(path).map_err(|e| match e {
        crate::error::Error::Io { source, .. } => Trouble::Io(source),
        crate::error::Error::BadFile { reason, damaged: false, .. } => Trouble::Bad(reason),
        crate::error::Error::BadFile { reason, damaged: true, .. } => Trouble::Damaged(reason),
        other => other.into(),
    })?;
    let header = header::parse(&mut rest)?;
    Ok(Raw { header, rest })
}

impl Header {
    /// The files with the data, where they are not in the header's.
    fn data_files(&self, path: &Path) -> Parsed<Option<Vec<PathBuf>>> {
        let Some(text) = self.get(&["data file", "datafile"]) else { return Ok(None) };
        let words: Vec<&str> = text.split_whitespace().collect();
        let names: Vec<String> = match &words[..] {
            ["LIST", ..] => self.listed.clone(),
            // A pattern with numbers: name, first, last and step, and the dimensions of a file, which change nothing.
            [name @ .., first, last, step, dimensions]
                if name.join(" ").contains('%')
                    && number(first, last, step).is_some()
                    && dimensions.parse::<u8>().is_ok() =>
            {
                let (first, last, step) = number(first, last, step).ok_or("tested above")?;
                numbered(&name.join(" "), first, last, step)?
            }
            [name @ .., first, last, step] if name.join(" ").contains('%') && number(first, last, step).is_some() => {
                let (first, last, step) = number(first, last, step).ok_or("tested above")?;
                numbered(&name.join(" "), first, last, step)?
            }
            _ => vec![text.trim().to_owned()],
        };
        if names.is_empty() {
            return Err("field \"data file\" is LIST, but no files are listed".into());
        }
        let folder = path.parent().unwrap_or(Path::new(""));
        let beside = |name: &String| -> Parsed<PathBuf> {
            // A header from somewhere else must not choose which files of this machine are read.
            let inside = |c: Component| matches!(c, Component::Normal(_) | Component::CurDir);
            match !name.is_empty() && Path::new(name).components().all(inside) {
                true => Ok(folder.join(name)),
                false => Err(format!(
                    "its data file \"{name}\" does not lie in the folder of the header; put it there and correct \
                     the field \"data file\""
                )
                .into()),
            }
        };
        names.iter().map(beside).collect::<Parsed<Vec<_>>>().map(Some)
    }
}

fn number(first: &str, last: &str, step: &str) -> Option<(i64, i64, i64)> {
    Some((first.parse().ok()?, last.parse().ok()?, step.parse().ok()?))
}

/// Names made of a pattern like `slice%03d.raw`.
fn numbered(pattern: &str, first: i64, last: i64, step: i64) -> Parsed<Vec<String>> {
    let bad =
        || format!("field \"data file\" has the pattern \"{pattern}\" from {first} to {last} by {step}; correct it");
    let (before, rest) = pattern.split_once('%').ok_or_else(bad)?;
    let (width, after) = rest.split_once('d').ok_or_else(bad)?;
    let digits: usize = if width.is_empty() { 0 } else { width.parse().map_err(|_| bad())? };
    let count = last.abs_diff(first) / step.unsigned_abs().max(1) + 1;
    if step == 0 || (last - first).signum() * step.signum() < 0 || count > 100_000 || digits > 20 {
        return Err(bad().into());
    }
    let zeros = width.starts_with('0');
    let name = |k: i64| match zeros {
        true => format!("{before}{k:0digits$}{after}"),
        false => format!("{before}{k:digits$}{after}"),
    };
    Ok((0..count as i64).map(|i| name(first + i * step)).collect())
}

impl Raw {
    /// All values of the file.
    pub fn values(self, path: &Path) -> Parsed<VoxelData> {
        let count = self.header.sizes()?.iter().try_fold(1usize, |a, &b| a.checked_mul(b));
        let count = count.ok_or("field \"sizes\" is too large")?;
        let kind = self.header.need("type")?.to_lowercase();
        let scalar = scalar(&kind)
            .ok_or_else(|| format!("field \"type\" is \"{kind}\", no number type of NRRD; write it again"))?;
        let Some(files) = self.header.data_files(path)? else {
            return decode(&self.header, self.rest, count, scalar);
        };
        if files.len() == 1 {
            check_there(&files)?;
            let source = Source::plain(&files[0])?;
            return decode(&self.header, source, count, scalar);
        }
        if !count.is_multiple_of(files.len()) {
            return Err(format!("its {count} values cannot lie in {} files of one length", files.len()).into());
        }
        check_there(&files)?;
        let mut bytes = reserve(count.checked_mul(scalar.bytes()).ok_or("field \"sizes\" is too large")?)?;
        for file in &files {
            let named = |trouble: Trouble| Trouble::from(trouble.of(file));
            let part = self.header.bytes(Source::plain(file)?, count / files.len(), scalar).map_err(named)?;
            bytes.extend_from_slice(&part);
        }
        scalar.decode(&bytes, count, self.header.is_big_endian(scalar)?)
    }
}

/// Refuses data files that are missing, as where the header was copied alone.
fn check_there(files: &[PathBuf]) -> Parsed<()> {
    match files.iter().find(|file| !file.exists()) {
        None => Ok(()),
        Some(file) => Err(format!(
            "its data file \"{}\" is not there; put it into the folder of the header, or correct the field \
             \"data file\"",
            file.file_name().unwrap_or_default().to_string_lossy()
        )
        .into()),
    }
}

/// The values in a file, behind its header or all of it.
fn decode(header: &Header, source: Source, count: usize, scalar: Scalar) -> Parsed<VoxelData> {
    if matches!(header.encoding()?.as_str(), "txt" | "text" | "ascii") {
        return from_text(header, source, count, scalar);
    }
    let big_endian = header.is_big_endian(scalar)?;
    scalar.decode(&header.bytes(source, count, scalar)?, count, big_endian)
}

impl Header {
    fn encoding(&self) -> Parsed<String> {
        Ok(self.need("encoding")?.to_lowercase())
    }

    /// Lines that are passed over before data.
    fn skip_lines(&self, source: &mut Source) -> Parsed<()> {
        let lines = self.skip(["line skip", "lineskip"])?;
        if lines < 0 {
            return Err(format!("field \"line skip\" is {lines}; it must be 0 or more").into());
        }
        let mut left = MOST_HEADER;
        for _ in 0..lines {
            match source.line(left)? {
                Some(line) => left = left.saturating_sub(line.len() as u64 + 1),
                None => return Err(format!("field \"line skip\" is {lines}, but the data have fewer lines").into()),
            }
        }
        Ok(())
    }

    /// The bytes of `count` values.
    fn bytes(&self, mut source: Source, count: usize, scalar: Scalar) -> Parsed<Vec<u8>> {
        let wanted = count.checked_mul(scalar.bytes()).ok_or("field \"sizes\" is too large")?;
        self.skip_lines(&mut source)?;
        match self.encoding()?.as_str() {
            "raw" => {}
            "gz" | "gzip" => source = source.unpack(),
            other => {
                return Err(format!("field \"encoding\" is \"{other}\"; write it again as raw or gzip").into());
            }
        }
        match self.skip(["byte skip", "byteskip"])? {
            // The data are the end of the file.
            -1 => source.seek_last(wanted)?,
            n if n < 0 => return Err(format!("field \"byte skip\" is {n}; it must be -1 or more").into()),
            n => source.skip(n as u64)?,
        }
        let bytes = source.announced(wanted)?;
        source.finish()?;
        Ok(bytes)
    }
}

/// The number type of a name in the field "type".
fn scalar(name: &str) -> Option<Scalar> {
    Some(match name {
        "uchar" | "unsigned char" | "uint8" | "uint8_t" => Scalar::U8,
        "signed char" | "int8" | "int8_t" => Scalar::I8,
        "ushort" | "unsigned short" | "unsigned short int" | "uint16" | "uint16_t" => Scalar::U16,
        "short" | "short int" | "signed short" | "signed short int" | "int16" | "int16_t" => Scalar::I16,
        "uint" | "unsigned int" | "uint32" | "uint32_t" => Scalar::U32,
        "int" | "signed int" | "int32" | "int32_t" => Scalar::I32,
        "longlong" | "long long" | "long long int" | "signed long long" | "int64" | "int64_t" => Scalar::I64,
        "ulonglong" | "unsigned long long" | "unsigned long long int" | "uint64" | "uint64_t" => Scalar::U64,
        "float" => Scalar::F32,
        "double" => Scalar::F64,
        _ => return None,
    })
}

/// Numbers written as text.
fn from_text(header: &Header, mut source: Source, count: usize, scalar: Scalar) -> Parsed<VoxelData> {
    header.skip_lines(&mut source)?;
    // A number takes two bytes at least, but for the last.
    if count as u64 > source.left() / 2 + 1 {
        return Err(format!("{count} values are announced, but the file ends before; copy it again").into());
    }
    let bytes = source.up_to(usize::try_from(source.left()).unwrap_or(usize::MAX))?;
    let text = std::str::from_utf8(&bytes).map_err(|_| "its data are no text, as \"encoding\" announces")?;
    let mut numbers = reserve::<f64>(count)?;
    // Commas too, as ITK takes them.
    for word in text.split(|c: char| c.is_whitespace() || c == ',').filter(|word| !word.is_empty()) {
        if numbers.len() == count {
            return Err(format!("{count} values are announced, and more are there").into());
        }
        numbers.push(word.parse().map_err(|_| "the text holds something that is no number")?);
    }
    if numbers.len() != count {
        return Err(format!("{count} values are announced, {} are there", numbers.len()).into());
    }
    Ok(match scalar {
        Scalar::F32 => VoxelData::F32(numbers.iter().map(|&v| v as f32).collect()),
        Scalar::F64 | Scalar::I64 | Scalar::U64 => VoxelData::F64(numbers),
        _ => {
            if let Some(v) = numbers.iter().find(|v| v.fract() != 0.0 || v.abs() > f64::from(i32::MAX)) {
                return Err(format!("the text holds {v}, which does not fit the field \"type\"").into());
            }
            match numbers.iter().all(|v| (0.0..=255.0).contains(v)) {
                true => VoxelData::U8(numbers.iter().map(|&v| v as u8).collect()),
                false => VoxelData::I32(numbers.iter().map(|&v| v as i32).collect()),
            }
        }
    })
}

/// Writes a volume, raw, for programs without gzip.
///
/// # Errors
/// [`crate::Error::Io`] when it cannot be written.
pub fn write(path: &Path, volume: &Volume) -> Result<()> {
    let [depth, height, width] = volume.shape();
    let g = volume.geometry();
    let kind = match volume.data() {
        VoxelData::U8(_) => "uint8",
        VoxelData::I8(_) => "int8",
        VoxelData::U16(_) => "uint16",
        VoxelData::I16(_) => "int16",
        VoxelData::U32(_) => "uint32",
        VoxelData::I32(_) => "int32",
        VoxelData::F32(_) => "float",
        VoxelData::F64(_) => "double",
    };
    atomic_file::write(path, |out| {
        write!(out, "NRRD0004\ntype: {kind}\ndimension: 3\nspace: left-posterior-superior\n")?;
        writeln!(out, "sizes: {width} {height} {depth}")?;
        writeln!(out, "space directions: {}", directions(g))?;
        write!(out, "kinds: domain domain domain\nendian: little\nencoding: raw\n")?;
        write!(out, "space origin: {}\n\n", vector(g.origin_mm))?;
        out.write_all(&to_bytes(volume.data()))
    })
}

/// The vectors of width, height and depth, as in the header.
pub(crate) fn directions(g: &Geometry) -> String {
    let axis = |a: usize| vector(g.direction[a].map(|c| c * g.spacing_mm[a]));
    format!("{} {} {}", axis(2), axis(1), axis(0))
}

/// `(x,y,z)`
pub(crate) fn vector(v: [f64; 3]) -> String {
    format!("({},{},{})", v[0], v[1], v[2])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::tests::{assert_same, volumes};
    use std::io::Write;

    fn parse(bytes: &[u8]) -> Result<Volume> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.nrrd");
        std::fs::write(&path, bytes).unwrap();
        read(&path)
    }

    fn with(lines: &str, body: &[u8]) -> Result<Volume> {
        parse(&[b"NRRD0005\n# comment\n", lines.as_bytes(), b"\n\n", body].concat())
    }

    const HAND: &str = "type: short\ndimension: 3\nsizes: 2 1 2\nspace: RAS\n\
        space directions: (0.5,0,0) (0,2,0) (0,0,3)\nspace origin: (1,2,3)\nendian: big\nencoding: raw";

    #[test]
    fn every_type_comes_back() {
        let folder = tempfile::tempdir().unwrap();
        for (i, volume) in volumes().iter().enumerate() {
            let path = folder.path().join(format!("{i}.nrrd"));
            write(&path, volume).unwrap();
            assert_same(&read(&path).unwrap(), volume);
        }
    }

    #[test]
    fn a_header_by_hand() {
        let body: Vec<u8> = [1i16, -2, 3, 1000].iter().flat_map(|v| v.to_be_bytes()).collect();
        let v = with(HAND, &body).unwrap();
        assert_eq!((v.shape(), v.data()), ([2, 1, 2], &VoxelData::I16(vec![1, -2, 3, 1000])));
        let g = v.geometry();
        assert_eq!(g.spacing_mm, [3.0, 2.0, 0.5]);
        assert_eq!(g.origin_mm, [-1.0, -2.0, 3.0]);
        // Width grows to the right of the patient, that is -L.
        assert_eq!(g.direction[2], [-1.0, 0.0, 0.0]);

        let mut zipped = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        zipped.write_all(&body).unwrap();
        let gzip = with(&HAND.replace("raw", "gzip"), &zipped.finish().unwrap()).unwrap();
        assert_same(&gzip, &v);
        let text = with("type: float\ndimension: 3\nsizes: 1 2 1\nspacings: 1 2 3\nencoding: ascii", b"0.5\n-1 ");
        assert_eq!(*text.unwrap().data(), VoxelData::F32(vec![0.5, -1.0]));
        let commas = with("type: float\ndimension: 3\nsizes: 1 2 1\nspacings: 1 2 3\nencoding: txt", b"0.5, -1,");
        assert_eq!(*commas.unwrap().data(), VoxelData::F32(vec![0.5, -1.0]));
        let skipped = with(&format!("{HAND}\nbyte skip: 3"), &[b"xyz", body.as_slice()].concat()).unwrap();
        assert_same(&skipped, &v);
    }

    #[test]
    fn data_may_lie_in_a_file_of_their_own() {
        let folder = tempfile::tempdir().unwrap();
        let body: Vec<u8> = [1i16, 2, 3, 4].iter().flat_map(|v| v.to_be_bytes()).collect();
        std::fs::write(folder.path().join("x.raw"), body).unwrap();
        let path = folder.path().join("x.nhdr");
        std::fs::write(&path, format!("NRRD0004\n{HAND}\ndata file: x.raw\n")).unwrap();
        assert_eq!(*read(&path).unwrap().data(), VoxelData::I16(vec![1, 2, 3, 4]));
        std::fs::remove_file(folder.path().join("x.raw")).unwrap();
        assert!(read(&path).unwrap_err().to_string().contains("x.raw"));
    }

    #[test]
    fn errors_name_the_field() {
        let refuse = |from: &str, to: &str| with(&HAND.replace(from, to), &[0; 8]).unwrap_err().to_string();
        assert!(refuse("sizes: 2 1 2", "sizes: 2 1 x").contains("sizes"));
        assert!(refuse("dimension: 3", "dimension: 4").contains("dimension"));
        assert!(refuse("sizes: 2 1 2", "sizes: 2 1 3").contains("ends early"));
        assert!(refuse("type: short", "type: block").contains("no number type of NRRD"));
        // Cut off within the header.
        let cut = parse(b"NRRD0004\ntype: short\ndimension: 3\nspace directions: (1,0").unwrap_err().to_string();
        assert!(cut.contains("ends within its header"), "{cut}");
        let flat = with("type: uchar\ndimension: 2\nsizes: 2 2\nspace directions: (1,0) (0,1)\nencoding: raw", &[0; 4]);
        assert!(flat.unwrap_err().to_string().contains("image of 2 dimensions"));
        assert!(refuse("(0,2,0)", "none").contains("space directions"));
        assert!(refuse("encoding: raw", "encoding: bzip2").contains("encoding"));
        assert!(refuse("endian: big", "endian: middle").contains("endian"));
        assert!(refuse("endian: big\n", "").contains("endian"));
        assert!(refuse("space: RAS", "space: XYZ").contains("space"));
        assert!(refuse("(0,2,0)", "(0,2)").contains("space directions"));
        assert!(refuse("(0,2,0)", "(0,0,0)").contains("space directions"));
        assert!(refuse("sizes: 2 1 2", "sizes: 0 1 2").contains("holds no voxels"));
        let four = HAND.replace("dimension: 3\nsizes: 2 1 2", "dimension: 4\nsizes: 2 1 2 1");
        assert!(with(&four, &[0; 8]).unwrap_err().to_string().contains("3 vectors, must have 4"));
        assert!(refuse("(1,2,3)", "(nan,nan,nan)").contains("space origin"));
        assert!(refuse("(1,2,3)", "(0,0,inf)").contains("space origin"));
        assert!(refuse("(0,2,0)", "(nan,0,0)").contains("space directions"));
        assert!(refuse("endian: big", "endian: big\nsizes: 2 1 2").contains("twice"));
        assert!(refuse("endian: big", "endian: big\nline skip: 9223372036854775807").contains("fewer lines"));
        assert!(refuse("endian: big", "endian: big\nline skip: -5").contains("line skip"));
        assert!(refuse("endian: big", "endian: big\nbyte skip: 9223372036854775807").contains("9223372036854775807"));
        assert!(refuse("sizes: 2 1 2", "sizes: 32767 32767 32767").contains("ends early"));
    }

    fn doubts(header: &str) -> (Volume, String) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.nrrd");
        std::fs::write(&path, [b"NRRD0005\n", header.as_bytes(), b"\n\n", &[0; 64]].concat()).unwrap();
        let (volume, doubts) = load(&path).unwrap();
        (volume, doubts.join("\n"))
    }

    const PLAIN: &str = "type: uchar\ndimension: 3\nsizes: 2 1 2\nencoding: raw";

    #[test]
    fn what_is_guessed_or_passed_over_is_reported() {
        let (v, warned) = doubts(&format!("{PLAIN}\nspacings: 0.5 2 3"));
        assert_eq!(v.geometry(), &Geometry { spacing_mm: [3.0, 2.0, 0.5], ..Geometry::default() });
        assert!(warned.contains("no orientation"), "{warned}");
        // ITK puts the first voxel half a voxel behind the minimum, where cells are counted.
        let (v, _) = doubts(&format!("{PLAIN}\nspacings: 0.5 2 3\naxis mins: 10 20 30\ncenters: cell node cell"));
        assert_eq!(v.geometry().origin_mm, [10.25, 20.0, 31.5]);
        assert!(doubts(PLAIN).1.contains("1 mm is taken"));
        // 2 cells in 1 mm, and 1 and 2 cells in 3 and 8 mm.
        let (v, warned) = doubts(&format!("{PLAIN}\naxis mins: 0 0 0\naxis maxs: 1 3 8"));
        assert_eq!((v.geometry().spacing_mm, v.geometry().origin_mm), ([4.0, 3.0, 0.5], [0.25, 1.5, 2.0]));
        assert!(warned.contains("axis maxs"), "{warned}");
        let space = "space directions: (1,0,0) (0,1,0) (0,0,1)\nspace origin: (0,0,0)";
        let warned = |more: &str| doubts(&format!("{PLAIN}\n{space}\n{more}")).1;
        assert_eq!(warned("space: LPS\ncontent: x\nthicknesses: nan nan 5\nspace units: \"mm\" \"mm\" \"mm\""), "");
        assert!(warned("content: x").contains("LPS is taken"));
        assert!(warned("space: 3D-left-handed").contains("left from right"));
        assert!(warned("space: LPS\nspace units: \"m\" \"m\" \"m\"").contains("unit \"m\""));
        assert!(warned("space: LPS\nspacings: 1 1 1").contains("both given"));
        assert!(warned("space: LPS\nold min: 0\nold max: 1").contains("quantised"));
        assert!(warned("space: LPS\nspaec: RAS").contains("unknown field \"spaec\""));
        let no_origin = format!("{PLAIN}\nspace: LPS\nspace directions: (1,0,0) (0,1,0) (0,0,1)");
        assert!(doubts(&no_origin).1.contains("0 0 0 is taken"));
    }

    #[test]
    fn axes_are_those_of_space() {
        let read = |lines: &str| {
            let text = format!("type: uchar\nencoding: raw\n{lines}");
            with(&text, &[5; 60]).map(|v| v.shape()).map_err(|e| e.to_string())
        };
        for kind in ["RGB-color", "vector", "list", "3-color"] {
            let text = read(&format!("dimension: 3\nsizes: 3 5 4\nkinds: {kind} domain domain")).unwrap_err();
            assert!(text.contains(&kind.to_lowercase()), "{text}");
        }
        let one = "dimension: 4\nsizes: 1 5 4 3\nkinds: list domain domain domain";
        assert_eq!(read(one).unwrap(), [3, 4, 5]);
        assert_eq!(read("dimension: 4\nsizes: 5 4 3 1").unwrap(), [3, 4, 5]);
        let two = read("dimension: 4\nsizes: 2 5 3 2\nkinds: list domain domain domain").unwrap_err();
        assert!(two.contains("2 values (list)"), "{two}");
        assert!(read("dimension: 2\nsizes: 5 4").unwrap_err().contains("2 dimensions"));
    }

    #[test]
    fn data_may_lie_in_several_files_beside_the_header() {
        let folder = tempfile::tempdir().unwrap();
        for k in 0..3u8 {
            std::fs::write(folder.path().join(format!("s{k:02}.raw")), [2 * k, 2 * k + 1]).unwrap();
        }
        std::fs::write(folder.path().join("dose 50%.raw"), [0, 1, 2, 3, 4, 5]).unwrap();
        let path = folder.path().join("a.nhdr");
        let read = |file: &str| {
            let header = "NRRD0004\ntype: uchar\ndimension: 3\nsizes: 2 1 3\nencoding: raw\nspacings: 1 1 1";
            std::fs::write(&path, format!("{header}\ndata file: {file}\n")).unwrap();
            super::read(&path).map(|v| v.data().clone()).map_err(|e| e.to_string())
        };
        let all = VoxelData::U8(vec![0, 1, 2, 3, 4, 5]);
        assert_eq!(read("dose 50%.raw").unwrap(), all);
        assert_eq!(read("LIST\ns00.raw\ns01.raw\ns02.raw").unwrap(), all);
        assert_eq!(read("s%02d.raw 0 2 1").unwrap(), all);
        assert_eq!(read("s%02d.raw 2 0 -1").unwrap(), VoxelData::U8(vec![4, 5, 2, 3, 0, 1]));
        assert!(read("s%02d.raw 0 4 1").unwrap_err().contains("6 values cannot lie in 5 files"));
        assert!(read("s%02d.raw 0 5 1").unwrap_err().contains("s03.raw"));
        for outside in ["/etc/passwd", "../a.raw", "LIST\n/dev/zero"] {
            assert!(read(outside).unwrap_err().contains("does not lie in the folder"), "{outside}");
        }
        assert!(read(".").unwrap_err().contains("a folder"));
        assert!(read("LIST").unwrap_err().contains("no files are listed"));
        assert_eq!(read("s%02d.raw 0 2 1 2").unwrap(), all);
        assert!(read("C:\\ct\\a.raw").unwrap_err().contains("is not there; put it into the folder"));
        // The files that an output must not replace.
        let files = |file: &str| {
            let _ = read(file);
            let names = data_files(&path).into_iter().map(|f| f.file_name().unwrap().to_string_lossy().into_owned());
            names.collect::<Vec<_>>()
        };
        assert_eq!(files("dose 50%.raw"), ["dose 50%.raw"]);
        assert_eq!(files("s%02d.raw 0 1 1"), ["s00.raw", "s01.raw"]);
        assert!(files("../a.raw").is_empty());
        assert!(data_files(&folder.path().join("dose 50%.raw")).is_empty() && data_files(folder.path()).is_empty());
    }
}
