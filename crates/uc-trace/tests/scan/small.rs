//! Programs of a few instructions, written out.

use uc_trace::scan::from_bytes;

/// A program with code at 0x400000 + 120, which is where it starts.
pub(super) fn elf(machine: u16, code: &[u8]) -> Vec<u8> {
    const BASE: u64 = 0x40_0000;
    let mut bytes = vec![0; 120];
    bytes[..7].copy_from_slice(&[0x7f, b'E', b'L', b'F', 2, 1, 1]);
    let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
    put(16, &2_u16.to_le_bytes());
    put(18, &machine.to_le_bytes());
    put(24, &(BASE + 120).to_le_bytes());
    put(32, &64_u64.to_le_bytes());
    put(54, &56_u16.to_le_bytes());
    put(56, &1_u16.to_le_bytes());
    put(64, &1_u32.to_le_bytes());
    put(68, &5_u32.to_le_bytes());
    put(80, &BASE.to_le_bytes());
    let size = (120 + code.len()) as u64;
    put(96, &size.to_le_bytes());
    put(104, &size.to_le_bytes());
    bytes.extend_from_slice(code);
    bytes
}

/// The calls, and how many places have a computed number.
fn calls(machine: u16, code: &[u8]) -> (Vec<String>, usize) {
    let report = from_bytes(&elf(machine, code)).expect("reads");
    let computed = report
        .footprint
        .gaps
        .iter()
        .filter(|gap| gap.contains("computed number"))
        .count();
    (report.footprint.calls.into_keys().collect(), computed)
}

fn x86(code: &[u8]) -> (Vec<String>, usize) {
    calls(62, code)
}

fn arm(words: &[u32]) -> (Vec<String>, usize) {
    let code: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    calls(183, &code)
}

fn known(names: &[&str]) -> (Vec<String>, usize) {
    (names.iter().map(|name| (*name).to_owned()).collect(), 0)
}

#[test]
fn numbers_are_read_on_x86() {
    // mov eax, 39; syscall
    assert_eq!(x86(&[0xb8, 39, 0, 0, 0, 0x0f, 5, 0xc3]), known(&["getpid"]));
    // xor eax, eax; syscall
    assert_eq!(x86(&[0x31, 0xc0, 0x0f, 5, 0xc3]), known(&["read"]));
    // push 39; pop rax; syscall
    assert_eq!(x86(&[0x6a, 39, 0x58, 0x0f, 5, 0xc3]), known(&["getpid"]));
    // lea eax, [rdi + 1]: computed
    assert_eq!(x86(&[0x8d, 0x47, 1, 0x0f, 5, 0xc3]), (vec![], 1));
    // The bytes of `syscall` within a jump: jne +0x50f
    assert_eq!(
        x86(&[0xb8, 39, 0, 0, 0, 0x0f, 0x85, 0x0f, 5, 0, 0, 0xc3]),
        known(&[])
    );
}

#[test]
fn numbers_of_both_ways_are_read() {
    // test edi, edi; mov eax, 39; je over; mov eax, 57; over: syscall
    let code = [
        0x85, 0xff, 0xb8, 39, 0, 0, 0, 0x74, 5, 0xb8, 57, 0, 0, 0, 0x0f, 5, 0xc3,
    ];
    assert_eq!(x86(&code), known(&["fork", "getpid"]));
    // mov eax, 39; mov ecx, 57; cmove eax, ecx; syscall
    let code = [
        0xb8, 39, 0, 0, 0, 0xb9, 57, 0, 0, 0, 0x0f, 0x44, 0xc1, 0x0f, 5, 0xc3,
    ];
    assert_eq!(x86(&code), known(&["fork", "getpid"]));
}

#[test]
fn numbers_that_are_given_are_read_at_the_call() {
    // mov edi, 39; call wrapper; mov edi, 57; jmp wrapper; wrapper at 32: mov eax, edi; syscall; ret
    let mut code = vec![
        0xbf, 39, 0, 0, 0, 0xe8, 0, 0, 0, 0, 0xbf, 57, 0, 0, 0, 0xe9, 0, 0, 0, 0,
    ];
    let wrapper = 32 + 8;
    code[6] = wrapper - 10;
    code[16] = wrapper - 20;
    code.resize(wrapper.into(), 0xcc);
    code.extend([0x89, 0xf8, 0x0f, 5, 0xc3]);
    assert_eq!(x86(&code), known(&["fork", "getpid"]));
    // push 39; call wrapper; wrapper: mov rax, [rsp + 8]; syscall; ret
    let mut code = vec![0x6a, 39, 0xe8, 0, 0, 0, 0, 0xc3];
    code[3] = wrapper - 7;
    code.resize(wrapper.into(), 0xcc);
    code.extend([0x48, 0x8b, 0x44, 0x24, 8, 0x0f, 5, 0xc3]);
    assert_eq!(x86(&code), known(&["getpid"]));
}

#[test]
fn numbers_are_read_on_arm() {
    const SVC: u32 = 0xd400_0001;
    const RET: u32 = 0xd65f_03c0;
    // mov x8, #172
    assert_eq!(arm(&[0xd280_1588, SVC, RET]), known(&["getpid"]));
    // orr w8, wzr, #64
    assert_eq!(arm(&[0x321a_03e8, SVC, RET]), known(&["write"]));
    // mov w8, wzr
    assert_eq!(arm(&[0x2a1f_03e8, SVC, RET]), known(&["io_setup"]));
    // add x8, x0, #1: computed
    assert_eq!(arm(&[0x9100_0408, SVC, RET]), (vec![], 1));
    // mov x0, #172; bl +2; ret; mov x8, x0; svc; ret
    assert_eq!(
        arm(&[0xd280_1580, 0x9400_0002, RET, 0xaa00_03e8, SVC, RET]),
        known(&["getpid"])
    );
}

#[test]
fn arguments_that_decide_are_read() {
    // mov edi, 2; mov esi, 1; xor edx, edx; mov eax, 41; syscall
    let code = [
        0xbf, 2, 0, 0, 0, 0xbe, 1, 0, 0, 0, 0x31, 0xd2, 0xb8, 41, 0, 0, 0, 0x0f, 5, 0xc3,
    ];
    let report = from_bytes(&elf(62, &code)).expect("reads");
    let variants: Vec<_> = report.footprint.calls["socket"].variants.keys().collect();
    assert_eq!(variants, ["AF_INET:SOCK_STREAM"]);
    // Without the family nothing is told.
    let report = from_bytes(&elf(62, &code[5..])).expect("reads");
    assert!(report.footprint.calls["socket"].variants.is_empty());
}
