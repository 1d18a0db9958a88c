//! Trust policies from anywhere are policies or are refused, and what they decide never panics.

#![no_main]

use libfuzzer_sys::fuzz_target;
use uc_model::Problem;
use uc_sign::PolicyFile;

fuzz_target!(|text: &str| {
    if let Ok(file) = PolicyFile::parse(text, "fuzz.toml")
        && let Ok(policy) = file.resolve(|name| Err(Problem::not_found("no file").at(name)))
    {
        let _ = policy.evaluate("registry.example.com/a/b", 0);
    }
});
