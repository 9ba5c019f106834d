//! Writes the header: cbindgen reads the declarations from `src/ffi`, this file arranges them.
//!
//! cbindgen puts all types before all functions and gives every comment lines of its own. Here each item goes into the
//! section of its module, in the order of the source, and a comment of one line stays on one line.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

const WIDTH: usize = 120;
const INDENT: &str = "    ";

pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

pub fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// Something that the header declares.
pub struct Item {
    /// Title of its section: its module, "session: draw" for a module inside another.
    pub section: String,
    pub name: String,
    pub is_function: bool,
}

/// What `src/ffi` exports, in the order of the header.
pub fn exported() -> Vec<Item> {
    let mut found = Vec::new();
    for module in modules("src/ffi/mod.rs") {
        let file = format!("src/ffi/{module}.rs");
        items(&file, &module, &mut found);
        for part in modules(&file) {
            items(&format!("src/ffi/{module}/{part}.rs"), &format!("{module}: {part}"), &mut found);
        }
    }
    found
}

/// The public modules that a file declares.
pub fn modules(path: &str) -> Vec<String> {
    let text = read(path);
    text.lines().filter_map(|l| l.strip_prefix("pub mod ")?.strip_suffix(';').map(str::to_owned)).collect()
}

fn items(path: &str, section: &str, found: &mut Vec<Item>) {
    for line in read(path).lines() {
        let is_function = line.starts_with("pub ") && line.contains("extern \"C\" fn ");
        let rest = if is_function {
            line.split_once("extern \"C\" fn ").map(|(_, rest)| rest)
        } else {
            ["pub enum ", "pub struct ", "pub type ", "pub const "].iter().find_map(|start| line.strip_prefix(start))
        };
        let name: String = rest.unwrap_or_default().chars().take_while(|&c| is_name(c)).collect();
        if !name.is_empty() {
            found.push(Item { section: section.to_owned(), name, is_function });
        }
    }
}

pub fn is_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// The whole header.
pub fn generate() -> String {
    let text = cbindgen_output();
    let names = exported();
    // Before the declarations: licence, rules, includes, macros.
    let start = text.split("\n\n").take_while(|b| !names.iter().any(|item| declares(b, &item.name))).count();
    let blocks: Vec<&str> = text.split("\n\n").collect();
    let mut out = blocks[..start].join("\n\n");
    out += "\n\n#ifdef __cplusplus\nextern \"C\" {\n#endif";
    let mut left: HashMap<&str, &str> = HashMap::new();
    for block in blocks[start..].iter().filter(|b| !b.starts_with("#endif")) {
        let item = names.iter().find(|item| declares(block, &item.name));
        let item = item.unwrap_or_else(|| panic!("src/ffi exports nothing that declares this:\n{block}"));
        left.insert(&item.name, block);
    }
    let mut section = "";
    for item in &names {
        if item.section != section {
            section = &item.section;
            out += &format!("\n\n/* ---- {section} ---- */");
        }
        let block = left.remove(item.name.as_str()).unwrap_or_else(|| panic!("cbindgen wrote no {}", item.name));
        out += "\n\n";
        out += &arranged(&item.name, block);
    }
    out + "\n\n#ifdef __cplusplus\n} // extern \"C\"\n#endif\n\n#endif /* MEM3D_H */\n"
}

fn cbindgen_output() -> String {
    let mut config = cbindgen::Config::from_file(root().join("cbindgen.toml")).expect("cbindgen.toml");
    let example = read("examples/c/hello.c");
    assert!(!example.contains("*/"), "hello.c stands inside a comment of the header; use // comments");
    let example: Vec<String> = example.lines().map(|l| format!(" * {l}").trim_end().to_owned()).collect();
    config.header = config.header.map(|h| h.replace("@EXAMPLE@", &example.join("\n")));
    config.after_includes = config.after_includes.map(|a| a.replace("@VERSION_MACROS@", &version_macros()));
    let bindings = cbindgen::Builder::new()
        .with_config(config)
        .with_src(root().join("src/ffi/mod.rs"))
        .generate()
        .expect("src/ffi can be parsed");
    let mut out = Vec::new();
    bindings.write(&mut out);
    String::from_utf8(out).expect("UTF-8")
}

fn version_macros() -> String {
    let version = env!("CARGO_PKG_VERSION");
    let mut macros = format!(
        "/** Version of this header; mem3d_version() is that of the library. */\n#define MEM3D_VERSION \"{version}\""
    );
    for (name, number) in ["MAJOR", "MINOR", "PATCH"].iter().zip(version.split('.')) {
        macros += &format!("\n#define MEM3D_VERSION_{name} {number}");
    }
    macros
}

/// Whether a block of cbindgen's, a comment and a declaration, declares `name`.
fn declares(block: &str, name: &str) -> bool {
    let code = split_comment(block).1;
    let starts = [
        format!("#define {name} "),
        format!("enum {name}\n"),
        format!("enum {name} {{"),
        format!("typedef struct {name} "),
    ];
    starts.iter().any(|start| code.starts_with(start))
        || code.starts_with("typedef ") && code.contains(&format!("(*{name})("))
        || code.starts_with("MEM3D_API") && code.contains(&format!("{name}("))
}

/// A block's comment, line by line without decoration, and its declaration.
fn split_comment(block: &str) -> (Vec<String>, &str) {
    match block.strip_prefix("/**\n").and_then(|rest| rest.split_once("\n */\n")) {
        Some((comment, code)) => (comment.lines().map(undecorated).collect(), code),
        None => (Vec::new(), block),
    }
}

fn undecorated(line: &str) -> String {
    let line = line.trim_start();
    line.strip_prefix("* ").or(line.strip_prefix('*')).unwrap_or(line).trim_end().to_owned()
}

/// A block of cbindgen's as the header has it.
fn arranged(name: &str, block: &str) -> String {
    let (doc, code) = split_comment(block);
    let doc = comment("", &doc);
    if code.starts_with("enum ") {
        // C before C23 has no enum of a chosen size, so the values stand beside a type of their size.
        let values = members(code, ',').concat();
        return format!("{doc}\ntypedef int32_t {name};\n/** Values of #{name}. */\nenum {{\n{values}}};");
    }
    if code.starts_with("typedef struct ") && code.contains('{') {
        let members = members(code, ';');
        return format!("{doc}\ntypedef struct {name} {{\n{}}} {name};", members.concat());
    }
    if code.starts_with("typedef struct ") || code.starts_with('#') {
        return format!("{doc}\n{code}");
    }
    format!("{doc}\n{}", wrapped(&code.replace("struct ", "")))
}

/// The lines of a comment in front of what it describes.
fn comment(indent: &str, lines: &[String]) -> String {
    match lines {
        [line] if indent.len() + line.len() + "/**  */".len() <= WIDTH => format!("{indent}/** {line} */"),
        _ => {
            let lines = lines.iter().map(|l| format!("{indent} * {l}").trim_end().to_owned());
            format!("{indent}/**\n{}\n{indent} */", lines.collect::<Vec<_>>().join("\n"))
        }
    }
}

/// A declaration on one line, or with its parameters below each other's first.
fn wrapped(code: &str) -> String {
    let line = code.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.len() <= WIDTH {
        return line;
    }
    let open = line.rfind('(').expect("only functions are as long") + 1;
    let (mut out, mut length) = (line[..open].to_owned(), open);
    for (n, parameter) in line[open..].split(", ").enumerate() {
        let separator = match n {
            0 => String::new(),
            _ if length + parameter.len() + 3 > WIDTH => format!(",\n{}", " ".repeat(open)),
            _ => ", ".to_owned(),
        };
        length = if separator.contains('\n') { open } else { length + separator.len() } + parameter.len();
        out += &separator;
        out += parameter;
    }
    out
}

/// A member of an enum or a struct: the lines of its comment, and its code.
type Member = (Vec<String>, String);

/// The members of an enum or a struct, each with its comment: behind it where all of a group fit there, else in front.
fn members(code: &str, end: char) -> Vec<String> {
    let mut members: Vec<Member> = Vec::new();
    let mut doc = Vec::new();
    for line in code.lines().filter(|l| l.starts_with(INDENT)).map(str::trim) {
        match line.strip_suffix(end) {
            _ if line.starts_with('*') || line.starts_with("/**") => doc.push(line),
            Some(member) => {
                let lines = doc.drain(..).filter(|l| !matches!(*l, "/**" | "*/")).map(undecorated).collect();
                members.push((lines, format!("{member}{end}")));
            }
            None => panic!("this is no member and no comment: {line}"),
        }
    }
    let mut groups: Vec<(Option<String>, Vec<Member>)> = vec![(None, Vec::new())];
    for (mut doc, member) in members {
        if let Some(title) = doc[0].strip_prefix("@name ").map(str::to_owned) {
            groups.push((Some(title), Vec::new()));
            doc.remove(0);
        }
        groups.last_mut().expect("one at least").1.push((doc, member));
    }
    groups.into_iter().flat_map(|(title, members)| group(title, &members)).collect()
}

fn group(title: Option<String>, members: &[Member]) -> Vec<String> {
    let column = members.iter().map(|(_, member)| member.len()).max().unwrap_or(0);
    let behind = |doc: &[String]| doc.len() == 1 && INDENT.len() + column + " ///< ".len() + doc[0].len() <= WIDTH;
    let all_behind = members.iter().all(|(doc, _)| behind(doc));
    let lines = members.iter().map(|(doc, member)| match doc.as_slice() {
        [line] if all_behind => format!("{INDENT}{member:column$} ///< {line}\n"),
        _ => format!("{}\n{INDENT}{member}\n", comment(INDENT, doc)),
    });
    match title {
        None => lines.collect(),
        Some(title) => std::iter::once(format!("{INDENT}/** @name {title}\n{INDENT} *  @{{ */\n"))
            .chain(lines)
            .chain(std::iter::once(format!("{INDENT}/** @}} */\n")))
            .collect(),
    }
}
