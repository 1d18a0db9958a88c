//! Pressure stall information (PSI): how much of the time tasks waited for memory.

use std::path::Path;

use uc_model::Result;

use crate::kernel_file;

/// The file of the whole host.
const HOST_FILE: &str = "/proc/pressure/memory";

/// `EOPNOTSUPP`: the kernel has the file, but was started with `psi=0`.
const NOT_SUPPORTED: i32 = 95;

/// The share of the last ten seconds in which some task waited, from 0 to 1, out of a PSI file's text. Nothing where the text is
/// of another form.
pub fn parse_some_avg10(text: &str) -> Option<f32> {
    let line = text.lines().find_map(|line| line.strip_prefix("some "))?;
    let percent: f32 = line
        .split_whitespace()
        .find_map(|field| field.strip_prefix("avg10="))?
        .parse()
        .ok()?;
    // The kernel's average may exceed 100 % by its rounding.
    percent
        .is_finite()
        .then(|| (percent / 100.0).clamp(0.0, 1.0))
}

/// The memory pressure of this host; nothing on kernels before 4.20, or where PSI is switched off.
///
/// # Errors
/// Where the file is there but cannot be read.
pub fn of_host() -> Result<Option<f32>> {
    of_file(Path::new(HOST_FILE))
}

/// The memory pressure that a PSI file tells; nothing where there is none.
pub(crate) fn of_file(path: &Path) -> Result<Option<f32>> {
    match kernel_file::read(path) {
        Ok(text) => Ok(parse_some_avg10(&text)),
        Err(error)
            if kernel_file::is_gone(&error) || error.raw_os_error() == Some(NOT_SUPPORTED) =>
        {
            Ok(None)
        }
        Err(error) => Err(kernel_file::unreadable(path, error)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_kernels_form_is_read() {
        let text = "some avg10=12.50 avg60=1.00 avg300=0.00 total=99\nfull avg10=99.00 avg60=0.00 avg300=0.00 total=1\n";
        assert_eq!(parse_some_avg10(text), Some(0.125));
        assert_eq!(parse_some_avg10("some avg10=100.37 avg60=0"), Some(1.0));
    }

    #[test]
    fn other_forms_are_nothing() {
        for text in [
            "",
            "full avg10=1.0",
            "some",
            "some avg60=1.0",
            "some avg10=x",
            "some avg10=NaN",
        ] {
            assert_eq!(parse_some_avg10(text), None, "{text:?}");
        }
    }

    #[test]
    fn an_absent_file_is_nothing() {
        assert_eq!(
            of_file(Path::new("/nonexistent/pressure")).expect("no problem"),
            None
        );
    }

    #[test]
    fn this_host_answers_or_has_none() {
        if let Some(share) = of_host().expect("readable") {
            assert!((0.0..=1.0).contains(&share));
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in ".*") {
            parse_some_avg10(&text);
        }
    }
}
