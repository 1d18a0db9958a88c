//! What Firecracker answers, hostile or not, is read or refused: inputs that a fuzzer found to differ, and any others.
#![allow(clippy::expect_used, reason = "a test says what it expects")]

use proptest::prelude::*;
use uc_microvm::firecracker::api::read_answer_for_fuzzing;

/// One input a line, in hexadecimal digits.
const CORPUS: &str = include_str!("corpus/firecracker_answers.txt");

#[test]
fn what_a_fuzzer_found_is_read_or_refused() {
    let mut count = 0;
    for line in CORPUS.lines() {
        let bytes: Vec<u8> = (0..line.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&line[at..at + 2], 16).expect("hexadecimal"))
            .collect();
        read_answer_for_fuzzing(&bytes);
        count += 1;
    }
    assert!(count > 100, "{count} inputs");
}

#[test]
fn what_an_answer_quotes_cannot_steer_a_terminal() {
    let body = "{\"id\":\"a\",\"state\":\"\\u001b]0;owned\\u0007\",\"vmm_version\":\"1\",\"app_name\":\"x\"}";
    let length = body.len();
    let answer = format!("HTTP/1.1 200 \r\nContent-Length: {length}\r\n\r\n{body}");
    read_answer_for_fuzzing(answer.as_bytes());
}

proptest! {
    #[test]
    fn any_bytes_are_an_answer_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..10_000)) {
        read_answer_for_fuzzing(&bytes);
    }

    #[test]
    fn any_answer_is_read_or_refused(
        status in 0..1000_u16,
        fields in "(Content-Length: [0-9]{1,7}\r\n|[A-Za-z-]{1,20}:[ -~]{0,30}\r\n){0,4}",
        body in "(\\{|\\[|\"|:|,|\\}|fault_message|state|Running|[0-9]{1,9}|null|\\\\u00[0-9a-f]{2}){0,80}",
    ) {
        let answer = format!("HTTP/1.1 {status} x\r\n{fields}Content-Length: {}\r\n\r\n{body}", body.len());
        read_answer_for_fuzzing(answer.as_bytes());
    }
}
