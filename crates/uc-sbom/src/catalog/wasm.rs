//! WebAssembly modules and components: what their custom sections say about them, and the crates that cargo-auditable
//! lists. What is nested in a component counts as a package of its own if it states a version.
//!
//! The sections are those of the tool conventions (`name`, `producers`) and of wasm-metadata (`version`, `licenses`, …).

use uc_model::{Problem, Result};

use super::{Found, auditable};
use crate::{
    collector::ReadSeek,
    licence::Licence,
    package::{Package, PackageKind},
    text,
    window::Window,
};

const MAGIC: &[u8] = b"\0asm";
/// Magic number, version and layer.
const HEADER_BYTES: u64 = 8;
/// The most sections of a file, nested ones included.
const SECTIONS: usize = 100_000;
/// How deep components nest.
const DEPTH: usize = 16;
/// The largest section of text that is read, in bytes; of a `name` section only the beginning is needed.
const TEXT_BYTES: u64 = 64 << 10;
/// The most tools of a `producers` section.
const PRODUCERS: usize = 64;

const CUSTOM: u8 = 0;
/// A core module within a component (component model, "Binary.md").
const CORE_MODULE: u8 = 1;
/// A component within a component.
const COMPONENT: u8 = 4;

/// Whether a file that begins so is a module or component.
pub(crate) fn is_wasm(head: &[u8]) -> bool {
    head.starts_with(MAGIC)
}

/// Reads a module or component. One that has no name of its own is named after its file.
pub fn read(file_name: &str, reader: &mut dyn ReadSeek) -> Found {
    let mut found = Found::default();
    let mut left = SECTIONS;
    let read = Window::whole(reader).and_then(|mut window| {
        let mut head = [0; 4];
        if window.len() < HEADER_BYTES || window.read_at(0, &mut head).is_err() || head != MAGIC {
            return Ok(None);
        }
        one(&mut window, 0, &mut left, &mut found).map(Some)
    });
    match read {
        Ok(Some(about)) => {
            let stem = file_name.strip_suffix(".wasm").unwrap_or(file_name);
            found.packages.insert(0, about.package(stem));
        }
        // Files for other loaders are common: not worth a warning.
        Ok(None) => {}
        Err(problem) => found.warn(problem.within("WebAssembly")),
    }
    found
}

/// What a module or component says about itself.
#[derive(Default)]
struct About {
    is_component: bool,
    name: Option<String>,
    version: Option<String>,
    licences: Vec<Licence>,
    authors: Option<String>,
    homepage: Option<String>,
    source: Option<String>,
    description: Option<String>,
    /// `rustc 1.95.0`.
    producers: Vec<String>,
}

impl About {
    fn package(self, name: &str) -> Package {
        let name = self.name.as_deref().unwrap_or(name);
        let version = self.version.unwrap_or_default();
        let mut package = Package::new(PackageKind::Other, name, version);
        package.licences = self.licences;
        package.supplier = self.authors;
        package.homepage = self.homepage.or(self.source);
        let kind = if self.is_component {
            "WebAssembly component"
        } else {
            "WebAssembly module"
        };
        let made = match self.producers.as_slice() {
            [] => kind.to_owned(),
            tools => format!("{kind} made by {}", tools.join(", ")),
        };
        let said = match self.description {
            Some(description) => format!("{description} ({made})"),
            None => made,
        };
        package.description = text::line(said.as_bytes());
        package
    }

    fn take(&mut self, name: &[u8], payload: &[u8]) {
        let line = || text::line(payload);
        match name {
            b"version" => self.version = text::word(payload, "a version").ok(),
            b"licenses" => {
                let stated = std::str::from_utf8(payload).ok();
                self.licences.extend(stated.and_then(Licence::parse));
            }
            b"authors" => self.authors = line(),
            b"homepage" => self.homepage = line(),
            b"source" => self.source = line(),
            b"description" => self.description = line(),
            b"name" | b"component-name" => {
                self.name = own_name(payload)
                    .and_then(|name| text::word(name, "a name").ok())
                    .or(self.name.take());
            }
            b"producers" => self.producers = producers(payload).unwrap_or_default(),
            _ => {}
        }
    }
}

/// Reads one module or component; what is nested in it goes to `found`.
fn one(
    window: &mut Window<'_>,
    depth: usize,
    left: &mut usize,
    found: &mut Found,
) -> Result<About> {
    let mut header = [0; HEADER_BYTES as usize];
    window.read_at(0, &mut header)?;
    let mut about = About {
        // The layer: 0 of modules, 1 of components.
        is_component: header[6] == 1,
        ..About::default()
    };
    let mut at = HEADER_BYTES;
    while at < window.len() {
        *left = left.checked_sub(1).ok_or_else(|| {
            Problem::refused("the WebAssembly file has too many sections").limit(SECTIONS)
        })?;
        let (id, size, start) = section(window, at)?;
        let mut part = window.part(start, size)?;
        match id {
            CUSTOM => custom(&mut part, &mut about, found)?,
            CORE_MODULE | COMPONENT if about.is_component && size >= HEADER_BYTES => {
                if depth >= DEPTH {
                    return Err(Problem::refused("components are nested too deeply").limit(DEPTH));
                }
                let inner = one(&mut part, depth + 1, left, found)?;
                if let Some(name) = inner.name.clone().filter(|_| inner.version.is_some()) {
                    found.push(inner.package(&name));
                }
            }
            _ => {}
        }
        at = start + size;
    }
    Ok(about)
}

/// The section at an offset: its number, its size, and where its content begins.
fn section(window: &mut Window<'_>, at: u64) -> Result<(u8, u64, u64)> {
    let length = (window.len() - at).min(6);
    let bytes = window.bytes_at(at, length, 6)?;
    let mut rest = bytes.get(1..).unwrap_or_default();
    let before = rest.len();
    let size = number(&mut rest).ok_or_else(|| {
        Problem::invalid("the WebAssembly file is damaged").found(format!("a section at {at}"))
    })?;
    let id = bytes.first().copied().unwrap_or_default();
    Ok((id, size, at + 1 + (before - rest.len()) as u64))
}

fn custom(part: &mut Window<'_>, about: &mut About, found: &mut Found) -> Result<()> {
    let beginning = part.bytes_at(0, part.len().min(TEXT_BYTES), TEXT_BYTES)?;
    let mut rest = beginning.as_slice();
    let Some(name) = string(&mut rest) else {
        return Ok(());
    };
    if name == auditable::SECTION.as_bytes() {
        let start = (beginning.len() - rest.len()) as u64;
        let size = part.len() - start;
        let crates = part
            .bytes_at(start, size, auditable::COMPRESSED_BYTES)
            .and_then(|compressed| auditable::parse(&compressed));
        match crates {
            Ok(crates) => found.append(crates),
            Err(problem) => found.warn(problem.within("cargo-auditable")),
        }
        return Ok(());
    }
    about.take(name, rest);
    Ok(())
}

/// An unsigned number in LEB128, of at most 32 bits.
fn number(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in [0, 7, 14, 21, 28] {
        let (first, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(first & 0x7f) << shift;
        if first & 0x80 == 0 {
            return u32::try_from(value).ok().map(u64::from);
        }
    }
    None
}

fn string<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = usize::try_from(number(bytes)?).ok()?;
    let (string, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    Some(string)
}

/// The first subsection of a `name` section, number 0, is the name of the whole.
fn own_name(mut payload: &[u8]) -> Option<&[u8]> {
    let (0, rest) = payload.split_first()? else {
        return None;
    };
    payload = rest;
    number(&mut payload)?;
    string(&mut payload)
}

/// Tools with their versions: of the fields, the language and the tools that processed it.
fn producers(mut payload: &[u8]) -> Option<Vec<String>> {
    let mut tools = Vec::new();
    for _ in 0..number(&mut payload)?.min(PRODUCERS as u64) {
        let field = string(&mut payload)?;
        for _ in 0..number(&mut payload)? {
            let name = text::line(string(&mut payload)?);
            let version = text::line(string(&mut payload)?);
            if field == b"language" || tools.len() >= PRODUCERS {
                continue;
            }
            tools.extend(name.map(|name| match version {
                Some(version) => format!("{name} {version}"),
                None => name,
            }));
        }
    }
    Some(tools)
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    fn leb(mut value: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        loop {
            let byte = (value & 0x7f) as u8;
            value >>= 7;
            if value == 0 {
                bytes.push(byte);
                return bytes;
            }
            bytes.push(byte | 0x80);
        }
    }

    fn text(text: &str) -> Vec<u8> {
        [leb(text.len()), text.as_bytes().to_vec()].concat()
    }

    fn section(id: u8, content: &[u8]) -> Vec<u8> {
        [vec![id], leb(content.len()), content.to_vec()].concat()
    }

    fn custom(name: &str, content: &[u8]) -> Vec<u8> {
        section(0, &[text(name), content.to_vec()].concat())
    }

    fn file(is_component: bool, sections: &[Vec<u8>]) -> Vec<u8> {
        let header = if is_component {
            *b"\0asm\x0d\0\x01\0"
        } else {
            *b"\0asm\x01\0\0\0"
        };
        [header.to_vec(), sections.concat()].concat()
    }

    fn described() -> Vec<u8> {
        let name = section(0, &text("greeter"));
        let tools = [
            leb(2),
            text("language"),
            leb(1),
            text("Rust"),
            text(""),
            text("processed-by"),
            leb(2),
            text("rustc"),
            text("1.95.0"),
            text("wit-component"),
            text("0.240.0"),
        ]
        .concat();
        file(
            false,
            &[
                custom("name", &name),
                custom("version", b"1.2.3"),
                custom("licenses", b"Apache-2.0"),
                custom("authors", b"A <a@b>"),
                custom("source", b"https://example.org/x"),
                custom("producers", &tools),
            ],
        )
    }

    fn read_all(bytes: &[u8]) -> Found {
        read("app.wasm", &mut Cursor::new(bytes))
    }

    #[test]
    fn custom_sections_describe_a_module() {
        let found = read_all(&described());
        let package = &found.packages[0];
        assert_eq!(
            (package.name.as_str(), package.version.as_str()),
            ("greeter", "1.2.3")
        );
        assert_eq!(package.licences, [Licence::Spdx("Apache-2.0".into())]);
        assert_eq!(package.supplier.as_deref(), Some("A <a@b>"));
        assert_eq!(package.homepage.as_deref(), Some("https://example.org/x"));
        assert_eq!(
            package.description.as_deref(),
            Some("WebAssembly module made by rustc 1.95.0, wit-component 0.240.0")
        );
    }

    #[test]
    fn nested_modules_count_if_they_state_a_version() {
        let bare = file(false, &[]);
        let inner = file(true, &[section(1, &described())]);
        let bytes = file(true, &[section(1, &bare), section(4, &inner)]);
        let found = read_all(&bytes);
        let names: Vec<_> = found.packages.iter().map(|one| one.name.as_str()).collect();
        assert_eq!(names, ["app", "greeter"]);
        assert!(found.warnings.is_empty());
    }

    #[test]
    fn damage_is_a_warning_and_other_files_are_nothing() {
        let whole = file(
            true,
            &[section(1, &described()), custom("producers", &leb(99))],
        );
        assert!(read_all(&whole).warnings.is_empty());
        for length in 0..whole.len() {
            // It ends; a cut at the end of a section is a shorter file.
            read_all(&whole[..length]);
        }
        assert_eq!(read_all(&whole[..whole.len() - 1]).warnings.len(), 1);
        assert!(read_all(b"\x7fELF").packages.is_empty());
        let deep = (0..=DEPTH).fold(file(true, &[]), |inner, _| {
            file(true, &[section(4, &inner)])
        });
        let found = read_all(&deep);
        assert!(found.warnings[0].to_string().contains("too deeply"));
        let many = file(false, &vec![section(2, &[]); SECTIONS + 1]);
        assert!(read_all(&many).warnings[0].to_string().contains("too many"));
        let list = file(false, &[custom(".dep-v0", b"no zlib")]);
        assert_eq!(
            (
                read_all(&list).packages.len(),
                read_all(&list).warnings.len()
            ),
            (1, 1)
        );
    }
}
