//! PyTorch checkpoints (`.pth`, `.pt`), read without executing them.
//!
//! A checkpoint is a zip archive: the pickle `<name>/data.pkl` describes its contents, the records `<name>/data/<key>`
//! hold the numbers. `pickle` reads the first as data; the state dict is the dictionary of tensors in it, or in one of
//! its entries.

use super::pickle::{Pickle, Value, View};
use crate::error::{Error, Result};
use crate::input_file;
use crate::nn::params::TensorMap;
use std::collections::HashMap;
use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::Path;
use tch::{Kind, Tensor};
use zip::result::ZipError;
use zip::{CompressionMethod, ZipArchive};

/// Usual names of the entry that holds the state dict; the first one that exists is taken.
const NESTED: [&str; 8] =
    ["net", "state_dict", "model", "model_state_dict", "network", "model_state", "weights", "params"];

/// Largest `data.pkl` that is read. Chosen: a network of a thousand tensors has about 100 kB.
const MAX_PICKLE_BYTES: u64 = 16 << 20;

/// Depth to which dictionaries are searched for the state dict. Chosen.
const MAX_DEPTH: usize = 3;

/// Contents of a checkpoint.
#[derive(Debug)]
pub struct Checkpoint {
    /// The state dict; floating-point numbers as float32.
    pub tensors: TensorMap,
    /// Path of the state dict in the checkpoint, e.g. `model.state_dict`; empty at its top.
    pub place: String,
    /// Names and descriptions of entries of the state dict that are not tensors.
    pub others: Vec<(String, String)>,
}

/// Most bytes that a byte of a packed record stands for. Chosen: weights hardly get smaller at all, zeros do.
const MOST_PER_BYTE: u64 = 64;

/// Most times that the tensors of a state dict may repeat a stored number. Chosen: tied weights are there twice.
const MOST_REPEATED: usize = 4;

struct Archive {
    zip: ZipArchive<BufReader<File>>,
    /// Length of the file.
    length: u64,
}

/// Keys and values of a dictionary.
type Entries = [(Value, Value)];

/// Reads a checkpoint.
///
/// # Errors
/// [`Error::Io`] when it cannot be read; [`Error::BadModel`] when it is not a checkpoint, damaged, of PyTorch before
/// 1.6, holds no state dict, or refers to Python code that weights do not need.
pub fn read(path: &Path) -> Result<Checkpoint> {
    let bad = |reason: String| Error::BadModel(format!("{}: {reason}", path.display()));
    let (file, length) = input_file::open(path)?;
    let mut file = BufReader::new(file);
    let mut start = Vec::new();
    file.by_ref().take(512).read_to_end(&mut start).map_err(|e| Error::io(path, e))?;
    if !start.starts_with(b"PK") {
        return Err(bad(not_a_checkpoint(&start)));
    }
    file.seek(SeekFrom::Start(0)).map_err(|e| Error::io(path, e))?;
    let decode = move || match ZipArchive::new(file) {
        Ok(zip) => read_archive(&mut Archive { zip, length }).map_err(Failed::Bad),
        Err(ZipError::Io(e)) => Err(Failed::Io(e)),
        Err(e) => Err(Failed::Bad(format!("the archive is damaged ({e}); copy or download it again"))),
    };
    // A panic of the archive's decoder is damage, too.
    let damaged = |_| Err(Failed::Bad("the archive is damaged; copy or download it again".into()));
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(decode)).unwrap_or_else(damaged).map_err(|e| match e {
        Failed::Bad(reason) => bad(reason),
        Failed::Io(e) => Error::io(path, e),
    })
}

/// Reason of a failure, before the file's name is added.
enum Failed {
    Bad(String),
    Io(std::io::Error),
}

fn not_a_checkpoint(start: &[u8]) -> String {
    // The pickle of PyTorch's magic number 0x1950a86a20f9469cfc6c.
    const LEGACY: &[u8] = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19";
    let old = start.starts_with(LEGACY) || start.get(257..262) == Some(b"ustar");
    if old {
        return "this was saved by PyTorch before 1.6, in a format that cannot be read without executing it. If you \
                trust its source, save it again in Python: \
                torch.save(torch.load(\"old.pth\", map_location=\"cpu\", weights_only=True), \"new.pth\")"
            .into();
    }
    if start.is_empty() {
        return "the file is empty".into();
    }
    "this is not a PyTorch checkpoint (a zip archive written by torch.save)".into()
}

fn read_archive(archive: &mut Archive) -> std::result::Result<Checkpoint, String> {
    let names: Vec<String> = archive.zip.file_names().map(str::to_string).collect();
    let in_root = |n: &&String| n.ends_with("/data.pkl") && n.matches('/').count() == 1 || *n == "data.pkl";
    let index = names.iter().find(in_root).ok_or("this zip archive is not a PyTorch checkpoint: it has no data.pkl")?;
    let root = index.trim_end_matches("data.pkl").to_string();
    if names.iter().any(|n| n.strip_prefix(&root).is_some_and(|n| n.starts_with("code/"))) {
        return Err("this is a TorchScript program, not a checkpoint; save the weights alone in Python: \
                    torch.save(torch.jit.load(\"program.pt\", map_location=\"cpu\").state_dict(), \"weights.pth\")"
            .into());
    }
    if names.contains(&format!("{root}byteorder")) {
        let order = read_record(archive, &format!("{root}byteorder"), 16)?;
        if order.trim_ascii() != b"little" {
            return Err("its numbers are big-endian; save it again on a little-endian machine".into());
        }
    }
    let (pickle, top) = Pickle::read(&read_record(archive, index, MAX_PICKLE_BYTES)?)?;
    let (entries, place) = find_state_dict(&pickle, &top)?;
    check_repeats(&pickle, entries)?;
    let mut found = Checkpoint { tensors: TensorMap::new(), place, others: Vec::new() };
    let mut storages = HashMap::new();
    for (key, value) in entries {
        let Value::Text(name) = key else { continue };
        match value {
            Value::Tensor(at) => {
                let tensor = tensor(archive, &root, &pickle, &pickle.views[*at], &mut storages)
                    .map_err(|reason| format!("tensor {name}: {reason}"))?;
                found.tensors.insert(name.to_string(), tensor);
            }
            other => found.others.push((name.to_string(), describe(other))),
        }
    }
    Ok(found)
}

/// Refuses a state dict whose tensors are many copies of few stored numbers.
fn check_repeats(pickle: &Pickle, entries: &Entries) -> std::result::Result<(), String> {
    let mut stored = HashMap::new();
    let mut numbers = 0usize;
    for (_, value) in entries {
        let Value::Tensor(at) = value else { continue };
        let view = &pickle.views[*at];
        let count = view.size.iter().fold(1usize, |n, s| n.saturating_mul(usize::try_from(*s).unwrap_or(0)));
        numbers = numbers.saturating_add(count);
        let storage = &pickle.storages[view.storage];
        stored.insert(&storage.key, storage.len);
    }
    let stored = stored.values().fold(0usize, |n, len| n.saturating_add(*len));
    if numbers / MOST_REPEATED > stored {
        return Err(format!("its tensors repeat {stored} stored numbers to {numbers}, which no weights do"));
    }
    Ok(())
}

/// The bytes of a record, at most `most`.
fn read_record(archive: &mut Archive, name: &str, most: u64) -> std::result::Result<Vec<u8>, String> {
    let length = archive.length;
    let record = archive.zip.by_name(name).map_err(|e| format!("its record {name} cannot be read: {e}"))?;
    // Other methods need decoders in C, and PyTorch does not write them.
    if !matches!(record.compression(), CompressionMethod::Stored | CompressionMethod::Deflated) {
        return Err(format!("its record {name} is packed by {}; save it again with PyTorch", record.compression()));
    }
    let size = record.size();
    if size > most {
        return Err(format!("its record {name} has {size} bytes, at most {most} were expected"));
    }
    if record.compressed_size() > length {
        return Err(format!("its record {name} is longer than the file; copy or download it again"));
    }
    if size / MOST_PER_BYTE > record.compressed_size() {
        let packed = record.compressed_size();
        return Err(format!("its record {name} announces {size} bytes from {packed}; copy or download it again"));
    }
    let mut bytes = Vec::new();
    bytes
        .try_reserve_exact(usize::try_from(size).unwrap_or(usize::MAX))
        .map_err(|_| format!("there is not enough memory for the {size} bytes of its record {name}"))?;
    let read = record.take(most + 1).read_to_end(&mut bytes);
    match read {
        Ok(n) if n as u64 == size => Ok(bytes),
        Ok(n) => Err(format!("its record {name} has {n} bytes, not {size}; copy or download it again")),
        Err(e) => Err(format!("its record {name} is damaged ({e}); copy or download it again")),
    }
}

/// The dictionary of tensors and its path.
fn find_state_dict<'a>(pickle: &'a Pickle, top: &'a Value) -> std::result::Result<(&'a Entries, String), String> {
    let mut place: Vec<&str> = Vec::new();
    let mut value = top;
    loop {
        let Value::Dict(at) = value else {
            return Err(format!("it holds {}, not a state dict; save model.state_dict()", describe(value)));
        };
        let entries = &pickle.dicts[*at];
        if entries.iter().any(|(k, v)| matches!((k, v), (Value::Text(_), Value::Tensor(_)))) {
            return Ok((entries, place.join(".")));
        }
        let inner: Vec<(&str, &Value)> = entries
            .iter()
            .filter_map(|(k, v)| match (k, v) {
                (Value::Text(name), Value::Dict(_)) => Some((&**name, v)),
                _ => None,
            })
            .collect();
        let known = NESTED.iter().find_map(|name| inner.iter().find(|(n, _)| n == name));
        match known.or(if inner.len() == 1 { inner.first() } else { None }) {
            Some((name, next)) if place.len() < MAX_DEPTH => {
                place.push(name);
                value = next;
            }
            _ => {
                let keys: Vec<_> = entries.iter().take(8).map(|(k, _)| describe(k)).collect();
                return Err(format!(
                    "no state dict was found in it; its entries are {}. Save the weights alone: \
                     torch.save(checkpoint[\"<entry>\"], \"weights.pth\")",
                    if keys.is_empty() { "none".into() } else { keys.join(", ") }
                ));
            }
        }
    }
}

fn tensor(
    archive: &mut Archive,
    root: &str,
    pickle: &Pickle,
    view: &View,
    storages: &mut HashMap<String, Tensor>,
) -> std::result::Result<Tensor, String> {
    let storage = &pickle.storages[view.storage];
    let kind = kind_of(&storage.class)?;
    let damaged = || "its size does not fit the stored numbers; copy or download the file again".to_string();
    let numel = view.size.iter().try_fold(1i64, |n, s| if *s < 0 { None } else { n.checked_mul(*s) });
    let numel = numel.filter(|n| *n as u64 <= storage.len as u64).ok_or_else(damaged)?;
    if view.size.len() != view.stride.len() || view.offset < 0 || view.stride.iter().any(|s| *s < 0) {
        return Err(damaged());
    }
    let reach = view
        .size
        .iter()
        .zip(&view.stride)
        .try_fold(view.offset, |at, (size, stride)| at.checked_add((size - 1).max(0).checked_mul(*stride)?));
    if numel > 0 && reach.is_none_or(|last| last as u64 >= storage.len as u64) {
        return Err(damaged());
    }
    if !storages.contains_key(&storage.key) {
        let expected = (storage.len as u64).checked_mul(kind.elt_size_in_bytes() as u64).ok_or_else(damaged)?;
        let bytes = read_record(archive, &format!("{root}data/{}", storage.key), expected)?;
        if bytes.len() as u64 != expected {
            return Err(damaged());
        }
        let all = Tensor::f_from_data_size(&bytes, &[storage.len as i64], kind).map_err(|e| e.to_string())?;
        storages.insert(storage.key.clone(), all);
    }
    let all = &storages[&storage.key];
    if all.kind() != kind || all.numel() != storage.len {
        return Err(damaged());
    }
    let view = all.f_as_strided(&view.size, &view.stride, view.offset).map_err(|e| e.to_string())?;
    let float = matches!(kind, Kind::Half | Kind::BFloat16 | Kind::Double | Kind::Float);
    let made = if float { view.f_to_kind(Kind::Float) } else { Ok(view) };
    made.and_then(|t| t.f_contiguous()).map(|t| t.copy()).map_err(|e| e.to_string())
}

fn kind_of(class: &str) -> std::result::Result<Kind, String> {
    Ok(match class.rsplit('.').next().unwrap_or(class) {
        "FloatStorage" => Kind::Float,
        "HalfStorage" => Kind::Half,
        "BFloat16Storage" => Kind::BFloat16,
        "DoubleStorage" => Kind::Double,
        "LongStorage" => Kind::Int64,
        "IntStorage" => Kind::Int,
        "ShortStorage" => Kind::Int16,
        "CharStorage" => Kind::Int8,
        "ByteStorage" => Kind::Uint8,
        "BoolStorage" => Kind::Bool,
        _ => return Err(format!("numbers of the kind {class} cannot be read; convert them to float32")),
    })
}

fn describe(value: &Value) -> String {
    match value {
        Value::None | Value::Mark => "nothing".into(),
        Value::Bool(v) => v.to_string(),
        Value::Int(v) => v.to_string(),
        Value::Float(v) => v.to_string(),
        Value::Text(t) => format!("\"{}\"", t.chars().take(60).collect::<String>()),
        Value::Global(name) | Value::Object(name) => format!("an object of Python's {name}"),
        Value::Tuple(_) | Value::List(_) => "a list".into(),
        Value::Dict(_) => "a dictionary".into(),
        Value::Storage(_) => "stored numbers".into(),
        Value::Tensor(_) => "a tensor".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::path::PathBuf;

    fn text(s: &str) -> Vec<u8> {
        [b"X", &(s.len() as u32).to_le_bytes()[..], s.as_bytes()].concat()
    }

    /// A tensor of `size` in `stride`, from the float storage `key` with `len` numbers.
    fn view(key: &str, len: u8, offset: u8, size: [u8; 2], stride: [u8; 2]) -> Vec<u8> {
        [
            b"ctorch._utils\n_rebuild_tensor_v2\n((",
            &text("storage")[..],
            b"ctorch\nFloatStorage\n",
            &text(key),
            &text("cuda:0"),
            &[b'K', len, b't', b'Q', b'K', offset],
            &[b'K', size[0], b'K', size[1], 0x86, b'K', stride[0], b'K', stride[1], 0x86],
            b"\x89ccollections\nOrderedDict\n)RtR",
        ]
        .concat()
    }

    /// A dictionary of the entries.
    fn dict(entries: &[(&str, Vec<u8>)]) -> Vec<u8> {
        let inner: Vec<u8> = entries.iter().flat_map(|(k, v)| [text(k), v.clone()].concat()).collect();
        [b"}(", &inner[..], b"u"].concat()
    }

    fn write(path: &Path, value: &[u8], records: &[(&str, &[u8])]) {
        let mut zip = zip::ZipWriter::new(File::create(path).unwrap());
        let stored = zip::write::FileOptions::default().compression_method(zip::CompressionMethod::Stored);
        let pickle = [b"\x80\x02", value, b"."].concat();
        for (name, bytes) in [("archive/data.pkl", &pickle[..])].iter().chain(records) {
            zip.start_file(*name, stored).unwrap();
            zip.write_all(bytes).unwrap();
        }
        zip.finish().unwrap();
    }

    fn numbers() -> Vec<u8> {
        [1f32, 2.0, 3.0, 4.0, 5.0, 6.0].iter().flat_map(|v| v.to_le_bytes()).collect()
    }

    fn in_folder() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.pth");
        (folder, path)
    }

    fn values(t: &Tensor) -> Vec<f32> {
        Vec::try_from(t.reshape([-1])).unwrap()
    }

    #[test]
    fn tensors_are_views_of_storages() {
        let (_folder, path) = in_folder();
        let rows = view("0", 6, 0, [2, 3], [3, 1]);
        let columns = view("0", 6, 1, [2, 2], [1, 3]);
        let net = dict(&[("w", rows), ("t", columns), ("epoch", b"K\x07".to_vec())]);
        let top = dict(&[("iter", b"K\x01".to_vec()), ("optimizer", dict(&[])), ("net", net)]);
        write(&path, &top, &[("archive/data/0", &numbers())]);
        let found = read(&path).unwrap();
        assert_eq!(found.place, "net");
        assert_eq!(found.others, [("epoch".to_string(), "7".to_string())]);
        assert_eq!(found.tensors["w"].size(), [2, 3]);
        assert_eq!(values(&found.tensors["w"]), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        assert_eq!(values(&found.tensors["t"]), [2.0, 5.0, 3.0, 6.0]);
    }

    #[test]
    fn views_beyond_their_storages_are_refused() {
        let (_folder, path) = in_folder();
        for bad in [
            view("0", 6, 1, [2, 3], [3, 1]),
            view("0", 6, 0, [2, 3], [4, 1]),
            view("0", 6, 0, [200, 3], [0, 0]),
            view("0", 7, 0, [2, 3], [3, 1]),
            view("1", 6, 0, [2, 3], [3, 1]),
        ] {
            write(&path, &dict(&[("w", bad)]), &[("archive/data/0", &numbers())]);
            let text = read(&path).unwrap_err().to_string();
            assert!(text.contains("a.pth") && text.contains("tensor"), "{text}");
        }
    }

    #[test]
    fn sizes_that_a_file_only_claims_are_refused() {
        let (_folder, path) = in_folder();
        let refused = || read(&path).unwrap_err().to_string();
        // 200 tensors of 6 stored numbers.
        let names: Vec<String> = (0..200).map(|i| format!("w{i}")).collect();
        let many: Vec<_> = names.iter().map(|n| (n.as_str(), view("0", 6, 0, [2, 3], [3, 1]))).collect();
        write(&path, &dict(&many), &[("archive/data/0", &numbers())]);
        assert!(refused().contains("repeat 6 stored numbers to 1200"), "{}", refused());
        // A record that claims 2^33 bytes in its entry of the directory (sizes at 20 and 24 of it).
        write(&path, &dict(&[("w", view("0", 6, 0, [2, 3], [3, 1]))]), &[("archive/data/0", &numbers())]);
        let mut bytes = std::fs::read(&path).unwrap();
        let at = bytes.windows(4).rposition(|w| w == b"PK\x01\x02").unwrap();
        for field in [at + 20, at + 24] {
            bytes[field..field + 4].copy_from_slice(&0xfff0_0000u32.to_le_bytes());
            std::fs::write(&path, &bytes).unwrap();
            assert!(refused().contains("tensor w"), "{}", refused());
        }
        #[cfg(unix)]
        assert!(read(Path::new("/dev/zero")).unwrap_err().to_string().contains("regular file"));
    }

    #[test]
    fn files_that_are_not_checkpoints_are_refused() {
        let (_folder, path) = in_folder();
        let fails_with = |expected: &str| {
            let text = read(&path).unwrap_err().to_string();
            assert!(text.contains(expected), "{expected:?} not in {text:?}");
        };
        std::fs::write(&path, b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.\x80\x02M\xe9\x03.").unwrap();
        fails_with("before 1.6");
        std::fs::write(&path, "hello").unwrap();
        fails_with("not a PyTorch checkpoint");
        std::fs::write(&path, "").unwrap();
        fails_with("empty");
        std::fs::write(&path, b"PK\x03\x04 and then nothing").unwrap();
        fails_with("damaged");
        write(&path, &dict(&[("lr", b"K\x01".to_vec())]), &[]);
        fails_with("its entries are \"lr\"");
        write(&path, b"K\x05", &[]);
        fails_with("it holds 5");
        write(&path, b"cos\nsystem\nU\x02ls\x85R", &[]);
        fails_with("os.system");
        write(&path, &dict(&[]), &[("archive/code/__torch__.py", b"")]);
        fails_with("TorchScript");
        write(&path, &dict(&[("w", view("0", 6, 0, [2, 3], [3, 1]))]), &[("archive/byteorder", b"big")]);
        fails_with("big-endian");
        assert!(matches!(read(Path::new("no/such.pth")), Err(Error::Io { .. })));
    }
}
