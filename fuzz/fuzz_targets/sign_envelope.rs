//! DSSE envelopes from anywhere parse or are refused, and what parses is written so that it reads back.

#![no_main]

use libfuzzer_sys::fuzz_target;
use uc_sign::dsse::Envelope;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(envelope) = Envelope::parse(bytes) {
        let again = Envelope::parse(&envelope.to_json()).expect("reads back");
        assert_eq!(again.payload(), envelope.payload());
        assert_eq!(again.payload_type(), envelope.payload_type());
    }
});
