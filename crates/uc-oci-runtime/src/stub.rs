//! A program of a hundred bytes that ends at once: what a trial of a runtime runs.

/// An ELF program for this processor whose only deed is `exit(0)`; `None` where none is known.
///
/// It is put together from the fields of the ELF header and of one program header (ELF specification, 64-bit), behind
/// which its three instructions follow.
pub(crate) fn program() -> Option<Vec<u8>> {
    // Move the number of `exit` and 0 into the registers of the system-call convention, and call.
    let (machine, code): (u16, &[u8]) = match std::env::consts::ARCH {
        // mov eax, 60; xor edi, edi; syscall
        "x86_64" => (62, &[0xb8, 60, 0, 0, 0, 0x31, 0xff, 0x0f, 0x05]),
        // mov x8, #93; mov x0, #0; svc #0
        "aarch64" => (
            183,
            &[0xa8, 0x0b, 0x80, 0xd2, 0, 0, 0x80, 0xd2, 1, 0, 0, 0xd4],
        ),
        _ => return None,
    };
    Some(elf(machine, code))
}

fn elf(machine: u16, code: &[u8]) -> Vec<u8> {
    const HEADER: u64 = 64;
    const PROGRAM_HEADER: u64 = 56;
    const LOADED_AT: u64 = 0x40_0000;
    let entry = HEADER + PROGRAM_HEADER;
    let size = entry + code.len() as u64;
    let mut bytes = vec![0x7f, b'E', b'L', b'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    // An executable of version 1.
    for half in [2, machine] {
        bytes.extend(half.to_le_bytes());
    }
    bytes.extend(1u32.to_le_bytes());
    for word in [LOADED_AT + entry, HEADER, 0] {
        bytes.extend(word.to_le_bytes());
    }
    bytes.extend(0u32.to_le_bytes());
    for half in [HEADER as u16, PROGRAM_HEADER as u16, 1, 0, 0, 0] {
        bytes.extend(half.to_le_bytes());
    }
    // One segment, readable and executable: the whole file.
    for word in [1u32, 5] {
        bytes.extend(word.to_le_bytes());
    }
    for word in [0, LOADED_AT, LOADED_AT, size, size, 0x1000] {
        bytes.extend(word.to_le_bytes());
    }
    bytes.extend(code);
    bytes
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn it_runs_and_succeeds() {
        let Some(program) = program() else {
            println!("skipped: no stub for this processor");
            return;
        };
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("stub");
        std::fs::write(&file, program).expect("written");
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).expect("made");
        let status = std::process::Command::new(&file).status().expect("runs");
        assert!(status.success(), "{status:?}");
    }
}
