//! Python's pickle format, as far as PyTorch writes it, read as data.
//!
//! A pickle is a program for a stack machine, and Python calls every function that it names. This machine builds values
//! alone: a call becomes a tensor, a dictionary or the name of the function, and a name that no state dict needs is an
//! error. Containers are stored in one list of each kind and refer to each other by index, so that depth and cycles of
//! a hostile file do no harm.

use std::collections::HashMap;
use std::rc::Rc;

/// Value in a pickle. Containers are indices into [`Pickle`].
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// `None`, and values that are not needed.
    None,
    /// `True` or `False`.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A number.
    Float(f64),
    /// A string.
    Text(Rc<str>),
    /// A class or function, `module.name`.
    Global(Rc<str>),
    /// A tuple; index into [`Pickle::lists`].
    Tuple(usize),
    /// A list or set; index into [`Pickle::lists`].
    List(usize),
    /// A dictionary; index into [`Pickle::dicts`].
    Dict(usize),
    /// Stored numbers; index into [`Pickle::storages`].
    Storage(usize),
    /// A view of stored numbers; index into [`Pickle::views`].
    Tensor(usize),
    /// An object that is not needed: the name of its class or function.
    Object(Rc<str>),
    /// Beginning of a tuple, list or dictionary on the stack.
    Mark,
}

/// Numbers stored beside the pickle.
#[derive(Debug, Clone, PartialEq)]
pub struct Storage {
    /// Class, which determines the number format, e.g. `torch.FloatStorage`.
    pub class: Rc<str>,
    /// Name of the record that holds them.
    pub key: String,
    /// Count of numbers.
    pub len: usize,
}

/// A tensor: a strided view of a storage.
#[derive(Debug, Clone, PartialEq)]
pub struct View {
    /// Index into [`Pickle::storages`].
    pub storage: usize,
    /// First number.
    pub offset: i64,
    /// Size of every dimension.
    pub size: Vec<i64>,
    /// Numbers from one element to the next in every dimension.
    pub stride: Vec<i64>,
}

/// Contents of a pickle.
#[derive(Debug, Default)]
pub struct Pickle {
    /// Elements of tuples and lists.
    pub lists: Vec<Vec<Value>>,
    /// Entries of dictionaries.
    pub dicts: Vec<Vec<(Value, Value)>>,
    /// Stored numbers.
    pub storages: Vec<Storage>,
    /// Tensors.
    pub views: Vec<View>,
    stack: Vec<Value>,
    memo: HashMap<usize, Value>,
    /// Values made so far: a short program can make many.
    made: usize,
}

/// Most dimensions of a tensor, as in PyTorch.
const MOST_DIMENSIONS: usize = 64;

/// Most values that are made. Chosen: a network of ten thousand tensors needs a tenth of it.
const MOST_VALUES: usize = 4_000_000;

/// Whether a state dict, or an entry that is often saved beside one, may name this class or function. None is called.
fn is_harmless(module: &str, name: &str) -> bool {
    match module {
        "torch._utils" => name.starts_with("_rebuild_"),
        "torch" => {
            name.ends_with("Storage")
                || ["Size", "device", "dtype", "Tensor"].contains(&name)
                || ["float", "bfloat", "double", "half", "int", "uint", "long", "short", "bool"]
                    .iter()
                    .any(|kind| name.starts_with(kind))
        }
        "torch.storage" => name.ends_with("Storage"),
        "torch.nn.parameter" => name == "Parameter",
        "collections" => ["OrderedDict", "defaultdict", "Counter"].contains(&name),
        "builtins" | "__builtin__" => [
            "set",
            "frozenset",
            "bytearray",
            "complex",
            "list",
            "dict",
            "tuple",
            "int",
            "float",
            "bool",
            "str",
            "object",
            "slice",
            "range",
        ]
        .contains(&name),
        "numpy" => ["dtype", "ndarray"].contains(&name),
        "numpy.core.multiarray" | "numpy._core.multiarray" => ["scalar", "_reconstruct"].contains(&name),
        "_codecs" => name == "encode",
        "argparse" => name == "Namespace",
        "pathlib" => name.ends_with("Path"),
        "datetime" => ["datetime", "date", "time", "timedelta", "timezone"].contains(&name),
        _ => false,
    }
}

/// The remaining bytes.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, n: usize) -> Result<&'a [u8], String> {
        let (taken, rest) = self.0.split_at_checked(n).ok_or("it ends in the middle; copy or download it again")?;
        self.0 = rest;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8, String> {
        Ok(self.take(1)?[0])
    }

    /// A little-endian number of `n` bytes.
    fn number(&mut self, n: usize) -> Result<usize, String> {
        let value = self.take(n)?.iter().rev().fold(0u64, |v, b| v << 8 | u64::from(*b));
        usize::try_from(value).map_err(|e| e.to_string())
    }

    fn text(&mut self, n: usize) -> Result<Rc<str>, String> {
        Ok(String::from_utf8_lossy(self.take(n)?).into())
    }

    fn line(&mut self) -> Result<&'a str, String> {
        let end = self.0.iter().position(|b| *b == b'\n').ok_or("it ends in the middle; copy or download it again")?;
        let line = std::str::from_utf8(self.take(end)?).map_err(|e| e.to_string())?;
        self.byte()?;
        Ok(line.trim_end_matches('\r'))
    }

    /// A signed little-endian number of `n` bytes, 0 to 8.
    fn signed(&mut self, n: usize) -> Result<i64, String> {
        let bytes = self.take(n)?;
        let fill = if bytes.last().is_some_and(|b| *b & 0x80 != 0) { 0xff } else { 0 };
        let mut all = [fill; 8];
        all.get_mut(..n).ok_or("it holds a whole number of more than 64 bits")?.copy_from_slice(bytes);
        Ok(i64::from_le_bytes(all))
    }
}

impl Pickle {
    /// Reads a pickle of protocol 2 or later.
    ///
    /// # Errors
    /// A text when it is no pickle, is damaged, or names a class or function that a state dict does not need.
    pub fn read(bytes: &[u8]) -> Result<(Pickle, Value), String> {
        let mut pickle = Pickle::default();
        let mut input = Bytes(bytes);
        loop {
            let op = input.byte()?;
            if op == b'.' {
                let top = pickle.pop()?;
                return Ok((pickle, top));
            }
            pickle.step(op, &mut input)?;
            pickle.count(1)?;
        }
    }

    fn step(&mut self, op: u8, input: &mut Bytes) -> Result<(), String> {
        match op {
            // PROTO, FRAME
            0x80 => drop(input.byte()?),
            0x95 => drop(input.take(8)?),
            // MARK, POP, POP_MARK, DUP
            b'(' => self.push(Value::Mark),
            b'0' => drop(self.pop()?),
            b'1' => drop(self.pop_to_mark()?),
            b'2' => {
                let top = self.top()?.clone();
                self.push(top);
            }
            // NONE, NEWTRUE, NEWFALSE
            b'N' => self.push(Value::None),
            0x88 => self.push(Value::Bool(true)),
            0x89 => self.push(Value::Bool(false)),
            // BININT, BININT1, BININT2, LONG1
            b'J' => self.int(input, 4)?,
            b'K' => self.push_number(input, 1)?,
            b'M' => self.push_number(input, 2)?,
            0x8a => {
                let n = input.number(1)?;
                self.int(input, n)?;
            }
            // BINFLOAT
            b'G' => {
                let bytes = input.take(8)?.try_into().expect("eight bytes");
                self.push(Value::Float(f64::from_be_bytes(bytes)));
            }
            // SHORT_BINUNICODE, BINUNICODE, BINUNICODE8, SHORT_BINSTRING, BINSTRING: text
            0x8c | b'U' => self.text(input, 1)?,
            b'X' | b'T' => self.text(input, 4)?,
            0x8d => self.text(input, 8)?,
            // SHORT_BINBYTES, BINBYTES, BINBYTES8, BYTEARRAY8: of no use here
            b'C' => self.skip(input, 1)?,
            b'B' => self.skip(input, 4)?,
            0x8e | 0x96 => self.skip(input, 8)?,
            // EMPTY_TUPLE, TUPLE1, TUPLE2, TUPLE3, TUPLE
            b')' => self.tuple(Vec::new()),
            0x85..=0x87 => {
                let from = self.stack.len().checked_sub(usize::from(op - 0x84)).ok_or_else(damaged)?;
                let items = self.stack.split_off(from);
                self.tuple(items);
            }
            b't' => {
                let items = self.pop_to_mark()?;
                self.tuple(items);
            }
            // EMPTY_LIST, EMPTY_SET, LIST, FROZENSET
            b']' | 0x8f => self.list(Vec::new()),
            b'l' | 0x91 => {
                let items = self.pop_to_mark()?;
                self.list(items);
            }
            // APPEND, APPENDS, ADDITEMS
            b'a' => {
                let item = self.pop()?;
                self.extend(vec![item])?;
            }
            b'e' | 0x90 => {
                let items = self.pop_to_mark()?;
                self.extend(items)?;
            }
            // EMPTY_DICT, DICT, SETITEM, SETITEMS
            b'}' => self.dict(Vec::new()),
            b'd' => {
                let items = self.pop_to_mark()?;
                self.dict(Vec::new());
                self.set_items(items)?;
            }
            b's' => {
                let value = self.pop()?;
                let key = self.pop()?;
                self.set_items(vec![key, value])?;
            }
            b'u' => {
                let items = self.pop_to_mark()?;
                self.set_items(items)?;
            }
            // BINPUT, LONG_BINPUT, MEMOIZE, BINGET, LONG_BINGET
            b'q' => self.put(input.number(1)?)?,
            b'r' => self.put(input.number(4)?)?,
            0x94 => self.put(self.memo.len())?,
            b'h' => self.get(input.number(1)?)?,
            b'j' => self.get(input.number(4)?)?,
            // GLOBAL, STACK_GLOBAL
            b'c' => {
                let (module, name) = (input.line()?, input.line()?);
                self.global(module, name)?;
            }
            0x93 => match (self.pop()?, self.pop()?) {
                (Value::Text(name), Value::Text(module)) => self.global(&module, &name)?,
                _ => return Err(damaged()),
            },
            // REDUCE, NEWOBJ, NEWOBJ_EX, BUILD, BINPERSID
            b'R' | 0x81 => self.call()?,
            0x92 => {
                self.pop()?;
                self.call()?;
            }
            b'b' => drop(self.pop()?),
            b'Q' => self.persistent()?,
            _ => return Err(format!("it has the pickle instruction 0x{op:02x}, which PyTorch does not write")),
        }
        Ok(())
    }

    /// Counts values that are made.
    fn count(&mut self, values: usize) -> Result<(), String> {
        self.made = self.made.saturating_add(values);
        if self.made > MOST_VALUES {
            return Err(format!("it makes more than {MOST_VALUES} values, which no weights need"));
        }
        Ok(())
    }

    fn push(&mut self, value: Value) {
        self.stack.push(value);
    }

    fn pop(&mut self) -> Result<Value, String> {
        self.stack.pop().ok_or_else(damaged)
    }

    fn top(&self) -> Result<&Value, String> {
        self.stack.last().ok_or_else(damaged)
    }

    fn pop_to_mark(&mut self) -> Result<Vec<Value>, String> {
        let at = self.stack.iter().rposition(|v| *v == Value::Mark).ok_or_else(damaged)?;
        let items = self.stack.split_off(at + 1);
        self.stack.pop();
        Ok(items)
    }

    fn int(&mut self, input: &mut Bytes, n: usize) -> Result<(), String> {
        let value = input.signed(n)?;
        self.push(Value::Int(value));
        Ok(())
    }

    fn push_number(&mut self, input: &mut Bytes, n: usize) -> Result<(), String> {
        let value = input.number(n)? as i64;
        self.push(Value::Int(value));
        Ok(())
    }

    fn text(&mut self, input: &mut Bytes, length_bytes: usize) -> Result<(), String> {
        let n = input.number(length_bytes)?;
        let text = input.text(n)?;
        self.push(Value::Text(text));
        Ok(())
    }

    fn skip(&mut self, input: &mut Bytes, length_bytes: usize) -> Result<(), String> {
        let n = input.number(length_bytes)?;
        input.take(n)?;
        self.push(Value::None);
        Ok(())
    }

    fn tuple(&mut self, items: Vec<Value>) {
        self.lists.push(items);
        self.push(Value::Tuple(self.lists.len() - 1));
    }

    fn list(&mut self, items: Vec<Value>) {
        self.lists.push(items);
        self.push(Value::List(self.lists.len() - 1));
    }

    fn dict(&mut self, entries: Vec<(Value, Value)>) {
        self.dicts.push(entries);
        self.push(Value::Dict(self.dicts.len() - 1));
    }

    fn extend(&mut self, items: Vec<Value>) -> Result<(), String> {
        match *self.top()? {
            Value::List(at) => self.lists[at].extend(items),
            Value::Object(_) => {}
            _ => return Err(damaged()),
        }
        Ok(())
    }

    fn set_items(&mut self, items: Vec<Value>) -> Result<(), String> {
        if !items.len().is_multiple_of(2) {
            return Err(damaged());
        }
        match *self.top()? {
            Value::Dict(at) => {
                let pairs = items.chunks_exact(2).map(|pair| (pair[0].clone(), pair[1].clone()));
                self.dicts[at].extend(pairs);
            }
            Value::Object(_) => {}
            _ => return Err(damaged()),
        }
        Ok(())
    }

    fn put(&mut self, at: usize) -> Result<(), String> {
        let top = self.top()?.clone();
        self.memo.insert(at, top);
        Ok(())
    }

    fn get(&mut self, at: usize) -> Result<(), String> {
        let value = self.memo.get(&at).cloned().ok_or_else(damaged)?;
        self.push(value);
        Ok(())
    }

    fn global(&mut self, module: &str, name: &str) -> Result<(), String> {
        if !is_harmless(module, name) {
            return Err(format!(
                "it refers to Python's {module}.{name}, which weights do not need; it is refused and nothing in it is \
                 executed. If you trust its source, save the weights alone: \
                 torch.save(model.state_dict(), \"weights.pth\")"
            ));
        }
        self.push(Value::Global(format!("{module}.{name}").into()));
        Ok(())
    }

    /// Replaces the call of a class or function with a tuple of arguments by a value.
    fn call(&mut self) -> Result<(), String> {
        let (Value::Tuple(arguments), Value::Global(function)) = (self.pop()?, self.pop()?) else {
            return Err(damaged());
        };
        self.count(self.lists[arguments].len())?;
        let arguments = self.lists[arguments].clone();
        match &*function {
            "torch._utils._rebuild_tensor_v2" | "torch._utils._rebuild_tensor" => self.view(&arguments)?,
            "torch._utils._rebuild_parameter" | "torch._utils._rebuild_parameter_with_state" => {
                self.push(arguments.into_iter().next().ok_or_else(damaged)?);
            }
            "collections.OrderedDict" => {
                let mut entries = Vec::new();
                if let Some(Value::List(pairs)) = arguments.first() {
                    self.count(self.lists[*pairs].len())?;
                    for pair in &self.lists[*pairs] {
                        let (Value::List(pair) | Value::Tuple(pair)) = pair else { return Err(damaged()) };
                        let [key, value] = &self.lists[*pair][..] else { return Err(damaged()) };
                        entries.push((key.clone(), value.clone()));
                    }
                }
                self.dict(entries);
            }
            _ => self.push(Value::Object(function)),
        }
        Ok(())
    }

    fn view(&mut self, arguments: &[Value]) -> Result<(), String> {
        let [Value::Storage(storage), Value::Int(offset), Value::Tuple(size), Value::Tuple(stride), ..] = arguments
        else {
            return Err(damaged());
        };
        let numbers = |at: &usize| -> Result<Vec<i64>, String> {
            let number = |v: &Value| if let Value::Int(n) = v { Ok(*n) } else { Err(damaged()) };
            if self.lists[*at].len() > MOST_DIMENSIONS {
                return Err(damaged());
            }
            self.lists[*at].iter().map(number).collect()
        };
        let view = View { storage: *storage, offset: *offset, size: numbers(size)?, stride: numbers(stride)? };
        self.views.push(view);
        self.push(Value::Tensor(self.views.len() - 1));
        Ok(())
    }

    /// A reference to stored numbers: ("storage", class, key, location, count).
    fn persistent(&mut self) -> Result<(), String> {
        let Value::Tuple(at) = self.pop()? else { return Err(damaged()) };
        let [Value::Text(what), Value::Global(class), Value::Text(key), _, Value::Int(len), ..] = &self.lists[at][..]
        else {
            return Err(damaged());
        };
        if &**what != "storage" {
            return Err(damaged());
        }
        let len = usize::try_from(*len).map_err(|_| damaged())?;
        self.storages.push(Storage { class: class.clone(), key: key.to_string(), len });
        self.push(Value::Storage(self.storages.len() - 1));
        Ok(())
    }
}

fn damaged() -> String {
    "its pickle is damaged, or not written by PyTorch; copy or download it again".into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(bytes: &[u8]) -> String {
        Pickle::read(bytes).unwrap_err()
    }

    #[test]
    fn plain_values_are_read() {
        // pickle.dumps({"a": [1, -2, 300, 70000, 2**40], "b": (1.5, None, True)}, protocol=2)
        let bytes = b"\x80\x02}q\x00(X\x01\x00\x00\x00aq\x01]q\x02(K\x01J\xfe\xff\xff\xffM,\x01Jp\x11\x01\x00\
            \x8a\x06\x00\x00\x00\x00\x00\x01eX\x01\x00\x00\x00bq\x03G?\xf8\x00\x00\x00\x00\x00\x00N\x88\x87q\x04u.";
        let (pickle, Value::Dict(at)) = Pickle::read(bytes).unwrap() else { panic!() };
        let [(a, Value::List(list)), (b, Value::Tuple(tuple))] = &pickle.dicts[at][..] else { panic!() };
        assert_eq!((a, b), (&Value::Text("a".into()), &Value::Text("b".into())));
        assert_eq!(pickle.lists[*list], [1, -2, 300, 70_000, 1 << 40].map(Value::Int));
        assert_eq!(pickle.lists[*tuple], [Value::Float(1.5), Value::None, Value::Bool(true)]);
    }

    #[test]
    fn what_would_run_code_is_refused() {
        // The classic: os.system("touch pwned"), by GLOBAL and by STACK_GLOBAL.
        let text = refusal(b"\x80\x02cos\nsystem\nX\x0b\x00\x00\x00touch pwned\x85R.");
        assert!(text.contains("os.system") && text.contains("nothing in it is executed"), "{text}");
        let text = refusal(b"\x80\x04\x8c\x05posix\x8c\x06system\x93\x8c\x02ls\x85R.");
        assert!(text.contains("posix.system"), "{text}");
        for bytes in [
            &b"\x80\x02cbuiltins\neval\n."[..],
            b"\x80\x02c__builtin__\ngetattr\n.",
            b"\x80\x02ctorch\nload\n.",
            b"\x80\x02ctorch.hub\nload\n.",
            b"\x80\x02cnetworks.model\nSTM\n)\x81}b.",
        ] {
            assert!(refusal(bytes).contains("refused"), "{:?}", String::from_utf8_lossy(bytes));
        }
        // INST and OBJ build instances, EXT1 names by number: not PyTorch's.
        for op in [b'i', b'o', 0x82, b'P'] {
            assert!(refusal(&[0x80, 2, b'(', op, b'.']).contains("does not write"), "{op:#x}");
        }
    }

    #[test]
    fn what_is_saved_beside_weights_is_passed_over() {
        // argparse.Namespace(lr=1) and a numpy scalar's type: noted, not made.
        let bytes =
            b"\x80\x02}(U\x04argscargparse\nNamespace\n)\x81}U\x02lrK\x01sbU\x05dtypecnumpy\ndtype\nU\x02f8\x85Ru.";
        let (pickle, Value::Dict(at)) = Pickle::read(bytes).unwrap() else { panic!() };
        let values: Vec<_> = pickle.dicts[at].iter().map(|(_, v)| v.clone()).collect();
        assert_eq!(values, [Value::Object("argparse.Namespace".into()), Value::Object("numpy.dtype".into())]);
    }

    #[test]
    fn damage_never_panics() {
        let good = b"\x80\x02ccollections\nOrderedDict\n)Rq\x00(X\x01\x00\x00\x00aK\x01u}b\x8a\x01\x05\x86q\x01h\x01.";
        Pickle::read(good).unwrap();
        for end in 0..good.len() {
            assert!(Pickle::read(&good[..end]).is_err(), "{end}");
        }
        for at in 0..good.len() {
            for value in 0..=255 {
                let mut bytes = good.to_vec();
                bytes[at] = value;
                let _ = Pickle::read(&bytes);
            }
        }
        // Deep nesting and a list that holds itself.
        let deep = [vec![b')'; 1], vec![0x85; 1_000_000], vec![b'.']].concat();
        Pickle::read(&deep).unwrap();
        Pickle::read(b"]q\x00h\x00a.").unwrap();
    }
}
