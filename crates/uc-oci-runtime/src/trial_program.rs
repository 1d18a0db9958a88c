//! Programs of a hundred bytes that end at once: what a trial of a runtime runs.

use crate::flavour::Flavour;

/// Where the program is loaded, and how much comes before its instructions.
const LOADED_AT: u64 = 0x40_0000;
const HEADER: u64 = 64;
const PROGRAM_HEADER: u64 = 56;

/// An ELF program for this processor that exits with 0; `None` where none is known. Under a runtime that shares the host's
/// kernel it exits with 1 where the filter of system calls does not look at arguments as it should.
pub(crate) fn program(flavour: Flavour) -> Option<Vec<u8>> {
    // The instructions move numbers into the registers of the system-call convention, and call.
    let (machine, code): (u16, &[u8]) = match (std::env::consts::ARCH, flavour) {
        ("x86_64", Flavour::Runsc) => (62, &EXIT_X86_64),
        ("x86_64", Flavour::Crun | Flavour::Runc | Flavour::Youki) => (62, &CHECK_X86_64),
        // mov x8, #93; mov x0, #0; svc #0
        ("aarch64", _) => (
            183,
            &[0xa8, 0x0b, 0x80, 0xd2, 0, 0, 0x80, 0xd2, 1, 0, 0, 0xd4],
        ),
        _ => return None,
    };
    Some(elf(machine, code))
}

/// `exit(0)`.
const EXIT_X86_64: [u8; 9] = [
    0xb8, 60, 0, 0, 0, // mov eax, 60
    0x31, 0xff, // xor edi, edi
    0x0f, 0x05, // syscall
];

/// Calls that come to nothing: the allow-list refuses all but the last with EPERM, and lets that through to EBADF.
const CHECK_X86_64: [u8; 113] = [
    // ioctl(-1, TIOCSTI) must be -EPERM.
    0xb8, 16, 0, 0, 0, // mov eax, 16
    0xbf, 0xff, 0xff, 0xff, 0xff, // mov edi, -1
    0xbe, 0x12, 0x54, 0, 0, // mov esi, 0x5412
    0x31, 0xd2, // xor edx, edx
    0x0f, 0x05, // syscall
    0x83, 0xf8, 0xff, // cmp eax, -1
    0x75, 77, // jne fail
    // clone(CLONE_NEWUSER | CLONE_THREAD) must be -EPERM; without a filter it is -EINVAL, for threads share more.
    0xb8, 56, 0, 0, 0, // mov eax, 56
    0xbf, 0, 0, 1, 0x10, // mov edi, 0x10010000
    0x31, 0xf6, // xor esi, esi
    0x0f, 0x05, // syscall
    0x83, 0xf8, 0xff, // cmp eax, -1
    0x75, 58, // jne fail
    // So must ioctl(-1, TIOCSTI) be with a bit above those that the kernel reads.
    0xb8, 16, 0, 0, 0, // mov eax, 16
    0xbf, 0xff, 0xff, 0xff, 0xff, // mov edi, -1
    0x48, 0xbe, 0x12, 0x54, 0, 0, 1, 0, 0, 0, // mov rsi, 0x100005412
    0x0f, 0x05, // syscall
    0x83, 0xf8, 0xff, // cmp eax, -1
    0x75, 31, // jne fail
    // ioctl(-1, TCGETS) must be -EBADF.
    0xb8, 16, 0, 0, 0, // mov eax, 16
    0xbf, 0xff, 0xff, 0xff, 0xff, // mov edi, -1
    0xbe, 0x01, 0x54, 0, 0, // mov esi, 0x5401
    0x0f, 0x05, // syscall
    0x83, 0xf8, 0xf7, // cmp eax, -9
    0x75, 9, // jne fail
    // exit(0)
    0xb8, 60, 0, 0, 0, // mov eax, 60
    0x31, 0xff, // xor edi, edi
    0x0f, 0x05, // syscall
    // fail: exit(1)
    0xb8, 60, 0, 0, 0, // mov eax, 60
    0xbf, 1, 0, 0, 0, // mov edi, 1
    0x0f, 0x05, // syscall
];

/// Puts a program together from the fields of the ELF header and of one program header (ELF specification, 64-bit), behind
/// which its instructions follow.
pub(crate) fn elf(machine: u16, code: &[u8]) -> Vec<u8> {
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

    /// The exit code of a trial's program here, where no filter looks at it.
    fn code(flavour: Flavour) -> Option<i32> {
        let Some(program) = program(flavour) else {
            println!("skipped: no program is known for this processor");
            return None;
        };
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("program");
        std::fs::write(&file, program).expect("written");
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).expect("made");
        let status = std::process::Command::new(&file).status().expect("runs");
        Some(status.code().expect("an exit"))
    }

    #[test]
    fn it_runs_and_succeeds() {
        assert!(code(Flavour::Runsc).is_none_or(|code| code == 0));
    }

    #[test]
    fn without_a_filter_the_check_fails() {
        if std::env::consts::ARCH == "x86_64" {
            assert_eq!(code(Flavour::Crun), Some(1));
        }
    }
}
