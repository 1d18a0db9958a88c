//! Programs of a hundred bytes that run within gVisor, whatever the images hold: one that never ends, for the first container
//! of a kernel that others join, and one that connects to a port, for probes.

use crate::trial_program::elf;

/// Where the program that waits for ever lies in its root file system.
pub(crate) const PAUSE: &str = "/pause";

/// How the program that connects ends where gVisor has interrupted its call, which happens without a signal on a busy host.
pub(crate) const INTERRUPTED: u8 = libc::EINTR as u8;

/// An ELF program for this processor that waits for ever; `None` where none is known. A signal that it does not die of
/// wakes it up, and it waits again.
pub(crate) fn pause() -> Option<Vec<u8>> {
    let (machine, code): (u16, &[u8]) = match std::env::consts::ARCH {
        // mov eax, 34 (pause); syscall; jmp to the first
        "x86_64" => (62, &[0xb8, 34, 0, 0, 0, 0x0f, 0x05, 0xeb, 0xf7]),
        // mov x0 to x4, #0; mov x8, #73 (ppoll); svc #0; b to the first
        "aarch64" => (
            183,
            &[
                0, 0, 0x80, 0xd2, 1, 0, 0x80, 0xd2, 2, 0, 0x80, 0xd2, 3, 0, 0x80, 0xd2, 4, 0, 0x80,
                0xd2, 0x28, 0x09, 0x80, 0xd2, 1, 0, 0, 0xd4, 0xf9, 0xff, 0xff, 0x17,
            ],
        ),
        _ => return None,
    };
    Some(elf(machine, code))
}

/// An ELF program for this processor that connects to a port of the loopback and exits with 0, or with the number of the
/// error; `None` where none is known.
pub(crate) fn connect(port: u16) -> Option<Vec<u8>> {
    let (machine, code): (u16, &[u8]) = match std::env::consts::ARCH {
        "x86_64" => (
            62,
            &[
                0xb8, 41, 0, 0, 0, // mov eax, 41 (socket)
                0xbf, 2, 0, 0, 0, // mov edi, AF_INET
                0xbe, 1, 0, 0, 0, // mov esi, SOCK_STREAM
                0x31, 0xd2, // xor edx, edx
                0x0f, 0x05, // syscall
                0x89, 0xc7, // mov edi, eax
                0x48, 0x8d, 0x35, 23, 0, 0, 0, // lea rsi, [the address, 23 bytes on]
                0xba, 16, 0, 0, 0, // mov edx, its length
                0xb8, 42, 0, 0, 0, // mov eax, 42 (connect)
                0x0f, 0x05, // syscall
                0x89, 0xc7, // mov edi, eax
                0xf7, 0xdf, // neg edi
                0xb8, 60, 0, 0, 0, // mov eax, 60 (exit)
                0x0f, 0x05, // syscall
            ],
        ),
        "aarch64" => (
            183,
            &[
                0x40, 0x00, 0x80, 0xd2, // mov x0, AF_INET
                0x21, 0x00, 0x80, 0xd2, // mov x1, SOCK_STREAM
                0x02, 0x00, 0x80, 0xd2, // mov x2, #0
                0xc8, 0x18, 0x80, 0xd2, // mov x8, #198 (socket)
                0x01, 0x00, 0x00, 0xd4, // svc #0
                0x01, 0x01, 0x00, 0x10, // adr x1, the address, 32 bytes on
                0x02, 0x02, 0x80, 0xd2, // mov x2, its length
                0x68, 0x19, 0x80, 0xd2, // mov x8, #203 (connect)
                0x01, 0x00, 0x00, 0xd4, // svc #0
                0xe0, 0x03, 0x00, 0xcb, // neg x0, x0
                0xa8, 0x0b, 0x80, 0xd2, // mov x8, #93 (exit)
                0x01, 0x00, 0x00, 0xd4, // svc #0
                0x1f, 0x20, 0x03, 0xd5, // nop
            ],
        ),
        _ => return None,
    };
    // sockaddr_in: the family in the processor's order, port and address in the network's, and eight bytes of nothing.
    let family: u16 = 2;
    let address = [
        &family.to_le_bytes()[..],
        &port.to_be_bytes(),
        &[127, 0, 0, 1],
        &[0; 8],
    ];
    Some(elf(machine, &[code, &address.concat()].concat()))
}

#[cfg(test)]
mod tests {
    use std::{
        io::ErrorKind,
        os::unix::{fs::PermissionsExt as _, process::ExitStatusExt as _},
        path::{Path, PathBuf},
        process::{Child, Command},
    };

    use super::*;

    fn write(program: Option<Vec<u8>>) -> Option<(tempfile::TempDir, PathBuf)> {
        let Some(program) = program else {
            println!("skipped: no program is known for this processor");
            return None;
        };
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("program");
        std::fs::write(&file, program).expect("written");
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).expect("made");
        Some((directory, file))
    }

    /// A child of another test may still hold the file as it was when it was written.
    fn spawn(file: &Path) -> Child {
        loop {
            match Command::new(file).spawn() {
                Err(error) if error.kind() == ErrorKind::ExecutableFileBusy => {}
                spawned => return spawned.expect("runs"),
            }
        }
    }

    #[test]
    fn one_says_whether_a_port_listens() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("bound");
        let port = listener.local_addr().expect("an address").port();
        let Some((_directory, file)) = write(connect(port)) else {
            return;
        };
        let run = || spawn(&file).wait().expect("reaped").code();
        assert_eq!(run(), Some(0));
        drop(listener);
        assert_eq!(run(), Some(libc::ECONNREFUSED));
    }

    #[test]
    fn one_sleeps_until_it_is_killed() {
        let Some((_directory, file)) = write(pause()) else {
            return;
        };
        let mut child = spawn(&file);
        let stat = format!("/proc/{}/stat", child.id());
        // The spawn returns before the program's first instruction.
        while !std::fs::read_to_string(&stat)
            .expect("it lives")
            .contains("(program) S")
        {
            assert_eq!(child.try_wait().expect("a child"), None, "it has ended");
            std::thread::yield_now();
        }
        child.kill().expect("killed");
        let status = child.wait().expect("reaped");
        assert_eq!(status.signal(), Some(libc::SIGKILL));
    }
}
