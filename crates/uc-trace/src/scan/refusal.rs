//! What a file is that cannot be scanned, said so that one knows what to do instead.

use uc_model::{Problem, Result};

/// Bytes at the start of a file in which a packer leaves its mark.
const MARKED: usize = 4096;

/// Beginnings of other kinds of file, with their names and what to do with them.
const OTHERS: [(&[u8], &str, &str); 9] = [
    (b"MZ", "a program for Windows", "scan its build for Linux"),
    (
        &[0xcf, 0xfa, 0xed, 0xfe],
        "a program for macOS",
        "scan its build for Linux",
    ),
    (
        &[0xca, 0xfe, 0xba, 0xbe],
        "a Java class or a program for macOS",
        "scan the `java` that runs it",
    ),
    (
        b"!<arch>\n",
        "an archive of object files",
        "give a program that is linked with it",
    ),
    (
        b"PK\x03\x04",
        "a ZIP or JAR archive",
        "unpack it, or scan the `java` that runs it",
    ),
    (&[0x1f, 0x8b], "a file compressed by gzip", "unpack it"),
    (
        &[0xfd, b'7', b'z', b'X', b'Z'],
        "a file compressed by xz",
        "unpack it",
    ),
    (
        &[0x28, 0xb5, 0x2f, 0xfd],
        "a file compressed by Zstandard",
        "unpack it",
    ),
    (b"BC\xc0\xde", "LLVM bitcode", "give the linked program"),
];

/// Refuses what is no ELF file that holds readable code.
///
/// # Errors
/// Invalid, naming what was found instead.
pub(super) fn check(bytes: &[u8]) -> Result<()> {
    let refuse = |found: &str, remedy: &str| {
        Err(Problem::invalid("the file is no program whose code can be read")
            .limit("an ELF file of 64 bits for x86_64 or aarch64, or a script that names its interpreter")
            .found(found)
            .remedy(remedy))
    };
    if bytes.is_empty() {
        return refuse("an empty file", "give the program itself");
    }
    if bytes.starts_with(b"\0asm") {
        return refuse(
            "a WebAssembly file, which makes no system calls of its own",
            "`uc explain FILE` says which runtime it gets, or why none",
        );
    }
    for (start, name, remedy) in OTHERS {
        if bytes.starts_with(start) {
            return refuse(name, remedy);
        }
    }
    if !bytes.starts_with(b"\x7fELF") {
        let is_text = bytes
            .iter()
            .take(512)
            .all(|byte| *byte >= 32 || byte.is_ascii_whitespace());
        return if is_text {
            refuse("text without `#!`", "scan the program that reads it")
        } else {
            refuse("data of another kind", "give the program itself")
        };
    }
    let start = bytes.get(..MARKED).unwrap_or(bytes);
    let has_sections = bytes.get(60..62).is_some_and(|count| count != [0, 0]);
    if !has_sections && memchr::memmem::find(start, b"UPX!").is_some() {
        return refuse(
            "a program packed by UPX, whose code is there only while it runs",
            "unpack it with `upx -d`, or trace it while it runs",
        );
    }
    Ok(())
}

/// The interpreter that the first line of a script names, with its first argument.
pub(super) fn interpreter(bytes: &[u8]) -> Option<(&str, Option<&str>)> {
    /// The kernel reads no more of the line.
    const MAX_LINE: usize = 256;
    let rest = bytes.strip_prefix(b"#!")?;
    let rest = rest.get(..MAX_LINE).unwrap_or(rest);
    let line = rest.split(|byte| *byte == b'\n').next()?;
    let mut words = std::str::from_utf8(line).ok()?.split_whitespace();
    Some((words.next()?, words.next()))
}
