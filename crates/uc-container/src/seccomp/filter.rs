//! Compiles verdicts on system calls into one program for the kernel.
//!
//! The numbers are searched by halving, not one after the other: the kernel runs a new filter once for each call there
//! is, to remember the calls that are always allowed, which makes a long chain of comparisons the slowest part of a
//! container's start.

use std::collections::BTreeMap;

use seccompiler::{BpfProgram, sock_filter};
use uc_linux::syscall_policy::{Condition, Verdict};

/// Offsets in the kernel's `struct seccomp_data`.
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;
const ARGUMENTS: u32 = 16;

/// Compiles a filter for one architecture (its AUDIT_ARCH number). Calls that are not named fail with EPERM, those
/// beyond `newest` with ENOSYS: whatever is newer than the list must look absent, so that libraries fall back. A call
/// of another architecture kills the process: its numbers mean something else.
pub(super) fn compile(
    architecture: u32,
    verdicts: &BTreeMap<u32, Verdict>,
    newest: u32,
) -> BpfProgram {
    let mut program = vec![
        load(ARCHITECTURE),
        jump(libc::BPF_JEQ, architecture, 1, 0),
        give(libc::SECCOMP_RET_KILL_PROCESS),
        load(NUMBER),
    ];
    program.extend(search(&runs(verdicts, newest)));
    program
}

/// Neighbouring numbers with one verdict, each with its first number; the first run begins at 0, the last has no end.
fn runs(verdicts: &BTreeMap<u32, Verdict>, newest: u32) -> Vec<(u32, Verdict)> {
    let mut runs: Vec<(u32, Verdict)> = Vec::new();
    for number in 0..=newest.saturating_add(1) {
        let verdict = if number > newest {
            Verdict::Fail(libc::ENOSYS)
        } else {
            let named = verdicts.get(&number).cloned();
            named.unwrap_or(Verdict::Fail(libc::EPERM))
        };
        if runs.last().is_none_or(|(_, last)| *last != verdict) {
            runs.push((number, verdict));
        }
    }
    runs
}

/// A decision tree; it is as deep as the logarithm of the number of runs.
fn search(runs: &[(u32, Verdict)]) -> BpfProgram {
    let (lower, upper) = runs.split_at(runs.len() / 2);
    match (lower, upper) {
        ([], []) => Vec::new(),
        ([], [(_, verdict), ..]) => body(verdict),
        (_, [(first, _), ..]) => {
            let (lower, upper) = (search(lower), search(upper));
            let mut program = match u8::try_from(lower.len()) {
                Ok(distance) => vec![jump(libc::BPF_JGE, *first, distance, 0)],
                // Conditional jumps reach 255 instructions; unconditional ones any number.
                Err(_) => vec![
                    jump(libc::BPF_JGE, *first, 0, 1),
                    statement(libc::BPF_JMP | libc::BPF_JA, lower.len() as u32),
                ],
            };
            program.extend(lower);
            program.extend(upper);
            program
        }
        (_, []) => search(lower),
    }
}

fn body(verdict: &Verdict) -> BpfProgram {
    match verdict {
        Verdict::Allow => vec![give(libc::SECCOMP_RET_ALLOW)],
        Verdict::Fail(errno) => vec![fail(*errno)],
        Verdict::AllowIf(rules) => {
            let mut program: BpfProgram = rules.iter().flat_map(|rule| allow_if(rule)).collect();
            program.push(fail(libc::EPERM));
            program
        }
    }
}

/// Allows if all conditions hold; otherwise goes on behind its last instruction.
fn allow_if(conditions: &[Condition]) -> BpfProgram {
    let mut program = vec![give(libc::SECCOMP_RET_ALLOW)];
    for condition in conditions.iter().rev() {
        // A rule has a few conditions of three instructions: the distance fits.
        let to_end = program.len() as u8;
        let (if_equal, if_not) = if condition.equal {
            (0, to_end)
        } else {
            (to_end, 0)
        };
        let test = [
            load(ARGUMENTS + 8 * u32::from(condition.argument)),
            statement(libc::BPF_ALU | libc::BPF_AND | libc::BPF_K, condition.mask),
            jump(libc::BPF_JEQ, condition.value, if_equal, if_not),
        ];
        program.splice(0..0, test);
    }
    program
}

fn statement(code: u32, operand: u32) -> sock_filter {
    sock_filter {
        code: code as u16,
        jt: 0,
        jf: 0,
        k: operand,
    }
}

fn load(offset: u32) -> sock_filter {
    statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, offset)
}

fn jump(comparison: u32, operand: u32, if_true: u8, if_false: u8) -> sock_filter {
    sock_filter {
        jt: if_true,
        jf: if_false,
        ..statement(libc::BPF_JMP | comparison | libc::BPF_K, operand)
    }
}

fn give(verdict: u32) -> sock_filter {
    statement(libc::BPF_RET | libc::BPF_K, verdict)
}

fn fail(errno: i32) -> sock_filter {
    give(libc::SECCOMP_RET_ERRNO | errno.unsigned_abs())
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Runs a filter as the kernel would: the value it returns, and how many instructions that took.
    pub(in super::super) fn run(
        program: &[sock_filter],
        architecture: u32,
        number: u32,
        arguments: [u32; 6],
    ) -> (u32, usize) {
        let (mut accumulator, mut at, mut steps) = (0u32, 0usize, 0usize);
        loop {
            let instruction = &program[at];
            steps += 1;
            at += 1;
            match u32::from(instruction.code) {
                code if code == libc::BPF_LD | libc::BPF_W | libc::BPF_ABS => {
                    accumulator = match instruction.k {
                        NUMBER => number,
                        ARCHITECTURE => architecture,
                        offset => arguments[(offset - ARGUMENTS) as usize / 8],
                    };
                }
                code if code == libc::BPF_ALU | libc::BPF_AND | libc::BPF_K => {
                    accumulator &= instruction.k;
                }
                code if code == libc::BPF_JMP | libc::BPF_JA => at += instruction.k as usize,
                code if code == libc::BPF_RET | libc::BPF_K => return (instruction.k, steps),
                code => {
                    let holds = match code & 0xf0 {
                        libc::BPF_JEQ => accumulator == instruction.k,
                        libc::BPF_JGE => accumulator >= instruction.k,
                        _ => panic!("unknown instruction {code:#x}"),
                    };
                    at += usize::from(if holds {
                        instruction.jt
                    } else {
                        instruction.jf
                    });
                }
            }
        }
    }

    #[test]
    fn every_number_gets_its_verdict_even_across_long_jumps() {
        // Verdicts that alternate give as many runs as there are numbers, which needs jumps beyond 255.
        let verdicts: BTreeMap<u32, Verdict> = (0..600)
            .map(|number| match number % 3 {
                0 => (number, Verdict::Allow),
                1 => (number, Verdict::Fail(38)),
                _ => (
                    number,
                    Verdict::AllowIf(vec![
                        vec![Condition::equals(0, 7), Condition::masked(1, 0xf, 2)],
                        vec![Condition::differs(0, 7), Condition::differs(0, 8)],
                    ]),
                ),
            })
            .collect();
        let program = compile(1, &verdicts, 599);
        let allow = libc::SECCOMP_RET_ALLOW;
        let errno = |number: u32| libc::SECCOMP_RET_ERRNO | number;
        let verdict = |number, arguments| run(&program, 1, number, arguments).0;
        for number in 0..600 {
            match number % 3 {
                0 => assert_eq!(verdict(number, [0; 6]), allow),
                1 => assert_eq!(verdict(number, [0; 6]), errno(38)),
                _ => {
                    assert_eq!(verdict(number, [7, 0x12, 0, 0, 0, 0]), allow);
                    assert_eq!(verdict(number, [7, 0x13, 0, 0, 0, 0]), errno(1));
                    assert_eq!(verdict(number, [8, 2, 0, 0, 0, 0]), errno(1));
                    assert_eq!(verdict(number, [9, 0, 0, 0, 0, 0]), allow);
                }
            }
        }
        for number in [600, 0x4000_0000, u32::MAX] {
            assert_eq!(verdict(number, [0; 6]), errno(38), "{number}");
        }
        assert_eq!(
            run(&program, 2, 0, [0; 6]).0,
            libc::SECCOMP_RET_KILL_PROCESS
        );
    }
}
