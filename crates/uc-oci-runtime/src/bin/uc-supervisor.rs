//! The supervisor as a program of its own, for tests: `uc` is it when called by its name.

use std::process::ExitCode;

fn main() -> ExitCode {
    uc_oci_runtime::supervise()
}
