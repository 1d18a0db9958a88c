//! What Firecracker says went wrong, in a user's terms.
//!
//! It has no codes, only sentences: the parts of them that its sources have had for years are looked for. A sentence that
//! is not known still becomes a problem, with the sentence as what was found.

use serde::Deserialize;
use uc_model::{Problem, ProblemKind};

use super::http::{Method, Response};

/// How much of a sentence is passed on, in characters.
const MAX_SENTENCE: usize = 600;

/// A sentence that is known by a part of it.
struct Known {
    part: &'static str,
    kind: ProblemKind,
    what: &'static str,
    remedy: &'static str,
}

const fn known(
    part: &'static str,
    kind: ProblemKind,
    what: &'static str,
    remedy: &'static str,
) -> Known {
    Known {
        part,
        kind,
        what,
        remedy,
    }
}

const NEW_SNAPSHOT: &str = "remove the snapshot and make it anew";
const SAME_VERSION: &str = "make the snapshot anew, or use the Firecracker that made it (its `--snapshot-version` says which it reads)";
const READABLE: &str =
    "the file must be there, and whoever runs Firecracker must be able to read it";

/// The known sentences. The first whose part occurs is meant, so the narrower ones come first.
const KNOWN: &[Known] = &[
    known(
        "Error creating KVM object",
        ProblemKind::Host,
        "KVM cannot be used",
        "load the module kvm_intel or kvm_amd, and let the user open /dev/kvm: group kvm, or setfacl -m u:$USER:rw /dev/kvm",
    ),
    known(
        "invalid KVM API version",
        ProblemKind::Host,
        "KVM cannot be used",
        "is /dev/kvm the kernel's own? a Linux of 5.10 or newer is needed",
    ),
    known(
        "Missing KVM capabilities",
        ProblemKind::Host,
        "KVM of this host lacks what Firecracker needs",
        "a Linux of 5.10 or newer is needed, and nested virtualisation where this is a virtual machine",
    ),
    known(
        "Cannot create KvmVm",
        ProblemKind::Host,
        "KVM makes no virtual machine here",
        "enable nested virtualisation where this is a virtual machine, or use QEMU without KVM",
    ),
    known(
        "kernel file cannot be opened",
        ProblemKind::NotFound,
        "the kernel cannot be opened",
        READABLE,
    ),
    known(
        "initrd file cannot be opened",
        ProblemKind::NotFound,
        "the first root file system cannot be opened",
        READABLE,
    ),
    known(
        "invalid kernel image",
        ProblemKind::Invalid,
        "this is no kernel that Firecracker boots",
        "it boots an uncompressed kernel of this architecture (vmlinux, an ELF file); only its newest versions boot a packed one \
         (vmlinuz, bzImage) as well",
    ),
    known(
        "bzImage does not provide",
        ProblemKind::Invalid,
        "this kernel has no 64-bit entry point",
        "take a kernel of this architecture, uncompressed (vmlinux)",
    ),
    known(
        "kernel command line",
        ProblemKind::Invalid,
        "the kernel's command line is invalid",
        "it has at most 2048 bytes of ASCII",
    ),
    known(
        "Invalid data version",
        ProblemKind::Invalid,
        "the snapshot was made by another version of Firecracker",
        SAME_VERSION,
    ),
    known(
        "Magic value does not match",
        ProblemKind::Invalid,
        "the snapshot is none, or was made on another architecture",
        NEW_SNAPSHOT,
    ),
    known(
        "too short to contain CRC",
        ProblemKind::Invalid,
        "the snapshot's state was cut off",
        NEW_SNAPSHOT,
    ),
    known(
        "CRC64 validation failed",
        ProblemKind::Invalid,
        "the snapshot's state is damaged",
        NEW_SNAPSHOT,
    ),
    known(
        "Snapshot size exceeds",
        ProblemKind::Invalid,
        "this is no state of a snapshot: it is too large",
        NEW_SNAPSHOT,
    ),
    known(
        "during bitcode serialization",
        ProblemKind::Invalid,
        "the snapshot's state was cut off, or made by another version of Firecracker",
        SAME_VERSION,
    ),
    known(
        "during bincode serialization",
        ProblemKind::Invalid,
        "the snapshot's state was cut off, or made by another version of Firecracker",
        SAME_VERSION,
    ),
    known(
        "Failed to open snapshot file",
        ProblemKind::NotFound,
        "the snapshot's state cannot be opened",
        READABLE,
    ),
    known(
        "Error creating guest memory from file: Failed to load",
        ProblemKind::NotFound,
        "the snapshot's memory cannot be opened",
        READABLE,
    ),
    known(
        "Error creating guest memory from file",
        ProblemKind::Invalid,
        "the snapshot's memory does not fit its state",
        NEW_SNAPSHOT,
    ),
    known(
        "without kernel configuration",
        ProblemKind::Invalid,
        "the microVM has no kernel to boot",
        "set a boot source before the start",
    ),
    known(
        "not supported before starting",
        ProblemKind::Invalid,
        "the microVM has not started",
        "start it first",
    ),
    known(
        "not supported after starting",
        ProblemKind::Invalid,
        "the microVM runs already",
        "configure it before the start",
    ),
    known(
        "No space left on device",
        ProblemKind::Storage,
        "a disk of the host is full",
        "make room, or choose another directory with UC_HOME",
    ),
    known(
        "Cannot create mmap region",
        ProblemKind::Host,
        "this host has not the memory for the microVM",
        "ask for less memory (resources.limits.memory), or end something",
    ),
    known(
        "manipulating the backing file",
        ProblemKind::NotFound,
        "the file of a drive cannot be opened",
        "the file must be there, and whoever runs Firecracker must be able to read it, and to write it unless the drive is read-only",
    ),
    known(
        "Open tap device failed",
        ProblemKind::Host,
        "the tap device cannot be opened",
        "make it for the user of the microVM: ip tuntap add NAME mode tap user UID",
    ),
    known(
        "Error binding to the host-side Unix socket",
        ProblemKind::Storage,
        "the socket of the microVM cannot be made",
        "is another microVM using this directory?",
    ),
];

/// The problem that an answer tells.
pub(crate) fn of_response(method: Method, path: &str, response: &Response) -> Problem {
    #[derive(Deserialize)]
    struct Fault {
        fault_message: String,
    }
    let sentence = serde_json::from_slice(&response.body).map_or_else(
        |_| format!("status {}", response.status),
        |fault: Fault| fault.fault_message,
    );
    of_sentence(&sentence).at(format!("{} {path}", method.name()))
}

/// The problem that a sentence of Firecracker's tells.
pub(crate) fn of_sentence(sentence: &str) -> Problem {
    let found = printable(sentence);
    match KNOWN.iter().find(|known| sentence.contains(known.part)) {
        Some(known) => {
            // What is there and closed is not missing.
            let closed = sentence.contains("Permission denied");
            let kind = match known.kind {
                ProblemKind::NotFound if closed => ProblemKind::Host,
                kind => kind,
            };
            Problem::new(kind, known.what)
                .found(found)
                .remedy(known.remedy)
        }
        None => Problem::host("Firecracker refused").found(found),
    }
}

/// Why Firecracker ended, from the last lines it wrote and its exit code.
pub(crate) fn of_end(lines: &[String], code: u8) -> Problem {
    let known = lines
        .iter()
        .rev()
        .find(|line| KNOWN.iter().any(|known| line.contains(known.part)));
    if let Some(line) = known {
        return of_sentence(line);
    }
    let told = lines.iter().rev().find(|line| line.contains("rror"));
    let last = told.or(lines.last()).map_or("nothing", String::as_str);
    let problem = Problem::host("Firecracker ended").found(format!(
        "exit code {code}; its last words: {}",
        printable(last)
    ));
    match code {
        // What the handlers of these signals end with (FcExitCode of its sources); 128 and more are signals that killed it.
        148 => {
            problem.remedy("its seccomp filter forbade a system call: use a release's own program")
        }
        149..=151 | 157 => {
            problem.remedy("it crashed: use another release, and report it to Firecracker")
        }
        137 => problem.remedy("it was killed: was the host, or its control group, out of memory?"),
        _ => problem,
    }
}

/// Foreign text, fit for a terminal: one line, without control characters, of bounded length.
pub(crate) fn printable(text: &str) -> String {
    let mut shown: String = text
        .trim()
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(MAX_SENTENCE)
        .collect();
    if text.trim().chars().nth(MAX_SENTENCE).is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(body: &str) -> Response {
        Response {
            status: 400,
            body: body.as_bytes().to_vec(),
        }
    }

    #[test]
    fn a_known_sentence_gets_a_remedy_and_stays_readable() {
        let body = r#"{"fault_message":"Boot source error: The kernel file cannot be opened: No such file or directory (os error 2)"}"#;
        let problem = of_response(Method::Put, "/boot-source", &response(body));
        assert_eq!(
            problem.to_string(),
            "PUT /boot-source: the kernel cannot be opened (found: Boot source error: The kernel file cannot be opened: \
             No such file or directory (os error 2))"
        );
        assert_eq!(problem.kind(), ProblemKind::NotFound);
        assert!(problem.remedy_text().is_some());
    }

    #[test]
    fn what_is_closed_is_not_missing() {
        let problem =
            of_sentence("The kernel file cannot be opened: Permission denied (os error 13)");
        assert_eq!(problem.kind(), ProblemKind::Host);
    }

    #[test]
    fn the_last_words_tell_why_it_ended() {
        let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
        let problem = of_end(
            &lines("x Error creating KVM object: no\nError: Code(1)\nbye"),
            1,
        );
        assert_eq!(problem.what(), "KVM cannot be used");
        let problem = of_end(&lines("Linux version 6.1\nError: Code(1)\nbye"), 1);
        assert!(
            problem
                .to_string()
                .ends_with("exit code 1; its last words: Error: Code(1))")
        );
        let problem = of_end(&[], 137);
        assert!(
            problem
                .to_string()
                .ends_with("exit code 137; its last words: nothing)")
        );
        assert!(
            problem
                .remedy_text()
                .is_some_and(|remedy| remedy.contains("memory"))
        );
    }

    #[test]
    fn an_unknown_sentence_is_passed_on() {
        let problem = of_response(Method::Put, "/x", &response(r#"{"fault_message":"Oh."}"#));
        assert_eq!(
            problem.to_string(),
            "PUT /x: Firecracker refused (found: Oh.)"
        );
        let problem = of_response(Method::Put, "/x", &response("<html>"));
        assert_eq!(
            problem.to_string(),
            "PUT /x: Firecracker refused (found: status 400)"
        );
    }

    #[test]
    fn a_foreign_sentence_cannot_fill_or_steer_a_terminal() {
        let problem = of_sentence(&format!("\x1b[2J\n{}", "é".repeat(100_000)));
        let text = problem.to_string();
        assert!(text.chars().count() < MAX_SENTENCE + 100 && !text.contains('\x1b'));
    }
}
