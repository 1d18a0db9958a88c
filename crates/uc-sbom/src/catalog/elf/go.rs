//! Go's build information: inline as of Go 1.18, behind pointers before.

use uc_model::{Problem, Result};

use super::Elf;
use crate::{
    catalog::Found,
    package::{Package, PackageKind},
    text,
};

const SECTION: &str = ".go.buildinfo";
const MAGIC: &[u8] = b"\xff Go buildinf:";
/// The magic stands at a multiple of this.
const ALIGNMENT: usize = 16;
/// Size of the header; inline strings follow it.
const HEADER_BYTES: u64 = 32;
/// Without a section, this much of the first writable segment is searched, in bytes.
const SEARCHED_BYTES: u64 = 1 << 20;
/// The longest version of the tool chain, in bytes.
const VERSION_BYTES: u64 = 256;
/// The longest list of modules, in bytes.
const MODULES_BYTES: u64 = 8 << 20;
/// The list of modules stands between two marks of this length.
const MARK_BYTES: usize = 16;

/// The modules of a Go program, its tool chain's standard library among them; nothing for other programs.
pub(super) fn read(elf: &mut Elf<'_>) -> Result<Found> {
    let Some(start) = find(elf)? else {
        return Ok(Found::default());
    };
    let header = elf.window.bytes_at(start, HEADER_BYTES, HEADER_BYTES)?;
    let (pointer_bytes, flags) = match header.get(14..16) {
        Some([pointer_bytes, flags]) => (usize::from(*pointer_bytes), *flags),
        _ => return Err(damaged()),
    };
    let (version, modules) = if flags & 2 != 0 {
        let at = start + HEADER_BYTES;
        let (version, next) = inline(elf, at, VERSION_BYTES)?;
        let (modules, _) = inline(elf, next, MODULES_BYTES)?;
        (version, modules)
    } else {
        if !matches!(pointer_bytes, 4 | 8) {
            return Err(damaged());
        }
        let pointer = |at| {
            elf.order
                .word(&header, at, pointer_bytes)
                .ok_or_else(damaged)
        };
        let (first, second) = (pointer(16)?, pointer(16 + pointer_bytes)?);
        let version = pointed(elf, first, pointer_bytes, VERSION_BYTES)?;
        (version, pointed(elf, second, pointer_bytes, MODULES_BYTES)?)
    };
    Ok(modules_of(&version, &modules))
}

fn damaged() -> Problem {
    Problem::invalid("the header is damaged")
}

/// Where the header begins.
fn find(elf: &mut Elf<'_>) -> Result<Option<u64>> {
    let (offset, size) = match elf.find(SECTION) {
        Some(section) => (section.offset, section.size),
        None if !elf.sections.is_empty() => return Ok(None),
        // All sections stripped: the header begins the data.
        None => match elf.segments.iter().find(|segment| segment.is_writable) {
            Some(segment) => (segment.offset, segment.file_size),
            None => return Ok(None),
        },
    };
    let length = size.min(SEARCHED_BYTES);
    let bytes = elf.window.bytes_at(offset, length, SEARCHED_BYTES)?;
    Ok(bytes
        .chunks(ALIGNMENT)
        .position(|chunk| chunk.starts_with(MAGIC))
        .map(|chunk| offset + (chunk * ALIGNMENT) as u64))
}

/// A string with its length, as a base-128 number, in front; and where the next begins.
fn inline(elf: &mut Elf<'_>, at: u64, limit: u64) -> Result<(Vec<u8>, u64)> {
    let (mut length, mut shift, mut next) = (0_u64, 0, at);
    loop {
        let mut byte = [0];
        elf.window.read_at(next, &mut byte)?;
        next += 1;
        length |= u64::from(byte[0] & 0x7f) << shift;
        if byte[0] & 0x80 == 0 {
            break;
        }
        shift += 7;
        if shift > 28 {
            return Err(damaged());
        }
    }
    let bytes = elf.window.bytes_at(next, length, limit)?;
    Ok((bytes, next + length))
}

/// A string behind a pointer to its address and length.
fn pointed(elf: &mut Elf<'_>, address: u64, word_bytes: usize, limit: u64) -> Result<Vec<u8>> {
    let Some(at) = elf.offset_of(address) else {
        return Ok(Vec::new());
    };
    let header = elf.window.bytes_at(at, 2 * word_bytes as u64, 16)?;
    let field = |at| elf.order.word(&header, at, word_bytes).ok_or_else(damaged);
    let (data, length) = (field(0)?, field(word_bytes)?);
    match elf.offset_of(data) {
        Some(at) => elf.window.bytes_at(at, length, limit),
        None => Ok(Vec::new()),
    }
}

/// The packages of a version and a list of modules between marks.
fn modules_of(version: &[u8], modules: &[u8]) -> Found {
    let mut found = Found::default();
    let version = String::from_utf8_lossy(version);
    // `go1.22.1 X:experiment`
    let toolchain = version.split_whitespace().next().unwrap_or_default();
    if let Some(number) = toolchain.strip_prefix("go")
        && let Ok(number) = text::word(number.as_bytes(), "the version of Go")
    {
        found.push(Package::new(PackageKind::Go, "stdlib", number));
    }
    let inner = modules
        .get(MARK_BYTES..modules.len().saturating_sub(MARK_BYTES))
        .unwrap_or_default();
    let build = Build::parse(&String::from_utf8_lossy(inner));
    for (path, version) in build.main.into_iter().chain(build.dependencies) {
        let Ok(path) = text::word(path.as_bytes(), "the path of a Go module") else {
            continue;
        };
        let version = text::word(version.as_bytes(), "a version").unwrap_or_default();
        if !found.push(Package::new(PackageKind::Go, path, version)) {
            break;
        }
    }
    found
}

/// What the lines say: modules as path and version.
#[derive(Default)]
struct Build {
    main: Option<(String, String)>,
    dependencies: Vec<(String, String)>,
}

impl Build {
    fn parse(text: &str) -> Self {
        let mut build = Self::default();
        let mut last_is_main = false;
        let (mut program, mut stamped, mut revision, mut time) = (None, None, None, None);
        for line in text.lines() {
            let mut fields = line.split('\t');
            let kind = fields.next().unwrap_or_default();
            let path = fields.next().unwrap_or_default();
            let version = fields.next().unwrap_or_default();
            let module = || (path.to_owned(), version.to_owned());
            match kind {
                "path" => program = Some(path),
                "mod" => {
                    build.main = Some(module());
                    last_is_main = true;
                }
                "dep" => {
                    build.dependencies.push(module());
                    last_is_main = false;
                }
                // What the line before is replaced by; a local folder has no version.
                "=>" if !version.is_empty() => {
                    let replaced = if last_is_main {
                        build.main.as_mut()
                    } else {
                        build.dependencies.last_mut()
                    };
                    if let Some(replaced) = replaced {
                        *replaced = module();
                    }
                }
                "build" => match path.split_once('=') {
                    Some(("vcs.revision", value)) => revision = Some(value),
                    Some(("vcs.time", value)) => time = Some(value),
                    Some(("-ldflags", value)) => stamped = stamped_version(value),
                    _ => {}
                },
                _ => {}
            }
        }
        // Programs built outside of modules say only which package they are.
        if let (None, Some(program)) = (&build.main, program)
            && program != "command-line-arguments"
        {
            build.main = Some((program.to_owned(), "(devel)".to_owned()));
        }
        if let Some((_, version)) = &mut build.main
            && version == "(devel)"
            && let Some(better) = stamped.or_else(|| pseudo_version(revision, time))
        {
            *version = better;
        }
        build
    }
}

/// The version that the linker was told to set: `-X main.version=1.2.3`.
fn stamped_version(flags: &str) -> Option<String> {
    flags
        .split(['"', '\'', '\\', ' '])
        .filter_map(|flag| flag.split_once('='))
        .find(|(variable, value)| {
            let name = variable.rsplit('.').next().unwrap_or_default();
            let number = value.strip_prefix('v').unwrap_or(value);
            name.eq_ignore_ascii_case("version")
                && number.contains('.')
                && number.starts_with(|c: char| c.is_ascii_digit())
        })
        .map(|(_, value)| format!("v{}", value.strip_prefix('v').unwrap_or(value)))
}

/// What Go itself calls a commit without a tag: `v0.0.0-20240131120000-abcdefabcdef`.
fn pseudo_version(revision: Option<&str>, time: Option<&str>) -> Option<String> {
    let digits: String = time?
        .chars()
        .filter(char::is_ascii_digit)
        .take(14)
        .collect();
    let short = revision?.get(..12)?;
    (digits.len() == 14).then(|| format!("v0.0.0-{digits}-{short}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replacements_and_untagged_builds() {
        let mark = "0123456789abcdef";
        let text = format!(
            "{mark}path\texample.com/app\nmod\texample.com/app\t(devel)\t\ndep\tgolang.org/x/a\tv1.0.0\th1:x\ndep\tb.org/b\tv1.0.0\n=>\tc.org/c\tv2.0.0\th1:y\ndep\td.org/d\tv1.0.0\n=>\t./local\t\t\nbuild\tvcs.revision=abcdef0123456789\nbuild\tvcs.time=2024-01-31T12:00:00Z\n{mark}"
        );
        let found = modules_of(b"go1.22.1 X:none", text.as_bytes());
        let list: Vec<_> = found
            .packages
            .iter()
            .map(|one| (one.name.as_str(), one.version.as_str()))
            .collect();
        assert_eq!(
            list,
            [
                ("stdlib", "1.22.1"),
                ("example.com/app", "v0.0.0-20240131120000-abcdef012345"),
                ("golang.org/x/a", "v1.0.0"),
                ("c.org/c", "v2.0.0"),
                ("d.org/d", "v1.0.0"),
            ]
        );
    }

    #[test]
    fn programs_without_modules_and_stamped_versions() {
        let mark = "0123456789abcdef";
        let text = format!(
            "{mark}path\texample.com/cmd/tool\nbuild\t-ldflags=\"-X \\\"a.b/version.Version=20.10.24+dfsg1\\\" -s\"\n{mark}"
        );
        let found = modules_of(b"go1.19.8", text.as_bytes());
        let tool = &found.packages[1];
        assert_eq!(
            (tool.name.as_str(), tool.version.as_str()),
            ("example.com/cmd/tool", "v20.10.24+dfsg1")
        );
        assert_eq!(
            stamped_version("-X main.version=dev -X main.commit=1.2"),
            None
        );
    }
}
