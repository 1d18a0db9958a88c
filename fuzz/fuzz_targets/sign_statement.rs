//! Statements from anywhere parse or are refused, and the predicate is within them.

#![no_main]

use libfuzzer_sys::fuzz_target;
use uc_sign::statement::Statement;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(statement) = Statement::parse(bytes)
        && let Some(place) = statement.predicate
    {
        assert!(bytes.get(place).is_some());
    }
});
