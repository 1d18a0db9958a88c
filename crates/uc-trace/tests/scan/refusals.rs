//! What cannot be scanned says what it is and what to do.

use std::path::Path;

use uc_model::{Problem, ProblemKind};
use uc_trace::scan::{Options, from_bytes, scan};

fn refusal(bytes: &[u8]) -> Problem {
    from_bytes(bytes).expect_err("is refused")
}

/// The first 64 bytes of an ELF file.
fn header(bits: u8, order: u8, kind: u16, machine: u16) -> Vec<u8> {
    let mut bytes = vec![0; 64];
    bytes[..7].copy_from_slice(&[0x7f, b'E', b'L', b'F', bits, order, 1]);
    bytes[16..18].copy_from_slice(&kind.to_le_bytes());
    bytes[18..20].copy_from_slice(&machine.to_le_bytes());
    bytes
}

#[test]
fn other_files_are_named() {
    let samples: [(&[u8], &str); 8] = [
        (b"", "empty"),
        (b"\0asm\x01\0\0\0", "WebAssembly"),
        (b"MZ\x90\0", "Windows"),
        (b"\xcf\xfa\xed\xfe", "macOS"),
        (b"!<arch>\n", "archive of object files"),
        (b"PK\x03\x04", "ZIP"),
        (b"hello\n", "text without `#!`"),
        (b"\x01\x02\x03\x04", "another kind"),
    ];
    for (bytes, word) in samples {
        let problem = refusal(bytes);
        assert_eq!(problem.kind(), ProblemKind::Invalid);
        let text = format!("{problem:?}");
        assert!(text.contains(word), "{text}");
        assert!(text.contains("remedy: Some"), "{text}");
    }
}

#[test]
fn programs_of_other_machines_are_named() {
    for (bytes, word) in [
        (header(1, 1, 2, 3), "32-bit"),
        (header(2, 1, 2, 243), "machine 243"),
        (header(2, 2, 2, 183), "big-endian"),
        (header(2, 1, 1, 62), "object file"),
        (header(2, 1, 4, 62), "core dump"),
        (header(2, 1, 2, 62), "holds no code"),
        (b"\x7fELF\x02\x01".to_vec(), "truncated"),
    ] {
        let text = format!("{:?}", refusal(&bytes));
        assert!(text.contains(word), "{word}: {text}");
    }
    let mut packed = header(2, 1, 3, 62);
    packed.extend_from_slice(b"....UPX!....");
    assert!(format!("{:?}", refusal(&packed)).contains("UPX"));
}

#[test]
fn a_program_that_is_cut_off_is_told() {
    let Ok(bytes) = std::fs::read("/usr/bin/true") else {
        println!("skipped: there is no /usr/bin/true");
        return;
    };
    let problem = refusal(&bytes[..bytes.len() / 4]);
    assert!(format!("{problem:?}").contains("truncated"), "{problem:?}");
}

#[test]
fn paths_that_are_no_files_are_told() {
    let options = Options::default();
    let missing = scan(Path::new("/there/is/no/such/program"), &options).expect_err("is not there");
    assert_eq!(missing.kind(), ProblemKind::NotFound);
    let folder = scan(Path::new("/usr"), &options).expect_err("is a directory");
    assert!(format!("{folder:?}").contains("directory"), "{folder:?}");
    let device = scan(Path::new("/dev/null"), &options).expect_err("is a device");
    assert!(format!("{device:?}").contains("device"), "{device:?}");
}
