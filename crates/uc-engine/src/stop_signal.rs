//! The signal that asks a program to end: its image's choice, or SIGTERM.

use rustix::process::Signal;
use uc_image::ImageConfig;
use uc_model::{Problem, Result};

/// The first real-time signal that programs may use: the C library keeps those below for itself.
const FIRST_REAL_TIME: i32 = 34;
/// The last signal there is.
const LAST: i32 = 64;

const NAMED: [(&str, Signal); 31] = [
    ("HUP", Signal::HUP),
    ("INT", Signal::INT),
    ("QUIT", Signal::QUIT),
    ("ILL", Signal::ILL),
    ("TRAP", Signal::TRAP),
    ("ABRT", Signal::ABORT),
    ("BUS", Signal::BUS),
    ("FPE", Signal::FPE),
    ("KILL", Signal::KILL),
    ("USR1", Signal::USR1),
    ("SEGV", Signal::SEGV),
    ("USR2", Signal::USR2),
    ("PIPE", Signal::PIPE),
    ("ALRM", Signal::ALARM),
    ("TERM", Signal::TERM),
    ("STKFLT", Signal::STKFLT),
    ("CHLD", Signal::CHILD),
    ("CONT", Signal::CONT),
    ("STOP", Signal::STOP),
    ("TSTP", Signal::TSTP),
    ("TTIN", Signal::TTIN),
    ("TTOU", Signal::TTOU),
    ("URG", Signal::URG),
    ("XCPU", Signal::XCPU),
    ("XFSZ", Signal::XFSZ),
    ("VTALRM", Signal::VTALARM),
    ("PROF", Signal::PROF),
    ("WINCH", Signal::WINCH),
    ("IO", Signal::IO),
    ("PWR", Signal::POWER),
    ("SYS", Signal::SYS),
];

/// The number of the signal that an image asks for.
///
/// # Errors
/// Invalid, where the image names no signal of Linux.
pub(crate) fn of(config: &ImageConfig) -> Result<i32> {
    let Some(text) = &config.stop_signal else {
        return Ok(Signal::TERM.as_raw());
    };
    number(text).ok_or_else(|| {
        Problem::invalid("the image's StopSignal is no signal")
            .limit("a name such as SIGTERM or SIGRTMIN+3, or a number from 1 to 64")
            .found(format!("{text:?}"))
            .remedy("build the image with another STOPSIGNAL")
    })
}

/// `SIGTERM`, `TERM`, `15`, `SIGRTMIN+3`, `SIGRTMAX-1`; in capitals or not, as builders and Docker allow.
fn number(text: &str) -> Option<i32> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return text
            .parse()
            .ok()
            .filter(|number| (1..=LAST).contains(number));
    }
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    let real_time = |offset: &str, first: i32, sign: char| {
        if offset.is_empty() {
            return Some(first);
        }
        let digits = offset.strip_prefix(sign)?;
        let steps: i32 = digits.parse().ok().filter(|_| digits.len() <= 2)?;
        let number = if sign == '+' {
            first + steps
        } else {
            first - steps
        };
        (FIRST_REAL_TIME..=LAST).contains(&number).then_some(number)
    };
    if let Some(offset) = name.strip_prefix("RTMIN") {
        return real_time(offset, FIRST_REAL_TIME, '+');
    }
    if let Some(offset) = name.strip_prefix("RTMAX") {
        return real_time(offset, LAST, '-');
    }
    NAMED
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, signal)| signal.as_raw())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_go_by_name_number_and_distance() {
        for (text, expected) in [
            ("SIGTERM", Some(15)),
            ("term", Some(15)),
            ("SIGQUIT", Some(3)),
            ("9", Some(9)),
            ("64", Some(64)),
            ("SIGRTMIN", Some(34)),
            ("SIGRTMIN+3", Some(37)),
            ("RTMAX-1", Some(63)),
            ("SIGRTMIN+31", None),
            ("SIGRTMIN-1", None),
            ("SIGRTMIN+-1", None),
            ("SIGRTMAX-40", None),
            ("0", None),
            ("65", None),
            ("", None),
            ("SIGNOTHING", None),
            ("99999999999999999999", None),
        ] {
            assert_eq!(number(text), expected, "{text}");
        }
    }

    #[test]
    fn without_a_choice_it_is_sigterm_and_a_wrong_one_is_refused() {
        let choice = |text: Option<&str>| ImageConfig {
            stop_signal: text.map(str::to_owned),
            ..ImageConfig::default()
        };
        assert_eq!(of(&choice(None)).expect("known"), 15);
        let problem = of(&choice(Some("SIGSTOPP"))).expect_err("unknown");
        assert!(problem.to_string().contains("SIGSTOPP"), "{problem}");
    }
}
