//! What a WebAssembly program asks for, read from its bytes without running or compiling it.

use std::borrow::Cow;

use uc_model::{PayloadFormat, Problem, Result};
use wasmparser::{
    Encoding, ExternalKind, FromReader, Imports, MemoryType, Parser, Payload, SectionLimited,
    TypeRef,
};

use crate::program::handler_among;

/// The most bytes a module or component may have (as given, text included).
pub const PACKAGE_LIMIT_BYTES: u64 = 30_000_000;

/// The most names of imports or of exports that are read.
const NAMES_MAX: usize = 100_000;

/// The most components or modules nested in one another.
const DEPTH_MAX: usize = 64;

const PAGE_BYTES: u64 = 65_536;

/// What a WebAssembly program consists of and asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WasmFacts {
    /// Module or component.
    pub format: PayloadFormat,
    /// What must be provided from outside, in order, each once: `wasi:sockets/tcp@0.2.3` for a component,
    /// `wasi_snapshot_preview1.fd_write` for a module.
    pub imports: Vec<String>,
    /// What it offers: `_start`, `wasi:cli/run@0.2.3`.
    pub exports: Vec<String>,
    /// The linear memory it declares at its start, all memories together, in bytes.
    pub memory_min_bytes: u64,
    /// The linear memory it can ever have, all memories together, in bytes; `None` where one has no maximum.
    pub memory_max_bytes: Option<u64>,
    /// Whether a memory is addressed with 64 bits.
    pub memory64: bool,
    /// Size of the bytes given.
    pub package_bytes: u64,
}

impl WasmFacts {
    /// Whether it handles HTTP requests and is no command.
    pub fn handles_http(&self) -> bool {
        handler_among(self.exports.iter().map(String::as_str))
    }
}

/// Reads the facts of a module or component, binary or text.
///
/// # Errors
/// Bytes that are neither, or are malformed up to the point where the facts are known; a package or start memory
/// beyond [`PACKAGE_LIMIT_BYTES`] or [`MEMORY_LIMIT_BYTES`](crate::MEMORY_LIMIT_BYTES) is *not* an error here, so that a caller can judge it.
pub fn inspect(bytes: &[u8]) -> Result<WasmFacts> {
    let binary = to_binary(bytes)?;
    let mut reading = Reading::default();
    for payload in Parser::new(0).parse_all(&binary) {
        reading.take(payload.map_err(|error| malformed(&error))?)?;
    }
    reading.finish(bytes.len() as u64)
}

/// The binary form of `bytes`; text is recognised by the missing magic number.
pub(crate) fn to_binary(bytes: &[u8]) -> Result<Cow<'_, [u8]>> {
    if bytes.starts_with(b"\0asm") {
        return Ok(Cow::Borrowed(bytes));
    }
    // Text begins with a parenthesis or a comment; anything else was never meant to be WebAssembly.
    let text = std::str::from_utf8(bytes)
        .ok()
        .filter(|text| text.trim_start().starts_with(['(', ';']))
        .ok_or_else(|| {
            Problem::invalid("the file is neither binary nor text WebAssembly")
                .limit("the magic number \\0asm, or text that begins with a parenthesis")
                .found(format!("{:02x?}", &bytes[..bytes.len().min(4)]))
        })?;
    wat::parse_str(text).map(Cow::Owned).map_err(|error| {
        // The crate's message is a drawing of several lines; its head says what is wrong, its second line where.
        let message = error.to_string();
        let mut lines = message.lines();
        let what = lines.next().unwrap_or_default().to_owned();
        let place = lines.next().map(|line| {
            line.trim()
                .trim_start_matches("--> ")
                .trim_start_matches("<anon>:")
                .to_owned()
        });
        let problem = Problem::invalid(format!("the WebAssembly text is malformed: {what}"));
        match place {
            Some(place) => problem.at(format!("line {place}")),
            None => problem,
        }
    })
}

fn malformed(error: &wasmparser::BinaryReaderError) -> Problem {
    Problem::invalid(format!(
        "the WebAssembly binary is malformed: {}",
        error.message()
    ))
    .at(format!("byte {:#x}", error.offset()))
}

/// The facts as they come in.
#[derive(Default)]
struct Reading {
    /// Encodings of what is being read, outermost first.
    nesting: Vec<Encoding>,
    outermost: Option<Encoding>,
    imports: Vec<String>,
    exports: Vec<String>,
    memory_min_bytes: u64,
    memory_max_bytes: u64,
    memory_unbounded: bool,
    memory64: bool,
}

impl Reading {
    fn take(&mut self, payload: Payload<'_>) -> Result<()> {
        match payload {
            Payload::Version { encoding, .. } => {
                self.nesting.push(encoding);
                self.outermost.get_or_insert(encoding);
                if self.nesting.len() > DEPTH_MAX {
                    return Err(Problem::invalid("components are nested too deeply")
                        .limit(format!("{DEPTH_MAX} levels")));
                }
            }
            Payload::End(_) => {
                self.nesting.pop();
            }
            Payload::MemorySection(section) => {
                for memory in items(section) {
                    self.count(&memory?);
                }
            }
            Payload::ImportSection(section) if self.is_outermost() => self.core_imports(section)?,
            Payload::ExportSection(section) if self.is_outermost() => {
                for export in items(section) {
                    let export = export?;
                    let name = match export.kind {
                        ExternalKind::Func => export.name.to_owned(),
                        kind => format!("{} ({})", export.name, kind_name(kind)),
                    };
                    push(&mut self.exports, name)?;
                }
            }
            Payload::ComponentImportSection(section) if self.is_outermost() => {
                for import in items(section) {
                    push(&mut self.imports, import?.name.name.to_owned())?;
                }
            }
            Payload::ComponentExportSection(section) if self.is_outermost() => {
                for export in items(section) {
                    push(&mut self.exports, export?.name.name.to_owned())?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn is_outermost(&self) -> bool {
        self.nesting.len() == 1
    }

    fn core_imports(&mut self, section: wasmparser::ImportSectionReader<'_>) -> Result<()> {
        for group in items(section) {
            match group? {
                Imports::Single(_, import) => {
                    if let TypeRef::Memory(memory) = import.ty {
                        self.count(&memory);
                    }
                    push(
                        &mut self.imports,
                        format!("{}.{}", import.module, import.name),
                    )?;
                }
                Imports::Compact1 {
                    module,
                    items: names,
                } => {
                    for item in items(names) {
                        push(&mut self.imports, format!("{module}.{}", item?.name))?;
                    }
                }
                Imports::Compact2 { module, names, .. } => {
                    for name in items(names) {
                        push(&mut self.imports, format!("{module}.{}", name?))?;
                    }
                }
            }
        }
        Ok(())
    }

    fn count(&mut self, memory: &MemoryType) {
        let page_bytes = memory.page_size_log2.map_or(PAGE_BYTES, |log2| {
            1_u64.checked_shl(log2).unwrap_or(u64::MAX)
        });
        self.memory64 |= memory.memory64;
        self.memory_min_bytes = self
            .memory_min_bytes
            .saturating_add(memory.initial.saturating_mul(page_bytes));
        match memory.maximum {
            Some(maximum) => {
                self.memory_max_bytes = self
                    .memory_max_bytes
                    .saturating_add(maximum.saturating_mul(page_bytes));
            }
            None => self.memory_unbounded = true,
        }
    }

    fn finish(self, package_bytes: u64) -> Result<WasmFacts> {
        let format = match self.outermost {
            Some(Encoding::Module) => PayloadFormat::WasmModule,
            Some(Encoding::Component) => PayloadFormat::WasmComponent,
            None => return Err(Problem::invalid("the WebAssembly binary is empty")),
        };
        let mut imports = self.imports;
        let mut seen = std::collections::HashSet::new();
        imports.retain(|name| seen.insert(name.clone()));
        Ok(WasmFacts {
            format,
            imports,
            exports: self.exports,
            memory_min_bytes: self.memory_min_bytes,
            memory_max_bytes: (!self.memory_unbounded).then_some(self.memory_max_bytes),
            memory64: self.memory64,
            package_bytes,
        })
    }
}

/// The items of a section, malformed ones as problems.
fn items<'a, T: FromReader<'a>>(
    section: SectionLimited<'a, T>,
) -> impl Iterator<Item = Result<T>> + use<'a, T> {
    section
        .into_iter()
        .map(|item| item.map_err(|error| malformed(&error)))
}

fn push(names: &mut Vec<String>, name: String) -> Result<()> {
    if names.len() >= NAMES_MAX {
        return Err(
            Problem::invalid("the program has too many imports or exports")
                .limit(format!("{NAMES_MAX} of each")),
        );
    }
    names.push(name);
    Ok(())
}

fn kind_name(kind: ExternalKind) -> &'static str {
    match kind {
        ExternalKind::Func | ExternalKind::FuncExact => "function",
        ExternalKind::Table => "table",
        ExternalKind::Memory => "memory",
        ExternalKind::Global => "global",
        ExternalKind::Tag => "tag",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_shows_its_imports_exports_and_memory() {
        let facts = inspect(
            br#"(module
                (import "wasi_snapshot_preview1" "sock_open" (func (param i32) (result i32)))
                (import "env" "log" (func))
                (memory (export "memory") 2 10)
                (func (export "_start")))"#,
        )
        .expect("well-formed");
        assert_eq!(facts.format, PayloadFormat::WasmModule);
        assert_eq!(
            facts.imports,
            ["wasi_snapshot_preview1.sock_open", "env.log"]
        );
        assert_eq!(facts.exports, ["memory (memory)", "_start"]);
        assert_eq!(facts.memory_min_bytes, 2 * 65_536);
        assert_eq!(facts.memory_max_bytes, Some(10 * 65_536));
        assert!(!facts.memory64);
    }

    #[test]
    fn a_component_shows_only_its_own_imports_and_every_memory() {
        let facts = inspect(
            br#"(component
                (import "wasi:sockets/tcp@0.2.3" (instance))
                (core module (import "inner" "secret" (func)) (memory i64 3))
                (core module (memory 4)))"#,
        )
        .expect("well-formed");
        assert_eq!(facts.format, PayloadFormat::WasmComponent);
        assert_eq!(facts.imports, ["wasi:sockets/tcp@0.2.3"]);
        assert_eq!(facts.memory_min_bytes, 7 * 65_536);
        assert_eq!(facts.memory_max_bytes, None);
        assert!(facts.memory64);
    }

    #[test]
    fn a_handler_is_one_that_is_no_command() {
        let handles = |exports: &str| {
            let text = format!("(component (import \"a:b/c\" (instance $i)) {exports})");
            inspect(text.as_bytes())
                .expect("well-formed")
                .handles_http()
        };
        let handler = r#"(export "wasi:http/incoming-handler@0.2.3" (instance $i))"#;
        let command = r#"(export "wasi:cli/run@0.2.0" (instance $i))"#;
        assert!(handles(handler));
        assert!(!handles(command));
        assert!(!handles(&format!("{handler} {command}")));
        assert!(!handles(
            r#"(export "wasi:http/incoming-handler@0.3.0" (instance $i))"#
        ));
    }

    #[test]
    fn malformed_text_names_line_and_column() {
        let problem = inspect(b"(module\n  (func (export 3)))").expect_err("malformed");
        assert_eq!(problem.place(), Some("line 2:10"), "{problem}");
    }

    #[test]
    fn no_bytes_make_it_panic() {
        let whole =
            to_binary(br#"(component (core module (memory 1)) (import "a:b/c" (instance)))"#)
                .expect("well-formed")
                .into_owned();
        for end in 0..whole.len() {
            // A cut between two sections leaves something well-formed.
            let facts = inspect(&whole[..end]);
            assert!(end >= 8 || facts.is_err(), "cut at {end}");
        }
        for at in 0..whole.len() {
            for flip in [0x01, 0x80, 0xff] {
                let mut wrong = whole.clone();
                wrong[at] ^= flip;
                let _ = inspect(&wrong);
            }
        }
    }
}
