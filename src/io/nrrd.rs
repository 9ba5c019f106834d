//! NRRD volumes, versions 1 to 5: raw, gzip or text, attached or detached. The file's first axis is width.

use super::bytes::{Scalar, to_bytes};
use crate::atomic_file;
use crate::error::{Error, Result};
use crate::volume::{Geometry, Volume, VoxelData, check_shape};
use flate2::read::MultiGzDecoder;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

/// Header of an NRRD file.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Header {
    /// Fields (`name: value`), names in lower case.
    pub fields: BTreeMap<String, String>,
    /// Key/value pairs (`key:=value`).
    pub pairs: BTreeMap<String, String>,
}

type Parsed<T> = std::result::Result<T, String>;

impl Header {
    fn get(&self, names: &[&str]) -> Option<&str> {
        names.iter().find_map(|n| self.fields.get(*n)).map(|s| s.as_str())
    }

    fn need(&self, name: &str) -> Parsed<&str> {
        self.get(&[name]).ok_or_else(|| format!("the header has no field \"{name}\""))
    }

    pub fn sizes(&self) -> Parsed<Vec<usize>> {
        let text = self.need("sizes")?;
        let sizes: Option<Vec<usize>> = text.split_whitespace().map(|s| s.parse().ok()).collect();
        let sizes = sizes.filter(|s| !s.is_empty()).ok_or_else(|| format!("field \"sizes\" is \"{text}\""))?;
        let dimension: usize = self.need("dimension")?.parse().map_err(|_| "field \"dimension\" is no number")?;
        if dimension != sizes.len() {
            return Err(format!("\"dimension\" is {dimension}, but \"sizes\" has {} numbers", sizes.len()));
        }
        Ok(sizes)
    }

    /// The number in a field, 0 by default; `names`: its two spellings.
    fn skip(&self, names: [&str; 2]) -> Parsed<i64> {
        let parse = |v: &str| v.parse().map_err(|_| format!("field \"{}\" is \"{v}\"", names[0]));
        self.get(&names).map_or(Ok(0), parse)
    }

    /// Whether values of type `kind` are big endian; the field is needed where they have several bytes.
    fn is_big_endian(&self, kind: &str, encoding: &str) -> Parsed<bool> {
        let several = scalar(kind).is_none_or(|s| s.bytes() > 1);
        match self.get(&["endian"]).map(str::to_lowercase).as_deref() {
            Some("big") => Ok(true),
            Some("little") => Ok(false),
            Some(other) => Err(format!("field \"endian\" is \"{other}\", must be little or big")),
            None if several && matches!(encoding, "raw" | "gz" | "gzip") => {
                Err("the header has no field \"endian\"".into())
            }
            None => Ok(false),
        }
    }

    /// Geometry of the last three axes of the file, in LPS.
    pub fn geometry(&self) -> Parsed<Geometry> {
        let mut geometry = Geometry::default();
        let sign = match self.get(&["space"]).map(|s| s.trim().to_lowercase()) {
            None => [1.0; 3],
            Some(space) => match space.as_str() {
                "left-posterior-superior" | "lps" => [1.0, 1.0, 1.0],
                "right-anterior-superior" | "ras" => [-1.0, -1.0, 1.0],
                "left-anterior-superior" | "las" => [1.0, -1.0, 1.0],
                "scanner-xyz" | "3d-right-handed" => [1.0; 3],
                other => return Err(format!("field \"space\" is \"{other}\"; use LPS, RAS or LAS")),
            },
        };
        if let Some(text) = self.get(&["space directions"]) {
            let vectors: Vec<[f64; 3]> =
                vectors(text, "space directions")?.into_iter().flatten().map(|v| flip(v, sign)).collect();
            let [x, y, z] = vectors[..] else {
                return Err(format!("field \"space directions\" has {} vectors, must have 3", vectors.len()));
            };
            for (axis, v) in [z, y, x].into_iter().enumerate() {
                let length = v.iter().map(|c| c * c).sum::<f64>().sqrt();
                if !(length.is_finite() && length > 0.0) {
                    return Err("a vector of \"space directions\" has no length".into());
                }
                geometry.spacing_mm[axis] = length;
                geometry.direction[axis] = v.map(|c| c / length);
            }
        } else if let Some(text) = self.get(&["spacings"]) {
            let spacings: Vec<f64> = text.split_whitespace().filter_map(|s| s.parse().ok()).collect();
            for (axis, s) in spacings.iter().rev().take(3).enumerate().filter(|(_, s)| s.is_finite() && **s > 0.0) {
                geometry.spacing_mm[axis] = *s;
            }
        }
        if let Some(text) = self.get(&["space origin"]) {
            let origin = vectors(text, "space origin")?;
            let [Some(origin)] = origin[..] else { return Err("field \"space origin\" must be one vector".into()) };
            geometry.origin_mm = flip(origin, sign);
        }
        Ok(geometry)
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
            _ => return Err(format!("field \"{field}\" has the vector ({inside}), must have three numbers")),
        }
        rest = after.trim_start();
    }
    Ok(result)
}

/// Reads a volume.
///
/// # Errors
/// [`Error::Io`] when it cannot be read; [`Error::BadFile`], naming the field, when it cannot be used.
pub fn read(path: &Path) -> Result<Volume> {
    let (header, data) = read_raw(path)?;
    let volume = || {
        let sizes = header.sizes()?;
        let [width, height, depth] = sizes[..] else {
            return Err(format!(
                "the file has {} dimensions, must have 3; extract one volume from it first",
                sizes.len()
            ));
        };
        Volume::new([depth, height, width], data, header.geometry()?).map_err(|e| e.to_string())
    };
    volume().map_err(|reason| Error::bad_file(path, reason))
}

/// Reads header and values of any dimension.
pub(crate) fn read_raw(path: &Path) -> Result<(Header, VoxelData)> {
    let bytes = std::fs::read(path).map_err(|e| Error::io(path, e))?;
    let bad = |reason: String| Error::bad_file(path, reason);
    let (header, body) = parse_header(&bytes).map_err(bad)?;
    let detached = match header.get(&["data file", "datafile"]) {
        None => None,
        Some(name) if name.starts_with("LIST") || name.contains('%') => {
            return Err(bad("the data lie in several files; convert it to one .nrrd first".into()));
        }
        Some(name) => {
            let file = path.parent().unwrap_or(Path::new("")).join(name.trim());
            Some(std::fs::read(&file).map_err(|e| Error::io(&file, e))?)
        }
    };
    let data = decode(&header, detached.as_deref().unwrap_or(&bytes[body..])).map_err(bad)?;
    Ok((header, data))
}

/// The header, and the offset of the data.
fn parse_header(bytes: &[u8]) -> Parsed<(Header, usize)> {
    let mut header = Header::default();
    let mut at = 0;
    let mut first = true;
    while at < bytes.len() {
        let end = bytes[at..].iter().position(|&b| b == b'\n').map_or(bytes.len(), |i| at + i);
        let line = String::from_utf8_lossy(&bytes[at..end]);
        let line = line.trim_end_matches('\r');
        at = (end + 1).min(bytes.len());
        if first {
            if !line.starts_with("NRRD000") || !matches!(line.as_bytes().get(7), Some(b'1'..=b'5')) {
                return Err("this is not an NRRD file of version 1 to 5".into());
            }
            first = false;
        } else if line.is_empty() {
            break;
        } else if line.starts_with('#') {
        } else if let Some((key, value)) = line.split_once(":=") {
            header.pairs.insert(key.to_string(), value.to_string());
        } else if let Some((name, value)) = line.split_once(':') {
            header.fields.insert(name.trim().to_lowercase(), value.trim().to_string());
        } else {
            return Err(format!("the header has the line \"{line}\", which is no field"));
        }
    }
    Ok((header, at))
}

/// The values that follow a header.
fn decode(header: &Header, body: &[u8]) -> Parsed<VoxelData> {
    let sizes = header.sizes()?;
    let spatial = &sizes[sizes.len().saturating_sub(3)..];
    if let [w, h, d] = spatial {
        check_shape([*d, *h, *w]).map_err(|e| e.to_string())?;
    }
    let count = sizes.iter().try_fold(1usize, |a, &b| a.checked_mul(b)).ok_or("field \"sizes\" is too large")?;
    let kind = header.need("type")?.to_lowercase();
    let skipped = header.skip(["byte skip", "byteskip"])?;
    let mut body = body;
    for _ in 0..header.skip(["line skip", "lineskip"])? {
        body = body.iter().position(|&b| b == b'\n').map_or(&body[body.len()..], |i| &body[i + 1..]);
    }
    let encoding = header.need("encoding")?.to_lowercase();
    let big_endian = header.is_big_endian(&kind, &encoding)?;
    let values = match encoding.as_str() {
        "raw" => Cow::Borrowed(body),
        "gz" | "gzip" => Cow::Owned(unpack(body, count)?),
        "txt" | "text" | "ascii" => return from_text(&kind, &String::from_utf8_lossy(body), count),
        other => return Err(format!("field \"encoding\" is \"{other}\"; use raw or gzip")),
    };
    let scalar = scalar(&kind).ok_or_else(|| format!("field \"type\" is \"{kind}\", which is no number"))?;
    // -1: the data are the end of the file.
    let start = match skipped {
        -1 => values.len().saturating_sub(count.saturating_mul(scalar.bytes())),
        n => n.max(0) as usize,
    };
    scalar.decode(values.get(start..).unwrap_or_default(), count, big_endian)
}

/// Unpacks gzip data of `count` values.
fn unpack(body: &[u8], count: usize) -> Parsed<Vec<u8>> {
    let mut bytes = Vec::new();
    // Values have at most 8 bytes; a MiB more for what "byte skip" leaves out.
    let most = (count as u64).saturating_mul(8).saturating_add(1 << 20);
    let read = MultiGzDecoder::new(body).take(most).read_to_end(&mut bytes);
    read.map_err(|e| format!("the gzip data are damaged ({e}); copy the file again"))?;
    Ok(bytes)
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

fn from_text(kind: &str, text: &str, count: usize) -> Parsed<VoxelData> {
    let numbers: Option<Vec<f64>> = text.split_whitespace().map(|s| s.parse().ok()).collect();
    let numbers = numbers.ok_or("the text holds something that is no number")?;
    if numbers.len() != count {
        return Err(format!("{count} values are announced, {} are there", numbers.len()));
    }
    Ok(match kind {
        "float" => VoxelData::F32(numbers.iter().map(|&v| v as f32).collect()),
        "double" => VoxelData::F64(numbers),
        _ if numbers.iter().all(|v| (0.0..=255.0).contains(v)) => {
            VoxelData::U8(numbers.iter().map(|&v| v as u8).collect())
        }
        _ => VoxelData::I32(numbers.iter().map(|&v| v as i32).collect()),
    })
}

/// Writes a volume, raw, for programs without gzip.
///
/// # Errors
/// [`Error::Io`] when it cannot be written.
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
        assert!(refuse("type: short", "type: block").contains("type"));
        assert!(refuse("encoding: raw", "encoding: bzip2").contains("encoding"));
        assert!(refuse("endian: big", "endian: middle").contains("endian"));
        assert!(refuse("endian: big\n", "").contains("endian"));
        assert!(refuse("space: RAS", "space: XYZ").contains("space"));
        assert!(refuse("(0,2,0)", "(0,2)").contains("space directions"));
        assert!(refuse("(0,2,0)", "(0,0,0)").contains("space directions"));
        assert!(refuse("sizes: 2 1 2", "sizes: 0 1 2").contains("every side"));
        let four = HAND.replace("dimension: 3\nsizes: 2 1 2", "dimension: 4\nsizes: 2 1 2 1");
        assert!(with(&four, &[0; 8]).unwrap_err().to_string().contains("4 dimensions"));
    }
}
